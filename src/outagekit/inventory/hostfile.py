"""Files of endpoint names, one a line, as `file:` in a selector reads them.

They come from ticket systems and shells of every kind, so both UTF-8 and the UTF-16 of a
PowerShell redirection are read. A name the inventory does not have is an error with its line.
"""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput, Problem, UsageError
from outagekit.source import invalid, read_bytes, shown
from outagekit.text import closest

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMIT_BYTES: Final = 1024 * 1024
_LIMIT_PROBLEMS: Final = 100
_LIMIT_GUESSES: Final = 3  # looking through thousands of names takes its time


def file_named(written: str, folder: Path) -> Path:
    """Return the path of what stands after `file:`; a relative one starts at `folder`.

    Raises `UsageError` if it begins with the home of somebody unknown.
    """
    try:
        return folder / Path(written).expanduser()
    except RuntimeError as error:
        raise UsageError(f"there is no home folder for {shown(written)}") from error


def read_names(path: Path, *, known: Mapping[str, str]) -> frozenset[str]:
    """Return the names in a file, case-folded; empty lines and `#` comments are left out.

    `known` maps every case-folded name that exists to its spelling. Raises `InvalidInput` with
    every line that holds something else, and for a file that cannot be read.
    """
    names: set[str] = set()
    problems: list[Problem] = []
    for number, line in enumerate(_decoded(path).splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name.casefold() in known:
            names.add(name.casefold())
        elif name:
            guesses = known if len(problems) < _LIMIT_GUESSES else {}
            problems.append(_unknown(path, number, line, guesses))
    if problems:
        raise invalid(path, tuple(problems[:_LIMIT_PROBLEMS]))
    return frozenset(names)


def _unknown(path: Path, number: int, line: str, known: Mapping[str, str]) -> Problem:
    name = line.partition("#")[0].strip()
    near = closest(name, known.values())
    return Problem(
        path,
        number,
        line.find(name) + 1,
        f"there is no endpoint {shown(name)} in the inventory",
        f"did you mean {near}?" if near else "",
        line[:_LIMIT_PROBLEMS],
    )


def _decoded(path: Path) -> str:
    data = read_bytes(path, limit_bytes=LIMIT_BYTES)
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        problem = Problem(path, 0, 0, "this is no text", "save it as UTF-8, one name a line")
        raise InvalidInput(f"{path} is no list of names", (problem,)) from error
