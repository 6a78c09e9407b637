"""Having the endpoint take a command and its input, so that it is known whether it may have run.

| what was lost or refused | what is done | `sent` |
|---|---|---|
| refused, or never left us | nothing | no |
| silence after the command | the endpoint is asked for it by its id | |
| … it knows the id | on with the input | |
| … it knows the shell, not the id | the shell is deleted: it cannot begin any more | no |
| … nothing can be learnt | it waits for its input, if it is framed | framed: no, else yes |
| silence after a piece of input | a framed one is given up: it has not begun | framed: no |
| silence after the last piece | it is sent again: input that has ended takes no more | yes |
"""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from outagekit.events import FailureKind
from outagekit.transports.watchdog import WATCHDOG
from outagekit.transports.winrm.attempts import (
    ENDED,
    PASSING,
    SILENT,
    UNDONE,
    Attempt,
    Over,
    Tries,
    insistent,
)
from outagekit.transports.winrm.faults import Fault, WireError

_REFUSED: Final = ENDED | {Fault.TOO_LARGE, Fault.QUOTA, Fault.DENIED, Fault.UNAUTHORIZED}
"""What says that a piece of input was not taken."""
_BUSY_S: Final = 1.0
_BUSY_TRIES: Final = 3
_LOOK_S: Final = 0.5
"""How long the endpoint may take to find output of a command it is asked for."""
_ANSWER_S: Final = 5.0
_CLEAN_UP_S: Final = 1.0
_BACKSTOP_S: Final = 1.0


def start(attempt: Attempt) -> float:
    """Have the endpoint take a command with its input; return when it took it.

    Raises `Over`, with `sent` true only if something of the command may have been executed.
    """
    if attempt.is_called_off:
        raise attempt.over(FailureKind.ABANDONED, "nobody waited for the command any more")
    until_s = time.monotonic() + attempt.limits.accept_s
    try:
        with WATCHDOG.limit(attempt.limits.accept_s + _BACKSTOP_S, attempt.shell.wire.cut):
            attempt.shell.start(attempt.command.line, until_s, partial(_chosen, attempt))
    except WireError as fault:
        silent = fault.fault in SILENT or fault.fault is Fault.ABORTED
        if fault.unsent or not silent or not attempt.id:
            attempt.sent = False
            raise attempt.lost(fault) from fault
        _look_for(attempt, fault)
    if attempt.feed.is_over:
        return time.monotonic()
    return _Feeding(attempt, until_s).run()


def _chosen(attempt: Attempt, command: str) -> None:
    attempt.id = command
    # A framed one does nothing before its input has come to its end.
    attempt.sent = not attempt.command.framed


def _look_for(attempt: Attempt, fault: WireError) -> None:
    """Return if the endpoint has the command it said nothing about."""
    try:
        insistent(_tries(attempt, fault), partial(_look, attempt))
    except WireError as again:
        if again.fault in ENDED:
            raise _never_begun(attempt, again) from again
        raise attempt.lost(again) from again


def _tries(attempt: Attempt, fault: WireError) -> Tries:
    """Return what makes the connection again; it was made once when this returns."""
    tries = Tries(attempt, time.monotonic() + attempt.limits.run_s)
    tries.again(fault if fault.fault in PASSING else _dropped(fault))
    return tries


def _dropped(fault: WireError) -> WireError:
    """Return a fault after which a new connection is of use: silence in whatever form."""
    return WireError(fault.failure, Fault.DROPPED, unsent=fault.unsent)


def _look(attempt: Attempt) -> None:
    shell = attempt.shell
    try:
        received = shell.wire.receive(
            shell.id, attempt.id, wait_s=_LOOK_S, timeout_s=_LOOK_S + _ANSWER_S
        )
    except WireError as fault:
        if fault.fault is not Fault.NO_OUTPUT:
            raise
    else:
        attempt.early = received


def _never_begun(attempt: Attempt, fault: WireError) -> Over:
    """Return the end of a command the endpoint does not know.

    The shell can only be deleted if it is still there: then the command never began in it, and
    never will.
    """
    try:
        attempt.shell.renew(time.monotonic() + _ANSWER_S)
    except WireError:
        if attempt.shell.id:
            return attempt.lost(fault)
    attempt.sent = False
    detail = "the connection was lost before the endpoint took the command"
    return attempt.over(FailureKind.LOST, detail)


class _Feeding:
    """The input of one command on its way."""

    def __init__(self, attempt: Attempt, until_s: float) -> None:
        self._attempt = attempt
        self._until_s = until_s
        self._taken_at_s: float | None = None

    def run(self) -> float:
        """Hand all of it over; return when the endpoint took the first piece."""
        attempt = self._attempt
        while not attempt.feed.is_over:
            if attempt.is_called_off:
                raise self._given_up(FailureKind.ABANDONED, "it was called off")
            if time.monotonic() >= self._until_s:
                raise self._given_up(FailureKind.TIMEOUT, "the endpoint took too long over it")
            if not self._hand_over(attempt.feed.take()):
                break  # it ended, or reads no more: how it ended tells why
            if self._taken_at_s is None:
                self._taken_at_s = time.monotonic()
                # Only the first piece is a matter of taking it; more of it is work.
                self._until_s = self._taken_at_s + attempt.limits.run_s
        return self._taken_at_s or time.monotonic()

    def _hand_over(self, piece: bytes) -> bool:
        """Send a piece; return False if the command takes no more input."""
        attempt, last = self._attempt, self._attempt.feed.is_over
        before, attempt.sent = attempt.sent, attempt.sent or last
        for _ in range(_BUSY_TRIES):
            try:
                self._send(piece, last=last)
            except WireError as fault:
                if fault.fault is Fault.TOO_LARGE and attempt.feed.refused(piece):
                    attempt.sent = before
                    return True
                if fault.fault is Fault.BUSY:
                    attempt.interrupted.wait(_BUSY_S)
                    continue
                if fault.fault in _REFUSED:
                    attempt.sent = before
                return self._after(fault, piece, last=last)
            else:
                return True
        return False

    def _send(self, piece: bytes, *, last: bool) -> None:
        shell = self._attempt.shell
        left_s = max(_LOOK_S, self._until_s - time.monotonic())
        shell.wire.send(shell.id, self._attempt.id, piece, end=last, timeout_s=left_s)

    def _after(self, fault: WireError, piece: bytes, *, last: bool) -> bool:
        """Do what a fault of a piece asks for; return False if the command takes no more."""
        attempt = self._attempt
        silent = fault.fault in SILENT
        if fault.unsent or fault.fault in UNDONE or (silent and last):
            tries = _tries(attempt, fault)
            again = partial(self._send, piece, last=last)
            try:
                insistent(tries, again)
            except WireError as still:
                return self._takes_no_more(still)
            return True
        if silent:
            raise self._given_up(FailureKind.LOST, fault.failure.detail)
        return self._takes_no_more(fault)

    def _takes_no_more(self, fault: WireError) -> bool:
        if fault.fault in {Fault.OTHER, Fault.ABORTED, Fault.NO_OUTPUT, Fault.BUSY}:
            return False
        raise self._attempt.lost(fault) from fault

    def _given_up(self, kind: FailureKind, reason: str) -> Over:
        """Return the end of a command whose input did not arrive; a framed one has not begun."""
        attempt = self._attempt
        if attempt.shell.delete(_CLEAN_UP_S) or attempt.command.framed:
            attempt.sent = attempt.sent and not attempt.command.framed
        detail = f"the input of the command did not arrive whole: {reason}"
        return attempt.over(kind, detail)
