"""Judges a log and every file it vouches for, changing nothing.

What is wrong is a value (`Verdict`), not an exception: a damaged log is what this is for.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from outagekit.errors import LogDamaged, NothingMatched
from outagekit.events import EvidenceSaved, LogRepaired, PlanFrozen, RunId, StepPart
from outagekit.log.chain import Damage, Link, Walk
from outagekit.log.checkpoint import (
    Anchor,
    AnchorCheck,
    read_anchors,
    require_never_begun,
)
from outagekit.log.file import ANCHORS_NAME, LOG_NAME, OUTPUT_NAME, open_regular
from outagekit.log.reader import open_to_read
from outagekit.log.record import KNOWN_EVENTS, decode_event
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_VOUCHING: Final = frozenset({"plan.frozen", "step.part", "evidence.saved", "log.repaired"})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What came of verifying a log."""

    ok: bool
    """Nothing was altered as far as chain, anchors and hashes can tell. A torn tail is no fault."""
    run: RunId | None
    records: int
    """Good records, counted from the first one."""
    head_seq: int
    """Of the last good record; -1 if there is none."""
    head_sha: str
    torn_bytes: int
    """At the end, left by a loss of power or a killed process; a resume cuts them off."""
    bad_seq: int | None
    """The first bad record, if the chain is broken."""
    bad_offset: int | None
    """The byte of the log where it begins."""
    faults: tuple[str, ...]
    """Everything found wrong, one sentence each, in the order chain, anchors, files."""
    warnings: tuple[str, ...]
    """What is odd but proves nothing."""
    anchors: int
    """How many anchors were compared."""
    files: int
    """How many files the log vouches for were compared."""

    @property
    def reason(self) -> str:
        """The first fault, or an empty string."""
        return self.faults[0] if self.faults else ""


def verify(path: Path, *, anchors: Iterable[Anchor] = ()) -> Verdict:
    """Verify a run folder: the chain, `anchors`, those in anchors.txt, and every file named.

    If `path` is a log file itself, its chain and `anchors` are verified and nothing beside it.
    Raises `NothingMatched` if there is no log, `LogDamaged` if it cannot be read at all,
    or is gone from a folder whose anchors.txt knows it.
    """
    judge = _Judge()
    with _opened(path) as stream:
        walk = Walk(stream)
        try:
            wanted = _Wanted(path, tuple(anchors))
            for link in walk:
                wanted.see(link)
                judge.see(link)
        except OSError as error:
            raise LogDamaged(f"the log {path} cannot be read: {error}") from error
    return _verdict(path, walk, judge, wanted)


def _opened(path: Path) -> BinaryIO:
    try:
        return open_to_read(path)
    except NothingMatched:
        if path.is_dir():
            with suppress(OSError):
                require_never_begun(path / LOG_NAME, RunId(path.resolve().name))
        raise


class _Wanted:
    """The anchors that apply; those of anchors.txt are read once the run is known."""

    def __init__(self, path: Path, given: tuple[Anchor, ...]) -> None:
        self._beside = path / ANCHORS_NAME if path.is_dir() else None
        self._given = given
        self._check: AnchorCheck | None = None
        self.compared = len(given)
        self.foreign_lines = 0

    def see(self, link: Link) -> None:
        if self._check is None:
            self._check = self._begin(link.header.run)
        self._check.see(link.header.seq, link.header.sha)

    def _begin(self, run: RunId | None) -> AnchorCheck:
        kept: tuple[Anchor, ...] = ()
        if self._beside and run is not None:
            kept, self.foreign_lines = read_anchors(self._beside, run)
        self.compared = len(self._given) + len(kept)
        return AnchorCheck((*self._given, *kept))

    def complaints(self, folder_name: str) -> tuple[str, ...]:
        # A log without one good record: its run is known by the folder's name only.
        check = self._check or self._begin(RunId(folder_name))
        return check.complaints()


