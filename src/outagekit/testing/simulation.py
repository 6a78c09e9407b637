"""A whole world for the engine, drawn from a seed: a log, endpoints, people, and no real time.

The engine in it is the real one. Endpoints fail, hang, vanish and come back, answer late, twice
or not at all; people answer, stop and go away; the process is killed and the run taken up again.
The same seed is the same world. What the endpoints did is kept apart from what the log says.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from outagekit.errors import LogUnwritable
from outagekit.events import (
    AnswerWord,
    AnyEvent,
    AttemptId,
    EndpointId,
    EndState,
    FailureKind,
    Record,
    RunId,
    StepId,
    StepStarted,
    end_state_of,
)
from outagekit.log.clock import stamp
from outagekit.log.record import encode_event, encode_line, seed
from outagekit.run.orders import (
    Answers,
    Fetched,
    Finished,
    FirstContact,
    Order,
    Part,
    Report,
    Settled,
    Stream,
    Tidied,
)
from outagekit.run.wishes import Answer, Heard, NoteWish, StopWish
from outagekit.testing.clock import FakeClock
from outagekit.transports.protocol import Target

RUN = RunId("20261122T081403Z-simulated-x7q2")
MOST_CALLS = 40_000
"""A run that asks its driver more often does not end."""


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class SimulatedLog:
    """A log in memory, over all lives of a run: durable is what somebody has waited for."""

    def __init__(self, clock: FakeClock, fail_after: int | None = None) -> None:
        self.lines: list[bytes] = []
        self.records: list[Record] = []
        self.durable = -1
        """Number of the last record that is certainly on disk."""
        self.failed: LogUnwritable | None = None
        self.life = "life-1"
        self._clock = clock
        self._left = fail_after
        self._sha = seed(RUN)

    def append(self, event: AnyEvent) -> SimulatedAppended:
        """Take an event, or fail from the drawn moment on."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self.failed = LogUnwritable("the disk is full")
        if self.failed:
            raise self.failed
        encoded = encode_event(event)
        record = Record(
            seq=len(self.records),
            at=stamp(self._clock.wall_ns()),
            mono=self._clock.mono_ns(),
            life=self.life,
            run=RUN,
            event=encoded.event,
        )
        line, self._sha = encode_line(record, encoded.body, dur=-1, prev=self._sha)
        self.lines.append(line)
        self.records.append(record)
        return SimulatedAppended(record, self)

    def tear(self, kept: int) -> None:
        """Lose what was not durable beyond so many records, as a kill does; begin a new life."""
        kept = max(kept, self.durable + 1)
        del self.lines[kept:], self.records[kept:]
        self.durable = len(self.records) - 1
        self.life = f"life-{int(self.life.rpartition('-')[2]) + 1}"

    @property
    def started(self) -> set[AttemptId]:
        """Attempts whose beginning is on disk."""
        return {
            record.event.attempt
            for record in self.records[: self.durable + 1]
            if isinstance(record.event, StepStarted)
        }


@dataclass(frozen=True, slots=True)
class SimulatedAppended:
    """A record in the simulated log."""

    record: Record
    log: SimulatedLog

    def wait(self) -> None:
        """Have it, and everything before it, on disk."""
        if self.log.failed:
            raise self.log.failed
        self.log.durable = max(self.log.durable, self.record.seq)


@dataclass(slots=True)
class Temper:
    """How a world is minded, drawn once."""

    health: float
    """Share of attempts nothing happens to."""
    silence: float
    """Share of troubles that are a lost line or a time-out after the command was sent."""
    away: float
    """Share of troubles that are an endpoint out of reach for a while."""
    patience: float
    """How likely people answer at a look."""
    kills: int
    stops: int
    stop_at: int
    kill_at: int


def drawn_temper(dice: random.Random) -> Temper:
    """Return a mind for a world."""
    return Temper(
        health=dice.choice([1.0, 0.95, 0.9, 0.6, 0.2]),
        silence=dice.random() * 0.5,
        away=dice.random() * 0.5,
        patience=dice.choice([0.0, 0.02, 0.3]),
        kills=dice.choice([0, 0, 1, 2, 4]),
        stops=dice.choice([0, 0, 0, 0, 1, 2]),
        stop_at=dice.randint(1, 200),
        kill_at=dice.randint(1, 80),
    )


