"""A drill: the real engine and transport against a fleet, and a judgement of how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from outagekit.events import ApprovalGiven, EndpointId, EndState, StepId
from outagekit.lab.fleet import Fleet
from outagekit.lab.machine import Pace
from outagekit.lab.power import LOOP_S
from outagekit.lab.score import Judged, Score, score
from outagekit.plan.beforehand import beforehand, questions
from outagekit.plan.build import build_plan
from outagekit.plan.model import Plan
from outagekit.plan.spread import with_survey
from outagekit.playbook.model import (
    AnyAction,
    Playbook,
    Reboot,
    Step,
    WaitHttp,
    WaitScript,
    WaitTcp,
)
from outagekit.run.engine.state import Progress, State

DRILL: Final = "drill"
"""Who answers a rehearsal's questions where nobody else is there."""

_LEAST_REBOOT_S: Final = 30.0
"""Seeing a machine settled after its restart takes this long at any speed."""
_LEAST_EVERY_S: Final = 0.2
_LOOPS_IN_A_ROOM: Final = 3
_LEAST_SWING: Final = 0.25


@dataclass(frozen=True, slots=True)
class Tempo:
    """How a rehearsal shortens waiting; scripts, checks and judgement are not touched."""

    timeout_s: float = 5.0
    """The longest a step may take: a hanging endpoint costs this much."""
    speed: float = 60.0
    """What bake, waiting room, pauses before another try and restarts are divided by."""

    def pace(self, playbook: Playbook) -> Pace:
        """Return how fast the machines are for a playbook that was shortened by this tempo.

        Where the waiting room is short, machines that come and go do so faster: three turns of a
        boot loop shall fit into it, as far as a connection can be made meanwhile.
        """
        room_s = playbook.rollout.waiting_room_s if playbook.rollout else 0.0
        fits = room_s / (LOOP_S * _LOOPS_IN_A_ROOM) if room_s else 1.0
        return Pace(speed=self.speed, swing=min(1.0, max(_LEAST_SWING, fits)))


def rehearsed(playbook: Playbook, tempo: Tempo) -> Playbook:
    """Return the playbook with its waiting shortened for a rehearsal.

    A step that waits for a person keeps its time: people are not faster in a drill. The probe
    that a plan would put before the first change is put there already, to be shortened as well.
    """
    playbook, _ = with_survey(playbook)
    rollout = playbook.rollout
    if rollout is not None:
        rollout = msgspec.structs.replace(
            rollout,
            bake_s=rollout.bake_s / tempo.speed,
            waiting_room_s=rollout.waiting_room_s / tempo.speed,
        )
    steps = tuple(step if step.local else _rehearsed(step, tempo) for step in playbook.steps)
    return msgspec.structs.replace(playbook, rollout=rollout, steps=steps)


def _rehearsed(step: Step, tempo: Tempo) -> Step:
    delay_s = step.retry.delay_s / tempo.speed
    return msgspec.structs.replace(
        step,
        action=_hurried(step.action, tempo),
        timeout_s=min(step.timeout_s, tempo.timeout_s),
        retry=msgspec.structs.replace(step.retry, delay_s=delay_s),
    )


def _hurried(action: AnyAction, tempo: Tempo) -> AnyAction:
    match action:
        case Reboot(within_s=whole_s):
            within_s = max(whole_s / tempo.speed, min(whole_s, _LEAST_REBOOT_S))
            return msgspec.structs.replace(action, within_s=within_s)
        case WaitTcp(every_s=whole_s) | WaitHttp(every_s=whole_s) | WaitScript(every_s=whole_s):
            every_s = max(whole_s / tempo.speed, min(whole_s, _LEAST_EVERY_S))
            return msgspec.structs.replace(action, every_s=every_s)
        case _:
            return action


def drill_plan(fleet: Fleet) -> Plan:
    """Return the plan of a drill: the fleet's playbook over all its endpoints."""
    return build_plan(
        fleet.playbook,
        params=fleet.params,
        endpoints=fleet.inventory.endpoints(),
        clients=fleet.inventory.clients,
        selection=f"a simulated fleet, {fleet.playbook.targets or 'all'}",
    )


def drill_answers(plan: Plan) -> tuple[ApprovalGiven, ...]:
    """Return a yes to everything a plan asks people, for a drill at which nobody is there."""
    asked = [question for question in questions(plan) if "@" not in question]
    return beforehand([f"{name}={DRILL}: nobody is asked in a rehearsal" for name in asked], plan)


def score_of(fleet: Fleet, plan: Plan, state: State) -> Score:
    """Return how well a run over the fleet judged its endpoints.

    Those it has not come to the end with are not judged, unless they are in doubt: what nobody
    has answered by then is unknown.
    """
    judged: dict[EndpointId, Judged] = {}
    unfinished: set[EndpointId] = set()
    for identity, progress in state.progress.items():
        if progress.doubt is not None:
            steps = _ends(progress) | {progress.doubt.step: EndState.UNKNOWN}
            judged[identity] = Judged(EndState.UNKNOWN, progress.doubt.failure, steps)
        elif progress.ended or progress.position >= len(plan.steps):
            worst = progress.worst
            failure = worst.failure if worst else None
            judged[identity] = Judged(progress.state, failure, _ends(progress))
        else:
            unfinished.add(identity)
    cases = fleet.chosen(plan.endpoints)
    return score(cases, judged, fleet.machines, unfinished=unfinished)


def _ends(progress: Progress) -> dict[StepId, EndState]:
    """Return what is claimed of each step; one that stood once was done, whatever came of it."""
    return {
        step: EndState.CHANGED if end.stood else end.state for step, end in progress.ends.items()
    }
