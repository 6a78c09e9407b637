"""The messages of one remote shell after the other, to one Windows endpoint.

A `Wire` belongs to one thread; only `cut` may come from others. It logs in when it has to, keeps
one connection, and after anything unexpected has none: the next message logs in anew. Every error
is a `WireError`, and every call ends by its deadline, whatever the other side does. Nothing is
ever repeated here: who sends a message knows whether it may be.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeVar
from xml.etree.ElementTree import Element

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.winrm.answers import (
    Received,
    check_command,
    check_relates,
    received_of,
    reported_of,
    shell_of,
    tree_of,
)
from outagekit.transports.winrm.connection import Connection
from outagekit.transports.winrm.faults import Fault, Reported, WireError, reported
from outagekit.transports.winrm.login import Login, login_fault
from outagekit.transports.winrm.messages import Code, Message, Messages, unwritable
from outagekit.transports.winrm.mishaps import Circumstances, explained
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.session import Sealed
from outagekit.transports.winrm.tls import Believed, context_for

__all__ = ["IDLE_S", "Believed", "Fault", "Login", "Received", "Wire", "WireError"]

T = TypeVar("T")

IDLE_S: Final = 60.0
"""After so long without a message, services may have forgotten a connection's login."""
_MARGIN_S: Final = 1.0
"""How much earlier than our deadline the service shall give up."""


