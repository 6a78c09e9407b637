"""Parts of the fold that take something back: retries, returns, and what a bad end leads to."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from outagekit.events import AttemptId, EndState, FailureKind, StepId, end_state_of
from outagekit.run.engine.state import BAD, Doubt, Progress, State

_SHUT_OUT: Final = frozenset(
    {
        FailureKind.HOST_KEY,
        FailureKind.TLS,
        FailureKind.AUTH,
        FailureKind.CREDENTIAL_STOPPED,
        FailureKind.BECOME,
        FailureKind.WRONG_MACHINE,
    }
)
_NO_CONTACT: Final = _SHUT_OUT | frozenset(
    {
        FailureKind.LOST,
        FailureKind.TIMEOUT,
        FailureKind.ABANDONED,
        FailureKind.PROTOCOL,
        FailureKind.LOCAL_IO,
    }
)


def proves_contact(end: EndState, failure: FailureKind | None) -> bool:
    """Return whether an attempt that ended so has certainly run a command on its endpoint."""
    return end is not EndState.UNREACHABLE and failure not in _NO_CONTACT


def is_out_of_reach(failure: FailureKind) -> bool:
    """Return whether a failure says that an endpoint could not be connected to."""
    return end_state_of(failure, sent=True) is EndState.UNREACHABLE


def may_wait(state: State, progress: Progress, now_ns: int) -> bool:
    """Return whether an endpoint that cannot be reached still has time in the waiting room."""
    if progress.ended or not state.room_ns:
        return False
    return progress.room_until_ns is None or now_ns < progress.room_until_ns


def is_shut_out(failure: FailureKind | None) -> bool:
    """Return whether a failure says that there is no way in, whatever was sent before."""
    return failure in _SHUT_OUT


def take_back_try(progress: Progress) -> None:
    """Have a try that did not reach its endpoint count as none."""
    progress.tries = max(0, progress.tries - 1)


def end_badly(state: State, progress: Progress, end: EndState) -> None:
    """End an endpoint's run; what it had changed is to be taken back, if the plan says so."""
    progress.ended = True
    if not state.plan.undo_on_failure or end is not EndState.FAILED:
        return
    system = progress.endpoint.os
    progress.undo = [
        step.id
        for step in reversed(state.plan.steps)
        if step.undo is not None
        and step.undo.for_os(system) is not None
        and (done := progress.ends.get(step.id)) is not None
        and (done.state is EndState.CHANGED or done.stood)
        and not done.undone
    ]


def to_recheck(
    state: State, progress: Progress, steps: tuple[StepId, ...], *, late: bool
) -> list[StepId]:
    """Return the steps of a stage that are still to be verified again after the bake.

    Those that changed the endpoint and can be verified; if none of the changed ones can be, the
    last of them stands for seeing that the endpoint still answers and was not restarted. Those
    who came back bake with each other, whatever wave they were in: `late`.
    """
    if progress.ended or progress.parked_until_ns is not None or progress.doubt is not None:
        return []
    if progress.recheck or (progress.straggler and not late):
        return []
    changed = [
        name
        for name in steps
        if (end := progress.ends.get(name)) is not None
        and end.state is EndState.CHANGED
        and not end.undone
    ]
    provable = [n for n in changed if (s := state.index.step[n]).verify or s.check]
    return [name for name in provable or changed[-1:] if not progress.ends[name].held]


def leave_room(state: State, progress: Progress) -> None:
    """Take an endpoint out of the waiting room."""
    progress.parked_until_ns = None
    state.parked.pop(progress.endpoint.id, None)


def forget(state: State, progress: Progress, ends: Collection[EndState]) -> None:
    """Let an endpoint take again the steps that ended so."""
    for name in [name for name, end in progress.ends.items() if end.state in ends]:
        del progress.ends[name]
        progress.position = min(progress.position, state.index.position[name])


def let_fall(
    progress: Progress, step: StepId, state: EndState, failure: FailureKind | None, detail: str
) -> None:
    """Note that a changed step was not seen to hold; what it reported, it has reported."""
    end = progress.ends[step]
    progress.ends[step] = replace(end, state=state, failure=failure, detail=detail, stood=True)


def give_up(progress: Progress) -> None:
    """End an endpoint that did not come back; what was in doubt stays unknown."""
    progress.ended = True
    progress.doubt = None
    for name in progress.recheck:
        detail = "did not come back after its wave's bake"
        let_fall(progress, name, EndState.UNREACHABLE, progress.ends[name].failure, detail)
    progress.recheck = []


def ask_again(state: State) -> None:
    """Withdraw open questions, and what a person said against going on: it is asked once more."""
    for question in state.questions.values():
        if question.endpoint is not None:
            state.progress[question.endpoint].asked = ""
    state.questions.clear()
    for name in [n for n, given in state.answers.items() if given.answer == "no"]:
        if name.startswith("pause"):
            del state.answers[name]


def open_room_again(state: State, now_ns: int) -> None:
    """Give everybody in the waiting room its whole time from now on."""
    for identity in state.parked:
        progress = state.progress[identity]
        until_ns = now_ns + state.room_ns
        progress.parked_until_ns = progress.room_until_ns = state.parked[identity] = until_ns


def try_again(state: State) -> None:
    """Let those who closed a gate take again what went wrong; what is unknown is in doubt again."""
    if state.closed_gate is None:
        return
    state.gate_retried = True
    stage, wave = state.closed_gate
    steps = state.plan.stages[stage - 1].steps
    for identity in state.spreads[stage].members(wave):
        progress = state.progress[identity]
        bad = [n for n in steps if n in progress.ends and progress.ends[n].state in BAD]
        parked = progress.parked_until_ns is not None
        if progress.refused or not (bad or parked):
            continue
        state.retrying.add(identity)
        if progress.ended:
            _reopen(state, progress, bad)
        elif parked:
            # Somebody has seen to it, perhaps: it is reached for at once, not when a port answers.
            leave_room(state, progress)
            forget(state, progress, (EndState.UNREACHABLE,))


def _reopen(state: State, progress: Progress, bad: list[StepId]) -> None:
    progress.ended = False
    progress.room_until_ns = None
    progress.tries = progress.doubts = 0
    progress.unsettled = False
    progress.undo, progress.recheck = [], []
    for name in [n for n, end in progress.ends.items() if end.undone]:
        del progress.ends[name]
        progress.position = min(progress.position, state.index.position[name])
    for name in (each for each in bad if each in progress.ends):
        end = progress.ends[name]
        progress.position = min(progress.position, state.index.position[name])
        if end.stood and end.failure is not FailureKind.VERIFY:
            # It was done, and nothing has said that it does not hold: look, do not do it again.
            progress.ends[name] = replace(end, state=EndState.CHANGED, failure=None, detail="")
            progress.recheck.append(name)
        elif end.state is EndState.UNKNOWN:
            attempt = AttemptId(f"{progress.endpoint.id}:{name}:{progress.numbers.get(name, 0)}")
            failure = end.failure or FailureKind.LOST
            if is_shut_out(failure):  # somebody has seen to it, perhaps: it is looked at again
                failure = FailureKind.LOST
            progress.doubt = Doubt(name, attempt, end.detail, failure)
        else:
            progress.restarted = False
            del progress.ends[name]
