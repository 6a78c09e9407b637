"""What a transport needs from this machine to reach an endpoint: trust, secrets, ways, patience."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from outagekit.credentials import SecretRef
from outagekit.events import FailureKind
from outagekit.inventory.model import Endpoint
from outagekit.transports.logins import Logins
from outagekit.transports.probing.probe import reached_port
from outagekit.transports.protocol import Deadlines, Failure, Target
from outagekit.transports.ssh.ways.asker import Asker
from outagekit.transports.ssh.ways.lines import Lines, connecting_s
from outagekit.transports.ssh.ways.route import Route
from outagekit.transports.ssh.ways.routes import Routes
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.winrm.ledger import Ledger

SHELLS: Final = "shells.jsonl"
"""In a run's folder: which Windows shells it made, and which of them are gone."""


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
    ledger: Ledger = field(default_factory=Ledger)
    """Where Windows shells and commands are put down before they are asked for."""

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

    def begin(self, folder: Path) -> None:
        """Keep in a run's folder what of ours stands on endpoints, from now on.

        Raises `InvalidInput` if that cannot be read or written.
        """
        self.ledger.keep(folder / SHELLS)

    def place(self, target: Target) -> tuple[str, int] | None:
        """Return where an endpoint's SSH or WinRM server is, if one connects straight to it."""
        route = self.routes.route(target)
        return (route.end.address, route.end.port) if route.is_direct else None

    def knock(self, target: Target, timeout_s: float) -> bool:
        """Return whether that server takes a connection the way it is reached."""
        route = self.routes.route(target)
        if _never(route) is not None:
            return False
        return self.lines.knock(route, self.asker(target.endpoint), timeout_s)

    def connecting_s(self, target: Target) -> float:
        """Return how long connecting may take, entering jump hosts included, by the deadlines."""
        return connecting_s(self.routes.route(target), self.deadlines)

    def winrm_socket(
        self, target: Target, stop: threading.Event, timeout_s: float
    ) -> socket.socket | Failure:
        """Return a socket to a Windows endpoint's WinRM the way it is reached; the caller's.

        Connecting may take `timeout_s`, and no longer than its deadline; looking up the name and
        entering a jump host, once for all, come on top, with deadlines of their own. Kinds: those
        of `dial`; of a jump host or a proxy at fault its own, with its name in the sentence.
        Nothing was sent to the endpoint.
        """
        route = self.routes.route(target)
        failure = _never(route)
        if failure is not None:
            return failure
        connect_s = min(self.deadlines.connect_s, timeout_s)
        bounded = replace(route, end=replace(route.end, connect_s=connect_s))
        line = self.lines.connect(bounded, self.asker(target.endpoint, stop))
        return line if isinstance(line, Failure) else line.stream

    def reach(
        self, target: Target, port: int, timeout_s: float, stop: threading.Event
    ) -> socket.socket | Failure:
        """Return a socket to another port of an endpoint the way it is reached; the caller's.

        `port` is the endpoint's own; where ports are forwarded, the forward's is used.
        """
        reached = reached_port(target.endpoint, port)
        asker = self.asker(target.endpoint, stop)
        return self.lines.reach(self.routes.route(target), reached, asker, timeout_s)

    def close(self) -> None:
        """End what connections share; returns within a second."""
        self.lines.close()


def _never(route: Route) -> Failure | None:
    """Return why a way is not gone along although it is known."""
    if route.scheme != "http" or route.proxy is None:
        return None
    detail = (
        f"{route.end.place} speaks http, which is not carried through {route.proxy}: whoever runs"
        " that could pass the login on to another machine; use https there, or name a jump host"
        " for its site"
    )
    return Failure(FailureKind.PROTOCOL, detail)
