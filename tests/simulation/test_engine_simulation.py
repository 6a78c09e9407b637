"""Whole runs drawn from a seed: random plans, endpoints, failures, retries, limits and stops.

The engine is the real one; its clock, its log and the endpoints are simulated, so that a run
takes milliseconds and the same seed is the same run. What must hold of every run is checked by
counting on its own, from the records and from what the endpoints saw.
"""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from outagekit.errors import LogUnwritable
from outagekit.events import (
    EndState,
    FailureKind,
    Record,
    RunClosed,
    RunId,
    RunPaused,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepStarted,
    end_state_of,
)
from outagekit.inventory.model import Site
from outagekit.log.clock import stamp
from outagekit.log.record import decode_line, encode_event, encode_line, seed
from outagekit.playbook.model import Retry
from outagekit.run.coordinator import Coordinator
from outagekit.run.decide import Bounds
from outagekit.run.orders import Fetched, Finished, FirstContact, Order, Part, Stream
from outagekit.run.state import begin, fold
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.clock import FakeClock

RUN = RunId("20261122T081403Z-simulated-x7q2")
PHASES = ("assess", "fix", "verify")
SITES = ("", "leeds", "york")
RESULT = {"sick": "bool", "n": "int"}
ASKED = ("changed", "ok", "skipped", "failed", "sick", "n > 2", "state == 'ok'", "sick > 'x'")
"""What `when` asks of an earlier step; the last one fails on every value."""
WORST = (
    EndState.FAILED,
    EndState.UNKNOWN,
    EndState.UNREACHABLE,
    EndState.CHANGED,
    EndState.OK,
    EndState.SKIPPED,
)
MOST_CALLS = 20_000


class SimulatedLog:
    """A log in memory: what was appended is durable once somebody has waited for it."""

    def __init__(self, clock, fail_after):
        self.lines = []
        self.records = []
        self.durable = set()
        self.failed = None
        self._clock = clock
        self._left = fail_after
        self._sha = seed(RUN)

    def append(self, event):
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
            life="life",
            run=RUN,
            event=encoded.event,
        )
        line, self._sha = encode_line(record, encoded.body, dur=-1, prev=self._sha)
        self.lines.append(line)
        self.records.append(record)
        return SimulatedAppended(record, self)


class SimulatedAppended:
    def __init__(self, record, log):
        self.record = record
        self._log = log

    def wait(self):
        if self._log.failed:
            raise self._log.failed
        for record in self._log.records[: self.record.seq + 1]:
            if isinstance(record.event, StepStarted):
                self._log.durable.add(record.event.attempt)


class SimulatedEndpoints:
    """A driver that answers in random order, late, twice or not at all, and keeps count."""

    def __init__(self, dice, clock, log):
        self.began = []
        self.cancelled = set()
        self.out = {}
        self.most_out = 0
        self.most_at = Counter()
        self.faults = []
        self.during = lambda: None
        self.stopped = 0
        self.calls = 0
        self._dice = dice
        self._clock = clock
        self._log = log
        self._hang = dice.choice([0.0, 0.0, 0.1])
        self._health = dice.choice([1.0, 0.9, 0.6, 0.2])

    def submit(self, order):
        assert order.attempt in self._log.durable, "begun before its record was durable"
        assert self._log.failed is None, "begun although the log had failed"
        assert not self.stopped, "begun although somebody had asked to stop"
        assert order.attempt not in self.began, "an attempt id was handed out twice"
        assert msgspec.json.decode(msgspec.json.encode(order), type=Order) == order
        self.began.append(order.attempt)
        self.out[order.attempt] = order
        self.most_out = max(self.most_out, len(self.out))
        place = (order.target.endpoint.client, order.target.endpoint.site)
        here = [o for o in self.out.values() if place == _place_of(o)]
        self.most_at[place] = max(self.most_at[place], len(here))
        on_endpoint = [o for o in here if o.target.endpoint == order.target.endpoint]
        assert len(on_endpoint) == 1, "two steps at once on one endpoint"

    def cancel(self, attempt):
        self.cancelled.add(attempt)

    def reports(self, timeout_s):
        self.calls += 1
        assert self.calls < MOST_CALLS, "the run does not end"
        self._clock.advance(self._dice.choice([0.0, 0.01, timeout_s]))
        if self._dice.random() < 0.02:
            self._clock.jump(self._dice.choice([-3600, 3600]))
        self.during()
        found = []
        waiting = list(self.out)
        for attempt in self._dice.sample(waiting, self._dice.randint(0, len(waiting))):
            found += self._answers(self.out.pop(attempt))
        return found

    def close(self, grace_s):
        pass

    def _answers(self, order):
        dice = self._dice
        if dice.random() < self._hang:
            self._clock.advance(300.0)
        last = self._finished(order)
        reports = [last]
        if dice.random() < 0.3:
            said = Stream(dice.choice(["ok\n", "x" * 20_000, "\udc80\x00"]), 3)
            reports.insert(0, Part(order.attempt, "script", "ab" * 32, 0, 1, said, Stream()))
        if dice.random() < 0.05:
            reports.insert(0, FirstContact(order.attempt, order.target.endpoint.id, "m", "SHA256:"))
        if dice.random() < 0.05:
            reports.insert(0, Fetched(order.attempt, "/etc/x", "evidence/x", 1, "cd" * 32))
        if dice.random() < 0.05:
            reports.append(last)
        if dice.random() < 0.05:
            reports.append(Finished(attempt="acme/nobody:nothing:1", state=EndState.OK))
        return reports

    def _finished(self, order):
        if self._dice.random() < self._health:
            state = EndState.CHANGED if order.changes else EndState.OK
            result = {"sick": self._dice.random() < 0.5, "n": 3} if order.result else None
            if self._dice.random() < 0.01:
                result = {"sick": float("nan")}
            return Finished(attempt=order.attempt, state=state, result=result, duration_ms=5)
        kind = self._dice.choice([FailureKind.EXIT_CODE, *FailureKind])
        state = end_state_of(kind, sent=self._dice.random() < 0.5)
        return Finished(attempt=order.attempt, state=state, failure=kind, detail="no")


