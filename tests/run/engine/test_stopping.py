"""Stopping: what still ends, what does not begin, and how the run is left, in every phase."""

from __future__ import annotations

import pytest

from outagekit.events import (
    EndState,
    RunClosed,
    RunPaused,
    RunStopping,
    StepInDoubt,
    StepStarted,
    WaveJudged,
    WaveOpened,
    WaveStopped,
)
from outagekit.playbook.model import Approve, Gate, Manual, Retry, Rollout
from outagekit.run.engine.situation import Bounds
from outagekit.run.wishes import StopWish
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")


def waves(steps=None, *, on=4, gate=OPEN, **rollout):
    steps = steps or [read("look"), step("mend")]
    return plan_of(steps, on=on, rollout=Rollout(waves=("1", "100%"), gate=gate, **rollout))


def stopped_at(plan, tmp_path, attempt, answer=succeed, *, times=1, **around):
    """Run a plan in which somebody stops while this attempt runs."""
    holder = {}

    def then(order):
        if order.attempt == attempt:
            for _ in range(times):
                holder["ran"].coordinator.stop("Ctrl-C")
        return answer(order)

    around.setdefault("clock", FakeClock())
    return Ran(plan, tmp_path, then, prepare=lambda r: holder.update(ran=r), **around)


def stopped_while_idle(plan, tmp_path, answer=succeed, *, after_s=0.0, times=1, **around):
    """Run a plan in which somebody stops while nothing runs."""
    clock = around.setdefault("clock", FakeClock())

    def idle(ran):
        if clock.monotonic() > after_s:
            for _ in range(times):
                ran.coordinator.stop("Ctrl-C")

    return Ran(
        plan,
        tmp_path,
        answer,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: idle(r)),
        **around,
    )


def test_running_steps_come_to_their_end_and_it_is_said_how_many(tmp_path):
    ran = stopped_at(waves(on=6), tmp_path, "acme/pos-02:look:1")
    assert len(ran.handed_out) == 6
    assert [(e.why, e.running) for e in ran.of(RunStopping)] == [("Ctrl-C", 4)]
    assert ran.ending.state.counts() == {EndState.OK: 6}
    assert (ran.ending.exit_code, ran.ending.why) == (6, "Ctrl-C")


def test_nothing_else_begins_not_even_the_next_step_of_an_endpoint(tmp_path):
    steps = [step("one"), step("two")]
    ran = stopped_at(plan_of(steps, on=2), tmp_path, "acme/pos-01:one:1", bounds=Bounds(running=1))
    assert ran.handed_out == ["pos-01 one"]
    again = Ran(ran.folder, tmp_path)
    assert again.handed_out == ["pos-01 two", "pos-02 one", "pos-02 two"]
    assert again.ending.exit_code == 0


def test_a_second_stop_records_a_doubt_for_what_runs_and_waits_for_nothing(tmp_path):
    ran = stopped_at(waves(on=3), tmp_path, "acme/pos-01:look:1", times=2)
    assert ran.ending.exit_code == 130
    assert {e.endpoint for e in ran.of(StepInDoubt)} == {"acme/pos-02", "acme/pos-03"}
    assert isinstance(ran.of(RunPaused)[-1], RunPaused)
    assert len(ran.driver.cancelled) == 2


def test_a_second_stop_while_nothing_runs_leaves_at_once(tmp_path):
    ran = stopped_while_idle(waves(bake_s=900.0), tmp_path, times=2)
    assert ran.ending.exit_code == 130
    assert not ran.of(StepInDoubt)


def test_a_stop_through_the_inbox_is_a_first_stop_however_often_it_comes(tmp_path):
    letters = [StopWish(who="Jo", os_user="kim", why="wrong site", letter="stop")] * 3
    plan = waves([read("look"), step("mend")], bake_s=900.0)
    ran = Ran(
        plan,
        tmp_path,
        clock=FakeClock(),
        look=lambda: [letters.pop()] if letters else [],
    )
    assert ran.ending.exit_code == 6
    stopping = ran.of(RunStopping)
    assert [(e.why, e.who) for e in stopping] == [("stopped by Jo: wrong site", "Jo")]


