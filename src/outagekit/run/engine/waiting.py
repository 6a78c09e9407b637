"""Parts of the fold about whom a run waits for: people, the unreachable, and its next life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndpointExpired,
    EndpointParked,
    EndpointReturned,
    EndState,
    Event,
    FailureKind,
    OnceFinished,
    RunClosed,
    RunPaused,
    RunResumed,
)
from outagekit.run.engine import mending
from outagekit.run.engine.placing import settle
from outagekit.run.engine.state import Given, Question, State, StepEnd

_MS_NS = 1_000_000


def _once(state: State, event: OnceFinished, _now_ns: int) -> None:
    end = state.once[event.step, event.client] = StepEnd(event.state, detail=event.detail)
    if not (event.refused or end.state is EndState.FAILED):
        return
    for progress in state.progress.values():
        if event.client in {"", progress.endpoint.client}:
            progress.refused = progress.refused or event.refused
            if end.state is EndState.FAILED and not progress.ended:
                # Nobody could be asked: that is no leave to go on.
                progress.ends[event.step] = replace(end, failure=FailureKind.BAD_RESULT)
            progress.ended = True
            mending.leave_room(state, progress)
            settle(state, progress)


def _park(state: State, event: EndpointParked, now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    until_ns = now_ns + event.for_ms * _MS_NS
    progress.unreached = False
    progress.parked_until_ns = state.parked[event.endpoint] = until_ns
    if progress.room_until_ns is None:
        progress.room_until_ns = until_ns
    settle(state, progress)


def _return(state: State, event: EndpointReturned, now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    progress.seen_ns = now_ns
    mending.leave_room(state, progress)
    progress.returns += 1
    progress.fruitless += 1
    progress.straggler = True
    mending.forget(state, progress, (EndState.UNREACHABLE,))
    settle(state, progress)


def _expire(state: State, event: EndpointExpired, _now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    mending.leave_room(state, progress)
    mending.give_up(progress)
    settle(state, progress)


def _ask(state: State, event: ApprovalAsked, now_ns: int) -> None:
    state.questions[event.question] = Question(
        name=event.question,
        kind=event.kind,
        text=event.text,
        answers=event.answers,
        step=event.step,
        endpoint=event.endpoint,
        client=event.client,
        until_ns=now_ns + event.for_ms * _MS_NS if event.for_ms else None,
    )
    if event.endpoint is not None:
        progress = state.progress[event.endpoint]
        progress.asked = event.question
        settle(state, progress)


def _hear(state: State, event: ApprovalGiven, _now_ns: int) -> None:
    state.answers[event.question] = Given(event.answer, event.who, event.because)
    question = state.questions.pop(event.question, None)
    if question is not None and question.endpoint is not None:
        progress = state.progress[question.endpoint]
        progress.asked = ""
        settle(state, progress)


def _pause(state: State, event: RunPaused, _now_ns: int) -> None:
    state.paused = event.why or "paused"


def _resume(state: State, event: RunResumed, now_ns: int) -> None:
    state.paused = ""
    mending.ask_again(state)
    mending.open_room_again(state, now_ns)
    if event.retry:
        mending.try_again(state)
    for progress in state.progress.values():
        progress.doubts = 0  # how often we died says nothing about an endpoint
        settle(state, progress)


def _close(state: State, _event: RunClosed, _now_ns: int) -> None:
    state.closed = True


FOLDS: Final[dict[type[Event], Callable[[State, Any, int], None]]] = {
    OnceFinished: _once,
    EndpointParked: _park,
    EndpointReturned: _return,
    EndpointExpired: _expire,
    ApprovalAsked: _ask,
    ApprovalGiven: _hear,
    RunPaused: _pause,
    RunResumed: _resume,
    RunClosed: _close,
}
"""Event -> what it does to a state; the last argument is run time."""
