"""One command on its way through losses of the connection: what is known of it, and what to do.

A connection that ends says nothing about the command: server and shell go on without it. So it is
made again a few times, with short pauses, and the same command is asked for by its id.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from outagekit.events import FailureKind
from outagekit.transports.protocol import Command, Failure, Limits
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.feeding import Feed
from outagekit.transports.winrm.shells import Shell
from outagekit.transports.winrm.wire import Received

_PAUSES_S: Final = (0.1, 0.3, 1.0, 2.0, 3.0, 4.0)
_PATIENCE_S: Final = 20.0
"""How long a connection that was lost is tried to be made again, in all."""
_CONNECT_S: Final = 10.0

PASSING: Final = frozenset(
    {
        Fault.DROPPED,
        Fault.LATE,
        Fault.MALFORMED,
        Fault.ABORTED,
        Fault.STALE,
        Fault.NOT_READY,
        Fault.UNREACHABLE,
    }
)
"""Another connection may do better."""
SILENT: Final = frozenset({Fault.DROPPED, Fault.LATE, Fault.MALFORMED, Fault.NO_OUTPUT})
"""Nobody knows whether the server did what it was asked for."""
UNDONE: Final = frozenset({Fault.STALE, Fault.NOT_READY, Fault.UNREACHABLE})
"""The server did nothing with the message."""
ENDED: Final = frozenset({Fault.SHELL_GONE, Fault.BEING_TORN_DOWN})
"""The shell, or the command, is not there any more."""


class Over(Exception):  # noqa: N818  (the reason is the value it carries)
    """Nothing more can be learnt of the command, for this reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(slots=True, eq=False)
class Attempt:
    """A command and what is known of it; of one thread, but for `interrupt`."""

    shell: Shell
    command: Command
    feed: Feed
    limits: Limits
    aborted: threading.Event
    """Nothing is begun any more."""
    interrupted: threading.Event = field(default_factory=threading.Event)
    id: str = ""
    """Empty until it was chosen, right before the command is sent."""
    sent: bool = False
    """Something of it may have been executed."""
    broken: bool = False
    """The connection and its shell are not to be used any more."""
    early: Received | None = None
    """What it said while it was looked for."""

    def interrupt(self) -> None:
        """Have it end before its time; from any thread."""
        self.interrupted.set()
        self.shell.cut()

    @property
    def is_called_off(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.interrupted.is_set() or self.aborted.is_set()

    def over(self, kind: FailureKind, detail: str) -> Over:
        """Return the end of it, with what is known of its execution."""
        return Over(Failure(kind, detail, sent=self.sent))

    def lost(self, fault: WireError) -> Over:
        """Return the end that a fault of the connection means."""
        if self.aborted.is_set():
            return self.over(FailureKind.LOST, "the connection was aborted")
        if self.interrupted.is_set():
            return self.over(FailureKind.ABANDONED, "nobody waited for the command any more")
        failure = fault.failure
        if not self.sent:
            return Over(replace(failure, sent=False))
        if fault.fault in ENDED:
            detail = (
                "the shell of the command is gone: the machine was restarted, or its WinRM"
                " service or the shell was ended, while the command ran"
            )
            return self.over(FailureKind.LOST, detail)
        detail = f"the connection was lost while the command ran: {failure.detail}"
        return self.over(FailureKind.LOST, detail)


class Tries:
    """How often, and how long, a connection is made again for one command without an answer."""

    def __init__(self, attempt: Attempt, until_s: float) -> None:
        self._attempt = attempt
        self._deadline_s = until_s
        self._count = 0
        self._until_s = until_s

    def answered(self) -> None:
        """Begin to count anew: the endpoint is there."""
        self._count = 0

    def again(self, fault: WireError) -> None:
        """Make the connection again after a fault; raises `Over` if that is of no use."""
        attempt = self._attempt
        if not self._count:
            self._until_s = min(self._deadline_s, time.monotonic() + _PATIENCE_S)
        while True:
            left_s = self._until_s - time.monotonic()
            if attempt.is_called_off or not self._is_worth_it(fault, left_s):
                raise attempt.lost(fault) from fault
            attempt.interrupted.wait(min(_PAUSES_S[self._count], left_s))
            self._count += 1
            try:
                attempt.shell.reconnect(max(1.0, min(_CONNECT_S, left_s)))
            except WireError as again:
                fault = again
            else:
                return

    def _is_worth_it(self, fault: WireError, left_s: float) -> bool:
        return fault.fault in PASSING and self._count < len(_PAUSES_S) and left_s > 0


def insistent(tries: Tries, call: Callable[[], None]) -> None:
    """Call until it is answered, over new connections; raises `Over` or a `WireError` that stays.

    Only for what may be done twice.
    """
    while True:
        try:
            call()
        except WireError as fault:
            if fault.fault not in PASSING:
                raise
            tries.again(fault)
        else:
            tries.answered()
            return
