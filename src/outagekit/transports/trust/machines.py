"""Is this the right machine: what it says of itself, against the machine id that is pinned."""

from __future__ import annotations

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.inventory.model import Endpoint
from outagekit.transports.identity import Identity
from outagekit.transports.protocol import Failure, Opened
from outagekit.transports.trust.store import TrustStore


def settle_machine(
    found: Identity, fingerprint: str, *, endpoint: Endpoint, trust: TrustStore, words: str
) -> Opened | Failure:
    """Return that the right machine was reached, pinning its id at first contact.

    `fingerprint` is that of its host key or certificate; `words` choose the endpoint on a command
    line. Kinds: `wrong_machine`, and `local_io` for a trust folder that cannot be used.
    """
    try:
        before = trust.machine_of(endpoint.client, endpoint.name)
        pinned = before
        if not before and found.machine_id:
            pinned = trust.pin_machine(endpoint.client, endpoint.name, found.machine_id)
    except OutagekitError as fault:
        return Failure(FailureKind.LOCAL_IO, fault.message)
    if pinned != found.machine_id:
        detail = (
            f"{endpoint.address} is not {endpoint.id}: it has machine id"
            f" {found.machine_id or '(none)'}, known is {pinned}; a VPN may lead elsewhere, or"
            f" the machine was rebuilt (then: outagekit trust replace {words})"
        )
        return Failure(FailureKind.WRONG_MACHINE, detail)
    first = not before and bool(found.machine_id)
    return Opened(found.machine_id, fingerprint, first, found.boot_id)
