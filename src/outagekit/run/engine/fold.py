"""The state of a run as a fold over its records: no clock, no I/O, no threads, no randomness.

`fold` takes the state over and gives it back: whoever calls it owns the state and keeps no copy.
Replaying the same records from `begin` gives an equal state, at every replay. Steps that never
began because an earlier one ended the endpoint's run need no record: they follow from the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from outagekit.errors import LogDamaged
from outagekit.events import (
    EndpointId,
    EndState,
    Event,
    FailureKind,
    Record,
    RunId,
    RunOpened,
    RunResumed,
    StepFinished,
    StepId,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepTidied,
    StepUndone,
    StepVerified,
)
from outagekit.log.clock import moment_ns
from outagekit.playbook.model import Reboot, WaitHttp, WaitTcp
from outagekit.run.engine import mending, spreading, waiting
from outagekit.run.engine.placing import is_looping, settle
from outagekit.run.engine.state import (
    BAD,
    Attempt,
    Doubt,
    Progress,
    State,
    StepEnd,
    place_of,
)

_MS_NS = 1_000_000


def fold(state: State, record: Record) -> State:
    """Return the state after a record. Events that change no state pass through.

    Raises `LogDamaged` for a record that cannot follow from the plan.
    """
    if isinstance(record.event, RunOpened | RunResumed):
        # Run time goes on from one process life to the next by the wall clock between them, and
        # stands still over a wall clock that was set back: no wait may become longer by that.
        state.epoch_ns = max(moment_ns(record.at), state.latest_ns) - record.mono
    take = _FOLDS.get(type(record.event))
    if take is not None:
        state.latest_ns = record.mono + state.epoch_ns
        try:
            take(state, record.event, state.latest_ns)
        except (KeyError, IndexError) as error:
            message = f"record {record.seq} is about something the plan does not have: {error}"
            raise LogDamaged(message) from error
    return state


def _start(state: State, event: StepStarted, _now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    progress.running = Attempt(event.attempt, event.step, event.purpose)
    progress.numbers[event.step] = event.number
    progress.begun = True
    progress.unreached = False
    progress.due_ns = None
    stage = state.stage_of(event.step).number
    if event.purpose in {"do", "foresee"}:
        progress.tries += 1
        progress.stage_begun = stage
        if state.index.step[event.step].detach:
            progress.detached.setdefault(event.step, event.number)
    state.running[event.attempt] = event.endpoint
    state.running_at[place_of(progress.endpoint)] += 1
    if progress.straggler and stage in state.spreads:
        state.spreads[stage].join(event.endpoint)
        state.waved.add(event.endpoint)
    settle(state, progress)


def _part(state: State, event: StepPart, now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    if not _note_answer(state, progress, event, now_ns):
        settle(state, progress)


def _finish(state: State, event: StepFinished, now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    _leave_lane(state, progress)
    if event.attempt is not None and mending.proves_contact(event.state, event.failure):
        _note_answer(state, progress, event, now_ns)
    _note_boot(state, progress, event)
    _leave_behind(state, progress, event.step)
    if event.retry_in_ms is not None:
        progress.unsettled = False
        progress.due_ns = now_ns + event.retry_in_ms * _MS_NS
        settle(state, progress)
        return
    end = StepEnd(event.state, event.failure, event.detail, event.result, event.would_change)
    progress.refused = progress.refused or event.refused
    progress.ended = progress.ended or event.refused
    _end_step(state, progress, event, end, now_ns)


def _end_step(
    state: State,
    progress: Progress,
    event: StepFinished | StepResolved,
    end: StepEnd,
    now_ns: int,
) -> None:
    progress.ends[event.step] = end
    waits = end.state is EndState.UNREACHABLE and mending.may_wait(state, progress, now_ns)
    progress.unreached = waits
    if waits:
        mending.take_back_try(progress)
    else:
        progress.tries = progress.doubts = 0
        progress.unsettled = False
        passed_over = isinstance(event, StepResolved) and event.how == "skipped"
        if end.state in BAD and not passed_over:
            mending.end_badly(state, progress, end.state)
    settle(state, progress)


def _doubt(state: State, event: StepInDoubt, _now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    purpose = progress.running.purpose if progress.running else "do"
    _leave_lane(state, progress)
    if purpose == "do":
        if isinstance(state.index.step[event.step].action, Reboot):
            progress.boot_id = ""  # perhaps it has restarted, and then by this run
        progress.doubt = Doubt(event.step, event.attempt, event.why, event.failure)
        progress.unreached = mending.is_out_of_reach(event.failure)
        if progress.unreached:
            mending.take_back_try(progress)
        else:
            progress.doubts += 1
        progress.ends[event.step] = StepEnd(EndState.UNKNOWN, event.failure, event.why)
    elif purpose == "probe":
        progress.unreached = event.failure is not FailureKind.ABANDONED
    elif purpose == "undo":
        _stop_undoing(progress, event.step, event.failure, event.why)
    settle(state, progress)


def _stop_undoing(progress: Progress, step: StepId, failure: FailureKind | None, why: str) -> None:
    """Take nothing more back: of this step nobody knows whether it was."""
    progress.undo = []
    detail = f"nobody knows whether it was taken back: {why}"
    progress.ends[step] = replace(
        progress.ends[step], state=EndState.UNKNOWN, failure=failure, detail=detail, stood=False
    )


def _resolve(state: State, event: StepResolved, now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    _leave_lane(state, progress)
    progress.doubt = None
    progress.unreached = False
    progress.asked = ""
    state.answers.pop(doubt_name(event.step, event.endpoint), None)
    if event.how not in {"rerun", "settled"} and not _is_out_of_sight(event):
        _leave_behind(state, progress, event.step)
    # A look has run a command there; a person who says how it ended has seen that one had run.
    known = event.how == "probed" or (event.how == "answered" and event.state is not None)
    if known and event.state is not EndState.UNKNOWN:
        _note_answer(state, progress, event, now_ns)
    if event.state is None:
        if event.how == "settled":  # it was never begun: neither a try nor a doubt
            mending.take_back_try(progress)
            progress.doubts -= 1
        else:
            again = event.how in {"rerun", "answered"}
            progress.unsettled = again and state.index.step[event.step].changes
        del progress.ends[event.step]
        progress.position = min(progress.position, state.index.position[event.step])
        settle(state, progress)
    else:
        end = StepEnd(event.state, event.failure, event.detail)
        _end_step(state, progress, event, end, now_ns)


def _verify(state: State, event: StepVerified, now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    _leave_lane(state, progress)
    progress.boot_id = event.boot_id or progress.boot_id
    if event.state is EndState.UNREACHABLE and mending.may_wait(state, progress, now_ns):
        progress.unreached = True
    elif event.state in BAD:
        progress.recheck = []
        mending.let_fall(progress, event.step, event.state, event.failure, event.detail)
        mending.end_badly(state, progress, event.state)
    else:
        progress.recheck = [name for name in progress.recheck if name != event.step]
        progress.ends[event.step] = replace(progress.ends[event.step], held=True)
    settle(state, progress)


def _undo(state: State, event: StepUndone, _now_ns: int) -> None:
    progress = state.progress[event.endpoint]
    _leave_lane(state, progress)
    if event.state is EndState.CHANGED:
        progress.undo = [name for name in progress.undo if name != event.step]
        progress.ends[event.step] = replace(progress.ends[event.step], undone=True)
    elif event.state is EndState.UNKNOWN:
        _stop_undoing(progress, event.step, event.failure, event.detail)
    else:
        progress.undo = []
    settle(state, progress)


def _tidy(state: State, event: StepTidied, _now_ns: int) -> None:
    state.left_behind.pop(event.detach, None)


def _is_out_of_sight(event: StepResolved) -> bool:
    """Return whether a detached step may still go on: what it leaves has to be found again."""
    return event.state is EndState.UNKNOWN and event.failure is not FailureKind.TIMEOUT


def _leave_behind(state: State, progress: Progress, step: StepId) -> None:
    """Remember what a detached step has left on its endpoint, now that its end is known."""
    number = progress.detached.pop(step, None)
    if number is not None:
        identity = progress.endpoint.id
        state.left_behind[detach_name(state.run, identity, step, number)] = (identity, step)


def _note_answer(
    state: State,
    progress: Progress,
    event: StepPart | StepFinished | StepResolved,
    now_ns: int,
) -> bool:
    """Remember that a command of ours ran; return whether nothing new was learnt.

    A port or a web page that is looked at from here is no command on the endpoint.
    """
    if isinstance(state.index.step[event.step].action, WaitTcp | WaitHttp):
        return True
    progress.answered = True
    progress.seen_ns = now_ns
    progress.fruitless = 0
    spread = state.spreads.get(state.stage_of(event.step).number)
    if spread is None or event.endpoint in spread.answered:
        return True
    spread.answered.add(event.endpoint)
    return False


def _note_boot(state: State, progress: Progress, event: StepFinished) -> None:
    """Remember the boot a step ended on, and whether it is one that came of itself."""
    known, seen = progress.boot_id, event.boot_id
    progress.boot_id = seen or known
    if isinstance(state.index.step[event.step].action, Reboot):
        progress.restarted = False
    elif known and seen and seen != known and not is_looping(state, progress):
        steps = state.stage_of(event.step).steps
        ends = (progress.ends[name] for name in steps if name in progress.ends)
        progress.restarted |= any(end.state is EndState.CHANGED for end in ends)


def _leave_lane(state: State, progress: Progress) -> None:
    if progress.running is None:
        return
    del state.running[progress.running.id]
    progress.running = None
    state.running_at[place_of(progress.endpoint)] -= 1


def detach_name(run: RunId, endpoint: EndpointId, step: StepId, number: int) -> str:
    """Return the id a detached step runs under: that of the attempt that started it."""
    return f"{run}:{endpoint}:{step}:{number}"


def doubt_name(step: str, endpoint: str) -> str:
    """Return the name of the question about a doubt."""
    return f"doubt-{step}@{endpoint}"


_FOLDS: Final[dict[type[Event], Callable[[State, Any, int], None]]] = {
    **spreading.FOLDS,
    **waiting.FOLDS,
    StepStarted: _start,
    StepPart: _part,
    StepFinished: _finish,
    StepInDoubt: _doubt,
    StepResolved: _resolve,
    StepVerified: _verify,
    StepUndone: _undo,
    StepTidied: _tidy,
}
