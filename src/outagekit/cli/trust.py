"""`trust add`, `list` and `replace`: which host keys are believed, per client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, Stored, Where
from outagekit.errors import NothingMatched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.cli.prepare import Desk
    from outagekit.inventory.model import Endpoint
    from outagekit.transports.known_hosts import HostKey
    from outagekit.transports.trust import TrustStore

app = typer.Typer(
    no_args_is_help=True, help="Host keys and machine ids that are believed, client by client."
)

_Selector = Annotated[
    str | None, typer.Argument(metavar="SELECTOR", help="Which endpoints; or use --host.")
]
_Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="I have compared the fingerprints; do not ask.")
]


@app.command("add")
@command
def add(
    where: Where, stored: Stored, shown: Shown, selector: _Selector = None, yes: _Yes = False
) -> None:
    """Show the host keys of endpoints that have none yet, ask once, and believe them from now."""
    desk, store, endpoints = _open(where, stored, shown, selector)
    added = offer_keys(desk, store, endpoints, yes=yes)
    if shown.json:
        desk.screen.document(added)


@app.command("list")
@command
def list_(stored: Stored, shown: Shown) -> None:
    """List every host key and pinned machine that is believed."""
    from outagekit.cli.places import find_places
    from outagekit.transports.trust import TrustStore

    places = find_places(stored.state_dir)
    rows = TrustStore(places.trust).rows()
    if shown.json:
        names = ("client", "names", "type", "fingerprint")
        shown.screen().document([dict(zip(names, row, strict=True)) for row in rows])
        return
    shown.screen().table(("client", "names", "type", "fingerprint"), rows)


@app.command("replace")
@command
def replace(
    where: Where, stored: Stored, shown: Shown, selector: _Selector = None, yes: _Yes = False
) -> None:
    """Believe a new host key of endpoints that were set up anew; the old one and the pin go."""
    desk, store, endpoints = _open(where, stored, shown, selector)
    keys = _shown_keys(desk, store, endpoints)
    desk.screen.warn(
        "A changed key is how an impostor looks. Ask somebody who knows why it changed."
    )
    if not yes:
        number = str(len(keys))
        question = f"Replace what is believed of {number}? Type {number}:"
        desk.screen.ask(question, expected=number, flag="--yes")
    for endpoint, key in keys:
        store.replace(endpoint.client, endpoint.address, endpoint.port or 22, key)
        store.forget_machine(endpoint.client, endpoint.name)
        desk.screen.say(f"replaced {endpoint.id} {key.fingerprint}")


def offer_keys(
    desk: Desk, store: TrustStore, endpoints: Sequence[Endpoint], *, yes: bool
) -> list[dict[str, str]]:
    """Show the keys of endpoints without one, ask once, and store them; return what was added."""
    new = [
        endpoint
        for endpoint in endpoints
        if not store.known_keys(endpoint.client, endpoint.address, endpoint.port or 22)
    ]
    if not new:
        desk.screen.say("every one of these endpoints has a key that is believed")
        return []
    keys = _shown_keys(desk, store, new)
    if not yes:
        question = f"Believe these {len(keys)}? Type yes:"
        desk.screen.ask(question, expected="yes", flag="--yes")
    for endpoint, key in keys:
        store.add(endpoint.client, endpoint.address, endpoint.port or 22, key)
    desk.screen.say(f"{len(keys)} added in {store.folder}")
    return [{"endpoint": e.id, "type": k.type, "fingerprint": k.fingerprint} for e, k in keys]


def _open(
    where: Where, stored: Stored, shown: Shown, selector: str | None
) -> tuple[Desk, TrustStore, tuple[Endpoint, ...]]:
    from dataclasses import replace as with_

    from outagekit.cli.prepare import choose_endpoints, open_desk, trust_store

    desk = open_desk(shown.screen(), where, stored.state_dir)
    where = with_(where, limit=selector or where.limit)
    return desk, trust_store(desk), choose_endpoints(desk, where)


def _shown_keys(
    desk: Desk, store: TrustStore, endpoints: Sequence[Endpoint]
) -> list[tuple[Endpoint, HostKey]]:
    """Fetch and show the keys; raise `NothingMatched` if no endpoint shows one."""
    from outagekit.transports.protocol import Failure
    from outagekit.transports.scan import scan_keys

    found = scan_keys(endpoints)
    rows: list[tuple[str, str, str]] = []
    keys: list[tuple[Endpoint, HostKey]] = []
    for endpoint in endpoints:
        key = found[endpoint.id]
        if isinstance(key, Failure):
            rows.append((endpoint.id, key.kind.value, key.detail))
        else:
            known = store.known_keys(endpoint.client, endpoint.address, endpoint.port or 22)
            former = f" (believed so far: {known[0].fingerprint})" if known else ""
            rows.append((endpoint.id, key.type, key.fingerprint + former))
            keys.append((endpoint, key))
    desk.screen.people_table(("endpoint", "key", "fingerprint"), rows)
    if not keys:
        raise NothingMatched("no endpoint showed a host key")
    return keys
