"""Tables as spreadsheets and monitoring tools save them: bytes become rows of cells.

UTF-8 and UTF-16 with or without their mark, else the Western code page of Windows; separated by
comma, semicolon, tab or bar; lines may hold quoted line ends.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput
from outagekit.inventory.foreign.findings import (
    LIMIT_BYTES,
    LIMIT_ENDPOINTS,
    SAVE_AS_CSV,
    WORKBOOK,
    Findings,
    Place,
    is_workbook,
)
from outagekit.source import read_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
_DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SAID = re.compile(r"\"?sep=([,;\t|])\"?[ ,;|]*(?:\r\n|\r|\n)", re.IGNORECASE)
_MOST_COLUMNS: Final = 500
_MOST_TITLES: Final = 20
_LONGEST_TOP: Final = 200_000
_SAMPLE: Final = 200


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its first line in the file, and its cells without blanks around them."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A header and rows; every row has at most as many cells as the header."""

    header: Row
    rows: tuple[Row, ...]
    form: str
    """How it was read, in words."""
    titles: int = 0
    """How many rows of one cell stand above the header and were passed over."""


def read_table(path: Path, findings: Findings) -> Table | None:
    """Return a table; None, with a fault, if there is none in the file."""
    try:
        data = read_bytes(path, limit_bytes=LIMIT_BYTES)
    except InvalidInput as error:
        for each in error.problems:
            findings.add(each)
        return None
    if is_workbook(data):
        findings.fault(Place(path), WORKBOOK, SAVE_AS_CSV)
        return None
    text, encoding = _decoded(path, data, findings)
    if text is None:
        return None
    delimiter, begin = _delimiter(text)
    rows = list(_rows(path, text[begin:], delimiter, findings))
    rows = [Row(row.line + (begin > 0), row.cells) for row in rows]
    if not rows:
        if not findings.faults:
            findings.fault(Place(path), "there is nothing in this table")
        return None
    titles = _titles(rows)
    header, *others = rows[titles:]
    if len(header.cells) > _MOST_COLUMNS:
        findings.fault(Place(path, header.line), f"there are more than {_MOST_COLUMNS} columns")
        return None
    fitting = tuple(row for row in others if _fits(path, row, header, findings))
    return Table(header, fitting, f"CSV, {_DELIMITERS[delimiter]}-separated, {encoding}", titles)


def _titles(rows: list[Row]) -> int:
    """Return how many rows at the top hold one cell only, before the first that holds more."""
    for number, row in enumerate(rows[: _MOST_TITLES + 1]):
        if sum(map(bool, row.cells)) > 1:
            return number
    return 0


def _decoded(path: Path, data: bytes, findings: Findings) -> tuple[str | None, str]:
    name, encoding = "UTF-8", "utf-8"
    for mark, codec, word in _MARKS:
        if data.startswith(mark):
            name, encoding = word, codec
            break
    else:
        wide = data[1:_SAMPLE:2].count(0), data[0:_SAMPLE:2].count(0)
        if max(wide) * 4 > min(len(data), _SAMPLE):
            name, encoding = "UTF-16", "utf-16-le" if wide[0] > wide[1] else "utf-16-be"
    for codec, word in ((encoding, name), ("cp1252", "Windows-1252")):
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            if word == "UTF-16":
                break
            continue
        if "\0" not in text:
            return text, word
        break
    findings.fault(Place(path), "this is no text in UTF-8, UTF-16 or Windows-1252", "save it anew")
    return None, ""


def _delimiter(text: str) -> tuple[str, int]:
    """Return what separates the cells, and where the table begins behind a line that says it."""
    said = _SAID.match(text)
    if said:
        return said[1], said.end()
    begin = text[:_LONGEST_TOP].splitlines()[:_MOST_TITLES]
    for line in begin:
        counts = {sign: _unquoted(line, sign) for sign in _DELIMITERS}
        best = max(counts, key=lambda sign: counts[sign])
        if counts[best]:
            return best, 0
    return ",", 0


def _unquoted(line: str, sign: str) -> int:
    return sum(part.count(sign) for part in line.split('"')[::2])


def _rows(path: Path, text: str, delimiter: str, findings: Findings) -> Iterator[Row]:
    """Yield rows that hold something; a fault ends them."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = number = 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error:
            message = "the quotes of this row do not match, or a cell is too long"
            findings.fault(Place(path, before + 1), message, 'a quote in a cell is written ""')
            return
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            number += 1
            if number > LIMIT_ENDPOINTS + 1:
                message = f"there are more than {LIMIT_ENDPOINTS} rows"
                findings.fault(Place(path, before + 1), message, "split the file")
                return
            yield Row(before + 1, tuple(cell.strip() for cell in cells))
        before = reader.line_num


def _fits(path: Path, row: Row, header: Row, findings: Findings) -> bool:
    extra = row.cells[len(header.cells) :]
    if any(extra):
        message = f"this row has {len(row.cells)} cells, the header has {len(header.cells)}"
        findings.fault(Place(path, row.line), message, "a cell that holds the separator is quoted")
        return False
    return True
