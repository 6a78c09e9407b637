"""The input of a command in pieces that fit into messages. Pure.

Content that is moved is encoded on the way, so that it stands in memory only once.
"""

from __future__ import annotations

import base64
from typing import Final

MOST_BYTES: Final = 96 * 1024
"""Of one message: base64 makes a third more of it, and old systems take 150 KiB in all."""
_FEWEST_BYTES: Final = 2 * 1024
_LINE_BYTES: Final = 48 * 1024
"""How much content makes one line of base64."""


class Feed:
    """Input that is handed over piece by piece: text as it is, then lines of base64 of content."""

    def __init__(self, text: bytes, content: bytes = b"") -> None:
        self._ready = text
        self._content = memoryview(content)
        self._most_bytes = MOST_BYTES

    @property
    def is_over(self) -> bool:
        """Whether everything was taken."""
        return not self._ready and not self._content

    def take(self) -> bytes:
        """Return the next piece; empty if there is none."""
        while len(self._ready) < self._most_bytes and self._content:
            line, self._content = self._content[:_LINE_BYTES], self._content[_LINE_BYTES:]
            self._ready += base64.b64encode(line) + b"\n"
        piece, self._ready = self._ready[: self._most_bytes], self._ready[self._most_bytes :]
        return piece

    def refused(self, piece: bytes) -> bool:
        """Take back a piece that was too large; return whether smaller ones can be made of it."""
        self._ready = piece + self._ready
        smaller = len(piece) // 2
        if smaller < _FEWEST_BYTES:
            return False
        self._most_bytes = smaller
        return True
