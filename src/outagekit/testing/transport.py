"""A transport whose endpoint answers as a script says, without a network."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from outagekit.events import FailureKind
from outagekit.redaction import Redactor
from outagekit.transports.protocol import (
    Account,
    Captured,
    Command,
    Deadlines,
    Failure,
    Limits,
    Moved,
    OnOutput,
    Opened,
    Outcome,
)
from outagekit.transports.sockets import dial

_NAMED: Final = re.compile(r"OK_(STEP|PART)=([A-Za-z0-9_-]+)")
"""How a command says what it is, in the words of any system."""

Answer = Callable[[str, str], Outcome | Failure]
"""What the endpoint answers to a step's part: `answer(step, part)`."""
Door = Callable[[], Opened | Failure]
"""What comes of opening a connection, each time it is tried."""


def said(stdout: str = "", *, code: int = 0, stderr: str = "") -> Outcome:
    """Return an outcome with an exit code and text."""
    return Outcome(
        exit_code=code,
        stdout=Captured(stdout, len(stdout)),
        stderr=Captured(stderr, len(stderr)),
        duration_ms=1,
    )


class ScriptedTransport:
    """Remembers every command; `opened` may be a failure; `hold` makes it hang until aborted."""

    def __init__(self, answer: Answer, opened: Opened | Failure | Door | None = None) -> None:
        self.commands: list[tuple[str, str]] = []
        self.limits_s: list[float] = []
        """How long each command might have taken."""
        self.redactor = Redactor()
        self.boot_id = ""
        self.opens = 0
        self.closed = False
        self.aborted = threading.Event()
        self.hold = threading.Event()
        self.hold.set()
        self.files: dict[str, bytes] = {}
        self._answer = answer
        self._opened = opened or Opened(machine_id="m-1", key="SHA256:x")

    @property
    def opening_s(self) -> float:
        """A minute, as a quick real one."""
        return 60.0

    def open(self, *, booting: bool = False) -> Opened | Failure:
        """Return what it was made with."""
        self.opens += 1
        opened = self._opened() if callable(self._opened) else self._opened
        self.closed = isinstance(opened, Failure)
        self.boot_id = opened.boot_id if isinstance(opened, Opened) else ""
        return opened

    @property
    def alive(self) -> bool:
        """Whether it is open and was not aborted."""
        return not self.closed and not self.aborted.is_set()

    def execute(
        self, command: Command, limits: Limits, on_output: OnOutput | None = None
    ) -> Outcome:
        """Answer as scripted; while held, wait to be aborted."""
        words = dict(_NAMED.findall(command.line))
        part = (words["STEP"], words["PART"])
        self.commands.append(part)
        self.limits_s.append(limits.run_s)
        while not self.hold.is_set():
            if self.aborted.wait(0.01):
                return Outcome(None, failure=Failure(FailureKind.LOST, "aborted", sent=True))
        answer = self._answer(*part)
        return Outcome(None, failure=answer) if isinstance(answer, Failure) else answer

    def put(
        self, content: bytes, path: str, *, mode: int, limits: Limits, account: Account = "login"
    ) -> Moved | Failure:
        """Keep the content."""
        self.files[path] = content
        return Moved(len(content), "0" * 64)

    def fetch(
        self,
        path: str,
        into: Path,
        *,
        max_bytes: int,
        limits: Limits,
        account: Account = "login",
    ) -> Moved | Failure:
        """Copy a kept file."""
        if path not in self.files:
            return Failure(FailureKind.LOCAL_IO, f"no {path}")
        if len(self.files[path]) > max_bytes:
            return Failure(FailureKind.SIZE, f"{path} is larger than {max_bytes} bytes")
        into.write_bytes(self.files[path])
        return Moved(len(self.files[path]), "0" * 64)

    def reach(self, port: int, timeout_s: float) -> socket.socket | Failure:
        """Connect to a port of this machine."""
        deadlines = Deadlines(resolve_s=timeout_s, connect_s=timeout_s)
        return dial("127.0.0.1", port, deadlines=deadlines)

    def interrupt(self) -> None:
        """Let go of whatever waits."""
        self.abort()

    def abort(self) -> None:
        """Let go of whatever waits."""
        self.aborted.set()

    def close(self) -> None:
        """Remember that it was closed; it can be opened again."""
        self.closed = True
        self.aborted.clear()
