"""Building a plan: a pure function of playbook, parameters, endpoints and agreements.

Nothing here depends on the order in which files were read or mappings were written, so the same
inputs give the same plan, and the same digest, on every machine.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from outagekit.errors import InvalidInput, NothingMatched, Problem
from outagekit.events import EndpointId, OperatingSystem, StepId
from outagekit.inventory.model import Client, Credential, Endpoint, Site, Winrm
from outagekit.plan.accounts import refuse_unreachable_accounts
from outagekit.plan.allowed import Permission, override_of, refusals, remaining
from outagekit.plan.hands_on import ladder
from outagekit.plan.model import Plan, Stage
from outagekit.plan.not_yet import refuse_not_yet
from outagekit.plan.spread import endpoints_of, pounce_chain, with_survey
from outagekit.plan.store import digest_of
from outagekit.plan.windows import refuse_unusable_logins
from outagekit.playbook.model import (
    LANGUAGES_OF,
    Phase,
    Playbook,
    Rollout,
    RunScript,
    Script,
    Step,
    WaitScript,
)
from outagekit.text import count

_T = TypeVar("_T")
_DIGITS = re.compile(r"([0-9]+)")
_SYSTEMS: Final = tuple(LANGUAGES_OF)


@dataclass(frozen=True, slots=True)
class Mode:
    """How a plan is meant to be executed; part of the plan and of its digest."""

    dry_run: bool = False
    undo_on_failure: bool = False
    undoes: str = ""
    handed: dict[StepId, dict[EndpointId, dict[str, Any]]] | None = None
    """See `Plan.handed`."""


LIVE: Final = Mode()


def build_plan(
    playbook: Playbook,
    *,
    params: Mapping[str, Any],
    endpoints: Iterable[Endpoint],
    clients: Mapping[str, Client],
    selection: str = "",
    overrides: Sequence[Permission] = (),
    mode: Mode = LIVE,
) -> Plan:
    """Return the plan: what would happen, to whom, in which order, and what is refused.

    `params` come from `typed_params`; `clients` may hold more than the endpoints need, the plan
    keeps only what they use. Refusals do not raise here, so that a plan can show them.
    Raises `NothingMatched` without endpoints, `NotYet` for what this version does not execute,
    `InvalidInput` if an endpoint has no script in a language of its system, cannot have the
    account a step asks for, cannot be logged in to, or names what its client does not have, and
    `UsageError` for an override that overrides nothing or a selector that is none.
    """
    chosen = fair_order(endpoints)
    if not chosen:
        raise NothingMatched("no endpoint is chosen, so there is nothing to plan")
    used = used_clients(chosen, clients)
    by_name = {client.client: client for client in used}
    refuse_not_yet(playbook)
    refuse_unreachable_accounts(playbook, chosen, by_name)
    refuse_unusable_logins(chosen, by_name)
    ladder(playbook)
    _refuse_missing_scripts(playbook, chosen)
    refused = refusals(_as_executed(playbook.steps, mode), used)
    given = tuple(override_of(permission, refused) for permission in overrides)
    playbook, alone = (playbook, ()) if mode.dry_run else with_survey(playbook)
    rollout = playbook.rollout or Rollout()
    plan = Plan(
        playbook=playbook,
        params=dict(params),
        selection=selection,
        clients=used,
        endpoints=chosen,
        stages=stages_of(playbook.steps, alone=alone),
        refusals=remaining(refused, given),
        overrides=given,
        first=endpoints_of(rollout.first, chosen),
        apart=endpoints_of(rollout.apart, chosen),
        pounce=pounce_chain(playbook, rollout.pounce),
        dry_run=mode.dry_run,
        undo_on_failure=mode.undo_on_failure,
        handed=mode.handed,
        undoes=mode.undoes,
    )
    return msgspec.structs.replace(plan, digest=digest_of(plan))


def _as_executed(steps: Sequence[Step], mode: Mode) -> Sequence[Step]:
    """Return the steps with what they need: in a dry run a change is only looked at."""
    if not mode.dry_run:
        return steps
    return [msgspec.structs.replace(s, needs=("diagnose",)) if s.changes else s for s in steps]


def stages_of(steps: Iterable[Step], *, alone: Collection[StepId] = ()) -> tuple[Stage, ...]:
    """Return the steps cut into stages: consecutive steps of one phase.

    A step that happens once per client or run is a stage of its own, and so are those in `alone`.
    """

    def group_of(step: Step) -> tuple[Phase, StepId | None]:
        return step.phase, step.id if step.once or step.id in alone else None

    groups = groupby(steps, key=group_of)
    stages = []
    for number, ((phase, _), group) in enumerate(groups, 1):
        members = tuple(group)
        stages.append(
            Stage(
                number=number,
                phase=phase,
                steps=tuple(step.id for step in members),
                changes=any(step.changes for step in members),
                once=members[0].once,
            )
        )
    return tuple(stages)


def fair_order(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """Return the endpoints in the order they are begun, each once.

    Clients take turns, and within a client its sites take turns, so that no client waits for a
    larger one and no site gets everything at once. Among equals names count, `pos-2` before
    `pos-10`; the order given does not matter.
    """
    sites: dict[str, dict[str, list[Endpoint]]] = {}
    for endpoint in sorted({e.id: e for e in endpoints}.values(), key=_place):
        of_client = sites.setdefault(endpoint.client, {})
        of_client.setdefault(endpoint.site or "", []).append(endpoint)
    return tuple(_in_turn(_in_turn(of_client.values()) for of_client in sites.values()))


def used_clients(
    endpoints: Sequence[Endpoint], clients: Mapping[str, Client]
) -> tuple[Client, ...]:
    """Return the clients of the endpoints by name, with the sites and credentials in use only.

    Their `endpoints` are empty: a plan says nothing about machines it does not touch. Raises
    `InvalidInput` if an endpoint names a client, site or credential that does not exist.
    """
    by_client: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_client.setdefault(endpoint.client, []).append(endpoint)
    return tuple(_stripped(name, by_client[name], clients) for name in sorted(by_client))


def _stripped(name: str, endpoints: Sequence[Endpoint], clients: Mapping[str, Client]) -> Client:
    if name not in clients:
        raise InvalidInput(f"{endpoints[0].id} belongs to a client that does not exist")
    client = clients[name]
    sites = _used(client.sites, "site", endpoints)
    credentials = _used(client.credentials, "credential", endpoints)
    credentials |= _for_jumps(sites.values(), client)
    windows = any(endpoint.os == "windows" for endpoint in endpoints)
    return msgspec.structs.replace(
        client,
        credentials=dict(sorted(credentials.items())),
        sites=sites,
        winrm=client.winrm if windows else Winrm(),
        endpoints={},
    )


def _for_jumps(sites: Iterable[Site], client: Client) -> dict[str, Credential]:
    """Return the credentials for the jump hosts of sites, by name."""
    used: dict[str, Credential] = {}
    for site in sites:
        name = site.jump_credential
        if name is None:
            continue
        if name not in client.credentials:
            message = f"site {site.name} of {client.client} names credential {name}"
            raise InvalidInput(f"{message}, which does not exist")
        used[name] = client.credentials[name]
    return used


def _used(known: Mapping[str, _T], field: str, endpoints: Iterable[Endpoint]) -> dict[str, _T]:
    """Return what the endpoints name in a field, by name."""
    used: dict[str, _T] = {}
    for endpoint in endpoints:
        name: str | None = getattr(endpoint, field)
        if name is None:
            continue
        if name not in known:
            raise InvalidInput(f"{endpoint.id} names {field} {name}, which does not exist")
        used[name] = known[name]
    return dict(sorted(used.items()))


def _refuse_missing_scripts(playbook: Playbook, endpoints: Sequence[Endpoint]) -> None:
    counts = {system: sum(endpoint.os == system for endpoint in endpoints) for system in _SYSTEMS}
    present = [system for system in _SYSTEMS if counts[system]]
    path = Path(playbook.path or playbook.name)
    problems = []
    for step in playbook.steps:
        for part, script in _scripts(step):
            missing = [system for system in present if script.for_os(system) is None]
            problems += [
                Problem(
                    path,
                    step.line,
                    1 if step.line else 0,
                    f"step {step.id}: {part} has no variant for {system},"
                    f" but {count(counts[system], 'endpoint')} of the plan run it",
                    _narrowed(system, present, typed=playbook.origin == "typed"),
                )
                for system in missing
            ]
    if problems:
        message = problems[0].message
        if len(problems) > 1:
            message = f"{count(len(problems), 'script')} cannot run on every chosen endpoint"
        raise InvalidInput(message, tuple(problems), hint=problems[0].hint)


def _narrowed(
    system: OperatingSystem, present: Sequence[OperatingSystem], *, typed: bool = False
) -> str:
    """Return how to leave a system out, or what to write where nothing would be left."""
    others = [f"os:{other}" for other in present if other != system]
    if not others and typed:
        return f"say it with {' or '.join(f'--{each}' for each in LANGUAGES_OF[system])}"
    if not others:
        languages = " or ".join(LANGUAGES_OF[system])
        return f"add a script in {languages}, or choose other endpoints"
    limit = others[0] if len(others) == 1 else f"'{' or '.join(others)}'"
    return f"leave them out with --limit {limit}"


def _scripts(step: Step) -> Iterator[tuple[str, Script]]:
    match step.action:
        case RunScript(script=script) | WaitScript(script=script):
            yield "its script", script
        case _:
            pass
    for part in ("check", "verify", "undo"):
        script = getattr(step, part)
        if script is not None:
            yield f"`{part}`", script


def _place(endpoint: Endpoint) -> tuple[Any, ...]:
    """Return the key of the canonical order; a run of digits counts as the number it is."""
    return (_natural(endpoint.client), _natural(endpoint.site or ""), _natural(endpoint.name))


def _natural(name: str) -> tuple[Any, ...]:
    words = _DIGITS.split(name)
    # Digits compare by length and then as text: no limit on how long a number in a name may be.
    numbers = [(len(digits.lstrip("0")), digits.lstrip("0")) for digits in words[1::2]]
    texts = words[::2]
    return (tuple(zip_longest(texts, numbers, fillvalue=(0, ""))), name)


def _in_turn(queues: Iterable[Iterable[_T]]) -> Iterator[_T]:
    """Yield the first of each queue, then the second of each, until all are empty."""
    waiting = deque(iter(queue) for queue in queues)
    while waiting:
        queue = waiting.popleft()
        for one in queue:
            yield one
            waiting.append(queue)
            break
