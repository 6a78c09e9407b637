"""What is true of a run, as values. Only `fold` changes them; everything else reads.

Times are nanoseconds of run time: the monotonic clock of a process life, moved so that it began
at the wall time of that life's first record. They go on over a resume and do not follow later
jumps of the wall clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from outagekit.events import (
    WORST_FIRST,
    AnswerWord,
    AttemptId,
    EndpointId,
    EndState,
    FailureKind,
    GateSum,
    Purpose,
    QuestionKind,
    RunId,
    StepId,
)
from outagekit.inventory.model import Endpoint
from outagekit.plan.model import Plan, Stage
from outagekit.playbook.model import Step
from outagekit.run.engine.spread import Excused, Spread
from outagekit.run.engine.turns import Place, Turns

BAD = frozenset({EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE})
CANNOT_CHECK: Final = "a dry run cannot check it"
"""How the detail of a step begins that a dry run could not foresee, for no change was made."""
RANK = {state: rank for rank, state in enumerate(WORST_FIRST)}


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended on an endpoint."""

    state: EndState
    failure: FailureKind | None = None
    detail: str = ""
    result: dict[str, Any] | None = None
    would_change: bool = False
    """In a dry run: it would have been done."""
    undone: bool = False
    """It was taken back, because a later step failed."""
    stood: bool = False
    """It had changed the endpoint; that was not seen to hold after the bake."""

    @property
    def unforeseen(self) -> bool:
        """Whether a dry run left it open what it would come to."""
        return self.would_change or self.detail.startswith(CANNOT_CHECK)

    held: bool = False
    """It was seen to hold after the bake."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that runs on an endpoint."""

    id: AttemptId
    step: StepId
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Doubt:
    """An attempt whose end nobody knows."""

    step: StepId
    attempt: AttemptId
    why: str
    failure: FailureKind


@dataclass(frozen=True, slots=True)
class Question:
    """Something only a person can say."""

    name: str
    kind: QuestionKind
    text: str
    answers: tuple[AnswerWord, ...]
    step: StepId | None = None
    endpoint: EndpointId | None = None
    client: str = ""
    until_ns: int | None = None
    """When nobody waits for the answer any more; None: not while there is other work."""


@dataclass(frozen=True, slots=True)
class Given:
    """A person's answer."""

    answer: AnswerWord
    who: str
    because: str = ""


@dataclass(slots=True)
class Progress:
    """How far one endpoint has come."""

    endpoint: Endpoint
    position: int = 0
    """Index of the first step it has still to take; the number of steps if there is none."""
    tries: int = 0
    """How often the step at hand was begun since it last had a chance to succeed."""
    doubts: int = 0
    """How often the step at hand was in doubt since the run was taken up."""
    unsettled: bool = False
    """The step at hand is begun again although an earlier try may have done it."""
    numbers: dict[StepId, int] = field(default_factory=dict)
    """The last attempt's number of each step that was begun."""
    running: Attempt | None = None
    ends: dict[StepId, StepEnd] = field(default_factory=dict)
    ended: bool = False
    """No later step begins, except those that always do."""
    refused: bool = False
    """A person refused the rest of its steps."""
    begun: bool = False
    """At least one step was started."""
    answered: bool = False
    """At least one command of ours ran on it."""
    seen_ns: int | None = None
    """When it last gave a sign of life: a command of ours ended there, or its port answered."""
    doubt: Doubt | None = None
    unreached: bool = False
    """The last attempt could not reach it."""
    parked_until_ns: int | None = None
    """It is in the waiting room until then."""
    room_until_ns: int | None = None
    """Until when it may use the waiting room, set when it first went there."""
    returns: int = 0
    """How often it came back from the waiting room."""
    fruitless: int = 0
    """How often it came back since a command of ours last ran on it."""
    straggler: bool = False
    """It came back, or was decided on, after the others had gone on."""
    asked: str = ""
    """Name of the question it waits for."""
    due_ns: int | None = None
    """It is left alone until then."""
    undo: list[StepId] = field(default_factory=list)
    recheck: list[StepId] = field(default_factory=list)
    detached: dict[StepId, int] = field(default_factory=dict)
    """Detached steps that run on without us, with the number of the attempt that started them."""
    boot_id: str = ""
    restarted: bool = False
    """After it was changed its machine has restarted by itself."""
    stage_begun: int = 0
    """Number of the last stage in which a step of it was begun."""

    @property
    def state(self) -> EndState:
        """The endpoint's end state so far: the worst of its steps."""
        worst = self.worst
        return EndState.SKIPPED if worst is None else worst.state

    @property
    def worst(self) -> StepEnd | None:
        """The step end that decides the endpoint's state, or None before any."""
        return min(self.ends.values(), key=lambda end: RANK[end.state], default=None)

    @property
    def foreseen(self) -> StepId | None:
        """The first step that a dry run did not do although it would be done, or None.

        What comes after it would find the endpoint in another state than the dry run does.
        """
        return next((name for name, end in self.ends.items() if end.would_change), None)


class _Index:
    """Where things stand in a plan."""

    def __init__(self, plan: Plan) -> None:
        self.step = {step.id: step for step in plan.steps}
        self.position = {step.id: index for index, step in enumerate(plan.steps)}
        self.stage: list[int] = []
        for stage in plan.stages:
            self.stage += [stage.number] * len(stage.steps)
        self.first = {
            stage.number: self.position[stage.steps[0]] for stage in plan.stages if stage.steps
        }


