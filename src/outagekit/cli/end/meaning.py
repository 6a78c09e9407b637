"""What the end of a run means, and what to do now: one or two sentences for the tired. Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from outagekit.cli.end.advice import jump_of
from outagekit.cli.end.outcome import closed_gate, is_finished, waiting_of
from outagekit.events import EndState
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.plan.model import Plan
    from outagekit.run.engine.state import Progress
    from outagekit.run.surroundings import Ending

_MOST_SENTENCES: Final = 2
_MOST_NAMES: Final = 2


def what_to_do(ending: Ending, plan: Plan, *, resumable: bool = True) -> tuple[str, ...]:
    """Return at most two sentences, the most urgent first; none if all is as wanted.

    Where nobody knows what happened comes before what is certain: a second try could do harm.
    """
    progress = list(ending.state.progress.values())
    found = (
        *_looks(plan, progress),
        *(_goes_on(ending, plan, progress) if resumable and ending.why else ()),
        *_mends(plan, progress),
    )
    return found[:_MOST_SENTENCES]


def _ended(plan: Plan, progress: Sequence[Progress], state: EndState) -> list[Progress]:
    return [each for each in progress if each.state is state and is_finished(each, plan)]


def _looks(plan: Plan, progress: Sequence[Progress]) -> Iterator[str]:
    changing = {step.id for step in plan.steps if step.changes}
    unknown = [
        each
        for each in _ended(plan, progress, EndState.UNKNOWN)
        if any(step in changing and end is each.worst for step, end in each.ends.items())
    ]
    if unknown:
        who = f"the {len(unknown)} whose change ended unknown"
        who = _who(unknown) if len(unknown) <= _MOST_NAMES else who
        yield f"First look at {who} by hand: the change may be there or not."


def _goes_on(ending: Ending, plan: Plan, progress: Sequence[Progress]) -> Iterator[str]:
    """Say how a run that was left goes on."""
    gate = closed_gate(ending.state)
    left = sum(waiting_of(each, plan) in {"not begun", "not changed"} for each in progress)
    alone = f"{count(left, 'endpoint')} {_be(left)} left alone. " if left else ""
    if gate is not None:
        yield f"{alone}Look at who closed the gate, then resume: they are tried again first."
    elif ending.state.questions:
        number = len(ending.state.questions)
        it = "it" if number == 1 else "them"
        yield f"{count(number, 'question')} wait{'s' * (number == 1)} for you; resume asks {it}."
    else:
        yield f"{alone}Nothing is lost: resume goes on where it stopped."


def _mends(plan: Plan, progress: Sequence[Progress]) -> Iterator[str]:
    """Say what is left to mend by hand, and what only has to be tried again."""
    failed = _ended(plan, progress, EndState.FAILED)
    away = _ended(plan, progress, EndState.UNREACHABLE)
    jumps = _jumps([*failed, *away])
    if jumps:
        which, behind = _named_jumps(list(jumps)), sum(map(len, jumps.values()))
        them = "it" if len(jumps) == 1 else "them"
        be = "is" if behind == 1 else "are"
        yield f"See to {which} first: {count(behind, 'endpoint')} {be} behind {them}."
        gone = {each.endpoint.id for those in jumps.values() for each in those}
        failed = [each for each in failed if each.endpoint.id not in gone]
        away = [each for each in away if each.endpoint.id not in gone]
    if failed:
        need = "needs" if len(failed) == 1 else "need"
        yield f"{_capital(_who(failed))} {need} a person: why, and what to try, stands below."
    if away:
        who = _who(away) if len(away) <= _MOST_NAMES else count(len(away), "endpoint")
        again = "try again when it answers" if len(away) == 1 else "try again when they answer"
        yield f"{who} could not be reached: {again}."


def _jumps(progress: Sequence[Progress]) -> dict[str, list[Progress]]:
    """Return the jump hosts that are at fault, with who is behind them."""
    behind: dict[str, list[Progress]] = {}
    for each in progress:
        jump = jump_of(visible_line(each.worst.detail)) if each.worst is not None else ""
        if jump:
            behind.setdefault(jump, []).append(each)
    return behind


def _named_jumps(names: Sequence[str]) -> str:
    if len(names) > _MOST_NAMES:
        return count(len(names), "jump host")
    return f"the jump host{'s' * (len(names) > 1)} {' and '.join(names)}"


def _who(progress: Sequence[Progress]) -> str:
    """Return the only one or two by name, more of them by their number and state."""
    names = [visible_line(each.endpoint.id) for each in islice(progress, _MOST_NAMES)]
    if len(progress) <= _MOST_NAMES:
        return " and ".join(names)
    return f"the {len(progress)} {progress[0].state.value} ones"


def _be(number: int) -> str:
    return "was" if number == 1 else "were"


def _capital(text: str) -> str:
    return f"T{text[1:]}" if text.startswith("the ") else text
