"""`trust add`, `list` and `replace`: which host keys are believed, per client."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.offering import filed, key_rows, offer_keys, shown_keys
from outagekit.cli.options import Shown, Stored, Where

if TYPE_CHECKING:
    from outagekit.cli.prepare import Desk
    from outagekit.inventory.model import Endpoint
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
    *,
    where: Where,
    stored: Stored,
    shown: Shown,
    selector: _Selector = None,
    yes: _Yes = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="KNOWN_HOSTS", help="Take the keys from this file, ask no endpoint."
        ),
    ] = None,
) -> None:
    """Show the host keys of endpoints that have none yet, ask once, and believe them from now."""
    desk, store, endpoints = _open(where, stored, shown, selector)
    added = offer_keys(desk.screen, store, endpoints, yes=yes, source=source)
    if shown.json:
        desk.screen.document(added)


@app.command("list")
@command
def list_(stored: Stored, shown: Shown) -> None:
    """List every host key that is believed."""
    from outagekit.cli.places import find_places
    from outagekit.transports.trust import TrustStore

    places = find_places(stored.state_dir)
    store = TrustStore(places.trust)
    rows = [
        (client, ", ".join(entry.names), entry.key.type, entry.key.fingerprint)
        for client in store.clients()
        for entry in store.entries(client)
    ]
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
    keys = shown_keys(desk.screen, store, endpoints)
    desk.screen.warn(
        "A changed key is how an impostor looks. Ask somebody who knows why it changed."
    )
    if not yes:
        number = str(len(keys))
        question = f"Replace what is believed of {number}? Type {number}:"
        desk.screen.ask(question, expected=number, flag="--yes")
    for endpoint, key in keys:
        store.replace(*filed(endpoint), key)
        store.forget_machine(endpoint.client, endpoint.name)
        desk.screen.say(f"replaced {endpoint.id} {key.fingerprint}")
    if shown.json:
        desk.screen.document(key_rows(keys))


def _open(
    where: Where, stored: Stored, shown: Shown, selector: str | None
) -> tuple[Desk, TrustStore, tuple[Endpoint, ...]]:
    from dataclasses import replace as with_

    from outagekit.cli.prepare import choose_endpoints, open_desk, trust_store

    desk = open_desk(shown.screen(), where, stored.state_dir)
    where = with_(where, limit=selector or where.limit)
    return desk, trust_store(desk), choose_endpoints(desk, where)
