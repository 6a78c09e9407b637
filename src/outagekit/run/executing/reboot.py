"""Restarting an endpoint and seeing it come back: down, up, logged in, settled, verified.

The proof of a restart is another boot id, or an uptime that began after the restart was asked
for; nobody needs to have seen the machine down. What the wait for it ends with is never doubt:
the playbook asked for the restart and said how long it may take.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outagekit.events import EndState, FailureKind
from outagekit.run.executing.proof import prove
from outagekit.run.executing.work import End, Work, failed, unsuccessful
from outagekit.text import duration
from outagekit.transports.protocol import Failure

_RETRY_S = 2.0
"""Between two looks at a machine that is not back."""
_SETTLE_S = 5.0
"""How long a machine must stay on its new boot before it counts as back."""
_ANSWER_S: Final = 30.0
"""What the command that restarts the machine may take to say that it will."""
_LOOK_S: Final = 10.0
"""What a machine may take to say on which boot it is."""
_REFUSED_S = 10.0
_REFUSALS: Final = 3
"""How often a refused login is tried again: systems refuse logins early in their boot, and count
them."""
_WINDOWS_REFUSED_S = 30.0
_WINDOWS_REFUSALS: Final = 2
"""Windows refuses what is right until its logon services are up, and locks accounts: three tries
in all."""

_AT_ONCE: Final = frozenset(
    {
        FailureKind.HOST_KEY,
        FailureKind.TLS,
        FailureKind.WRONG_MACHINE,
        FailureKind.CREDENTIAL_STOPPED,
        FailureKind.BECOME,
    }
)
"""What no waiting mends: another machine answers there, or there is no way in any more."""
_SELDOM: Final = frozenset({FailureKind.AUTH, FailureKind.LOCAL_IO})
_SEEN: Final[Mapping[FailureKind, str]] = {
    FailureKind.REFUSED: "port refused",
    FailureKind.CONNECT_TIMEOUT: "no answer",
    FailureKind.TIMEOUT: "no answer",
    FailureKind.LOST: "connection lost",
    FailureKind.AUTH: "logins refused",
}


@dataclass(frozen=True, slots=True)
class _Boot:
    """On which boot a machine was when it was asked, as far as it tells."""

    id: str
    uptime_s: float | None
    asked_at_s: float
    told_at_s: float

    def is_after(self, before: _Boot) -> bool | None:
        """Return whether the machine restarted since `before`; None if it tells too little."""
        if self.id and before.id and self.id != before.id:
            return True
        if self.uptime_s is not None and before.uptime_s is not None:
            # Whatever the answers took, a machine that stayed up was up longer than this.
            return self.uptime_s < self.asked_at_s - before.told_at_s
        return False if self.id and before.id else None


def restart(work: Work, within_s: float) -> End:
    """Restart the endpoint and see it back, settled and verified, within the time.

    Ends `changed`, or `failed`: the restart refused, `not_back`, verify not true, another machine
    in its place. `unreachable` and `unknown` only for what happened before the restart was asked
    for, or when nobody waits for the order any more.
    """
    until_s = time.monotonic() + within_s
    before = _boot(work, min(_LOOK_S, within_s), report=True)
    if isinstance(before, Failure):
        return failed(before)
    outcome = work.command("script", work.dialect.restart, limit_s=min(_ANSWER_S, within_s))
    if outcome.failure is None or not outcome.failure.sent:
        end = unsuccessful(outcome)
        if end is not None:
            return end
    return _Return(work, before, until_s, within_s).await_it()


class _Return:
    """The wait for a machine that was told to restart."""

    def __init__(self, work: Work, before: _Boot, until_s: float, within_s: float) -> None:
        self._work = work
        self._before = before
        self._until_s = until_s
        self._within_s = within_s
        self._pause_s = _RETRY_S
        self._went = False
        """The connection ended, as it must when a machine restarts."""
        self._refusals = 0
        windows = work.order.target.endpoint.os == "windows"
        self._most_refusals = _WINDOWS_REFUSALS if windows else _REFUSALS
        self._refused_s = _WINDOWS_REFUSED_S if windows else _REFUSED_S
        self._seen = "nothing"

    def await_it(self) -> End:
        """Look again and again until the machine is back or its time is over."""
        while self._rest(self._pause_s):
            self._pause_s = _RETRY_S
            end = self._round()
            if end is not None:
                return end
        if self._work.bench.cancelled.is_set():
            detail = "it was told to restart, then nobody waited for it any more"
            return End(EndState.UNKNOWN, FailureKind.ABANDONED, detail)
        detail = f"not back within {duration(self._within_s)}; last seen: {self._seen}"
        return End(EndState.FAILED, FailureKind.NOT_BACK, detail)

    def _round(self) -> End | None:
        if not self._work.transport.alive:
            self._went = True
            opened = self._work.reopen(self._left_s(), booting=True)
            if isinstance(opened, Failure):
                return self._kept_out(opened)
        boot = self._ask(report=False)
        if boot is None:
            return None
        if not self._is_new(boot):
            same = "same boot id" if boot.id else "same boot"
            self._seen = f"{same}: it never went down"
            return None
        return self._settled(boot)

    def _kept_out(self, failure: Failure) -> End | None:
        """Return the end a connection that cannot be made means, or None to try it again."""
        self._seen = _SEEN.get(failure.kind, failure.detail)
        if failure.kind is FailureKind.LOST and self._left_s() <= 0:
            self._seen = "no answer"  # it was cut off from here
        if failure.kind in _SELDOM:
            self._refusals += 1
            self._pause_s = self._refused_s
        if failure.kind in _AT_ONCE or self._refusals > self._most_refusals:
            return failed(failure)
        return None

    def _ask(self, *, report: bool) -> _Boot | None:
        boot = _boot(self._work, min(_LOOK_S, max(self._left_s(), _RETRY_S)), report=report)
        if not isinstance(boot, Failure):
            return boot
        self._seen = _SEEN.get(boot.kind, boot.detail)
        # A server that takes no more commands is going down: this connection will end by itself,
        # while a new login might be refused, and counted.
        if boot.kind is not FailureKind.PROTOCOL:
            self._work.transport.close()
        return None

    def _is_new(self, boot: _Boot) -> bool:
        told = boot.is_after(self._before)
        if told is None:
            return self._went
        # A clock that stood still looks like a restart, but ends no connection.
        return told and (self._went or boot.id != self._before.id)

    def _settled(self, boot: _Boot) -> End | None:
        """Return the end if the machine stays on its new boot; None to look further."""
        if not self._rest(_SETTLE_S):
            self._seen = "up, but not for long enough to be sure"
            return None
        again = self._ask(report=True)
        if again is None:
            return None
        if again.id != boot.id or (not again.id and again.is_after(boot)):
            self._seen = "up, but it restarted once more"
            return None
        return self._verified()

    def _verified(self) -> End | None:
        left_s = max(self._left_s(), _RETRY_S)
        end = prove(self._work, limit_s=min(self._work.order.timeout_s, left_s))
        if end is None:
            away_s = self._within_s - self._left_s()
            return End(self._work.done, detail=f"back after {duration(round(away_s))}")
        if end.failure is FailureKind.TIMEOUT:
            detail = f"it is back, but verify gave no verdict: {end.detail}"
            return End(EndState.FAILED, FailureKind.CHECK_BROKEN, detail)
        if end.state is EndState.FAILED:
            return end
        # It went away again while it was asked: that is not back yet, and no doubt either.
        self._seen = "up, but gone again before verify had ended"
        self._work.transport.close()
        return None

    def _left_s(self) -> float:
        return self._until_s - time.monotonic()

    def _rest(self, seconds: float) -> bool:
        """Wait; return whether there is still time, and somebody who waits for the order."""
        pause_s = max(0.0, min(seconds, self._left_s()))
        return not self._work.bench.cancelled.wait(pause_s) and self._left_s() > 0


def _boot(work: Work, limit_s: float, *, report: bool) -> _Boot | Failure:
    asked_at_s = time.monotonic()
    told = work.identify(limit_s, report=report)
    if isinstance(told, Failure):
        return told
    return _Boot(told.boot_id, told.uptime_s, asked_at_s, time.monotonic())
