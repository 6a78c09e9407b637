"""Ports on loopback that open and shut, and the one thread that listens on all of them.

A shut port refuses connections and still belongs to the lab: nobody else can get it. No address
but loopback is ever bound.
"""

from __future__ import annotations

import contextlib
import heapq
import ipaddress
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final

from outagekit.errors import Refused, UsageError

LOOPBACK: Final = "127.0.0.1"

_BACKLOG: Final = 128
_TICK_S: Final = 0.5
# Linger on, for no time: closing the socket sends a reset instead of an orderly end.
_ABORT: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
# What lets two sockets of one process be bound to the same port, one of them listening.
_SHARED: Final = socket.SO_REUSEADDR if sys.platform == "win32" else socket.SO_REUSEPORT

OnConnection = Callable[[socket.socket], None]
"""Gets a connection that was accepted, and owns it from then on; must not block."""


class Door:
    """One port of loopback, for as long as the lab lives; shut at first.

    After the listener has started, only the listener's thread may open and shut it.
    """

    def __init__(
        self, selector: selectors.BaseSelector, address: str, on_connection: OnConnection
    ) -> None:
        self._selector = selector
        self._address = address
        self._on_connection = on_connection
        self._socket = _bound(address, 0)
        self._listens = False
        self.port = int(self._socket.getsockname()[1])
        self.is_open = False

    def open(self) -> None:
        """Take connections from now on. Raises `OSError`; again is allowed."""
        if not self._listens:
            self._socket.listen(_BACKLOG)
            self._socket.settimeout(0)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
            self._listens = True
        self.is_open = True

    def shut(self) -> None:
        """Refuse connections from now on, those too that were not accepted yet. Never raises."""
        self.is_open = False
        if not self._listens:
            return
        try:
            # Bound to the same port before the other is closed: it belongs to us throughout.
            # To a socket that is bound, but does not listen, the system answers with a reset.
            held = _bound(self._address, self.port)
        except OSError:  # no file is left: connections are accepted, and reset
            return
        self._selector.unregister(self._socket)
        self._socket.close()
        self._socket, self._listens = held, False

    def accept(self) -> None:
        """Give a waiting connection to whom it is for; with the door shut, reset it."""
        connection, _ = self._socket.accept()
        if not self.is_open:
            abort(connection)
            return
        connection.settimeout(None)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._on_connection(connection)
        except Exception:  # noqa: BLE001  (one client's trouble must not end the lab)
            connection.close()

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


class Listener:
    """Accepts on all doors and does what is due, in one thread, until it is closed."""

    def __init__(self, address: str = LOOPBACK) -> None:
        """Refuse (`Refused`) any address that is not loopback."""
        if not ipaddress.ip_address(address).is_loopback:
            message = f"the lab listens on loopback only, not on {address}"
            raise Refused(message, hint="its logins and keys protect nothing")
        self.address = address
        self.closing = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._doors: list[Door] = []
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)  # noqa: FBT003  (the standard library's signature)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._listen, name="lab-listen", daemon=True)

    def start(self) -> None:
        """Begin to accept connections. Doors are added before."""
        self._thread.start()

    def door(self, on_connection: OnConnection = socket.socket.close) -> Door:
        """Return a port of its own, still shut. Raises `UsageError` if there is none to have."""
        try:
            door = Door(self._selector, self.address, on_connection)
        except OSError as error:
            message = f"a simulated endpoint cannot listen: {error.strerror or error}"
            hint = "fewer endpoints, or a higher limit of open files"
            raise UsageError(message, hint=hint) from error
        self._doors.append(door)
        return door

    def at(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have the listener's thread do something after a time; any thread may ask.

        The action must neither block nor raise. What is not due when the lab closes is not done.
        """
        with self._lock:
            heapq.heappush(self._agenda, (time.monotonic() + delay_s, next(self._order), action))
        self._rouse()

    def close(self) -> None:
        """Stop listening and free every port. Never raises; again is allowed."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._rouse()
        if self._thread.is_alive():
            self._thread.join()
        self._selector.close()
        for door in self._doors:
            door.close()
        self._wake.close()
        self._woken.close()

    def _rouse(self) -> None:
        # A wake-up that finds no room is not needed: another one waits to be read.
        with contextlib.suppress(OSError):
            self._wake.send(b"x")

    def _listen(self) -> None:
        while not self.closing.is_set():
            for entry, _ in self._selector.select(self._until_due_s()):
                if entry.data is None:
                    self._woken.recv(4096)
                    continue
                try:
                    entry.data.accept()
                except OSError:
                    # The client is gone again, or this process has no file left: the client waits
                    # or sees its own time-out. A rest keeps this thread from spinning meanwhile.
                    self.closing.wait(0.01)
            for action in self._due():
                action()

    def _until_due_s(self) -> float:
        with self._lock:
            due_s = self._agenda[0][0] - time.monotonic() if self._agenda else _TICK_S
        return min(_TICK_S, max(0.0, due_s))

    def _due(self) -> list[Callable[[], None]]:
        now_s = time.monotonic()
        due = []
        with self._lock:
            while self._agenda and self._agenda[0][0] <= now_s:
                due.append(heapq.heappop(self._agenda)[2])
        return due


def abort(connection: socket.socket) -> None:
    """Break a connection with a TCP reset, not with an orderly end."""
    with contextlib.suppress(OSError):
        linger_away(connection)
    connection.close()


def linger_away(connection: socket.socket) -> None:
    """Make the connection's later close a reset. Raises `OSError`."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, _SHARED, 1)
        bound.bind((address, port))
    except OSError:
        bound.close()
        raise
    return bound
