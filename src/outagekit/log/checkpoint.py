"""Anchors: what the head of a log was at some moment, as one line of text.

A chain proves order and integrity up to the head one knows. The same line goes into the log, to
anchors.txt and out of the machine; a log that no longer holds an anchor was altered or cut.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.errors import LogDamaged, UsageError
from outagekit.events import RunId
from outagekit.log.file import ANCHORS_NAME, open_regular
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_ORIGIN: Final = "outagekit-log-v1"
_MIN_DIGITS: Final = 16
_ANCHOR = re.compile(r"([0-9]{1,15}):([0-9a-fA-F]{%d,64})" % _MIN_DIGITS)  # noqa: UP031  (braces)
_LINE = re.compile(rf"{_ORIGIN} (\S+) ([0-9]{{1,15}}):([0-9a-f]{{64}}) (\S+)")
_MAX_ANCHORS_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Anchor:
    """Record `seq` has the hash `sha`, or one that begins so."""

    seq: int
    sha: str

    def __str__(self) -> str:
        """Return `SEQ:SHA`, as `parse_anchor` reads it."""
        return f"{self.seq}:{self.sha}"


def anchor_line(run: RunId, anchor: Anchor, at: str) -> str:
    """Return the text of an anchor: origin, run, `SEQ:SHA` and the time, without a newline."""
    return f"{_ORIGIN} {run} {anchor} {at}"


def parse_anchor(text: str) -> Anchor:
    """Read `SEQ:SHA`, or a whole anchor line, as a person pastes it.

    The hash may be shortened to its first 16 digits. Raises `UsageError`.
    """
    whole = _LINE.fullmatch(text.strip())
    match = whole or _ANCHOR.fullmatch(text.strip())
    if match is None:
        shown = visible_line(text[:80])
        hint = "an anchor is SEQ:SHA, such as 41:9f86d081884c7d65, at least 16 digits of the hash"
        raise UsageError(f"{shown!r} is no anchor", hint=hint)
    seq, sha = match.group(2, 3) if whole else match.group(1, 2)
    return Anchor(int(seq), sha.lower())


class AnchorCheck:
    """Compares anchors with the records of a log as they go by."""

    def __init__(self, anchors: Iterable[Anchor]) -> None:
        self._wanted: dict[int, list[Anchor]] = {}
        self._wrong: list[str] = []
        for anchor in anchors:
            self._wanted.setdefault(anchor.seq, []).append(anchor)

    def see(self, seq: int, sha: str) -> None:
        """Take note of a record of the chain."""
        for anchor in self._wanted.pop(seq, ()):
            if not sha.startswith(anchor.sha):
                self._wrong.append(f"record {seq} is not the one the anchor {anchor} was made of")

    def complaints(self) -> tuple[str, ...]:
        """Return what the records seen so far owe to the anchors, one sentence each."""
        gone = sorted(anchor.seq for anchors in self._wanted.values() for anchor in anchors)
        cut = (f"the log is shorter than its anchor at record {gone[-1]}",) if gone else ()
        return (*self._wrong, *cut)


def require_never_begun(log: Path, run: RunId) -> None:
    """Raise `LogDamaged` if a log that is not there has anchors: then it was, and was taken away.

    May raise `OSError`.
    """
    anchors, _ = read_anchors(log.with_name(ANCHORS_NAME), run)
    if anchors:
        head = max(anchors, key=lambda anchor: anchor.seq)
        raise LogDamaged(f"the log {log} is gone: {ANCHORS_NAME} beside it knows record {head.seq}")


def read_anchors(path: Path, run: RunId) -> tuple[tuple[Anchor, ...], int]:
    """Return the anchors of `run` in an anchors.txt, and how many lines were none.

    A missing file holds none. A last line without its newline is half an anchor, no fault: the
    file is a convenience that is not synced. Raises `OSError`.
    """
    try:
        with open_regular(path) as file:
            text = file.read(_MAX_ANCHORS_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return (), 0
    whole, _, _ = text.rpartition("\n")
    lines = whole.split("\n") if whole else []
    matches = [_LINE.fullmatch(line.rstrip("\r")) for line in lines]
    found = tuple(Anchor(int(m[2]), m[3]) for m in matches if m is not None and m[1] == run)
    return found, len(lines) - len(found)
