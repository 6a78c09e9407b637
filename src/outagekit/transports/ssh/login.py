"""Proving to a server who we are, after it has proved who it is.

Order: the credential's key, then, where allowed, the agent and the key files `ssh` itself would
try, then the password: once.
Nothing is tried twice, a refusal is `auth`. A server that says nothing is `timeout`, one that
hangs up is `lost` (`auth` if it says that the login was the reason), a key or secret that cannot
be had on this machine is `local_io`. A password that was refused elsewhere waits for its turn, or
is not sent at all: `credential_stopped`.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import paramiko

from outagekit.credentials import SecretRef
from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.text import fold_list, visible_line
from outagekit.transports.logins import SharedPassword, Turn, Verdict
from outagekit.transports.protocol import Failure
from outagekit.transports.ssh.identities import offered
from outagekit.transports.ssh.keys import Agent, BadKeyError, NamedKey, load_key
from outagekit.transports.ssh.session import Session
from outagekit.transports.ssh.ways.route import Server

Reveal = Callable[[SecretRef, str], str]
"""Resolves a reference; the second argument says which secret of the credential it is."""

SharedBy = Callable[[str], SharedPassword]
"""Returns what all logins with a password share."""

_PASSWORD_WAYS: Final = ("password", "keyboard-interactive")


class _Refusal(Exception):  # noqa: N818  (the reason is the value it carries)
    """The login ends here, for this reason."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(kind, detail)


def log_in(
    session: Session,
    server: Server,
    *,
    reveal: Reveal,
    shared_by: SharedBy,
    timeout_s: float,
    booting: bool = False,
) -> Failure | None:
    """Log in; None means success.

    Blocks for at most `timeout_s`, secrets aside, and the turns of two other logins. Of a machine
    that is `booting` a refused password is not counted.
    """
    attempt = _Attempt(session, server, reveal, shared_by, timeout_s)
    attempt.booting = booting
    try:
        attempt.run()
    except _Refusal as refusal:
        return refusal.failure
    except BadKeyError as fault:
        return Failure(FailureKind.LOCAL_IO, str(fault))
    except OutagekitError as fault:
        return Failure(FailureKind.LOCAL_IO, fault.message)
    return None


