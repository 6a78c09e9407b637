"""What a coordinator has around it: its log, and everything it is told or tells besides."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from outagekit.errors import LogUnwritable
from outagekit.events import AnyEvent, Record
from outagekit.run.engine.state import State
from outagekit.run.wishes import Heard


class Appended(Protocol):
    """A record that was taken by the log."""

    @property
    def record(self) -> Record:
        """The event with its place in the log."""
        ...

    def wait(self) -> None:
        """Return once the record is durable; raise `LogUnwritable` if it will never be."""
        ...


class Log(Protocol):
    """What the coordinator needs of the log."""

    def append(self, event: AnyEvent) -> Appended:
        """Take an event in order."""
        ...

    @property
    def failed(self) -> LogUnwritable | None:
        """Why nothing can be written any more, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    exit_code: int
    state: State
    why: str = ""
    """Empty for a run that came to its end, else why it paused."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a coordinator has around it besides its log and its driver."""

    spool: Callable[[str], str]
    """Keeps text too long for the log, and returns its name."""
    now_ns: Callable[[], int] = time.monotonic_ns
    warn: Callable[[str], None] = lambda _text: None
    """Is told, at once, what no record can tell any more."""
    look: Callable[[], Sequence[Heard]] = tuple
    """Looks into the inbox."""
    attended: bool = False
    """Somebody sits at the run's own terminal and can be asked."""
