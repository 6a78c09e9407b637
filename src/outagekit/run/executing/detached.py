"""A detached script over one connection: started or found again, waited for, ended, tidied up.

The script does not need the connection; whoever waits for it does. A line that breaks is mended
here for as long as the script's time lasts. What cannot be known is told as such: a script whose
line stays broken, or whose process is gone without an exit code, ended in doubt.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from outagekit.events import FailureKind
from outagekit.playbook.model import Code
from outagekit.run.executing.work import Work
from outagekit.run.orders import Order
from outagekit.text import visible_line
from outagekit.transports.detached import KEEP_BYTES, TERM_S, Answer, joined, parse_answer
from outagekit.transports.dialects import dialect_of
from outagekit.transports.protocol import (
    Captured,
    Command,
    Failure,
    Limits,
    Outcome,
    Transport,
)

_WAIT_S: Final = 20
"""How long one command waits on the endpoint for the script's end."""
_SLACK_S: Final = 30.0
"""What a command may take besides waiting."""
_ROOM_S: Final = 15.0
"""How long a script may be asked to end, or its output be fetched, after its time is over."""
_PAUSE_S = 1.0
"""Between two questions, if an endpoint does not wait as it was asked to."""
_RETRY_S = 0.5
_LONGEST_RETRY_S: Final = 15.0
_OPEN_S: Final = 60.0

_LOST_WORDS: Final = Failure(
    FailureKind.LOST, "the endpoint's answer was lost with the connection", sent=True
)
_PASSING: Final = frozenset(
    {
        FailureKind.RESOLVE,
        FailureKind.REFUSED,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.HANDSHAKE,
        FailureKind.LOST,
        FailureKind.TIMEOUT,
    }
)
"""Why a connection cannot be made now, but may be in a while."""


def attend(work: Work, code: Code) -> Outcome:
    """Start the order's script under its id, or find it, and return how it ended.

    `exit_code` and output are the script's own. Failures: `timeout` and `lost` with `sent` for one
    that ran out of time, whose line stayed broken, or that is gone without an exit code;
    `protocol` without `sent` if the endpoint gives no folder for it, and nothing began.
    Reported as one command: the part `script`.
    """
    order = work.order
    command = work.dialect.render(
        code, order.values, step=order.step, part="script", account=order.account
    )
    outcome = _Attendance(work, code).outcome()
    work.report("script", command, outcome)
    return outcome


def was_begun(work: Work) -> bool:
    """Return whether an earlier attempt started the order's script and left it on the endpoint.

    Nothing is asked for the attempt that gave the script its id: there is no earlier one.
    """
    order = work.order
    if not order.detach or order.detach.endswith(f":{order.attempt}"):
        return False
    limit_s = math.ceil(order.timeout_s)
    command = work.dialect.collect(
        order.detach, step=order.step, wait_s=0, limit_s=limit_s, account=order.account
    )
    answer = parse_answer(work.transport.execute(command, Limits(run_s=_SLACK_S)))
    return answer is not None and answer.state not in {"absent", "refused"}


def tidy(order: Order, transport: Transport) -> bool:
    """Remove the folder of the order's script; return whether it is gone now."""
    dialect = dialect_of(order.target.endpoint.os)
    command = dialect.release(order.detach, step=order.step, account=order.account)
    answer = parse_answer(transport.execute(command, Limits(run_s=_SLACK_S)))
    return answer is not None and answer.state == "released"


