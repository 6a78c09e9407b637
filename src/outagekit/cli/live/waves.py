"""Parts of the picture that show waves: a line each with a bar, and the gate of the present one.

Pure functions of a tally, the time and a number of rows and cells. Colours never stand alone:
whatever is coloured is said in words or numbers too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.text import Text

from outagekit.cli.live.bars import SHORT, bar, counted_line, first_that_fits, joined, label_cells
from outagekit.cli.live.standing import Ends
from outagekit.events import EndState, GateSum
from outagekit.plan.waves import wave_sizes
from outagekit.text import duration, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outagekit.cli.live.standing import StageCount, WaveCount
    from outagekit.cli.live.tally import Tally
    from outagekit.events import GateLimit
    from outagekit.plan.model import Plan


def wave_name(wave: WaveCount) -> str:
    """Return what a wave is called: `wave 2 of 4`."""
    return f"wave {wave.number} of {wave.of}" if wave.number else "those who came back"


def wave_lines(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    """Return the waves around the one that matters and its gate; before any, how they are cut."""
    if not rows:
        return []
    wave = tally.wave
    if wave is None:
        return _waves_ahead(tally, width, rows)
    gate = _gate(tally, wave, width)
    if rows == 1:
        return [gate if wave.is_stuck else _wave(tally, wave, now_s, width)]
    return [*_waves(tally, wave, now_s, width, rows - 1), gate]


def _waves(tally: Tally, wave: WaveCount, now_s: float, width: int, rows: int) -> list[Text]:
    """Return the waves of a stage in order; where there are too many, those around the present."""
    stage = tally.stages[wave.stage - 1]
    late = [_wave(tally, wave, now_s, width)] if not wave.number else []
    rows -= len(late)
    at = (wave.number or len(stage.waves)) - 1
    first = max(min(at - 1 if rows > 1 else at, len(stage.sizes) - rows), 0)
    opened = {each.number: each for each in stage.waves}
    numbers = range(first + 1, min(first + rows, len(stage.sizes)) + 1)
    return [
        *(
            _wave(tally, opened[each], now_s, width)
            if each in opened
            else _wave_ahead(tally, stage, each, width)
            for each in numbers
        ),
        *late,
    ]


def _wave(tally: Tally, wave: WaveCount, now_s: float, width: int) -> Text:
    total = max(wave.size, wave.ends.done)
    style = "bold" if wave is tally.wave else ""
    line = counted_line(tally, (wave_name(wave), style), wave.ends, total, width)
    said = _state_of(wave, now_s)
    if said and line.cell_len + said.cell_len + 2 <= width:
        line.append("  ").append_text(said)
    return line


def _state_of(wave: WaveCount, now_s: float) -> Text:
    """Return what a wave is at, where its numbers do not say it."""
    if wave.because:
        return Text("gone past", "yellow")
    if wave.phase == "baking" and wave.until_ns is not None:
        left_s = round(wave.until_ns / 1e9 - now_s)
        said = f"bakes {duration(left_s)} more" if left_s > 0 else "is verified again"
        return Text(said, "cyan")
    words = {
        "passed": Text("passed", "green"),
        "closed": Text("CLOSED", "bold red"),
        "retried": Text("tried again", "yellow"),
    }
    return words.get(wave.phase, Text())


def _wave_ahead(tally: Tally, stage: StageCount, number: int, width: int) -> Text:
    name = f"wave {number} of {len(stage.sizes)}"
    return counted_line(tally, (name, "dim"), Ends(), stage.sizes[number - 1], width)


def _waves_ahead(tally: Tally, width: int, rows: int) -> list[Text]:
    stage = tally.open
    if stage is not None and stage.is_cut:
        if not stage.sizes:
            return [Text(f"no waves: nobody needs {stage.stage.phase}", "dim")]
        numbers = range(1, min(rows, len(stage.sizes)) + 1)
        return [_wave_ahead(tally, stage, each, width) for each in numbers]
    at = stage.number - 1 if stage is not None else 0
    ahead = [each for each in tally.plan.stages[at:] if each.changes and not each.once]
    if not ahead:
        return []
    gate = _gate_ahead(tally.plan, width)
    waves = tally.plan.rollout.waves
    waves = waves if waves[-1:] == ("100%",) else (*waves, "100%")
    if rows - 1 < len(wave_sizes(len(tally.plan.endpoints), waves)):
        cut = Text(f"waves  {', '.join(waves)} of those who need {ahead[0].phase}", "dim")
        return [cut, gate][:rows]
    cells = label_cells(tally)
    empty = bar(tally, Ends(), 0, width)
    lines = []
    for number, size in enumerate(waves[: rows - 1], start=1):
        line = Text(f"{f'wave {number}':<{cells}}", style="dim").append_text(empty)
        upto = f"  {size} of those who need {ahead[0].phase}" if number == 1 else f"  up to {size}"
        lines.append(line.append(upto, "dim"))
    return [*lines, gate]


def _gate_ahead(plan: Plan, width: int) -> Text:
    gate = plan.rollout.gate
    limits = (
        ("answered", f"≥{gate.min_answered}"),
        (EndState.FAILED, f"≤{gate.max_failed}"),
        (EndState.UNREACHABLE, f"≤{gate.max_unreachable}"),
        (EndState.UNKNOWN, f"≤{gate.max_unknown}"),
    )
    wordings = (
        " · ".join(f"{name} {limit}" for name, limit in limits),
        "  ".join(f"{SHORT[name]} {limit}" for name, limit in limits),
    )
    texts = (Text(f"gate  {visible_line(text)}", "dim") for text in wordings)
    return first_that_fits(texts, width)


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
    return joined((_sum(wave, each, wording) for each in sums), wording.between)


def _sum(wave: WaveCount, each: GateSum, wording: _Wording) -> Text:
    least = each.what == "answered"
    limit = f"{wording.least if least else wording.most}{each.limit}"
    if each.scope == "run" and each.limit and each.of != wave.size:
        limit += wording.run
    name = SHORT[each.what] if wording is _BRIEF else each.what
    text = wording.line.format(name=name, found=each.found, limit=limit)
    if each.holds:
        return Text(text)
    return Text(f"{text} TOO {'FEW' if least else 'MANY'}", "bold red")
