"""Bake: a wave rests, and what it changed is looked at again before its gate is judged."""

from __future__ import annotations

import pytest

from outagekit.events import (
    EndpointParked,
    EndState,
    FailureKind,
    StepFinished,
    StepStarted,
    StepVerified,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
)
from outagekit.playbook.model import Gate, Reboot, Rollout
from outagekit.run.opening import Resumption
from outagekit.run.orders import Finished
from outagekit.run.replay import replay
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")


def baking(steps=None, *, on=3, waves=("1", "100%"), gate=OPEN, **rollout):
    steps = steps or [read("look"), step("mend", verify="ok")]
    spread = Rollout(waves=waves, bake_s=900.0, gate=gate, **rollout)
    return plan_of(steps, on=on, rollout=spread)


def broken(order):
    return fail(order, FailureKind.VERIFY)


def on_boot(boots):
    """Answer well, and say on which boot the machine is."""

    def answer(order):
        state = EndState.CHANGED if order.changes else EndState.OK
        boot = boots.get((order.target.endpoint.name, order.step, order.purpose), "boot-1")
        return Finished(attempt=order.attempt, state=state, boot_id=boot)

    return answer


def test_a_wave_is_verified_again_after_its_bake_and_then_judged(tmp_path):
    clock = FakeClock()
    ran = Ran(baking(), tmp_path, clock=clock)
    assert ran.handed_out[3:] == [
        "pos-01 mend",
        "pos-01 mend recheck",
        "pos-02 mend",
        "pos-03 mend",
        "pos-02 mend recheck",
        "pos-03 mend recheck",
    ]
    kinds = [
        type(e).__name__ for e in ran.events if isinstance(e, WaveOpened | WaveBaking | WaveJudged)
    ]
    assert kinds == ["WaveOpened", "WaveBaking", "WaveJudged"] * 2
    assert [(e.wave, e.endpoints, e.for_ms) for e in ran.of(WaveBaking)] == [
        (1, 1, 900_000),
        (2, 2, 900_000),
    ]
    assert 1_800 <= clock.monotonic() < 1_900


def test_nothing_is_looked_at_before_the_bake_is_over(tmp_path):
    ran = Ran(baking(on=1), tmp_path, clock=FakeClock())
    baked = next(r.mono for r in ran.records if isinstance(r.event, WaveBaking))
    looked = next(
        r.mono
        for r in ran.records
        if isinstance(r.event, StepStarted) and r.event.purpose == "recheck"
    )
    assert looked - baked >= 900_000_000_000


def test_only_what_was_changed_is_baked(tmp_path):
    def answer(order):
        fine = order.step == "mend" and order.target.endpoint.name != "pos-03"
        state = EndState.OK if fine or not order.changes else EndState.CHANGED
        return Finished(attempt=order.attempt, state=state)

    clock = FakeClock()
    ran = Ran(baking(), tmp_path, answer, clock=clock)
    assert [(e.wave, e.endpoints) for e in ran.of(WaveBaking)] == [(2, 1)]
    assert [o for o in ran.handed_out if "recheck" in o] == ["pos-03 mend recheck"]
    assert clock.monotonic() < 1_000


def test_an_endpoint_that_does_not_hold_has_failed_and_its_gate_counts_it(tmp_path):
    plan = baking(gate=Gate())
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend recheck": broken}), clock=FakeClock())
    assert ran.ending.exit_code == 5
    assert "1 failed of 1" in ran.ending.why
    assert ran.of(StepVerified)[0].state is EndState.FAILED
    assert ran.state_of("acme/pos-01") is EndState.FAILED


def test_it_is_looked_at_by_verify_of_every_changed_step(tmp_path):
    steps = [read("look"), step("one", verify="a"), step("two"), step("three", check="b")]
    ran = Ran(baking(steps, on=1), tmp_path, clock=FakeClock())
    assert ran.handed_out[4:] == ["pos-01 one recheck", "pos-01 three recheck"]


