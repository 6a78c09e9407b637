"""What a transport needs from this machine to reach an endpoint: trust, secrets, ways, patience."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from outagekit.credentials import SecretRef
from outagekit.inventory.model import Endpoint
from outagekit.transports.logins import Logins
from outagekit.transports.protocol import Deadlines
from outagekit.transports.ssh.routes import Routes
from outagekit.transports.trust import TrustStore


@dataclass(frozen=True, slots=True)
class Access:
    """Shared by all connections of a process."""

    trust: TrustStore
    resolve_secret: Callable[[SecretRef, Endpoint, str], str]
    """Called with reference, endpoint and the secret's label (`admin password`, as
    `Credential.secrets` names it). Returns it or raises `OutagekitError`; may take its time."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    logins: Logins = field(default_factory=Logins)
    """What came of the passwords used so far: one for all connections of a run."""
    routes: Routes = field(default_factory=Routes)
    """Which way leads to an endpoint."""
