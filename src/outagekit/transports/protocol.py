"""The seam between the engine and the wire: one method each for what a step can need.

Expected remote failures are values (`Failure`), never exceptions. A transport is used by one
thread at a time, except `interrupt` and `abort`, which any thread may call.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from outagekit.events import EndState, FailureKind, end_state_of
from outagekit.inventory.model import Credential, Endpoint, Site, Winrm
from outagekit.redaction import Redactor

Stream = Literal["stdout", "stderr"]
Account = Literal["login", "root", "system"]
"""Whose rights a command has: those of who logged in, root's, or those of Windows itself."""
OnOutput = Callable[[Stream, str], None]
"""Called with redacted text as it arrives; must not block."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with everything needed to reach it; secrets are references."""

    endpoint: Endpoint
    credential: Credential | None = None
    """None: the technician's SSH agent and default keys, as `ssh` itself would do."""
    site: Site | None = None
    jump_credential: Credential | None = None
    """How the site's jump host is logged in to."""
    winrm: Winrm = Winrm()
    """What the client says about the way to its Windows endpoints."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something could not be done. `sent`: a command of ours may have been executed."""

    kind: FailureKind
    detail: str
    """One sentence for a person, redacted."""
    sent: bool = False

    @property
    def state(self) -> EndState:
        """The end state this failure leads to."""
        return end_state_of(self.kind, sent=self.sent)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase of a connection may take, in seconds."""

    resolve_s: float = 5.0
    connect_s: float = 10.0
    handshake_s: float = 15.0
    auth_s: float = 20.0
    accept_s: float = 10.0
    become_s: float = 20.0
    """Becoming root before a command, turns of other endpoints with the same password aside."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one command."""

    run_s: float = 300.0
    """From the moment the endpoint took the command; then a timeout with `sent=True`."""
    keep_bytes: int = 1024 * 1024
    """How much of each stream is kept; all of it is read and counted."""
    accept_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: a program's command line in the remote account's shell, and its input."""

    line: str
    stdin: bytes = b""
    account: Account = "login"
    framed: bool = False
    """Its program wants a nonce as the first line of its input, which the transport makes up, and
    says it again on the last line of its output, with how it came to its end (`Told`)."""


@dataclass(frozen=True, slots=True)
class Told:
    """What PowerShell said of a command on the last line of its output."""

    how: Literal["end", "exit", "error"]
    """It came to its end, to an explicit `exit`, or to a terminating error."""
    native_code: int | None = None
    """Exit code of the last program that it ran."""
    version: str = ""
    language_mode: str = ""
    boot_time: str = ""
    """ISO 8601 in UTC: since when the machine is up, by its own clock."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One stream of a command: decoded, redacted, capped."""

    text: str = ""
    size_bytes: int = 0
    """As sent by the endpoint, before the cap."""
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: an exit code, or a failure, never both."""

    exit_code: int | None
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=Captured)
    duration_ms: int = 0
    failure: Failure | None = None
    told: Told | None = None
    """Of a framed command that came to its end."""
    missing: bool = False
    """It came to its end, but of what it said last something may be missing: the connection was
    lost meanwhile. Its exit code is known, and nothing may be read from the end of `stdout`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An authenticated connection to the right machine."""

    machine_id: str
    """Empty if the endpoint has none to tell."""
    key: str
    """Fingerprint of its host key or certificate, `SHA256:…`."""
    first_contact: bool = False
    """The machine id was not known before; it is pinned from now on."""
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that was put or fetched."""

    size_bytes: int
    sha256: str


class Ways(Protocol):
    """What connections share: seeing endpoints without logging in, and what is left on them."""

    def begin(self, folder: Path) -> None:
        """Keep in a run's folder what of ours stands on endpoints, so that a later life finds it.

        Raises `OutagekitError` if that cannot be.
        """
        ...

    def place(self, target: Target) -> tuple[str, int] | None:
        """Return the address and port a connection from here leads to; None: it leads nowhere."""
        ...

    def knock(self, target: Target, timeout_s: float) -> bool:
        """Return whether the endpoint takes a connection, which is closed at once.

        For those without a place. Blocks for a few seconds beyond the time at most.
        """
        ...

    def close(self) -> None:
        """End what connections share, as jump hosts; returns within a second."""
        ...


class Transport(Protocol):
    """A connection to one endpoint."""

    def open(self, *, booting: bool = False) -> Opened | Failure:
        """Connect, prove the machine's identity, authenticate. Again after `close` is allowed.

        `booting`: the machine was told to restart, and may refuse logins for a while that are
        right; a refused password is then not counted against the password.
        """
        ...

    @property
    def redactor(self) -> Redactor:
        """What hides the secrets this connection has used so far."""
        ...

    @property
    def boot_id(self) -> str:
        """Which boot the machine was on when this was opened; empty if unknown or not open."""
        ...

    @property
    def alive(self) -> bool:
        """Whether the connection was open and sound when last looked at; asks nobody."""
        ...

    @property
    def opening_s(self) -> float:
        """How long `open` may take in all by its own deadlines, in seconds."""
        ...

    def execute(
        self, command: Command, limits: Limits, on_output: OnOutput | None = None
    ) -> Outcome:
        """Run a command to its end, its deadline, or the loss of the connection."""
        ...

    def put(
        self, content: bytes, path: str, *, mode: int, limits: Limits, account: Account = "login"
    ) -> Moved | Failure:
        """Write a file on the endpoint, whole or not at all; proven by SHA-256 of what was sent."""
        ...

    def fetch(
        self,
        path: str,
        into: Path,
        *,
        max_bytes: int,
        limits: Limits,
        account: Account = "login",
    ) -> Moved | Failure:
        """Copy a file of the endpoint into the new file `into`; over `max_bytes` is `size`."""
        ...

    def reach(self, port: int, timeout_s: float) -> socket.socket | Failure:
        """Connect to another port of the endpoint, the way the endpoint itself is reached.

        `port` is the endpoint's own; where ports are forwarded, the forward's is used. The socket
        is the caller's to close. Needs no open connection.
        """
        ...

    def interrupt(self) -> None:
        """Have the endpoint end the command that runs, which returns soon with `abandoned`.

        Without one it is `abort`. Never blocks; until `close`, nothing is begun any more.
        """
        ...

    def abort(self) -> None:
        """Close the connection from outside; a blocked call returns soon with `lost`."""
        ...

    def close(self) -> None:
        """End the connection. Never raises, never blocks for more than a second."""
        ...
