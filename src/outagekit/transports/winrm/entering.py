"""How one endpoint is entered: whom we believe, who we are, and what came of the password.

A password is proven once before many use it at the same time, and not used any more after two
refusals in a row; see `logins`. The connection stands before a turn is taken: who does not answer
keeps nobody waiting.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from outagekit.credentials import SecretRef
from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.redaction import Redactor, Secret
from outagekit.transports.access import Access
from outagekit.transports.logins import SharedPassword, Turn, Verdict
from outagekit.transports.protocol import Failure, Target
from outagekit.transports.trust.store import filed_under
from outagekit.transports.watchdog import WATCHDOG
from outagekit.transports.winrm.faults import Fault, WireError, with_hint
from outagekit.transports.winrm.login import Login, login_fault, login_of
from outagekit.transports.winrm.place import Place, place_of
from outagekit.transports.winrm.tls import Believed
from outagekit.transports.winrm.wire import Wire
from outagekit.transports.words import words_for

_VERDICTS: Final[Mapping[Fault, Verdict]] = {
    Fault.UNAUTHORIZED: "refused",
    Fault.UNREACHABLE: "unused",
    Fault.TLS: "unused",
    Fault.LOCAL: "unused",
    Fault.NOT_READY: "unused",
    Fault.DROPPED: "unanswered",
    Fault.LATE: "unanswered",
    Fault.MALFORMED: "unanswered",
    Fault.STALE: "unanswered",
}
"""What a fault says about the password; all others come from a service that had accepted it."""


class Entrance:
    """The way into one endpoint, for as many connections as it takes. Used by one thread."""

    def __init__(self, target: Target, access: Access) -> None:
        self._target = target
        self._access = access
        self._login: Login | None = None
        self._believed = Believed()
        self._made: socket.socket | None = None
        """A connection that was made before it is asked for."""
        self.place: Place = place_of(target.endpoint)
        self.redactor = Redactor()
        """What hides the secrets that were used so far."""
        self.booting = False

    def approach(self, stop: threading.Event) -> Failure | None:
        """Connect, and have the secrets at hand; nothing of them is sent yet."""
        endpoint, access, credential = self._target.endpoint, self._access, self._target.credential
        if credential is None:
            detail = f"{endpoint.id} has no credential: Windows endpoints need one to log in"
            return Failure(FailureKind.AUTH, detail)
        stopped = access.logins.stopped(endpoint.client, credential)
        if stopped is not None:
            return stopped
        try:
            self._believed = self._beliefs()
        except OutagekitError as fault:
            return Failure(FailureKind.LOCAL_IO, fault.message)
        self.leave()
        made = access.winrm_socket(self._target, stop, access.deadlines.connect_s)
        if isinstance(made, Failure):
            return with_hint(made, self.place.address)
        self._made = made
        login = login_of(endpoint.client, credential, self._reveal)
        if isinstance(login, Failure):
            return login
        self._login = login
        return login_fault(login, self.place.scheme)

    def leave(self) -> None:
        """Close a connection that was made and not used."""
        sock, self._made = self._made, None
        if sock is not None:
            sock.close()

    def wire(self, stop: threading.Event) -> Wire | None:
        """Return a wire that is not connected yet; None before `approach` succeeded."""
        login = self._login
        if login is None:
            return None

        def connect(timeout_s: float) -> socket.socket | Failure:
            sock, self._made = self._made, None
            return sock or self._access.winrm_socket(self._target, stop, timeout_s)

        return Wire(
            self.place,
            login,
            connect=connect,
            trust=self._believed,
            deadlines=self._access.deadlines,
            stop=stop,
        )

    def prove(
        self,
        wire: Wire,
        given_up: threading.Event,
        *,
        first: Callable[[], None] | None = None,
        timeout_s: float | None = None,
    ) -> None:
        """Connect a wire and log in, in a turn of the password. Raises `WireError`.

        `first` says the first message, which is what proves a password where logging in does not.
        With a `timeout_s` this is a connection that is made again: the password was accepted
        here, so that a refusal says more about the machine, which may be restarting.
        """
        limits = self._access.deadlines
        again = timeout_s is not None
        if timeout_s is None:
            timeout_s = limits.connect_s + limits.handshake_s + 2 * limits.auth_s
        shared = self._shared()
        proof, after = (None, first) if self._is_proven_early else (first, None)
        if shared is None:
            _say(wire, proof, timeout_s)
        else:
            turn = shared.take_turn(timeout_s, given_up.is_set, booting=self.booting or again)
            if isinstance(turn, Failure):
                raise WireError(turn, Fault.LOCAL, unsent=True)
            with shared.sending(turn):
                _say_in_turn(wire, turn, proof, timeout_s)
        if after is not None:
            after()

    @property
    def _is_proven_early(self) -> bool:
        """Whether the login is proven before the first message."""
        return self._login is not None and self._login.auth != "basic"

    def _shared(self) -> SharedPassword | None:
        credential, login = self._target.credential, self._login
        if credential is None or login is None or login.password is None:
            return None
        client = self._target.endpoint.client
        return self._access.logins.shared(client, credential, login.password)

    def _beliefs(self) -> Believed:
        endpoint, trust = self._target.endpoint, self._access.trust
        words = words_for(endpoint, self._target.credential)
        ca = self._target.winrm.ca
        filed = filed_under(endpoint.client, self._access.routes.route(self._target).end)
        return Believed(
            certificates=trust.known_keys(*filed),
            revoked=trust.revoked_keys(*filed),
            ca=Path(ca) if ca is not None else None,
            words=words,
        )

    def _reveal(self, reference: SecretRef, label: str) -> str:
        value = self._access.resolve_secret(reference, self._target.endpoint, label)
        # At once: even the failure that follows may quote it.
        self.redactor = Redactor([Secret(label, value)])
        return value


def _say(wire: Wire, first: Callable[[], None] | None, timeout_s: float) -> None:
    with WATCHDOG.limit(timeout_s, wire.cut):
        wire.hello()
        if first is not None:
            first()


def _say_in_turn(
    wire: Wire, turn: Turn, first: Callable[[], None] | None, timeout_s: float
) -> None:
    turn.verdict = "unanswered"
    try:
        _say(wire, first, timeout_s)
    except WireError as fault:
        turn.verdict = _VERDICTS.get(fault.fault, "accepted")
        if turn.verdict == "unanswered" and first is None and not wire.has_heard:
            turn.verdict = "unused"  # the proof follows the service's first answer
        raise
    turn.verdict = "accepted"
