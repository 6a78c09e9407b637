"""Parts of the picture that say what happens now: what runs, what was said, and by whom.

Pure functions of a tally, the time and a number of rows and cells. Colours never stand alone:
whatever is coloured is said in words or numbers too. Text from outside is made visible.
"""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest
from itertools import islice
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import shorten
from outagekit.cli.live.bars import STYLE, WIDE, ends_text, first_that_fits, joined
from outagekit.cli.live.standing import ENDING, Ends, Word, rank_of
from outagekit.cli.render import STATE_STYLE
from outagekit.events import EndState
from outagekit.text import count, duration, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from outagekit.cli.live.standing import Fold, Running, Said
    from outagekit.cli.live.tally import Tally

TIMES: Final = "\u00d7"
"""The sign between a number and what there is so many of."""

_BETWEEN: Final = " · "
_OLD_S: Final = 3.0
"""A step that runs for less is no straggler, unless there is room for every step."""
_SILENT_S: Final = 2.0
_MOST_NAMES: Final = 4
_PURPOSES: Final = {"probe": "  look", "recheck": "  verify", "undo": "  undo"}
"""What an attempt is for, where it is not simply the step."""


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
    whole = joined(parts, _BETWEEN)
    if waiting and whole.cell_len > width:
        parts[1] = Text(f"retrying {waiting}", "yellow")
        whole = joined(parts, _BETWEEN)
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
    lines = []
    for each in oldest:
        line = _straggler(each, now_s, name_cells, step_cells)
        if now_s - each.since_ns / 1e9 >= _SILENT_S:
            left = width - line.cell_len
            line.append_text(first_that_fits((*_silence(tally, each), Text()), left))
        lines.append(line)
    return lines


def _silence(tally: Tally, each: Running) -> Iterator[Text]:
    """Yield, from long to short, that no command of ours has come back from an endpoint yet.

    Whether it is connecting, waiting at a jump host or for sudo is known only once it is over.
    """
    seat = tally.seats[each.endpoint]
    if seat.heard:
        return
    site = tally.plan.site_of(seat.endpoint)
    jump = visible_line(site.jump) if site is not None and site.jump else ""
    through = (f" through the jump host {jump}", " through a jump host") if jump else ()
    for way in (*through, ""):
        yield Text(f"  no answer yet{way}", "dim")


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
    """Return the step ends that matter now, identical ones as one line, the worst first.

    What did not go well has the names of the first few, and its words on a line of their own as
    long as there is room.
    """
    if rows <= 0:
        return []
    order = tally.step_order
    steps = _current_steps(tally)
    shown = [(s, f) for s, f in tally.folds.items() if s.state in ENDING or s.step in steps]
    best = nsmallest(
        rows, shown, key=lambda e: (rank_of(e[0].word), -order.get(e[0].step, 0), -e[1].count)
    )
    too_many = len(shown) > rows > 1  # in a single row the worst says more than a number
    if too_many:
        best.pop()
    digits = len(str(len(tally.plan.endpoints)))
    spare = rows - len(best) - too_many
    lines: list[Text] = []
    for said, fold in best:
        told = _fold(said, fold, digits, width, spare=spare > 0)
        spare -= len(told) - 1
        lines += told
    if too_many:
        lines.append(_rest(shown, best, digits, width))
    return lines


def _current_steps(tally: Tally) -> frozenset[str]:
    """Return the steps of the last stage in which anything has ended."""
    ended = {said.step for said in tally.folds}
    for each in reversed(tally.stages):
        if ended.intersection(each.stage.steps):
            return frozenset(each.stage.steps)
    return frozenset()


def _fold(said: Said, fold: Fold, digits: int, width: int, *, spare: bool) -> list[Text]:
    """Return identical ends as a line; as two if there is a line to spare and more to say."""
    line = Text(f"{fold.count:>{digits}} {TIMES} ")
    step = shorten(visible_line(said.step), max(width // 4, 8))
    line.append(f"undo of {step} " if said.mark == "undo" else f"{step} ")
    line.append("in doubt" if said.mark == "doubt" else said.word, STYLE[said.word])
    text = fold.text if fold.count == 1 else said.text
    if said.failure is not None and (width >= WIDE or not text):
        line.append(f" {said.failure.value}")
    if not fold.names:
        return [line.append(f" · {text}", "" if said.state in ENDING else "dim") if text else line]
    if not text or not spare:
        who = _names(fold, 1, max(2 * width // 5, width - line.cell_len - cell_len(text) - 5))
        line.append(f": {who}", "bold")
        return [line.append(f" · {text}") if text else line]
    line.append(f": {_names(fold, _MOST_NAMES, width - line.cell_len - 2)}", "bold")
    return [line, Text(f"{' ' * (digits + 3)}{text}")]


def _names(fold: Fold, most: int, room: int) -> str:
    """Return the first few who ended so and how many more there are; at least one is named."""
    first = list(islice(fold.names, most))
    more = ""
    for shown in range(len(first), 0, -1):
        rest = fold.count - shown
        more = f" and {rest} more" if rest > 0 else ""
        text = _by_client(first[:shown]) + more
        if cell_len(text) <= room:
            return text
    return shorten(visible_line(first[0]), max(room - len(more), 8)) + more


def _by_client(names: Sequence[str]) -> str:
    """Return names with their client said once: `acme/pos-01, pos-02, beta/web-01`."""
    told: list[str] = []
    before = ""
    for name in names:
        client, _, rest = name.partition("/")
        told.append(visible_line(rest if client == before else name))
        before = client
    return ", ".join(told)


def _rest(
    shown: list[tuple[Said, Fold]], best: list[tuple[Said, Fold]], digits: int, width: int
) -> Text:
    ends: Counter[Word] = Counter()
    for said, fold in shown:
        ends[said.word] += fold.count
    for said, fold in best:
        ends[said.word] -= fold.count
    line = Text().append(f"{'…':>{digits}}   {len(shown) - len(best)} other answers: ", "dim")
    return line.append_text(ends_text(Ends(+ends), width - line.cell_len))
