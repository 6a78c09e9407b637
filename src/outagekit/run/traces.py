"""What a run has left on its endpoints, as its records tell it. Pure.

A step whose end nobody knows is never taken for done, nor for not done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from outagekit.errors import LogDamaged
from outagekit.events import (
    AnyEvent,
    EndpointId,
    EndState,
    RunId,
    StepFinished,
    StepId,
    StepPart,
    StepResolved,
    StepStarted,
    StepUndone,
)
from outagekit.plan.model import Plan
from outagekit.playbook.expressions import ExpressionProblem
from outagekit.playbook.model import RESERVED_NAMES, RunScript, Step
from outagekit.run.engine.fold import fold
from outagekit.run.engine.mending import proves_contact
from outagekit.run.engine.state import Progress, State, StepEnd, begin
from outagekit.run.engine.values import step_values
from outagekit.run.replay import Recorded

Standing = Literal["changed", "unknown", "failed", "taken_back"]
"""What a changing step has left on an endpoint. `changed`: it was done there and still is;
`unknown`: nobody knows, of the step or of an earlier try to take it back; `failed`: something of
it was executed, so perhaps half of it was done."""
Marks = Mapping[StepId, tuple[EndpointId, ...]]
"""Steps of the run, the last one first, with endpoints in the order of its plan."""
Place = tuple[StepId, EndpointId]
"""A step on an endpoint."""


@dataclass(frozen=True, slots=True)
class Traces:
    """What a run has left on its endpoints."""

    run: RunId
    plan: Plan
    standings: Mapping[Place, Standing]
    """Only places where something was left, or taken back."""
    values: Mapping[Place, Mapping[str, Any]]
    """What the scripts of a step with an undo got when it was last begun there."""

    def found(self, *standings: Standing, undo: bool | None = None) -> Marks:
        """Return where changing steps stand so; `undo` picks steps with, or without, an undo."""
        marks: dict[StepId, tuple[EndpointId, ...]] = {}
        for step in reversed(self.plan.steps):
            if undo is not None and undo is not (step.undo is not None):
                continue
            names = (endpoint.id for endpoint in self.plan.endpoints)
            there = tuple(n for n in names if self.standings.get((step.id, n)) in standings)
            if there:
                marks[step.id] = there
        return marks

    def among(self, endpoints: Collection[EndpointId]) -> Traces:
        """Return the traces on some of the endpoints only."""
        kept = {place: found for place, found in self.standings.items() if place[1] in endpoints}
        return replace(self, standings=kept)


def traces_of(left: Recorded, earlier: Sequence[Recorded] = ()) -> Traces:
    """Return what a recorded run has left.

    `earlier` are the runs that took it back before, whole or in part: what they undid is not
    undone twice, and what became unknown in them is unknown. Raises `LogDamaged` if a value a
    step was begun with cannot be told from the records.
    """
    retold = _Retold(left)
    plan = left.state.plan
    standings: dict[Place, Standing] = {}
    for progress in left.state.progress.values():
        for step in plan.steps:
            standing = _standing(progress, step, retold) if step.changes else None
            if standing is not None:
                standings[step.id, progress.endpoint.id] = standing
    for undo in earlier:
        _take_account(standings, undo, plan)
    return Traces(left.state.run, plan, standings, retold.values)


def undo_ids(plan: Plan) -> dict[StepId, StepId]:
    """Return each step with an undo and the id of the step that takes it back, always the same."""
    taken = {*plan.playbook.params, *RESERVED_NAMES}
    names: dict[StepId, StepId] = {}
    for step in plan.steps:
        if step.changes and step.undo is not None:
            name = f"undo_{step.id}"
            while name in taken:
                name += "_"
            taken.add(name)
            names[step.id] = StepId(name)
    return names


class _Retold:
    """A run's records once more: what steps were begun with, and what never came to an end."""

    def __init__(self, left: Recorded) -> None:
        self.values: dict[Place, Mapping[str, Any]] = {}
        self.open: set[Place] = set()
        """Begun, or begun to be taken back, and nobody knows how that ended."""
        self.acted: set[Place] = set()
        """The script itself was executed there, not only a check."""
        self.half: set[Place] = set()
        """Known not to be as wanted after something was executed, and not begun again since."""
        self._unsure: set[Place] = set()
        """Begun again although an earlier attempt may have done it."""
        state = begin(left.state.plan, left.state.run)
        for record in left.records:
            self._note(record.event, state)
            state = fold(state, record)

    def is_open(self, place: Place) -> bool:
        """Return whether nobody knows what an attempt there has come to."""
        return place in self.open or place in self._unsure

    def _note(self, event: AnyEvent, state: State) -> None:
        match event:
            case StepStarted(step=step, endpoint=endpoint, purpose="do" | "undo"):
                self.open.add((step, endpoint))
                if event.purpose == "do" and state.index.step[step].undo is not None:
                    self.values[step, endpoint] = _values(state, endpoint, step)
            case StepPart(step=step, endpoint=endpoint, part="script"):
                self.acted.add((step, endpoint))
            case StepFinished():
                self._finish(event)
            case StepUndone(step=step, endpoint=endpoint, state=end):
                if end is not EndState.UNKNOWN:
                    self.open.discard((step, endpoint))
            case StepResolved():
                self._resolve(event)
            case _:
                pass

    def _finish(self, event: StepFinished) -> None:
        place = (event.step, event.endpoint)
        self.open.discard(place)
        if not proves_contact(event.state, event.failure):
            return
        self._unsure.discard(place)
        (self.half.discard if event.retry_in_ms is None else self.half.add)(place)

    def _resolve(self, event: StepResolved) -> None:
        place = (event.step, event.endpoint)
        self.open.discard(place)
        if event.state is None and event.how == "probed":
            self.half.add(place)
        elif event.state is None and event.how != "settled":
            self._unsure.add(place)


