"""Open shells and their commands: who owns them, how many there may be, when they are gone.

Shells belong to the machine and to a user, not to a connection. They end by Delete, when nobody
uses them for as long as they said, and with the boot of the machine they were opened in.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from outagekit.lab.wsman.faults import (
    BUSY,
    DENIED,
    TOO_MANY_OPERATIONS,
    TOO_MANY_SHELLS,
    UNKNOWN_SELECTOR,
    FaultError,
)
from outagekit.lab.wsman.program import Program
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.running import RunningCommand


@dataclass(slots=True)
class Shell:
    """One open shell; only `Shells` changes it."""

    id: str
    owner: str
    boot_id: str
    idle_timeout_s: float
    used_s: float
    """By the monotonic clock: when it was used last."""
    commands: dict[str, RunningCommand] = field(default_factory=dict)
    started: int = 0
    """How many commands it has started. Windows counts them until the shell is gone."""


class Shells:
    """All open shells of one machine. Any thread may call."""

    def __init__(
        self, program: Program, rules: Rules, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._program = program
        self._rules = rules
        self._clock = clock
        self._lock = threading.RLock()
        self._shells: dict[str, Shell] = {}

    @property
    def open(self) -> tuple[Shell, ...]:
        """Return the shells that are there now."""
        with self._lock:
            self._sweep()
            return tuple(self._shells.values())

    def create(self, owner: str, identity: str, idle_timeout_s: float) -> Shell:
        """Open a shell, under the client's own id if it names one. Raises `FaultError`."""
        with self._lock:
            self._sweep()
            if sum(shell.owner == owner for shell in self._shells.values()) >= (
                self._rules.shells_per_user
            ):
                raise FaultError(TOO_MANY_SHELLS)
            identity = identity or _new_id()
            if identity in self._shells:
                raise FaultError(BUSY)
            timeout_s = idle_timeout_s or self._rules.idle_timeout_s
            shell = Shell(identity, owner, self._program.boot_id, timeout_s, self._clock())
            self._shells[identity] = shell
            return shell

    def find(self, owner: str, identity: str) -> Shell:
        """Return a shell that is there, and of this owner. It counts as used."""
        with self._lock:
            self._sweep()
            shell = self._shells.get(identity)
            if shell is None:
                raise FaultError(UNKNOWN_SELECTOR)
            if shell.owner != owner:
                raise FaultError(DENIED)
            shell.used_s = self._clock()
            return shell

    def command(self, owner: str, shell_id: str, identity: str, line: str) -> RunningCommand:
        """Start a command, under the client's own id if it names one. Raises `FaultError`."""
        with self._lock:
            shell = self.find(owner, shell_id)
            used = sum(other.started for other in self._shells.values() if other.owner == owner)
            full = len(shell.commands) >= self._rules.commands_per_shell
            if full or used >= self._rules.operations_per_user:
                raise FaultError(TOO_MANY_OPERATIONS)
            identity = identity or _new_id()
            if identity in shell.commands:
                raise FaultError(BUSY)
            command = RunningCommand(identity, line, self._program)
            shell.commands[identity] = command
            shell.started += 1
        command.start()
        return command

    def running(self, owner: str, shell_id: str, identity: str) -> RunningCommand:
        """Return a command that was not terminated. Raises `FaultError`."""
        with self._lock:
            found = self.find(owner, shell_id).commands.get(identity)
            if found is None:
                raise FaultError(UNKNOWN_SELECTOR)
            return found

    def terminate(self, owner: str, shell_id: str, identity: str) -> None:
        """End a command and forget it. Raises `FaultError`."""
        with self._lock:
            command = self.running(owner, shell_id, identity)
            del self.find(owner, shell_id).commands[identity]
        command.stop("terminate")

    def delete(self, owner: str, identity: str) -> None:
        """End a shell with all its commands. Raises `FaultError`."""
        with self._lock:
            self._remove(self.find(owner, identity))

    def touch(self, identity: str) -> None:
        """Count a shell as used, if it is there."""
        with self._lock:
            shell = self._shells.get(identity)
            if shell is not None:
                shell.used_s = self._clock()

    def lose(self) -> None:
        """End all shells, as a restart of the service does."""
        with self._lock:
            for shell in tuple(self._shells.values()):
                self._remove(shell)

    def _sweep(self) -> None:
        boot_id, now_s = self._program.boot_id, self._clock()
        for shell in tuple(self._shells.values()):
            if shell.boot_id != boot_id or now_s - shell.used_s > shell.idle_timeout_s:
                self._remove(shell)

    def _remove(self, shell: Shell) -> None:
        del self._shells[shell.id]
        for command in shell.commands.values():
            command.stop("terminate")


def _new_id() -> str:
    return str(uuid.uuid4()).upper()
