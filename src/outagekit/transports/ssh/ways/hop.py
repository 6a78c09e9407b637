"""A jump host: its host key judged as strictly as an endpoint's, logged in to, asked onward.

Whatever goes wrong on the way, no command of ours has reached an endpoint: `sent` is never true.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from typing import Final

import paramiko

from outagekit.credentials import SecretRef
from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.model import Credential
from outagekit.redaction import Redactor, Secret
from outagekit.transports.logins import SharedPassword
from outagekit.transports.protocol import Failure
from outagekit.transports.ssh.host_keys import judge
from outagekit.transports.ssh.login import log_in
from outagekit.transports.ssh.session import shake_hands
from outagekit.transports.ssh.ways.asker import Asker, Line, cleaned
from outagekit.transports.ssh.ways.bridge import bridged
from outagekit.transports.ssh.ways.forwarding import Forwarder, Refused
from outagekit.transports.ssh.ways.route import Server
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import filed_under

_STILL_THERE_S: Final = 3.0
"""How long a jump host that did not answer for an endpoint may take to answer for itself."""
_LONGEST_WORDS: Final = 200
_PROHIBITED, _UNKNOWN_TYPE, _SHORTAGE = 1, 3, 4

_CAUSES: Final = (
    ("refused", FailureKind.REFUSED),
    ("reset", FailureKind.REFUSED),
    ("resol", FailureKind.RESOLVE),
    ("name or service", FailureKind.RESOLVE),
    ("nodename", FailureKind.RESOLVE),
    ("hostname", FailureKind.RESOLVE),
    ("no address", FailureKind.RESOLVE),
    ("unknown host", FailureKind.RESOLVE),
)
"""What servers say of a connection that failed, in lower case; anything else is no answer."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A jump host that has let us in."""

    server: Server
    session: Forwarder
    secrets: tuple[Secret, ...]
    """What it and those before it were told."""

    @property
    def name(self) -> str:
        """What it is called in a sentence."""
        return f"the jump host {self.server.place}"

    @property
    def alive(self) -> bool:
        """Whether the connection stood when last looked at."""
        return self.session.is_sound

    def connect(self, address: str, port: int, timeout_s: float) -> socket.socket | Failure:
        """Return a socket that is connected to a port as the jump host reaches it."""
        channel = self._channel(address, port, timeout_s)
        if isinstance(channel, Failure):
            return channel
        try:
            return bridged(channel)
        except OSError as fault:
            detail = f"this machine has no room for another connection: {fault.strerror}"
            return Failure(FailureKind.LOCAL_IO, detail)

    def knock(self, address: str, port: int, timeout_s: float) -> bool:
        """Return whether the port takes a connection; it is closed at once, without a byte."""
        channel = self._channel(address, port, timeout_s)
        if isinstance(channel, Failure):
            return False
        channel.close()
        return True

    def _channel(self, address: str, port: int, timeout_s: float) -> paramiko.Channel | Failure:
        where = f"{address} port {port}"
        try:
            return self.session.forward(address, port, timeout_s)
        except TimeoutError:
            if not self.session.answers(_STILL_THERE_S):
                return Failure(FailureKind.CONNECT_TIMEOUT, f"{self.name} answers no more")
            detail = f"{where} did not answer {self.name} within {timeout_s:g} s"
            return Failure(FailureKind.CONNECT_TIMEOUT, detail)
        except Refused as refused:
            words = Redactor(self.secrets).clean(refused.words)
            refusal = _refusal(Refused(refused.code, words), self.name, where)
            return cleaned(refusal, self.secrets)  # the place may hold a secret, too
        except (paramiko.SSHException, EOFError, OSError):
            return Failure(FailureKind.LOST, f"the connection to {self.name} was lost")


def enter(line: Line, server: Server, asker: Asker) -> Hop | Failure:
    """Return the jump host at the end of a line, logged in to. After a failure nothing stays."""
    try:
        known = asker.trust.known_keys(*filed_under(asker.client, server))
    except OutagekitError as fault:
        line.stream.close()
        return Failure(FailureKind.LOCAL_IO, fault.message)
    session = Forwarder(line.stream, known)
    secrets = list(line.secrets)
    failure = _entered(session, server, known, asker, secrets)
    if failure is None:
        session.settle()
        return Hop(server, session, tuple(secrets))
    session.hang_up()
    return cleaned(line.explained(failure), tuple(secrets))


def _entered(
    session: Forwarder,
    server: Server,
    known: tuple[HostKey, ...],
    asker: Asker,
    secrets: list[Secret],
) -> Failure | None:
    place = f"the jump host {server.place}"
    failure = shake_hands(session, place, asker.deadlines, asker.stop, secrets=tuple(secrets))
    if failure is None:
        failure = judge(
            session.server_key,
            known,
            trust=asker.trust,
            client=asker.client,
            server=server,
            place=f"the jump host {server.place}",
            words=_words_for(asker),
            of="--jump ",
        )
    if failure is not None:
        return failure
    failure = _logged_in(session, server, asker, secrets)
    if failure is None:
        return None
    return replace(failure, detail=f"the login at {place} failed: {failure.detail}")


def _logged_in(
    session: Forwarder, server: Server, asker: Asker, secrets: list[Secret]
) -> Failure | None:
    def reveal(reference: SecretRef, label: str) -> str:
        value = asker.resolve_secret(reference, asker.endpoint, label)
        secrets.append(Secret(label, value))
        return value

    def shared_by(password: str) -> SharedPassword:
        owner = server.credential or Credential(name="", user="")
        return asker.logins.shared(asker.client, owner, password)

    return log_in(
        session,
        server,
        reveal=reveal,
        shared_by=shared_by,
        timeout_s=asker.deadlines.auth_s,
    )


def _words_for(asker: Asker) -> str:
    """Return what chooses the endpoint behind it on a command line."""
    return "with the same --host" if asker.client == ADHOC else asker.endpoint.id


def _refusal(refused: Refused, hop: str, where: str) -> Failure:
    words = refused.words[:_LONGEST_WORDS]
    said = f": {words}" if words else ""
    if refused.code == _PROHIBITED:
        detail = (
            f"{hop} forbids connections to {where}{said}; allow them there with AllowTcpForwarding"
            " and PermitOpen in its sshd_config, or for the key in authorized_keys"
        )
        return Failure(FailureKind.PROTOCOL, detail)
    if refused.code == _UNKNOWN_TYPE:
        detail = f"{hop} is no jump host: it forwards no connections{said}"
        return Failure(FailureKind.PROTOCOL, detail)
    if refused.code == _SHORTAGE:
        detail = f"{hop} has no room for a connection to {where}{said}"
        return Failure(FailureKind.REFUSED, detail)
    folded = words.casefold()
    kinds = (kind for sign, kind in _CAUSES if sign in folded)
    kind = next(kinds, FailureKind.CONNECT_TIMEOUT)
    return Failure(kind, f"{hop} cannot connect to {where}{said}")