def _values(state: State, endpoint: EndpointId, step: StepId) -> Mapping[str, Any]:
    try:
        return step_values(state, state.progress[endpoint], state.index.step[step])
    except ExpressionProblem as error:
        message = f"the values {step} was begun with on {endpoint} cannot be told: {error.message}"
        raise LogDamaged(message) from error


def _standing(progress: Progress, step: Step, retold: _Retold) -> Standing | None:
    place = (step.id, progress.endpoint.id)
    end = progress.ends.get(step.id)
    if retold.is_open(place):
        return "unknown"
    if end is not None and end.undone:
        return "taken_back"
    # Done, although it was not seen to hold after the bake: it is there to be taken back.
    if end is not None and (end.state is EndState.CHANGED or end.stood):
        return "changed"
    if end is not None and end.state is EndState.UNKNOWN:
        return "unknown"
    if place in retold.half or (end is not None and _is_half_done(end, step, place, retold)):
        return "failed"
    return None


def _is_half_done(end: StepEnd, step: Step, place: Place, retold: _Retold) -> bool:
    """Return whether a step that did not reach its goal may have done something all the same."""
    if end.state is not EndState.FAILED or not proves_contact(end.state, end.failure):
        return False
    told = isinstance(step.action, RunScript) and not step.detach
    return place in retold.acted or not told


def _take_account(standings: dict[Place, Standing], undo: Recorded, plan: Plan) -> None:
    """Change what stands by what an earlier undo of the run has come to."""
    retold = _Retold(undo)
    for step, name in undo_ids(plan).items():
        for endpoint, progress in undo.state.progress.items():
            end = progress.ends.get(name)
            place = (step, endpoint)
            if standings.get(place) not in {"changed", "unknown"}:
                continue
            unknown = end is not None and end.state is EndState.UNKNOWN
            if unknown or retold.is_open((name, endpoint)):
                standings[place] = "unknown"
            elif end is not None and end.state is EndState.CHANGED:
                standings[place] = "taken_back"
