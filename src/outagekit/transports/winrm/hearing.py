"""What a command writes on a stream, from bytes to text that may be seen: no input or output.

Each piece goes the same way: what belongs to the frame is taken out, bytes become text, errors in
PowerShell's XML become plain lines, secrets are hidden, and what is to be kept is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from outagekit.redaction import Redactor
from outagekit.transports.capture import Capture
from outagekit.transports.protocol import Captured
from outagekit.transports.windows.trailer import Trailer, Unframer
from outagekit.transports.winrm.decoding import TextDecoder


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
        self.trailer: Trailer | None = None
        """The last line of a framed command, once the stream was finished."""

    def take(self, data: bytes) -> None:
        """Take the next piece of what the endpoint sent."""
        if self._unframer is not None:
            data = self._unframer.feed(data)
        self._size_bytes += len(data)
        self._pass(self._decoder.feed(data))

    def remark(self, line: str) -> None:
        """Put a line of our own into the stream, where it stands now."""
        self._pass(f"\n{line}\n")

    def finish(self) -> None:
        """Take the end of the stream."""
        rest = b""
        if self._unframer is not None:
            rest, self.trailer = self._unframer.finish()
        self._size_bytes += len(rest)
        self._pass(self._decoder.feed(rest) + self._decoder.finish())
        if self._plain is not None:
            self._keep(self._plain.finish())
        text = self._capture.finish()
        if text:
            self._show(text)

    def captured(self) -> Captured:
        """Return what was kept, with the size in bytes that the endpoint sent."""
        return replace(self._capture.captured(), size_bytes=self._size_bytes)

    def _pass(self, text: str) -> None:
        self._keep(self._plain.feed(text) if self._plain is not None else text)

    def _keep(self, text: str) -> None:
        ready = self._capture.feed(text.encode("utf-8", "backslashreplace")) if text else ""
        if ready:
            self._show(ready)
