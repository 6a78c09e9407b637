"""One order at work on one connection: its commands, its verdicts, and how a part of it ends.

Every command of an order is sent from here, so that each is bounded, reported and proven in the
same way. What is done in which order is not decided here.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from outagekit.events import EndState, FailureKind
from outagekit.evidence import EvidenceStore
from outagekit.playbook.model import Code
from outagekit.run.orders import Order, Part, Report, Stream
from outagekit.text import visible_line
from outagekit.transports.dialect import Dialect
from outagekit.transports.dialects import dialect_of
from outagekit.transports.identity import Identity, parse_identity
from outagekit.transports.meaning import named_code, still_runs, verdict
from outagekit.transports.protocol import (
    Captured,
    Command,
    Failure,
    Limits,
    Opened,
    Outcome,
    Transport,
)
from outagekit.transports.watchdog import WATCHDOG

Emit = Callable[[Report], None]

_LONGEST_SAID = 300
_BITS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class End:
    """How a part of an order ended, before it becomes the order's `Finished`."""

    state: EndState
    failure: FailureKind | None = None
    detail: str = ""
    result: dict[str, Any] | None = None

    @property
    def is_bad(self) -> bool:
        """Whether nothing of the order comes after it."""
        return self.state in {EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Bench:
    """What executing an order needs besides the order and its connection."""

    emit: Emit
    key: bytes
    """The run's HMAC key: proves which command was sent without showing it."""
    evidence: EvidenceStore
    cancelled: threading.Event
    """Set when nobody waits for the order any more; ends what waits between two looks."""


@dataclass(frozen=True, slots=True)
class Work:
    """An order with the connection it is executed on."""

    order: Order
    transport: Transport
    bench: Bench

    @property
    def done(self) -> EndState:
        """The state of a step that did what it is for."""
        return EndState.CHANGED if self.order.changes else EndState.OK

    @property
    def dialect(self) -> Dialect:
        """How the order's endpoint is spoken to."""
        return dialect_of(self.order.target.endpoint.os)

    def command(self, part: str, code: Code, *, limit_s: float | None = None) -> Outcome:
        """Run a part of the order and report it; `limit_s` instead of the order's time limit."""
        order = self.order
        command = self.dialect.render(
            code, order.values, step=order.step, part=part, account=order.account
        )
        limits = Limits(run_s=limit_s or self.order.timeout_s)
        outcome = self.transport.execute(command, limits)
        self.report(part, command, outcome)
        return outcome

    def judge(self, part: str, code: Code, *, limit_s: float | None = None) -> bool | End:
        """Return what a check or verify says, or the end it means that it says nothing."""
        return judged(part, self.command(part, code, limit_s=limit_s))

    def judge_alone(
        self, part: str, code: Code, *, wait_s: float, limit_s: float
    ) -> bool | End | None:
        """Judge once no earlier try of the step runs there; None: after `wait_s` one still does."""
        alone = self.dialect.after_earlier(code, self.order.step, wait_s)
        outcome = self.command(part, alone, limit_s=wait_s + limit_s)
        return None if still_runs(outcome) else judged(part, outcome)

    def identify(self, limit_s: float, *, report: bool) -> Identity | Failure:
        """Ask the machine which one it is, on which boot; `sent` of a failure is never true.

        Asked by who logged in, whatever the order's account: that needs no rights.
        """
        limits = Limits(run_s=limit_s, accept_s=min(limit_s, Limits().accept_s))
        identity = self.dialect.identity
        outcome = self.transport.execute(identity, limits)
        if report:
            self.report("identity", identity, outcome)
        return parse_identity(outcome)

    def reopen(self, limit_s: float, *, booting: bool = False) -> Opened | Failure:
        """Open the connection anew; takes not much longer than `limit_s`."""
        self.transport.close()
        if self.bench.cancelled.is_set():
            # Looked at after closing: an abort that came before would be forgotten by it.
            return Failure(FailureKind.LOST, "the connection was aborted")
        with WATCHDOG.limit(limit_s, self.transport.abort):
            return self.transport.open(booting=booting)

    def report(self, part: str, command: Command, outcome: Outcome) -> None:
        """Report a command of the order that ended, proven without being shown."""
        sent = command.line.encode() + b"\n" + command.stdin
        self.bench.emit(
            Part(
                attempt=self.order.attempt,
                part=part,
                command=hmac.new(self.bench.key, sent, hashlib.sha256).hexdigest(),
                exit_code=outcome.exit_code,
                duration_ms=outcome.duration_ms,
                stdout=_stream(outcome.stdout),
                stderr=_stream(outcome.stderr),
            )
        )


def judged(part: str, outcome: Outcome) -> bool | End:
    """Return the verdict of a command that answers yes or no, or the end that it gave none."""
    if outcome.failure is not None:
        return failed(outcome.failure)
    answer = verdict(outcome)
    if answer is None and outcome.missing:
        return lost_words(part)
    if answer is None:
        detail = f"{part} gave no verdict: {exit_text(outcome)}"
        return End(EndState.FAILED, FailureKind.CHECK_BROKEN, detail)
    return answer


def unsuccessful(outcome: Outcome, success: Sequence[int] = (0,)) -> End | None:
    """Return the end a command means whose exit code is none of these; None if it is.

    Exit codes have 32 bits, which some systems tell with a sign and some without.
    """
    if outcome.failure is not None:
        return failed(outcome.failure)
    code = outcome.exit_code
    if code is None or code & _BITS not in {each & _BITS for each in success}:
        return End(EndState.FAILED, FailureKind.EXIT_CODE, exit_text(outcome, success))
    return None


def failed(failure: Failure) -> End:
    """Return the end a failure means."""
    return End(failure.state, failure.kind, failure.detail)


def lost_words(part: str) -> End:
    """Return the end of a part that came to its end, but whose answer was lost on the way."""
    detail = f"what {part} said last was lost with the connection"
    return failed(Failure(FailureKind.LOST, detail, sent=True))


def exit_text(outcome: Outcome, success: Sequence[int] = (0,)) -> str:
    """Return the exit code, its meaning where it has one, and the last thing the endpoint said."""
    no_success = outcome.exit_code == 0 and 0 not in success
    said = (outcome.stderr.text.strip() or outcome.stdout.text.strip()).splitlines()
    last = f": {visible_line(said[-1])[:_LONGEST_SAID]}" if said else ""
    named = "no success of this step" if no_success else named_code(outcome.exit_code)
    return f"exit code {outcome.exit_code}{f' ({named})' if named else ''}{last}"


def _stream(captured: Captured) -> Stream:
    return Stream(text=captured.text, size_bytes=captured.size_bytes)
