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
    endpoint = target.endpoint
    if endpoint.os == "windows":
        raise NotYet(f"{endpoint.id}: Windows endpoints cannot be reached yet")
    from outagekit.transports.ssh.transport import SshTransport  # noqa: PLC0415  (loads paramiko)

    return SshTransport(target, access)
