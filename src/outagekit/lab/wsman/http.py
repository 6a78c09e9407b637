"""HTTP/1.1 as far as WS-Man needs it: requests off a socket within limits, answers onto it.

Knows nothing of SOAP or of logins.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

_MOST_HEAD_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 65536
_HEAD_END: Final = b"\r\n\r\n"
_REQUEST_WORDS: Final = 3
_NUMBER: Final = re.compile(r"[0-9]{1,12}")
_MOST_SKIPPED_BYTES: Final = 64 * 1024 * 1024


class HttpError(Exception):
    """A request that is answered with a status, after which the connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read to its end. Names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def stays(self) -> bool:
        """Whether the client wants to keep the connection."""
        return self.headers.get("connection", "").lower() != "close"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer. `closes` ends the connection after it."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False

    def packed(self) -> bytes:
        """Return it as it is sent."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}", "Server: outagekit-lab"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += (f"{name}: {value}" for name, value in self.headers)
        lines.append(f"Content-Length: {len(self.body)}")
        if self.closes:
            lines.append("Connection: close")
        return "\r\n".join((*lines, "", "")).encode("latin-1") + self.body


@dataclass(slots=True)
class RequestReader:
    """Reads one request after the other from a connection."""

    connection: socket.socket
    most_body_bytes: int
    _buffer: bytearray = field(default_factory=bytearray)

    def requests(self) -> Iterator[Request]:
        """Yield requests until the client ends the connection, also in the middle of one.

        Raises `HttpError` for what is no request or too long, and `OSError`.
        """
        while (head := self._head()) is not None:
            method, path, headers = _parse_head(head)
            size_bytes = _length(headers)
            if size_bytes > self.most_body_bytes:
                self._skip(size_bytes)
                raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            body = self._body(size_bytes)
            if body is None:
                return
            yield Request(method, path, headers, body)

    def _head(self) -> bytes | None:
        while (end := self._buffer.find(_HEAD_END)) < 0:
            if len(self._buffer) > _MOST_HEAD_BYTES:
                raise HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            if not self._fill():
                return None
        head = bytes(self._buffer[:end])
        del self._buffer[: end + len(_HEAD_END)]
        return head

    def _body(self, size_bytes: int) -> bytes | None:
        while len(self._buffer) < size_bytes:
            if not self._fill():
                return None
        body = bytes(self._buffer[:size_bytes])
        del self._buffer[:size_bytes]
        return body

    def _skip(self, size_bytes: int) -> None:
        """Read a body for nothing: a client that still sends does not see the answer."""
        left = min(size_bytes, _MOST_SKIPPED_BYTES) - len(self._buffer)
        self._buffer.clear()
        while left > 0 and (piece := self.connection.recv(_PIECE_BYTES)):
            left -= len(piece)

    def _fill(self) -> bool:
        piece = self.connection.recv(_PIECE_BYTES)
        self._buffer += piece
        return bool(piece)


def _parse_head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != _REQUEST_WORDS or not words[2].startswith("HTTP/1."):
        raise HttpError(HTTPStatus.BAD_REQUEST)
    return words[0], words[1], _parse_headers(lines)


def _parse_headers(lines: Iterable[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise HttpError(HTTPStatus.BAD_REQUEST)
        headers[name.lower()] = value.strip()
    return headers


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise HttpError(HTTPStatus.LENGTH_REQUIRED)
    text = headers.get("content-length", "0")
    if not _NUMBER.fullmatch(text):
        raise HttpError(HTTPStatus.BAD_REQUEST)
    return int(text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
