"""A simulated machine with power: its ports, its connections, and when all of them go away.

Going down shuts every port of the machine and resets every connection; what a connection of
before still had in hand is never executed afterwards.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final, Protocol

from outagekit.lab.listening import Door, Listener
from outagekit.lab.machine import Machine

_AGAIN_S: Final = 0.1


class GoneError(EOFError):
    """The machine went down since the connection was made."""


class Connection(Protocol):
    """A client's connection to a machine, of whatever protocol. Any thread may call."""

    @property
    def is_alive(self) -> bool:
        """Whether there is anything left to break."""
        ...

    def reset(self) -> None:
        """Break it with a TCP reset, not with an orderly end. Never raises."""
        ...

    def close(self) -> None:
        """End it at once. Never raises."""
        ...


class Host:
    """What all connections to one simulated machine share.

    `lock` is held around every touch of the machine. The listener's thread alone switches the
    power, so that no connection is accepted half way.
    """

    def __init__(self, machine: Machine, listener: Listener) -> None:
        self.machine = machine
        self.closing = listener.closing
        self.lock = threading.RLock()
        self.doors: list[Door] = []
        self.is_up = True
        self._listener = listener
        self._spells = machine.spells()
        self._boots = False
        self._connections: set[Connection] = set()

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

    @contextlib.contextmanager
    def turn_of_boot(self, boot_id: str) -> Iterator[Machine]:
        """Hold the machine for what outlives a connection, but no restart.

        Raises `GoneError` if the machine has restarted since that boot, or is about to: a line
        that merely is down ends no process.
        """
        with self.lock:
            restarts = not self.is_up and self._boots
            if restarts or self.machine.boot_id != boot_id:
                raise GoneError
            yield self.machine

    def begin(self) -> None:
        """Open the ports, and begin the machine's timetable. Raises `OSError`."""
        for door in self.doors:
            door.open()
        self._follow_timetable()

    def keep(self, connection: Connection) -> None:
        """Remember a connection, to reset it when the machine goes down.

        Called by the listener's thread.
        """
        self._connections = {known for known in self._connections if known.is_alive}
        self._connections.add(connection)

    def restart(self, after_s: float, down_s: float) -> None:
        """Go down after a time, and come up with another boot; any thread may ask."""
        self._listener.at(after_s, lambda: self._restart(down_s))

    def close(self) -> None:
        """End every connection. Never raises."""
        for connection in list(self._connections):
            connection.close()

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
        for connection in self._connections:
            connection.reset()
        self._connections.clear()
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
