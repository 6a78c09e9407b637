"""Lanes: daemon threads of this process that execute orders over kept connections.

At most `lanes` orders run at once, at most `connecting` of them open a connection at the same
time; an endpoint that was seen to answer just now goes first. Connections are kept between the
steps of an endpoint and closed when idle ones exceed `idle`. An order that is cancelled or does
not end in time is asked to end, here and on its endpoint; then its connection is closed from
outside; then its lane is given up: the order is answered here, its late answer is dropped, and
the process may end without it.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from outagekit.errors import OutagekitError
from outagekit.events import AttemptId, EndpointId, EndState, FailureKind
from outagekit.evidence import EvidenceStore
from outagekit.run.executing.detached import tidy
from outagekit.run.executing.execute import Bench, execute
from outagekit.run.executing.jobs import (
    Closing,
    Job,
    Places,
    ended,
    first_contact,
    keep_bug,
    tidying,
    time_for,
    took_nothing,
)
from outagekit.run.orders import Answers, Finished, Order, Report, Settled, Tidied
from outagekit.transports.probing.prober import Prober
from outagekit.transports.protocol import Deadlines, Failure, Target, Transport, Ways

Connect = Callable[[Target], Transport]

_GRACE_S = 30.0
"""How long after its own deadlines an order may take before it is asked to end."""
_END_S = 2.0
"""How long it may take to end, its command too, before its connection is closed for it."""
_ABANDON_S = 5.0
"""How long after that the lane is given up."""
_FRESH_S = 5.0
"""How long an endpoint that answered goes first."""
_MOST_REMEMBERED = 4096
_LOOK_S = 1.0
_LANES_S = 1.0


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much one executing side does at once."""

    lanes: int = 64
    connecting: int = 16
    idle: int = 256
    deadlines: Deadlines = field(default_factory=Deadlines)


