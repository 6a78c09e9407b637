"""What a simulated machine says to a command, and what it remembers of it. Pure values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from outagekit.events import StepId

Ending = Literal["exit", "hang", "reset"]
How = Literal["end", "exit", "error", "cut"]

SYNTAX_ERROR: Final = 2
UNUSABLE_DRILL: Final = 70
NOT_FOUND: Final = 127


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back from a command. With another ending than `exit`, nothing comes back."""

    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""
    takes_s: float = 0.0
    ending: Ending = "exit"
    down_s: float | None = None
    """Set: the machine goes down after this answer, for so long, and comes up with a new boot."""
    until_down_s: float = 0.0
    """How long it still is up after the answer."""
    how: How | None = None
    """How PowerShell came to its end, where that does not follow from the exit code."""


def not_run(step: str) -> Answer:
    """Return what is said to a command of a step that no drill tells the answers of."""
    what = "nothing here can read a script" if step == "-" else f"{step} was not run"
    return Answer(stdout=f"lab: simulated, {what}\n")


@dataclass(frozen=True, slots=True)
class Received:
    """A command that reached the machine."""

    step: StepId
    part: str
    number: int
    """From 1: how often this part of this step was received."""
    sha256: str
    """Hash of the script, or of the file that was pushed."""
    ran: bool
    """False: nothing of it was executed."""
    exit_code: int | None = None
    """None if the machine made no answer. One that it made may still have been lost."""
    mono_ns: int = 0
    """When, by the machine's clock."""
