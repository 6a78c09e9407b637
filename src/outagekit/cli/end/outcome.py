"""What the end of a run means for its endpoints: facts that text and document share. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from outagekit.events import EndState
from outagekit.run.engine.rollout import sums_at_gate
from outagekit.run.engine.spread import STRAGGLERS
from outagekit.run.engine.state import BAD, CANNOT_CHECK, RANK

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outagekit.events import EndpointId, GateSum, StepId
    from outagekit.plan.model import Plan, Stage
    from outagekit.run.engine.state import Progress, State, StepEnd

Waiting = Literal[
    "", "not begun", "not changed", "half way", "in the waiting room", "in doubt", "for a person"
]
"""Why an endpoint has not come to its end; empty if it has. `not changed`: it was only looked at
so far; `half way`: something of it was changed, or there is nothing to change."""
Foreseen = Literal["would change", "cannot check", ""]
"""What a dry run found out about an endpoint that is well otherwise."""
NotTaken = Literal["earlier", "not started", "to come"]
"""Why an endpoint has no end of a step: an earlier one ended its run, it was never begun, or it
has not come so far."""

_SAID_DONE: Final = re.compile(r".* says done(: .*)?", re.DOTALL)
_PROVEN: Final = "probed: it is as wanted"


def is_finished(progress: Progress, plan: Plan) -> bool:
    """Return whether an endpoint has come to its end, good or bad."""
    return not (_is_pending(progress) or progress.position < len(plan.steps))


def is_good(progress: Progress, plan: Plan) -> bool:
    """Return whether an endpoint took every step that applied, and none ended badly."""
    ended_early = progress.ended or progress.state in BAD
    return is_finished(progress, plan) and not ended_early


def waiting_of(progress: Progress, plan: Plan) -> Waiting:
    """Return what keeps an endpoint from its end."""
    if is_finished(progress, plan):
        return ""
    if progress.parked_until_ns is not None:
        return "in the waiting room"
    if progress.asked:
        return "for a person"
    if progress.doubt is not None or progress.running is not None:
        return "in doubt"
    if not progress.begun:
        return "not begun"
    return "half way" if not plan.changes or _is_touched(progress, plan) else "not changed"


def _is_touched(progress: Progress, plan: Plan) -> bool:
    """Return whether a changing step was begun on an endpoint."""
    return any(step.changes and step.id in progress.numbers for step in plan.steps)


def _is_pending(progress: Progress) -> bool:
    waits = progress.parked_until_ns is not None or progress.due_ns is not None
    at_work = progress.running is not None or progress.doubt is not None or bool(progress.asked)
    return waits or at_work or bool(progress.undo or progress.recheck)


def foreseen_of(progress: Progress) -> Foreseen:
    """Return what a dry run foresees: a change that is certain counts more than one that is not."""
    if progress.state in BAD:
        return ""
    open_ends = [end for end in progress.ends.values() if end.unforeseen]
    if any(not end.detail.startswith(CANNOT_CHECK) for end in open_ends):
        return "would change"
    return "cannot check" if open_ends else ""


def not_taken(progress: Progress, plan: Plan) -> dict[StepId, NotTaken]:
    """Return the steps an endpoint has no end of, and why; not those that happen once."""
    why: NotTaken = "to come" if progress.begun else "not started"
    if progress.ended:
        why = "earlier"
    return {s.id: why for s in plan.steps if s.id not in progress.ends and not s.once}


def refusal_of(state: State, progress: Progress) -> tuple[str, str]:
    """Return the step a person refused for an endpoint, and their words; empty if nobody did."""
    endpoint = progress.endpoint
    for step in state.plan.steps:
        names = (f"{step.id}@{endpoint.id}", f"{step.id}@{endpoint.client}", step.id)
        given = next((state.answers[name] for name in names if name in state.answers), None)
        end = progress.ends.get(step.id) or once_end(state, step.id, endpoint.client)
        if given is not None and given.answer == "no" and end is not None:
            return step.id, end.detail
    return "", ""


def once_end(state: State, step: StepId, client: str) -> StepEnd | None:
    """Return the end of a step that happens once, as far as a client is concerned."""
    return state.once.get((step, client)) or state.once.get((step, ""))


@dataclass(frozen=True, slots=True)
class ClosedGate:
    """A gate that is closed: its arithmetic, and who exceeds it."""

    stage: Stage
    wave: int
    """0 for those who came back too late for a wave."""
    waves: int
    sums: tuple[GateSum, ...]
    """What does not hold comes first."""
    culprits: tuple[tuple[EndpointId, ...], ...]
    """For each sum who makes it not hold; empty where it does."""


def closed_gate(state: State) -> ClosedGate | None:
    """Return the gate a run stands at, or None."""
    if state.closed_gate is None:
        return None
    number, wave = state.closed_gate
    now = sums_at_gate(state)
    # Tried again, they may be well by now; what closed it is still the reason it is closed.
    found = state.closing if all(each.holds for each in now) and state.closing else now
    sums = tuple(sorted(found, key=lambda each: each.holds))
    return ClosedGate(
        stage=state.plan.stages[number - 1],
        wave=wave,
        waves=len(state.spreads[number].waves),
        sums=sums,
        culprits=tuple(() if s.holds else _culprits(state, number, wave, s) for s in sums),
    )


def _culprits(state: State, number: int, wave: int, found: GateSum) -> tuple[EndpointId, ...]:
    places = [(number, state.spreads[number].members(wave))]
    if found.scope == "run":
        places = [(n, tuple(each.counted)) for n, each in state.spreads.items()]
    concerned = [(n, identity) for n, members in places for identity in members]
    names = [identity for n, identity in concerned if _is_counted(state, n, identity, found)]
    if not names:  # tried again, they count as something else by now
        names = [identity for n, identity in concerned if _counts_as(state, n, identity, found)]
    return tuple(dict.fromkeys(names))


def _is_counted(state: State, number: int, identity: EndpointId, found: GateSum) -> bool:
    """Return whether the gate counts an endpoint against itself at the moment."""
    spread = state.spreads[number]
    in_wave, late = spread.counted.get(identity, ((), ()))
    of_late = found.scope == "wave" and state.closed_gate == (number, STRAGGLERS)
    keys = late if of_late or identity not in spread.wave_of else in_wave
    return ("silent" if found.what == "answered" else found.what) in keys


def _counts_as(state: State, number: int, endpoint: EndpointId, found: GateSum) -> bool:
    steps = state.plan.stages[number - 1].steps
    ends = state.progress[endpoint].ends
    bad = (ends[name].state for name in steps if name in ends and ends[name].state in BAD)
    worst = min(bad, key=RANK.__getitem__, default=None)
    if found.what == "answered":
        return worst is not None and endpoint not in state.spreads[number].answered
    return worst is not None and worst.value == found.what


def ends_of(progress: Iterable[Progress]) -> Iterable[tuple[Progress, StepId, StepEnd]]:
    """Yield every end of a step on every endpoint."""
    for each in progress:
        for step, end in each.ends.items():
            yield each, step, end


def was_proven(end: StepEnd) -> bool:
    """Return whether a step was in doubt, and a look at the endpoint said that it is done."""
    return end.state not in BAD and end.detail == _PROVEN


def was_vouched_for(end: StepEnd) -> bool:
    """Return whether a step was in doubt, and only a person's word says that it is done."""
    return end.state not in BAD and _SAID_DONE.fullmatch(end.detail) is not None


def gave_up(progress: Progress) -> bool:
    """Return whether an endpoint was waited for in vain."""
    over = progress.room_until_ns is not None and progress.parked_until_ns is None
    return over and progress.ended and progress.state is EndState.UNREACHABLE


def baked(state: State) -> tuple[int, int]:
    """Return on how many endpoints everything held after the bake, and on how many it did not."""
    held = fell = 0
    for progress in state.progress.values():
        ends = progress.ends.values()
        if any(end.stood and end.state in BAD for end in ends):
            fell += 1
        elif not progress.recheck and any(end.held for end in ends):
            held += 1
    return held, fell
