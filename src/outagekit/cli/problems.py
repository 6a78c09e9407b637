"""Problems of files as people read them: place, sentence, the line, a caret, a hint.

Pure: texts in, `Text` out. Nothing here prints; nothing of a file is shown before it is visible.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.text import Text

from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from outagekit.errors import Problem

_WIDTH: Final = 100
_NARROWEST: Final = 20
_TAB: Final = 4
_CUT: Final = "…"


def problem_lines(
    problems: Sequence[Problem], *, width: int = _WIDTH, folder: Path | None = None
) -> tuple[Text, ...]:
    """Return the problems in the order given, each as two to four lines.

    `width` is how many cells a source line may take: a longer one is shown around its caret.
    Paths below `folder` (None: the working folder) are shown relative to it.
    """
    base = folder or Path.cwd()
    return tuple(line for each in problems for line in _lines(each, width, base))


def closing_line(problems: Sequence[Problem]) -> Text:
    """Return how many there are: `3 problems in 2 files, 1 warning`."""
    faults = [each for each in problems if not each.warning]
    lints = count(len(problems) - len(faults), "warning")
    files = count(len({each.path for each in faults or problems}), "file")
    if not problems:
        return Text("no problems")
    if not faults:
        return Text(f"{lints} in {files}", "yellow")
    more = f", {lints}" if len(faults) < len(problems) else ""
    return Text(f"{count(len(faults), 'problem')} in {files}{more}", "bold")


def problems_document(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Return the problems for JSON: `path line column message hint source warning`."""
    return [
        {
            "path": str(each.path),
            "line": each.line,
            "column": each.column,
            "message": each.message,
            "hint": each.hint,
            "source": each.source,
            "warning": each.warning,
        }
        for each in problems
    ]


def _lines(problem: Problem, width: int, base: Path) -> Iterable[Text]:
    place = f"{problem.line}:{problem.column}:" if problem.line else ""
    head = Text(f"{visible_line(_short(problem.path, base))}:{place} ", "bold", no_wrap=False)
    if problem.warning:
        head.append("warning: ", "yellow")
    head.append(visible_line(problem.message), "not bold")
    yield head
    if problem.line and problem.source.strip():
        yield from _pointed(problem, width)
    if problem.hint:
        for number, line in enumerate(problem.hint.splitlines()):
            lead = "  hint: " if number == 0 else "        "
            yield Text.assemble((lead, "cyan"), visible_line(line))


def _short(path: Path, base: Path) -> str:
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _pointed(problem: Problem, width: int) -> Iterable[Text]:
    gutter = f"{problem.line:>6} | "
    room = max(width - len(gutter), _NARROWEST)
    shown, offset = _window(_pieces(problem.source), problem.column, room)
    yield Text.assemble((gutter, "dim"), shown, no_wrap=True)
    blank = f"{'':>6} | "
    yield Text.assemble((blank, "dim"), " " * offset, ("^", "bold red"), no_wrap=True)


def _pieces(source: str) -> list[str]:
    """Return what each character of the line is shown as; tabs reach to the next stop."""
    pieces: list[str] = []
    cells = 0
    for character in source:
        piece = " " * (_TAB - cells % _TAB) if character == "\t" else visible_line(character)
        pieces.append(piece)
        cells += cell_len(piece)
    return pieces


def _window(pieces: list[str], column: int, room: int) -> tuple[str, int]:
    """Return the part of a line that fits in `room` cells, and the cells before its caret."""
    at = min(max(column - 1, 0), len(pieces))
    if cell_len("".join(pieces)) < room:
        return "".join(pieces), cell_len("".join(pieces[:at]))
    room -= 2 * len(_CUT)
    start, before = at, 0
    while start > 0 and before + cell_len(pieces[start - 1]) <= room * 2 // 3:
        start -= 1
        before += cell_len(pieces[start])
    end, cells = at, before
    while end < len(pieces) and cells + cell_len(pieces[end]) <= room:
        cells += cell_len(pieces[end])
        end += 1
    head = _CUT if start else ""
    tail = _CUT if end < len(pieces) else ""
    return f"{head}{''.join(pieces[start:end])}{tail}", len(head) + before
