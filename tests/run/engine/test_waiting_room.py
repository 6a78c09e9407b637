"""The waiting room: who goes there, who comes back, and what those may do who came back."""

from __future__ import annotations

import pytest

from outagekit.events import (
    EndpointExpired,
    EndpointParked,
    EndpointReturned,
    EndState,
    FailureKind,
    RunClosed,
    StepFinished,
    StepStarted,
    WaveBaking,
    WaveJudged,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.inventory.model import Site
from outagekit.playbook.model import Approve, Gate, Rollout
from outagekit.run.engine.situation import Bounds
from outagekit.run.opening import Resumption
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")


def roomy(steps=None, *, on=4, room_s=14_400.0, gate=OPEN, waves=("1", "100%"), **rollout):
    steps = steps or [read("look"), step("mend")]
    spread = Rollout(waves=waves, gate=gate, waiting_room_s=room_s, **rollout)
    return plan_of(steps, on=on, rollout=spread)


class Room:
    """Endpoints that are away until somebody lets them come back."""

    def __init__(self, *away, then=succeed):
        self.away = {f"pos-{n:02d}" for n in away}
        self.then = then
        self.ran = None
        self.at_idle = lambda: None

    def answer(self, order):
        return refuse(order) if order.target.endpoint.name in self.away else self.then(order)

    def back(self, *names):
        for name in names:
            self.away.discard(name)
            self.ran.driver.come_back(f"acme/{name}")

    def prepare(self, ran):
        self.ran = ran
        ran.driver.while_idle = self._idle

    def _idle(self):
        self.at_idle()

    def run(self, plan, tmp_path, **around):
        around.setdefault("clock", FakeClock())
        return Ran(plan, tmp_path, self.answer, prepare=self.prepare, **around)


def test_without_a_room_who_cannot_be_reached_ends_there(tmp_path):
    ran = Ran(roomy(room_s=0.0), tmp_path, scripted({"pos-02 look": refuse}))
    assert not ran.of(EndpointParked)
    assert ran.state_of("acme/pos-02") is EndState.UNREACHABLE
    assert ran.ending.exit_code == 4


@pytest.mark.parametrize(
    "kind", [FailureKind.RESOLVE, FailureKind.CONNECT_TIMEOUT, FailureKind.HANDSHAKE]
)
def test_only_who_cannot_be_reached_goes_there(tmp_path, kind):
    answer = scripted(
        {
            "pos-01 look": lambda order: fail(order, kind, EndState.UNREACHABLE),
            "pos-02 look": fail,
            "pos-03 look": lambda order: fail(order, FailureKind.AUTH),
        }
    )
    ran = Ran(roomy(), tmp_path, answer, clock=FakeClock())
    assert [each.endpoint for each in ran.of(EndpointParked)] == ["acme/pos-01"]


def test_they_do_not_hold_up_the_others_and_the_run_waits_for_them_after_its_last_stage(tmp_path):
    clock = FakeClock()
    room = Room(2)
    ran = room.run(roomy(), tmp_path, clock=clock)
    kinds = [type(e) for e in ran.events]
    assert kinds.index(EndpointExpired) > kinds.index(WaveJudged)
    assert ran.of(WavesCut)[0].sizes == (1, 2)
    assert 14_400 <= clock.monotonic() < 14_500
    assert ran.ending.exit_code == 4
    assert ran.of(RunClosed)[0].counts == {EndState.UNREACHABLE: 1, EndState.CHANGED: 3}


@pytest.mark.parametrize("own", [True, False])
def test_a_site_bears_no_more_than_its_concurrency_of_those_who_come_back(tmp_path, own):
    away = range(3, 9)
    room = Room(*away)
    room.at_idle = lambda: room.back(*(f"pos-{n:02d}" for n in away))
    spread = Rollout(waves=("1", "100%"), gate=OPEN, waiting_room_s=14_400.0)
    sites = [Site(name="leeds", concurrency=2 if own else None)]
    plan = plan_of(
        [read("look"), step("mend")],
        on=endpoints(12, site="leeds"),
        sites=sites,
        rollout=spread,
    )
    ran = room.run(plan, tmp_path, bounds=Bounds(per_site=9 if own else 2))
    assert ran.ending.exit_code == 0
    assert len(ran.of(EndpointReturned)) == 6
    assert ran.driver.most_at_once == 2


def test_one_that_comes_back_takes_what_it_missed_behind_the_others(tmp_path):
    room = Room(2)
    room.at_idle = lambda: room.back("pos-02")
    ran = room.run(roomy(), tmp_path)
    assert ran.orders_of("acme/pos-02") == [("look", "do"), ("look", "do"), ("mend", "do")]
    assert ran.handed_out[-2:] == ["pos-02 look", "pos-02 mend"]
    assert ran.of(EndpointReturned)
    assert ran.state_of("acme/pos-02") is EndState.CHANGED
    assert ran.ending.exit_code == 0


def test_one_that_is_back_before_the_waves_are_cut_is_in_a_wave(tmp_path):
    room = Room(1)

    def then(order):
        if order.attempt == "acme/pos-02:count:1":
            room.back("pos-01")
        return succeed(order)

    room.then = then
    steps = [read("look"), read("count"), step("mend")]
    ran = room.run(roomy(steps), tmp_path, bounds=Bounds(running=1))
    assert ran.of(WavesCut)[0].sizes == (1, 3)


def test_those_in_the_room_count_as_unreachable_at_the_gate(tmp_path):
    gate = Gate(min_answered="0", max_failed="0", max_unreachable="20%", max_unknown="0")
    answer = scripted({"pos-02 mend": refuse, "pos-03 mend": refuse})
    ran = Ran(roomy(on=6, gate=gate), tmp_path, answer, clock=FakeClock())
    assert ran.ending.exit_code == 5
    assert "2 unreachable of 5, at most 1" in ran.ending.why


def open_wave(tmp_path, *, silent=()):
    """Run a wave of five whose first is away for a moment, and back before the others end."""
    gate = Gate(min_answered="0", max_failed="0", max_unreachable="20%", max_unknown="0")
    room = Room()

    def then(order):
        if order.attempt == "acme/pos-02:mend:1":
            room.away.add("pos-02")
            return refuse(order)
        if order.attempt == "acme/pos-03:mend:1":
            room.back("pos-02")
        return refuse(order) if order.attempt in silent else succeed(order)

    room.then = then
    return room.run(roomy(on=6, gate=gate), tmp_path)


def test_a_member_of_the_open_wave_that_comes_back_in_time_is_counted_as_what_it_became(tmp_path):
    ran = open_wave(tmp_path)
    assert ran.ending.exit_code == 0
    judged = next(e for e in ran.of(WaveJudged) if e.wave == 2)
    assert [each.found for each in judged.sums if each.what == "unreachable"] == [1]
    last = next(e for e in ran.of(WaveJudged) if e.wave == 0)
    assert all(each.holds for each in last.sums)


def test_a_member_of_the_open_wave_that_is_back_and_not_done_still_counts_as_missed(tmp_path):
    ran = open_wave(tmp_path, silent={"acme/pos-05:mend:1"})
    assert ran.ending.exit_code == 5
    assert "2 unreachable of 5, at most 1" in ran.ending.why


def test_a_canary_that_comes_back_does_not_run_before_the_first_gate_has_passed(tmp_path):
    room = Room(1)

    def then(order):
        if order.step == "mend":
            room.back("pos-01")
        return succeed(order)

    room.then = then
    ran = room.run(roomy(on=5, waves=("2", "100%")), tmp_path)
    first_gate = next(n for n, e in enumerate(ran.events) if isinstance(e, WaveJudged))
    began = next(
        n
        for n, e in enumerate(ran.events)
        if isinstance(e, StepStarted) and e.attempt.startswith("acme/pos-01:mend")
    )
    assert began > first_gate


def test_nobody_who_came_back_runs_past_a_closed_gate(tmp_path):
    room = Room(1)

    def then(order):
        if order.attempt == "acme/pos-02:mend:1":
            room.back("pos-01")
            return fail(order)
        return succeed(order)

    room.then = then
    ran = room.run(roomy(gate=Gate()), tmp_path)
    assert ran.ending.exit_code == 5
    assert "pos-01 mend" not in ran.handed_out


def test_who_came_back_late_is_judged_by_the_same_gate(tmp_path):
    gate = Gate(min_answered="80%", max_failed="5%", max_unreachable="100%", max_unknown="0")
    room = Room(2, 3)

    def then(order):
        late = order.target.endpoint.name in {"pos-02", "pos-03"} and order.step == "mend"
        return fail(order) if late else succeed(order)

    room.then = then
    room.at_idle = lambda: room.back("pos-02", "pos-03")
    ran = room.run(roomy(on=6, gate=gate), tmp_path)
    assert ran.ending.exit_code == 5
    assert ran.of(WaveStopped)[0].wave == 0
    assert ran.ending.why.startswith("the gate of those who came back is closed: ")


def test_going_past_the_gate_of_those_who_came_back_does_not_loosen_a_waves_gate(tmp_path):
    gate = Gate(min_answered="0", max_failed="5%", max_unreachable="100%", max_unknown="0")
    room = Room(1)

    def then(order):
        name = order.target.endpoint.name
        if name == "pos-02" and order.step == "mend":
            room.back("pos-01")
        if name in {"pos-01", "pos-05"} and order.step == "mend":
            return fail(order)
        return succeed(order)

    room.then = then
    clock = FakeClock()
    plan = roomy(on=8, gate=gate, waves=("1", "100%"))
    ran = room.run(plan, tmp_path, clock=clock, bounds=Bounds(running=1))
    assert (ran.ending.exit_code, ran.of(WaveStopped)[-1].wave) == (5, 0)
    past = Ran(
        ran.folder,
        tmp_path,
        room.answer,
        how=Resumption(past_gate="so"),
        clock=clock,
        bounds=Bounds(running=1),
    )
    assert (past.ending.exit_code, past.of(WaveStopped)[-1].wave) == (5, 2)
    assert "pos-06 mend" not in past.handed_out


def test_everybody_is_away_at_the_survey_and_then_300_come_back(tmp_path):
    """They begin one by one and double, as waves would, and never past a failure."""
    names = [f"pos-{n:02d}" for n in range(1, 301)]
    room = Room(*range(1, 301))
    room.at_idle = lambda: room.back(*sorted(room.away))
    at_work, most = set(), []

    def then(order):
        if order.step == "mend":
            at_work.discard(order.target.endpoint.name)
        return succeed(order)

    room.then = then
    ran = room.run(roomy(on=300, gate=Gate()), tmp_path, bounds=Bounds(running=64))
    assert ran.ending.exit_code == 0
    assert ran.of(WavesCut)[0].sizes == ()
    done = 0
    for event in ran.events:
        if isinstance(event, StepStarted) and event.step == "mend":
            at_work.add(event.endpoint)
            most.append((len(at_work), done))
        elif isinstance(event, StepFinished) and event.step == "mend":
            at_work.discard(event.endpoint)
            done += 1
    assert done == len(names)
    assert all(running <= max(1, proven) for running, proven in most)
    assert max(running for running, _ in most) > 30


def test_300_who_come_back_stop_at_the_first_that_fails(tmp_path):
    room = Room(*range(1, 301), then=lambda o: fail(o) if o.step == "mend" else succeed(o))
    room.at_idle = lambda: room.back(*sorted(room.away))
    ran = room.run(roomy(on=300, gate=Gate()), tmp_path)
    assert ran.ending.exit_code == 5
    assert len([o for o in ran.handed_out if o.endswith("mend")]) == 1


def test_the_room_is_open_for_an_endpoint_once_however_often_it_comes_and_goes(tmp_path):
    clock = FakeClock()
    room = Room(2)
    room.at_idle = lambda: room.ran.driver.come_back("acme/pos-02")
    ran = room.run(roomy(room_s=600.0), tmp_path, clock=clock)
    assert clock.monotonic() < 700
    assert len(ran.of(EndpointReturned)) > 10
    left_ms = [each.for_ms for each in ran.of(EndpointParked)]
    assert left_ms == sorted(left_ms, reverse=True)
    assert ran.ending.exit_code == 4


class Counted(dict):
    """Counts how often somebody looks at all of it."""

    looks = 0

    def values(self):
        self.looks += 1
        return super().values()


def looks_at_everybody(tmp_path, number):
    """Return how often a run looked at all endpoints in which so many come back."""
    room = Room(*range(2, number + 1))

    def prepare(ran):
        room.prepare(ran)
        state = ran.coordinator._state
        state.progress = Counted(state.progress)

    def at_idle():
        room.back(*sorted(room.away))

    room.at_idle = at_idle
    plan = roomy(on=number)
    ran = Ran(plan, tmp_path, room.answer, prepare=prepare, clock=FakeClock())
    assert ran.ending.exit_code == 0
    return ran.ending.state.progress.looks


def test_each_one_that_comes_back_costs_no_look_at_all_the_others(tmp_path):
    assert looks_at_everybody(tmp_path / "few", 10) == looks_at_everybody(tmp_path / "many", 40)


def test_one_whose_port_answers_and_nothing_else_is_left_alone_longer_each_time(tmp_path):
    clock, delays = FakeClock(), []
    answer = scripted({"pos-02 mend": refuse})

    def at_idle(ran):
        delay_s = ran.driver.watched.get("acme/pos-02")
        if delay_s is not None:
            delays.append(delay_s)
            clock.advance(delay_s)
            ran.driver.come_back("acme/pos-02")

    def prepare(ran):
        ran.driver.while_idle = lambda: at_idle(ran)

    ran = Ran(roomy(on=2), tmp_path, answer, prepare=prepare, clock=clock)
    assert ran.state_of("acme/pos-02") is EndState.UNREACHABLE
    assert delays[:11] == [0.0, *[2.0] * 5, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert len(delays) < 14_400 / 30


def test_ctrl_c_leaves_the_room_and_a_resume_opens_it_again_for_its_whole_time(tmp_path):
    clock = FakeClock()
    room = Room(2)
    room.at_idle = lambda: room.ran.coordinator.stop("Ctrl-C")
    first = room.run(roomy(), tmp_path, clock=clock)
    assert (first.ending.exit_code, clock.monotonic() < 60) == (6, True)
    clock.advance(20_000.0)
    room.at_idle = lambda: clock.monotonic() > 30_000 and room.back("pos-02")
    again = Ran(first.folder, tmp_path, room.answer, prepare=room.prepare, clock=clock)
    assert again.ending.exit_code == 0
    assert again.state_of("acme/pos-02") is EndState.CHANGED


def test_a_doubt_that_cannot_be_looked_at_waits_as_unknown_and_is_looked_at_on_return(tmp_path):
    steps = [read("look"), step("mend", check="is it")]
    room = Room()

    def then(order):
        if order.attempt == "acme/pos-02:mend:1":
            room.away.add("pos-02")
            return lose(order)
        return succeed(order)

    room.then = then
    room.at_idle = lambda: room.back("pos-02")
    ran = room.run(roomy(steps), tmp_path)
    assert ran.orders_of("acme/pos-02")[1:] == [
        ("mend", "do"),
        ("mend", "probe"),
        ("mend", "probe"),
    ]
    assert ran.ending.exit_code == 0


def test_a_doubt_whose_endpoint_never_comes_back_stays_unknown(tmp_path):
    steps = [read("look"), step("mend", check="is it")]
    room = Room()

    def then(order):
        if order.attempt == "acme/pos-02:mend:1":
            room.away.add("pos-02")
            return lose(order)
        return succeed(order)

    room.then = then
    ran = room.run(roomy(steps), tmp_path)
    assert ran.state_of("acme/pos-02") is EndState.UNKNOWN
    assert ran.ending.exit_code == 4


def test_who_comes_back_late_is_baked_every_one_of_them(tmp_path):
    steps = [read("look"), step("mend", verify="ok")]
    room = Room(2, 3)
    clock = FakeClock()

    def come_back():
        if clock.monotonic() > 2_000:
            room.back("pos-02")
        if clock.monotonic() > 8_000:
            room.back("pos-03")

    room.at_idle = come_back
    ran = room.run(roomy(steps, bake_s=900.0), tmp_path, clock=clock)
    looks = [o for o in ran.handed_out if o.endswith("recheck")]
    assert sorted(looks) == [f"pos-0{n} mend recheck" for n in (1, 2, 3, 4)]
    assert [(e.wave, e.endpoints) for e in ran.of(WaveBaking)] == [(1, 1), (2, 1), (0, 1), (0, 1)]


def test_a_refusal_by_a_person_empties_the_room_of_those_it_concerns(tmp_path):
    clock = FakeClock()
    ask = read("ask", action=Approve("May we?"), once="run", phase="contain", timeout_s=3600.0)
    room = Room(2)
    room.at_idle = lambda: room.ran.say("ask", "no")
    ran = room.run(roomy([read("look"), ask, step("mend")]), tmp_path, clock=clock)
    assert ran.ending.exit_code == 6
    assert clock.monotonic() < 3_600


def test_the_gate_of_those_who_came_back_is_tried_again_like_any_other(tmp_path):
    gate = Gate(min_answered="80%", max_failed="5%", max_unreachable="100%", max_unknown="0")
    room = Room(2, 3)
    bad = {"pos-02"}

    def then(order):
        return (
            fail(order)
            if order.step == "mend" and order.target.endpoint.name in bad
            else (succeed(order))
        )

    room.then = then
    room.at_idle = lambda: room.back("pos-02", "pos-03")
    clock = FakeClock()
    ran = room.run(roomy(on=4, gate=gate), tmp_path, clock=clock)
    assert (ran.ending.exit_code, ran.of(WaveStopped)[0].wave) == (5, 0)
    bad.clear()
    again = Ran(ran.folder, tmp_path, room.answer, clock=clock)
    assert again.handed_out[0] == "pos-02 mend"
    assert [e.wave for e in again.of(WaveReopened)] == [0]
    assert again.ending.exit_code == 0


def test_a_failure_in_a_wave_is_not_laid_to_those_who_came_back_in_an_earlier_stage(tmp_path):
    gate = Gate(min_answered="0", max_failed="0", max_unreachable="100%", max_unknown="0")
    steps = [read("look"), step("mend"), step("polish", phase="verify")]
    room = Room(2)

    def then(order):
        if order.attempt == "acme/pos-01:polish:1":
            room.back("pos-02")
        return fail(order) if order.attempt == "acme/pos-04:polish:1" else succeed(order)

    room.then = then
    plan = roomy(steps, gate=gate, waves=("1", "2", "100%"))
    left = room.run(plan, tmp_path, bounds=Bounds(running=1))
    assert left.ending.state.spreads[2].stragglers
    assert [(e.stage, e.wave) for e in left.of(WaveStopped)] == [(3, 3)]
    assert left.ending.exit_code == 5
    again = Ran(left.folder, tmp_path, clock=FakeClock())
    assert again.handed_out[0] == "pos-04 polish"
    assert again.ending.exit_code == 0


def test_a_gate_that_others_keep_closed_closes_where_they_are_so_that_they_are_tried_again(
    tmp_path,
):
    """Two fail at once where none may: one that came back, and one in a wave of the next stage."""
    gate = Gate(min_answered="0", max_failed="0", max_unreachable="100%", max_unknown="0")
    steps = [read("look"), step("mend"), step("polish", phase="verify")]
    room = Room(2)

    def then(order):
        if order.attempt == "acme/pos-04:mend:1":
            room.back("pos-02")
        ill = {"acme/pos-02:mend:1", "acme/pos-03:polish:1", "acme/pos-03:polish:2"}
        return fail(order) if order.attempt in ill else succeed(order)

    room.then = then
    plan = roomy(steps, gate=gate, waves=("1", "100%"))
    clock = FakeClock()
    left = room.run(plan, tmp_path, bounds=Bounds(running=4), clock=clock)
    assert left.ending.state.counts()[EndState.FAILED] == 2
    for _ in range(4):
        left = Ran(left.folder, tmp_path, room.answer, clock=clock)
        if left.ending.exit_code != 5:
            break
    assert left.ending.exit_code == 0
    assert {(e.stage, e.wave) for e in left.of(WaveStopped)} == {(2, 0), (3, 2)}
