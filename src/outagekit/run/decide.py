"""What should happen next, as a pure function of the state, the plan in it, and the time.

`decide` gives commands; the coordinator turns each into an event, folds it, and asks again until
there is nothing left to decide. No clock, no I/O, no randomness: attempt ids follow from names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from outagekit.events import AttemptId, EndpointId, EndState, FailureKind, RunId
from outagekit.playbook.expressions import ExpressionProblem, NoValue, evaluate
from outagekit.playbook.model import RESERVED_NAMES, Step
from outagekit.run.state import Progress, State, place_of
from outagekit.run.turns import Place


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may run at once."""

    running: int = 64
    per_site: int | None = None
    """For sites that name no `concurrency` of their own."""


@dataclass(frozen=True, slots=True)
class OpenStage:
    """All endpoints have passed the stage before."""

    number: int


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a step on an endpoint, with the values its scripts get."""

    endpoint: EndpointId
    step: Step
    attempt: AttemptId
    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Skip:
    """The step does not apply to this endpoint."""

    endpoint: EndpointId
    step: Step
    reason: str


@dataclass(frozen=True, slots=True)
class Break:
    """The step cannot begin: its own expressions fail on this endpoint's values."""

    endpoint: EndpointId
    step: Step
    detail: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Everything that ran has ended after a stop was asked for."""


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is left to do."""

    exit_code: int


Command = OpenStage | Start | Skip | Break | Pause | Close


def decide(
    state: State, now_ns: int, *, run: RunId, bounds: Bounds, stopping: bool = False
) -> list[Command]:
    """Return what to do now; empty while the run waits for endpoints or is over."""
    if state.closed or state.paused:
        return []
    if stopping and state.running:
        return []
    if state.stage is None or state.open_in_stage == 0:
        following = state.next_stage
        if following is None or state.alive == 0:
            return [Close(exit_code(state))]
        return [Pause() if stopping else OpenStage(following.number)]
    if stopping:
        return [Pause()]
    return list(_next_steps(state, now_ns, run, bounds))


def exit_code(state: State) -> int:
    """Return the exit code the end states call for; a failure outweighs silence."""
    counts = state.counts()
    if counts.get(EndState.FAILED):
        return 3
    if counts.get(EndState.UNREACHABLE) or counts.get(EndState.UNKNOWN):
        return 4
    return 0


def retry_delay_s(step: Step, number: int, failure: FailureKind | None) -> float | None:
    """Return the seconds before another try after try `number` failed, or None for no more.

    Only an exit code is a definite failure. Silence is doubt, and doubt is never tried again
    blindly.
    """
    if failure is not FailureKind.EXIT_CODE or number >= step.retry.attempts:
        return None
    return step.retry.delay_before(number + 1)


def _next_steps(state: State, now_ns: int, run: RunId, bounds: Bounds) -> Iterator[Command]:
    room = bounds.running - len(state.running)
    taken: Counter[Place] = Counter()
    limits: dict[Place, int | None] = {}

    def is_full(place: Place) -> bool:
        if place not in limits:
            limits[place] = _site_limit(state, place, bounds)
        limit = limits[place]
        return limit is not None and state.running_at[place] + taken[place] >= limit

    for identity in _candidates(state, now_ns, is_full):
        if room <= 0:
            return
        progress = state.progress[identity]
        command = _next_step(state, progress, run)
        if isinstance(command, Start):
            room -= 1
            taken[place_of(progress.endpoint)] += 1
        yield command


def _candidates(
    state: State, now_ns: int, is_full: Callable[[Place], bool]
) -> Iterator[EndpointId]:
    """Yield endpoints that could begin a step now: begun ones before new ones."""
    for identity, due_ns in state.delayed.items():
        if due_ns <= now_ns and not is_full(place_of(state.progress[identity].endpoint)):
            yield identity
    yield from state.continuing.next(is_full)
    yield from state.fresh.next(is_full)


def _site_limit(state: State, place: Place, bounds: Bounds) -> int | None:
    client, site = place
    if not site:
        return None
    return state.plan.client(client).sites[site].concurrency or bounds.per_site


def _next_step(state: State, progress: Progress, run: RunId) -> Command:
    step = state.plan.steps[progress.position]
    identity = progress.endpoint.id
    names = namespace(state, progress, run)
    try:
        if step.when is not None and not evaluate(step.when, names):
            return Skip(identity, step, f"not when {step.when}")
        values = step_values(state, step, names)
    except NoValue as missing:
        return Skip(identity, step, f"no value: {missing.name}")
    except ExpressionProblem as fault:
        return Break(identity, step, f"an expression of the step fails here: {fault.message}")
    number = progress.tries + 1
    attempt = AttemptId(f"{identity}:{step.id}:{number}")
    return Start(identity, step, attempt, number, values)


def namespace(state: State, progress: Progress, run: RunId) -> dict[str, Any]:
    """Return what expressions may refer to on this endpoint."""
    endpoint = progress.endpoint
    names: dict[str, Any] = {
        **state.plan.params,
        "client": endpoint.client,
        "endpoint": endpoint.name,
        "run": run,
    }
    for step, end in progress.ends.items():
        names[step] = {
            **{state.value: end.state is state for state in _OFFERED},
            "state": end.state.value,
            **(end.result or {}),
        }
    return names


_OFFERED = (
    EndState.CHANGED,
    EndState.OK,
    EndState.FAILED,
    EndState.SKIPPED,
    EndState.UNKNOWN,
)


def step_values(state: State, step: Step, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values the step's scripts get: parameters, `with`, and facts.

    Raises `NoValue` if a `with` expression refers to something that does not exist here.
    """
    handed = {
        name: evaluate(value, names) if isinstance(value, str) else value
        for name, value in step.with_.items()
    }
    facts = {name: names[name] for name in sorted(RESERVED_NAMES)}
    return {**state.plan.params, **handed, **facts}