def test_the_first_ctrl_c_after_a_stop_through_the_inbox_is_still_the_first(tmp_path):
    holder = {}

    def answer(order):
        if not holder.get("said"):
            holder["said"] = True
            holder["ran"].coordinator.hear(StopWish(os_user="kim"))
        elif not holder.get("pressed"):
            holder["pressed"] = True
            holder["ran"].coordinator.stop("Ctrl-C")
        return succeed(order)

    ran = Ran(waves(on=3), tmp_path, answer, prepare=lambda r: holder.update(ran=r))
    assert ran.ending.exit_code == 6
    assert not ran.of(StepInDoubt)


def test_a_stop_between_two_waves_opens_no_other(tmp_path):
    ran = stopped_at(waves(), tmp_path, "acme/pos-01:mend:1")
    assert [e.wave for e in ran.of(WaveOpened)] == [1]
    assert [e.wave for e in ran.of(WaveJudged)] == [1]
    again = Ran(ran.folder, tmp_path)
    assert [e.wave for e in again.of(WaveOpened)] == [1, 2]
    assert again.ending.exit_code == 0


def test_a_stop_during_a_bake_leaves_it_unfinished_and_judges_nothing(tmp_path):
    ran = stopped_while_idle(waves(bake_s=900.0), tmp_path, after_s=100.0)
    assert ran.ending.exit_code == 6
    assert not ran.of(WaveJudged)
    assert "recheck" not in " ".join(ran.handed_out)


def test_a_stop_while_a_question_is_open_leaves_it_to_the_resume(tmp_path):
    ask = read("ask", action=Approve("May we?"), once="run", phase="fix", timeout_s=3600.0)
    clock = FakeClock()
    ran = stopped_while_idle(plan_of([ask, step("mend")], on=1), tmp_path, clock=clock)
    assert (ran.ending.exit_code, ran.handed_out) == (6, [])
    assert clock.monotonic() < 100
    again = Ran(
        ran.folder,
        tmp_path,
        clock=clock,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: r.say("ask", "yes")),
    )
    assert again.ending.exit_code == 0


def test_a_stop_at_a_pause_between_waves_is_no_answer_to_it(tmp_path):
    ran = stopped_while_idle(waves(pause="first"), tmp_path)
    assert (ran.ending.exit_code, ran.ending.why) == (6, "Ctrl-C")
    assert "pause-2.1" in ran.ending.state.questions


def test_a_stop_while_the_waiting_room_is_open_leaves_it_as_it_is(tmp_path):
    ran = stopped_while_idle(
        waves(waiting_room_s=14_400.0), tmp_path, scripted({"pos-02 look": refuse})
    )
    assert ran.ending.exit_code == 6
    assert list(ran.ending.state.parked) == ["acme/pos-02"]
    assert not ran.of(RunClosed)


def test_a_stop_while_somebody_waits_for_a_retry_does_not_wait_for_it(tmp_path):
    clock = FakeClock()
    plan = waves([read("look"), step("mend", retry=Retry(attempts=3, delay_s=3600.0))], on=1)
    ran = stopped_while_idle(plan, tmp_path, scripted({"pos-01 mend": fail}), clock=clock)
    assert ran.ending.exit_code == 6
    assert clock.monotonic() < 100
    clock.advance(3600.0)
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert (again.handed_out, again.ending.exit_code) == (["pos-01 mend"], 0)


def test_a_stop_lets_no_look_at_a_doubt_begin(tmp_path):
    plan = waves([read("look"), step("mend", check="is it")])
    ran = stopped_at(plan, tmp_path, "acme/pos-01:mend:1", scripted({"pos-01 mend": lose}))
    assert ran.ending.exit_code == 6
    assert "pos-01 mend probe" not in ran.handed_out
    assert Ran(ran.folder, tmp_path).handed_out[0] == "pos-01 mend probe"


