"""The SSH transport: one connection to one endpoint, over paramiko, never longer than allowed.

What can go wrong, and which failure it is (`sent` says that a command of ours may have run):

| what happened | kind | sent |
|---|---|---|
| the name has no address, or the resolver is silent | resolve | no |
| the port is closed, or a firewall rejects | refused | no |
| nobody answers, there is no way there | connect_timeout | no |
| no SSH banner, key exchange ends or stalls, no common algorithm | handshake | no |
| the host key is unknown, changed or revoked; nothing secret was sent | host_key | no |
| every key and the password refused | auth | no |
| the password was refused elsewhere, twice in a row | credential_stopped | no |
| silence during the login, or for a command before it was taken | timeout | no |
| the connection ends before a command was taken | lost | no |
| the machine id is not the pinned one | wrong_machine | no |
| sudo refuses, is silent, or makes nobody root; root is wanted and there is no way | become | no |
| any of these at a jump host on the way, which is named | the same | no |
| commands, sh, sftp, a path or a jump host's forwarding are refused or missing | protocol | no |
| the connection or the channel ends while a command runs | lost | yes |
| the command did not end in time and was stopped | timeout | yes |
| the command was interrupted, and asked to stop | abandoned | yes |
| the command was killed by a signal | exit_code | yes |
| a fetched file is larger than allowed | size | no |
| a key, a secret, the trust folder or a local file cannot be used | local_io | no |

A command without standard input is its command line: once that was handed over, `sent` is yes
even if the server never said that it took it.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import paramiko

from outagekit.credentials import SecretRef
from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.inventory.model import Credential
from outagekit.redaction import Redactor, Secret
from outagekit.text import visible_line
from outagekit.transports.access import Access
from outagekit.transports.identity import parse_identity
from outagekit.transports.logins import SharedPassword, Use
from outagekit.transports.posix.identity import IDENTITY
from outagekit.transports.probing.probe import reached_port
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
from outagekit.transports.ssh.become import Sudoer, Taken, not_root, sudoer_of, take_as_root
from outagekit.transports.ssh.command import Running, follow
from outagekit.transports.ssh.files import SftpLine, fetch_file, put_file
from outagekit.transports.ssh.host_keys import judge
from outagekit.transports.ssh.login import log_in
from outagekit.transports.ssh.session import Session, greet
from outagekit.transports.ssh.sudo import SFTP_SERVER, strike
from outagekit.transports.ssh.ways.asker import Line
from outagekit.transports.ssh.ways.lines import connecting_s
from outagekit.transports.trust.machines import settle_machine
from outagekit.transports.trust.store import filed_under
from outagekit.transports.watchdog import WATCHDOG
from outagekit.transports.words import words_for

_ACCEPT_BACKSTOP_S: Final = 1.0
_REFUSAL_S: Final = 0.5
"""How long a connection must stand after a command was refused, for that to be a refusal."""
_STRIKE_S: Final = 3.0
"""What each part of ending a command of root may take."""
_LONGEST_DETAIL: Final = 1000
T = TypeVar("T")
_NOT_OPEN: Final = Failure(FailureKind.LOST, "the connection is not open")


class SshTransport:
    """An SSH connection to an endpoint; `redactor` knows the secrets it has used."""

    def __init__(self, target: Target, access: Access) -> None:
        self._target = target
        self._access = access
        self._route = access.routes.route(target)
        self._session: Session | None = None
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._running: Running | None = None
        self._sudoer = Sudoer()
        self._uid: int | None = None
        self._booting = False
        self.redactor = Redactor()
        self.boot_id = ""

    @property
    def alive(self) -> bool:
        """Whether the connection was open and sound when last looked at; asks nobody."""
        session = self._session
        return session is not None and session.is_sound and not self._stop.is_set()

    @property
    def opening_s(self) -> float:
        """How long `open` may take by its deadlines, turns of others with a password included."""
        limits, credential = self._access.deadlines, self._route.end.credential
        logins = 3 if credential is not None and credential.password is not None else 1
        known_s = limits.handshake_s + logins * limits.auth_s + 2 * limits.accept_s
        return connecting_s(self._route, limits) + known_s

    def open(self, *, booting: bool = False) -> Opened | Failure:
        """Connect, check the host key, log in, check the machine id. On failure nothing stays."""
        self._hang_up()
        self._booting = booting
        opened = self._opened()
        if isinstance(opened, Failure):
            self._hang_up()
        else:
            self.boot_id = opened.boot_id
        return self._cleaned(opened)

    def execute(
        self, command: Command, limits: Limits, on_output: OnOutput | None = None
    ) -> Outcome:
        """Run a command to its end, its deadline, or the loss of the connection."""
        session = self._session
        if session is None or not self.alive:
            return Outcome(None, failure=_NOT_OPEN)
        began_s = time.monotonic()
        taken = self._taken(session, command, limits.accept_s)
        if isinstance(taken, Failure):
            spent_ms = round((time.monotonic() - began_s) * 1000)
            return Outcome(None, duration_ms=spent_ms, failure=self._cleaned(taken))
        end_it = None if taken.pid is None else partial(self._strike, session, taken.pid)
        following = Running(session, taken.channel, taken.stdin, limits, taken.early, strike=end_it)
        with self._followed(following) as running:
            outcome = follow(running, self.redactor, on_output)
        return replace(outcome, failure=self._cleaned(outcome.failure))

    def put(
        self, content: bytes, path: str, *, mode: int, limits: Limits, account: Account = "login"
    ) -> Moved | Failure:
        """Write a file on the endpoint, whole or not at all, over SFTP."""
        return self._moved(
            lambda session, line: put_file(
                session, content, path, mode=mode, limits=limits, line=line
            ),
            account,
            limits,
        )

    def fetch(
        self,
        path: str,
        into: Path,
        *,
        max_bytes: int,
        limits: Limits,
        account: Account = "login",
    ) -> Moved | Failure:
        """Copy a regular file of the endpoint into the new local file `into`, over SFTP."""
        return self._moved(
            lambda session, line: fetch_file(
                session, path, into, max_bytes=max_bytes, limits=limits, line=line
            ),
            account,
            limits,
        )

    def reach(self, port: int, timeout_s: float) -> socket.socket | Failure:
        """Connect to another port of the endpoint, the way its SSH server is reached."""
        asker = self._access.asker(self._target.endpoint, self._stop)
        reached = reached_port(self._target.endpoint, port)
        return self._cleaned(self._access.lines.reach(self._route, reached, asker, timeout_s))

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
        session = self._session
        if session is not None:
            session.cut()

    def close(self) -> None:
        """End the connection. Never raises, never blocks for more than a second."""
        self._hang_up()
        self._stop.clear()

    @contextmanager
    def _followed(self, running: Running) -> Iterator[Running]:
        with self._guard:
            self._running = running
        try:
            yield running
        finally:
            with self._guard:
                self._running = None
                if running.interrupted.is_set():
                    self._stop.set()

    def _hang_up(self) -> None:
        session, self._session = self._session, None
        self.boot_id, self._uid, self._sudoer = "", None, Sudoer()
        if session is not None:
            session.hang_up()

    def _opened(self) -> Opened | Failure:
        endpoint, access, server = self._target.endpoint, self._access, self._route.end
        stopped = access.logins.stopped(endpoint.client, self._target.credential)
        if stopped is not None:
            return stopped
        try:
            known = access.trust.known_keys(*filed_under(endpoint.client, server))
        except OutagekitError as fault:
            return Failure(FailureKind.LOCAL_IO, fault.message)
        line = access.lines.connect(self._route, access.asker(endpoint, self._stop))
        if isinstance(line, Failure):
            return line
        self.redactor = Redactor(line.secrets)
        session = greet(
            line.stream,
            server.place,
            deadlines=access.deadlines,
            known=known,
            stop=self._stop,
            secrets=line.secrets,
        )
        if isinstance(session, Failure):
            return line.explained(session)
        self._session = session
        if self._stop.is_set():
            return Failure(FailureKind.LOST, "the connection was aborted")
        failure = judge(
            session.server_key,
            known,
            trust=access.trust,
            client=endpoint.client,
            server=server,
            place=endpoint.address,
            words=words_for(endpoint, self._target.credential),
        )
        failure = failure or self._logged_in(session, line)
        return failure or self._identified(session)

    def _logged_in(self, session: Session, line: Line) -> Failure | None:
        secrets = list(line.secrets)

        def reveal(reference: SecretRef, label: str) -> str:
            value = self._access.resolve_secret(reference, self._target.endpoint, label)
            secrets.append(Secret(label, value))
            # At once: even the failure that follows may quote it.
            self.redactor = Redactor(secrets)
            return value

        try:
            shared_by = partial(self._shared_by, use="sudo password")
            self._sudoer = sudoer_of(self._target, reveal, shared_by)
        except OutagekitError as fault:
            return Failure(FailureKind.LOCAL_IO, fault.message)
        failure = log_in(
            session,
            self._route.end,
            reveal=reveal,
            shared_by=self._shared_by,
            timeout_s=self._access.deadlines.auth_s,
            booting=self._booting,
        )
        if failure is None:
            session.settle()
        return failure

    def _shared_by(self, password: str, use: Use = "password") -> SharedPassword:
        credential = self._target.credential or Credential(name="", user="")
        client = self._target.endpoint.client
        return self._access.logins.shared(client, credential, password, use=use)

    def _identified(self, session: Session) -> Opened | Failure:
        accept_s = self._access.deadlines.accept_s
        outcome = self.execute(IDENTITY, Limits(run_s=accept_s, accept_s=accept_s))
        found = parse_identity(outcome)
        if isinstance(found, Failure):
            return found
        self._uid = found.uid
        return settle_machine(
            found,
            session.server_key.fingerprint,
            endpoint=self._target.endpoint,
            trust=self._access.trust,
            words=words_for(self._target.endpoint, self._target.credential),
        )

    def _moved(
        self,
        move: Callable[[Session, SftpLine | None], Moved | Failure],
        account: Account,
        limits: Limits,
    ) -> Moved | Failure:
        """Move a file with the rights of an account."""
        session = self._session
        if session is None or not self.alive:
            return _NOT_OPEN
        if self._has(account):
            return self._cleaned(move(session, None))
        taken = self._taken(session, Command(SFTP_SERVER, account=account), limits.accept_s)
        if isinstance(taken, Failure):
            return self._cleaned(taken)
        with closing(taken.channel):
            return self._cleaned(move(session, SftpLine(taken.channel, taken.stdin)))

    def _has(self, account: Account) -> bool:
        """Return whether who logged in has the rights of an account, and is to use them."""
        return account == "login" or (self._uid == 0 and self._target.endpoint.become is None)

    def _taken(self, session: Session, command: Command, accept_s: float) -> Taken | Failure:
        """Have the server take a command under its account."""
        if self._has(command.account):
            channel = self._accepted(session, command, accept_s)
            return channel if isinstance(channel, Failure) else Taken(channel, command.stdin)
        if self._target.endpoint.become is None:
            return not_root(self._sudoer.user, self._uid)
        return take_as_root(
            session,
            command,
            lambda waiting: self._accepted(session, waiting, accept_s),
            sudoer=self._sudoer,
            redactor=self.redactor,
            timeout_s=self._access.deadlines.become_s,
        )

    def _strike(self, session: Session, pid: int) -> None:
        """End a process of root with its group: only root can."""
        command = Command(strike(pid), account="root")
        taken = self._taken(session, command, _STRIKE_S)
        if isinstance(taken, Failure):
            return
        with suppress(paramiko.SSHException, EOFError, OSError), closing(taken.channel):
            taken.channel.settimeout(_STRIKE_S)
            taken.channel.sendall(taken.stdin)
            taken.channel.status_event.wait(_STRIKE_S)

    def _accepted(
        self, session: Session, command: Command, accept_s: float
    ) -> paramiko.Channel | Failure:
        sent = not command.stdin
        try:
            with WATCHDOG.limit(accept_s + _ACCEPT_BACKSTOP_S, session.cut):
                return session.start_command(command.line, accept_s)
        except TimeoutError:
            detail = f"the server did not take a command within {accept_s:g} s"
            return Failure(FailureKind.TIMEOUT, detail, sent=sent)
        except (paramiko.SSHException, EOFError, OSError) as fault:
            if session.outlasts(_REFUSAL_S):
                return Failure(FailureKind.PROTOCOL, _refusal(fault))
            detail = "the connection was lost before the server took the command"
            return Failure(FailureKind.LOST, detail, sent=sent)

    def _cleaned(self, result: T | Failure) -> T | Failure:
        if not isinstance(result, Failure):
            return result
        # Cleaned, then cut: of a secret that was cut its beginning would stay.
        detail = self.redactor.clean(result.detail)
        if len(detail) > _LONGEST_DETAIL:
            detail = f"{detail[:_LONGEST_DETAIL]}…"
        return replace(result, detail=detail)


def _refusal(fault: Exception) -> str:
    reason = f": {visible_line(fault.text)}" if isinstance(fault, paramiko.ChannelException) else ""
    return f"the server refused to run a command{reason}"