def test_where_nothing_can_be_verified_it_is_seen_that_the_endpoint_still_answers(tmp_path):
    steps = [read("look"), step("one"), step("two")]
    ran = Ran(baking(steps, on=1), tmp_path, clock=FakeClock())
    assert ran.handed_out[3:] == ["pos-01 two recheck"]
    assert len(ran.of(WaveBaking)) == 1


def test_a_machine_that_restarted_by_itself_while_it_baked_has_failed(tmp_path):
    boots = {("pos-02", "mend", "recheck"): "boot-2"}
    ran = Ran(baking(), tmp_path, on_boot(boots), clock=FakeClock())
    assert ran.state_of("acme/pos-02") is EndState.FAILED
    verified = next(e for e in ran.of(StepVerified) if e.endpoint == "acme/pos-02")
    assert verified.detail == "the machine has restarted since, and not by this run"
    assert ran.ending.exit_code == 3


def test_our_own_restart_is_no_reason_to_fail(tmp_path):
    steps = [read("look"), step("mend", verify="ok"), step("restart", action=Reboot(600.0))]
    boots = {
        ("pos-01", "restart", "do"): "boot-2",
        ("pos-01", "mend", "recheck"): "boot-2",
    }
    ran = Ran(baking(steps, on=1), tmp_path, on_boot(boots), clock=FakeClock())
    assert ran.ending.exit_code == 0
    assert [o for o in ran.handed_out if "recheck" in o] == ["pos-01 mend recheck"]


def test_one_that_does_not_come_back_after_our_own_restart_has_failed(tmp_path):
    steps = [read("look"), step("restart", action=Reboot(600.0))]
    answer = scripted({"pos-01 restart": lambda o: fail(o, FailureKind.NOT_BACK)})
    ran = Ran(baking(steps, on=2), tmp_path, answer, clock=FakeClock())
    end = next(e for e in ran.of(StepFinished) if e.failure is FailureKind.NOT_BACK)
    assert (end.endpoint, end.state) == ("acme/pos-01", EndState.FAILED)
    assert ran.ending.exit_code == 3


@pytest.mark.parametrize(("nothing", "state"), [(lose, "unknown"), (refuse, "unreachable")])
def test_one_that_does_not_answer_after_the_bake_is_not_taken_for_good(tmp_path, nothing, state):
    answer = scripted({"pos-01 mend recheck": nothing})
    ran = Ran(baking(gate=Gate()), tmp_path, answer, clock=FakeClock())
    assert ran.ending.exit_code == 5
    assert ran.state_of("acme/pos-01").value == state


def test_one_that_went_away_while_it_baked_waits_in_the_room_and_does_not_hold_its_wave(tmp_path):
    plan = baking(waiting_room_s=14_400.0)
    clock = FakeClock()
    away = {"pos-01"}

    def answer(order):
        gone = order.purpose == "recheck" and order.target.endpoint.name in away
        return refuse(order) if gone else succeed(order)

    def come_back(ran):
        if clock.monotonic() > 5_000:
            away.clear()
            ran.driver.come_back("acme/pos-01")

    ran = Ran(
        plan,
        tmp_path,
        answer,
        clock=clock,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: come_back(r)),
    )
    assert [e.endpoint for e in ran.of(EndpointParked)] == ["acme/pos-01"]
    first = ran.of(WaveJudged)[0]
    assert {each.what: each.found for each in first.sums}["unreachable"] == 1
    assert ran.handed_out[-1] == "pos-01 mend recheck"
    assert len(ran.of(WaveBaking)) == 2
    assert ran.ending.exit_code == 0


def test_a_look_that_closed_the_gate_is_repeated_by_a_resume_and_the_change_is_not(tmp_path):
    plan = baking(gate=Gate())
    clock = FakeClock()
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend recheck": refuse}), clock=clock)
    assert ran.ending.exit_code == 5
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.handed_out[0] == "pos-01 mend recheck"
    assert "pos-01 mend" not in again.handed_out
    assert again.ending.exit_code == 0


