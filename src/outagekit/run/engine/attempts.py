"""What an endpoint that is ready does next: an attempt with its number and values, or a skip."""

from __future__ import annotations

from outagekit.events import (
    AttemptId,
    EndpointId,
    EndState,
    FailureKind,
    Purpose,
    StepFinished,
    StepId,
    StepUndone,
    StepVerified,
)
from outagekit.playbook.expressions import ExpressionProblem, NoValue
from outagekit.playbook.model import Step, WaitHttp, WaitScript, WaitTcp
from outagekit.run.engine.commands import Command, Start
from outagekit.run.engine.fold import detach_name
from outagekit.run.engine.placing import next_index
from outagekit.run.engine.questions import ask_or_say
from outagekit.run.engine.state import CANNOT_CHECK, Progress, State
from outagekit.run.engine.values import applies, is_handed, namespace, step_values


def retry_delay_s(step: Step, tries: int, failure: FailureKind | None) -> float | None:
    """Return the seconds before another try after so many, or None for no more.

    Only an exit code is a definite failure. Silence is doubt, and doubt is never tried again
    blindly.
    """
    if failure is not FailureKind.EXIT_CODE or tries >= step.retry.attempts:
        return None
    return step.retry.delay_before(tries + 1)


def begin_attempt(
    state: State, progress: Progress, step: Step, purpose: Purpose
) -> Start | StepFinished:
    """Return the start of an attempt of a step, with its number and its values.

    Raises `NoValue` if a value it is handed does not exist.
    """
    identity = progress.endpoint.id
    number = progress.numbers.get(step.id, 0) + 1
    detach = ""
    if step.detach and purpose == "do":
        begun = progress.detached.get(step.id, number)
        detach = detach_name(state.run, identity, step.id, begun)
    try:
        values = step_values(state, progress, step)
    except ExpressionProblem as fault:
        return _broken(identity, step, fault)
    return Start(
        endpoint=identity,
        step=step,
        attempt=AttemptId(f"{identity}:{step.id}:{number}"),
        number=number,
        values=values,
        purpose=purpose,
        tries=progress.tries + 1,
        detach=detach,
    )


def next_command(state: State, progress: Progress) -> Command:
    """Return what an endpoint that is ready does next."""
    if progress.undo:
        return _look_back(state, progress, state.index.step[progress.undo[0]], "undo")
    if progress.recheck:
        return _look_back(state, progress, state.index.step[progress.recheck[0]], "recheck")
    step = state.step_at(next_index(state, progress))
    reason = _skip_reason(state, progress, step)
    if reason is not None:
        return reason
    if step.local:
        return ask_or_say(state, progress, step, namespace(state, progress))
    return _do_or_foresee(state, progress, step)


def _do_or_foresee(state: State, progress: Progress, step: Step) -> Command:
    identity, before = progress.endpoint.id, progress.foreseen
    if before and isinstance(step.action, WaitTcp | WaitHttp | WaitScript):
        return _skip(identity, step, f"{CANNOT_CHECK}: it waits for what {before} may bring")
    if not (state.plan.dry_run and step.changes):
        return _start(state, progress, step, "do")
    if step.check is None:
        return _skip(identity, step, CANNOT_CHECK, would_change=True)
    return _start(state, progress, step, "foresee")


def _look_back(state: State, progress: Progress, step: Step, purpose: Purpose) -> Command:
    """Return the start of an undo, or of another look; without its values it has failed."""
    try:
        start = begin_attempt(state, progress, step, purpose)
    except NoValue as missing:
        why = f"no value: {missing.name}"
    else:
        if isinstance(start, Start):
            return start
        why = start.detail
    identity = progress.endpoint.id
    kind = StepUndone if purpose == "undo" else StepVerified
    return kind(
        endpoint=identity,
        step=step.id,
        attempt=AttemptId(f"{identity}:{step.id}:{progress.numbers[step.id]}"),
        state=EndState.FAILED,
        failure=FailureKind.BAD_RESULT,
        detail=why,
    )


def _start(state: State, progress: Progress, step: Step, purpose: Purpose) -> Command:
    try:
        return begin_attempt(state, progress, step, purpose)
    except NoValue as missing:
        return _valueless(progress, step, missing)


def _skip_reason(state: State, progress: Progress, step: Step) -> StepFinished | None:
    identity = progress.endpoint.id
    if not is_handed(state, progress, step):
        return _skip(identity, step, f"not changed by {state.plan.undoes}")
    try:
        if applies(state, progress, step):
            return None
        return _skip(identity, step, f"not when {step.when}")
    except NoValue as missing:
        return _valueless(progress, step, missing)
    except ExpressionProblem as fault:
        return _broken(identity, step, fault)


def _valueless(progress: Progress, step: Step, missing: NoValue) -> StepFinished:
    """Skip a step for want of a value; a dry run cannot know one that a change would give."""
    identity, reason = progress.endpoint.id, f"no value: {missing.name}"
    source = progress.ends.get(StepId(missing.name.partition(".")[0]))
    if source is None or not source.unforeseen:
        return _skip(identity, step, reason)
    return _skip(identity, step, f"{CANNOT_CHECK}: {reason}", would_change=step.changes)


def _skip(
    identity: EndpointId, step: Step, reason: str, *, would_change: bool = False
) -> StepFinished:
    return StepFinished(
        endpoint=identity,
        step=step.id,
        state=EndState.SKIPPED,
        detail=reason,
        would_change=would_change,
    )


def _broken(identity: EndpointId, step: Step, fault: ExpressionProblem) -> StepFinished:
    return StepFinished(
        endpoint=identity,
        step=step.id,
        state=EndState.FAILED,
        failure=FailureKind.BAD_RESULT,
        detail=f"an expression of the step fails here: {fault.message}",
    )
