"""Choosing endpoints: a selector and an inventory become endpoints, in the inventory's order.

`matches` is pure. What needs a file or an earlier run is looked up once, before anything is
matched. A word that a person typed and nothing bears is an error, never an empty set: a misspelt
`not tag:fragile` must not include the fragile ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from outagekit.errors import NothingMatched, UsageError
from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.hostfile import file_named, read_names
from outagekit.inventory.model import Endpoint, Inventory
from outagekit.inventory.selector import (
    AllOf,
    AnyOf,
    Everything,
    Expression,
    Not,
    Selector,
    SelectorError,
    Word,
    parse,
    parse_targets,
)
from outagekit.inventory.targets import check_targets
from outagekit.text import closest, count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = [
    "Lookups",
    "RunLookup",
    "Selector",
    "SelectorError",
    "check_targets",
    "choose",
    "matches",
    "parse",
    "parse_targets",
    "select",
]


class RunLookup(Protocol):
    """Knows how endpoints ended in earlier runs."""

    def endpoints_of(self, run: str, state: str, /) -> Collection[str]:
        """Return the `client/name` of a run's endpoints with this end state.

        `run` is an id or `last`. Raises `NothingMatched` if there is no such run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lookups:
    """What `run:` and `file:` are looked up in."""

    runs: RunLookup | None = None
    folder: Path = Path()
    """Relative names after `file:` start here."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Names that a `file:` or `run:` word stood for: `name` or `client/name`, case-folded."""

    names: frozenset[str]


_Resolved = dict[Word, _Found]


def matches(selector: Selector, endpoint: Endpoint) -> bool:
    """Return whether a selector without `file:` and `run:` matches; those raise `UsageError`."""
    return _matches(selector.root, endpoint, {})


def _matches(expression: Expression, endpoint: Endpoint, found: Mapping[Word, _Found]) -> bool:
    match expression:
        case Everything():
            return True
        case Not(part):
            return not _matches(part, endpoint, found)
        case AllOf(parts):
            return all(_matches(part, endpoint, found) for part in parts)
        case AnyOf(parts):
            return any(_matches(part, endpoint, found) for part in parts)
        case Word():
            return _bears(expression, endpoint, found)


def _bears(word: Word, endpoint: Endpoint, found: Mapping[Word, _Found]) -> bool:
    """Return whether a single word is true of an endpoint."""
    match word.key:
        case "name":
            return _is_called(word.value, endpoint)
        case "file" | "run":
            if word not in found:
                raise UsageError(f"{word.written} cannot be used in this place")
            names = found[word].names
            return endpoint.name.casefold() in names or endpoint.id.casefold() in names
        case "tag":
            return any(fnmatchcase(tag.casefold(), word.value) for tag in endpoint.tags)
        case _:
            value = _value_of(word.key, endpoint)
            return value is not None and fnmatchcase(value.casefold(), word.value)


def _is_called(wanted: str, endpoint: Endpoint) -> bool:
    client, slash, name = wanted.rpartition("/")
    if slash and not fnmatchcase(endpoint.client.casefold(), client):
        return False
    return fnmatchcase(endpoint.name.casefold(), name)


def _value_of(key: str, endpoint: Endpoint) -> str | None:
    return {
        "client": endpoint.client,
        "site": endpoint.site,
        "os": endpoint.os,
        "address": endpoint.address,
    }[key]


def select(
    inventory: Inventory,
    selector: Selector,
    lookups: Lookups | None = None,
    *,
    among: Sequence[Endpoint] | None = None,
    strict: bool = True,
) -> tuple[Endpoint, ...]:
    """Return the endpoints a selector matches, in the inventory's order; never none.

    `among` limits the choice. With `strict` every word must be borne by some endpoint of the whole
    inventory. Raises `NothingMatched` with the nearest known word, `UsageError` for a `file:` or
    `run:` that cannot be looked up, `InvalidInput` for a file of names that cannot be read.
    """
    everybody = inventory.endpoints()
    found = _look_up(selector, everybody, lookups or Lookups())
    if strict:
        _refuse_unknown(selector, inventory, found)
    candidates = everybody if among is None else among
    chosen = tuple(e for e in candidates if _matches(selector.root, e, found))
    if not chosen:
        raise _nothing(selector, candidates, found)
    return chosen


def _look_up(selector: Selector, everybody: Sequence[Endpoint], lookups: Lookups) -> _Resolved:
    found: _Resolved = {}
    for word in selector.words():
        if word.key == "run":
            found[word] = _Found(_ended(word, lookups.runs))
        elif word.key == "file":
            path = file_named(word.value, lookups.folder)
            found[word] = _Found(read_names(path, known=_names_of(everybody)))
    return found


def _ended(word: Word, runs: RunLookup | None) -> frozenset[str]:
    if runs is None:
        raise UsageError(f"{word.written} cannot be used in this place")
    run, _, state = word.value.rpartition(":")
    return frozenset(identity.casefold() for identity in runs.endpoints_of(run, state))


def _names_of(endpoints: Iterable[Endpoint]) -> dict[str, str]:
    """Return every way to write an endpoint, case-folded -> as in the inventory."""
    names: dict[str, str] = {}
    for endpoint in endpoints:
        names[endpoint.name.casefold()] = endpoint.name
        names[endpoint.id.casefold()] = endpoint.id
    return names