class Wire:
    """A logged-in way to one endpoint's WinRM.

    `connect` makes the TCP connection within the seconds it is given; `trust` says which
    certificates are believed on https; once `stop` is set, no new connection is made. Logging in
    takes at most `connect_s`, `handshake_s` and `auth_s` of the deadlines, and comes on top of the
    time of the message that needs it.
    """

    def __init__(
        self,
        place: Place,
        login: Login,
        *,
        connect: Callable[[float], socket.socket | Failure],
        trust: Believed,
        deadlines: Deadlines,
        stop: threading.Event,
        idle_s: float = IDLE_S,
    ) -> None:
        self.place = place
        self._login = login
        self._believed = trust
        self._deadlines = deadlines
        self._stop = stop
        self._idle_s = idle_s
        self._connection = Connection(place, trust, connect=connect, deadlines=deadlines)
        self._protocol = Sealed(place, login, self._connection)
        self._write = Messages(self._protocol.build_wsman_header)
        self._redactor = login.redactor
        self._alone = threading.Lock()
        self._used_s = 0.0
        self.messages = 0
        """How many SOAP messages were sent."""

    @property
    def certificate(self) -> HostKey | None:
        """What the server showed last; None on http, and before the first connection."""
        return self._connection.certificate

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, as of the last message; asks nobody."""
        return self._protocol.transport.is_logged_in and self._connection.is_open

    @property
    def has_heard(self) -> bool:
        """Whether the service has answered anything since the last login began."""
        return self._protocol.transport.adapter.last is not None

    def hello(self) -> None:
        """Have a connection that is logged in, so far as that goes without a message.

        With ntlm and kerberos the login is proven when this returns, and on http the seal is
        agreed upon; with basic and certificate the first message tells. Raises `WireError`, which
        is `unsent`.
        """
        with self._turn():
            self._ready(first=True)

    def create(self, *, timeout_s: float | None = None) -> str:
        """Return the id of a new shell. Its time is `auth_s` of the deadlines unless it is said."""
        limit_s = self._deadlines.auth_s if timeout_s is None else timeout_s
        message = self._write.create(wait_s=_wait(limit_s))
        return self._say(message, shell_of, timeout_s=limit_s, first=True)

    def command(self, shell: str, command: str, line: str, *, timeout_s: float) -> None:
        """Begin a command under an id of ours: a UUID in capitals."""
        if unwritable(line):
            detail = "the command line holds control characters, which no message can carry"
            raise WireError.of(Fault.LOCAL, FailureKind.LOCAL_IO, detail, unsent=True)
        message = self._write.command(shell, command, line, wait_s=_wait(timeout_s))
        self._say(message, lambda root: check_command(root, command), timeout_s=timeout_s)

    def send(self, shell: str, command: str, data: bytes, *, end: bool, timeout_s: float) -> None:
        """Give a command input; `end` closes it."""
        message = self._write.send(shell, command, data, end=end, wait_s=_wait(timeout_s))
        self._say(message, _nothing, timeout_s=timeout_s)

    def receive(self, shell: str, command: str, *, wait_s: float, timeout_s: float) -> Received:
        """Return what a command wrote; the service waits for it up to `wait_s`.

        `NO_OUTPUT` if there was none: ask again. `timeout_s` has to be longer than `wait_s`.
        """
        message = self._write.receive(shell, command, wait_s=wait_s)
        return self._say(message, lambda root: received_of(root, command), timeout_s=timeout_s)

    def signal(self, shell: str, command: str, code: Code, *, timeout_s: float) -> None:
        """Tell a command to end; `terminate` also forgets it."""
        message = self._write.signal(shell, command, code, wait_s=_wait(timeout_s))
        self._say(message, _nothing, timeout_s=timeout_s)

    def delete(self, shell: str, *, timeout_s: float) -> None:
        """End a shell, and what runs in it."""
        message = self._write.delete(shell, wait_s=_wait(timeout_s))
        self._say(message, _nothing, timeout_s=timeout_s)

    def drop(self) -> None:
        """Forget connection, login and seal; the next message logs in anew."""
        self._protocol.transport.drop()

    def cut(self) -> None:
        """From any thread: end the connection now; a blocked call returns within a second.

        While a connection is being made, `stop` is what makes `connect` return.
        """
        self._connection.cut()

    def close(self) -> None:
        """End the connection; shells are left as they are. Never raises."""
        with contextlib.suppress(Exception):
            self.drop()

    def _say(
        self,
        message: Message,
        read: Callable[[Element], T],
        *,
        timeout_s: float,
        first: bool = False,
    ) -> T:
        """Send a message and return what `read` makes of the answer."""
        with self._turn():
            self._ready(first=first)
            self._connection.wrote = False
            with self._mapped(timeout_s, logging_in=False, first=first):
                fault, answer = self._asked(message, read, timeout_s)
            self._used_s = time.monotonic()
            if fault is not None:
                raise self._cleaned(reported(fault))
            return answer  # type: ignore[return-value]  # there is one where there is no fault

    def _asked(
        self, message: Message, read: Callable[[Element], T], timeout_s: float
    ) -> tuple[Reported, None] | tuple[None, T]:
        transport = self._protocol.transport
        transport.read_timeout_sec = timeout_s  # type: ignore[assignment]
        with self._connection.limit(timeout_s):
            self.messages += 1
            root = tree_of(self._protocol.send_message(message.text))
        fault = reported_of(root)
        check_relates(root, message.id, strict=fault is None)
        return (fault, None) if fault is not None else (None, read(root))

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Refuse a second thread, with which NTLM's seal would break."""
        if not self._alone.acquire(blocking=False):
            raise OutagekitError("two threads use one WinRM connection")
        try:
            self._connection.begin()
            yield
        finally:
            self._alone.release()

    def _ready(self, *, first: bool) -> None:
        """Have a login that stands, on a connection that does."""
        if self._protocol.transport.is_logged_in:
            idle_s = time.monotonic() - self._used_s
            if idle_s <= self._idle_s and self._connection.is_sound:
                return
            self.drop()
        timeout_s = self._deadlines.auth_s
        with self._mapped(timeout_s, logging_in=True, first=first):
            self._require_allowed()
            if self.place.scheme == "https" and self._connection.context is None:
                self._connection.context = context_for(self._believed, self._login)
            self._connection.open()
            with self._connection.limit(timeout_s):
                self._protocol.transport.log_in(timeout_s)
        self._used_s = time.monotonic()

    def _require_allowed(self) -> None:
        if (failure := login_fault(self._login, self.place.scheme)) is not None:
            fault = Fault.TLS if failure.kind is FailureKind.TLS else Fault.LOCAL
            raise WireError(failure, fault)
        if self._stop.is_set():
            detail = "the connection was given up before it was made"
            raise WireError.of(Fault.DROPPED, FailureKind.LOST, detail)

    @contextlib.contextmanager
    def _mapped(self, timeout_s: float, *, logging_in: bool, first: bool) -> Iterator[None]:
        """Forget everything after an error, and say what it means."""
        try:
            yield
        except Exception as fault:
            when = Circumstances(
                place=self.place,
                login=self._login,
                believed=self._believed,
                logging_in=logging_in,
                first=first,
                ended=self._connection.ended,
                timeout_s=timeout_s,
                last=self._protocol.transport.adapter.last,
            )
            error = explained(fault, when)
            unsent = logging_in or not self._connection.wrote
            self.drop()
            raise self._cleaned(error, unsent=unsent) from fault
        except BaseException:
            self.drop()
            raise

    def _cleaned(self, error: WireError, *, unsent: bool = False) -> WireError:
        detail = self._redactor.clean(error.failure.detail)
        return WireError(Failure(error.failure.kind, detail), error.fault, unsent=unsent)


def _wait(timeout_s: float) -> float:
    """Return how long the service may take, so that its own word comes before our deadline."""
    return max(timeout_s - _MARGIN_S, timeout_s / 2)


def _nothing(root: Element) -> None:
    """Read an answer that says no more than that it is one."""
    del root
