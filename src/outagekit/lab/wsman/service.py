"""What the connections of one WS-Man service share: its program, shells, rules and counts."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from outagekit.lab.host import Connection
from outagekit.lab.wsman.accounts import Accounts
from outagekit.lab.wsman.injection import Injections, Kind
from outagekit.lab.wsman.program import Program
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.shells import Shell, Shells
from outagekit.lab.wsman.tls import Tls


class Keeper(Protocol):
    """What keeps the connections of a service; a `Host` is one."""

    @property
    def is_up(self) -> bool:
        """Whether requests are answered at all."""
        ...

    @property
    def life(self) -> int:
        """Which time it is that it is up: a connection belongs to one life."""
        ...

    def keep(self, connection: Connection) -> None:
        """Remember a connection, to reset it when the machine goes down."""
        ...


@dataclass(frozen=True, slots=True)
class Logged:
    """One message that was received and, unless an injection kept it away, executed."""

    kind: Kind
    shell: str
    command: str


class Service:
    """What all connections of one service share. Any thread may call.

    `log` holds every SOAP message in the order of its arrival; `requests` counts HTTP requests,
    those of logins included; `clear_bodies` the bodies that came over http without a seal,
    whatever was answered; `refused_logins` the wrong passwords and certificates.
    """

    def __init__(
        self,
        program: Program,
        keeper: Keeper,
        accounts: Accounts,
        *,
        tls: Tls | None = None,
        rules: Rules | None = None,
        injections: Injections | None = None,
    ) -> None:
        self.program = program
        self.keeper = keeper
        self.accounts = accounts
        self.tls = tls
        self.rules = rules or Rules()
        self.injections = injections or Injections()
        self.kept = Shells(program, self.rules)
        self.log: list[Logged] = []
        self.requests = 0
        self.clear_bodies = 0
        self.refused_logins = 0
        self._lock = threading.Lock()

    @property
    def shells(self) -> tuple[Shell, ...]:
        """Return the open shells."""
        return self.kept.open

    def count(self, kind: Kind) -> int:
        """Return how many messages of a kind were received."""
        return sum(logged.kind == kind for logged in tuple(self.log))

    @property
    def refuses_clear(self) -> bool:
        """Return whether bodies without a seal are refused: over http, as Windows does."""
        return self.tls is None and not self.rules.allows_clear

    def hear(self, *, clear: bool) -> None:
        """Count an HTTP request; `clear`: it has a body without a seal."""
        with self._lock:
            self.requests += 1
            self.clear_bodies += clear and self.tls is None

    def refuse(self) -> None:
        """Count a login that was refused."""
        with self._lock:
            self.refused_logins += 1

    def note(self, kind: Kind, shell: str, command: str) -> None:
        """Log a message."""
        with self._lock:
            self.log.append(Logged(kind, shell, command))
