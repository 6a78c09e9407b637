"""Parts of the picture that say what happens now: the wave, its gate, what runs, what was said.

Pure functions of a tally, the time and a number of rows and cells. Colours never stand alone:
whatever is coloured is said in words or numbers too. Text from outside is made visible.
"""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import shorten
from outagekit.cli.render import STATE_STYLE
from outagekit.cli.standing import ENDING, WOULD, Ends, Word, rank_of
from outagekit.events import EndState, GateSum
from outagekit.text import count, duration, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from outagekit.cli.standing import Fold, Running, Said, WaveCount
    from outagekit.cli.tally import Tally
    from outagekit.events import GateLimit
    from outagekit.plan.model import Plan

TIMES: Final = "\u00d7"
"""The sign between a number and what there is so many of."""

WIDE: Final = 76
NARROW: Final = 50
_SHORTEST_BAR: Final = 5
_LONGEST_BAR: Final = 16
_OLD_S: Final = 3.0
"""A step that runs for less is no straggler, unless there is room for every step."""
_WIDEST: Final = 120
SHOWN_ORDER: Final[tuple[Word, ...]] = (
    EndState.OK,
    EndState.CHANGED,
    WOULD,
    EndState.FAILED,
    EndState.UNKNOWN,
    EndState.UNREACHABLE,
    EndState.SKIPPED,
)
"""Good ends first: what goes wrong is added at the right and moves nothing."""
_SHORT: Final[dict[Word, str]] = {
    EndState.FAILED: "fail",
    EndState.UNKNOWN: "unkn",
    EndState.UNREACHABLE: "unre",
    EndState.CHANGED: "chg",
    EndState.OK: "ok",
    EndState.SKIPPED: "skip",
    WOULD: "would",
    "answered": "answ",
}
_STYLE: Final[dict[Word, str]] = {
    **{state.value: style for state, style in STATE_STYLE.items()},
    WOULD: STATE_STYLE[EndState.CHANGED],
}
_PURPOSES: Final = {"probe": "  look", "recheck": "  verify", "undo": "  undo"}
"""What an attempt is for, where it is not simply the step."""


def first_that_fits(texts: Iterable[Text], width: int) -> Text:
    """Return the first of some wordings, longest first, that has room; else the last."""
    text = Text()
    for text in texts:
        if text.cell_len <= width:
            break
    return text


