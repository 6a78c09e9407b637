"""Who lives in a drill: the clients, sites, names and tags of a fleet, fit for one playbook.

Pure. The endpoints are made to match the playbook's `targets`, because a rehearsal that finds
nobody rehearses nothing:

- every tag that `targets` asks for stands on every endpoint; a tag it excludes on none;
- a site it asks for is where every endpoint stands;
- a name it asks for with a `*` or `?` is what the endpoints are called like;
- a tag that only `rollout` speaks of (`first`, `apart`) stands on each client's first endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final

from outagekit.errors import NotYet, Problem, UsageError
from outagekit.events import OperatingSystem
from outagekit.inventory.selector import AllOf, AnyOf, Everything, Expression, Not, Word, parse
from outagekit.playbook.model import Playbook, RunScript, Script, Step, WaitScript

CLIENTS: Final = ("acme", "borealis", "corvus")
SITES: Final = ("north", "south")
MOST_ENDPOINTS: Final = 500
"""What one process carries with the usual limit of open files on every system."""

_GLOB: Final = re.compile(r"[*?]|\[[^]]*\]")


@dataclass(frozen=True, slots=True)
class Place:
    """One endpoint before it has a machine, a port and a key."""

    client: str
    name: str
    site: str
    os: OperatingSystem
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wishes:
    tags: tuple[str, ...]
    sites: tuple[str, ...]
    pattern: str
    systems: frozenset[str]


def places_for(playbook: Playbook, endpoints: int) -> tuple[Place, ...]:
    """Return the endpoints of a drill, spread evenly over clients and their sites.

    Raises `UsageError` for a number out of bounds, and `NotYet` for a playbook whose targets or
    scripts are for Windows only, which this version cannot simulate.
    """
    if not 1 <= endpoints <= MOST_ENDPOINTS:
        message = f"a drill has from 1 to {MOST_ENDPOINTS} endpoints, not {endpoints}"
        raise UsageError(message)
    wishes = _wishes_of(playbook)
    system = _system_of(playbook, wishes)
    rare = _rollout_tags(playbook)
    return tuple(_place(number, wishes, system, rare) for number in range(endpoints))


def _place(number: int, wishes: _Wishes, system: OperatingSystem, rare: tuple[str, ...]) -> Place:
    client = CLIENTS[number % len(CLIENTS)]
    own = number // len(CLIENTS)
    tags = (*wishes.tags, *rare) if own == 0 else wishes.tags
    name = _GLOB.sub(f"{own + 1:03d}", wishes.pattern, count=1)
    return Place(
        client=client,
        name=_GLOB.sub("0", name),
        site=wishes.sites[own % len(wishes.sites)],
        os=system,
        tags=tuple(dict.fromkeys(tags)),
    )


def _wishes_of(playbook: Playbook) -> _Wishes:
    words = tuple(_wanted(parse(playbook.targets).root)) if playbook.targets else ()
    patterns = [w.value for w in words if w.key == "name" and _GLOB.search(w.value)]
    sites = tuple(_plain(w.value) for w in words if w.key == "site")
    return _Wishes(
        tags=tuple(_plain(w.value) for w in words if w.key == "tag"),
        sites=sites or SITES,
        pattern=patterns[0] if patterns else "srv-*",
        systems=frozenset(w.value for w in words if w.key == "os"),
    )


def _rollout_tags(playbook: Playbook) -> tuple[str, ...]:
    if playbook.rollout is None:
        return ()
    texts = filter(None, (playbook.rollout.first, playbook.rollout.apart))
    words = chain.from_iterable(_wanted(parse(text).root) for text in texts)
    return tuple(_plain(word.value) for word in words if word.key == "tag")


def _wanted(expression: Expression) -> Iterator[Word]:
    """Return the words an endpoint should match: those under no `not`."""
    match expression:
        case Word():
            yield expression
        case AllOf(parts) | AnyOf(parts):
            yield from chain.from_iterable(_wanted(part) for part in parts)
        case Not() | Everything():
            return


def _plain(value: str) -> str:
    return _GLOB.sub("1", value)


def _system_of(playbook: Playbook, wishes: _Wishes) -> OperatingSystem:
    """Return the system every endpoint has: linux, or macos where only that is asked for."""
    system: OperatingSystem = "linux"
    if wishes.systems and "linux" not in wishes.systems:
        if "macos" not in wishes.systems:
            raise _windows_only(playbook, 0, "its targets are Windows machines")
        system = "macos"
    for step in playbook.steps:
        if any(script.for_os(system) is None for script in _scripts(step)):
            raise _windows_only(playbook, step.line, f"step {step.id} has no script for {system}")
    return system


def _scripts(step: Step) -> tuple[Script, ...]:
    action = step.action.script if isinstance(step.action, RunScript | WaitScript) else None
    parts = (action, step.check, step.verify, step.undo)
    return tuple(script for script in parts if script is not None)


def _windows_only(playbook: Playbook, line: int, why: str) -> NotYet:
    message = f"this version simulates Linux machines only: {why}"
    problem = Problem(Path(playbook.path or playbook.name), line, 1 if line else 0, message)
    return NotYet(message, (problem,))
