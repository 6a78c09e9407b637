"""Settling what needs a decision other than a next step: doubts, and who cannot be reached. Pure.

A doubt is never guessed away: a read is done again, a change is looked at, and where nothing can
be looked at a person is asked.
"""

from __future__ import annotations

from typing import Final, Literal

from outagekit.events import EndpointParked, EndState, FailureKind, StepResolved
from outagekit.playbook.expressions import NoValue
from outagekit.playbook.model import OnDoubt, Step
from outagekit.run.engine.attempts import begin_attempt
from outagekit.run.engine.commands import Command, Start
from outagekit.run.engine.fold import doubt_name
from outagekit.run.engine.mending import is_shut_out, may_wait
from outagekit.run.engine.questions import OF_DOUBT, asked
from outagekit.run.engine.state import Doubt, Given, Progress, Question, State

MOST_DOUBTS: Final = 2
"""A step that was so often in doubt on an endpoint is not begun again there."""
_MOST_LEFT: Final = 10
"""The same for one that goes on without us and was left by us; looking for it costs nothing."""


def settle_attention(state: State, now_ns: int) -> list[Command]:
    """Return what is recorded of every endpoint that needs a decision and no look at it."""
    found = [settle_one(state, state.progress[identity], now_ns) for identity in state.attention]
    return [command for command in found if not isinstance(command, Start)]


def settle_one(state: State, progress: Progress, now_ns: int) -> Command:
    """Return what is to be done about an endpoint that is in doubt or cannot be reached."""
    if progress.unreached and may_wait(state, progress, now_ns):
        left_ns = (progress.room_until_ns or now_ns + state.room_ns) - now_ns
        return _parked(progress, max(1, left_ns // 1_000_000))
    if progress.doubt is None:
        return _parked(progress, 1)  # its time is over: it expires at once
    if progress.unreached:
        detail = f"{progress.doubt.why}; it could not be reached to see what became of it"
        return _resolved(progress.doubt, progress, "probed", EndState.UNKNOWN, detail)
    if is_shut_out(progress.doubt.failure):
        detail = f"{progress.doubt.why}; nobody could log in to see what became of it"
        return _resolved(progress.doubt, progress, "probed", EndState.UNKNOWN, detail)
    return _doubt(state, progress, progress.doubt)


def _doubt(state: State, progress: Progress, doubt: Doubt) -> Command:
    step = state.index.step[doubt.step]
    given = state.answers.get(doubt_name(doubt.step, progress.endpoint.id))
    if given is not None:
        return _as_answered(progress, step, doubt, given)
    match policy_of(step, doubt.failure):
        case "rerun":
            # One that was out of sight has been looked for as long as the step may take.
            left = step.detach and doubt.failure is FailureKind.ABANDONED
            most = _MOST_LEFT if left else MOST_DOUBTS
            if progress.doubts < most:
                what = "found again, not begun twice" if step.detach else "it may be done twice"
                return _resolved(doubt, progress, "rerun", None, what)
            detail = f"{doubt.why}, as often as it was tried"
            return _resolved(doubt, progress, "rerun", EndState.UNKNOWN, detail)
        case "probe":
            return _probe(state, progress, step, doubt)
        case "skip":
            detail = f"{doubt.why}; passed over, as the playbook says"
            return _resolved(doubt, progress, "skipped", EndState.UNKNOWN, detail)
        case "ask":
            return asked(_question(progress, step, doubt))


def _parked(progress: Progress, for_ms: int) -> EndpointParked:
    return EndpointParked(endpoint=progress.endpoint.id, for_ms=for_ms)


def policy_of(step: Step, failure: FailureKind) -> OnDoubt:
    """Return what settles a doubt about a step.

    One that runs detached is only looked for again, unless its time was over and it was ended.
    """
    if step.detach and failure is not FailureKind.TIMEOUT:
        return "rerun"
    provable = step.verify is not None or step.check is not None
    if step.on_doubt == "probe" and not provable:
        return "ask"
    if step.on_doubt is not None:
        return step.on_doubt
    if not step.changes:
        return "rerun"
    return "probe" if provable else "ask"


def _probe(state: State, progress: Progress, step: Step, doubt: Doubt) -> Start | StepResolved:
    try:
        start = begin_attempt(state, progress, step, "probe")
    except NoValue as missing:
        detail = f"{doubt.why}; it cannot be looked at, there is no {missing.name}"
        return _resolved(doubt, progress, "probed", EndState.UNKNOWN, detail)
    if isinstance(start, Start):
        return start
    return _resolved(doubt, progress, "probed", EndState.UNKNOWN, start.detail)


def _question(progress: Progress, step: Step, doubt: Doubt) -> Question:
    endpoint = progress.endpoint
    return Question(
        name=doubt_name(step.id, endpoint.id),
        kind="doubt",
        text=f"{step.id} on {endpoint.id}: {doubt.why}. Was it done?",
        answers=OF_DOUBT,
        step=step.id,
        endpoint=endpoint.id,
        client=endpoint.client,
    )


def _as_answered(progress: Progress, step: Step, doubt: Doubt, given: Given) -> StepResolved:
    done = EndState.CHANGED if step.changes else EndState.OK
    state = {
        "done": done,
        "rerun": None,
        "failed": EndState.FAILED,
    }.get(given.answer, EndState.UNKNOWN)
    because = f": {given.because}" if given.because else ""
    said = f"{given.who} says {given.answer}{because}"
    return _resolved(doubt, progress, "answered", state, said, given.who)


def _resolved(  # noqa: PLR0917  (each is a field of what is decided)
    doubt: Doubt,
    progress: Progress,
    how: Literal["probed", "rerun", "answered", "skipped"],
    state: EndState | None,
    detail: str,
    who: str = "",
) -> StepResolved:
    bad = state in {EndState.FAILED, EndState.UNKNOWN}
    return StepResolved(
        endpoint=progress.endpoint.id,
        step=doubt.step,
        attempt=doubt.attempt,
        how=how,
        state=state,
        failure=doubt.failure if bad else None,
        detail=detail,
        who=who,
    )
