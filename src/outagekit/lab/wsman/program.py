"""The seam between a WS-Man service and what runs on it: a command that is asked, and its run.

A command is known by its line: `set "OK_STEP=…"&set "OK_PART=…"&…`. One that starts PowerShell
with our bootstrap gets its script as base64 lines, after a line with a nonce, on standard input.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from outagekit.lab.answers import Answer

_SET: Final = re.compile(r'set "OK_([A-Z_]+)=([^"]*)"\s*&\s*', re.IGNORECASE)
_FRAMED: Final = re.compile(r"powershell(?:\.exe)?\s.*-EncodedCommand\s+[A-Za-z0-9+/=]+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that is to run."""

    line: str
    """What cmd.exe is given, without the facts that are set before it."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What is set before it, by name in upper case without `OK_`: STEP, PART, ..."""
    nonce: str = ""
    """First line of the input of a framed command; empty: there is no frame."""
    script: bytes = b""
    """What was sent as base64 lines after it; empty if that is no base64, as for the bootstrap."""
    input: bytes = b""
    """Those lines as they came."""

    @property
    def step(self) -> str:
        """Return the step, empty for a command that is none of ours."""
        return self.facts.get("STEP", "")

    @property
    def part(self) -> str:
        """Return which part of the step it is."""
        return self.facts.get("PART", "")


class Running(Protocol):
    """A command while it runs, as its program sees it."""

    def write(self, stdout: bytes = b"", stderr: bytes = b"") -> None:
        """Print something now."""
        ...

    def read(self) -> bytes:
        """Return all of standard input, once the client has ended it or the command is stopped."""
        ...

    def wait(self, seconds: float) -> bool:
        """Rest; return at once, and True, when the command is to stop (ctrl_c, terminate, ...)."""
        ...


class Program(Protocol):
    """What runs commands behind a service. Called by a thread for each command."""

    @property
    def boot_id(self) -> str:
        """Which start of the machine this is; shells of another one are gone."""
        ...

    def run(self, asked: Asked, running: Running) -> Answer:
        """Run a command, print what is to be seen before its end, and return the rest.

        The answer's texts are printed after that, and the trailer of a framed command; with
        another ending than `exit` nothing is. `takes_s` and `down_s` are the program's business.
        Raises `GoneError` if the machine went down: then the command was never there.
        """
        ...

    def answered(self, answer: Answer) -> None:
        """Hear that an answer was printed, to the last byte of it."""
        ...

    def trailer(self, asked: Asked, answer: Answer) -> str:
        """Return the JSON on the last line of a framed command's output.

        A line break stands before that line, whatever was printed, as with our bootstrap.
        """
        ...


def asked_by(line: str) -> Asked:
    """Return what a command line asks for, before its input is there."""
    facts: dict[str, str] = {}
    at = 0
    while found := _SET.match(line, at):
        facts[found[1].upper()] = found[2]
        at = found.end()
    return Asked(line[at:], facts)


def is_framed(asked: Asked) -> bool:
    """Return whether the command reads a script from its input.

    A `powershell -EncodedCommand` without our facts holds its whole script on the command line.
    """
    return bool(asked.step) and _FRAMED.match(asked.line) is not None


def with_input(asked: Asked, data: bytes) -> Asked:
    """Return a framed command with what its input said."""
    nonce, _, lines = data.partition(b"\n")
    try:
        script = base64.b64decode(b"".join(lines.split()), validate=True)
    except ValueError:
        script = b""
    return Asked(asked.line, asked.facts, nonce.decode("ascii", "replace").strip(), script, lines)
