"""Bars and counts of end states, in one column: how far a group of endpoints is, and how it goes.

Pure functions. A bar tells end states apart by its characters, so that it can be read without
colour; the counts beside it say the same in words and add up to what is done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from outagekit.cli.live.standing import ENDING, WOULD, Word
from outagekit.cli.render import STATE_STYLE
from outagekit.events import EndState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from outagekit.cli.live.standing import Ends
    from outagekit.cli.live.tally import Tally
    from outagekit.plan.model import Plan

WIDE: Final = 76
NARROW: Final = 50
TO_COME: Final = "░"
"""What is not done yet."""
GLYPH: Final[dict[Word, str]] = {
    EndState.OK: "█",
    EndState.CHANGED: "▓",
    WOULD: "▚",
    EndState.SKIPPED: "▒",
    EndState.FAILED: "x",
    EndState.UNKNOWN: "?",
    EndState.UNREACHABLE: "!",
}
"""End state -> its character in a bar, in the order of a bar: what goes wrong stands right."""
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
MIDDLE: Final[dict[Word, str]] = {
    EndState.FAILED: "failed",
    EndState.UNKNOWN: "unknown",
    EndState.UNREACHABLE: "unreach",
    EndState.CHANGED: "chg",
    EndState.OK: "ok",
    EndState.SKIPPED: "skip",
    WOULD: "would",
}
SHORT: Final[dict[Word, str]] = {
    EndState.FAILED: "fail",
    EndState.UNKNOWN: "unkn",
    EndState.UNREACHABLE: "unre",
    EndState.CHANGED: "chg",
    EndState.OK: "ok",
    EndState.SKIPPED: "skip",
    WOULD: "would",
    "answered": "answ",
}
STYLE: Final[dict[Word, str]] = {
    **{state.value: style for state, style in STATE_STYLE.items()},
    WOULD: STATE_STYLE[EndState.CHANGED],
}
_SHORTEST_BAR: Final = 5
_LONGEST_BAR: Final = 16
_FEWEST_WORDS: Final = 13
"""Cells of `good`, `bad` and `todo` beside the shortest bar, without most of their digits."""


def first_that_fits(texts: Iterable[Text], width: int) -> Text:
    """Return the first of some wordings, longest first, that has room; else the last."""
    text = Text()
    for text in texts:
        if text.cell_len <= width:
            break
    return text


def joined(parts: Iterable[Text], between: str) -> Text:
    """Return parts with something dim between them; each keeps its own style."""
    whole = Text()
    for number, part in enumerate(parts):
        if number:
            whole.append(between, "dim")
        whole.append_text(part)
    return whole


def shares(numbers: Sequence[int], cells: int, first: Sequence[int] = ()) -> list[int]:
    """Return how many of `cells` each number gets, by its size; together they get all of them.

    Whatever is more than nothing gets one, as long as there are enough; `first` names those that
    do before the others. All zero: nobody gets any.
    """
    total = sum(numbers)
    given = [0] * len(numbers)
    left = cells if total else 0
    for at in (*first, *(each for each in range(len(numbers)) if each not in first)):
        if numbers[at] and left:
            given[at] = 1
            left -= 1
    for _ in range(left):
        most = max(range(len(numbers)), key=lambda at: numbers[at] * cells / total - given[at])
        given[most] += 1
    return given


_PARTS: Final = tuple(GLYPH)
_FIRST: Final = (
    *(at for at, word in enumerate(_PARTS) if word in ENDING),
    len(_PARTS),
)
"""What is seen even if it is one of thousands: what went wrong, and that not all is done."""


def bar(tally: Tally, ends: Ends, total: int, width: int) -> Text:
    """Return two blanks and a bar; nothing where there is no room for one.

    For one plan and one width all bars are equally long, and leave room for what goes wrong.
    """
    digits = len(str(len(tally.plan.endpoints)))
    words = (35 if width >= WIDE else 23) + 3 * max(digits - 1, 1)
    room = width - label_cells(tally) - 2 * digits - 7
    cells = min(room - words, _LONGEST_BAR)
    if cells < _SHORTEST_BAR <= room - _FEWEST_WORDS - 3 * digits:
        cells = _SHORTEST_BAR  # beside it stands what went wrong, or the sums
    if width < NARROW or cells < _SHORTEST_BAR:
        return Text()
    numbers = [max(ends.by_word[word], 0) for word in _PARTS]
    to_come = max(total - sum(numbers), 0)
    given = shares([*numbers, to_come], cells, _FIRST)
    line = Text("  ")
    for word, number in zip(_PARTS, given, strict=False):
        line.append(GLYPH[word] * number, STYLE[word])
    return line.append(TO_COME * (given[-1] if sum(given) else cells), "dim")


def counted_line(tally: Tally, name: tuple[str, str], ends: Ends, total: int, width: int) -> Text:
    """Return a name (with its style), a bar, how many are done, and as what."""
    label, style = name
    cells = label_cells(tally) if width >= NARROW else len(label)
    line = Text(f"{label:<{cells}}", style="")
    line.stylize(style)
    line.append_text(bar(tally, ends, total, width))
    digits = len(str(len(tally.plan.endpoints)))
    line.append(f"  {f'{ends.done}/{total}':>{2 * digits + 1}}  ")
    return line.append_text(ends_text(ends, width - line.cell_len))


def ends_text(ends: Ends, room: int, *, to_come: int = 0) -> Text:
    """Return the end states with their numbers, in shorter words where there is less room.

    They add up to what is done, with `to_come` to all; only where not even that fits, what went
    wrong stands alone. A number is never cut: half a number is a wrong one.
    """
    by_word = {word: ends.by_word[word] for word in SHOWN_ORDER if ends.by_word[word]}
    bad = {word: number for word, number in by_word.items() if word in ENDING}
    good = sum(by_word.values()) - sum(bad.values())
    whole = Text()
    for whole in (
        *_in_full(by_word, to_come),
        joined([*_total("good", good, "green"), *_said(bad, SHORT), *_todo(to_come)], " "),
        *([joined(_said(bad, SHORT), " ")] if bad else []),
        joined(
            [
                *_total("good", good, "green"),
                *_total("bad", sum(bad.values()), "bold red"),
                *_todo(to_come),
            ],
            " ",
        ),
    ):
        if whole.cell_len <= room:
            return whole
    return Text()


def _in_full(by_word: Mapping[Word, int], to_come: int) -> Iterator[Text]:
    later = _total("to come", to_come, "dim")
    yield joined([*_said(by_word, {}), *later], " · ")
    yield joined([*_said(by_word, MIDDLE), *later], " · ")
    yield joined([*_said(by_word, MIDDLE), *later], " ")
    yield joined([*_said(by_word, SHORT), *_todo(to_come)], " ")


def _said(by_word: Mapping[Word, int], names: Mapping[Word, str]) -> list[Text]:
    return [
        Text(f"{names.get(word, word)} {number}", STYLE[word]) for word, number in by_word.items()
    ]


def _total(name: str, number: int, style: str) -> list[Text]:
    return [Text(f"{name} {number}", style)] if number else []


def _todo(number: int) -> list[Text]:
    return _total("todo", number, "dim")


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