def _refuse_unknown(selector: Selector, inventory: Inventory, found: _Resolved) -> None:
    everybody = inventory.endpoints()
    for word in selector.words():
        known_anyway = word.key in {"os", "file", "run"}
        if known_anyway or any(_bears(word, endpoint, found) for endpoint in everybody):
            continue
        what = "called" if word.key == "name" else f"with {word.key}"
        message = f"there is no endpoint {what} {visible_line(word.value)} in the inventory"
        raise NothingMatched(message, hint=_guess(word, inventory))


def _guess(word: Word, inventory: Inventory) -> str:
    """Return what an unknown word was probably meant to be."""
    known = _known_values(inventory)
    for key, values in known.items():
        if key != word.key and word.value in {value.casefold() for value in values}:
            return f"did you mean {key}:{word.value}?"
    near = closest(word.value, known[word.key])
    if near:
        return f"did you mean {near}?" if word.key == "name" else f"did you mean {word.key}:{near}?"
    there = sorted(known[word.key])
    return f"known are {fold_list(there, limit=8)}" if there else f"no endpoint has a {word.key}"


def _known_values(inventory: Inventory) -> dict[str, set[str]]:
    endpoints = inventory.endpoints()
    return {
        "tag": {tag for endpoint in endpoints for tag in endpoint.tags},
        "site": {endpoint.site for endpoint in endpoints if endpoint.site},
        "client": set(inventory.clients),
        "name": set(_names_of(endpoints).values()),
        "address": {endpoint.address for endpoint in endpoints},
    }


def _nothing(
    selector: Selector, candidates: Sequence[Endpoint], found: _Resolved
) -> NothingMatched:
    """Return the error that says which part of a selector leaves nothing over."""
    text = visible_line(selector.text.strip())
    if not candidates:
        return NothingMatched(f"{text} matches nothing: there is no endpoint to choose from")
    parts = selector.root.parts if isinstance(selector.root, AllOf) else (selector.root,)
    numbers = [sum(_matches(part, e, found) for e in candidates) for part in parts]
    looked_at = count(len(candidates), "endpoint")
    if len(parts) > 1 and all(numbers):
        hint = "each of its parts matches some, but no endpoint matches them all"
    else:
        empty = [_shown(part) for part, number in zip(parts, numbers, strict=True) if not number]
        hint = f"nothing here matches {fold_list(empty)}" if len(parts) > 1 else ""
    return NothingMatched(f"{text} matches none of {looked_at}", hint=hint)


def _shown(expression: Expression) -> str:
    match expression:
        case Word():
            return expression.written.removeprefix("name:")
        case Not(part):
            return f"not {_shown(part)}"
        case Everything():
            return "all"
        case AllOf(parts):
            return f"({' and '.join(map(_shown, parts))})"
        case AnyOf(parts):
            return f"({' or '.join(map(_shown, parts))})"


def choose(
    inventory: Inventory,
    *,
    targets: str | None = None,
    limit: str | None = None,
    clients: Sequence[str] = (),
    all_clients: bool = False,
    lookups: Lookups | None = None,
) -> tuple[Endpoint, ...]:
    """Return the endpoints a command is about, in the inventory's order; never none.

    `targets` is a playbook's own selector, `limit` narrows it; without targets a limit is needed.
    Endpoints named on the command line (client `adhoc`) need neither and are not judged by
    `targets`, as tags and sites of theirs are not known. Endpoints of several clients are chosen
    only if `clients` names them or `all_clients` says so.

    Raises `SelectorError` (a `UsageError`) for a bad selector, `UsageError` for a missing limit or
    client, `NothingMatched` if nothing, or something that does not exist, is chosen.
    """
    adhoc = set(inventory.clients) == {ADHOC}
    targets = None if adhoc else targets
    if targets is None and limit is None and not adhoc:
        message = "nothing says which endpoints: there are no targets"
        raise UsageError(message, hint="say it with --limit; --limit all means every endpoint")
    chosen = _of_clients(inventory, clients, all_clients=all_clients)
    if targets is not None:
        chosen = select(inventory, parse_targets(targets), lookups, among=chosen, strict=False)
    if limit is not None:
        chosen = select(inventory, parse(limit), lookups, among=chosen)
    if not chosen:
        raise NothingMatched("the inventory holds no endpoint to choose from")
    _keep_walls(chosen, clients, all_clients=all_clients)
    return chosen


def _of_clients(
    inventory: Inventory, clients: Sequence[str], *, all_clients: bool
) -> tuple[Endpoint, ...]:
    if clients and all_clients:
        raise UsageError("--client and --all-clients contradict each other")
    for client in clients:
        if client not in inventory.clients:
            near = closest(client, inventory.clients)
            hint = f"did you mean {near}?" if near else f"known are {fold_list(inventory.clients)}"
            raise NothingMatched(f"there is no client {visible_line(client)}", hint=hint)
    everybody = inventory.endpoints()
    return tuple(e for e in everybody if not clients or e.client in clients)


def _keep_walls(chosen: Sequence[Endpoint], clients: Sequence[str], *, all_clients: bool) -> None:
    """Refuse endpoints of several clients that nobody named: a run never leaves its clients."""
    concerned = list(dict.fromkeys(endpoint.client for endpoint in chosen))
    if len(concerned) > 1 and not clients and not all_clients:
        named = " ".join(f"--client {client}" for client in concerned[:3])
        message = f"this concerns {len(concerned)} clients: {fold_list(concerned, limit=10)}"
        raise UsageError(message, hint=f"name one or more ({named}), or say --all-clients")
