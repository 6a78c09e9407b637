"""The thin shell around the pure core: the only owner of a run's state.

One loop on the main thread: decide, write down, wait until it is durable, hand out; then take
what was reported, write it down, fold it. Nothing is sent to an endpoint before its
`step.started` is on disk. If the log cannot be written any more, nothing new is begun.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from typing import Protocol

import msgspec

from outagekit.errors import LogUnwritable
from outagekit.events import (
    AnyEvent,
    AttemptId,
    EventUnencodable,
    Note,
    Output,
    Record,
    RunId,
    RunPaused,
    StepFinished,
    StepInDoubt,
)
from outagekit.plan.model import Plan
from outagekit.run.decide import Bounds, Close, Command, Pause, Start, decide
from outagekit.run.dispatch import Driver
from outagekit.run.facts import event_of_command, finished_event, found_event, part_event
from outagekit.run.orders import (
    Finished,
    Order,
    Part,
    Report,
    Stream,
    make_order,
)
from outagekit.run.state import State, begin, fold
from outagekit.text import count, head_and_tail

_TICK_S = 0.1
"""How long the loop waits for reports; also how late it can notice a Ctrl-C on Windows."""


class Appended(Protocol):
    """A record that was taken by the log."""

    @property
    def record(self) -> Record:
        """The event with its place in the log."""
        ...

    def wait(self) -> None:
        """Return once the record is durable; raise `LogUnwritable` if it will never be."""
        ...


class Log(Protocol):
    """What the coordinator needs of the log."""

    def append(self, event: AnyEvent) -> Appended:
        """Take an event in order."""
        ...

    @property
    def failed(self) -> LogUnwritable | None:
        """Why nothing can be written any more, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended."""

    exit_code: int
    state: State
    why: str = ""
    """Empty for a run that came to its end."""


class Coordinator:
    """Runs one plan to its end."""

    def __init__(
        self,
        plan: Plan,
        *,
        run: RunId,
        log: Log,
        driver: Driver,
        spool: Callable[[str], str],
        bounds: Bounds | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        warn: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """`warn` is told, at once, what no record can tell any more."""
        self._plan = plan
        self._run = run
        self._log = log
        self._driver = driver
        self._spool = spool
        self._bounds = bounds or Bounds()
        self._now_ns = now_ns
        self._warn = warn
        self._state = begin(plan)
        self._orders: dict[AttemptId, tuple[Order, Start]] = {}
        self._heard: deque[Report] = deque()
        self._unproven: list[tuple[Appended, str]] = []
        self._stop_asked = ""
        self._stop_noted = False
        self._abort_asked = False
        self._ending: Ending | None = None

    def stop(self, why: str) -> None:
        """Let running steps end and begin nothing else; asked again, leave them in doubt.

        Safe to call from a signal handler and from any thread.
        """
        if self._stop_asked:
            self._abort_asked = True
        self._stop_asked = self._stop_asked or why

    def run(self) -> Ending:
        """Run until nothing is left to do and return how it ended.

        Raises `LogUnwritable` when the log fails; what still ran is waited for and named.
        """
        try:
            while self._ending is None:
                self._note_stop()
                if self._abort_asked:
                    return self._abandon()
                while commands := self._decide():
                    self._carry_out(commands)
                if self._ending is None:
                    self._absorb(self._driver.reports(_TICK_S))
                    self._check_log()
        except LogUnwritable as fault:
            raise self._halt(fault) from fault
        return self._ending

    def _decide(self) -> list[Command]:
        return decide(
            self._state,
            self._now_ns(),
            run=self._run,
            bounds=self._bounds,
            stopping=bool(self._stop_asked),
        )

    def _append(self, event: AnyEvent) -> Appended:
        appended = self._log.append(event)
        self._state = fold(self._state, appended.record)
        return appended

    def _carry_out(self, commands: list[Command]) -> None:
        """Write every command down, wait once for all of them, then hand out the orders."""
        begun: list[Start] = []
        last: Appended | None = None
        for command in commands:
            appended = self._append(event_of_command(command, self._state, self._stop_asked))
            match command:
                case Start():
                    begun.append(command)
                case Pause():
                    self._ending = Ending(6, self._state, self._stop_asked)
                case Close(exit_code=code):
                    self._ending = Ending(code, self._state)
                case _:
                    continue
            last = appended
        if last is not None:
            last.wait()
            self._unproven.clear()
        for start in begun:
            endpoint = self._state.progress[start.endpoint].endpoint
            order = make_order(self._plan, endpoint, start)
            self._orders[start.attempt] = (order, start)
            self._driver.submit(order)

    def _note_stop(self) -> None:
        if self._stop_asked and not self._stop_noted:
            self._stop_noted = True
            running = count(len(self._state.running), "running step")
            self._append(Note(text=f"{self._stop_asked}: {running} may end, nothing else begins"))

    def _abandon(self) -> Ending:
        """Record a doubt for everything that runs, and wait for nothing."""
        why = f"{self._stop_asked} twice: nobody waited for the end of this step"
        for attempt, endpoint in list(self._state.running.items()):
            step = self._orders[attempt][0].step
            self._append(StepInDoubt(endpoint=endpoint, step=step, attempt=attempt, why=why))
            self._driver.cancel(attempt)
        self._append(RunPaused(why=f"{self._stop_asked} twice")).wait()
        return Ending(130, self._state, f"{self._stop_asked} twice")

    def _absorb(self, reports: Sequence[Report]) -> None:
        self._heard.extend(reports)
        while self._heard:
            report = self._heard[0]
            if report.attempt in self._orders:
                self._take(report)
            # Not before it is written down: what is left here is known to `_halt`.
            self._heard.popleft()

    def _take(self, report: Report) -> None:
        order, start = self._orders[report.attempt]
        if isinstance(report, Finished):
            appended = self._append_end(finished_event(report, start))
            self._unproven.append((appended, _named(order, report)))
            del self._orders[report.attempt]
        elif isinstance(report, Part):
            self._append(part_event(report, order, self._output))
        else:
            self._append(found_event(report, order))

    def _append_end(self, event: StepFinished) -> Appended:
        """Append a step's end; one that cannot be written as it is still ends the step."""
        appended = self._append(event)
        if not isinstance(appended.record.event, EventUnencodable):
            return appended
        bare = msgspec.structs.replace(
            event, result=None, retry_in_ms=None, detail="its report could not be written down"
        )
        return self._append(bare)

    def _output(self, stream: Stream) -> Output:
        head, tail = head_and_tail(stream.text)
        kept = self._spool(stream.text) if tail else ""
        return Output(text=head, tail=tail, size_bytes=stream.size_bytes, sha256=kept)

    def _check_log(self) -> None:
        failed = self._log.failed
        if failed is not None:
            raise failed

    def _halt(self, fault: LogUnwritable) -> LogUnwritable:
        """Wait for what runs, within its deadlines, and name what the log could not take."""
        if self._orders:
            running = count(len(self._orders), "running step")
            self._warn(f"{fault.message}: {running} may end, nothing else begins")
        lost: list[str] = []
        reports: Sequence[Report] = tuple(self._heard)
        while self._orders and not self._abort_asked:
            for report in reports:
                if isinstance(report, Finished) and report.attempt in self._orders:
                    order, _ = self._orders.pop(report.attempt)
                    lost.append(_named(order, report))
            reports = self._driver.reports(_TICK_S) if self._orders else ()
        # What is durable comes first: who waits for the others would only wait for one.
        unproven = [name for _, name in dropwhile(lambda e: _is_durable(e[0]), self._unproven)]
        doubts = [f"{order.target.endpoint.id} {order.step}" for order, _ in self._orders.values()]
        named = (
            _listed("perhaps not in the log", unproven)
            + _listed("not in the log", lost)
            + _listed("in doubt, nobody waited", doubts)
        )
        return LogUnwritable(f"{fault.message}{named}", hint=fault.hint)


def _named(order: Order, report: Finished) -> str:
    return f"{order.target.endpoint.id} {order.step}: {report.state}"


def _listed(what: str, names: Sequence[str]) -> str:
    return f"; {what}: {', '.join(names)}" if names else ""


def _is_durable(appended: Appended) -> bool:
    try:
        appended.wait()
    except LogUnwritable:
        return False
    return True
