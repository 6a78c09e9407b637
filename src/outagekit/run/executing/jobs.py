"""Orders in lanes, and the places for those of them that open a connection.

What a lane and those who watch over it share about one order. It opens nothing by itself.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from outagekit.errors import frames_of
from outagekit.events import AttemptId, EndState, FailureKind, end_state_of
from outagekit.run.orders import Finished, FirstContact, Order
from outagekit.transports.protocol import Deadlines, Failure, Opened, Transport

_TIDY_S: Final = 30.0
"""What removing a folder may take."""
_MOST_CLOSERS: Final = 128


@dataclass(slots=True, eq=False)
class Job:
    """An order in a lane."""

    order: Order
    first: bool = False
    """Its endpoint was seen to answer just now, and may be gone soon."""
    begun: bool = False
    """A lane has taken it."""
    touched: bool = False
    """The lane has turned to its endpoint."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    called: threading.Event = field(default_factory=threading.Event)
    """It waits for a place no longer: it has one, or is cancelled."""
    connecting: bool = False
    """It holds one of the places for connecting."""
    transport: Transport | None = None
    overdue_at_s: float = float("inf")
    asked_at_s: float | None = None
    """When it was asked to end."""
    cut_at_s: float | None = None
    """When its connection was closed from outside."""
    sent: bool = False
    broken: bool = False
    """An exception left it: nobody knows what state its connection is in."""
    tidies: bool = False
    """It only removes what its order left on the endpoint; nobody waits for its end."""


class Places:
    """Lets so many jobs at a time open a connection; a job leaves once, whoever says so.

    Jobs that are `first` go before all others, and `kept` places are left free for them.
    """

    def __init__(self, number: int, kept: Callable[[], int] = lambda: 0) -> None:
        self._free = number
        self._kept = kept
        self._guard = threading.Lock()
        self._first: deque[Job] = deque()
        self._others: deque[Job] = deque()

    def enter(self, job: Job) -> bool:
        """Wait for a place; return False, without one, if the job is cancelled."""
        with self._guard:
            (self._first if job.first else self._others).append(job)
            self._fill()
        job.called.wait()
        if not job.cancelled.is_set():
            return True
        self.leave(job)
        return False

    def leave(self, job: Job) -> None:
        """Give the job's place to the next one, if it has one."""
        with self._guard:
            self._free += job.connecting
            job.connecting = False
            self._fill()

    def _fill(self) -> None:
        while self._free > 0 and self._first:
            self._give(self._first.popleft())
        while self._others and self._free > self._kept():
            self._give(self._others.popleft())

    def _give(self, job: Job) -> None:
        # A cancelled one waits no longer, and would not leave.
        if not job.cancelled.is_set():
            self._free -= 1
            job.connecting = True
            job.called.set()


def tidying(order: Order) -> Job:
    """Return the job that removes what an order left on its endpoint."""
    attempt = AttemptId(f"{order.attempt}:release")
    return Job(
        replace(order, attempt=attempt, check=None, verify=None, timeout_s=_TIDY_S), tidies=True
    )


def ended(order: Order, failure: Failure, began_ns: int) -> Finished:
    """Return the last report of an order that ended with a failure."""
    return Finished(
        attempt=order.attempt,
        state=end_state_of(failure.kind, sent=failure.sent),
        failure=failure.kind,
        detail=failure.detail,
        duration_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
    )


def took_nothing(finished: Finished) -> bool:
    """Return whether an order ended because its open connection did not take its act any more."""
    dead = {FailureKind.LOST, FailureKind.TIMEOUT}
    return finished.state is EndState.UNREACHABLE and finished.failure in dead


def first_contact(order: Order, opened: Opened) -> FirstContact:
    """Return the report that the machine of an order was not known before."""
    return FirstContact(
        attempt=order.attempt,
        endpoint=order.target.endpoint.id,
        machine_id=opened.machine_id,
        key=opened.key,
    )


def keep_bug(folder: Path, fault: Exception) -> str:
    """Write where it happened into the run folder; not what it said, that may be a secret.

    Returns where to find it, as the end of a sentence.
    """
    path = folder / f"bug-{secrets.token_hex(4)}.txt"
    try:
        path.touch(mode=0o600)
        path.write_text(frames_of(fault), encoding="utf-8")
    except OSError:
        return ""
    return f", see {path.name} in the run's folder"


def time_for(order: Order, limits: Deadlines) -> float:
    """Return how long executing an order on an open connection may take in all, in seconds."""
    files = len(getattr(order.action, "paths", ())) or 1
    parts = files + (order.check is not None) + (order.verify is not None)
    away_s = float(getattr(order.action, "within_s", 0.0))
    # Its own, and the turns of two others with the same password.
    become_s = 3 * limits.become_s if order.account == "root" else 0.0
    return parts * (order.timeout_s + limits.accept_s + become_s) + away_s


class Closing:
    """Closes connections in threads of their own: one that will not close holds nobody up."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0

    def aside(self, *transports: Transport) -> None:
        """Close connections, many at a time: each may have to say good-bye to its endpoint."""
        waiting = deque(transports)
        with self._changed:
            self._under_way += len(waiting)
        for _ in range(min(len(waiting), _MOST_CLOSERS)):
            threading.Thread(
                target=self._close_all, args=(waiting,), daemon=True, name="outagekit-close"
            ).start()

    def line_of(self, job: Job) -> None:
        """Take a job's connection away from it; it is of no use any more."""
        dead, job.transport = job.transport, None
        if dead is not None:
            self.aside(dead)

    def wait(self, timeout_s: float) -> None:
        """Return when nothing is being closed, or when time is up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, max(0.0, timeout_s))

    def _close_all(self, waiting: deque[Transport]) -> None:
        while True:
            try:
                transport = waiting.popleft()
            except IndexError:
                return
            with suppress(Exception):  # it is of no use any more, whatever it says
                transport.close()
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
