"""`secret set` and `secret test`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, Stored, Where
from outagekit.errors import OutagekitError, StoppedByPerson, UsageError

app = typer.Typer(
    no_args_is_help=True, help="Secrets live in the system's keyring; files hold references."
)


@app.command("set")
@command
def set_(
    name: Annotated[str, typer.Argument(help="What stands behind keyring: in the inventory.")],
    shown: Shown,
) -> None:
    """Store a secret in the system's keyring. It is typed, or read from standard input."""
    from outagekit.credentials import SecretRef, store_secret, terminal_prompt

    SecretRef.parse(f"keyring:{name}")  # before anybody types a secret for a name that cannot be
    prompt = terminal_prompt()
    if prompt is None:
        value = sys.stdin.readline().rstrip("\r\n")
    else:
        value = prompt(f"Secret for {name}: ")
        if prompt("The same again: ") != value:
            raise StoppedByPerson("the two are not the same; nothing was stored")
    if not value:
        raise UsageError("the secret is empty; nothing was stored")
    reference = store_secret(name, value).describe()
    screen = shown.screen()
    screen.note(f"stored; use it as {reference}")
    if shown.json:
        screen.document({"reference": reference})


@app.command("test")
@command
def resolve(
    where: Where,
    stored: Stored,
    shown: Shown,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="I have read the commands; trust them.")
    ] = False,
) -> None:
    """Resolve every secret the chosen endpoints' credentials refer to; shows none of them.

    A command that gives a secret is shown whole and asked about once on each machine.
    """
    from outagekit.cli.prepare import (
        choose_endpoints,
        credentials_of,
        make_vault,
        open_desk,
        trusted_commands,
    )
    from outagekit.cli.trust.offering import offer_commands

    screen = shown.screen()
    desk = open_desk(screen, where, stored.state_dir)
    vault = make_vault(desk)
    rows: list[tuple[str, str, str, str]] = []
    worst: OutagekitError | None = None
    needed = credentials_of(desk, choose_endpoints(desk, where, targets="all"), every=True)
    offer_commands(screen, trusted_commands(desk), needed, yes=yes)
    for each in needed:
        try:
            vault.resolve(
                each.reference, client=each.client, endpoint=each.endpoint, label=each.label
            )
            said = "ok"
        except OutagekitError as error:
            worst, said = error, error.message
        rows.append((each.client, each.label, each.reference.describe(), said))
    if shown.json:
        names = ("client", "secret", "reference", "verdict")
        screen.document([dict(zip(names, row, strict=True)) for row in rows])
    else:
        screen.table(("client", "secret", "reference", "verdict"), rows)
    if worst is not None:
        raise type(worst)("not every secret can be resolved", hint=worst.hint)
