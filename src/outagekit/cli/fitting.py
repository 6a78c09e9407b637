"""Making text fit: folded between words, shortened in the middle, or laid out as a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.text import Text

_NARROWEST_COLUMN: Final = 8
_HEADER_PAD: Final = "  "
"""What tabulate gives a header beyond its text."""
_WORD = re.compile(r"\S+\s*")


def fold_line(line: Text, width: int) -> list[Text]:
    """Return a line as lines of at most `width` cells, folded between words and indented alike.

    A word that is longer than a line stays where it is, whole; so does a line with `no_wrap`.
    """
    if line.no_wrap or cell_len(line.plain) <= width:
        return [line]
    begin = len(line.plain) - len(line.plain.lstrip())
    indent = min(begin + 2, width // 2)
    cuts: list[int] = []
    used = begin
    for match in _WORD.finditer(line.plain):
        cells = cell_len(match[0].rstrip())
        if match.start() > begin and width - indent >= cells > width - used:
            begin, used = match.start(), indent
            cuts.append(begin)
        used += cell_len(match[0])
    first, *others = line.divide(cuts)
    for other in others:
        other.pad_left(indent)
    pieces = [first, *others]
    for piece in pieces:
        piece.rstrip()
    return pieces


def shorten(name: str, width: int) -> str:
    """Return a name in at most `width` cells: its beginning and its end around a `…`."""
    if cell_len(name) <= width:
        return name
    if width < 1:
        return ""
    head, tail = "", ""
    tail_cells = (width - 1) // 2
    for character in reversed(name):
        if cell_len(character + tail) > tail_cells:
            break
        tail = character + tail
    for character in name:
        if cell_len(head + character) > width - 1 - cell_len(tail):
            break
        head += character
    return f"{head}…{tail}"


def table_text(headers: Sequence[str], rows: Iterable[Sequence[object]], width: int | None) -> str:
    """Return a table as text; with a `width` its widest columns are shortened to fit.

    The first one stays whole as long as that is possible: it is what a row is called by.
    """
    from tabulate import tabulate

    names = list(map(visible_line, headers))
    cells = [[visible_line(str(cell)) for cell in row] for row in rows]
    if width is not None:
        names, *cells = _narrowed([names, *cells], width)
    return tabulate(cells, names, tablefmt="simple", disable_numparse=True)


def _narrowed(rows: list[list[str]], width: int) -> list[list[str]]:
    """Return a table's rows, headers first, with the widest columns shortened to fit."""
    rows = [[f"{name}{_HEADER_PAD}" for name in rows[0]], *rows[1:]]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    while widths and sum(widths) + 2 * (len(widths) - 1) > width:
        others = widths[1:] if max(widths[1:], default=0) > _NARROWEST_COLUMN else widths
        widest = widths.index(max(others), len(widths) - len(others))
        if widths[widest] <= _NARROWEST_COLUMN:
            break
        widths[widest] -= 1
    short = [[shorten(cell, room) for cell, room in zip(row, widths, strict=True)] for row in rows]
    return [[name.rstrip() for name in short[0]], *short[1:]]