def test_what_did_not_hold_is_done_again_by_a_resume_and_baked_again(tmp_path):
    plan = baking(gate=Gate())
    clock = FakeClock()
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend recheck": broken}), clock=clock)
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.handed_out[:2] == ["pos-01 mend", "pos-01 mend recheck"]
    assert again.of(WaveReopened)
    assert [e.wave for e in again.of(WaveBaking)] == [1, 1, 2]
    assert again.ending.exit_code == 0


def test_who_held_already_is_not_baked_once_more_because_of_another(tmp_path):
    plan = baking(on=4, waves=("100%",), gate=Gate(max_failed="0"))
    clock = FakeClock()
    ran = Ran(plan, tmp_path, scripted({"pos-03 mend recheck": broken}), clock=clock)
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.ending.exit_code == 0
    looks = [o for o in again.handed_out if "recheck" in o]
    assert looks.count("pos-03 mend recheck") == 1
    assert [(e.wave, e.endpoints) for e in again.of(WaveBaking)] == [(1, 4), (1, 1)]


def test_past_the_gate_nobody_who_held_is_baked_again(tmp_path):
    plan = baking(on=3, waves=("100%",), gate=Gate(max_failed="0"))
    clock = FakeClock()
    ran = Ran(plan, tmp_path, scripted({"pos-03 mend recheck": broken}), clock=clock)
    past = Ran(ran.folder, tmp_path, clock=clock, how=Resumption(past_gate="so"))
    assert past.ending.exit_code == 3
    assert len(past.of(WaveBaking)) == 1


def test_without_a_bake_a_wave_is_judged_at_once_and_nothing_is_looked_at_again(tmp_path):
    plan = plan_of([read("look"), step("mend", verify="ok")], on=3, rollout=Rollout())
    ran = Ran(plan, tmp_path)
    assert not ran.of(WaveBaking)
    assert not ran.of(StepVerified)


def test_a_bake_goes_on_over_a_resume_where_it_was(tmp_path):
    clock = FakeClock()

    def stop(ran):
        if clock.monotonic() > 300:
            ran.coordinator.stop("Ctrl-C")

    ran = Ran(
        baking(on=1),
        tmp_path,
        clock=clock,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: stop(r)),
    )
    assert ran.ending.exit_code == 6
    clock.advance(400.0)
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.ending.exit_code == 0
    assert 900 <= clock.monotonic() < 950
    assert again.handed_out == ["pos-01 mend recheck"]


@pytest.mark.parametrize("back_s", [3_600.0, 20 * 365 * 86_400.0])
def test_a_wall_clock_set_back_before_a_resume_makes_no_bake_longer(tmp_path, back_s):
    clock = FakeClock()

    def stop(ran):
        if clock.monotonic() > 300:
            ran.coordinator.stop("Ctrl-C")

    def stop_when_idle(ran):
        ran.driver.while_idle = lambda: stop(ran)

    ran = Ran(baking(on=1), tmp_path, clock=clock, prepare=stop_when_idle)
    clock.jump(-back_s)
    left_s = clock.monotonic()
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.ending.exit_code == 0
    assert 590 <= clock.monotonic() - left_s < 650
    assert replay(again.folder) == again.ending.state


def test_what_a_step_reported_is_not_forgotten_because_it_could_not_be_looked_at_again(tmp_path):
    steps = [
        read("look"),
        step("one", verify="ok", result={"n": "int"}),
        step("two", verify="ok", with_={"n": "one.n"}),
    ]

    def answer(order):
        if order.attempt == "acme/pos-01:one:2":
            return lose(order)
        result = {"n": 3} if order.result and order.purpose == "do" else None
        return Finished(attempt=order.attempt, state=succeed(order).state, result=result)

    clock = FakeClock()
    ran = Ran(baking(steps, on=1, gate=Gate()), tmp_path, answer, clock=clock)
    assert ran.ending.exit_code == 5
    again = Ran(ran.folder, tmp_path, answer, clock=clock)
    assert again.handed_out == ["pos-01 one recheck", "pos-01 two recheck"]
    assert again.driver.orders[-1].values["n"] == 3
    assert again.ending.exit_code == 0
