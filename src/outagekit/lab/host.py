"""A simulated machine with power: its ports, its connections, and when all of them go away.

Going down shuts every port of the machine and resets every connection; what a connection of
before still had in hand is never executed afterwards.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Final, cast

import paramiko

from outagekit.lab.listening import Door, Listener, linger_away
from outagekit.lab.machine import Machine

_AGAIN_S: Final = 0.1


class GoneError(EOFError):
    """The machine went down since the connection was made."""


class Host:
    """What all connections to one simulated machine share.

    `lock` is held around every touch of the machine. The listener's thread alone switches the
    power, so that no connection is accepted half way.
    """

    def __init__(
        self,
        machine: Machine,
        listener: Listener,
        *,
        key: paramiko.PKey,
        login_key: paramiko.PKey,
    ) -> None:
        self.machine = machine
        self.key = key
        self.login_key = login_key
        self.closing = listener.closing
        self.lock = threading.RLock()
        self.doors: list[Door] = []
        self.is_up = True
        self._listener = listener
        self._spells = machine.spells()
        self._boots = False
        self._transports: set[paramiko.Transport] = set()

    @property
    def life(self) -> int:
        """Which time it is that the machine is up: a connection belongs to one life."""
        return self.machine.downs

    @contextlib.contextmanager
    def turn(self, life: int) -> Iterator[Machine]:
        """Hold the machine for one touch. Raises `GoneError` if the connection's life is over."""
        with self.lock:
            if not self.is_up or life != self.life:
                raise GoneError
            yield self.machine

    def begin(self) -> None:
        """Open the ports, and begin the machine's timetable. Raises `OSError`."""
        for door in self.doors:
            door.open()
        self._follow_timetable()

    def keep(self, transport: paramiko.Transport) -> None:
        """Remember a connection, to reset it when the machine goes down."""
        self._transports = {known for known in self._transports if known.is_alive()}
        self._transports.add(transport)

    def restart(self, after_s: float, down_s: float) -> None:
        """Go down after a time, and come up with another boot; any thread may ask."""
        self._listener.at(after_s, lambda: self._restart(down_s))

    def close(self) -> None:
        """End every connection. Never raises."""
        for transport in list(self._transports):
            with contextlib.suppress(OSError):
                transport.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                transport.close()

    def _follow_timetable(self) -> None:
        spell = next(self._spells, None)
        if spell is None:
            return
        life, down_s = self.life, spell.down_s
        if spell.up_s <= 0:
            self._crash(life, down_s)
        else:
            self._listener.at(spell.up_s, lambda: self._crash(life, down_s))

    def _restart(self, down_s: float) -> None:
        with self.lock:
            self._boots = True
            if self.is_up:
                self._go_down(down_s)

    def _crash(self, life: int, down_s: float) -> None:
        with self.lock:
            if not self.machine.is_cured and life == self.life:
                self._boots = self.machine.fault == "bootloop"
                self._go_down(down_s)

    def _go_down(self, down_s: float) -> None:
        with self.lock:
            self.is_up = False
            self.machine.went_down()
        for door in self.doors:
            door.shut()
        for transport in self._transports:
            reset(transport)
        self._transports.clear()
        self._listener.at(down_s, self._come_up)

    def _come_up(self) -> None:
        try:
            for door in self.doors:
                door.open()
        except OSError:  # no file is left for now
            self._listener.at(_AGAIN_S, self._come_up)
            return
        with self.lock:
            self.is_up = True
            self.machine.came_up(boots=self._boots)
        self._follow_timetable()


def reset(transport: paramiko.Transport) -> None:
    """Break a connection with a TCP reset, not with an orderly end."""
    connection = cast("socket.socket", transport.sock)
    with contextlib.suppress(OSError):
        linger_away(connection)
        # The connection's own thread wakes up from reading and closes the socket.
        connection.shutdown(socket.SHUT_RD)