class _Judge:
    """Collects what the records vouch for, and what is odd about them."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        """Path in the run folder -> SHA-256."""
        self.contradictions: list[str] = []
        self._last_at = ""
        self._backwards: list[int] = []
        self._unread: list[int] = []

    def see(self, link: Link) -> None:
        header = link.header
        if header.at < self._last_at:
            self._backwards.append(header.seq)
        self._last_at = header.at
        if header.event not in KNOWN_EVENTS:
            self._unread.append(header.seq)
        elif header.event in _VOUCHING:
            self._vouch(link)

    def _vouch(self, link: Link) -> None:
        try:
            event = decode_event(link.line, link.header).event
        except LogDamaged:
            self._unread.append(link.header.seq)
            return
        for name, sha in _vouched(event):
            if self.files.setdefault(name, sha) != sha:
                shown = visible_line(name)
                self.contradictions.append(f"record {link.header.seq} names {shown} a second time")

    def warnings(self) -> Iterator[str]:
        if self._backwards:
            times = count(len(self._backwards), "time")
            yield f"the wall clock goes back {times}, first at record {self._backwards[0]}"
        if self._unread:
            number = count(len(self._unread), "record")
            yield f"{number} cannot be read by this version, first {self._unread[0]}"


def _vouched(event: object) -> Iterator[tuple[str, str]]:
    if isinstance(event, PlanFrozen):
        yield from event.files.items()
    elif isinstance(event, EvidenceSaved):
        yield event.path, event.sha256
    elif isinstance(event, LogRepaired):
        yield event.kept_as, event.removed_sha256
    elif isinstance(event, StepPart):
        for output in (event.stdout, event.stderr):
            if output.sha256:
                yield f"{OUTPUT_NAME}/{output.sha256}", output.sha256


def _verdict(path: Path, walk: Walk, judge: _Judge, wanted: _Wanted) -> Verdict:
    damage = walk.damage
    corrupt = damage if damage and not damage.torn else None
    folder = path if path.is_dir() else None
    faults = [str(corrupt)] if corrupt else []
    faults += wanted.complaints(path.name)
    faults += judge.contradictions
    if folder:
        faults += _altered(folder, judge.files)
    return Verdict(
        ok=not faults,
        run=walk.run,
        records=walk.records,
        head_seq=walk.head_seq,
        head_sha=walk.head_sha,
        torn_bytes=damage.size_bytes if damage and damage.torn else 0,
        bad_seq=corrupt.seq if corrupt else None,
        bad_offset=corrupt.offset if corrupt else None,
        faults=tuple(faults),
        warnings=(*_odd_ends(walk, damage, path), *judge.warnings(), *_odd_lines(wanted)),
        anchors=wanted.compared,
        files=len(judge.files) if folder else 0,
    )


def _odd_ends(walk: Walk, damage: Damage | None, path: Path) -> Iterator[str]:
    if not walk.records:
        yield "the log holds no record"
    if damage and damage.torn:
        yield f"the last {count(damage.size_bytes, 'byte')} are torn at {damage}"
    if walk.open_ended:
        yield "the last record lacks its newline"
    if not path.is_dir():
        yield f"only the log was verified; give the folder of {LOG_NAME} to verify its files too"
    elif walk.run is not None and walk.run != path.resolve().name:
        yield f"the folder does not have the name of its run, {visible_line(walk.run[:80])}"


def _odd_lines(wanted: _Wanted) -> Iterator[str]:
    if wanted.foreign_lines:
        lines = count(wanted.foreign_lines, "line")
        yield f"{lines} of {ANCHORS_NAME} are no anchors of this run"


def _altered(folder: Path, files: dict[str, str]) -> Iterator[str]:
    inside = folder.resolve()
    for name, sha in files.items():
        shown = visible_line(name)
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(inside):
                yield f"{shown} does not stand in the run folder"
                continue
            with open_regular(path) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            yield f"{shown} is missing"
        except (OSError, ValueError, RuntimeError):  # the last one: links that lead in a circle
            yield f"{shown} cannot be read"
        else:
            if digest != sha:
                yield f"{shown} was altered"
