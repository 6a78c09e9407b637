"""A real socket in front of what is none: two threads carry the bytes between both.

So whoever has the socket can wait for it, cut it and close it as any other, while the far side
may block: only a thread of ours waits for it then.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from typing import Final, Protocol

_PIECE_BYTES: Final = 64 * 1024


class Far(Protocol):
    """A stream that is no socket; any call may raise when it has ended."""

    def recv(self, size: int, /) -> bytes:
        """Return what has come, waiting for it; nothing at the end."""
        ...

    def sendall(self, data: bytes, /) -> None:
        """Take all of it."""
        ...

    def close(self) -> None:
        """End it; who waits in `recv` is freed."""
        ...


def bridged(far: Far) -> socket.socket:
    """Return a connected socket that speaks with `far`, which is closed with it.

    When `far` ends, the socket's reader sees the end. Raises `OSError` if this machine has no
    socket or thread left; `far` is closed then.
    """
    try:
        near, inner = socket.socketpair()
    except OSError:
        far.close()
        raise
    for sock in (near, inner):
        with contextlib.suppress(OSError):  # where pairs are made of TCP
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    inward = threading.Thread(
        target=_carry_in, args=(far, inner), daemon=True, name="outagekit-bridge-in"
    )
    outward = threading.Thread(
        target=_carry_out, args=(far, inner, inward), daemon=True, name="outagekit-bridge-out"
    )
    try:
        inward.start()
        outward.start()
    except RuntimeError as fault:
        far.close()
        near.close()
        inner.close()
        raise OSError(errno.EAGAIN, "no thread can be started") from fault
    return near


def _carry_in(far: Far, inner: socket.socket) -> None:
    # Whatever ends one side, in its own words, ends the other.
    with contextlib.suppress(Exception):
        while data := far.recv(_PIECE_BYTES):
            inner.sendall(data)
    with contextlib.suppress(OSError):
        inner.shutdown(socket.SHUT_WR)


def _carry_out(far: Far, inner: socket.socket, inward: threading.Thread) -> None:
    with contextlib.suppress(Exception):
        while data := inner.recv(_PIECE_BYTES):
            far.sendall(data)
    # Both protocols end by closing, never by closing one half and listening on.
    with contextlib.suppress(Exception):
        far.close()
    with contextlib.suppress(OSError):
        inner.shutdown(socket.SHUT_RDWR)
    inward.join()
    inner.close()
