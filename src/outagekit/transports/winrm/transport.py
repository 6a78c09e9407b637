"""The WinRM transport: one shell on one Windows endpoint, kept open, never longer than allowed.

What can go wrong, and which failure it is (`sent` says that a command of ours may have run):

| what happened | kind | sent |
|---|---|---|
| the name has no address, or the resolver is silent | resolve | no |
| the port is closed, or a firewall rejects | refused | no |
| nobody answers, there is no way there | connect_timeout | no |
| something answers, but no WinRM (yet), or TLS stalls | handshake | no |
| the certificate is not vouched for, not the trusted one, or revoked; TLS is too old | tls | no |
| the login is refused, or the account may not use WinRM | auth | no |
| the password was refused elsewhere, twice in a row | credential_stopped | no |
| silence before a command was taken, or during the login | timeout | no |
| the connection ends before a command was taken, and the endpoint does not know it | lost | no |
| the kept shell is gone: the machine or its WinRM was restarted | lost | no |
| the machine id is not the pinned one | wrong_machine | no |
| the account has too many shells or commands, also after making room | quota | no |
| PowerShell cannot be started, an answer is none of WinRM, a path is refused | protocol | no |
| the rights of root, or of Windows itself for a file, are wanted | become | no |
| the connection is lost and cannot be made again while a command runs | lost | yes |
| the shell is gone while a command runs | lost | yes |
| the command ended without saying how, or by a shutdown | lost | yes |
| the command did not end in time and was stopped | timeout | yes |
| the command was interrupted, and asked to stop | abandoned | yes |
| a file is larger than what can be moved, or than is wanted | size | no |
| a secret, a certificate file, the trust folder or a local file cannot be used | local_io | no |

A command outlives its connection: that is made again a few times and the command is asked for by
its id. One with a frame does nothing before its input is whole, and until then `sent` is no.
Any ending deletes the shell, and with it what was begun there; where nobody is there to be told,
it is noted, deleted when the endpoint is next opened, and ends by itself after a while idle.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from outagekit.events import FailureKind
from outagekit.redaction import Redactor
from outagekit.transports.access import Access
from outagekit.transports.protocol import (
    Account,
    Command,
    Failure,
    Limits,
    Moved,
    OnOutput,
    Opened,
    Outcome,
    Target,
)
from outagekit.transports.trust.machines import settle_machine
from outagekit.transports.watchdog import in_time
from outagekit.transports.windows.identity import CHEAP_IDENTITY, parse_registry
from outagekit.transports.winrm.attempts import Attempt
from outagekit.transports.winrm.entering import Entrance
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.feeding import Feed
from outagekit.transports.winrm.files import fetch_file, put_file
from outagekit.transports.winrm.running import follow, new_nonce
from outagekit.transports.winrm.shells import Prove, Shell
from outagekit.transports.winrm.wire import Wire
from outagekit.transports.words import words_for

_LONGEST_DETAIL: Final = 1000
_CLOSE_S: Final = 0.9
_SWEEP_S: Final = 5.0
_NOT_OPEN: Final = Failure(FailureKind.LOST, "the connection is not open")
_ABORTED: Final = Failure(FailureKind.LOST, "the connection was aborted")
T = TypeVar("T")


class WinrmTransport:
    """A shell on a Windows endpoint; `redactor` knows the secrets it has used."""

    def __init__(self, target: Target, access: Access) -> None:
        self._target = target
        self._access = access
        self._connecting_s = access.connecting_s(target)
        self._ledger = access.ledger
        self._entrance = Entrance(target, access)
        self._wire: Wire | None = None
        self._shell: Shell | None = None
        self._broken = False
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._running: Attempt | None = None
        self.boot_id = ""

    @property
    def redactor(self) -> Redactor:
        """What hides the secrets this connection has used so far."""
        return self._entrance.redactor

    @property
    def alive(self) -> bool:
        """Whether the shell was there and sound when last looked at; asks nobody."""
        shell = self._shell
        return shell is not None and bool(shell.id) and not (self._broken or self._stop.is_set())

    @property
    def opening_s(self) -> float:
        """How long `open` may take by its deadlines, turns of others with a password included."""
        limits, credential = self._access.deadlines, self._target.credential
        logins = 3 if credential is not None and credential.password is not None else 1
        known_s = logins * (limits.handshake_s + limits.auth_s) + 4 * limits.accept_s + _SWEEP_S
        return self._connecting_s + known_s

    @property
    def messages(self) -> int:
        """How many messages were sent since it was opened."""
        return self._wire.messages if self._wire is not None else 0

    def open(self, *, booting: bool = False) -> Opened | Failure:
        """Connect, prove the server, log in, check the machine id. On failure nothing stays."""
        self._hang_up()
        self._entrance.booting = booting
        try:
            opened = self._opened(booting=booting)
        except WireError as fault:
            opened = _ABORTED if self._stop.is_set() else fault.failure
        if isinstance(opened, Failure):
            self._hang_up()
        else:
            self.boot_id = opened.boot_id
        return self._cleaned(opened)

    def execute(
        self, command: Command, limits: Limits, on_output: OnOutput | None = None
    ) -> Outcome:
        """Run a command to its end, its deadline, or the loss of the connection."""
        return self._run(command, limits, on_output=on_output, redactor=self.redactor)

    def put(
        self, content: bytes, path: str, *, mode: int, limits: Limits, account: Account = "login"
    ) -> Moved | Failure:
        """Write a file on the endpoint, whole or not at all. Windows has no use for `mode`.

        Who may read it is what its folder says.
        """
        del mode
        failure = self._no_rights(account)
        if failure is not None:
            return failure
        return self._cleaned(put_file(self._run, content, path, limits=limits))

    def fetch(
        self,
        path: str,
        into: Path,
        *,
        max_bytes: int,
        limits: Limits,
        account: Account = "login",
    ) -> Moved | Failure:
        """Copy a file of the endpoint into the new local file `into`, piece by piece."""
        failure = self._no_rights(account)
        if failure is not None:
            return failure
        return self._cleaned(fetch_file(self._run, path, into, max_bytes=max_bytes, limits=limits))

    def reach(self, port: int, timeout_s: float) -> socket.socket | Failure:
        """Connect to another port of the endpoint, the way its WinRM is reached."""
        return self._cleaned(self._access.reach(self._target, port, timeout_s, self._stop))

    def interrupt(self) -> None:
        """Have the endpoint end the command that runs; without one, `abort`."""
        with self._guard:
            running = self._running
            if running is not None:
                running.interrupt()
        if running is None:
            self.abort()

    def abort(self) -> None:
        """Close the connection from outside; a blocked call returns within a second.

        Until `close`, nothing is begun any more.
        """
        self._stop.set()
        wire = self._wire
        if wire is not None:
            wire.cut()

    def close(self) -> None:
        """Delete the shell and end the connection. Never raises, never blocks for over a second.

        A shell that cannot be deleted in that time is deleted when the endpoint is next opened.
        """
        self._hang_up()
        self._stop.clear()

    def _opened(self, *, booting: bool) -> Opened | Failure:
        failure = self._entrance.approach(self._stop)
        if failure is not None:
            return failure
        wire = self._wire = self._entrance.wire(self._stop)
        if wire is None or self._stop.is_set():
            return _ABORTED
        shell = self._shell = self._shell_on(wire, self._stop)
        self._entrance.prove(wire, self._stop, first=partial(self._made, shell))
        if self._stop.is_set():
            return _ABORTED
        opened = self._identified(wire, shell)
        if isinstance(opened, Opened) and not booting:
            shell.sweep(_SWEEP_S)
        return opened

    def _made(self, shell: Shell) -> None:
        try:
            shell.make()
        except WireError as fault:
            if fault.fault is not Fault.QUOTA or not shell.sweep(_SWEEP_S):
                raise
            shell.make()

    def _shell_on(self, wire: Wire, stop: threading.Event) -> Shell:
        return Shell(wire, self._target.endpoint.id, self._ledger, self._proof(stop))

    def _proof(self, stop: threading.Event) -> Prove:
        def prove(wire: Wire, timeout_s: float) -> None:
            self._entrance.prove(wire, stop, timeout_s=timeout_s)

        return prove

    def _identified(self, wire: Wire, shell: Shell) -> Opened | Failure:
        accept_s = self._access.deadlines.accept_s
        limits = Limits(accept_s, accept_s=accept_s)
        # Asked once more if the answer was lost: it only reads.
        outcome = self.execute(CHEAP_IDENTITY, limits)
        found = parse_registry(self.execute(CHEAP_IDENTITY, limits) if outcome.missing else outcome)
        if isinstance(found, Failure):
            return found
        shell.seen_on(found.boot_id)
        return settle_machine(
            found,
            wire.certificate.fingerprint if wire.certificate is not None else "",
            endpoint=self._target.endpoint,
            trust=self._access.trust,
            words=words_for(self._target.endpoint, self._target.credential),
        )

    def _run(
        self,
        command: Command,
        limits: Limits,
        *,
        content: bytes = b"",
        redactor: Redactor,
        on_output: OnOutput | None = None,
    ) -> Outcome:
        """Run a command in the shell; `content` follows its input as lines of base64."""
        shell = self._shell
        if shell is None or not self.alive:
            return Outcome(None, failure=_NOT_OPEN)
        if command.account == "root":
            return Outcome(None, failure=self._no_rights("root"))
        nonce = new_nonce() if command.framed else ""
        frame = f"{nonce}\r\n".encode() if nonce else b""
        attempt = Attempt(shell, command, Feed(frame + command.stdin, content), limits, self._stop)
        with self._followed(attempt):
            outcome = follow(attempt, redactor, on_output, nonce=nonce)
        self._broken = self._broken or attempt.broken
        return replace(outcome, failure=self._cleaned(outcome.failure))

    def _no_rights(self, account: Account) -> Failure | None:
        """Return why an account's rights cannot be had; scripts as SYSTEM are tasks, and can."""
        if account == "login":
            return None
        name = self._target.endpoint.id
        if account == "root":
            detail = f"{name} is a Windows endpoint: there is no root, only the account itself"
        else:
            detail = f"on {name} only scripts can run as SYSTEM, files are moved by the account"
        return Failure(FailureKind.BECOME, detail)

    @contextmanager
    def _followed(self, attempt: Attempt) -> Iterator[None]:
        with self._guard:
            self._running = attempt
        try:
            yield
        finally:
            with self._guard:
                self._running = None
                if attempt.interrupted.is_set():
                    self._stop.set()

    def _hang_up(self) -> None:
        shell, self._shell = self._shell, None
        wire, self._wire = self._wire, None
        self.boot_id, self._broken = "", False
        self._entrance.leave()
        if wire is None:
            return
        fresh = threading.Event()
        if shell is not None and shell.id:
            self._forget(shell, fresh)
        wire.cut()
        with suppress(Exception):
            wire.close()

    def _forget(self, shell: Shell, fresh: threading.Event) -> None:
        """Delete a shell, for which there is less than a second."""
        over = self._entrance.wire(fresh) if self._stop.is_set() else None
        if over is not None:
            # Of a connection that was aborted nothing is begun any more.
            shell.use(over, self._proof(fresh))
        try:
            in_time(lambda: shell.delete(_CLOSE_S), _CLOSE_S)
        except (TimeoutError, RuntimeError):
            self._ledger.leave(shell.id)
        fresh.set()
        shell.wire.cut()
        if over is not None:
            with suppress(Exception):
                over.close()

    def _cleaned(self, result: T | Failure) -> T | Failure:
        if not isinstance(result, Failure):
            return result
        # Cleaned, then cut: of a secret that was cut its beginning would stay.
        detail = self.redactor.clean(result.detail)
        if len(detail) > _LONGEST_DETAIL:
            detail = f"{detail[:_LONGEST_DETAIL]}…"
        return replace(result, detail=detail)
