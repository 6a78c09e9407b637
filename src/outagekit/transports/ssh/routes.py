"""Which way leads to an endpoint's SSH server, worked out once and kept."""

from __future__ import annotations

from outagekit.transports.probe import ssh_port
from outagekit.transports.protocol import Target
from outagekit.transports.ssh.route import Route, Server


class Routes:
    """Works out routes; the same target always has the same one."""

    def route(self, target: Target) -> Route:
        """Return the way to an endpoint."""
        endpoint = target.endpoint
        return Route(
            Server(
                address=endpoint.address,
                port=ssh_port(endpoint),
                known_as=endpoint.address,
                credential=target.credential,
            )
        )