def _place_of(order):
    return (order.target.endpoint.client, order.target.endpoint.site)


class Simulation:
    """One run from a seed to its end."""

    def __init__(self, number):
        dice = random.Random(number)
        self.clock = FakeClock()
        self.plan = drawn_plan(dice)
        self.bounds = Bounds(running=dice.randint(1, 12), per_site=dice.choice([None, 1, 3]))
        fail_after = dice.randint(0, 80) if dice.random() < 0.1 else None
        self.log = SimulatedLog(self.clock, fail_after)
        self.driver = SimulatedEndpoints(dice, self.clock, self.log)
        self.coordinator = Coordinator(
            self.plan,
            run=RUN,
            log=self.log,
            driver=self.driver,
            spool=lambda text: f"{len(text):064d}",
            bounds=self.bounds,
            now_ns=self.clock.mono_ns,
        )
        self.stops = dice.choice([0, 0, 0, 1, 2])
        self.stop_at = dice.randint(1, 60)
        self.driver.during = self._maybe_stop
        self.ending = self.fault = None
        try:
            self.ending = self.coordinator.run()
        except LogUnwritable as fault:
            self.fault = fault
        self.events = [record.event for record in self.log.records]

    def _maybe_stop(self):
        driver = self.driver
        if driver.stopped < self.stops and driver.calls >= self.stop_at + 3 * driver.stopped:
            driver.stopped += 1
            self.coordinator.stop("Ctrl-C")


