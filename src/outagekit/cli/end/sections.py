"""Parts of a run's ending: where it stands and waits, and what happened on the way. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from rich.text import Text

from outagekit.cli.end.outcome import (
    baked,
    closed_gate,
    ends_of,
    gave_up,
    is_good,
    not_taken,
    refusal_of,
    waiting_of,
    was_proven,
    was_vouched_for,
)
from outagekit.cli.render import STATE_STYLE
from outagekit.events import EndState
from outagekit.text import count, duration, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from outagekit.cli.end.outcome import ClosedGate
    from outagekit.events import EndpointId, GateSum, StepId
    from outagekit.run.engine.state import Progress, State, StepEnd

_MAX_CLIENTS: Final = 3
_MAX_NAMES: Final = 5
_MAX_LINES: Final = 5
_WARNS: Final = "yellow"


def names_text(endpoints: Iterable[EndpointId]) -> str:
    """Return endpoints folded by client: `acme/pos-01, pos-02 and 5 more; beta/web-01`."""
    by_client: dict[str, list[str]] = {}
    for identity in endpoints:
        client, _, name = identity.partition("/")
        by_client.setdefault(client, []).append(visible_line(name))
    told = [
        f"{visible_line(client)}/{fold_list(names, _MAX_NAMES)}"
        for client, names in list(by_client.items())[:_MAX_CLIENTS]
    ]
    if len(by_client) > _MAX_CLIENTS:
        told.append(f"and those of {count(len(by_client) - _MAX_CLIENTS, 'more client')}")
    return "; ".join(told)


# Where the run stands.


def gate_lines(state: State, *, resumable: bool = True) -> Iterator[Text]:
    """Yield which gate is closed, its arithmetic, and who closed it."""
    gate = closed_gate(state)
    if gate is None:
        return
    yield Text()
    yield Text(f"The gate of {_wave_text(gate)} in {gate.stage.phase} is closed:", "bold")
    digits = max((len(str(each.found)) for each in gate.sums), default=0)
    for each, who in zip(gate.sums, gate.culprits, strict=True):
        yield _sum_line(each, digits)
        if who:
            yield Text(f"     {names_text(who)}", "dim")
    if resumable:
        advice = "resume tries those again; --past-gate goes past them, with a reason"
        yield Text(f"  -> {advice}", "italic")


def _wave_text(gate: ClosedGate) -> str:
    return f"wave {gate.wave} of {gate.waves}" if gate.wave else "those who came back late"


def _sum_line(each: GateSum, digits: int) -> Text:
    least = each.what == "answered"
    scope = f"of {each.of} in the wave" if each.scope == "wave" else "in the run"
    limit = f"at {'least' if least else 'most'} {each.limit} {scope}"
    line = Text(f"  {each.found:>{digits}}  ")
    line.append(f"{each.what:<11}", "" if each.holds else "bold red")
    line.append(f"  {limit}", "dim" if each.holds else "")
    return line if each.holds else line.append(f": too {'few' if least else 'many'}", "bold red")


def question_lines(state: State, *, resumable: bool = True) -> Iterator[Text]:
    """Yield the questions that wait for a person."""
    if not state.questions:
        return
    yield Text()
    yield Text(f"Waiting for a person: {count(len(state.questions), 'question')}", "bold")
    for question in list(state.questions.values())[:_MAX_LINES]:
        line = Text.assemble("  ", (visible_line(question.name), "bold"))
        yield line.append(f": {visible_line(question.text)}")
    if len(state.questions) > _MAX_LINES:
        yield Text(f"  and {len(state.questions) - _MAX_LINES} more", "dim")
    if resumable:
        yield Text("  -> resume asks again", "italic")


def room_lines(state: State, *, resumable: bool = True) -> Iterator[Text]:
    """Yield who was in the waiting room: still there, back, or waited for in vain."""
    progress = state.progress.values()
    there = [p.endpoint.id for p in progress if waiting_of(p, state.plan) == "in the waiting room"]
    back = [each for each in progress if each.returns and each.endpoint.id not in there]
    lost = [each.endpoint.id for each in progress if gave_up(each)]
    if there or back or lost:
        yield Text()
    if there:
        size, wait = count(len(there), "endpoint"), duration(state.plan.rollout.waiting_room_s)
        yield Text(f"In the waiting room: {size}", _WARNS)
        yield Text(f"    {names_text(there)}", "dim")
        if resumable:
            # Behind a closed gate nobody is waited for: whoever closed it is tried once more.
            first = "once the gate is open, " if state.closed_gate else ""
            yield Text(f"  -> {first}resume opens it again, for {wait}", "italic")
    if back:
        good = sum(is_good(each, state.plan) for each in back)
        size = count(len(back), "endpoint")
        so_far = "" if state.closed else " so far"
        came = f"Came back from the waiting room: {size}"
        yield Text(f"{came}, {good} of them to a good end{so_far}")
    if lost:
        yield Text(f"Did not come back in time: {count(len(lost), 'endpoint')}", _WARNS)
        yield Text(f"    {names_text(lost)}", "dim")


# What happened on the way.


def way_lines(state: State) -> Iterator[Text]:
    """Yield what people decided, what was in doubt, looked at again, and taken back."""
    lines = [*_once(state), *_refused(state), *_doubts(state), *_baked(state), *_undone(state)]
    if lines:
        yield Text()
        yield from lines


def _once(state: State) -> Iterator[Text]:
    ends = {key: end for key, end in state.once.items() if not _is_no(state, *key)}
    for (step, client), end in list(ends.items())[:_MAX_LINES]:
        whose = f" for {visible_line(client)}" if client else ""
        line = Text.assemble((end.state.value, STATE_STYLE[end.state]))
        said = visible_line(end.detail)
        yield line.append(f" {visible_line(step)}{whose}" + (f": {said}" if said else ""))
    if len(ends) > _MAX_LINES:
        yield Text(f"and {len(ends) - _MAX_LINES} more that happen once", "dim")


def _is_no(state: State, step: StepId, client: str) -> bool:
    """Return whether a person refused a step that happens once: that is told with whom it hit."""
    given = state.answers.get(f"{step}@{client}" if client else step) or state.answers.get(step)
    return given is not None and given.answer == "no"


def _refused(state: State) -> Iterator[Text]:
    refused: dict[tuple[str, str], list[EndpointId]] = {}
    for progress in state.progress.values():
        if progress.refused:
            refused.setdefault(refusal_of(state, progress), []).append(progress.endpoint.id)
    for (step, said), names in list(refused.items())[:_MAX_LINES]:
        words = ": ".join(filter(None, (visible_line(step), visible_line(said))))
        goes = "goes" if len(names) == 1 else "go"
        line = Text.assemble(("refused", "bold red"), f" {words}".rstrip())
        yield line.append(f"; {count(len(names), 'endpoint')} {goes} no further")
        yield Text(f"    {names_text(names)}", "dim")
    if len(refused) > _MAX_LINES:
        yield Text(f"and {len(refused) - _MAX_LINES} more were refused", "dim")


def _doubts(state: State) -> Iterator[Text]:
    proven: Counter[StepId] = Counter()
    said: Counter[tuple[StepId, str]] = Counter()
    for _, step, end in ends_of(state.progress.values()):
        proven[step] += was_proven(end)
        if was_vouched_for(end):
            said[step, end.detail] += 1
    if any(proven.values()):
        yield Text(f"in doubt, then looked at and found done: {_steps_on(+proven)}")
    for (step, detail), number in said.most_common(_MAX_LINES):
        where = f"{visible_line(step)} on {count(number, 'endpoint')}"
        yield Text(f"in doubt, done by a person's word: {where}: {visible_line(detail)}", _WARNS)


def _baked(state: State) -> Iterator[Text]:
    held, fell = baked(state)
    if held or fell:
        left = f", {fell} not seen to hold" if fell else ", all still as wanted"
        size = count(held + fell, "endpoint")
        yield Text(f"verified again after the bake: {size}{left}", _WARNS if fell else "")


def _undone(state: State) -> Iterator[Text]:
    undone = Counter(step for _, step, end in ends_of(state.progress.values()) if end.undone)
    if undone:
        yield Text(f"taken back after a later step failed: {_steps_on(undone)}")
    if not state.plan.undo_on_failure:
        return
    ends = list(ends_of(state.progress.values()))
    kept = Counter(step for each, step, end in ends if _stays(each, end))
    if kept:
        yield Text(f"NOT taken back although a later step failed: {_steps_on(kept)}", _WARNS)
    unsure = Counter(step for each, step, end in ends if _is_unsure(each, end))
    if unsure:
        yield Text(f"taken back or not, nobody knows: {_steps_on(unsure)}", _WARNS)


def _stays(progress: Progress, end: StepEnd) -> bool:
    ended = progress.ended and progress.state is EndState.FAILED and not progress.undo
    return ended and end.state is EndState.CHANGED and not end.undone


def _is_unsure(progress: Progress, end: StepEnd) -> bool:
    return progress.state is EndState.FAILED and end.state is EndState.UNKNOWN


def skipped_lines(state: State) -> Iterator[Text]:
    """Yield the steps that were not taken because an earlier one ended the endpoint's run."""
    earlier: Counter[StepId] = Counter()
    for progress in state.progress.values():
        if not progress.refused:
            left = not_taken(progress, state.plan)
            earlier.update(step for step, why in left.items() if why == "earlier")
    if earlier:
        yield Text()
        line = Text.assemble(("skipped", STATE_STYLE[EndState.SKIPPED]))
        yield line.append(f" (earlier): {_steps_on(earlier)}")


def _steps_on(steps: Counter[StepId]) -> str:
    """Return steps with the number of endpoints: `mend on 3 endpoints, restart on 1`."""
    told = [
        f"{visible_line(step)} on {count(number, 'endpoint') if not at else number}"
        for at, (step, number) in enumerate(steps.most_common())
    ]
    return fold_list(told, _MAX_LINES)