def bar(tally: Tally, ends: Ends, total: int, width: int) -> Text:
    """Return two blanks and a bar; nothing where there is no room for one.

    For one plan and one width all bars are equally long, and leave room for what goes wrong.
    """
    digits = len(str(len(tally.plan.endpoints)))
    words = (33 if width >= WIDE else 17) + 3 * max(digits - 1, 1)
    cells = min(width - label_cells(tally) - 2 * digits - 7 - words, _LONGEST_BAR)
    if width < NARROW or cells < _SHORTEST_BAR:
        return Text()
    filled = min(cells * ends.done // total, cells) if total else 0
    bad = any(ends.by_word[state] for state in ENDING)
    full = ("█" * filled, "yellow" if bad else "green")
    return Text.assemble("  ", full, ("░" * (cells - filled), "dim"))


def ends_text(ends: Ends, room: int) -> Text:
    """Return the end states with their numbers; in too little room the bad ones, then in short.

    A number is never cut: half a number is a wrong one.
    """
    by_word = ends.by_word
    words = [word for word in SHOWN_ORDER if by_word[word]]
    bad = [word for word in words if word in ENDING] or words
    for shown, names, between in ((words, None, " · "), (bad, None, " · "), (bad, _SHORT, " ")):
        parts = [
            Text(f"{names[word] if names else word} {by_word[word]}", _STYLE[word])
            for word in shown
        ]
        whole = Text(between, "dim").join(parts)
        if whole.cell_len <= room:
            return whole
    whole = Text(f"not good {sum(by_word[word] for word in bad)}")
    return whole if whole.cell_len <= room and bad is not words else Text()


def wave_lines(tally: Tally, width: int, rows: int) -> list[Text]:
    """Return the wave that matters and its gate; before any, how waves will be cut."""
    if not rows:
        return []
    wave = tally.wave
    if wave is None:
        return _waves_ahead(tally, width)[:rows]
    if rows == 1 and wave.is_stuck:
        return [_gate(tally, wave, width)]
    return [_wave(tally, wave, width), _gate(tally, wave, width)][:rows]


def _waves_ahead(tally: Tally, width: int) -> list[Text]:
    stage = tally.open
    if stage is not None and stage.is_cut:
        nobody = f"no waves: nobody needs {stage.stage.phase}"
        return [Text(f"waves  {_listed(stage.sizes)}" if stage.sizes else nobody, "dim")]
    at = stage.number - 1 if stage is not None else 0
    ahead = [each for each in tally.plan.stages[at:] if each.changes and not each.once]
    if not ahead:
        return []
    rollout = tally.plan.rollout
    cut = Text(f"waves  {', '.join(rollout.waves)} of those who need {ahead[0].phase}", "dim")
    gate = rollout.gate
    limits = (
        ("answered", f"≥{gate.min_answered}"),
        (EndState.FAILED, f"≤{gate.max_failed}"),
        (EndState.UNREACHABLE, f"≤{gate.max_unreachable}"),
        (EndState.UNKNOWN, f"≤{gate.max_unknown}"),
    )
    wordings = (
        " · ".join(f"{name} {limit}" for name, limit in limits),
        "  ".join(f"{_SHORT[name]} {limit}" for name, limit in limits),
    )
    texts = (Text(f"gate  {visible_line(text)}", "dim") for text in wordings)
    return [cut, first_that_fits(texts, width)]


def _listed(sizes: Sequence[int]) -> str:
    shown = " + ".join(map(str, sizes[:8]))
    return f"{shown} + …" if len(sizes) > 8 else shown  # noqa: PLR2004  (a line's worth)


def wave_name(wave: WaveCount) -> str:
    """Return what a wave is called: `wave 2 of 4`."""
    return f"wave {wave.number} of {wave.of}" if wave.number else "those who came back"


def label_cells(tally: Tally) -> int:
    """Return how wide the names of stages and waves are, so that their bars stand in a column."""
    names = [len(stage.phase) for stage in tally.plan.stages]
    if spreads(tally.plan):
        most = len(tally.plan.rollout.waves)
        names.append(len(f"wave {most} of {most}"))
    return max(names, default=0)


def spreads(plan: Plan) -> bool:
    """Return whether any stage of the plan runs in waves."""
    return not plan.dry_run and any(each.changes and not each.once for each in plan.stages)


def _wave(tally: Tally, wave: WaveCount, width: int) -> Text:
    line = Text(f"{wave_name(wave):<{label_cells(tally)}}", "bold")
    total = max(wave.size, wave.ends.done)
    line.append_text(bar(tally, wave.ends, total, width))
    digits = len(str(len(tally.plan.endpoints)))
    line.append(f"  {f'{wave.ends.done}/{total}':>{2 * digits + 1}}  ")
    return line.append_text(ends_text(wave.ends, width - line.cell_len))


def _gate(tally: Tally, wave: WaveCount, width: int) -> Text:
    """Return a gate's lines with what is found so far, or with what it has said."""
    head = Text("gate  ")
    if wave.is_stuck:
        head = Text("GATE CLOSED  ", "bold red")
    elif wave.because:
        head = Text("gate gone past  ", "yellow")
    elif wave.phase == "passed":
        head = Text("gate passed  ", "green")
    sums = wave.sums or tuple(_sum_so_far(tally, wave, limit) for limit in wave.limits)
    texts = [head + _sums(wave, sums, each) for each in (_LONG, _MIDDLE, _TIGHT, _BRIEF)]
    broken = [each for each in sums if not each.holds]
    if wave.is_stuck:
        texts[1:] = [head + _sums(wave, broken, each) for each in (_LONG, _BRIEF)]
    elif broken:
        texts.append(head + _sums(wave, broken, _BRIEF))
    elif wave.phase == "passed":
        texts += [Text("passed  ", "green") + _sums(wave, sums, _BRIEF), head]
    return first_that_fits(texts, width)


def _sum_so_far(tally: Tally, wave: WaveCount, limit: GateLimit) -> GateSum:
    """Return a line of a gate as it stands; who has not answered yet may still do so."""
    found = tally.found(wave, limit)
    holds = limit.what == "answered" or found <= limit.limit
    return GateSum(limit.what, limit.limit, limit.of, limit.scope, found, holds)


class _Wording(NamedTuple):
    """How a line of a gate is said: name, number and limit; and what stands between lines."""

    line: str
    least: str
    most: str
    run: str
    between: str


_LONG: Final = _Wording("{name} {found} ({limit})", "at least ", "at most ", " in the run", " · ")
_MIDDLE: Final = _Wording("{name} {found} ({limit})", "≥", "≤", " in run", " · ")
_TIGHT: Final = _Wording("{name} {found} {limit}", "≥", "≤", " in run", " · ")
_BRIEF: Final = _Wording("{name} {found} {limit}", "≥", "≤", " run", "  ")


def _sums(wave: WaveCount, sums: Iterable[GateSum], wording: _Wording) -> Text:
    return Text(wording.between, "dim").join([_sum(wave, each, wording) for each in sums])


def _sum(wave: WaveCount, each: GateSum, wording: _Wording) -> Text:
    least = each.what == "answered"
    limit = f"{wording.least if least else wording.most}{each.limit}"
    if each.scope == "run" and each.limit and each.of != wave.size:
        limit += wording.run
    name = _SHORT[each.what] if wording is _BRIEF else each.what
    text = wording.line.format(name=name, found=each.found, limit=limit)
    if each.holds:
        return Text(text)
    return Text(f"{text} TOO {'FEW' if least else 'MANY'}", "bold red")


def activity(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    """Return the line that says how much runs and why not more."""
    if not rows:
        return []
    parts = [Text(f"running {len(tally.running)} · queued {tally.queued}")]
    waiting = len(tally.waiting)
    if waiting:
        next_s = max(min(tally.waiting.values()) / 1e9 - now_s, 0)
        long = Text.assemble(
            (f"retrying {waiting}", "yellow"), f" (next in {duration(int(next_s))})"
        )
        parts.append(long)
    if tally.doubts:
        parts.append(Text(f"in doubt {len(tally.doubts)}", STATE_STYLE[EndState.UNKNOWN]))
    parts += _bake(tally, now_s)
    if tally.questions:
        parts.append(Text(f"waits for {count(len(tally.questions), 'answer')}", "bold yellow"))
    if tally.is_waiting_only:
        parts.append(Text("waits for those in the waiting room", "yellow"))
    between = Text(" · ", "dim")
    whole = between.join(parts)
    if waiting and whole.cell_len > width:
        parts[1] = Text(f"retrying {waiting}", "yellow")
        whole = between.join(parts)
    return [whole]


def _bake(tally: Tally, now_s: float) -> list[Text]:
    open_wave = tally.open.wave if tally.open is not None else None
    for wave in (open_wave, *tally.late):
        if wave is not None and wave.phase == "baking" and wave.until_ns is not None:
            left_s = round(wave.until_ns / 1e9 - now_s)
            if left_s > 0:
                return [Text(f"baking, {duration(left_s)} left", "cyan")]
            return [Text("baked, verifying again", "cyan")]
    return []


def stragglers(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    """Return what runs longest, with its endpoint, step and age."""
    oldest = list(islice(tally.running.values(), rows))
    if len(tally.running) > rows:
        oldest = [each for each in oldest if now_s - each.since_ns / 1e9 >= _OLD_S]
    room = max(width - 24, 18)
    step_cells = min(tally.longest_step, max(room // 3, room - tally.longest_name))
    name_cells = min(tally.longest_name, room - step_cells)
    return [_straggler(each, now_s, name_cells, step_cells) for each in oldest]


def _straggler(each: Running, now_s: float, name_cells: int, step_cells: int) -> Text:
    age_s = int(max(now_s - each.since_ns / 1e9, 0))
    name = _column(visible_line(each.endpoint), name_cells)
    step = _column(visible_line(each.step), step_cells)
    again = f"  try {each.number}" if each.number > 1 else ""
    why = _PURPOSES.get(each.purpose, again)
    return Text.assemble("  ", name, "  ", (step, "bold"), f"  {duration(age_s):>10}", why)


def _column(text: str, cells: int) -> str:
    shown = shorten(text, cells)
    return shown + " " * (cells - cell_len(shown))


def folds(tally: Tally, width: int, rows: int) -> list[Text]:
    """Return the step ends that matter now, identical ones as one line, the worst first."""
    if rows <= 0:
        return []
    order = tally.step_order
    steps = _current_steps(tally)
    shown = [(s, f) for s, f in tally.folds.items() if s.state in ENDING or s.step in steps]
    best = nsmallest(
        rows, shown, key=lambda e: (rank_of(e[0].word), -order.get(e[0].step, 0), -e[1].count)
    )
    if len(shown) > rows:
        best.pop()
    digits = len(str(len(tally.plan.endpoints)))
    lines = [_fold(said, fold, digits, width) for said, fold in best]
    if len(shown) > rows:
        lines.append(_rest(shown, best, digits))
    return lines


def _current_steps(tally: Tally) -> frozenset[str]:
    """Return the steps of the last stage in which anything has ended."""
    ended = {said.step for said in tally.folds}
    for each in reversed(tally.stages):
        if ended.intersection(each.stage.steps):
            return frozenset(each.stage.steps)
    return frozenset()


def _fold(said: Said, fold: Fold, digits: int, width: int) -> Text:
    line = Text(f"{fold.count:>{digits}} {TIMES} ")
    step = shorten(visible_line(said.step), max(width // 4, 8))
    line.append(f"undo of {step} " if said.mark == "undo" else f"{step} ")
    line.append("in doubt" if said.mark == "doubt" else said.word, _STYLE[said.word])
    text = fold.text if fold.count == 1 else said.text
    if said.failure is not None and (width >= WIDE or not text):
        line.append(f" {said.failure.value}")
    return line.append(f" · {text}", "" if said.state in ENDING else "dim") if text else line


def _rest(shown: list[tuple[Said, Fold]], best: list[tuple[Said, Fold]], digits: int) -> Text:
    ends: Counter[Word] = Counter()
    for said, fold in shown:
        ends[said.word] += fold.count
    for said, fold in best:
        ends[said.word] -= fold.count
    line = Text(f"{'…':>{digits}}   {len(shown) - len(best)} other answers: ", "dim")
    return line.append_text(ends_text(Ends(+ends), _WIDEST))