def drawn_plan(dice):
    steps = []
    for number in range(dice.randint(1, 6)):
        phase = PHASES[min(number * len(PHASES) // 6 + dice.randint(0, 1), 2)]
        fields = {"phase": phase}
        if dice.random() < 0.4:
            fields["result"] = RESULT
        if steps and dice.random() < 0.5:
            earlier = dice.choice(steps)
            fields["when"] = f"{earlier.id}.{dice.choice(ASKED)}"
        if steps and dice.random() < 0.3:
            fields["with_"] = {"newest": f"{dice.choice(steps).id}.n", "fixed": 7}
        if dice.random() < 0.4:
            delay_s = dice.choice([0.0, 0.5, 30.0])
            fields["retry"] = Retry(attempts=dice.randint(1, 4), delay_s=delay_s, backoff=2)
        make = read if dice.random() < 0.4 else step
        steps.append(make(f"s{number}", **fields))
    chosen = [
        each
        for client in ("acme", "borealis")[: dice.randint(1, 2)]
        for site in SITES
        for each in named(dice.randint(0, 6), client, site)
    ] or named(1, "acme", "")
    sites = [Site(name=site, concurrency=dice.choice([None, 1, 2])) for site in SITES if site]
    return plan_of(steps, on=chosen, sites=sites)


def named(number, client, site):
    return [
        msgspec.structs.replace(each, name=f"{site or 'no'}-{each.name}")
        for each in endpoints(number, client=client, site=site or None)
    ]


def check(simulation):
    check_bounds(simulation)
    check_order(simulation)
    check_retries(simulation)
    check_replay(simulation)
    if simulation.ending is not None:
        check_ending(simulation)
    else:
        check_fault(simulation)


def check_fault(simulation):
    """What began and has no end in the log is named, be it known, unproven or in doubt."""
    ended = {e.attempt for e in simulation.events if isinstance(e, StepFinished)}
    for event in simulation.events:
        if isinstance(event, StepStarted) and event.attempt in set(simulation.driver.began) - ended:
            assert f"{event.endpoint} {event.step}" in simulation.fault.message


def check_bounds(simulation):
    assert simulation.driver.most_out <= simulation.bounds.running
    for (client, site), most in simulation.driver.most_at.items():
        if site is not None:
            own = simulation.plan.client(client).sites[site].concurrency
            assert most <= (own or simulation.bounds.per_site or most)


def check_order(simulation):
    """Steps come in their order, stages do not overlap, and an ended endpoint is left alone."""
    place = {step.id: n for n, step in enumerate(simulation.plan.steps)}
    stage_of = {name: each.number for each in simulation.plan.stages for name in each.steps}
    at, running, over, stage = {}, set(), set(), 0
    for event in simulation.events:
        match event:
            case StageOpened():
                assert not running
                assert event.stage == stage + 1
                assert event.endpoints == len(simulation.plan.endpoints) - len(over)
                stage = event.stage
            case StepStarted():
                assert event.endpoint not in over
                assert event.endpoint not in running
                assert stage_of[event.step] == stage
                assert place[event.step] == at.get(event.endpoint, 0)
                running.add(event.endpoint)
            case StepFinished() | StepInDoubt():
                assert event.endpoint not in over
                assert (event.endpoint in running) == bool(event.attempt)
                running.discard(event.endpoint)
                if isinstance(event, StepFinished) and event.retry_in_ms is not None:
                    continue
                at[event.endpoint] = at.get(event.endpoint, 0) + 1
                bad = isinstance(event, StepInDoubt) or event.state in WORST[:3]
                over |= {event.endpoint} if bad else set()


def check_retries(simulation):
    """Only an exit code is tried again, not before its delay, and not more often than allowed."""
    steps = {each.id: each for each in simulation.plan.steps}
    due = {}
    for record in simulation.log.records:
        event = record.event
        if isinstance(event, StepStarted):
            assert event.number == due.get(event.endpoint, (0, 0))[1] + 1
            assert event.number <= steps[event.step].retry.attempts
            assert record.mono >= due.pop(event.endpoint, (0, 0))[0]
        elif isinstance(event, StepFinished) and event.retry_in_ms is not None:
            assert event.failure is FailureKind.EXIT_CODE
            number = int(event.attempt.rsplit(":", 1)[1])
            due[event.endpoint] = (record.mono + event.retry_in_ms * 1_000_000, number)


def check_replay(simulation):
    """The records as they would be read from disk lead to the very state the run had."""
    state = begin(simulation.plan)
    for line in simulation.log.lines:
        state = fold(state, decode_line(line))
    assert state == simulation.coordinator._state


def check_ending(simulation):
    worst = {endpoint.id: EndState.SKIPPED for endpoint in simulation.plan.endpoints}
    for event in simulation.events:
        if isinstance(event, StepInDoubt):
            worst[event.endpoint] = min(worst[event.endpoint], EndState.UNKNOWN, key=WORST.index)
        elif isinstance(event, StepFinished) and event.retry_in_ms is None:
            worst[event.endpoint] = min(worst[event.endpoint], event.state, key=WORST.index)
    counts = Counter(worst.values())
    ending = simulation.ending
    assert ending.state.counts() == dict(counts)
    assert sum(counts.values()) == len(simulation.plan.endpoints)
    assert not ending.state.running
    last = simulation.events[-1]
    if isinstance(last, RunPaused):
        assert simulation.driver.stopped
        assert ending.exit_code == (130 if simulation.driver.stopped == 2 else 6)
        doubts = {e.attempt for e in simulation.events if isinstance(e, StepInDoubt)}
        assert doubts == simulation.driver.cancelled
        return
    assert isinstance(last, RunClosed)
    assert last.counts == dict(counts)
    assert ending.why == ""
    silent = counts[EndState.UNKNOWN] + counts[EndState.UNREACHABLE]
    assert ending.exit_code == last.exit_code
    assert ending.exit_code == (3 if counts[EndState.FAILED] else 4 if silent else 0)
    begun = {e.endpoint for e in simulation.events if isinstance(e, StepFinished | StepInDoubt)}
    assert begun == set(worst), "the run was closed with endpoints it never looked at"


def simulate(numbers):
    seen = Counter()
    for number in numbers:
        simulation = Simulation(number)
        try:
            check(simulation)
        except AssertionError as fault:
            fault.add_note(f"seed {number}")
            raise
        seen["runs"] += 1
        seen["orders"] += len(simulation.driver.began)
        seen["log failed"] += simulation.fault is not None
        if simulation.ending:
            seen[simulation.ending.exit_code] += 1
        seen.update({e.failure for e in simulation.events if isinstance(e, StepFinished)})
    return seen


@pytest.mark.parametrize("block", range(10))
def test_whatever_happens_the_promises_of_a_run_hold(block):
    seen = simulate(range(block * 50, block * 50 + 50))
    assert seen["runs"] == 50


def test_the_seeds_reach_every_ending_and_every_failure():
    seen = simulate(range(500, 620))
    assert {0, 3, 4, 6, 130} <= set(seen)
    assert seen["log failed"] > 3
    assert set(FailureKind) <= set(seen)
    assert seen["orders"] > 2000


@pytest.mark.slow
def test_a_night_of_seeds():
    simulate(range(1_000, 21_000))