@dataclass(slots=True)
class Executed:
    """Something an endpoint really did."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    purpose: str
    was_done: bool
    """The step had been done there already and not been taken back."""


@dataclass(slots=True)
class World:
    """Endpoints behind a driver, and the people around; outlives the process that runs in it."""

    dice: random.Random
    clock: FakeClock
    log: SimulatedLog
    temper: Temper
    began: list[AttemptId] = field(default_factory=list)
    executed: list[Executed] = field(default_factory=list)
    done: set[tuple[EndpointId, StepId]] = field(default_factory=set)
    """What really is done on the endpoints."""
    probes: dict[AttemptId, bool] = field(default_factory=dict)
    """What looks at doubts have really found."""
    detached: set[str] = field(default_factory=set)
    """Ids under which something was started that goes on by itself."""
    out: dict[AttemptId, Order] = field(default_factory=dict)
    watched: set[EndpointId] = field(default_factory=set)
    away: dict[EndpointId, float] = field(default_factory=dict)
    """Out of reach until then (monotonic seconds)."""
    most_out: int = 0
    most_at: Counter[tuple[str, str]] = field(default_factory=Counter)
    stopped: int = 0
    calls: int = 0
    cancelled: set[AttemptId] = field(default_factory=set)
    during: Callable[[], None] = lambda: None
    questions: Callable[[], Mapping[str, tuple[AnswerWord, ...]]] = dict
    """Names of what is open at the moment, with the words that answer it."""

    # ---- the driver

    def submit(self, order: Order) -> None:
        """Take an order, and insist on what an executing side may rely on."""
        identity = order.target.endpoint.id
        _insist(order.attempt in self.log.started, "begun before its record was durable")
        _insist(self.log.failed is None, "begun although the log had failed")
        _insist(not self.stopped, "begun although somebody had asked to stop")
        _insist(order.attempt not in self.began, "an attempt id was handed out twice")
        _insist(msgspec.json.decode(msgspec.json.encode(order), type=Order) == order, "not plain")
        self.began.append(order.attempt)
        busy = [o for o in self.out.values() if o.target.endpoint.id == identity]
        _insist(not busy, "two steps at once on one endpoint")
        self.out[order.attempt] = order
        self.most_out = max(self.most_out, len(self.out))
        place = _place_of(order)
        here = sum(place == _place_of(each) for each in self.out.values())
        self.most_at[place] = max(self.most_at[place], here)

    def cancel(self, attempt: AttemptId) -> None:
        """Remember the wish."""
        self.cancelled.add(attempt)

    def settle(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Settled]:
        """Know nothing, or that something was never started."""
        return {
            attempt: Settled(kind="no_record" if attempt in self.began else "never_started")
            for attempt in attempts
        }

    def watch(self, target: Target, after_s: float) -> None:
        """Have an endpoint's port probed."""
        self.watched.add(target.endpoint.id)

    def unwatch(self, endpoint: EndpointId) -> None:
        """Have it probed no more."""
        self.watched.discard(endpoint)

    def release(self, order: Order) -> None:
        """Leave it lying: nothing depends on it."""

    def close(self, grace_s: float) -> None:
        """Have nothing to close."""

    def reports(self, timeout_s: float) -> list[Report]:
        """Let time pass, and answer some of what is out, in any order."""
        self.calls += 1
        _insist(self.calls < MOST_CALLS, "the run does not end")
        dice = self.dice
        quiet = not self.out
        self.clock.advance(dice.choice([0.0, 0.01, timeout_s, 20.0 if quiet else timeout_s]))
        if dice.random() < 0.01:
            self.clock.jump(dice.choice([-3600, 3600]))
        self.during()
        self._maybe_die()
        found: list[Report] = []
        for attempt in dice.sample(list(self.out), dice.randint(0, len(self.out))):
            found += self._answers(self.out.pop(attempt))
        return [*found, *self._who_came_back()]

    # ---- the people

    def look(self) -> list[Heard]:
        """Say something, perhaps."""
        dice = self.dice
        heard: list[Heard] = []
        for name, words in self.questions().items():
            if dice.random() < self.temper.patience:
                word = dice.choice(words)
                heard.append(Answer(question=name, answer=word, who="Kim", letter="a-letter"))
        if dice.random() < 0.01:
            heard.append(NoteWish(text="still here", who="Kim"))
        if dice.random() < 0.005:
            heard.append(Answer(question="nothing", answer="yes", who="Kim", letter="a-letter"))
        if self.temper.stops == 1 and dice.random() < 0.005 and not self.stopped:
            self.stopped = 1
            heard.append(StopWish(who="Kim"))
        return heard

    def let_go(self) -> None:
        """Have the process gone: some of what was sent to endpoints happens all the same."""
        for order in self.out.values():
            if self.dice.random() < 0.5:
                self._do(order)
        self.out.clear()
        self.watched.clear()
        self.stopped = 0

    def _maybe_die(self) -> None:
        if self.temper.kills and self.calls >= self.temper.kill_at:
            self.temper.kills -= 1
            self.temper.kill_at = self.calls + self.dice.randint(1, 80)
            raise Killed

    # ---- the endpoints

    def _who_came_back(self) -> list[Report]:
        now_s = self.clock.monotonic()
        back = [i for i in sorted(self.watched) if self.away.get(i, 0.0) <= now_s]
        back = [identity for identity in back if self.dice.random() < 0.3]
        self.watched.difference_update(back)
        return [Answers(endpoint=identity) for identity in back]

    def _answers(self, order: Order) -> list[Report]:
        dice = self.dice
        last = self._finished(order)
        reports: list[Report] = [last]
        identity = order.target.endpoint.id
        ran = last.state not in {EndState.UNREACHABLE, EndState.UNKNOWN}
        if ran and last.failure is not FailureKind.AUTH and dice.random() < 0.5:
            said = Stream(dice.choice(["ok\n", "x" * 20_000, "\udc80\x00"]), 3)
            reports.insert(0, Part(order.attempt, "script", "ab" * 32, 0, 1, said, Stream()))
        if dice.random() < 0.03:
            reports.insert(0, FirstContact(order.attempt, identity, "m", "SHA256:"))
        if dice.random() < 0.03:
            reports.insert(0, Fetched(order.attempt, "/etc/x", "evidence/x", 1, "cd" * 32))
        if dice.random() < 0.03:
            reports.append(last)
        if dice.random() < 0.03:
            reports.append(Finished(attempt=AttemptId("acme/no:no:1"), state=EndState.OK))
        if dice.random() < 0.03:
            reports += [Answers(endpoint=identity), Tidied(endpoint=identity, step=order.step)]
        return reports

    def _finished(self, order: Order) -> Finished:
        dice = self.dice
        identity = order.target.endpoint.id
        if self.away.get(identity, 0.0) > self.clock.monotonic():
            return _ended(order, FailureKind.CONNECT_TIMEOUT, sent=False)
        if dice.random() < self.temper.health:
            return self._well(order)
        trouble = dice.random()
        if trouble < self.temper.away:
            self.away[identity] = self.clock.monotonic() + dice.choice([1.0, 60.0, 9_000.0])
            return _ended(order, FailureKind.REFUSED, sent=False)
        if trouble < self.temper.away + self.temper.silence:
            if dice.random() < 0.5:
                self._do(order)
            kind = dice.choice([FailureKind.LOST, FailureKind.TIMEOUT, FailureKind.ABANDONED])
            return _ended(order, kind, sent=True)
        kind = dice.choice([FailureKind.EXIT_CODE, *FailureKind])
        if kind is FailureKind.VERIFY and order.purpose != "do":
            return self._well(order)  # a look tells the truth
        return _ended(order, kind, sent=dice.random() < 0.5)

    def _well(self, order: Order) -> Finished:
        key = (order.target.endpoint.id, order.step)
        if order.purpose in {"probe", "recheck"}:
            wanted = key in self.done or not order.changes
            if order.purpose == "probe":
                self.probes[order.attempt] = wanted
            return _true(order) if wanted else _ended(order, FailureKind.VERIFY, sent=True)
        if order.purpose == "foresee":
            state = EndState.OK if key in self.done else EndState.SKIPPED
            return Finished(attempt=order.attempt, state=state)
        if order.purpose == "do" and order.check is not None and key in self.done:
            return Finished(attempt=order.attempt, state=EndState.OK)
        self._do(order)
        result: dict[str, object] = {"sick": self.dice.random() < 0.5, "n": 3}
        if self.dice.random() < 0.01:
            result = {"sick": float("nan")}
        return _true(order, result if order.result else None)

    def _do(self, order: Order) -> None:
        key = (order.target.endpoint.id, order.step)
        if order.detach and order.purpose == "do":
            if order.detach in self.detached:
                return  # it was started before and is only looked for
            self.detached.add(order.detach)
        if order.purpose == "undo":
            self.done.discard(key)
        if order.purpose != "do" or (order.check is not None and key in self.done):
            return
        was_done = key in self.done
        self.executed.append(Executed(*key, order.attempt, order.purpose, was_done))
        if order.changes:
            self.done.add(key)


def _true(order: Order, result: dict[str, object] | None = None) -> Finished:
    state = EndState.CHANGED if order.changes else EndState.OK
    return Finished(attempt=order.attempt, state=state, result=result, duration_ms=5)


def _ended(order: Order, kind: FailureKind, *, sent: bool) -> Finished:
    state = end_state_of(kind, sent=sent)
    return Finished(attempt=order.attempt, state=state, failure=kind, detail="no")


def _place_of(order: Order) -> tuple[str, str]:
    return (order.target.endpoint.client, order.target.endpoint.site or "")


def _insist(holds: bool, otherwise: str) -> None:  # noqa: FBT001  (a condition)
    if not holds:
        raise AssertionError(otherwise)
