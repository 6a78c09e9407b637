"""What stands behind the other ports of a simulated endpoint, for steps that wait for them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

_READ_S: Final = 5.0
_MOST_BYTES: Final = 65536


def accept_only(connection: socket.socket) -> None:
    """Answer a connection to a TCP port: it was accepted, that is all."""
    connection.close()


def http(status: Callable[[], int]) -> Callable[[socket.socket], None]:
    """Return what answers every HTTP request with the status of that moment."""

    def on_connection(connection: socket.socket) -> None:
        threading.Thread(
            target=_answer, args=(connection, status), name="lab-http", daemon=True
        ).start()

    return on_connection


def _answer(connection: socket.socket, status: Callable[[], int]) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_READ_S)
        request = b""
        while b"\r\n\r\n" not in request and len(request) < _MOST_BYTES:
            piece = connection.recv(_MOST_BYTES)
            if not piece:
                return
            request += piece
        number = status()
        reason = HTTPStatus(number).phrase if number in set(HTTPStatus) else "Other"
        head = f"HTTP/1.1 {number} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
