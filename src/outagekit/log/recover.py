"""Makes a log fit to be continued: a torn tail is cut off and kept aside, corruption is refused.

Running it twice is the same as once. It never repairs anything that was known to be on disk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outagekit.errors import LogDamaged, LogUnwritable
from outagekit.events import LogRepaired, RunId
from outagekit.log.chain import Damage, Walk
from outagekit.log.checkpoint import AnchorCheck, read_anchors
from outagekit.log.file import (
    ANCHORS_NAME,
    LogFile,
    OpenLog,
    copy_durably,
    open_log,
    open_regular,
    write_all,
)
from outagekit.log.record import seed

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log that can be continued: everything in it is on disk."""

    records: int
    head_sha: str
    """What the next record names as `prev`."""
    size_bytes: int
    facts: tuple[LogRepaired, ...]
    """To be appended first: what was cut off, if anything."""


def recover(
    path: Path,
    *,
    run: RunId,
    opener: OpenLog = open_log,
    trusted_bytes: int | None = None,
) -> Recovered:
    """Cut a torn tail off the log at `path`, keep it as `log.torn-<n>` beside it, and sync.

    With `trusted_bytes`, what stands after that byte is written anew: a sync that failed may have
    lost it although it can still be read. Raises `LogDamaged` if something is wrong that no loss
    of power explains (then nothing is touched), `LogUnwritable` if the disk refuses.
    """
    try:
        return _recover(path, run, opener, trusted_bytes)
    except OSError as error:
        raise LogUnwritable(f"the log {path} cannot be opened for writing: {error}") from error


def _recover(path: Path, run: RunId, opener: OpenLog, trusted_bytes: int | None) -> Recovered:
    walk = _walked(path, run)
    facts = (_kept_aside(path, walk.damage),) if walk.damage else ()
    file = opener(path, create=False)
    try:
        size_bytes = _settle(path, file, walk, trusted_bytes)
    finally:
        file.close()
    return Recovered(walk.records, walk.head_sha or seed(run), size_bytes, facts)


def _walked(path: Path, run: RunId) -> Walk:
    """Return the finished walk along a log without corruption; raise `LogDamaged` otherwise."""
    anchors, _ = read_anchors(path.with_name(ANCHORS_NAME), run)
    check = AnchorCheck(anchors)
    with open_regular(path) as stream:
        walk = Walk(stream, run=run)
        for link in walk:
            check.see(link.header.seq, link.header.sha)
    hint = f"see where with: outagekit log verify {path.parent.name}"
    if walk.damage and not walk.damage.torn:
        raise LogDamaged(f"the log is damaged at {walk.damage}", hint=hint)
    for complaint in check.complaints():
        raise LogDamaged(complaint, hint=hint)
    return walk


def _settle(path: Path, file: LogFile, walk: Walk, trusted_bytes: int | None) -> int:
    again = b""
    keep_bytes = walk.end
    if trusted_bytes is not None and trusted_bytes < walk.end:
        with path.open("rb") as stream:
            stream.seek(trusted_bytes)
            again = stream.read(walk.end - trusted_bytes)
        keep_bytes = trusted_bytes
    if walk.damage or again:
        file.truncate(keep_bytes)
        file.sync()
    if walk.open_ended:
        again += b"\n"
    write_all(file, again)
    file.sync()
    return keep_bytes + len(again)


def _kept_aside(path: Path, damage: Damage) -> LogRepaired:
    number = 1
    while (kept := path.with_name(f"log.torn-{number}")).exists():
        number += 1
    copy_durably(path, kept, offset=damage.offset)
    with kept.open("rb") as copy:
        digest = hashlib.file_digest(copy, "sha256").hexdigest()
    return LogRepaired(
        offset=damage.offset,
        removed_bytes=kept.stat().st_size,
        removed_sha256=digest,
        kept_as=kept.name,
    )
