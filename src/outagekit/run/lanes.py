"""Lanes: daemon threads of this process that execute orders over kept connections.

At most `lanes` orders run at once, at most `connecting` of them open a connection at the same
time. Connections are kept between the steps of an endpoint and closed when idle ones exceed
`idle`. A lane that does not come back in time is aborted from outside, then abandoned: its order
is answered here, its late answer is dropped, and the process may end without it.
"""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from outagekit.errors import OutagekitError, frames_of
from outagekit.events import AttemptId, EndpointId, FailureKind, end_state_of
from outagekit.evidence import EvidenceStore
from outagekit.run.execute import Bench, execute
from outagekit.run.orders import Finished, FirstContact, Order, Report
from outagekit.transports.protocol import Deadlines, Failure, Opened, Target, Transport

Connect = Callable[[Target], Transport]

_GRACE_S = 30.0
"""How long after its own deadlines an order may take before its connection is closed for it."""
_ABANDON_S = 5.0
"""How long after that the lane is given up."""


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much one executing side does at once."""

    lanes: int = 64
    connecting: int = 16
    idle: int = 256
    deadlines: Deadlines = field(default_factory=Deadlines)


@dataclass(slots=True)
class _Job:
    """An order in a lane."""

    order: Order
    begun: bool = False
    """A lane has taken it."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    connecting: bool = False
    """It holds one of the places for connecting."""
    transport: Transport | None = None
    overdue_at_s: float = float("inf")
    aborted_at_s: float | None = None
    sent: bool = False
    broken: bool = False
    """An exception left it: nobody knows what state its connection is in."""


class Lanes:
    """A `Driver` in this process."""

    def __init__(
        self, connect: Connect, *, folder: Path, key: bytes, limits: LaneLimits | None = None
    ) -> None:
        self._connect = connect
        self._folder = folder
        self._key = key
        self._limits = limits or LaneLimits()
        self._evidence = EvidenceStore(folder / "evidence")
        self._orders: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._gate = _Gate(self._limits.connecting)
        self._guard = threading.Lock()
        self._jobs: dict[AttemptId, _Job] = {}
        self._idle: OrderedDict[EndpointId, Transport] = OrderedDict()
        self._threads = 0

    def submit(self, order: Order) -> None:
        """Take an order; a lane begins it as soon as one is free."""
        job = _Job(order)
        with self._guard:
            self._jobs[order.attempt] = job
            grow = self._threads < min(self._limits.lanes, len(self._jobs))
            self._threads += grow
        self._orders.put(job)
        if grow:
            self._spawn()

    def cancel(self, attempt: AttemptId) -> None:
        """Close the connection the attempt uses."""
        with self._guard:
            job = self._jobs.get(attempt)
        if job is not None:
            self._abort(job)

    def reports(self, timeout_s: float) -> Sequence[Report]:
        """Return reports, waiting at most `timeout_s` for the first one."""
        self._watch()
        found: list[Report] = []
        try:
            found.append(self._reports.get(timeout=timeout_s))
            while True:
                found.append(self._reports.get_nowait())
        except queue.Empty:
            return found

    def close(self, grace_s: float) -> None:
        """Abort what runs and close what is kept, without waiting for lanes that hang."""
        deadline_s = time.monotonic() + grace_s
        with self._guard:
            jobs = list(self._jobs.values())
            kept = list(self._idle.values())
            self._idle.clear()
            threads = self._threads
        for job in jobs:
            self._abort(job)
        for _ in range(threads):
            self._orders.put(None)
        closer = _close_aside(kept)
        closer.join(max(0.0, deadline_s - time.monotonic()))

    def _spawn(self) -> None:
        threading.Thread(target=self._lane, daemon=True, name="outagekit-lane").start()

    def _lane(self) -> None:
        while (job := self._orders.get()) is not None:
            if self._begin(job) and not self._serve(job):
                return

    def _begin(self, job: _Job) -> bool:
        """Take a job, unless it was answered while it was queued."""
        with self._guard:
            job.begun = job.order.attempt in self._jobs
            return job.begun

    def _serve(self, job: _Job) -> bool:
        """Execute a job and answer it; return False if the lane was given up meanwhile."""
        finished = self._finished(job)
        spare = self._keep(job)
        with self._guard:
            wanted = self._jobs.pop(job.order.attempt, None) is not None
        if wanted:
            self._reports.put(finished)
        if spare is not None:
            _close_aside([spare])
        return wanted

    def _finished(self, job: _Job) -> Finished:
        began_ns = time.monotonic_ns()
        try:
            return self._execute(job)
        except OutagekitError as fault:
            failure = Failure(FailureKind.LOCAL_IO, fault.message)
        except Exception as fault:  # noqa: BLE001  (a bug must not leave an order unanswered)
            detail = f"internal error: {type(fault).__name__}{self._keep_bug(fault)}"
            failure = Failure(FailureKind.PROTOCOL, detail, sent=job.sent)
        job.broken = True
        return _ended(job.order, failure, began_ns)

    def _keep_bug(self, fault: Exception) -> str:
        """Write where it happened into the run folder; not what it said, that may be a secret."""
        path = self._folder / f"bug-{secrets.token_hex(4)}.txt"
        try:
            path.touch(mode=0o600)
            path.write_text(frames_of(fault), encoding="utf-8")
        except OSError:
            return ""
        return f", see {path.name} in the run's folder"

    def _execute(self, job: _Job) -> Finished:
        order = job.order
        began_ns = time.monotonic_ns()
        with self._guard:
            job.transport = self._idle.pop(order.target.endpoint.id, None)
        if job.transport is not None and not job.transport.alive:
            _close_aside([job.transport])
            job.transport = None
        if job.transport is None:
            failure = self._open(job)
            if failure is not None:
                return _ended(order, failure, began_ns)
        if job.transport is None or job.cancelled.is_set():
            return _ended(order, Failure(FailureKind.ABANDONED, "cancelled"), began_ns)
        self._time(job, order)
        job.sent = True
        bench = Bench(self._emit(job), self._key, self._evidence, job.cancelled)
        return execute(order, job.transport, bench)

    def _open(self, job: _Job) -> Failure | None:
        if not self._gate.enter(job):
            return Failure(FailureKind.ABANDONED, "cancelled before it was connected")
        try:
            transport = self._connect(job.order.target)
            job.transport = transport
            limits = self._limits.deadlines
            job.overdue_at_s = time.monotonic() + _GRACE_S + sum(_phases(limits))
            opened = transport.open()
        finally:
            self._gate.leave(job)
        if isinstance(opened, Failure):
            job.broken = True
            return opened
        if opened.first_contact:
            self._reports.put(_first_contact(job.order, opened))
        return None

    def _time(self, job: _Job, order: Order) -> None:
        files = len(getattr(order.action, "paths", ())) or 1
        parts = files + (order.check is not None) + (order.verify is not None)
        each_s = order.timeout_s + self._limits.deadlines.accept_s
        job.overdue_at_s = time.monotonic() + parts * each_s + _GRACE_S

    def _emit(self, job: _Job) -> Callable[[Report], None]:
        def emit(report: Report) -> None:
            if job.aborted_at_s is None or job.order.attempt in self._jobs:
                self._reports.put(report)

        return emit

    def _keep(self, job: _Job) -> Transport | None:
        """Put the connection aside for the endpoint's next step; return one that is to be closed.

        That is the longest idle one, or this one if it is of no use any more.
        """
        transport = job.transport
        if transport is None or job.broken or job.cancelled.is_set() or not transport.alive:
            return transport
        with self._guard:
            self._idle[job.order.target.endpoint.id] = transport
            if len(self._idle) > self._limits.idle:
                return self._idle.popitem(last=False)[1]
        return None

    def _abort(self, job: _Job) -> None:
        job.cancelled.set()
        if job.aborted_at_s is None:
            job.aborted_at_s = time.monotonic()
        self._gate.wake()
        with self._guard:
            queued = not job.begun and self._jobs.pop(job.order.attempt, None) is not None
        if queued:
            failure = Failure(FailureKind.ABANDONED, "cancelled before it began")
            self._reports.put(_ended(job.order, failure, time.monotonic_ns()))
        elif job.transport is not None:
            job.transport.abort()

    def _watch(self) -> None:
        """Abort what is overdue; answer for lanes that do not even react to that."""
        now_s = time.monotonic()
        with self._guard:
            jobs = list(self._jobs.values())
        for job in jobs:
            if job.aborted_at_s is None and now_s > job.overdue_at_s:
                self._abort(job)
            elif job.aborted_at_s is not None and now_s > job.aborted_at_s + _ABANDON_S:
                self._abandon(job)

    def _abandon(self, job: _Job) -> None:
        with self._guard:
            if self._jobs.pop(job.order.attempt, None) is None:
                return
        self._gate.leave(job)
        self._spawn()
        detail = "the connection did not react to being closed; the lane was given up"
        failure = Failure(FailureKind.ABANDONED, detail, sent=job.sent)
        self._reports.put(_ended(job.order, failure, time.monotonic_ns()))