class _Attendance:
    """The wait for one script."""

    def __init__(self, work: Work, code: Code) -> None:
        self._work = work
        self._order = work.order
        self._code = code
        self._dialect = work.dialect
        self._began_s = time.monotonic()
        self._until_s = self._began_s + work.order.timeout_s
        self._limit_s = math.ceil(work.order.timeout_s)
        self._retry_s = _RETRY_S
        self._sent = False
        """A start may have arrived."""

    def outcome(self) -> Outcome:
        """Follow the script to its end or that of its time."""
        answer = self._ask(self._start)
        if isinstance(answer, Answer) and answer.state == "running":
            # Counted from its start, however long ago; its clock tells whole seconds.
            left_s = self._order.timeout_s - max(0, answer.age_s - 1)
            self._until_s = min(self._until_s, time.monotonic() + left_s)
        while isinstance(answer, Answer) and answer.state == "running":
            if self._left_s() <= 0:
                return self._end_it()
            answer = self._look()
        return self._told(answer)

    def _look(self) -> Answer | Failure:
        asked_s = time.monotonic()
        answer = self._ask(self._collect)
        early = time.monotonic() - asked_s < _PAUSE_S
        if early and isinstance(answer, Answer) and answer.state == "running":
            self._work.bench.cancelled.wait(max(0.0, min(_PAUSE_S, self._left_s())))
        return answer

    def _end_it(self) -> Outcome:
        self._until_s = time.monotonic() + TERM_S + _ROOM_S
        answer = self._ask(self._stop)
        if isinstance(answer, Answer) and answer.state != "running":
            return self._told(answer)
        late = f"the detached script did not end within {self._order.timeout_s:g} s"
        if isinstance(answer, Failure):
            return self._unknown(FailureKind.TIMEOUT, f"{late} and could not be ended: ", answer)
        return self._unknown(FailureKind.TIMEOUT, f"{late} and goes on although it was killed")

    def _told(self, answer: Answer | Failure) -> Outcome:
        """Return the outcome that an answer about a script that does not run any more means."""
        if isinstance(answer, Failure):
            return Outcome(None, duration_ms=self._spent_ms(), failure=answer)
        spent_ms = self._spent_ms(answer.age_s)
        streams = self._streams(answer)
        if isinstance(streams, Failure):
            return Outcome(None, duration_ms=spent_ms, failure=streams)
        failure = None if answer.state == "ended" else self._meaning(answer)
        return Outcome(answer.code, *streams, duration_ms=spent_ms, failure=failure)

    def _meaning(self, answer: Answer) -> Failure:
        limit = f"{self._order.timeout_s:g} s"
        match answer.state:
            case "refused":
                detail = f"the endpoint has no place for a detached script: {answer.reason}"
                return Failure(FailureKind.PROTOCOL, visible_line(detail), sent=self._sent)
            case "stopped":
                detail = f"the detached script did not end within {limit} and was ended"
                return Failure(FailureKind.TIMEOUT, detail, sent=True)
            case "gone":
                detail = (
                    "the detached script is gone without an exit code: the machine restarted, or"
                    " something ended it"
                )
                return Failure(FailureKind.LOST, detail, sent=True)
        detail = "the folder of the detached script is gone from the endpoint"
        return Failure(FailureKind.LOST, detail, sent=True)

    def _streams(self, answer: Answer) -> tuple[Captured, Captured] | Failure:
        stdout, stderr = answer.stdout, answer.stderr
        if max(stdout.size_bytes, stderr.size_bytes) <= KEEP_BYTES:
            return joined(stdout), joined(stderr)
        self._until_s = max(self._until_s, time.monotonic() + _ROOM_S)
        rest = self._ask(self._collect_rest)
        if isinstance(rest, Failure):
            return rest
        return joined(stdout, rest.stdout), joined(stderr, rest.stderr)

    def _start(self) -> Command:
        order = self._order
        return self._dialect.start(
            order.detach,
            self._code,
            order.values,
            step=order.step,
            wait_s=self._wait_s(),
            limit_s=self._limit_s,
            account=order.account,
        )

    def _collect(self) -> Command:
        return self._dialect.collect(
            self._order.detach,
            step=self._order.step,
            wait_s=self._wait_s(),
            limit_s=self._limit_s,
            account=self._order.account,
        )

    def _collect_rest(self) -> Command:
        order = self._order
        return self._dialect.collect_rest(order.detach, step=order.step, account=order.account)

    def _stop(self) -> Command:
        order = self._order
        return self._dialect.stop(order.detach, step=order.step, account=order.account)

    def _ask(self, make: Callable[[], Command]) -> Answer | Failure:
        """Send a command, again over a new connection if the old one breaks, while time lasts."""
        # More than is kept: what is no text or holds secrets becomes longer on its way.
        limits = Limits(run_s=_WAIT_S + _SLACK_S, keep_bytes=4 * KEEP_BYTES)
        while True:
            outcome = self._work.transport.execute(make(), limits)
            if outcome.failure is None and not outcome.missing:
                answer = parse_answer(outcome)
                self._sent |= answer is None or answer.state != "refused"
                self._retry_s = _RETRY_S
                return answer or _nonsense(outcome)
            lost = outcome.failure or _LOST_WORDS
            self._sent |= lost.sent
            failure = self._mend(lost)
            if failure is not None:
                return failure

    def _mend(self, failure: Failure) -> Failure | None:
        """Connect anew; return None if that succeeded, else what it means that it did not."""
        if not self._sent:
            return failure
        last = failure
        while self._left_s() > 0:
            if self._work.bench.cancelled.wait(max(0.0, min(self._retry_s, self._left_s()))):
                break
            self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
            opened = self._work.reopen(min(max(self._left_s(), 1.0), _OPEN_S))
            if not isinstance(opened, Failure):
                return None
            last = opened
            if opened.kind not in _PASSING:
                break
        kind = FailureKind.LOST
        if self._work.bench.cancelled.is_set():
            kind = FailureKind.ABANDONED
        detail = f"the detached script goes on, or went on, out of sight: {last.detail}"
        return Failure(kind, detail, sent=True)

    def _unknown(self, kind: FailureKind, detail: str, why: Failure | None = None) -> Outcome:
        failure = Failure(kind, detail + (why.detail if why else ""), sent=True)
        return Outcome(None, duration_ms=self._spent_ms(), failure=failure)

    def _left_s(self) -> float:
        return self._until_s - time.monotonic()

    def _wait_s(self) -> int:
        return max(0, min(_WAIT_S, int(self._left_s())))

    def _spent_ms(self, age_s: int | None = None) -> int:
        """Return how long it ran: by our clock if it can be that, else by the endpoint's."""
        spent_ms = round((time.monotonic() - self._began_s) * 1000)
        if age_s is None or abs(spent_ms - age_s * 1000) < 2000:  # noqa: PLR2004  (two seconds)
            return spent_ms
        return age_s * 1000


def _nonsense(outcome: Outcome) -> Failure:
    said = (outcome.stderr.text.strip() or outcome.stdout.text.strip())[:200]
    detail = f"the endpoint did not answer our command as it should: {said}"
    return Failure(FailureKind.PROTOCOL, visible_line(detail), sent=True)
