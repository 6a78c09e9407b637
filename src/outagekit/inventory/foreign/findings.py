"""Where something stands in a foreign file, and the list of everything wrong with it.

Inventories of other tools hold passwords in the open. So a line of them is shown only if all that
stands in it is known to be harmless, and values are shown by whoever knows what they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from outagekit.errors import Problem

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_BYTES: Final = 10 * 1024 * 1024
LIMIT_ENDPOINTS: Final = 50_000
LIMIT_PROBLEMS: Final = 100

_LONGEST_LINE: Final = 300
_SHOWN_KEYS: Final = (
    r"(?:ansible_(?:ssh_|winrm_|psrp_)?(?:host|port|user)|ansible_connection|ansible_become"
    r"|ansible_become_(?:method|user)|ansible_shell_type|ansible_group_priority"
    r"|ansible_winrm_(?:scheme|transport|server_cert_validation)"
    r"|all|ungrouped|hosts|children|vars)"
)
_WORD: Final = r"[\w.:\[\]@-]*"
_HARMLESS = re.compile(
    rf"\s*(?:\[?{_WORD}\]?|{_SHOWN_KEYS}\s*[=:]\s*[\"']?{_WORD}[\"']?"
    rf"|{_WORD}(?:\s+{_SHOWN_KEYS}=[\"']?{_WORD}[\"']?)+)\s*"
)
_SECRET_WORD = re.compile(r"pass|pwd|secret|token|vault", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file; line and column count from 1, 0 means the whole file."""

    path: Path
    line: int = 0
    column: int = 0


@dataclass(slots=True)
class Findings:
    """Everything wrong with the files of one inventory, in the order it was found."""

    problems: list[Problem] = field(default_factory=list)
    _seen: set[Problem] = field(default_factory=set)

    def fault(self, place: Place, message: str, hint: str = "", *, line: str = "") -> None:
        """Note a fault; `line` is the line of the file, shown if nothing in it can be secret."""
        self._note(place, message, hint, line, warning=False)

    def warn(self, place: Place, message: str, hint: str = "", *, line: str = "") -> None:
        """Note what is accepted all the same."""
        self._note(place, message, hint, line, warning=True)

    def add(self, problem: Problem) -> None:
        """Add a problem unless it stands here already."""
        if problem not in self._seen:
            self._seen.add(problem)
            self.problems.append(problem)

    def _note(self, place: Place, message: str, hint: str, line: str, *, warning: bool) -> None:
        source = line if is_harmless(line) else ""
        problem = Problem(
            place.path, place.line, place.column, message, hint, source, warning=warning
        )
        self.add(problem)

    @property
    def faults(self) -> int:
        """How many are more than warnings."""
        return sum(not problem.warning for problem in self.problems)

    def first(self) -> tuple[Problem, ...]:
        """Return the problems to show, by file and place: all of a sane number of them.

        Where there are more, one stands for the others and says how many.
        """
        return tuple(sorted((*self._first(warning=False), *self._first(warning=True))))

    def _first(self, *, warning: bool) -> list[Problem]:
        found = sorted(problem for problem in self.problems if problem.warning is warning)
        shown = found[:LIMIT_PROBLEMS]
        if len(found) > LIMIT_PROBLEMS:
            what = "warnings" if warning else "problems"
            message = f"there are {len(found)} {what}; the first {LIMIT_PROBLEMS} are told"
            shown.append(Problem(found[0].path, 0, 0, message, warning=warning))
        return shown


def is_workbook(data: bytes) -> bool:
    """Return whether a file is a spreadsheet program's own, whatever its name says."""
    return data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0"))


WORKBOOK: Final = "this is a workbook of a spreadsheet program, not a text"
SAVE_AS_CSV: Final = "save the sheet as CSV (UTF-8)"


def is_harmless(line: str) -> bool:
    """Return whether a line of an Ansible file holds names and connection facts only."""
    short = 0 < len(line) <= _LONGEST_LINE
    return short and bool(_HARMLESS.fullmatch(line)) and not _SECRET_WORD.search(line)
