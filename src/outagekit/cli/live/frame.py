"""One picture of a run, as lines that fit: a pure function of a tally, the time and a size.

For one plan and one size a picture always has the same number of lines, so that nothing jumps.
Where there is little room names are shortened and parts are left out; nothing is folded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import shorten
from outagekit.cli.live.bars import bar, counted_line, ends_text, label_cells, spreads
from outagekit.cli.live.outlook import footer, news
from outagekit.cli.live.panes import activity, folds, stragglers
from outagekit.cli.live.waves import wave_lines
from outagekit.plan.waves import wave_sizes
from outagekit.text import count, duration, fold_list, visible_line

if TYPE_CHECKING:
    from outagekit.cli.live.standing import StageCount
    from outagekit.cli.live.tally import Tally
    from outagekit.plan.model import Plan

WIDEST: Final = 120
"""A wider terminal is not filled: the eye would have to travel."""

_STRAGGLERS: Final = 5
_WAVES: Final = 8
_FOLDS: Final = 16
_NEWS: Final = 4
"""Rows for what is waited for, taken from those of the answers when there is any."""


@dataclass(slots=True)
class Room:
    """How many lines each part of the picture gets."""

    header: int = 0
    everyone: int = 0
    stages: int = 0
    waves: int = 0
    """For waves and their gate."""
    activity: int = 0
    stragglers: int = 0
    folds: int = 0
    """For what was said, and for what is waited for."""
    footer: int = 0
    gaps: int = 0


def room_for(tally: Tally, height: int) -> Room:
    """Return how `height` lines are shared out: the dearest things first, then the comfort."""
    plan = tally.plan
    endpoints = len(plan.endpoints)
    slow = min(_STRAGGLERS, endpoints)
    said = min(_FOLDS, 2 * endpoints * len(plan.steps))
    if _may_wait(plan):
        said = max(said, _NEWS)
    most = len(wave_sizes(endpoints, plan.rollout.waves))
    waves = min(most, _WAVES) + 1 if spreads(plan) else 0
    room = Room()
    left = height
    for part, upto in (
        ("stages", 1),
        ("activity", 1),
        ("footer", 1),
        ("header", 1),
        ("waves", 1),
        ("folds", 2),
        ("footer", 2),
        ("waves", 2),
        ("stragglers", 1),
        ("everyone", int(len(plan.stages) > 1)),
        ("waves", 3),
        ("folds", 4),
        ("header", 2),
        ("stages", 2),
        ("waves", 5),
        ("stragglers", 2),
        ("folds", 6),
        ("gaps", 2),
        ("stages", len(tally.stages)),
        ("gaps", 4),
        ("folds", 8),
        ("waves", waves),
        ("stragglers", 3),
        ("folds", said),
        ("stragglers", slow),
    ):
        limits = {"waves": waves, "folds": said, "stragglers": slow, "stages": len(tally.stages)}
        given = max(min(min(upto, limits.get(part, upto)) - getattr(room, part), left), 0)
        setattr(room, part, getattr(room, part) + given)
        left -= given
    return room


def _may_wait(plan: Plan) -> bool:
    """Return whether anything may be waited for: an answer, or an endpoint to come back."""
    return not plan.dry_run and (plan.changes or any(step.local for step in plan.steps))


def frame(tally: Tally, now_s: float, width: int, height: int) -> list[Text]:
    """Return the picture at the monotonic time `now_s`: at most `height` lines of `width` cells."""
    width = min(width, WIDEST)
    room = room_for(tally, height)
    waits = news(tally, now_s, width, min(room.folds, _NEWS))
    answers = folds(tally, width, room.folds - len(waits))
    parts = (
        _header(tally, now_s, width, room.header),
        [*_everyone(tally, width, room.everyone), *_stages(tally, width, room.stages)],
        [
            *_padded(wave_lines(tally, now_s, width, room.waves), room.waves),
            *activity(tally, now_s, width, room.activity),
            *_padded(stragglers(tally, now_s, width, room.stragglers), room.stragglers),
        ],
        [*_padded(answers, room.folds - len(waits)), *waits],
        footer(tally, now_s, width, room.footer),
    )
    lines: list[Text] = []
    gaps = room.gaps
    for part in parts:
        if gaps and lines and part:
            lines.append(Text())
            gaps -= 1
        lines.extend(part)
    for line in lines:
        line.no_wrap = True
        line.rstrip()
        line.truncate(max(width, 1), overflow="ellipsis")
    return lines[:height]


def _padded(lines: list[Text], rows: int) -> list[Text]:
    return lines + [Text() for _ in range(rows - len(lines))]


def _header(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    if not rows:
        return []
    size = count(len(tally.plan.endpoints), "endpoint")
    kind = "DRY RUN" if tally.plan.dry_run else "DRILL" if tally.drill else ""
    title = visible_line(tally.plan.playbook.title)
    elapsed = duration(int(_elapsed_s(tally, now_s)))
    elapsed = f"resumed {elapsed} ago" if tally.resumed else elapsed
    right = elapsed if rows > 1 else f"{size}  {elapsed}"
    left = Text.assemble((kind, "bold reverse"), "  " if kind else "", (title, "bold"))
    left.truncate(max(width - cell_len(right) - 2, 0), overflow="ellipsis")
    gap = " " * max(width - left.cell_len - cell_len(right), 1)
    lines = [left.append(gap).append(right)]
    if rows > 1:
        clients = fold_list((visible_line(c.client) for c in tally.plan.clients), 3)
        run = shorten(visible_line(tally.run), max(width - cell_len(clients) - len(size) - 6, 0))
        lines.append(Text(" · ".join(filter(None, (clients, size, run))), "dim"))
    return lines


def _elapsed_s(tally: Tally, now_s: float) -> float:
    if tally.since_ns is None:
        return 0.0
    until_s = now_s if tally.until_ns is None else tally.until_ns / 1e9
    return max(until_s - tally.since_ns / 1e9, 0.0)


def _everyone(tally: Tally, width: int, rows: int) -> list[Text]:
    """Return every endpoint as what it would be called if the run ended now."""
    if not rows:
        return []
    ends, total = tally.ends, len(tally.plan.endpoints)
    line = Text(f"{f'all {total}':<{label_cells(tally)}}", style="")
    line.stylize("bold")
    line.append_text(bar(tally, ends, total, width)).append("  ")
    room = width - line.cell_len
    return [line.append_text(ends_text(ends, room, to_come=total - ends.done))]


def _stages(tally: Tally, width: int, rows: int) -> list[Text]:
    """Return the open stage and those around it, in order."""
    at = tally.open.number - 1 if tally.open else 0
    first = max(min(at - 1 if rows > 2 else at, len(tally.stages) - rows), 0)  # noqa: PLR2004  (one before, one after)
    shown = tally.stages[first : first + rows]
    return [_stage(tally, each, width) for each in shown]


def _stage(tally: Tally, each: StageCount, width: int) -> Text:
    phase, once = each.stage.phase, each.stage.once
    if each.total is None:
        cells = label_cells(tally)
        line = Text(f"{phase:<{cells}}", "dim").append_text(bar(tally, each.ends, 0, width))
        digits = len(str(len(tally.plan.endpoints)))
        return line.append(f"  {'-':>{2 * digits + 1}}", "dim")
    style = "bold" if each is tally.open else ""
    total = max(each.total, each.done)
    line = counted_line(tally, (phase, style), each.ends, total, width)
    return line.append(f"once per {once}", "dim") if once and not each.done else line
