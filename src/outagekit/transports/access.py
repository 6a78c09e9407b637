"""What a transport needs from this machine to reach an endpoint: trust, secrets, ways, patience."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from outagekit.credentials import SecretRef
from outagekit.inventory.model import Endpoint
from outagekit.transports.logins import Logins
from outagekit.transports.protocol import Deadlines, Target
from outagekit.transports.ssh.ways.asker import Asker
from outagekit.transports.ssh.ways.lines import Lines
from outagekit.transports.ssh.ways.routes import Routes
from outagekit.transports.trust.store import TrustStore


@dataclass(frozen=True, slots=True)
class Access:
    """Shared by all connections of a process; its `Ways`, too."""

    trust: TrustStore
    resolve_secret: Callable[[SecretRef, Endpoint, str], str]
    """Called with reference, endpoint and the secret's label (`admin password`, as
    `Credential.secrets` names it). Returns it or raises `OutagekitError`; may take its time."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    logins: Logins = field(default_factory=Logins)
    """What came of the passwords used so far: one for all connections of a run."""
    routes: Routes = field(default_factory=Routes)
    """Which way leads to an endpoint."""
    lines: Lines = field(default_factory=Lines)
    """The jump hosts on those ways, entered once for all."""

    def asker(self, endpoint: Endpoint, stop: threading.Event | None = None) -> Asker:
        """Return who goes along a route for an endpoint; given up when `stop` is set."""
        return Asker(
            endpoint=endpoint,
            trust=self.trust,
            resolve_secret=self.resolve_secret,
            logins=self.logins,
            deadlines=self.deadlines,
            stop=stop or threading.Event(),
        )

    def place(self, target: Target) -> tuple[str, int] | None:
        """Return where an endpoint's SSH server is, if one connects straight to it from here."""
        route = self.routes.route(target)
        return (route.end.address, route.end.port) if route.is_direct else None

    def knock(self, target: Target, timeout_s: float) -> bool:
        """Return whether an endpoint's SSH server takes a connection the way it is reached."""
        return self.lines.knock(self.routes.route(target), self.asker(target.endpoint), timeout_s)

    def close(self) -> None:
        """End what connections share; returns within a second."""
        self.lines.close()
