"""How a desk's endpoints are reached: whom it believes, on which ways, with which secrets."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.cli.places import Places
    from outagekit.cli.prepare import Desk
    from outagekit.credentials import SecretRef, Vault
    from outagekit.events import EndpointId
    from outagekit.inventory.model import Endpoint
    from outagekit.transports.open import Access
    from outagekit.transports.protocol import Target
    from outagekit.transports.ssh.ways.routes import Routes
    from outagekit.transports.trust.store import TrustStore


def make_access(desk: Desk, vault: Vault) -> Access:
    """Return how this desk's endpoints are reached; asks nobody by itself."""
    from outagekit.transports.open import Access

    def resolve(reference: SecretRef, endpoint: Endpoint, label: str) -> str:
        return vault.resolve(reference, client=endpoint.client, endpoint=endpoint.id, label=label)

    return Access(trust=trust_store(desk), resolve_secret=resolve, routes=routes_of(desk))


def routes_of(desk: Desk) -> Routes:
    """Return the ways to a desk's endpoints, as inventory and SSH config describe them.

    Raises `InvalidInput` for a config `ssh` would refuse.
    """
    from outagekit.transports.ssh.config.config import load_config
    from outagekit.transports.ssh.ways.routes import Routes

    named = desk.ssh_config
    if named == "none":
        return Routes()
    return Routes(load_config(Path(named).expanduser() if named else None))


def work_out_routes(desk: Desk, access: Access, endpoints: Sequence[Endpoint]) -> None:
    """Find the way to each endpoint now, and say once which words of the config are not used."""
    from outagekit.text import fold_list

    for target in targets_of(desk, endpoints):
        access.routes.route(target)
    told = [str(notice) for notice in access.routes.notices]
    if told:
        desk.screen.warn(f"the SSH config says what is not used here: {fold_list(told, 8)}")


def ways_of(desk: Desk, access: Access, endpoints: Sequence[Endpoint]) -> dict[EndpointId, str]:
    """Return how each endpoint is reached, in words."""
    return {
        target.endpoint.id: access.routes.route(target).words
        for target in targets_of(desk, endpoints)
    }


def followed(desk: Desk) -> str:
    """Return which SSH config a desk follows: a whole path, `none`, or empty for the usual."""
    named = desk.ssh_config
    if named is None or named == "none":
        return named or ""
    return str(Path(named).expanduser().absolute())


def targets_of(desk: Desk, endpoints: Sequence[Endpoint]) -> list[Target]:
    """Return endpoints with what the inventory says of how they are reached."""
    from outagekit.transports.protocol import Target

    targets = []
    for endpoint in endpoints:
        client = desk.inventory.clients[endpoint.client]
        site = client.sites.get(endpoint.site or "")
        jump = site.jump_credential if site else None
        targets.append(
            Target(
                endpoint=endpoint,
                credential=client.credentials.get(endpoint.credential or ""),
                site=site,
                jump_credential=client.credentials.get(jump or ""),
                winrm=client.winrm,
            )
        )
    return targets


def trust_store(desk: Desk) -> TrustStore:
    """Return the trust of this desk; endpoints without a client may use the person's own."""
    return trust_in(desk.places)


def trust_in(places: Places) -> TrustStore:
    """Return the trust of a workspace or of this user; what is done to it is recorded there."""
    from outagekit.cli.trust.acts import TrustLog
    from outagekit.transports.trust.store import TrustStore

    own: tuple[Path, ...] = ()
    with suppress(RuntimeError):  # this user has no home folder
        own = (Path.home() / ".ssh" / "known_hosts",)
    log = TrustLog(places.trust)
    return TrustStore(places.trust, extra={"adhoc": own}, record=log.record)


def offer_adhoc_keys(desk: Desk, access: Access, endpoints: Sequence[Endpoint]) -> None:
    """At a terminal, show unknown host keys and certificates of those named by --host."""
    from outagekit.cli.trust.offering import offer_keys

    named = [endpoint for endpoint in endpoints if endpoint.client == "adhoc"]
    if named and desk.screen.interactive:
        # That some of them do not answer is for the run to say.
        offer_keys(desk.screen, access, targets_of(desk, named), yes=False, quiet=True)
