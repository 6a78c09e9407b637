"""The thin shell around the pure core: the only owner of a run's state.

One loop on the main thread: decide, write down, wait until it is durable, hand out; then take
what was reported, write it down, fold it. Nothing is sent to an endpoint before its
`step.started` is on disk. If the log cannot be written any more, nothing new is begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import dropwhile
from typing import Final

import msgspec

from outagekit.errors import LogUnwritable
from outagekit.events import (
    AnyEvent,
    ApprovalGiven,
    AttemptId,
    EndpointExpired,
    EndpointId,
    EndpointParked,
    EndpointReturned,
    EventUnencodable,
    Output,
    RunClosed,
    RunPaused,
    RunStopping,
    StepFinished,
    StepInDoubt,
    StepTidied,
)
from outagekit.run.dispatch import Driver
from outagekit.run.engine.commands import Command, Start
from outagekit.run.engine.decide import decide
from outagekit.run.engine.facts import end_event, found_event, part_event
from outagekit.run.engine.fold import fold
from outagekit.run.engine.hearing import events_of
from outagekit.run.engine.ordering import make_order, target_of
from outagekit.run.engine.situation import Bounds, Situation
from outagekit.run.engine.state import State
from outagekit.run.engine.taking_up import (
    left_behind,
    settled_events,
    still_running,
    watch_delay_s,
)
from outagekit.run.orders import (
    Answers,
    Finished,
    Order,
    Part,
    Report,
    Stream,
    Tidied,
)
from outagekit.run.surroundings import Appended, Ending, Log, Surroundings
from outagekit.run.wishes import AnyWish, Heard, StopWish
from outagekit.text import count, head_and_tail

_TICK_S: Final = 0.1
"""How long the loop waits for reports; also how late it can notice a Ctrl-C on Windows."""
_LOOK_NS: Final = 1_000_000_000
"""How often somebody looks into the inbox."""
_ABANDONED: Final = 130
_TIDY_NS: Final = 10_000_000_000
"""How long a run that is over waits for what detached steps left behind to be removed."""


class Coordinator:
    """Runs one plan to its end, from its beginning or from where it was left."""

    def __init__(
        self,
        state: State,
        *,
        log: Log,
        driver: Driver,
        around: Surroundings,
        bounds: Bounds | None = None,
    ) -> None:
        """Take over the state; nobody else may keep it."""
        self._state = state
        self._log = log
        self._driver = driver
        self._around = around
        self._bounds = bounds or Bounds()
        self._orders: dict[AttemptId, tuple[Order, Start]] = {}
        self._heard: deque[Report] = deque()
        self._said: deque[AnyWish] = deque()
        self._unproven: list[tuple[Appended, str]] = []
        self._looked_ns = around.now_ns()
        self._stops_here = 0
        self._stop_asked = ""
        self._stopped_by = ""
        self._stop_noted = False
        self._abort_asked = False
        self._ending: Ending | None = None
        self._last: Appended | None = None
        self._released: set[str] = set()
        self._tidy_until_ns: int | None = None

    def stop(self, why: str) -> None:
        """Let running steps end and begin nothing else; asked again, leave them in doubt.

        Safe to call from a signal handler and from any thread.
        """
        # A stop through the inbox came before it, perhaps: the first Ctrl-C is still the first.
        if self._stops_here:
            self._abort_asked = True
        self._stops_here += 1
        self._stop_asked = self._stop_asked or why

    def hear(self, wish: AnyWish) -> None:
        """Take what a person says; safe to call from any thread."""
        self._said.append(wish)

    def run(self) -> Ending:
        """Run until nothing is left to do and return how it ended.

        Raises `LogUnwritable` when the log fails; what still ran is waited for and named.
        """
        try:
            self._take_up()
            while self._ending is None:
                self._listen()
                self._note_stop()
                if self._abort_asked:
                    return self._abandon()
                while commands := self._decide():
                    self._carry_out(commands)
                self._release()
                if self._ending is None:
                    self._absorb(self._driver.reports(_TICK_S))
                    self._check_log()
        except LogUnwritable as fault:
            raise self._halt(fault) from fault
        return self._ending

    def _decide(self) -> list[Command]:
        if self._ending is not None:
            return []
        situation = Situation(
            now_ns=self._around.now_ns() + self._state.epoch_ns,
            bounds=self._bounds,
            stopping=self._stop_asked,
            attended=self._around.attended,
        )
        commands = decide(self._state, situation)
        return [] if self._waits_for_tidying(commands) else commands

    def _waits_for_tidying(self, commands: list[Command]) -> bool:
        """Return whether closing the run can wait for detached steps to be tidied up."""
        if not self._state.left_behind or not any(isinstance(c, RunClosed) for c in commands):
            return False
        now_ns = self._around.now_ns()
        if self._tidy_until_ns is None:
            self._tidy_until_ns = now_ns + _TIDY_NS
        return now_ns < self._tidy_until_ns

    def _append(self, event: AnyEvent) -> Appended:
        self._last = appended = self._log.append(event)
        self._state = fold(self._state, appended.record)
        return appended

    def _take_up(self) -> None:
        """Go on where an earlier life of the run was left."""
        last: Appended | None = None
        attempts = tuple(self._state.running)
        if attempts:
            known = self._driver.settle(attempts)
            for event in settled_events(self._state, known):
                last = self._append(event)
            for order, start in still_running(self._state):
                self._orders[start.attempt] = (order, start)
        if last is not None:
            last.wait()
        for identity in self._state.parked:
            self._watch(identity)

    def _release(self) -> None:
        """Have detached steps tidied up whose end is on disk."""
        if self._state.left_behind.keys() <= self._released:
            return
        if self._last is not None:
            self._last.wait()
        for order in left_behind(self._state):
            if order.detach not in self._released:
                self._released.add(order.detach)
                self._driver.release(order)

    def _carry_out(self, commands: list[Command]) -> None:
        """Write every command down, wait once for all of them, then hand out the orders."""
        begun: list[Start] = []
        last: Appended | None = None
        for command in commands:
            event = command.event if isinstance(command, Start) else command
            appended = self._append(event)
            if isinstance(command, Start):
                begun.append(command)
            if isinstance(event, RunPaused | RunClosed):
                why = event.why if isinstance(event, RunPaused) else ""
                self._ending = Ending(event.exit_code, self._state, why)
            if isinstance(command, Start | RunPaused | RunClosed):
                last = appended
        if last is not None:
            last.wait()
            self._unproven.clear()
        for command in commands:
            self._tell_driver(command)
        for start in begun:
            endpoint = self._state.progress[start.endpoint].endpoint
            order = make_order(self._state.plan, endpoint, start)
            self._orders[start.attempt] = (order, start)
            self._driver.submit(order)

    def _tell_driver(self, command: Command) -> None:
        match command:
            case EndpointParked(endpoint=identity):
                self._watch(identity)
            case EndpointExpired(endpoint=identity):
                self._driver.unwatch(identity)
            case _:
                pass

    def _watch(self, identity: EndpointId) -> None:
        progress = self._state.progress[identity]
        target = target_of(self._state.plan, progress.endpoint)
        self._driver.watch(target, watch_delay_s(progress))

    def _listen(self) -> None:
        """Write down what people say, from this terminal or through the inbox."""
        now_ns = self._around.now_ns()
        heard: list[Heard] = []
        if now_ns - self._looked_ns >= _LOOK_NS:
            self._looked_ns = now_ns
            heard += self._around.look()
        while self._said:
            heard.append(self._said.popleft())
        for each in heard:
            if isinstance(each, StopWish):
                self._stop_wished(each)
            for event in events_of(each, self._state):
                appended = self._append(event)
                if isinstance(event, ApprovalGiven):
                    appended.wait()

    def _stop_wished(self, wish: StopWish) -> None:
        if not self._stop_asked:
            self._stopped_by = wish.who or wish.os_user
            said = f": {wish.why}" if wish.why else ""
            self._stop_asked = f"stopped by {self._stopped_by}{said}"

    def _note_stop(self) -> None:
        if self._stop_asked and not self._stop_noted:
            self._stop_noted = True
            running = len(self._state.running)
            self._append(RunStopping(why=self._stop_asked, running=running, who=self._stopped_by))

    def _abandon(self) -> Ending:
        """Record a doubt for everything that runs, and wait for nothing."""
        why = f"{self._stop_asked} twice: nobody waited for the end of this step"
        for attempt, endpoint in list(self._state.running.items()):
            step = self._orders[attempt][0].step
            self._append(StepInDoubt(endpoint=endpoint, step=step, attempt=attempt, why=why))
            self._driver.cancel(attempt)
        why = f"{self._stop_asked} twice"
        self._append(RunPaused(why=why, exit_code=_ABANDONED)).wait()
        return Ending(_ABANDONED, self._state, why)

    def _absorb(self, reports: Sequence[Report]) -> None:
        self._heard.extend(reports)
        while self._heard:
            self._take(self._heard[0])
            # Not before it is written down: what is left here is known to `_halt`.
            self._heard.popleft()

    def _take(self, report: Report) -> None:
        match report:
            case Answers(endpoint=identity):
                if identity in self._state.parked:
                    self._append(EndpointReturned(endpoint=identity))
            case Tidied(endpoint=identity, step=step, detach=detach):
                self._append(StepTidied(endpoint=identity, step=step, detach=detach))
            case _ if report.attempt in self._orders:
                self._take_of_order(report)
            case _:
                pass

    def _take_of_order(self, report: Report) -> None:
        if isinstance(report, Answers | Tidied):
            return
        order, start = self._orders[report.attempt]
        if isinstance(report, Finished):
            appended = self._append_end(end_event(report, start, self._state))
            self._unproven.append((appended, _named(order, report)))
            del self._orders[report.attempt]
        elif isinstance(report, Part):
            self._append(part_event(report, order, self._output))
        else:
            self._append(found_event(report, order))

    def _append_end(self, event: AnyEvent) -> Appended:
        """Append a step's end; one that cannot be written as it is still ends the step."""
        appended = self._append(event)
        if not isinstance(appended.record.event, EventUnencodable):
            return appended
        if isinstance(event, StepFinished):
            event = msgspec.structs.replace(event, result=None, retry_in_ms=None)
        return self._append(_bare(event))

    def _output(self, stream: Stream) -> Output:
        head, tail = head_and_tail(stream.text)
        kept = self._around.spool(stream.text) if tail else ""
        return Output(text=head, tail=tail, size_bytes=stream.size_bytes, sha256=kept)

    def _check_log(self) -> None:
        failed = self._log.failed
        if failed is not None:
            raise failed

    def _halt(self, fault: LogUnwritable) -> LogUnwritable:
        """Wait for what runs, within its deadlines, and name what the log could not take."""
        if self._orders:
            running = count(len(self._orders), "running step")
            self._around.warn(f"{fault.message}: {running} may end, nothing else begins")
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


def _bare(event: AnyEvent) -> AnyEvent:
    field = "why" if isinstance(event, StepInDoubt) else "detail"
    return msgspec.structs.replace(event, **{field: "its report could not be written down"})


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
