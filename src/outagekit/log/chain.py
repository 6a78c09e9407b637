"""The walk along the hash chain: every record in order, and where and how the chain ends.

Works on any seekable stream of bytes, in one pass and with bounded memory. It decides between a
torn tail (what a loss of power leaves) and corruption (what it cannot leave) and repairs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

from outagekit.errors import LogDamaged
from outagekit.log.record import MAX_LINE_BYTES, Header, is_sealed, read_header, seed
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outagekit.events import RunId

_LINE_START: Final = b'{"v":'


@dataclass(frozen=True, slots=True)
class Link:
    """One good record of the chain."""

    header: Header
    line: bytes
    offset: int
    """Where its line begins in the file."""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where the chain ends before the bytes do."""

    seq: int
    """Of the first bad record: the number that should stand there."""
    offset: int
    reason: str
    """A sentence about the record: "its bytes do not match its hash"."""
    torn: bool
    """Whether a loss of power explains it: nothing after it was ever known to be on disk."""
    size_bytes: int
    """From there to the end of the file."""

    def __str__(self) -> str:
        """Return the damage as a sentence with record and byte."""
        return f"record {self.seq}, at byte {self.offset}: {self.reason}"


class Walk:
    """Iterates over the good records of a log; afterwards its fields say how the log ends.

    Only the bytes there at the beginning are read, so that a log can be walked while it is
    written. A walk can be made once.
    """

    def __init__(self, stream: BinaryIO, *, run: RunId | None = None) -> None:
        self.run = run
        """The run the records must belong to; taken from the first one if not given."""
        self.records = 0
        self.head_sha = ""
        """Hash of the last good record."""
        self.end = 0
        """Byte after the last good record."""
        self.open_ended = False
        """Whether the last good record lacks only its newline."""
        self.damage: Damage | None = None
        self._stream = stream
        self._size = stream.seek(0, 2)
        self._mono: dict[str, int] = {}

    @property
    def head_seq(self) -> int:
        """Number of the last good record, -1 if there is none."""
        return self.records - 1

    def __iter__(self) -> Iterator[Link]:
        """Yield the good records from the first on, up to the end or the first bad one."""
        self._stream.seek(0)
        while line := self._next_line():
            header = None
            try:
                header = read_header(line)
                self._join(header)
            except LogDamaged as error:
                self._judge(error.message, whole=header is not None or is_sealed(line))
                return
            link = Link(header, line, self.end)
            self.records += 1
            self.head_sha = header.sha
            self.end += len(line)
            self.open_ended = not line.endswith(b"\n")
            yield link

    def _next_line(self) -> bytes:
        left = self._size - self.end
        return self._stream.readline(min(MAX_LINE_BYTES + 1, left)) if left else b""

    def _join(self, header: Header) -> None:
        """Raise `LogDamaged` unless the record continues the chain."""
        if self.run is None:
            self.run = header.run
        if header.run != self.run:
            raise LogDamaged(f"it belongs to another run, {visible_line(header.run[:80])}")
        if header.seq != self.records:
            raise LogDamaged(f"record {header.seq} stands in its place")
        if header.prev != (self.head_sha or seed(self.run)):
            raise LogDamaged("it does not continue the record before it")
        if header.dur >= header.seq:
            raise LogDamaged("it calls itself durable before it was written")
        if header.mono < self._mono.get(header.life, header.mono):
            raise LogDamaged("its monotonic clock goes back")
        self._mono[header.life] = header.mono

    def _judge(self, reason: str, *, whole: bool) -> None:
        # A record that is whole but does not fit was put there: losing power makes no whole lines.
        seq = self.records
        torn = not whole and self._may_be_ours() and all(claim < seq for claim in self._claims())
        self.damage = Damage(
            seq=seq,
            offset=self.end,
            reason=reason,
            torn=torn,
            size_bytes=self._size - self.end,
        )

    def _may_be_ours(self) -> bool:
        """Return whether a file without one good record can be a log whose power was lost."""
        self._stream.seek(0)
        first = self._stream.read(len(_LINE_START)) if not self.records else b""
        return not first.strip(b"\0") or _LINE_START.startswith(first.rstrip(b"\0"))

    def _claims(self) -> Iterator[int]:
        """Yield what later whole records of the run say was on disk."""
        self._stream.seek(self.end)
        left = self._size - self.end
        while left > 0:
            piece = self._stream.readline(min(MAX_LINE_BYTES + 1, left))
            if not piece:
                return
            left -= len(piece)
            # The second try finds a record glued to a line that lost its newline.
            for start in {0, max(piece.rfind(_LINE_START), 0)}:
                try:
                    header = read_header(piece[start:])
                except LogDamaged:
                    continue
                if self.run in {None, header.run}:
                    yield header.dur
