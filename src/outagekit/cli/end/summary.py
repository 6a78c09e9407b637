"""What a run came to, for people: the sentence, the counts, and what is not as wanted. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Final

from rich.text import Text

from outagekit.cli.end.advice import ASKED, IN_DOUBT, UNKNOWN, advice_for, jump_of
from outagekit.cli.end.by_hand import hand_lines
from outagekit.cli.end.meaning import what_to_do
from outagekit.cli.end.outcome import Waiting, foreseen_of, is_finished, is_good, waiting_of
from outagekit.cli.end.said import said_lines
from outagekit.cli.end.sections import (
    gate_lines,
    names_text,
    question_lines,
    room_lines,
    skipped_lines,
    way_lines,
)
from outagekit.cli.live.tally import ENDING, without_place
from outagekit.cli.render import STATE_STYLE
from outagekit.events import WORST_FIRST, EndState, FailureKind
from outagekit.playbook.model import RunScript
from outagekit.run.engine.questions import DRY_RUN_ASKS_NOBODY
from outagekit.text import count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from outagekit.cli.end.said import Said
    from outagekit.events import RunId, StepId
    from outagekit.plan.model import Plan
    from outagekit.run.engine.state import Progress, State, StepEnd
    from outagekit.run.surroundings import Ending

_MEANING: Final[dict[EndState, str]] = {
    EndState.CHANGED: "fixed: changed by this run and verified",
    EndState.OK: "fine: nothing had to be changed",
    EndState.FAILED: "not fixed: definitely not as wanted",
    EndState.UNKNOWN: "nobody knows whether it happened",
    EndState.UNREACHABLE: "not reached: no command of ours ran in that step",
    EndState.SKIPPED: "no step applied",
}
_SHOWN_ORDER: Final = (
    EndState.OK,
    EndState.CHANGED,
    EndState.FAILED,
    EndState.UNKNOWN,
    EndState.UNREACHABLE,
    EndState.SKIPPED,
)
_FORESEEN: Final = {
    "would change": ("its check is not true", STATE_STYLE[EndState.CHANGED]),
    "cannot check": ("a changing step of it has no check", "yellow"),
}
_CHANGED_SO_FAR: Final = "changed, with steps to come"
_TO_VERIFY: Final = "changed, not verified again yet"
_WAITING_WORDS: Final[dict[Waiting, str]] = {
    "not changed": "not changed yet",
    "for a person": "waiting for a person",
}
_WAITING: Final = (
    "not begun",
    "not changed yet",
    "half way",
    _CHANGED_SO_FAR,
    _TO_VERIFY,
    "in the waiting room",
    "waiting for a person",
    "in doubt",
)
_INTERRUPTED: Final = re.compile(r"\S+( twice)?")
"""Why of a run that was stopped at its own terminal: `Ctrl-C`, `SIGTERM twice`."""
_WOULD: Final = re.compile(r"would change(: |$)")
"""How a dry run says of a step that it is sure."""
_GATE: Final = 5
_READ_ONLY: Final[dict[EndState, str]] = {
    EndState.OK: "answered",
    EndState.FAILED: "definitely wrong: why stands below",
    EndState.UNKNOWN: "nobody knows whether it happened",
}
"""The same where nothing was to be changed."""
_RANK: Final = {state: rank for rank, state in enumerate(WORST_FIRST)}
_MAX_TROUBLES: Final = 8
_MAX_DETAILS: Final = 3
_MAX_REASONS: Final = 5

_Row = tuple[str, int, str, str]
"""Word, number, meaning, style."""


@dataclass(slots=True)
class _Trouble:
    """Endpoints that ended alike: same state, same kind of failure, same step."""

    step: StepId | None
    """None for the unreachable and those behind a jump host: they are so in every step."""
    state: EndState
    failure: FailureKind | None
    jump: str
    """The jump host on the way to all of them that is at fault, or empty."""
    by_detail: dict[str, list[tuple[Progress, str]]] = field(default_factory=dict)
    """What was said, without addresses -> who said it, and their own words."""

    @property
    def size(self) -> int:
        return sum(map(len, self.by_detail.values()))


def summary(
    ending: Ending,
    plan: Plan,
    run: RunId,
    *,
    log_path: Path,
    verdict: str = "",
    said: Sequence[Said] = (),
    drill: bool = False,
) -> tuple[Text, ...]:
    """Return the lines that say how a run ended: the sentence, the counts, what is not fixed.

    Where it stopped comes before what went wrong, and that before what happened on the way.
    `verdict` is what verifying the log gave, as one line; `said` is what steps said for people;
    a `drill` cannot be resumed. Lines may be longer than a terminal; those with `no_wrap` are
    meant to be copied.
    """
    state = ending.state
    progress = list(state.progress.values())
    return (
        Text(),
        _sentence(ending, plan, progress),
        *_counts(plan, progress),
        *(Text(each, "bold") for each in what_to_do(ending, plan, resumable=not drill)),
        *gate_lines(state, resumable=not drill),
        *question_lines(state, resumable=not drill),
        *room_lines(state, resumable=not drill),
        *_troubles(plan, progress, resumable=not drill),
        *hand_lines(state),
        *_skips(plan, progress),
        *skipped_lines(state),
        *way_lines(state),
        *_unproved(plan, progress),
        *said_lines(said, plan),
        Text(),
        Text.assemble(("run  ", "dim"), visible_line(run), no_wrap=True),
        Text.assemble(("log  ", "dim"), visible_line(str(log_path)), no_wrap=True),
        *([Text(f"     {visible_line(verdict)}", "dim", no_wrap=True)] if verdict else []),
    )


def _sentence(ending: Ending, plan: Plan, progress: Sequence[Progress]) -> Text:
    good = sum(is_good(each, plan) for each in progress)
    every = good == len(progress)
    what = _foretold(progress) if plan.dry_run else _reached(plan, progress, good)
    if ending.why and not plan.dry_run and not all(is_finished(each, plan) for each in progress):
        what = _reached_so_far(ending.state, progress, good)
        what = f"{what[:1].lower()}{what[1:]}" if plan.undoes else what
    parts = [_why(ending), f"Undo of {visible_line(plan.undoes)}:" if plan.undoes else "", what]
    return Text(" ".join(filter(None, parts)), "bold green" if every else "bold")


def _why(ending: Ending) -> str:
    """Return why a run stopped before its end, as a sentence."""
    if not ending.why:
        return ""
    if ending.exit_code == _GATE:
        return "Stopped by a gate."
    why = visible_line(ending.why)
    if _INTERRUPTED.fullmatch(why):
        return f"Stopped by {why}."
    return f"{why[:1].upper()}{why[1:]}".rstrip(".") + "."


def _reached(plan: Plan, progress: Sequence[Progress], good: int) -> str:
    total = len(progress)
    size = count(total, "endpoint")
    who = f"{good} of {size}"
    if good == total:
        who = f"All {size}" if total > 1 else "The endpoint"
    blind = _blind(plan, progress)
    if plan.undoes:
        done = "came to its end on" if blind else "done on"
        return f"{done} {who[:1].lower()}{who[1:]}."
    be = "is" if good == 1 else "are"
    wanted = "came to the end" if blind else f"{be} as wanted"
    return f"{who} {wanted if plan.changes else 'answered'}."


def _reached_so_far(state: State, progress: Sequence[Progress], good: int) -> str:
    """Return how far a run came that has not come to its end, and which stages are left."""
    plan, total = state.plan, len(progress)
    at = f"None of {count(total, 'endpoint')} is" if total > 1 else "The endpoint is not"
    reached = f"{at} at its end yet"
    if good:
        be = "is" if good == 1 else "are"
        proved = plan.changes and not _blind(plan, progress)
        wanted = f"{be} as wanted" if proved else "came to the end"
        reached = f"{good} of {count(total, 'endpoint')} {wanted} so far"
    number = state.stage.number if state.stage is not None else 0
    later = [stage.phase for stage in plan.stages[number:]]
    if not number or not later:
        return f"{reached}."
    ahead = [f"the rest of {plan.stages[number - 1].phase}", *later]
    return f"{reached}; to come: {fold_list(ahead)}."


def _foretold(progress: Sequence[Progress]) -> str:
    found = Counter(foreseen_of(each) for each in progress)
    would = f"would change {found['would change']} of {count(len(progress), 'endpoint')}"
    blind = f", cannot check {found['cannot check']}" if found["cannot check"] else ""
    return f"Dry run: {would}{blind}; nothing was changed."


def _counts(plan: Plan, progress: Sequence[Progress]) -> Iterable[Text]:
    rows = _rows(plan, [each for each in progress if is_finished(each, plan)])
    waiting = Counter(map(_waiting_words, progress, repeat(plan)))
    number = sum(number for words, number in waiting.items() if words)
    parts = [f"{waiting[words]} {words}" for words in _WAITING if waiting[words]]
    if parts:
        rows.append(("not finished", number, ", ".join(parts), "yellow"))
    words = max((len(word) for word, *_ in rows), default=0)
    digits = max((len(str(number)) for _, number, *_ in rows), default=0)
    for word, number, meaning, style in rows:
        row = Text(f"  {number:>{digits}}  ")
        row.append(f"{word:<{words}}", style)
        yield row.append(f"  {meaning}", "dim")


def _waiting_words(progress: Progress, plan: Plan) -> str:
    """Return what keeps an endpoint from its end, in words of `_WAITING`; empty if nothing."""
    waits = waiting_of(progress, plan)
    changed = any(e.state is EndState.CHANGED and not e.undone for e in progress.ends.values())
    if waits == "half way" and changed:
        return _CHANGED_SO_FAR if progress.position < len(plan.steps) else _TO_VERIFY
    return _WAITING_WORDS.get(waits, waits)


def _rows(plan: Plan, finished: Sequence[Progress]) -> list[_Row]:
    """Return how many endpoints ended how; each is in one row."""
    refused = [each for each in finished if each.refused and each.state not in ENDING]
    others = [each for each in finished if not (each.refused and each.state not in ENDING)]
    foreseen: Counter[str] = Counter()
    if plan.dry_run:
        foreseen.update(foreseen_of(each) for each in others)
        others = [each for each in others if not foreseen_of(each)]
    found = Counter(each.state for each in others)
    rows: list[_Row] = [(word, foreseen[word], *_FORESEEN[word]) for word in _FORESEEN]
    blind = bool(_blind(plan, finished))
    rows += [
        (s.value, found[s], _meaning(s, plan, blind=blind), STATE_STYLE[s]) for s in _SHOWN_ORDER
    ]
    rows.append(("refused", len(refused), "a person said no", "bold red"))
    return [row for row in rows if row[1]]


def _meaning(state: EndState, plan: Plan, *, blind: bool = False) -> str:
    if state is EndState.CHANGED and (plan.undoes or blind):
        return "taken back by this run" if plan.undoes else "changed by this run, not verified"
    if not plan.changes and state in _READ_ONLY:
        return _READ_ONLY[state]
    return _MEANING[state]


def _worst_ends(progress: Iterable[Progress]) -> list[tuple[Progress, StepEnd]]:
    return [(p, p.worst) for p in progress if p.worst is not None and p.worst.state in ENDING]


def _troubles(plan: Plan, progress: Sequence[Progress], *, resumable: bool) -> Iterable[Text]:
    groups: dict[tuple[StepId | None, EndState, FailureKind | None, str], _Trouble] = {}
    for each, end in _worst_ends(progress):
        at = next(step for step, found in each.ends.items() if found is end)
        words = visible_line(end.detail)
        jump = jump_of(words)
        step = None if jump or end.state is EndState.UNREACHABLE else at
        key = (step, end.state, end.failure, jump)
        trouble = groups.setdefault(key, _Trouble(*key))
        same = without_place(words, each.endpoint)
        trouble.by_detail.setdefault(same, []).append((each, words))
    changing = {step.id for step in plan.steps if step.changes}
    worst_first = sorted(
        groups.values(), key=lambda t: (_RANK[t.state], t.step not in changing, -t.size)
    )
    for trouble in worst_first[:_MAX_TROUBLES]:
        yield Text()
        yield from _trouble(trouble, _advice(trouble, plan, resumable=resumable))
    rest = worst_first[_MAX_TROUBLES:]
    if rest:
        size = count(sum(each.size for each in rest), "endpoint")
        kinds = Counter(each.state.value for each in rest)
        told = fold_list(f"{number} x {word}" for word, number in kinds.items())
        yield Text()
        yield Text(f"{count(len(rest), 'other kind')} of trouble on {size} ({told}): in the log")


def _trouble(trouble: _Trouble, advice: str) -> Iterable[Text]:
    head = Text(trouble.state.value, STATE_STYLE[trouble.state])
    where = f" in {visible_line(trouble.step)}" if trouble.step else ""
    kind = f" ({trouble.failure.value})" if trouble.failure else ""
    size = count(trouble.size, "endpoint")
    behind = f" behind the jump host {trouble.jump}" if trouble.jump else ""
    yield Text.assemble(head, f"{where}{kind}: {size}{behind}")
    largest = sorted(trouble.by_detail.items(), key=lambda item: -len(item[1]))
    for same, those in largest[:_MAX_DETAILS]:
        said = those[0][1] if len(those) == 1 else same
        if said:
            yield Text(f"  {said}")
        yield Text(f"    {names_text(each.endpoint.id for each, _ in those)}", "dim")
    rest = largest[_MAX_DETAILS:]
    if rest:
        others = names_text(each.endpoint.id for _, those in rest for each, _ in those)
        yield Text(f"  said otherwise by {others}", "dim")
    if advice:
        yield Text(f"  -> {advice}", "italic")


def _advice(trouble: _Trouble, plan: Plan, *, resumable: bool) -> str:
    if trouble.state is EndState.UNKNOWN:
        those = [each for who in trouble.by_detail.values() for each, _ in who]
        if resumable and all(each.doubt is not None for each in those):
            return ASKED if all(each.asked for each in those) else IN_DOUBT
        if any(step.id == trouble.step and step.changes for step in plan.steps):
            return UNKNOWN
    if trouble.failure is None:
        return ""
    systems = {each.endpoint.os for who in trouble.by_detail.values() for each, _ in who}
    return advice_for(trouble.failure, jump=trouble.jump, windows=systems == {"windows"})


def _skips(plan: Plan, progress: Sequence[Progress]) -> Iterable[Text]:
    """Say why steps were left out: where no step applied, and what a dry run could not check."""
    reasons: Counter[tuple[StepId, str]] = Counter()
    for each in progress:
        alone = each.state is EndState.SKIPPED and is_good(each, plan)
        reasons.update(
            (step, end.detail)
            for step, end in each.ends.items()
            if end.state is EndState.SKIPPED and (_is_open(end) if plan.dry_run else alone)
        )
    if not reasons:
        return
    yield Text()
    most = reasons.most_common()
    shown = max(_MAX_REASONS, len(plan.steps)) if plan.dry_run else _MAX_REASONS
    for (step, reason), number in most[:shown]:
        would = _WOULD.match(reason) if plan.dry_run else None
        state = EndState.CHANGED if would else EndState.SKIPPED
        line = Text.assemble(("would change" if would else "skipped", STATE_STYLE[state]))
        line.append(f" {visible_line(step)} on {count(number, 'endpoint')}")
        why = visible_line(reason[would.end() :] if would else reason)
        yield line.append(f": {why}") if why else line
    if len(most) > shown:
        yield Text(f"and {count(len(most) - shown, 'other reason')}", "dim")


def _is_open(end: StepEnd) -> bool:
    """Return whether a dry run left a step undone: it would change, cannot be told, or asks."""
    return end.unforeseen or end.detail == DRY_RUN_ASKS_NOBODY


def _blind(plan: Plan, progress: Sequence[Progress]) -> list[str]:
    """Return the steps that count as done although nothing looked whether they are."""
    return [
        visible_line(step.id)
        for step in plan.steps
        if isinstance(step.action, RunScript)
        and step.changes
        and step.verify is None
        and any(p.ends[step.id].state is EndState.CHANGED for p in progress if step.id in p.ends)
    ]


def _unproved(plan: Plan, progress: Sequence[Progress]) -> Iterable[Text]:
    blind = _blind(plan, progress)
    if blind:
        has = "has" if len(blind) == 1 else "have"
        yield Text()
        yield Text(f"not proved: {fold_list(blind)} {has} no verify, only an exit code", "yellow")
