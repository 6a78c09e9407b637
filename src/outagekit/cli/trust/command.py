"""`trust add`, `list`, `replace`, `remove` and `log`: which keys are believed, per client.

Keys are the host keys of SSH servers and the TLS certificates of Windows endpoints.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, Stored, Where
from outagekit.errors import NothingMatched, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.cli.prepare import Desk
    from outagekit.cli.render import Screen
    from outagekit.cli.trust.shown_keys import Found
    from outagekit.credentials import Vault
    from outagekit.transports.open import Access
    from outagekit.transports.protocol import Target
    from outagekit.transports.trust.scan import Asked
    from outagekit.transports.trust.store import TrustStore

app = typer.Typer(
    no_args_is_help=True,
    help="Host keys, certificates and machine ids that are believed, client by client.",
)

_Selector = Annotated[
    str | None, typer.Argument(metavar="SELECTOR", help="Which endpoints; or use --host.")
]
_Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="I have compared the fingerprints; do not ask.")
]
_Because = Annotated[
    str | None, typer.Option("--because", metavar="TEXT", help="Why; it is kept in the log.")
]
_Jump = Annotated[
    bool, typer.Option("--jump", help="The jump hosts on the way to these endpoints instead.")
]
_Source = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Take the keys from this known_hosts file, ask no endpoint; or believe only"
        " certificates that stand in this PEM file.",
    ),
]
_Client = Annotated[
    list[str] | None,
    typer.Option("--client", "-c", help="Only this client. Repeatable."),
]
_FAILED, _UNREACHABLE = 3, 4
_WHY_NOT = "Why is this not to be believed?"


@app.command("add")
@command
def add(
    *,
    where: Where,
    stored: Stored,
    shown: Shown,
    selector: _Selector = None,
    yes: _Yes = False,
    source: _Source = None,
) -> None:
    """Show the host keys and certificates not believed yet, ask once, believe them from now.

    A certificate that an authority vouches for needs no belief of its own. Jump hosts on the way
    come first. Exits with 4 if some endpoints showed no key.
    """
    from outagekit.cli.trust.looking import asks_servers
    from outagekit.cli.trust.offering import offer_keys

    _require_somebody(shown.screen(), yes=yes)
    with _open(where, stored, shown, selector, asking=asks_servers(source)) as table:
        screen = table.desk.screen
        offered = offer_keys(screen, table.access, table.targets, yes=yes, source=source)
    if shown.json:
        screen.document(offered.document)
    if offered.failed and source and not (offered.added or offered.valid):
        raise NothingMatched(f"there is no key for any of these endpoints in {source}")
    _exit_for(offered.failed)


@app.command("list")
@command
def list_(stored: Stored, shown: Shown, client: _Client = None) -> None:
    """List every host key, certificate and machine id that is believed, and what is odd."""
    from outagekit.cli.places import find_places
    from outagekit.cli.trust.beliefs import show_trusted
    from outagekit.transports.trust.store import TrustStore

    show_trusted(shown.screen(), TrustStore(find_places(stored.state_dir).trust), client or ())


@app.command("log")
@command
def log(stored: Stored, shown: Shown, client: _Client = None) -> None:
    """Show what was done to the trust of each client: who, when, which keys and why.

    The log is checked as it is read; `outagekit log verify` on its folder proves it whole.
    """
    from outagekit.cli.places import find_places
    from outagekit.cli.trust.beliefs import show_acts

    show_acts(shown.screen(), find_places(stored.state_dir).trust, client or ())


@app.command("replace")
@command
def replace(
    *,
    where: Where,
    stored: Stored,
    shown: Shown,
    selector: _Selector = None,
    because: _Because = None,
    jump: _Jump = False,
    yes: _Yes = False,
    source: _Source = None,
) -> None:
    """Believe a new key or certificate of endpoints set up anew; the old one and the pin go.

    Needs a reason, which is recorded with both before anything is changed.
    """
    from outagekit.cli.trust.looking import asks_servers, looked_at

    because = _reason(shown.screen(), because, "Why did the key change?", yes=yes)
    with _open(where, stored, shown, selector, asking=asks_servers(source)) as table:
        asked = table.asked(jump=jump)
        found = looked_at(table.desk.screen, table.access, asked, source=source)
        _replace(table, found, because, yes=yes)
    _exit_for([each for each in found if each.failure is not None])


@app.command("remove")
@command
def remove(
    *,
    where: Where,
    stored: Stored,
    shown: Shown,
    selector: _Selector = None,
    because: _Because = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="A name of `trust list` no endpoint has any more; with -c.",
        ),
    ] = None,
    jump: _Jump = False,
    yes: _Yes = False,
) -> None:
    """Believe nothing of these endpoints any more: neither their keys nor their machine ids.

    Asks no endpoint. Needs a reason, which is recorded before anything is changed.
    """
    from outagekit.cli.trust.looking import former_of

    if name:
        _remove_names(where, stored, shown, name, because, yes=yes)
        return
    because = _reason(shown.screen(), because, _WHY_NOT, yes=yes)
    with _open(where, stored, shown, selector, asking=False) as table:
        found = [former_of(table.access, asked) for asked in table.asked(jump=jump)]
        _remove(table.desk.screen, table.access.trust, found, because, yes=yes)


@dataclass(frozen=True, slots=True)
class _Table:
    """What a command on chosen endpoints works with."""

    desk: Desk
    access: Access
    targets: list[Target]

    def asked(self, *, jump: bool) -> list[Asked]:
        """Return the endpoints, or the jump hosts on the way to them."""
        from outagekit.transports.trust.scan import ends_of, jumps_of

        if not jump:
            return ends_of(self.targets, self.access)
        jumps = jumps_of(self.targets, self.access)
        if not jumps:
            raise NothingMatched("no jump host is on the way to any of these endpoints")
        return jumps


@contextmanager
def _open(
    where: Where, stored: Stored, shown: Shown, selector: str | None, *, asking: bool
) -> Iterator[_Table]:
    """Give what a command works with; `asking`: servers will be asked, jump hosts entered."""
    from dataclasses import replace as with_

    from outagekit.cli.prepare import choose_endpoints, make_vault, open_desk
    from outagekit.cli.reaching import make_access, targets_of, work_out_routes

    desk = open_desk(shown.screen(), where, stored.state_dir)
    where = with_(where, limit=selector or where.limit)
    endpoints = choose_endpoints(desk, where)
    targets = targets_of(desk, endpoints)
    vault = make_vault(desk)
    access = make_access(desk, vault)
    work_out_routes(desk, access, endpoints)
    if asking:
        _prepare_jumps(access, vault, targets)
    try:
        yield _Table(desk, access, targets)
    finally:
        access.close()


def _prepare_jumps(access: Access, vault: Vault, targets: Sequence[Target]) -> None:
    """Ask for the secrets of the jump hosts now; no endpoint is logged in to."""
    needed = {
        (target.endpoint.client, jump.credential)
        for target in targets
        for jump in access.routes.route(target).hops
        if jump.credential is not None
    }
    for client, credential in sorted(needed, key=lambda each: (each[0], each[1].name)):
        for label, reference in credential.secrets():
            if reference is not credential.sudo:
                vault.prepare(reference, client=client, label=label)


def _require_somebody(screen: Screen, *, yes: bool) -> None:
    """Raise `UsageError` before anybody is asked for anything, if nobody can answer."""
    if not yes and not screen.interactive:
        message = "there is no terminal to ask at; say it beforehand with --yes"
        raise UsageError(message, hint="--yes says that the fingerprints were compared")


def _reason(screen: Screen, because: str | None, question: str, *, yes: bool) -> str:
    """Return why something is done; at a terminal it is asked for."""
    if because is not None and because.strip():
        _require_somebody(screen, yes=yes)
        return because.strip()
    if because is not None or not screen.interactive:
        hint = "it is kept in the log: --because 'set up anew after a disk failure'"
        raise UsageError("this needs a reason: say it with --because TEXT", hint=hint)
    return screen.ask(question, flag="--because")


def _replace(table: _Table, found: Sequence[Found], because: str, *, yes: bool) -> None:
    from outagekit.cli.trust.beliefs import confirm_change, replaced
    from outagekit.cli.trust.offering import show_found

    screen, store = table.desk.screen, table.access.trust
    changing = [each for each in map(_settled, found) if _is_changing(each)]
    same = sum(each.failure is None for each in found) - len(changing)
    if same:
        screen.note(f"{same} of {len(found)} have the key that is believed already, or need none")
    show_found(screen, [each for each in found if each.failure is not None], store)
    if any(each.changes for each in changing):
        screen.warn(
            "A changed key is how an impostor looks. Ask somebody who knows why it changed."
        )
    if changing:
        confirm_change(screen, changing, "Replace what is believed of", yes=yes)
        replaced(screen, store, changing, because)
    if screen.json:
        screen.document([each.row for each in found])


def _is_changing(found: Found) -> bool:
    return found.failure is None and (found.changes or bool(found.machine_id))


def _settled(found: Found) -> Found:
    """Return what is to be believed of a server that shows one of several keys it is known by.

    Of one whose certificate is valid nothing is, any more, unless it is the believed one.
    """
    from dataclasses import replace as with_

    return found if found.changes else with_(found, keys=found.former)


def _remove(
    screen: Screen, store: TrustStore, found: Sequence[Found], because: str, *, yes: bool
) -> None:
    from outagekit.cli.trust.beliefs import confirm_change, removed

    going = [each for each in found if each.former or each.machine_id]
    if not going:
        raise NothingMatched("nothing is believed of any of these")
    confirm_change(screen, going, "Believe nothing any more of", yes=yes)
    removed(screen, store, going, because)
    if screen.json:
        screen.document([each.row for each in going])


def _remove_names(
    where: Where,
    stored: Stored,
    shown: Shown,
    names: Sequence[str],
    because: str | None,
    *,
    yes: bool,
) -> None:
    from outagekit.cli.places import find_places
    from outagekit.cli.reaching import trust_in
    from outagekit.cli.trust.beliefs import former_by_name

    if not where.client or len(where.client) != 1:
        raise UsageError("--name needs the one client it belongs to: add -c CLIENT")
    screen, store = shown.screen(), trust_in(find_places(stored.state_dir))
    because = _reason(screen, because, _WHY_NOT, yes=yes)
    found = [former_by_name(store, where.client[0], name) for name in names]
    _remove(screen, store, found, because, yes=yes)


def _exit_for(failed: Sequence[Found]) -> None:
    """Exit as a run would whose endpoints failed so."""
    from outagekit.events import EndState

    states = {each.failure.state for each in failed if each.failure}
    if states:
        raise typer.Exit(_FAILED if EndState.FAILED in states else _UNREACHABLE)
