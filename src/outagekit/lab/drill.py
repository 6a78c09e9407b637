"""A drill: the real engine and transport against a fleet, and a judgement of how it went."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from outagekit.events import EndpointId
from outagekit.lab.fleet import Fleet
from outagekit.lab.score import Score, score
from outagekit.plan.build import build_plan
from outagekit.plan.model import Plan
from outagekit.playbook.model import Playbook
from outagekit.run.state import State


@dataclass(frozen=True, slots=True)
class Tempo:
    """How a rehearsal shortens waiting; scripts, checks and judgement are not touched."""

    timeout_s: float = 5.0
    """The longest a step may take: a hanging endpoint costs this much."""
    delay_s: float = 1.0
    """The longest pause before another try."""


def rehearsed(playbook: Playbook, tempo: Tempo) -> Playbook:
    """Return the playbook with its time-outs and pauses shortened for a rehearsal."""
    steps = tuple(
        msgspec.structs.replace(
            step,
            timeout_s=min(step.timeout_s, tempo.timeout_s),
            retry=msgspec.structs.replace(
                step.retry, delay_s=min(step.retry.delay_s, tempo.delay_s)
            ),
        )
        for step in playbook.steps
    )
    return msgspec.structs.replace(playbook, steps=steps)


def drill_plan(fleet: Fleet) -> Plan:
    """Return the plan of a drill: the fleet's playbook over all its endpoints."""
    return build_plan(
        fleet.playbook,
        params=fleet.params,
        endpoints=fleet.inventory.endpoints(),
        clients=fleet.inventory.clients,
        selection=f"a simulated fleet, {fleet.playbook.targets or 'all'}",
    )


def score_of(fleet: Fleet, plan: Plan, state: State) -> Score:
    """Return how well a run over the fleet judged its endpoints."""
    judged = {}
    for identity, progress in state.progress.items():
        worst = progress.worst
        judged[EndpointId(identity)] = (progress.state, worst.failure if worst else None)
    return score(fleet.chosen(plan.endpoints), judged, fleet.machines)
