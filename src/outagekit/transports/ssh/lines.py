"""Byte streams to SSH servers: straight over TCP."""

from __future__ import annotations

import socket
import threading

from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial
from outagekit.transports.ssh.route import Route


class Lines:
    """Connects along routes; one for all connections of a process."""

    def connect(
        self, route: Route, *, deadlines: Deadlines, stop: threading.Event | None = None
    ) -> socket.socket | Failure:
        """Return a connected stream to the end of a route, or why there is none."""
        return dial(route.end.address, route.end.port, deadlines=deadlines, stop=stop)
