"""One picture of a run, as lines that fit: a pure function of a tally, the time and a size.

For one plan and one size a picture always has the same number of lines, so that nothing jumps.
Where there is little room names are shortened and parts are left out; nothing is folded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import shorten
from outagekit.cli.render import STATE_STYLE
from outagekit.cli.tally import ENDING
from outagekit.events import WORST_FIRST, EndState
from outagekit.text import count, duration, fold_list, visible_line

if TYPE_CHECKING:
    from outagekit.cli.tally import Fold, Running, Said, StageCount, Tally

WIDEST: Final = 120
"""A wider terminal is not filled: the eye would have to travel."""

TIMES: Final = "\u00d7"
"""The sign between a number and what there is so many of."""

_WIDE: Final = 76
_NARROW: Final = 50
_OLD_S: Final = 3.0
"""A step that runs for less is no straggler, unless there is room for every step."""
_STRAGGLERS: Final = 5
_FOLDS: Final = 10
_SHOWN_ORDER: Final = (
    EndState.OK,
    EndState.CHANGED,
    EndState.FAILED,
    EndState.UNKNOWN,
    EndState.UNREACHABLE,
    EndState.SKIPPED,
)
"""Good ends first: what goes wrong is added at the right and moves nothing."""
_SHORT: Final[dict[EndState, str]] = {
    EndState.FAILED: "fail",
    EndState.UNKNOWN: "unkn",
    EndState.UNREACHABLE: "unre",
    EndState.CHANGED: "chg",
    EndState.OK: "ok",
    EndState.SKIPPED: "skip",
}
_RANK: Final = {state: rank for rank, state in enumerate(WORST_FIRST)}


@dataclass(slots=True)
class Room:
    """How many lines each part of the picture gets."""

    header: int = 0
    stages: int = 0
    activity: int = 0
    stragglers: int = 0
    folds: int = 0
    footer: int = 0
    gaps: int = 0


def room_for(tally: Tally, height: int) -> Room:
    """Return how `height` lines are shared out: the dearest things first, then the comfort."""
    endpoints = len(tally.plan.endpoints)
    stragglers = min(_STRAGGLERS, endpoints)
    folds = min(_FOLDS, endpoints * len(tally.plan.steps))
    room = Room()
    left = height
    for part, upto in (
        ("stages", 1),
        ("activity", 1),
        ("footer", 1),
        ("header", 1),
        ("folds", min(folds, 2)),
        ("stragglers", min(stragglers, 1)),
        ("stages", len(tally.stages)),
        ("stragglers", min(stragglers, 2)),
        ("folds", min(folds, 4)),
        ("gaps", 4),
        ("header", 2),
        ("footer", 2),
        ("stragglers", min(stragglers, 3)),
        ("folds", min(folds, 6)),
        ("stragglers", stragglers),
        ("folds", folds),
    ):
        given = max(min(upto - getattr(room, part), left), 0)
        setattr(room, part, getattr(room, part) + given)
        left -= given
    return room


def frame(tally: Tally, now_s: float, width: int, height: int) -> list[Text]:
    """Return the picture at the monotonic time `now_s`: at most `height` lines of `width` cells."""
    width = min(width, WIDEST)
    room = room_for(tally, height)
    parts = (
        _header(tally, now_s, width, room.header),
        _stages(tally, width, room.stages),
        [
            *_activity(tally, now_s, room.activity),
            *_padded(_stragglers(tally, now_s, width, room.stragglers), room.stragglers),
        ],
        _padded(_folds(tally, width, room.folds), room.folds),
        _footer(tally, room.footer),
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
        line.truncate(max(width, 1), overflow="ellipsis")
    return lines[:height]


def _padded(lines: list[Text], rows: int) -> list[Text]:
    return lines + [Text() for _ in range(rows - len(lines))]


def _header(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    if not rows:
        return []
    size = count(len(tally.plan.endpoints), "endpoint")
    title = visible_line(tally.plan.playbook.title)
    elapsed = duration(int(_elapsed_s(tally, now_s)))
    right = elapsed if rows > 1 else f"{size}  {elapsed}"
    left = _cut(title, max(width - cell_len(right) - 2, 0))
    gap = " " * max(width - cell_len(left) - cell_len(right), 1)
    lines = [Text.assemble((left, "bold"), gap, right)]
    if rows > 1:
        clients = fold_list((visible_line(c.client) for c in tally.plan.clients), 3)
        run = shorten(visible_line(tally.run), max(width - cell_len(clients) - len(size) - 6, 0))
        lines.append(Text(" · ".join(filter(None, (clients, size, run))), "dim"))
    return lines


def _cut(title: str, cells: int) -> str:
    line = Text(title)
    line.truncate(cells, overflow="ellipsis")
    return line.plain


def _elapsed_s(tally: Tally, now_s: float) -> float:
    if tally.since_ns is None:
        return 0.0
    until_s = now_s if tally.until_ns is None else tally.until_ns / 1e9
    return max(until_s - tally.since_ns / 1e9, 0.0)


def _stages(tally: Tally, width: int, rows: int) -> list[Text]:
    """Return the open stage and those around it, in order."""
    at = tally.open.stage.number - 1 if tally.open else 0
    first = max(min(at - 1 if rows > 2 else at, len(tally.stages) - rows), 0)  # noqa: PLR2004  (one before, one after)
    shown = tally.stages[first : first + rows]
    name_cells = max((len(each.stage.phase) for each in tally.stages), default=0)
    return [_stage(tally, each, name_cells, width) for each in shown]


def _stage(tally: Tally, each: StageCount, name_cells: int, width: int) -> Text:
    line = Text(f"{each.stage.phase:<{name_cells}}")
    line.stylize("bold" if each is tally.open else "" if each.total is not None else "dim")
    bar = 16 if width >= _WIDE else 10 if width >= _NARROW else 0
    done, total = each.done, each.total or 0
    filled = min(bar * done // total, bar) if total else 0
    if bar:
        bad = any(each.ends[state] for state in ENDING)
        line.append("  ")
        line.append("█" * filled, "yellow" if bad else "green")
        line.append("░" * (bar - filled), "dim")
    digits = len(str(len(tally.plan.endpoints)))
    if each.total is None:
        return line.append(f"  {'-':>{2 * digits + 1}}", "dim")
    line.append(f"  {f'{done}/{total}':>{2 * digits + 1}}  ")
    return line.append_text(_ends(each.ends, width - line.cell_len))


def _ends(ends: Counter[EndState], room: int) -> Text:
    """Return the end states with their numbers; in too little room the bad ones, then in short.

    A number is never cut: half a number is a wrong one.
    """
    states = [state for state in _SHOWN_ORDER if ends[state]]
    bad = [state for state in states if state in ENDING] or states
    whole = Text()
    for shown, words, between in ((states, None, " · "), (bad, None, " · "), (bad, _SHORT, " ")):
        named = [(state, words[state] if words else state.value) for state in shown]
        parts = [Text(f"{word} {ends[state]}", STATE_STYLE[state]) for state, word in named]
        whole = Text(between, "dim").join(parts)
        if whole.cell_len <= room:
            return whole
    whole = Text(f"not good {sum(ends[state] for state in bad)}")
    return whole if whole.cell_len <= room and bad is not states else Text()


def _activity(tally: Tally, now_s: float, rows: int) -> list[Text]:
    if not rows:
        return []
    line = Text(f"running {len(tally.running)} · queued {tally.queued}")
    if tally.waiting:
        next_s = max(min(tally.waiting.values()) / 1e9 - now_s, 0)
        line.append(f" · retrying {len(tally.waiting)}", "yellow")
        line.append(f" (next in {duration(int(next_s))})")
    return [line]


def _stragglers(tally: Tally, now_s: float, width: int, rows: int) -> list[Text]:
    oldest = list(islice(tally.running.values(), rows))
    if len(tally.running) > rows:
        oldest = [each for each in oldest if now_s - each.since_ns / 1e9 >= _OLD_S]
    room = max(width - 23, 18)
    step_cells = min(tally.longest_step, max(room // 3, room - tally.longest_name))
    name_cells = min(tally.longest_name, room - step_cells)
    return [_straggler(each, now_s, name_cells, step_cells) for each in oldest]


def _straggler(each: Running, now_s: float, name_cells: int, step_cells: int) -> Text:
    age_s = int(max(now_s - each.since_ns / 1e9, 0))
    name = _column(visible_line(each.endpoint), name_cells)
    step = _column(visible_line(each.step), step_cells)
    again = f"  try {each.number}" if each.number > 1 else ""
    return Text.assemble("  ", name, "  ", (step, "bold"), f"  {duration(age_s):>10}", again)


def _column(text: str, cells: int) -> str:
    shown = shorten(text, cells)
    return shown + " " * (cells - cell_len(shown))


def _folds(tally: Tally, width: int, rows: int) -> list[Text]:
    """Return the step ends that matter now, identical ones as one line, the worst first."""
    if not rows:
        return []
    order = {step.id: number for number, step in enumerate(tally.plan.steps)}
    steps = _current_steps(tally)
    shown = [(s, f) for s, f in tally.folds.items() if s.state in ENDING or s.step in steps]
    best = nsmallest(
        rows, shown, key=lambda e: (_RANK[e[0].state], -order.get(e[0].step, 0), -e[1].count)
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
    line.append(f"{shorten(visible_line(said.step), max(width // 4, 8))} ")
    line.append(said.state.value, STATE_STYLE[said.state])
    text = fold.text if fold.count == 1 else said.text
    if said.failure is not None and (width >= _WIDE or not text):
        line.append(f" {said.failure.value}")
    return line.append(f" · {text}", "" if said.state in ENDING else "dim") if text else line


def _rest(shown: list[tuple[Said, Fold]], best: list[tuple[Said, Fold]], digits: int) -> Text:
    ends: Counter[EndState] = Counter()
    for said, fold in shown:
        ends[said.state] += fold.count
    for said, fold in best:
        ends[said.state] -= fold.count
    line = Text(f"{'…':>{digits}}   {len(shown) - len(best)} other answers: ", "dim")
    return line.append_text(_ends(+ends, WIDEST))


def _footer(tally: Tally, rows: int) -> list[Text]:
    after, keys = _what_next(tally)
    lines = [Text(after), Text(keys, "dim")]
    return lines[-rows:] if rows else []


def _what_next(tally: Tally) -> tuple[str, str]:
    if tally.until_ns is not None:
        return "", "the run is over; its log is being closed"
    if tally.stopping:
        running = count(len(tally.running), "running step")
        return (
            f"stopping: {running} may end, nothing new begins",
            "Ctrl-C again: leave running steps in doubt",
        )
    following = tally.following
    then = "last stage: after it the run is over"
    if following is not None:
        most = count(tally.alive, "endpoint")
        then = f"then {following.phase}: {fold_list(following.steps, 3)} on up to {most}"
    return visible_line(then), "Ctrl-C: running steps end, nothing new begins"
