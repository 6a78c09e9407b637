"""Reads a log: every record in order, checked as it goes; or only a glance at its two ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from outagekit.errors import LogDamaged, NothingMatched
from outagekit.log.chain import Walk
from outagekit.log.file import LOG_NAME, open_regular
from outagekit.log.record import MAX_LINE_BYTES, decode_event, decode_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outagekit.events import Record

_GLANCE_BYTES = 3 * MAX_LINE_BYTES


def log_path(path: Path) -> Path:
    """Return the log of a run folder, or the path itself if it is a file's."""
    return path / LOG_NAME if path.is_dir() else path


def open_to_read(path: Path) -> BinaryIO:
    """Open a log, or the log of a run folder. Raises `NothingMatched` or `LogDamaged`."""
    log = log_path(path)
    try:
        return open_regular(log)
    except FileNotFoundError as error:
        raise NothingMatched(f"there is no log at {log}") from error
    except OSError as error:
        raise LogDamaged(f"the log {log} cannot be read: {error}") from error


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a log or run folder in order, with bounded memory.

    Every record was checked against its hash and the chain before it is yielded. A torn tail ends
    the records quietly, as does the end of a log that is being written. Raises `LogDamaged` at a
    record that was altered or that this version cannot read, `NothingMatched` if there is no log.
    """
    with open_to_read(path) as stream:
        walk = Walk(stream)
        try:
            for link in walk:
                yield decode_event(link.line, link.header)
        except LogDamaged as error:
            where = f"record {walk.head_seq}: {error.message}"
            raise LogDamaged(f"{log_path(path)}: {where}", hint=error.hint) from error
        except OSError as error:
            raise LogDamaged(f"the log {log_path(path)} cannot be read: {error}") from error
        if walk.damage and not walk.damage.torn:
            raise LogDamaged(f"{log_path(path)}: {walk.damage}")


@dataclass(frozen=True, slots=True)
class Glance:
    """The two ends of a log."""

    first: Record | None
    """The first record, if it can be read."""
    last: tuple[Record, ...]
    """Some of the last records, oldest first; at most a few hundred."""


def glance(path: Path) -> Glance:
    """Return the first and some of the last records of a log without reading what is between.

    Each is checked against its own hash, but not the chain: enough for a list of runs, no proof.
    Lines that cannot be read are left out. Raises `NothingMatched` or `LogDamaged` as
    `read_records` if the file cannot be read at all.
    """
    with open_to_read(path) as stream:
        try:
            first = _readable(stream.readline(MAX_LINE_BYTES + 1))
            size_bytes = stream.seek(0, 2)
            stream.seek(max(size_bytes - _GLANCE_BYTES, 0))
            lines = stream.read(_GLANCE_BYTES).splitlines()
        except OSError as error:
            raise LogDamaged(f"the log {log_path(path)} cannot be read: {error}") from error
    last = (_readable(line) for line in lines)
    return Glance(first, tuple(record for record in last if record))


def _readable(line: bytes) -> Record | None:
    try:
        return decode_line(line)
    except LogDamaged:
        return None
