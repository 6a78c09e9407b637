"""The one tree of errors, sorted by what the person can do next.

OutagekitError                 1   a bug of ours, unless a subclass says otherwise
├── UsageError                 2   the command's words are off
├── StoppedByPerson            6   somebody said no, or a question waits for a person
├── NothingMatched             7   a selector, a run or a playbook that names nothing
├── InvalidInput               8   a file is wrong: carries every `Problem` found
│   └── NotYet                 8   the file is right, this version cannot execute it
├── LogDamaged                 9   the log or its evidence was altered
├── Refused                   10   agreement, trust, changed plan
└── LogUnwritable             11   the log cannot be written, or another process holds it

What goes wrong on an endpoint is never an exception: it is a value (`events.FailureKind`).
The numbers are the table in docs/exit-codes.md.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault in a file. `line` and `column` count from 1; 0 means the whole file."""

    path: Path
    line: int
    column: int
    message: str
    """One sentence without a full stop."""
    hint: str = ""
    """What to write instead, or empty."""
    source: str = ""
    """The line of the file the problem stands in, without its line end."""
    warning: bool = False
    """A lint: the file is accepted all the same."""

    def __str__(self) -> str:
        """Return `file:line:column: message`."""
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class OutagekitError(Exception):
    """Base of every error a room may raise: one sentence, an exit code, and what to try next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(OutagekitError):
    """The command line asks for something that does not exist or lacks something it needs."""

    exit_code = 2


class StoppedByPerson(OutagekitError):  # noqa: N818  (a person's decision is no error)
    """A person declined, or an answer only a person can give is missing."""

    exit_code = 6


class NothingMatched(OutagekitError):  # noqa: N818
    """A selector, name or run id matched nothing."""

    exit_code = 7


class InvalidInput(OutagekitError):  # noqa: N818
    """A file cannot be accepted; `problems` holds every fault found, in the order of the file."""

    exit_code = 8

    def __init__(self, message: str, problems: tuple[Problem, ...] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class NotYet(InvalidInput):
    """The file is valid, but holds something this version does not execute."""


class LogDamaged(OutagekitError):  # noqa: N818
    """A log or a file it vouches for is not what was written."""

    exit_code = 9


class Refused(OutagekitError):  # noqa: N818
    """Not allowed: by the agreement, by missing trust, or because the plan changed."""

    exit_code = 10


class LogUnwritable(OutagekitError):  # noqa: N818
    """The log cannot be written, or is held by another process. No record, no action."""

    exit_code = 11


def frames_of(error: BaseException) -> str:
    """Return where an exception and its causes happened, for a report of a bug.

    Not what they said: that may hold a secret, and reports are handed on.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        lines += [f"{type(seen).__name__}\n", *traceback.format_tb(seen.__traceback__)]
        seen = seen.__cause__ or seen.__context__
    return "".join(lines)