@dataclass
class State:
    """Everything the engine knows. Only `fold` changes it."""

    plan: Plan
    run: RunId
    progress: dict[EndpointId, Progress]
    epoch_ns: int = 0
    """What to add to this life's monotonic clock to get run time."""
    latest_ns: int = 0
    """The run time of the last record that changed anything."""
    stage: Stage | None = None
    present: set[EndpointId] = field(default_factory=set)
    """Who has still something to do in the open stage and is in no wave."""
    spreads: dict[int, Spread] = field(default_factory=dict)
    """Stage number -> how far its change has spread; there once its waves are cut."""
    continuing: Turns = field(default_factory=Turns)
    """Begun in this stage and ready for more: these go before `fresh`."""
    fresh: Turns = field(default_factory=Turns)
    straggling: Turns = field(default_factory=Turns)
    """Ready, but behind the others in a stage with waves."""
    pouncing: dict[EndpointId, None] = field(default_factory=dict)
    """Seen for a moment only: these go before everybody."""
    delayed: dict[EndpointId, int] = field(default_factory=dict)
    """Left alone until this run time."""
    attention: dict[EndpointId, None] = field(default_factory=dict)
    """In doubt, or to be parked: something is to be decided other than a next step."""
    parked: dict[EndpointId, int] = field(default_factory=dict)
    """In the waiting room, until this run time."""
    questions: dict[str, Question] = field(default_factory=dict)
    answers: dict[str, Given] = field(default_factory=dict)
    once: dict[tuple[StepId, str], StepEnd] = field(default_factory=dict)
    """(step, client or empty) -> the end of a step that happens once."""
    running: dict[AttemptId, EndpointId] = field(default_factory=dict)
    running_at: Counter[Place] = field(default_factory=Counter)
    """(client, site) -> how many of its endpoints run a step now."""
    waved: set[EndpointId] = field(default_factory=set)
    """Who was in an opened wave, or a straggler, in any stage so far."""
    closed_gate: tuple[int, int] | None = None
    """(stage, wave) of the gate that closed; wave 0 are the stragglers."""
    excused: dict[Excused, int] = field(default_factory=dict)
    """What a person went past -> the number that was found; a gate bears that much."""
    closing: tuple[GateSum, ...] = ()
    """The arithmetic that closed it."""
    retrying: set[EndpointId] = field(default_factory=set)
    """After a resume: those that closed the gate and are tried again."""
    gate_retried: bool = False
    """The closed gate is judged once more when those have ended."""
    left_behind: dict[str, tuple[EndpointId, StepId]] = field(default_factory=dict)
    """Ids of detached steps that have ended and still lie on their endpoint."""
    paused: str = ""
    closed: bool = False

    @cached_property
    def index(self) -> _Index:
        """Where steps and stages stand."""
        return _Index(self.plan)

    def step_at(self, position: int) -> Step:
        """Return the step at an index."""
        return self.plan.steps[position]

    def stage_of(self, step: StepId) -> Stage:
        """Return the stage a step belongs to."""
        return self.plan.stages[self.index.stage[self.index.position[step]] - 1]

    def spreads_in(self, stage: Stage) -> bool:
        """Return whether a stage runs in waves."""
        return stage.changes and stage.once is None and not self.plan.dry_run

    @property
    def room_ns(self) -> int:
        """How long the waiting room is open for an endpoint; 0 without one."""
        if self.plan.dry_run:
            return 0
        return int(self.plan.rollout.waiting_room_s * 1_000_000_000)

    @property
    def alive(self) -> int:
        """How many endpoints have not come to an early end."""
        return sum(not each.ended for each in self.progress.values())

    def counts(self) -> dict[EndState, int]:
        """Return how many endpoints are in each end state; states without any are left out."""
        found = Counter(each.state for each in self.progress.values())
        return {state: found[state] for state in WORST_FIRST if found[state]}

    def takes(self, progress: Progress, step: Step) -> bool:
        """Return whether a step is still to be taken by an endpoint, as far as it goes on."""
        if step.once or step.id in progress.ends:
            return False
        if not progress.ended:
            return True
        return step.always and progress.answered and not progress.refused

    def __eq__(self, other: object) -> bool:
        """Return whether everything that is known is the same."""
        if not isinstance(other, State):
            return NotImplemented
        mine = {k: v for k, v in vars(self).items() if k != "index"}
        return mine == {k: v for k, v in vars(other).items() if k != "index"}

    __hash__ = None  # type: ignore[assignment]


def begin(plan: Plan, run: RunId = RunId("")) -> State:  # noqa: B008  (a plain text)
    """Return the state before the first record of a run."""
    state = State(plan, run, {e.id: Progress(e) for e in plan.endpoints})
    for progress in state.progress.values():
        progress.position = next_position(state, progress, 0)
    return state


def next_position(state: State, progress: Progress, begin: int) -> int:
    """Return the index of the first step from `begin` on that the endpoint still has to take."""
    steps = state.plan.steps
    at = begin
    while at < len(steps) and not state.takes(progress, steps[at]):
        at += 1
    return at


def place_of(endpoint: Endpoint) -> Place:
    """Return the client and site an endpoint takes its turns in."""
    return (endpoint.client, endpoint.site or "")
