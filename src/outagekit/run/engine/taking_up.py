"""Going on where a run was left: what became of attempts nobody waited for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from outagekit.events import AnyEvent, AttemptId, FailureKind, StepInDoubt, StepResolved
from outagekit.run.engine.attempts import begin_attempt
from outagekit.run.engine.commands import Start
from outagekit.run.engine.facts import end_event
from outagekit.run.engine.ordering import make_order
from outagekit.run.engine.state import Progress, State
from outagekit.run.orders import Order, Settled

_WATCH_S = 2.0
_LONGEST_WATCH_S = 30.0
_MOMENTS = 5
_WHY = "the run ended before the end of this step was known"


def settled_events(state: State, known: Mapping[AttemptId, Settled]) -> Iterator[AnyEvent]:
    """Yield what is to be recorded of every attempt that was running when the run was left.

    An attempt that still runs where it is executed stays as it is.
    """
    for attempt, identity in tuple(state.running.items()):
        progress = state.progress[identity]
        running = progress.running
        settled = known.get(attempt)
        if running is None or (settled is not None and settled.kind == "running"):
            continue
        step = state.index.step[running.step]
        if settled is not None and settled.outcome is not None:
            number = progress.numbers[running.step]
            start = Start(
                identity, step, attempt, number, purpose=running.purpose, tries=progress.tries
            )
            yield end_event(settled.outcome, start, state)
            continue
        yield StepInDoubt(
            endpoint=identity,
            step=step.id,
            attempt=attempt,
            why=_WHY,
            failure=FailureKind.ABANDONED,
        )
        if settled is not None and settled.kind == "never_started" and running.purpose == "do":
            yield StepResolved(
                endpoint=identity,
                step=step.id,
                attempt=attempt,
                how="settled",
                detail="it was never started",
            )


def still_running(state: State) -> Iterator[tuple[Order, Start]]:
    """Yield what was handed out in an earlier life and still runs where it is executed."""
    for attempt, identity in state.running.items():
        progress = state.progress[identity]
        if progress.running is None:
            continue
        step = state.index.step[progress.running.step]
        start = begin_attempt(state, progress, step, progress.running.purpose)
        if isinstance(start, Start):
            number, tries = progress.numbers[step.id], progress.tries
            start = replace(start, attempt=attempt, number=number, tries=tries)
            yield make_order(state.plan, progress.endpoint, start), start


def left_behind(state: State) -> Iterator[Order]:
    """Yield the orders of detached steps that ended and still lie on their endpoints."""
    for detach, (identity, name) in state.left_behind.items():
        start = Start(identity, state.index.step[name], AttemptId(detach), 0, detach=detach)
        yield make_order(state.plan, state.progress[identity].endpoint, start)


def watch_delay_s(progress: Progress) -> float:
    """Return how long to leave an endpoint alone before its port is probed again.

    The longer, the more often it answered there and could not be worked with after all. One that
    was worked with before, and is perhaps up for moments only, has some more of them at first.
    """
    if not progress.returns:
        return 0.0
    doublings = progress.fruitless - (_MOMENTS if progress.answered else 0)
    return min(_LONGEST_WATCH_S, _WATCH_S * 2.0 ** min(max(0, doublings), 4))
