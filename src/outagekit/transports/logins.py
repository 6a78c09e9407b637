"""What this process knows of the passwords it has used, so that it locks no account.

One password often opens a whole client. Until it has been accepted, and again after it was
refused, those who log in with it, or become root with it, go one at a time; not accepted twice in
a row, it is not used any more. No password stands here, only what came of it. Keys are none of
its business.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from outagekit.credentials import SecretRef
from outagekit.events import FailureKind
from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.model import Credential
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure

Use = Literal["password", "sudo password"]
"""What a password is for: to log in, or to become root where one has logged in."""
Verdict = Literal["accepted", "refused", "unanswered", "unused"]
"""What came of a password: `unanswered` was sent and maybe judged, `unused` never left us."""

_STRIKES: Final = 2
_SLICE_S: Final = 0.2
"""How often a login that waits looks whether it was aborted."""
_HELD_S: Final = 5.0
"""How long after its deadline a login that does not come back loses its turn."""


@dataclass(slots=True, eq=False)
class Turn:
    """The right to send a password once; whoever has it says what came of it."""

    alone: bool
    """Others wait for its end."""
    until_s: float
    verdict: Verdict = "unused"
    booting: bool = False
    """The machine may refuse for a while what is right: only an acceptance counts."""


class SharedPassword:
    """One password and what came of it, for all connections of this process."""

    def __init__(self, whose: str, use: Use = "password") -> None:
        self._name = f"the {use} of {whose}"
        self._changed = threading.Condition()
        self._strikes = 0
        self._proven = False
        self._holder: Turn | None = None

    @property
    def stopped(self) -> Failure | None:
        """Why this password is not used any more, or None."""
        if self._strikes < _STRIKES:
            return None
        detail = (
            f"{self._name} was not accepted twice in a row: it is not tried any more in this run,"
            " so that no account is locked"
        )
        return Failure(FailureKind.CREDENTIAL_STOPPED, detail)

    def take_turn(
        self, timeout_s: float, given_up: Callable[[], bool], *, booting: bool = False
    ) -> Turn | Failure:
        """Wait until the password may be sent by a login that may take `timeout_s`.

        Waits at most for two such logins. Kinds: `credential_stopped`, `timeout`, and `lost` if
        `given_up` says that the connection is of no use any more.
        """
        began_s = time.monotonic()
        latest_s = began_s + _STRIKES * (timeout_s + _SLICE_S)
        with self._changed:
            while True:
                self._take_back()
                if (stopped := self.stopped) is not None:
                    return stopped
                if given_up():
                    return Failure(
                        FailureKind.LOST, "the connection ended before the password was sent"
                    )
                if self._is_open or self._holder is None:
                    return self._given(timeout_s, booting=booting)
                if time.monotonic() >= latest_s:
                    detail = f"others with {self._name} took too long"
                    return Failure(FailureKind.TIMEOUT, detail)
                self._changed.wait(_SLICE_S)

    @contextmanager
    def sending(self, turn: Turn) -> Iterator[Turn]:
        """Count what the block says that came of the turn; it ends with the block."""
        try:
            yield turn
        finally:
            with self._changed:
                if turn.verdict == "accepted" or not turn.booting:
                    self._count(turn.verdict)
                if self._holder is turn:
                    self._holder = None
                self._changed.notify_all()

    @property
    def _is_open(self) -> bool:
        return self._proven and not self._strikes

    def _given(self, timeout_s: float, *, booting: bool) -> Turn:
        until_s = time.monotonic() + timeout_s + _HELD_S
        turn = Turn(not self._is_open, until_s, booting=booting)
        if turn.alone:
            self._holder = turn
        return turn

    def _take_back(self) -> None:
        if self._holder is not None and time.monotonic() > self._holder.until_s:
            self._holder = None
            self._count("unanswered")

    def _count(self, verdict: Verdict) -> None:
        if self._strikes >= _STRIKES:
            return
        if verdict == "accepted":
            self._strikes, self._proven = 0, True
        elif verdict == "refused" or (verdict == "unanswered" and not self._proven):
            # A server may judge a password and never say so. Of one that was accepted elsewhere
            # this is no sign.
            self._strikes += 1
            self._proven = False


class Logins:
    """The passwords of one process life."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._salt = secrets.token_bytes(16)
        self._shared: dict[tuple[str, ...], SharedPassword] = {}

    def shared(
        self, client: str, credential: Credential, password: str, *, use: Use = "password"
    ) -> SharedPassword:
        """Return what everybody shares who uses this password of a credential in this way.

        A credential is client, name and user; without an inventory it is user and reference. A
        command may give each endpoint its own password: those are shared with nobody.
        """
        reference = credential.password if use == "password" else credential.sudo
        key = (use, *_key(client, credential, reference), self._proof_of(reference, password))
        who = visible_line(f"credential {credential.name} ({credential.user}) of {client}")
        with self._guard:
            return self._shared.setdefault(key, SharedPassword(who, use))

    def stopped(self, client: str, credential: Credential | None) -> Failure | None:
        """Return why an endpoint need not even be connected: its only way to log in is stopped."""
        if credential is None or credential.password is None:
            return None
        if credential.key or credential.agent or credential.password.kind == "cmd":
            return None
        with self._guard:
            key = ("password", *_key(client, credential, credential.password), "")
            shared = self._shared.get(key)
        return shared.stopped if shared is not None else None

    def _proof_of(self, reference: SecretRef | None, password: str) -> str:
        if reference is None or reference.kind != "cmd":
            return ""
        return hmac.new(self._salt, password.encode(), hashlib.sha256).hexdigest()


def _key(client: str, credential: Credential, reference: SecretRef | None) -> tuple[str, str, str]:
    name = credential.name
    if client == ADHOC and reference is not None:
        name = reference.describe()
    return client, name, credential.user
