"""`playbooks list`, `show` and `trust`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, Stored
from outagekit.errors import InvalidInput
from outagekit.text import count

if TYPE_CHECKING:
    from outagekit.cli.render import Screen
    from outagekit.playbook.model import Playbook

app = typer.Typer(no_args_is_help=True, help="The playbooks at hand: yours and the shipped ones.")

_Word = Annotated[str, typer.Argument(metavar="PLAYBOOK", help="Name or path.")]


@app.command("list")
@command
def list_(stored: Stored, shown: Shown) -> None:
    """List the playbooks of the workspace and those shipped with outagekit."""
    from outagekit.cli.places import find_places
    from outagekit.playbook.catalogue import list_playbooks
    from outagekit.playbook.load import inspect

    screen = shown.screen()
    places = find_places(stored.state_dir)
    found = list_playbooks(workspace_playbooks=places.playbooks)
    read = [inspect(each.path, origin=each.origin) for each in found]
    books = [book for book, _ in read if book is not None]
    if shown.json:
        screen.document([_document(book) for book in books])
    else:
        rows = [(book.name, book.origin, book.kind, book.title) for book in books]
        screen.table(("playbook", "from", "kind", "title"), rows)
    faults = tuple(p for _, problems in read for p in problems if not p.warning)
    if faults:
        raise InvalidInput(f"{count(len(read) - len(books), 'playbook')} left out", faults)


@app.command("show")
@command
def show(playbook: _Word, stored: Stored, shown: Shown) -> None:
    """Show a playbook's parameters, steps and scripts."""
    from outagekit.cli.places import find_places
    from outagekit.cli.prepare import read_playbook

    screen = shown.screen()
    book = read_playbook(playbook, find_places(stored.state_dir))
    if shown.json:
        screen.document(_document(book))
        return
    show_playbook(screen, book)


@app.command("trust")
@command
def trust(
    playbook: _Word,
    stored: Stored,
    shown: Shown,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="I have read it; do not ask.")] = False,
) -> None:
    """Trust a playbook from outside on this machine, exactly as it is now (by digest)."""
    from outagekit.cli.places import find_places
    from outagekit.cli.prepare import read_playbook
    from outagekit.credentials.trusted import TrustedDigests
    from outagekit.playbook.outline import outline

    screen = shown.screen()
    places = find_places(stored.state_dir)
    book = read_playbook(playbook, places)
    if not yes:
        screen.say(outline(book))
        screen.ask(
            "Trust this playbook, exactly as it is now? Type yes:", expected="yes", flag="--yes"
        )
    known = TrustedDigests(places.state / "trusted_playbooks.json")
    known.add(book.digest, book.path, datetime.now(UTC))
    screen.note(f"trusted: {book.name}, digest {book.digest[:12]}")
    if shown.json:
        screen.document({"playbook": book.name, "path": book.path, "digest": book.digest})


def show_playbook(screen: Screen, book: Playbook) -> None:
    """Print a playbook as data for people: what it needs, what it does."""
    from outagekit.playbook.outline import outline
    from outagekit.text import visible

    screen.print(f"{book.title}  ({book.name}, {book.kind}, {book.origin})")
    if book.summary:
        screen.print(visible(book.summary))
    screen.print(f"targets: {book.targets or 'say with --limit'}")
    if book.params:
        rows = [
            (name, p.type, "required" if p.required else _written(p.default), p.help)
            for name, p in book.params.items()
        ]
        screen.table(("parameter", "type", "default", "help"), rows)
    screen.print(outline(book))


def _written(value: object) -> str:
    """Return a parameter's value as a person would write it."""
    if isinstance(value, list):
        return ", ".join(map(_written, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _document(book: Playbook) -> dict[str, object]:
    import msgspec

    document = msgspec.to_builtins(book)
    document["params"] = {name: msgspec.to_builtins(p) for name, p in book.params.items()}
    return dict(document)
