"""What a command writes on a stream, from bytes to text that may be seen: no input or output.

Each piece goes the same way: what belongs to the frame is taken out, bytes become text, errors in
PowerShell's XML become plain lines, secrets are hidden, and what is to be kept is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal, Protocol

from outagekit.redaction import Redactor
from outagekit.transports.capture import Capture
from outagekit.transports.protocol import Captured
from outagekit.transports.windows.trailer import Trailer, Unframer
from outagekit.transports.winrm.decoding import TextDecoder

_Gap = Literal["none", "here", "in a line", "before a line"]
"""Where the last gap is: what follows it may be the rest of a line until that ends."""


class TextFilter(Protocol):
    """Makes other text of a text that arrives in pieces."""

    def feed(self, text: str, /) -> str:
        """Return what is certain after `text` arrived."""
        ...

    def finish(self) -> str:
        """Return what was held back."""
        ...


class Hearing:
    """One stream of a command."""

    def __init__(
        self,
        redactor: Redactor,
        keep_bytes: int,
        *,
        show: Callable[[str], None],
        unframer: Unframer | None = None,
        plain: TextFilter | None = None,
    ) -> None:
        """`show` is called with redacted text as it becomes certain."""
        self._capture = Capture(redactor, keep_bytes)
        self._decoder = TextDecoder()
        self._show = show
        self._unframer = unframer
        self._plain = plain
        self._size_bytes = 0
        self._gap: _Gap = "none"
        self._held_bytes = 0
        """How much of what is heard next has arrived before the gap."""
        self.trailer: Trailer | None = None
        """The last line of a framed command, once the stream was finished."""

    def take(self, data: bytes) -> None:
        """Take the next piece of what the endpoint sent."""
        if self._unframer is not None:
            data = self._unframer.feed(data)
        self._heard(data)
        self._pass(self._decoder.feed(data))

    @property
    def is_missing(self) -> bool:
        """Whether the last line is not known: something may be missing after it, or of it."""
        return self._gap != "none"

    def miss(self, line: str) -> None:
        """Note that something may be missing here, by a line of our own; once for one place."""
        if self._gap != "here":
            self._pass(f"\n{line}\n")
        self._gap = "here"
        self._held_bytes = self._unframer.held_bytes if self._unframer is not None else 0

    def finish(self) -> None:
        """Take the end of the stream."""
        rest = b""
        if self._unframer is not None:
            rest, self.trailer = self._unframer.finish()
        self._heard(rest)
        self._pass(self._decoder.feed(rest) + self._decoder.finish())
        if self._plain is not None:
            self._keep(self._plain.finish())
        text = self._capture.finish()
        if text:
            self._show(text)

    def captured(self) -> Captured:
        """Return what was kept, with the size in bytes that the endpoint sent."""
        return replace(self._capture.captured(), size_bytes=self._size_bytes)

    def _heard(self, data: bytes) -> None:
        self._size_bytes += len(data)
        before = min(self._held_bytes, len(data))
        self._held_bytes -= before
        data = data[before:]
        if data and self._gap == "here":
            self._gap = "in a line"
        if self._gap == "in a line" and b"\n" in data:
            self._gap, data = "before a line", data.partition(b"\n")[2]
        if self._gap == "before a line" and data.strip():
            self._gap = "none"

    def _pass(self, text: str) -> None:
        self._keep(self._plain.feed(text) if self._plain is not None else text)

    def _keep(self, text: str) -> None:
        ready = self._capture.feed(text.encode("utf-8", "backslashreplace")) if text else ""
        if ready:
            self._show(ready)
