"""What is true of a run, as a fold over its records: no clock, no I/O, no threads, no randomness.

`fold` takes the state over and gives it back: whoever calls it owns the state and keeps no copy.
Replaying the same records from `begin` gives an equal state, at every replay. Steps that never
began because an earlier one ended the endpoint's run need no record: they follow from the plan.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from outagekit.events import (
    WORST_FIRST,
    AttemptId,
    EndpointId,
    EndState,
    FailureKind,
    Record,
    RunClosed,
    RunPaused,
    RunResumed,
    StageOpened,
    StepFinished,
    StepId,
    StepInDoubt,
    StepStarted,
)
from outagekit.inventory.model import Endpoint
from outagekit.plan.model import Plan, Stage
from outagekit.run.turns import Place, Turns

_ENDING = frozenset({EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE})
_RANK = {state: rank for rank, state in enumerate(WORST_FIRST)}


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended on an endpoint."""

    state: EndState
    failure: FailureKind | None = None
    detail: str = ""
    result: dict[str, Any] | None = None


@dataclass(slots=True)
class Progress:
    """How far one endpoint has come."""

    endpoint: Endpoint
    position: int = 0
    """Index of the step it is at or would begin next."""
    tries: int = 0
    """How often the step at `position` was started."""
    running: AttemptId | None = None
    ends: dict[StepId, StepEnd] = field(default_factory=dict)
    ended: bool = False
    """Failed, unknown or unreachable: no later step begins."""
    begun: bool = False
    """At least one step was started."""

    @property
    def state(self) -> EndState:
        """The endpoint's end state so far: the worst of its steps."""
        if not self.ends:
            return EndState.SKIPPED
        return min((end.state for end in self.ends.values()), key=_RANK.__getitem__)

    @property
    def worst(self) -> StepEnd | None:
        """The step end that decides the endpoint's state, or None before any."""
        return min(self.ends.values(), key=lambda end: _RANK[end.state], default=None)


@dataclass(slots=True)
class State:
    """Everything the engine knows. Only `fold` changes it."""

    plan: Plan
    progress: dict[EndpointId, Progress]
    stage: Stage | None = None
    stage_end: int = 0
    """Index after the last step of the open stage."""
    open_in_stage: int = 0
    """Endpoints that still have work in the open stage."""
    continuing: Turns = field(default_factory=Turns)
    """Begun in this stage and ready for more: these go before `fresh`."""
    fresh: Turns = field(default_factory=Turns)
    delayed: dict[EndpointId, int] = field(default_factory=dict)
    """Waiting for a retry until this monotonic time in ns."""
    running: dict[AttemptId, EndpointId] = field(default_factory=dict)
    running_at: Counter[Place] = field(default_factory=Counter)
    """(client, site) -> how many of its endpoints run a step now."""
    paused: str = ""
    closed: bool = False

    @property
    def next_stage(self) -> Stage | None:
        """The stage after the open one, or None after the last."""
        number = self.stage.number if self.stage else 0
        return self.plan.stages[number] if number < len(self.plan.stages) else None

    @property
    def alive(self) -> int:
        """How many endpoints have not come to an early end."""
        return sum(not each.ended for each in self.progress.values())

    def counts(self) -> dict[EndState, int]:
        """Return how many endpoints are in each end state; states without any are left out."""
        found = Counter(each.state for each in self.progress.values())
        return {state: found[state] for state in WORST_FIRST if found[state]}


def begin(plan: Plan) -> State:
    """Return the state before the first record of a run."""
    return State(plan, {e.id: Progress(e) for e in plan.endpoints})


def fold(state: State, record: Record) -> State:
    """Return the state after a record. Events that change no state pass through."""
    match record.event:
        case StageOpened(stage=number):
            _open_stage(state, state.plan.stages[number - 1])
        case StepStarted() as event:
            _start(state, event)
        case StepFinished() as event:
            _finish(state, event, record.mono)
        case StepInDoubt() as event:
            _doubt(state, event)
        case RunResumed():
            state.paused = ""
            state.delayed = dict.fromkeys(state.delayed, 0)
        case RunPaused(why=why):
            state.paused = why or "paused"
        case RunClosed():
            state.closed = True
        case _:
            pass
    return state


def _open_stage(state: State, stage: Stage) -> None:
    state.stage = stage
    state.stage_end = sum(len(each.steps) for each in state.plan.stages[: stage.number])
    state.continuing.clear()
    state.fresh.clear()
    state.open_in_stage = 0
    for identity, progress in state.progress.items():
        if not progress.ended:
            state.fresh.add(identity, place_of(progress.endpoint))
            state.open_in_stage += 1


def _start(state: State, event: StepStarted) -> None:
    progress = state.progress[event.endpoint]
    progress.running = event.attempt
    progress.tries = event.number
    progress.begun = True
    _unqueue(state, event.endpoint, progress)
    state.running[event.attempt] = event.endpoint
    state.running_at[place_of(progress.endpoint)] += 1


def _finish(state: State, event: StepFinished, mono_ns: int) -> None:
    progress = state.progress[event.endpoint]
    _leave_lane(state, progress)
    _unqueue(state, event.endpoint, progress)
    if event.retry_in_ms is not None:
        state.delayed[event.endpoint] = mono_ns + event.retry_in_ms * 1_000_000
        return
    progress.ends[event.step] = StepEnd(event.state, event.failure, event.detail, event.result)
    _advance(state, event.endpoint, progress, ended=event.state in _ENDING)


def _doubt(state: State, event: StepInDoubt) -> None:
    progress = state.progress[event.endpoint]
    _leave_lane(state, progress)
    progress.ends[event.step] = StepEnd(EndState.UNKNOWN, FailureKind.ABANDONED, event.why)
    _advance(state, event.endpoint, progress, ended=True)


def _advance(state: State, identity: EndpointId, progress: Progress, *, ended: bool) -> None:
    progress.position += 1
    progress.tries = 0
    progress.ended = ended
    if ended or progress.position >= state.stage_end:
        state.open_in_stage -= 1
    else:
        state.continuing.add(identity, place_of(progress.endpoint))


def _leave_lane(state: State, progress: Progress) -> None:
    if progress.running is None:
        return
    del state.running[progress.running]
    progress.running = None
    state.running_at[place_of(progress.endpoint)] -= 1


def _unqueue(state: State, identity: EndpointId, progress: Progress) -> None:
    place = place_of(progress.endpoint)
    state.continuing.remove(identity, place)
    state.fresh.remove(identity, place)
    state.delayed.pop(identity, None)


def place_of(endpoint: Endpoint) -> Place:
    """Return the client and site an endpoint takes its turns in."""
    return (endpoint.client, endpoint.site or "")
