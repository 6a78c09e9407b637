"""An endpoint that is watched by its port, and where it is seen."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field

from outagekit.events import EndpointId
from outagekit.transports.probing.probe import probe_tcp, ssh_port
from outagekit.transports.protocol import Target
from outagekit.transports.sockets import Place, is_literal, look_up
from outagekit.transports.winrm.place import place_of

Site = tuple[str, str | None]
"""Client and name of a site; None: no site is named."""


@dataclass(slots=True, eq=False)
class Watched:
    """An endpoint that is watched; at any time it is due, ready or being probed."""

    target: Target
    place: tuple[str, int] | None
    """Address and port to connect to from here; None: only a knock tells."""
    since_s: float
    due_s: float | None
    """None while it is ready or being probed."""
    places: list[Place] = field(default_factory=list)
    known_until_s: float = 0.0
    turn: int = 0
    """Which of the places is tried next."""
    left: int = 0
    """How many of them this probe may still try."""
    began_s: float = 0.0
    connecting_since_s: float = 0.0

    @classmethod
    def of(cls, target: Target, place: tuple[str, int] | None, from_s: float) -> Watched:
        """Return an endpoint to be probed from then on; an address is its own place."""
        made = cls(target, place, since_s=from_s, due_s=from_s)
        if place is not None and is_literal(place[0]):
            with contextlib.suppress(OSError):
                made.places = look_up(*place, socket.AI_NUMERICHOST)
                made.known_until_s = float("inf")
        return made

    @property
    def endpoint(self) -> EndpointId:
        """Whom it is about."""
        return self.target.endpoint.id

    @property
    def site(self) -> Site:
        """Where it stands."""
        return self.target.endpoint.client, self.target.endpoint.site


class Straight:
    """Every endpoint is connected to at its own address."""

    def place(self, target: Target) -> tuple[str, int]:
        """Return the address and port the inventory says."""
        endpoint = target.endpoint
        if endpoint.os == "windows":
            place = place_of(endpoint)
            return place.address, place.port
        return endpoint.address, ssh_port(endpoint)

    def knock(self, target: Target, timeout_s: float) -> bool:
        """Return whether its port takes a connection."""
        return probe_tcp(*self.place(target), timeout_s)

    def close(self) -> None:
        """Do nothing: nothing is shared."""
