"""Becoming root by `sudo` before a command begins, with or without a password.

| we see | we send |
|---|---|
| ASK | the password, once |
| ASK again | nothing: the password was refused |
| GO with uid 0 | the word that lets the command begin, and the command's input behind it |
| anything else, or nothing | nothing |

So the password is never sent to anything that did not ask for it, and nothing of ours has run
until root was proven: every failure here has `sent=False`. What sudo says in plain words chooses a
sentence, and decides nothing, except that a password it counts as incorrect was refused.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import paramiko

from outagekit.events import FailureKind
from outagekit.redaction import Redactor
from outagekit.text import visible_line
from outagekit.transports.capture import Capture
from outagekit.transports.logins import Turn
from outagekit.transports.protocol import Command, Failure, Target
from outagekit.transports.ssh.login import Reveal, SharedBy
from outagekit.transports.ssh.session import NO_EXIT_CODE, Session
from outagekit.transports.ssh.sudo import (
    SAID_BYTES,
    Talk,
    Ticket,
    cause_of_end,
    shown,
    unfit,
    wrong_user,
)
from outagekit.transports.watchdog import WATCHDOG

_CHUNK_BYTES: Final = 64 * 1024
_SLICE_S: Final = 0.2
_EXIT_S: Final = 2.0
"""How long after its last word sudo may take to tell its exit code."""
_SEND_S: Final = 5.0
_CALLED_WRONG: Final = ("incorrect password", "incorrect authentication")
"""How sudo, and sudo-rs, count the passwords they refused."""

_Heard = Literal["asked", "through", "ended", "late", "lost"]
Start = Callable[[Command], paramiko.Channel | Failure]
"""Has the server take a command line; of its `stdin` only matters whether there is any."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A command the endpoint took, and that has not begun yet if it waits for input."""

    channel: paramiko.Channel
    stdin: bytes
    early: bytes = b""
    """Standard error that is already there."""
    pid: int | None = None
    """The process that is going to be the command, where it runs as root and was told."""


@dataclass(frozen=True, slots=True)
class Sudoer:
    """Who becomes root, and with which password."""

    user: str = ""
    """Who logged in, for sentences."""
    credential: str = ""
    """Name of the credential, for sentences; empty if there is none."""
    password: str | None = field(default=None, repr=False)
    shared_by: SharedBy | None = None
    """Returns what everybody shares who becomes root with a password."""


def sudoer_of(target: Target, reveal: Reveal, shared_by: SharedBy) -> Sudoer:
    """Return who becomes root on an endpoint; raises what `reveal` raises.

    The password is revealed only where the endpoint has `become`: the redactor knows it then
    before anything could quote it.
    """
    credential = target.credential
    if credential is None:
        return Sudoer("who logged in")
    password = None
    if target.endpoint.become is not None and credential.sudo is not None:
        password = reveal(credential.sudo, f"{credential.name} sudo")
    return Sudoer(credential.user, credential.name, password, shared_by)


def take_as_root(
    session: Session,
    command: Command,
    start: Start,
    *,
    sudoer: Sudoer,
    redactor: Redactor,
    timeout_s: float,
) -> Taken | Failure:
    """Have the server take a command that begins as root when it gets its input.

    Failures: those of `start` and of `elevate`.
    """
    ticket = Ticket()
    channel = start(Command(ticket.line(command.line), ticket.begin))
    if isinstance(channel, Failure):
        return channel
    talk = elevate(session, channel, ticket, sudoer=sudoer, redactor=redactor, timeout_s=timeout_s)
    if isinstance(talk, Failure):
        return talk
    return Taken(channel, ticket.begin + command.stdin, talk.rest, talk.pid)


def elevate(
    session: Session,
    channel: paramiko.Channel,
    ticket: Ticket,
    *,
    sudoer: Sudoer,
    redactor: Redactor,
    timeout_s: float,
) -> Talk | Failure:
    """Wait until the command on a channel stands before its beginning as root.

    Returns the talk that led there. What came on standard output before is dropped:
    it is not the command's, which begins once `ticket.begin` was sent. Blocks for at most
    `timeout_s`, and for the turns of two others with the same password. Failures, never `sent`:
    `become`, `lost`, and `credential_stopped` or `timeout` of such a turn; then the channel is
    closed.
    """
    talk = Talk(ticket, Capture(redactor, SAID_BYTES))
    found = _Elevation(session, channel, talk, sudoer, timeout_s).run()
    if isinstance(found, Failure):
        with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
            channel.close()
    return found


