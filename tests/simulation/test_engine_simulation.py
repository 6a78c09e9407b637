"""Whole runs drawn from a seed: plans, waves, gates, endpoints, people, kills and resumes.

The engine is the real one; its clock, its log and the endpoints are simulated, so that a run
takes milliseconds and the same seed is the same run. What must hold of every run is checked by
counting on its own, from the records and from what the endpoints really did.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from math import ceil, floor
from subprocess import PIPE, Popen

import msgspec
import pytest

from outagekit.errors import LogUnwritable
from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndpointExpired,
    EndpointParked,
    EndpointReturned,
    EndState,
    FailureKind,
    Note,
    OnceFinished,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepUndone,
    StepVerified,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.inventory.model import Site
from outagekit.log.record import decode_line
from outagekit.playbook.model import Approve, Gate, Manual, Retry, Rollout
from outagekit.run.coordinator import Coordinator
from outagekit.run.engine.fold import fold
from outagekit.run.engine.rollout import sums_at_gate
from outagekit.run.engine.situation import Bounds
from outagekit.run.engine.state import begin
from outagekit.run.surroundings import Surroundings
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.simulation import RUN, Killed, SimulatedLog, World, drawn_temper

PHASES = ("assess", "contain", "fix", "verify")
SITES = ("", "leeds", "york")
RESULT = {"sick": "bool", "n": "int"}
ASKED = ("changed", "ok", "skipped", "failed", "sick", "n > 2", "state == 'ok'", "sick > 'x'")
"""What `when` asks of an earlier step; the last one fails on every value."""
WORST = tuple(EndState)
BAD = WORST[:3]
MOST_LIVES = 40
LAST_STOPPED = 6


class Simulation:
    """One run from a seed, through all its lives, to its end or until nobody takes it up again."""

    def __init__(self, number):
        self.dice = dice = random.Random(number)
        self.clock = FakeClock()
        self.plan = drawn_plan(dice)
        self.bounds = Bounds(running=dice.randint(1, 12), per_site=dice.choice([None, 1, 3]))
        fail_after = dice.randint(0, 120) if dice.random() < 0.05 else None
        self.log = SimulatedLog(self.clock, fail_after)
        self.world = World(dice, self.clock, self.log, drawn_temper(dice))
        self.attended = dice.random() < 0.5
        self.endings = []
        self.fault = self.named = None
        """Why the log failed, and the same if it was the coordinator who said so."""
        self.lives = 0
        self.coordinator = None
        self._read = None
        """The state the next life begins with, and how many records it stands for."""
        self._live()
        self.events = [record.event for record in self.log.records]

    def _live(self):  # noqa: C901  (one walk over everything that can happen)
        self._record(
            RunOpened(
                playbook="p",
                title="P",
                plan="d",
                clients=(),
                endpoints=1,
                os_user="kim",
                machine="m",
                version="1",
            )
        )
        while self.fault is None and self.lives < MOST_LIVES:
            self.lives += 1
            try:
                ending = self._one_life()
            except Killed:
                self.log.tear(len(self.log.records) - self.dice.randint(0, 3))
            except LogUnwritable as fault:
                self.fault = self.named = fault
                return
            else:
                self.endings.append(ending)
                if isinstance(self.log.records[-1].event, RunClosed):
                    return
                if len([e for e in self.endings if e.exit_code == 5]) > 3:
                    return
            self.world.let_go()
            self._minded_anew()
            self.clock.advance(self.dice.choice([0.0, 5.0, 4_000.0]))
            retry = self._retry()
            self._record(RunResumed(os_user="kim", version="1", retry=retry))
            if not retry:
                self._go_past()
            if self.lives > 6:
                self.world.temper.patience = max(self.world.temper.patience, 0.3)

    def _minded_anew(self):
        """Have somebody stop a later life as well, now and then, but not every one."""
        temper = self.world.temper
        temper.stops = self.dice.choice([0, 0, 0, 1]) if self.lives <= LAST_STOPPED else 0
        temper.stop_at = self.world.calls + self.dice.randint(1, 40)

    def _record(self, event):
        try:
            self.log.append(event).wait()
        except LogUnwritable as fault:
            self.fault = fault

    def _retry(self):
        return self._taken_up().closed_gate is None or self.dice.random() < 0.5

    def _go_past(self):
        state = self._taken_up()
        stage, wave = state.closed_gate
        self._record(WaveReopened(stage=stage, wave=wave, sums=sums_at_gate(state), because="so"))

    def replayed(self):
        state = begin(self.plan, RUN)
        for line in self.log.lines:
            state = fold(state, decode_line(line))
        return state

    def _taken_up(self):
        """Return the state as the log has it, read anew once for each life, then only its tail."""
        state, number = self._read or (begin(self.plan, RUN), 0)
        for line in self.log.lines[number:]:
            state = fold(state, decode_line(line))
        self._read = state, len(self.log.lines)
        return state

    def _one_life(self):
        # The coordinator goes on in this very state, so it is no use to the life after.
        state, self._read = self._taken_up(), None
        coordinator = self.coordinator = Coordinator(
            state,
            log=self.log,
            driver=self.world,
            around=Surroundings(
                spool=lambda text: f"{len(text):064d}",
                now_ns=self.clock.mono_ns,
                look=self.world.look,
                attended=self.attended,
            ),
            bounds=self.bounds,
        )
        self.world.questions = lambda: {
            name: question.answers for name, question in coordinator._state.questions.items()
        }
        self.world.during = self._maybe_stop
        return coordinator.run()

    def _maybe_stop(self):
        world = self.world
        if world.stopped < world.temper.stops and world.calls >= world.temper.stop_at:
            world.stopped += 1
            world.temper.stop_at = world.calls + 1
            self.coordinator.stop("Ctrl-C")


def drawn_plan(dice):
    steps = []
    for number in range(dice.randint(1, 7)):
        phase = PHASES[min(number * len(PHASES) // 7 + dice.randint(0, 1), 3)]
        steps.append(drawn_step(dice, f"s{number}", phase, steps))
    chosen = [
        each
        for client in ("acme", "borealis")[: dice.randint(1, 2)]
        for site in SITES
        for each in named(dice.choice([0, 1, 1, 2, 3, 5]), client, site)
    ] or named(1, "acme", "")
    sites = [Site(name=site, concurrency=dice.choice([None, 1, 2])) for site in SITES if site]
    changing = [each.id for each in steps if each.changes]
    rollout = Rollout(
        first=dice.choice([None, "site:york"]),
        waves=dice.choice([("1", "25%", "100%"), ("100%",), ("2", "50%"), ("10%", "20", "80%")]),
        pause=dice.choice(["none", "none", "first", "each"]),
        bake_s=dice.choice([0.0, 0.0, 30.0]),
        gate=Gate(
            min_answered=dice.choice(["0", "80%", "3"]),
            max_failed=dice.choice(["5%", "40%", "100%", "0", "3"]),
            max_unreachable=dice.choice(["20%", "100%", "2"]),
            max_unknown=dice.choice(["0", "50%", "100%", "4"]),
        ),
        waiting_room_s=dice.choice([0.0, 0.0, 30.0, 600.0]),
        pounce=dice.choice([None, dice.choice(changing)]) if changing else None,
        apart=dice.choice([None, "site:leeds"]),
    )
    return plan_of(
        steps,
        on=chosen,
        sites=sites,
        rollout=rollout,
        survey=dice.random() < 0.5,
        dry_run=dice.random() < 0.05,
        undo_on_failure=dice.random() < 0.3,
    )


def drawn_step(dice, name, phase, steps):  # noqa: C901  (one walk over everything that can happen)
    fields = {"phase": phase}
    if dice.random() < 0.12:
        action = dice.choice([Manual("do it"), Approve("may we?")])
        once = dice.choice([None, "client", "run", "run"])
        return read(name, action=action, once=once, timeout_s=600.0, **fields)
    if dice.random() < 0.4:
        fields["result"] = RESULT
    earlier = [each for each in steps if not each.once]
    if earlier and dice.random() < 0.4:
        fields["when"] = f"{dice.choice(earlier).id}.{dice.choice(ASKED)}"
    if earlier and dice.random() < 0.2:
        fields["with_"] = {"newest": f"{dice.choice(earlier).id}.n", "fixed": 7}
    if dice.random() < 0.3:
        delay_s = dice.choice([0.0, 0.5, 30.0])
        fields["retry"] = Retry(attempts=dice.randint(1, 4), delay_s=delay_s, backoff=2)
    fields["always"] = dice.random() < 0.1
    fields["detach"] = dice.random() < 0.08
    fields["on_doubt"] = dice.choice([None, None, None, "probe", "rerun", "ask", "skip"])
    if dice.random() < 0.4:
        return read(name, **fields)
    for part in ("check", "verify", "undo"):
        if dice.random() < 0.5:
            fields[part] = f"{part} {name}"
    return step(name, **fields)


def named(number, client, site):
    return [
        msgspec.structs.replace(each, name=f"{site or 'no'}-{each.name}")
        for each in endpoints(number, client=client, site=site or None)
    ]


def check(simulation):
    check_bounds(simulation)
    check_order(simulation)
    check_gates(simulation)
    check_counts(simulation)
    check_retries(simulation)
    check_doubt(simulation)
    check_nothing_is_done_twice(simulation)
    check_replay(simulation)
    if simulation.named is not None:
        check_fault(simulation)
    elif simulation.events and isinstance(simulation.events[-1], RunClosed):
        check_closed(simulation)


def check_fault(simulation):
    """What began and has no end in the log is named, be it known, unproven or in doubt."""
    ended = {
        getattr(e, "attempt", None) for e in simulation.events if not isinstance(e, StepStarted)
    }
    last = max((n for n, e in enumerate(simulation.events) if isinstance(e, RunResumed)), default=0)
    for event in simulation.events[last:]:
        began = isinstance(event, StepStarted) and event.attempt in simulation.world.began
        if began and event.attempt not in ended:
            assert f"{event.endpoint} {event.step}" in simulation.fault.message


def check_bounds(simulation):
    assert simulation.world.most_out <= simulation.bounds.running
    for (client, site), most in simulation.world.most_at.items():
        if site:
            own = simulation.plan.client(client).sites[site].concurrency
            assert most <= (own or simulation.bounds.per_site or most)


def check_order(simulation):
    """Attempt numbers rise, nobody takes two steps at once, stages follow each other.

    Who did not come back in its time takes no step any more, except what always happens.
    """
    always = {each.id for each in simulation.plan.steps if each.always}
    numbers, running, stage, expired = Counter(), {}, 0, set()
    for event in simulation.events:
        match event:
            case RunResumed():
                expired.clear()
            case EndpointExpired():
                expired.add(event.endpoint)
            case StageOpened():
                assert event.stage > stage
                stage = event.stage
            case StepStarted():
                key = (event.endpoint, event.step)
                assert event.endpoint not in running
                assert event.endpoint not in expired or event.step in always
                assert event.number > numbers[key]
                numbers[key] = event.number
                running[event.endpoint] = event.attempt
            case StepFinished() | StepInDoubt() | StepResolved() | StepVerified() | StepUndone():
                if event.attempt and running.get(event.endpoint) == event.attempt:
                    del running[event.endpoint]
    assert len(set(simulation.world.began)) == len(simulation.world.began)


class Waves:
    """Who is in which wave, and how they stand, counted from the records alone."""

    def __init__(self, plan):
        self.plan = plan
        self.stage_of = {name: s.number for s in plan.stages for name in s.steps}
        self.changing = {each.id for each in plan.steps if each.changes}
        self.members = defaultdict(set)
        self.begun = defaultdict(set)
        self.open = (0, 0)
        self.closed = None
        self.passed = Counter()
        self.sizes = {}
        self.borne = {}
        """What a person went past, of the lines that count over the whole run."""


def check_gates(simulation):  # noqa: C901, PLR0912  (one walk over everything that can happen)
    """No change begins in a wave whose limits are exceeded, nor past a closed gate."""
    if simulation.plan.dry_run:
        return
    waves = Waves(simulation.plan)
    gate = simulation.plan.rollout.gate
    for record in simulation.log.records:
        event = record.event
        match event:
            case WavesCut():
                waves.sizes[event.stage] = event.sizes
            case WaveOpened():
                assert waves.closed is None
                assert event.endpoints == waves.sizes[event.stage][event.wave - 1]
                assert waves.passed[event.stage] == event.wave - 1
                check_limits(gate, event, waves.borne)
                waves.open = (event.stage, event.wave)
            case WaveJudged():
                assert event.passed == all(each.holds for each in event.sums)
                check_sums(event.sums)
                if event.passed and event.wave:
                    waves.passed[event.stage] = event.wave
                elif not event.passed:
                    waves.closed = (event.stage, event.wave)
            case WaveStopped():
                check_sums(event.sums)
                assert not all(each.holds for each in event.sums)
                waves.closed = (event.stage, event.wave)
            case WaveReopened():
                assert waves.closed == (event.stage, event.wave)
                waves.closed = None
                gone_past = [s for s in event.sums if event.because and not s.holds]
                waves.borne.update({borne_line(event.stage, s): s.found for s in gone_past})
            case StepFinished(state=EndState.FAILED):
                waves.begun[waves.stage_of[event.step]].add(event.endpoint)
            case StepStarted():
                if event.purpose == "do" and event.step in waves.changing:
                    check_change(waves, event)
                waves.begun[waves.stage_of[event.step]].add(event.endpoint)
            case _:
                pass


def check_change(waves, event):
    stage = waves.stage_of[event.step]
    assert stage in waves.sizes, "a change began before the waves were cut"
    if waves.closed is not None:
        assert event.endpoint in waves.begun[stage], f"{event.attempt} began past a closed gate"
        return
    known = {w for (s, w), m in waves.members.items() if s == stage and event.endpoint in m}
    if known:
        return
    if (stage, waves.open[1]) == waves.open and waves.passed[stage] < waves.open[1]:
        wave = waves.open[1]
        members = waves.members[stage, wave]
        if len(members) < waves.sizes[stage][wave - 1]:
            members.add(event.endpoint)
            return
    if waves.sizes[stage]:
        assert waves.passed[stage], "somebody came back before the first gate had passed"
    waves.members[stage, 0].add(event.endpoint)


def borne_line(stage, line):
    return (stage if line.what == "answered" else 0, line.what, line.scope)


def check_limits(gate, event, borne):
    """Resolve the gate once more, by hand."""
    for limit in event.limits:
        text = getattr(gate, f"{'min' if limit.what == 'answered' else 'max'}_{limit.what}")
        whole = event.endpoints if text.endswith("%") else limit.of
        assert limit.of >= event.endpoints
        rounded = ceil if limit.what == "answered" else floor
        number = rounded(Fraction(text[:-1]) * whole / 100) if text.endswith("%") else int(text)
        number = min(number, whole) if limit.what == "answered" else number
        if limit.scope == "run":
            worse = min if limit.what == "answered" else max
            number = worse(number, borne.get(borne_line(event.stage, limit), number))
        assert limit.limit == number
        assert limit.scope == ("wave" if text.endswith("%") else "run")


def check_sums(sums):
    for each in sums:
        good = each.found >= each.limit if each.what == "answered" else each.found <= each.limit
        assert each.holds == good


def check_counts(simulation):  # noqa: C901  (one walk over everything that can happen)
    """A judgement counts everybody of its wave who failed or is unknown, whatever else it counts.

    Counted are those who certainly are of the wave: who began a change in it for the first time,
    and neither came back late nor waited for an answer before.
    """
    changing = {each.id for each in simulation.plan.steps if each.changes}
    stage_of = {name: s.number for s in simulation.plan.stages for name in s.steps}
    begun, members, odd, ends = set(), set(), set(), {}
    for event in simulation.events:
        match event:
            case WaveOpened():
                members = set()
            case RunResumed() if event.retry:
                ends.clear()
            case EndpointReturned():
                odd.add(event.endpoint)
            case ApprovalAsked() if event.endpoint:
                odd.add(event.endpoint)
            case StepStarted():
                ends.pop((event.endpoint, event.step), None)
                place = (event.endpoint, stage_of[event.step])
                if event.purpose == "do" and event.step in changing and place not in begun:
                    begun.add(place)
                    members.add(event.endpoint)
            case StepFinished(retry_in_ms=None) | StepResolved() | StepVerified():
                ends[event.endpoint, event.step] = event.state
            case WaveJudged() if event.wave:
                here = [(i, end) for (i, s), end in ends.items() if stage_of[s] == event.stage]
                for what in (EndState.FAILED, EndState.UNKNOWN):
                    known = {i for i, end in here if end is what and i in members - odd}
                    if what is EndState.UNKNOWN:
                        known -= {i for i, end in here if end is EndState.FAILED}
                    sums = [each for each in event.sums if each.what == what.value]
                    assert all(each.found >= len(known) for each in sums)
            case _:
                pass


def check_retries(simulation):
    """Only an exit code is tried again, as often as was said, and not before its delay is over."""
    steps = {each.id: each for each in simulation.plan.steps}
    tried, due = Counter(), {}
    for record in simulation.log.records:
        event = record.event
        if isinstance(event, RunResumed):
            tried.clear()
            due.clear()  # run time goes by the wall clock meanwhile
        elif isinstance(event, StepStarted):
            assert record.mono >= due.pop((event.endpoint, event.step), 0)
        elif isinstance(event, StepFinished):
            key = (event.endpoint, event.step)
            if event.retry_in_ms is None:
                tried[key] = 0
                continue
            assert event.failure is FailureKind.EXIT_CODE
            tried[key] += 1
            assert tried[key] < steps[event.step].retry.attempts
            due[key] = record.mono + event.retry_in_ms * 1_000_000
            most_ms = steps[event.step].retry.delay_before(tried[key] + 1) * 1000
            assert event.retry_in_ms >= int(most_ms)


def check_doubt(simulation):  # noqa: C901  (one walk over everything that can happen)
    """Unknown never becomes success without a look, a person, or a new attempt that was due."""
    steps = {each.id: each for each in simulation.plan.steps}
    doubted, ever, looked_at, undone = set(), set(), set(), set()
    for event in simulation.events:
        match event:
            case StepStarted(purpose="undo"):
                undone.add(event.attempt)
            case StepStarted() if event.purpose != "do":
                looked_at.add(event.attempt)
            case StepInDoubt() | StepUndone(state=EndState.UNKNOWN) if event.attempt in undone:
                ever.add((event.endpoint, event.step))
            case StepInDoubt() if event.attempt not in looked_at:
                doubted.add((event.endpoint, event.step))
                ever.add((event.endpoint, event.step))
            case StepVerified(state=EndState.UNKNOWN):
                ever.add((event.endpoint, event.step))
            case StepResolved():
                key = (event.endpoint, event.step)
                assert key in ever
                if event.how == "probed" and event.state in {EndState.CHANGED, EndState.OK}:
                    assert simulation.world.probes[event.attempt], "a doubt was guessed away"
                if event.how == "probed" and event.state is None:
                    assert simulation.world.probes[event.attempt] is False
                if event.how == "rerun" and event.state is None:
                    each = steps[event.step]
                    assert each.on_doubt == "rerun" or not each.changes or each.detach
                if event.how in {"rerun", "skipped"} and event.state is not None:
                    assert event.state is EndState.UNKNOWN
                doubted.discard(key)
            case StepFinished():
                assert simulation.plan.dry_run or (event.endpoint, event.step) not in doubted


def check_nothing_is_done_twice(simulation):  # noqa: C901  (one walk over everything that can happen)
    """A change that was done is done again only where the playbook or a person has said so."""
    steps = {each.id: each for each in simulation.plan.steps}
    allowed = defaultdict(set)
    detached = {each.id for each in simulation.plan.steps if each.detach}
    for event in simulation.events:
        key = (getattr(event, "endpoint", None), getattr(event, "step", None))
        looked_for = key[1] in detached and getattr(event, "how", "") == "rerun"
        if (
            isinstance(event, StepResolved)
            and event.how in {"answered", "rerun"}
            and not looked_for
        ):
            allowed[key].add("said")
        if isinstance(event, StepFinished | StepResolved) and event.state in BAD:
            allowed[key].add("failed")
        if isinstance(event, StepVerified) and event.failure is FailureKind.VERIFY:
            allowed[key].add("failed")
        if isinstance(event, StepFinished) and event.retry_in_ms is not None:
            allowed[key].add("retry")
        if isinstance(event, StepUndone):
            allowed[key].add("undone")
    for each in simulation.world.executed:
        if each.was_done and steps[each.step].changes:
            assert allowed[each.endpoint, each.step], f"{each.attempt} was done twice"


def check_replay(simulation):
    """The records as they would be read from disk lead to the very state the run had."""
    if simulation.fault is None and simulation.endings:
        again = simulation.replayed()
        if isinstance(simulation.log.records[-1].event, RunClosed | RunPaused):
            assert again == simulation.endings[-1].state
        assert again == simulation.replayed()


def check_closed(simulation):
    state = simulation.endings[-1].state
    last = simulation.events[-1]
    counts = state.counts()
    assert last.counts == counts
    assert sum(counts.values()) == len(simulation.plan.endpoints)
    assert not state.running
    assert not state.parked
    assert not state.questions
    assert state.closed_gate is None
    refused = any(
        isinstance(e, OnceFinished | StepFinished) and e.refused for e in simulation.events
    )
    silent = counts.get(EndState.UNKNOWN, 0) + counts.get(EndState.UNREACHABLE, 0)
    expected = 6 if refused else 3 if counts.get(EndState.FAILED) else 4 if silent else 0
    if not any(p.refused for p in state.progress.values()):
        expected = 3 if counts.get(EndState.FAILED) else 4 if silent else 0
    assert last.exit_code == expected
    for progress in state.progress.values():
        finished = progress.ended or progress.position == len(simulation.plan.steps)
        assert finished, f"{progress.endpoint.id} was left at {progress.position}"
        assert not progress.undo
        assert not progress.recheck


def simulate(numbers):
    seen = Counter()
    for number in numbers:
        try:
            simulation = Simulation(number)
            check(simulation)
        except Exception as fault:
            fault.add_note(f"seed {number}")
            raise
        seen["runs"] += 1
        seen["orders"] += len(simulation.world.began)
        seen["log failed"] += simulation.fault is not None
        seen["lives"] += simulation.lives
        seen.update(f"exit {ending.exit_code}" for ending in simulation.endings)
        seen.update({type(e).__name__ for e in simulation.events})
        seen.update({e.failure for e in simulation.events if isinstance(e, StepFinished)})
        seen.update({f"how {e.how}" for e in simulation.events if isinstance(e, StepResolved)})
    return seen


BLOCKS = 25
SEEDS = 200
"""In each block."""


class Simulating:
    """A process that simulates every n-th block of seeds, beside others that do the rest."""

    def __init__(self, first, step):
        words = [sys.executable, "-W", "error", __file__, str(first), str(step)]
        self.process = Popen(words, stdout=PIPE, stderr=PIPE, text=True)
        self.told = {}

    def runs_of(self, block):
        while block not in self.told:
            line = self.process.stdout.readline()
            if not line:
                pytest.fail(self.process.communicate()[1])
            self.told |= dict([json.loads(line)])
        return self.told[block]

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def simulating():
    # What pytest-xdist runs beside this has cores of its own.
    beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = max(1, (os.cpu_count() or 1) // beside)
    processes = [Simulating(first, number) for first in range(number)]
    yield processes
    for process in processes:
        process.close()


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_happens_the_promises_of_a_run_hold(block, simulating):
    assert simulating[block % len(simulating)].runs_of(block) == SEEDS


EVENTS = (
    ApprovalGiven,
    EndpointParked,
    EndpointReturned,
    Note,
    OnceFinished,
    RunClosed,
    RunPaused,
    RunResumed,
    RunStopping,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepUndone,
    StepVerified,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)


def test_the_seeds_reach_every_ending_every_event_and_every_failure():
    seen = simulate(range(10_000, 10_300))
    assert {f"exit {code}" for code in (0, 3, 4, 5, 6, 130)} <= set(seen)
    assert {each.__name__ for each in EVENTS} <= set(seen)
    assert {f"how {how}" for how in ("probed", "rerun", "answered", "skipped")} <= set(seen)
    assert seen["log failed"] > 3
    assert set(FailureKind) <= set(seen)
    assert seen["orders"] > 2000


@pytest.mark.slow
def test_a_night_of_seeds():
    simulate(range(1_000_000, 1_200_000))


def main(first, step):
    for block in range(first, BLOCKS, step):
        seen = simulate(range(block * SEEDS, (block + 1) * SEEDS))
        print(json.dumps([block, seen["runs"]]), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