class _Attempt:
    """One login with everything the credential allows."""

    def __init__(
        self,
        session: Session,
        server: Server,
        reveal: Reveal,
        shared_by: SharedBy,
        timeout_s: float,
    ) -> None:
        self._session = session
        self._server = server
        self._credential = credential = server.credential
        self._reveal = reveal
        self._shared_by = shared_by
        self._timeout_s = timeout_s
        self._left_s = timeout_s
        self._user = credential.user if credential else server.user or _own_name()
        self._accepted: Sequence[str] = ()
        self._tried: list[str] = []
        self._unfit: list[str] = []
        self._denied = False
        """The server answered the last way with a no."""
        self.booting = False

    def run(self) -> None:
        """Try what there is; raises `_Refusal` if nothing of it opens the door."""
        # Secrets first: asking a person or a command is not the server's time.
        keys = self._own_keys()
        password = self._password()
        if any(self._key_opens(key) for key in keys):
            return
        if (self._credential is None or self._credential.agent) and self._wider_keys_open():
            return
        if password is not None and self._password_opens(password):
            return
        raise self._refused()

    def _own_keys(self) -> list[NamedKey]:
        given = self._credential
        if given is None or given.key is None:
            return []
        phrase = None
        if given.passphrase:
            phrase = self._reveal(given.passphrase, f"{given.name} passphrase")
        return [load_key(given.key, passphrase=phrase, certificate=given.certificate)]

    def _password(self) -> str | None:
        given = self._credential
        if given is None or given.password is None:
            return None
        return self._reveal(given.password, f"{given.name} password")

    def _wider_keys_open(self) -> bool:
        began_s = time.monotonic()
        agent = Agent(self._left_s, self._server.agent)
        self._left_s -= time.monotonic() - began_s
        try:
            offer = offered(self._server, agent.keys)
            self._unfit = offer.unfit
            return any(self._key_opens(key) for key in self._once(offer.keys))
        finally:
            agent.close()

    def _once(self, keys: Sequence[NamedKey]) -> Iterator[NamedKey]:
        seen: set[tuple[bytes, bytes]] = set()
        for named in keys:
            certificate = getattr(named.key, "public_blob", None)
            blob = named.key.asbytes(), certificate.key_blob if certificate else b""
            if blob not in seen:
                seen.add(blob)
                yield named

    def _key_opens(self, named: NamedKey) -> bool:
        if self._accepted and "publickey" not in self._accepted:
            return False
        self._tried.append(named.name)
        return self._opens(lambda: self._session.auth_publickey(self._user, named.key))

    def _password_opens(self, password: str) -> bool:
        if not self._accepted and self._opens(lambda: self._session.auth_none(self._user)):
            return True
        way = next((way for way in _PASSWORD_WAYS if way in self._accepted), None)
        if way is None:
            return False
        if self._left_s <= 0:
            # Sent without time for an answer, it would count as refused.
            raise _Refusal(FailureKind.TIMEOUT, "no time was left to log in with the password")
        shared = self._shared_by(password)
        turn = shared.take_turn(
            self._timeout_s, lambda: not self._session.is_sound, booting=self.booting
        )
        if isinstance(turn, Failure):
            raise _Refusal(turn.kind, turn.detail)
        self._tried.append("the password")
        with shared.sending(turn):
            return self._sent(password, way, turn)

    def _sent(self, password: str, way: str, turn: Turn) -> bool:
        """Send the password, and say in the turn what came of it."""
        answer = _Answer(password)
        if way == "password":
            answer.given = True
            login = partial(self._session.auth_password, self._user, password, fallback=False)
        else:
            login = partial(self._session.auth_interactive, self._user, answer)
        verdict: Verdict = "unanswered"
        self._denied = False
        try:
            opened = self._opens(login)
        except _Refusal as refusal:
            if refusal.failure.kind is FailureKind.AUTH:
                verdict = "refused"
            raise
        else:
            verdict = "refused" if self._denied else "accepted"
            return opened
        finally:
            turn.verdict = verdict if answer.given else "unused"

    def _opens(self, login: Callable[[], Sequence[str]]) -> bool:
        began_s = time.monotonic()
        self._session.auth_timeout = max(0.05, self._left_s)
        try:
            # With a first step accepted and another one wanted, the ways that are left come back.
            self._accepted = login() or self._accepted
        except paramiko.BadAuthenticationType as fault:
            self._denied = True
            self._accepted = fault.allowed_types
        except paramiko.AuthenticationException as fault:
            self._check(fault)
            self._denied = True
        except (paramiko.SSHException, EOFError, OSError) as fault:
            raise self._lost(fault) from fault
        finally:
            self._left_s -= time.monotonic() - began_s
        return self._session.is_authenticated()

    def _check(self, fault: paramiko.AuthenticationException) -> None:
        """Tell a refusal, after which one may go on, from the end of the connection."""
        if not self._session.is_active():
            raise self._lost(fault) from fault
        if "timeout" in str(fault):
            detail = f"the server did not answer the login within {self._timeout_s:g} s"
            raise _Refusal(FailureKind.TIMEOUT, detail) from fault

    def _lost(self, fault: Exception) -> _Refusal:
        goodbye = self._session.goodbye
        if goodbye:
            return _Refusal(FailureKind.AUTH, f"the server ended the login: {goodbye}")
        if isinstance(fault, _TooCurious):
            return _Refusal(FailureKind.AUTH, str(fault))
        if "pubkey algorithm" in str(fault):
            detail = (
                "the server accepts RSA keys with outdated SHA-1 signatures only:"
                " use an ed25519 key, or update its OpenSSH to 7.2 or newer"
            )
            return _Refusal(FailureKind.AUTH, detail)
        return _Refusal(FailureKind.LOST, "the server closed the connection during the login")

    def _refused(self) -> _Refusal:
        who = visible_line(self._user)
        unfit = f"; {visible_line(fold_list(self._unfit, 3))}" * bool(self._unfit)
        ways = f"; it accepts {fold_list(map(visible_line, self._accepted))}" * bool(self._accepted)
        if not self._tried:
            detail = f"there is nothing to log in with as {who}: no key, agent or usable password"
            return _Refusal(FailureKind.AUTH, f"{detail}{ways}{unfit}")
        tried = visible_line(fold_list(self._tried, 3))
        return _Refusal(FailureKind.AUTH, f"the server refused {who} with {tried}{ways}{unfit}")


class _TooCurious(paramiko.SSHException):
    """The server asks for more than a password."""


class _Answer:
    """Answers the one hidden question of a keyboard-interactive login with the password, once."""

    def __init__(self, password: str) -> None:
        self._password = password
        self.given = False
        """The password has left us."""

    def __call__(
        self, title: str, instructions: str, questions: list[tuple[str, bool]]
    ) -> list[str]:
        """Return the answers paramiko sends."""
        del title, instructions
        if not questions:
            return []
        if self.given:
            raise _TooCurious("the server refused the password")
        if len(questions) > 1 or questions[0][1]:
            raise _TooCurious("the server asks for more than a password, as a one-time code")
        self.given = True
        return [self._password]


def _own_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as fault:
        raise _Refusal(
            FailureKind.AUTH, "no credential is named, and this user has no name"
        ) from fault