class Lanes:
    """A `Driver` in this process."""

    def __init__(
        self,
        connect: Connect,
        *,
        folder: Path,
        key: bytes,
        limits: LaneLimits | None = None,
        ways: Ways | None = None,
    ) -> None:
        """Without `ways` a waiting endpoint is looked for at its own address."""
        self._connect = connect
        self._folder = folder
        self._key = key
        self._limits, self._evidence = limits or LaneLimits(), EvidenceStore(folder / "evidence")
        self._orders: queue.PriorityQueue[tuple[int, int, Job | None]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._prober, self._closing = Prober(self._answers, ways=ways), Closing()
        self._places = Places(self._limits.connecting, self._kept_places)
        self._changed = threading.Condition()
        self._jobs: dict[AttemptId, Job] = {}
        self._settled: OrderedDict[AttemptId, Settled] = OrderedDict()
        self._fresh: dict[EndpointId, float] = {}
        """When an endpoint was seen to answer."""
        self._answered_at_s = float("-inf")
        self._idle: OrderedDict[EndpointId, Transport] = OrderedDict()
        self._threads = 0

    def submit(self, order: Order) -> None:
        """Take an order; a lane begins it as soon as one is free."""
        self._take(Job(order))

    def _take(self, job: Job) -> None:
        with self._changed:
            job.first = self._is_fresh(job.order.target.endpoint.id)
            self._jobs[job.order.attempt] = job
            grow = self._threads < min(self._limits.lanes, len(self._jobs))
            self._threads += grow
        self._orders.put((0 if job.first else 1, next(self._numbers), job))
        if grow:
            self._spawn()

    def cancel(self, attempt: AttemptId) -> None:
        """Have an attempt end: its waits, its command, its connection, its lane, in this order."""
        with self._changed:
            job = self._jobs.get(attempt)
        if job is not None:
            self._ask(job)

    def reports(self, timeout_s: float) -> Sequence[Report]:
        """Return reports, waiting at most `timeout_s` for the first one."""
        until_s = time.monotonic() + timeout_s
        found: list[Report] = []
        while not found:
            due_s = self._oversee()
            now_s = time.monotonic()
            try:
                found.append(self._reports.get(timeout=max(0.0, min(due_s, until_s) - now_s)))
                while True:
                    found.append(self._reports.get_nowait())
            except queue.Empty:
                if time.monotonic() >= until_s:
                    break
        return found

    def settle(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Settled]:
        """Return what this process remembers of attempts; it was told of no other life's.

        `running`: taken and not answered yet, though it may still wait for a lane. `never_started`:
        answered before the lane turned to its endpoint. The last few thousand are remembered.
        """
        with self._changed:
            return {attempt: self._known_of(attempt) for attempt in attempts}

    def watch(self, target: Target, after_s: float) -> None:
        """Probe an endpoint's port from `after_s` on, until it answers: then report `Answers`."""
        with self._changed:
            dead = self._idle.pop(target.endpoint.id, None)
            self._fresh.pop(target.endpoint.id, None)
        if dead is not None:
            # It may have been restarted behind a connection that does not know it yet.
            self._closing.aside(dead)
        self._prober.watch(target, after_s)

    def unwatch(self, endpoint: EndpointId) -> None:
        """Probe an endpoint no more; nothing if it is not watched."""
        self._prober.unwatch(endpoint)

    def release(self, order: Order) -> None:
        """Remove what a detached step left on its endpoint, and report `Tidied` when it is gone.

        Tried once, in a lane; a failure is nobody's concern, and the next step's connection is
        not hurt by it.
        """
        if order.detach:
            self._take(tidying(order))

    def close(self, grace_s: float) -> None:
        """End what runs and close what is kept, without waiting for lanes that hang.

        What runs is asked to end, then cut off, within a second; the rest is for connections.
        """
        deadline_s = time.monotonic() + grace_s
        self._prober.close()
        with self._changed:
            jobs = list(self._jobs.values())
            kept = list(self._idle.values())
            self._idle.clear()
            threads = self._threads
        for job in jobs:
            self._ask(job)
        for _ in range(threads):
            self._orders.put((2, next(self._numbers), None))
        self._closing.aside(*kept)
        half_s = min(grace_s, _LANES_S) / 2
        self._await_no_job(half_s)
        for job in jobs:
            self._cut(job)
        self._await_no_job(half_s)
        self._closing.wait(deadline_s - time.monotonic())

    def _await_no_job(self, timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._jobs, max(0.0, timeout_s))

    def _answers(self, endpoint: EndpointId) -> None:
        with self._changed:
            self._fresh[endpoint] = self._answered_at_s = time.monotonic()
        self._reports.put(Answers(endpoint=endpoint))

    def _is_fresh(self, endpoint: EndpointId) -> bool:
        oldest_s = time.monotonic() - _FRESH_S
        self._fresh = {name: at_s for name, at_s in self._fresh.items() if at_s >= oldest_s}
        return endpoint in self._fresh

    def _kept_places(self) -> int:
        """Return how many places are kept free for endpoints that may be up for seconds only."""
        lately = time.monotonic() - self._answered_at_s < _FRESH_S
        return self._limits.connecting // 4 if lately or self._prober.watching else 0

    def _known_of(self, attempt: AttemptId) -> Settled:
        if attempt in self._jobs:
            return Settled(kind="running")
        return self._settled.get(attempt, Settled(kind="no_record"))

    def _spawn(self) -> None:
        threading.Thread(target=self._lane, daemon=True, name="outagekit-lane").start()

    def _lane(self) -> None:
        while (job := self._orders.get()[2]) is not None:
            if self._begin(job) and not self._serve(job):
                return

    def _begin(self, job: Job) -> bool:
        """Take a job, unless it was answered while it was queued."""
        with self._changed:
            job.begun = job.order.attempt in self._jobs
            return job.begun

    def _serve(self, job: Job) -> bool:
        """Execute a job and answer it; return False if the lane was given up meanwhile."""
        finished = self._finished(job)
        spare = self._keep(job)
        if spare is not None:
            self._closing.aside(spare)
        return self._answer(job, finished)

    def _answer(self, job: Job, finished: Finished) -> bool:
        """Report the end of a job; return False if that was done before."""
        attempt = job.order.attempt
        with self._changed:
            if self._jobs.pop(attempt, None) is None:
                return False
            if job.tidies:
                self._changed.notify_all()
                return True
            if job.cancelled.is_set() and not job.touched:
                self._settled[attempt] = Settled(kind="never_started")
            else:
                self._settled[attempt] = Settled(kind="outcome", outcome=finished)
            if len(self._settled) > _MOST_REMEMBERED:
                self._settled.popitem(last=False)
            self._reports.put(finished)
            self._changed.notify_all()
        return True

    def _finished(self, job: Job) -> Finished:
        began_ns = time.monotonic_ns()
        try:
            return self._execute(job)
        except OutagekitError as fault:
            failure = Failure(FailureKind.LOCAL_IO, fault.message)
        except Exception as fault:  # noqa: BLE001  (a bug must not leave an order unanswered)
            detail = f"internal error: {type(fault).__name__}{keep_bug(self._folder, fault)}"
            failure = Failure(FailureKind.PROTOCOL, detail, sent=job.sent)
        job.broken = True
        return ended(job.order, failure, began_ns)

    def _execute(self, job: Job) -> Finished:
        with self._changed:
            job.transport = self._idle.pop(job.order.target.endpoint.id, None)
        if job.transport is not None and not job.transport.alive:
            self._closing.line_of(job)
        kept = job.transport is not None
        finished = self._tried(job)
        if kept and took_nothing(finished) and not job.cancelled.is_set():
            # The line died unseen while nobody used it: that says nothing about the endpoint.
            self._closing.line_of(job)
            finished = self._tried(job)
        # Of a line that went silent nobody knows whether it is still one.
        job.broken |= finished.failure is FailureKind.TIMEOUT
        return finished

    def _tried(self, job: Job) -> Finished:
        order = job.order
        began_ns = time.monotonic_ns()
        if job.transport is None:
            failure = self._open(job)
            if failure is not None:
                return ended(order, failure, began_ns)
        if job.transport is None or job.cancelled.is_set():
            return ended(order, Failure(FailureKind.ABANDONED, "cancelled"), began_ns)
        limits = self._limits.deadlines
        job.overdue_at_s = time.monotonic() + time_for(order, limits) + _GRACE_S
        job.touched = job.sent = True
        if job.tidies:
            return self._tidied(job, job.transport)
        bench = Bench(self._emit(job), self._key, self._evidence, job.cancelled)
        return execute(order, job.transport, bench)

    def _tidied(self, job: Job, transport: Transport) -> Finished:
        """Tidy up, report it, and return an end that nobody is told."""
        order = job.order
        if tidy(order, transport):
            identity = order.target.endpoint.id
            self._emit(job)(Tidied(endpoint=identity, step=order.step, detach=order.detach))
        return Finished(attempt=order.attempt, state=EndState.OK)

    def _open(self, job: Job) -> Failure | None:
        if not self._places.enter(job):
            return Failure(FailureKind.ABANDONED, "cancelled before it was connected")
        try:
            transport = self._connect(job.order.target)
            job.overdue_at_s = time.monotonic() + _GRACE_S + transport.opening_s
            job.transport = transport
            if job.cancelled.is_set():
                return Failure(FailureKind.ABANDONED, "cancelled before it was connected")
            job.touched = True
            opened = transport.open()
        finally:
            self._places.leave(job)
        if isinstance(opened, Failure):
            job.broken = True
            return opened
        if opened.first_contact:
            self._emit(job)(first_contact(job.order, opened))
        return None

    def _emit(self, job: Job) -> Callable[[Report], None]:
        def emit(report: Report) -> None:
            # Nothing of an order may follow its end.
            with self._changed:
                if job.order.attempt in self._jobs:
                    self._reports.put(report)

        return emit

    def _keep(self, job: Job) -> Transport | None:
        """Put the connection aside for the endpoint's next step; return one that is to be closed.

        That is another one to the same endpoint, the longest idle one, or this one if it is of no
        use any more.
        """
        transport = job.transport
        if transport is None or job.broken or job.cancelled.is_set() or not transport.alive:
            return transport
        with self._changed:
            spare = self._idle.pop(job.order.target.endpoint.id, None)
            self._idle[job.order.target.endpoint.id] = transport
            if len(self._idle) > self._limits.idle:
                spare = self._idle.popitem(last=False)[1]
        return spare

    def _oversee(self) -> float:
        """Take what does not end one rung further; return when to look again."""
        now_s = time.monotonic()
        with self._changed:
            jobs = list(self._jobs.values())
        due_s = now_s + _LOOK_S
        for job in jobs:
            if job.asked_at_s is None:
                next_s, further = job.overdue_at_s, self._ask
            elif job.cut_at_s is None:
                next_s, further = job.asked_at_s + _END_S, self._cut
            else:
                next_s, further = job.cut_at_s + _ABANDON_S, self._abandon
                self._cut(job)  # what it opened since, too
            if now_s > next_s:
                further(job)
                next_s = now_s
            due_s = min(due_s, next_s)
        return due_s

    def _ask(self, job: Job) -> None:
        """Have a job end: its wait here, or its command on the endpoint."""
        job.cancelled.set()
        job.called.set()
        if job.asked_at_s is None:
            job.asked_at_s = time.monotonic()
        with self._changed:
            if not job.begun:
                failure = Failure(FailureKind.ABANDONED, "cancelled before it began")
                self._answer(job, ended(job.order, failure, time.monotonic_ns()))
                return
        if job.transport is not None:
            job.transport.interrupt()

    def _cut(self, job: Job) -> None:
        """Close a job's connection under it."""
        if job.cut_at_s is None:
            job.cut_at_s = time.monotonic()
        if job.transport is not None:
            job.transport.abort()

    def _abandon(self, job: Job) -> None:
        """Answer for a lane that does not even react to that, and have another one in its place."""
        detail = "the connection did not react to being closed; the lane was given up"
        failure = Failure(FailureKind.ABANDONED, detail, sent=job.sent)
        if self._answer(job, ended(job.order, failure, time.monotonic_ns())):
            self._places.leave(job)
            self._spawn()
