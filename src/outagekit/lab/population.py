"""Who lives in a drill: the clients, sites, names and tags of a fleet, fit for one playbook.

Pure. The endpoints are made to match the playbook's `targets`, because a rehearsal that finds
nobody rehearses nothing:

- every tag that `targets` asks for stands on every endpoint; a tag it excludes on none;
- a site it asks for is where every endpoint stands;
- the systems are Linux and Windows, about half each, as far as it wants them and has scripts for
  them; macOS only where nothing else will do;
- a name it asks for with a `*` or `?` is what the endpoints are called like;
- a tag that only `rollout` speaks of (`first`, `apart`) stands on each client's first endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, get_args

from outagekit.errors import InvalidInput, Problem, UsageError
from outagekit.events import OperatingSystem
from outagekit.inventory.model import Endpoint
from outagekit.inventory.select import matches
from outagekit.inventory.selector import (
    AllOf,
    AnyOf,
    Everything,
    Expression,
    Not,
    Word,
    parse,
    parse_targets,
)
from outagekit.playbook.model import (
    Fetch,
    Playbook,
    Push,
    RunScript,
    Script,
    Step,
    WaitScript,
)

CLIENTS: Final = ("acme", "borealis", "corvus")
SITES: Final = ("north", "south")
MOST_ENDPOINTS: Final = 500
"""What one process carries with the usual limit of open files on every system."""

_MIXED: Final[tuple[OperatingSystem, ...]] = ("linux", "windows")
_NAMES: Final = {"linux": "srv-*", "macos": "srv-*", "windows": "win-*"}
"""How endpoints are called where the playbook does not mind."""
_DRIVE: Final = re.compile(r"[A-Za-z]:|\\\\|%|\$env:")

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
    """Empty: any name will do."""


def places_for(playbook: Playbook, endpoints: int) -> tuple[Place, ...]:
    """Return the endpoints of a drill, spread evenly over clients, their sites and systems.

    Raises `UsageError` for a number out of bounds, and `InvalidInput` for a playbook that no
    system could run which its targets want.
    """
    if not 1 <= endpoints <= MOST_ENDPOINTS:
        message = f"a drill has from 1 to {MOST_ENDPOINTS} endpoints, not {endpoints}"
        raise UsageError(message)
    wishes = _wishes_of(playbook)
    systems = _systems_of(playbook, wishes)
    rare = _rollout_tags(playbook)
    return tuple(_place(number, wishes, systems, rare) for number in range(endpoints))


def _place(
    number: int, wishes: _Wishes, systems: tuple[OperatingSystem, ...], rare: tuple[str, ...]
) -> Place:
    client = CLIENTS[number % len(CLIENTS)]
    own = number // len(CLIENTS)
    # Counted so that every site of every client gets every system.
    system = systems[(number + own // len(wishes.sites)) % len(systems)]
    tags = (*wishes.tags, *rare) if own == 0 else wishes.tags
    pattern = wishes.pattern or _NAMES[system]
    name = _GLOB.sub(f"{own + 1:03d}", pattern, count=1)
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
        pattern=patterns[0] if patterns else "",
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


def _systems_of(playbook: Playbook, wishes: _Wishes) -> tuple[OperatingSystem, ...]:
    wanted = [
        system for system in get_args(OperatingSystem) if _is_wanted(playbook, wishes, system)
    ]
    able = [s for s in wanted if all(_can_run(step, s) for step in playbook.steps)]
    found = tuple(system for system in _MIXED if system in able) or tuple(able)
    if not found:
        raise _nobody(playbook, wanted)
    return found


def _is_wanted(playbook: Playbook, wishes: _Wishes, system: OperatingSystem) -> bool:
    """Say whether the targets take an endpoint with this system, which has all else they want."""
    place = _place(0, wishes, (system,), ())
    endpoint = Endpoint(
        client=place.client,
        name=place.name,
        address="",
        os=system,
        site=place.site,
        tags=place.tags,
    )
    return matches(parse_targets(playbook.targets or "all"), endpoint)


def _can_run(step: Step, system: OperatingSystem) -> bool:
    """Say whether a step has a script for the system, and names files as they are named there."""
    has_drives = system == "windows"
    return all(script.for_os(system) is not None for script in _scripts(step)) and all(
        bool(_DRIVE.match(path)) == has_drives for path in _paths(step)
    )


def _scripts(step: Step) -> tuple[Script, ...]:
    action = step.action.script if isinstance(step.action, RunScript | WaitScript) else None
    parts = (action, step.check, step.verify, step.undo)
    return tuple(script for script in parts if script is not None)


def _paths(step: Step) -> tuple[str, ...]:
    match step.action:
        case Push(to=path):
            return (path,)
        case Fetch(paths=paths):
            return paths
        case _:
            return ()


def _nobody(playbook: Playbook, wanted: list[OperatingSystem]) -> InvalidInput:
    path = Path(playbook.path or playbook.name)
    if not wanted:
        message = f"no endpoint a drill could make up is one of the targets of {playbook.name}"
        return InvalidInput(message, (Problem(path, 0, 0, message),))
    stops = next(
        (step for step in playbook.steps if not _can_run(step, wanted[0])), playbook.steps[0]
    )
    message = f"nobody can run {playbook.name}: step {stops.id} has nothing for {wanted[0]}"
    return InvalidInput(message, (Problem(path, stops.line, 1, message),))