def test_a_stop_at_a_closed_gate_pauses_with_the_gates_code(tmp_path):
    """One more runs while the gate is closed already; the stop comes then."""
    plan = plan_of(
        [read("look"), step("mend")],
        on=4,
        rollout=Rollout(waves=("100%",), gate=Gate(max_failed="0")),
    )
    ran = stopped_at(plan, tmp_path, "acme/pos-03:mend:1", scripted({"pos-01 mend": fail}))
    assert ran.of(WaveStopped)
    assert ran.ending.exit_code == 5
    assert ran.ending.why.startswith("the gate of wave 1 is closed")


def test_a_stop_at_the_second_try_of_a_gate_does_not_open_it(tmp_path):
    steps = [read("look"), step("mend"), step("tidy")]
    first = Ran(waves(steps, gate=Gate()), tmp_path, scripted({"pos-01 tidy": fail}))
    assert first.ending.exit_code == 5
    holder = {}
    again = Ran(
        first.folder,
        tmp_path,
        prepare=lambda r: (holder.update(ran=r), r.coordinator.stop("Ctrl-C")),
    )
    assert (again.ending.exit_code, again.handed_out) == (5, [])
    last = Ran(first.folder, tmp_path)
    assert last.handed_out[0] == "pos-01 tidy"
    assert last.ending.exit_code == 0


def test_a_retry_that_was_waited_for_when_the_second_try_was_stopped_comes_before_the_gate_opens(
    tmp_path,
):
    steps = [read("look"), step("mend", retry=Retry(attempts=2, delay_s=600.0))]
    clock = FakeClock()
    bad = scripted({"pos-01 mend": fail})
    first = Ran(waves(steps, gate=Gate()), tmp_path, bad, clock=clock)
    again = stopped_at(first.folder, tmp_path, "acme/pos-01:mend:3", bad, clock=clock)
    assert again.ending.exit_code == 5
    last = Ran(first.folder, tmp_path, bad, clock=clock)
    assert (last.ending.exit_code, last.handed_out) == (5, ["pos-01 mend"])


def test_a_stop_that_comes_when_everything_is_done_closes_the_run_all_the_same(tmp_path):
    ran = stopped_at(waves(on=1), tmp_path, "acme/pos-01:mend:1")
    assert (ran.ending.exit_code, ran.ending.why) == (0, "")
    assert ran.of(RunClosed)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"pos-01 mend": fail, "pos-02 mend": lose}, 3),
        ({"pos-01 mend": refuse, "pos-02 mend": lose}, 4),
        ({"pos-01 mend": refuse}, 4),
        ({}, 0),
    ],
)
def test_the_code_of_a_run_that_came_to_its_end_is_that_of_the_worst(tmp_path, answer, code):
    plan = plan_of([step("mend", on_doubt="skip")], on=3)
    ran = Ran(plan, tmp_path, scripted(answer))
    assert ran.ending.exit_code == code


def test_a_gate_outweighs_a_refusal_and_a_refusal_a_failure(tmp_path):
    """Of 5, 6, 3 and 4 the first one that applies is the code."""
    call = read("call", action=Manual("Ring."), phase="contain", timeout_s=600.0)
    plan = waves([call, step("mend")], on=4, gate=Gate())

    def people(ran):
        words = {"pos-01": "no", "pos-02": "yes", "pos-03": "yes", "pos-04": "yes"}
        ran.driver.while_idle = lambda: [ran.say(f"call@acme/{n}", w) for n, w in words.items()]

    ran = Ran(plan, tmp_path, scripted({"pos-02 mend": fail}), prepare=people, clock=FakeClock())
    assert ran.ending.exit_code == 5
    open_plan = waves([call, step("mend")], on=4)
    answer = scripted({"pos-02 mend": fail, "pos-03 mend": refuse})
    ran = Ran(open_plan, tmp_path, answer, prepare=people, clock=FakeClock())
    assert ran.ending.state.counts()[EndState.FAILED] == 1
    assert ran.ending.exit_code == 6


def test_a_stop_before_anything_began_begins_nothing(tmp_path):
    ran = Ran(waves(), tmp_path, prepare=lambda r: r.coordinator.stop("SIGTERM"))
    assert (ran.ending.exit_code, ran.ending.why) == (6, "SIGTERM")
    assert not ran.of(StepStarted)
    assert Ran(ran.folder, tmp_path).ending.exit_code == 0
