"""One jump host for everybody who goes through it: opened once, by one attempt, for all.

Its failure is remembered for a while, so that a thousand endpoints behind it do not log in a
thousand times.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from outagekit.events import FailureKind
from outagekit.transports.protocol import Failure

if TYPE_CHECKING:
    from outagekit.transports.ssh.ways.hop import Hop
    from outagekit.transports.trust.known_hosts import HostKey

_REMEMBERED_S: Final = 5.0
_LOCKED_OUT_S: Final = 60.0
"""For what does not heal by itself, and what a server counts against us."""
_SLICE_S: Final = 0.2
"""How often one who waits looks whether it still wants to."""
_STRIKES: Final = 2
"""How often in a row a jump host may refuse a login before it is asked no more."""
_COUNTED: Final = frozenset({FailureKind.AUTH, FailureKind.CREDENTIAL_STOPPED})
_LASTING: Final = _COUNTED | {FailureKind.HOST_KEY}


class SharedHop:
    """A jump host as it is known in this process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._hop: Hop | None = None
        self._known: tuple[HostKey, ...] = ()
        self._attempt: threading.Thread | None = None
        self._failure: Failure | None = None
        self._failed_until_s = 0.0
        self._strikes = 0
        self._life = 0

    def get(
        self,
        open_it: Callable[[], Hop | Failure],
        known: tuple[HostKey, ...],
        stop: threading.Event,
        until_s: float,
    ) -> Hop | Failure:
        """Return the jump host, or why it cannot be had; opened if nobody has done that yet.

        Waits until then for an attempt that is under way, whoever began it; it goes on without us.
        `known` are the keys it is trusted by now: with others a refused key is looked at again.
        """
        with self._changed:
            while True:
                if self._hop is not None and self._hop.alive:
                    return self._hop
                if stop.is_set():
                    detail = f"the connection to {self._name} was aborted"
                    return Failure(FailureKind.LOST, detail)
                if self._attempt is None:
                    remembered = self._remembered(known)
                    if remembered is not None:
                        return remembered
                    self._known = known
                    self._begin(open_it)
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    detail = f"{self._name} could not be entered in time"
                    return Failure(FailureKind.CONNECT_TIMEOUT, detail)
                self._changed.wait(min(left_s, _SLICE_S))

    @property
    def hop(self) -> Hop | None:
        """The jump host, if it is open and sound."""
        hop = self._hop
        return hop if hop is not None and hop.alive else None

    def close(self) -> None:
        """End the connection, and forget what was remembered of it but refused logins."""
        with self._changed:
            hop, self._hop = self._hop, None
            self._attempt = None
            self._life += 1
            if self._strikes < _STRIKES:
                self._failure = None
            self._changed.notify_all()
        if hop is not None:
            hop.session.hang_up()

    def _remembered(self, known: tuple[HostKey, ...]) -> Failure | None:
        if self._failure is None:
            return None
        if self._failure.kind is FailureKind.HOST_KEY and known != self._known:
            return None
        if self._strikes >= _STRIKES or time.monotonic() < self._failed_until_s:
            return self._failure
        return None

    def _begin(self, open_it: Callable[[], Hop | Failure]) -> None:
        dead, self._hop = self._hop, None
        thread = threading.Thread(
            target=self._try, args=(open_it, dead, self._life), daemon=True, name="outagekit-jump"
        )
        try:
            thread.start()
        except RuntimeError:  # this machine has no room for a thread now
            detail = f"no thread could be started to enter {self._name}"
            self._keep(Failure(FailureKind.LOCAL_IO, detail))
            return
        self._attempt = thread

    def _try(self, open_it: Callable[[], Hop | Failure], dead: Hop | None, life: int) -> None:
        if dead is not None:
            dead.session.hang_up()
        found: Hop | Failure
        try:
            found = open_it()
        except Exception as fault:  # noqa: BLE001  (a bug must not leave everybody waiting)
            detail = f"internal error on the way through {self._name}: {type(fault).__name__}"
            found = Failure(FailureKind.PROTOCOL, detail)
        with self._changed:
            wanted = self._life == life
            if wanted:
                self._attempt = None
                self._keep(found)
                self._changed.notify_all()
        if not wanted and not isinstance(found, Failure):
            found.session.hang_up()

    def _keep(self, found: Hop | Failure) -> None:
        if not isinstance(found, Failure):
            self._hop, self._failure, self._strikes = found, None, 0
            return
        self._failure = found
        self._strikes = self._strikes + 1 if found.kind in _COUNTED else 0
        lasting = found.kind in _LASTING
        self._failed_until_s = time.monotonic() + (_LOCKED_OUT_S if lasting else _REMEMBERED_S)
