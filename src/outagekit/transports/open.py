"""Which transport reaches an endpoint. Loads a library only when an endpoint needs it."""

from __future__ import annotations

from outagekit.transports.access import Access
from outagekit.transports.protocol import Target, Transport

__all__ = ["Access", "transport_for"]


def transport_for(target: Target, access: Access) -> Transport:
    """Return a transport for the endpoint, not yet opened.

    Raises `OutagekitError` for an endpoint to which no way leads as the inventory says it.
    """
    if target.endpoint.os == "windows":
        from outagekit.transports.winrm.transport import (  # noqa: PLC0415  (loads requests)
            WinrmTransport,
        )

        return WinrmTransport(target, access)
    from outagekit.transports.ssh.transport import SshTransport  # noqa: PLC0415  (loads paramiko)

    return SshTransport(target, access)
