"""How a kind of simulated system reads what it was sent and says what it has to say: the seam.

Pure. `script` holds what POSIX does, `powershell` what Windows does. A machine knows steps, facts
and faults; how they come and go as texts, it leaves to one of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from outagekit.events import EndpointId
from outagekit.lab.answers import Answer
from outagekit.lab.files import Files
from outagekit.playbook.model import Script


@dataclass(frozen=True, slots=True)
class Named:
    """What a command line says its command is."""

    step: str
    part: str
    detached: str = ""
    """Name of the folder a script that goes on without the connection is kept in."""


@dataclass(frozen=True, slots=True)
class Myself:
    """What a machine knows of itself when it is asked who it is."""

    machine_id: str
    boot_id: str
    uptime_s: float


@dataclass(frozen=True, slots=True)
class Asks:
    """What is asked of a script that goes on without the connection."""

    wait_s: int = 0
    """So long the answer may wait for its end."""
    limit_s: int = 0
    """And no longer once it has run for so long."""
    stops: bool = False
    rest: bool = False
    """Only what is beyond the first part of its output."""


class Shell(Protocol):
    """One kind of system. The same arguments give the same answer; no method raises."""

    @property
    def cut(self) -> Answer:
        """What is said to a script of which only a part arrived; nothing of it runs."""
        ...

    def machine_id(self, seed: int, endpoint: EndpointId) -> str:
        """Return the id of the machine, as this system writes it."""
        ...

    def boot_id(self, seed: int, endpoint: EndpointId, boots: int) -> str:
        """Return the id of its boot after so many restarts: another one each time."""
        ...

    def files(self) -> Files:
        """Return an empty disk."""
        ...

    def is_whole(self, script: bytes) -> bool:
        """Say whether all of a script arrived; of one that is cut nothing runs."""
        ...

    def started_in(self, script: bytes) -> bytes:
        """Return the script that this one starts to go on without the connection."""
        ...

    def values_in(self, script: bytes) -> Mapping[str, str]:
        """Return the values that stand before a script's text: name in lower case -> text."""
        ...

    def holds(self, script: bytes, intent: Script | None) -> bool:
        """Say whether a script is that of any variant of a playbook's script."""
        ...

    def identity(self, script: bytes, myself: Myself) -> Answer:
        """Return what the machine answers when asked who it is."""
        ...

    def asks_in(self, script: bytes) -> Asks:
        """Return what a command about a script that goes on without the connection asks for."""
        ...

    def verdict(self, script: bytes, answer: Answer) -> Answer:
        """Return how a yes (exit code 0) or a no (1) is said; another answer as it is."""
        ...