class _Elevation:
    """One conversation with sudo."""

    def __init__(
        self,
        session: Session,
        channel: paramiko.Channel,
        talk: Talk,
        sudoer: Sudoer,
        timeout_s: float,
    ) -> None:
        self._session = session
        self._channel = channel
        self._talk = talk
        self._sudoer = sudoer
        self._timeout_s = timeout_s
        self._until_s = time.monotonic() + timeout_s

    def run(self) -> Talk | Failure:
        """Talk until it is decided."""
        heard = self._listen(0)
        if heard == "asked":
            answered = self._answered()
            if isinstance(answered, Failure):
                return answered
            heard = answered
        if heard == "through" and self._talk.uid == 0:
            return self._talk
        return self._explained(heard)

    def _listen(self, asked_before: int) -> _Heard:
        """Return what comes next: a question, GO, an end, or nothing in time."""
        while True:
            open_yet = self._read()
            if self._talk.through:
                self._drop_output()
                return "through"
            if self._talk.asked > asked_before:
                return "asked"
            if not open_yet:
                self._channel.status_event.wait(_EXIT_S)
            if not self._session.is_sound:
                return "lost"
            if not open_yet:
                return "ended"
            if time.monotonic() >= self._until_s:
                return "late"

    def _read(self) -> bool:
        """Hear a piece, and return whether there may be more."""
        self._drop_output()
        self._channel.settimeout(min(_SLICE_S, max(0.01, self._until_s - time.monotonic())))
        ended = self._channel.exit_status != NO_EXIT_CODE
        try:
            piece = self._channel.recv_stderr(_CHUNK_BYTES)
        except TimeoutError:
            return not ended
        self._talk.feed(piece)
        return bool(piece)

    def _drop_output(self) -> None:
        while self._channel.recv_ready() and self._channel.recv(_CHUNK_BYTES):
            pass

    def _answered(self) -> _Heard | Failure:
        """Send the password and return what comes of it, or why it was not sent."""
        password, shared_by = self._sudoer.password, self._sudoer.shared_by
        if password is None or shared_by is None:
            return _failure(self._nothing_to_say())
        if fault := unfit(password):
            return _failure(f"{fault}, which sudo does not take: it was not sent")
        shared = shared_by(password)
        asked_s = time.monotonic()
        turn = shared.take_turn(self._timeout_s, self._is_over)
        # Waiting for others is nobody's fault here.
        self._until_s += time.monotonic() - asked_s
        if isinstance(turn, Failure):
            over = turn.kind is FailureKind.LOST and self._session.is_sound
            return "ended" if over else turn
        with shared.sending(turn):
            return self._sent(password, turn)

    def _sent(self, password: str, turn: Turn) -> _Heard:
        """Send the password, and say in the turn what came of it."""
        turn.verdict = "unanswered"
        asked = self._talk.asked
        try:
            with WATCHDOG.limit(_SEND_S, self._session.cut):
                self._channel.settimeout(_SEND_S)
                self._channel.sendall(password.encode() + b"\n")
        except (paramiko.SSHException, EOFError, OSError):
            pass  # what became of sudo says why
        heard = self._listen(asked)
        if heard == "through" and self._talk.uid == 0:
            turn.verdict = "accepted"
        elif heard == "asked" or (heard == "ended" and self._is_called_wrong()):
            turn.verdict = "refused"
        return heard

    def _is_over(self) -> bool:
        return (
            not self._session.is_sound
            or self._channel.closed
            or self._channel.exit_status != NO_EXIT_CODE
        )

    def _explained(self, heard: _Heard) -> Failure:
        match heard:
            case "lost":
                return Failure(
                    FailureKind.LOST, "the connection ended before sudo had made us root"
                )
            case "asked":
                return _failure(self._refused())
            case "late":
                what = "the password" if self._talk.asked else "at all"
                return self._quoted(f"sudo did not answer {what} within {self._timeout_s:g} s")
            case "through":
                return self._quoted(wrong_user(self._talk.uid))
            case "ended":
                return self._quoted(self._ended())

    def _quoted(self, cause: str) -> Failure:
        words = shown(self._talk.words())
        return _failure(f"{cause}; it said: {words}" if words else cause)

    def _ended(self) -> str:
        if self._is_called_wrong():
            return self._refused()
        code = self._channel.exit_status
        told = None if code == NO_EXIT_CODE else code
        return cause_of_end(told, self._words, self._sudoer.user)

    def _is_called_wrong(self) -> bool:
        return self._talk.asked > 0 and any(words in self._words for words in _CALLED_WRONG)

    @property
    def _words(self) -> str:
        return self._talk.words().casefold()

    def _refused(self) -> str:
        return (
            f"sudo refused the password, or wants more than one: look at `sudo` of credential"
            f" {visible_line(self._sudoer.credential)}; it was sent once"
        )

    def _nothing_to_say(self) -> str:
        name = visible_line(self._sudoer.credential)
        whose = f"credential {name} names none" if name else "there is no credential to name one"
        return (
            f"sudo asks for a password and {whose}: add `sudo: keyring:NAME` to it, or NOPASSWD"
            " for the user to the machine's sudoers"
        )


def _failure(cause: str) -> Failure:
    return Failure(FailureKind.BECOME, cause)


def not_root(user: str, uid: int | None) -> Failure:
    """Return why root is out of reach where the endpoint names no way to it."""
    whose = "is not root" if uid is None else f"has uid {uid}, which is not root"
    detail = (
        f"{visible_line(user)} {whose} on the machine: add `become: sudo` to the endpoint, or let"
        " its credential log in as root"
    )
    return _failure(detail)
