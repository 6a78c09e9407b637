"""What a person is told of a file of another tool, and asked before a program among them runs."""

from __future__ import annotations

import shlex
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from outagekit.errors import Refused
from outagekit.text import count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from outagekit.cli.places import Places
    from outagekit.cli.render import Screen
    from outagekit.credentials.trusted import TrustedDigests
    from outagekit.inventory.foreign.settling import Taken

_LISTED: Final = 8
_LEFT_OUT_LISTED: Final = 20


def trusted_programs(places: Places) -> TrustedDigests:
    """Return which inventory programs a person has trusted on this machine."""
    from outagekit.credentials.trusted import TrustedDigests

    return TrustedDigests(places.state / "trusted_inventories.json")


def permit(screen: Screen, places: Places) -> Callable[[Path, str], None]:
    """Return what lets an inventory program run: trust by digest, or a person's yes now."""

    def judge(path: Path, digest: str) -> None:
        known = trusted_programs(places)
        if known.knows(digest):
            return
        name = visible_line(str(path))
        if not screen.interactive:
            raise Refused(
                f"{name} is a program that was never trusted on this machine",
                hint=f"read it, then: outagekit inventory trust {shlex.quote(name)}",
            )
        trust_program(screen, known, path, digest)

    return judge


def trust_program(screen: Screen, known: TrustedDigests, path: Path, digest: str) -> None:
    """Ask a person to trust a program as it is now, and remember it. Raises for a no."""
    name = visible_line(str(path))
    screen.say(f"{name} is a program. It would run as you, on this machine, with --list.")
    screen.ask("Trust it, exactly as it is now? Type yes:", expected="yes", flag="--yes")
    known.add(digest, str(path.absolute()), datetime.now(UTC))


def say_taken(screen: Screen, taken: Taken) -> None:
    """Tell in a few lines what a foreign file was taken for, before it is used."""
    screen.note("\n".join([_head(taken), *_notes(taken)]))


def taken_lines(taken: Taken) -> tuple[str, ...]:
    """Return all that is to be said of a foreign file that was taken over."""
    return (_head(taken), *_notes(taken), *_unused(taken), _NO_AGREEMENT)


_NO_AGREEMENT: Final = "  agreement: none, so only reading steps run until a file has one"


def _head(taken: Taken) -> str:
    clients = [
        f"{count(len(client.endpoints), 'endpoint')} of {client.client}" for client in taken.clients
    ]
    name = visible_line(str(taken.path))
    return f"{name} ({taken.form}): {fold_list(clients, limit=_LISTED) or 'no endpoint'}"


def _notes(taken: Taken) -> Iterator[str]:
    systems = Counter(e.os for client in taken.clients for e in client.endpoints.values())
    parts = {
        "tag": {tag for c in taken.clients for e in c.endpoints.values() for tag in e.tags},
        "site": [site for client in taken.clients for site in client.sites],
        "credential": [each for client in taken.clients for each in client.credentials],
    }
    words = [f"{number} {system}" for system, number in sorted(systems.items())]
    words += [count(len(found), name) for name, found in parts.items() if found]
    if words:
        yield f"  taken: {', '.join(words)}"
    for note in taken.notes:
        yield f"  {visible_line(note)}"
    yield from _renamed(taken)
    for left in taken.left_out[:_LEFT_OUT_LISTED]:
        yield f"  left out: {visible_line(f'{left.name}: {left.reason}')}"
    hidden = len(taken.left_out) - _LEFT_OUT_LISTED
    if hidden > 0:
        yield f"  left out: {hidden} more"


def _renamed(taken: Taken) -> Iterator[str]:
    by_kind: dict[str, list[str]] = {}
    for kind, written, name in taken.renamed:
        by_kind.setdefault(kind, []).append(f"{visible_line(written)} is {name}")
    for kind, changes in by_kind.items():
        yield f"  renamed: {kind} {fold_list(changes, limit=_LISTED)}"


def _unused(taken: Taken) -> Iterator[str]:
    if taken.unused:
        what = "column" if taken.form.startswith("CSV") else "variable"
        names = fold_list(map(visible_line, taken.unused), limit=_LISTED)
        yield f"  not used: {count(len(taken.unused), what)}: {names}"


def taken_document(taken: Taken, written: list[str]) -> dict[str, Any]:
    """Return the same for `--json`."""
    return {
        "source": str(taken.path),
        "form": taken.form,
        "clients": {client.client: len(client.endpoints) for client in taken.clients},
        "written": written,
        "renamed": [{"kind": kind, "from": old, "to": new} for kind, old, new in taken.renamed],
        "left_out": [
            {"name": each.name, "line": each.place.line, "reason": each.reason}
            for each in taken.left_out
        ],
        "notes": list(taken.notes),
        "unused": taken.unused,
    }
