"""Which transport reaches an endpoint. Loads a library only when an endpoint needs it."""

from __future__ import annotations

from outagekit.errors import NotYet
from outagekit.transports.access import Access
from outagekit.transports.protocol import Target, Transport

__all__ = ["Access", "transport_for"]


def transport_for(target: Target, access: Access) -> Transport:
    """Return a transport for the endpoint, not yet opened.

    Raises `NotYet` for an endpoint this version cannot reach as asked: rather no connection than
    one with less than the inventory says.
    """
    endpoint, site = target.endpoint, target.site
    if endpoint.os == "windows":
        raise NotYet(f"{endpoint.id}: Windows endpoints cannot be reached yet")
    if endpoint.become is not None:
        raise NotYet(f"{endpoint.id}: become: {endpoint.become} cannot be executed yet")
    if site is not None and site.jump is not None:
        raise NotYet(f"{endpoint.id}: the jump host of site {site.name} cannot be used yet")
    from outagekit.transports.ssh.transport import SshTransport  # noqa: PLC0415  (loads paramiko)

    return SshTransport(target, access)