def _ended(order: Order, failure: Failure, began_ns: int) -> Finished:
    return Finished(
        attempt=order.attempt,
        state=end_state_of(failure.kind, sent=failure.sent),
        failure=failure.kind,
        detail=failure.detail,
        duration_ms=(time.monotonic_ns() - began_ns) // 1_000_000,
    )


def _first_contact(order: Order, opened: Opened) -> FirstContact:
    return FirstContact(
        attempt=order.attempt,
        endpoint=order.target.endpoint.id,
        machine_id=opened.machine_id,
        key=opened.key,
    )


def _phases(limits: Deadlines) -> tuple[float, ...]:
    return (
        limits.resolve_s,
        limits.connect_s,
        limits.handshake_s,
        limits.auth_s,
        limits.accept_s,
    )


def _close_aside(transports: Sequence[Transport]) -> threading.Thread:
    """Close connections in a thread of their own: one that will not close holds nobody up."""
    closer = threading.Thread(
        target=_close_all, args=(transports,), daemon=True, name="outagekit-close"
    )
    closer.start()
    return closer


def _close_all(transports: Sequence[Transport]) -> None:
    for transport in transports:
        with suppress(Exception):  # it is of no use any more, whatever it says
            transport.close()


class _Gate:
    """Lets so many jobs at a time open a connection; a job leaves it once, whoever says so."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._changed = threading.Condition()

    def enter(self, job: _Job) -> bool:
        """Wait for a place; return False, without one, if the job is cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0 or job.cancelled.is_set())
            if job.cancelled.is_set():
                return False
            self._free -= 1
            job.connecting = True
            return True

    def leave(self, job: _Job) -> None:
        """Give the job's place to the next one, if it has one."""
        with self._changed:
            self._free += job.connecting
            job.connecting = False
            self._changed.notify()

    def wake(self) -> None:
        """Have cancelled jobs notice it."""
        with self._changed:
            self._changed.notify_all()
