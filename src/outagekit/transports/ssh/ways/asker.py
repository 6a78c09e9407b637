"""What goes along a route: on whose behalf, and the line that comes of it. Connects nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from outagekit.credentials import SecretRef
from outagekit.inventory.model import Endpoint
from outagekit.redaction import Redactor, Secret
from outagekit.transports.logins import Logins
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.ssh.ways.route import Server
from outagekit.transports.trust.store import TrustStore


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants to go along a route, and what opens the doors on it."""

    endpoint: Endpoint
    """Whose way it is; trust and passwords are those of its client."""
    trust: TrustStore
    resolve_secret: Callable[[SecretRef, Endpoint, str], str]
    logins: Logins
    deadlines: Deadlines
    stop: threading.Event = field(default_factory=threading.Event)
    """Set when nobody wants to go there any more."""

    @property
    def client(self) -> str:
        """The client whose endpoint this is."""
        return self.endpoint.client

    def deadlines_for(self, server: Server) -> Deadlines:
        """Return the deadlines on the way to a server, its own time to connect among them."""
        if server.connect_s is None:
            return self.deadlines
        return replace(self.deadlines, connect_s=server.connect_s)


def _unchanged(failure: Failure) -> Failure:
    return failure


@dataclass(frozen=True, slots=True)
class Line:
    """A connected stream to the end of a route. The socket is the taker's to close."""

    stream: socket.socket
    secrets: tuple[Secret, ...] = ()
    """What the servers on the way were told; nothing that is said of this line may show it."""
    explained: Callable[[Failure], Failure] = _unchanged
    """Adds to a failure of this line what its way has said, once the stream is closed."""


def cleaned(failure: Failure, secrets: tuple[Secret, ...]) -> Failure:
    """Return a failure whose sentence shows none of the secrets."""
    return replace(failure, detail=Redactor(secrets).clean(failure.detail)) if secrets else failure
