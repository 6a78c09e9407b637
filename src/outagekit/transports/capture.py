"""What is kept of a stream: decoded, redacted, its beginning and its end, in bounded memory."""

from __future__ import annotations

from collections import deque

from outagekit.redaction import Redactor
from outagekit.text import StreamDecoder
from outagekit.transports.protocol import Captured


class Capture:
    """Takes a stream's bytes piece by piece; memory stays below twice `keep_bytes`."""

    def __init__(self, redactor: Redactor, keep_bytes: int) -> None:
        self._decoder = StreamDecoder()
        self._redacting = redactor.stream()
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._kept_bytes = 0
        """Of the redacted text, before anything was left out."""
        self._head_limit = keep_bytes // 2
        self._tail_limit = keep_bytes - self._head_limit
        self.size_bytes = 0

    def feed(self, data: bytes) -> str:
        """Take a piece; return the text that is ready to be seen."""
        self.size_bytes += len(data)
        return self._keep(self._redacting.feed(self._decoder.feed(data)))

    def finish(self) -> str:
        """Return the last text, after the stream has ended."""
        text = self._redacting.feed(self._decoder.finish()) + self._redacting.finish()
        return self._keep(text)

    def captured(self) -> Captured:
        """Return what was kept; a line tells how much is missing between beginning and end."""
        tail = b"".join(self._tail)
        missing = self._kept_bytes - len(self._head) - min(len(tail), self._tail_limit)
        if missing <= 0:
            text = (bytes(self._head) + tail).decode()
            return Captured(text, self.size_bytes)
        start = bytes(self._head).decode("utf-8", "ignore")
        end = tail[-self._tail_limit :].decode("utf-8", "ignore") if self._tail_limit else ""
        text = f"{start}\n[{missing} bytes left out]\n{end}"
        return Captured(text, self.size_bytes, truncated=True)

    def _keep(self, text: str) -> str:
        data = text.encode()
        self._kept_bytes += len(data)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._tail_bytes += len(data)
            while self._tail and self._tail_bytes - len(self._tail[0]) >= self._tail_limit:
                self._tail_bytes -= len(self._tail.popleft())
        return text
