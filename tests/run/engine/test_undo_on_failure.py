"""What an endpoint had changed is taken back when a later step fails there."""

from __future__ import annotations

import pytest

from outagekit.events import (
    EndState,
    FailureKind,
    RunPaused,
    StepInDoubt,
    StepStarted,
    StepUndone,
    WaveStopped,
)
from outagekit.playbook.model import Gate, Rollout
from outagekit.run.opening import Resumption
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted


def undoing(steps, **fields):
    return plan_of(steps, undo_on_failure=True, **fields)


def three_steps():
    return [
        step("one", undo="undo one"),
        step("two", undo="undo two"),
        step("three", undo="undo three"),
    ]


def undos_of(ran):
    return [o for o in ran.handed_out if o.endswith(" undo")]


def broken(order):
    return fail(order, FailureKind.VERIFY)


def test_changed_steps_are_taken_back_in_reverse_order_on_that_endpoint_only(tmp_path):
    ran = Ran(undoing(three_steps(), on=3), tmp_path, scripted({"pos-02 three": fail}))
    assert undos_of(ran) == ["pos-02 two undo", "pos-02 one undo"]
    assert [(e.step, e.state) for e in ran.of(StepUndone)] == [
        ("two", EndState.CHANGED),
        ("one", EndState.CHANGED),
    ]
    assert ran.state_of("acme/pos-02") is EndState.FAILED
    assert ran.state_of("acme/pos-03") is EndState.CHANGED
    assert ran.ending.exit_code == 3


def test_without_the_flag_nothing_is_taken_back(tmp_path):
    ran = Ran(plan_of(three_steps(), on=1), tmp_path, scripted({"pos-01 three": fail}))
    assert not undos_of(ran)


def test_the_step_that_failed_and_those_that_changed_nothing_are_left_as_they_are(tmp_path):
    def answer(order):
        if order.step == "two":
            return succeed(order).__class__(attempt=order.attempt, state=EndState.OK)
        return fail(order) if order.step == "three" else succeed(order)

    ran = Ran(undoing(three_steps(), on=1), tmp_path, answer)
    assert undos_of(ran) == ["pos-01 one undo"]


def test_a_step_without_undo_is_passed_over(tmp_path):
    steps = [step("one", undo="undo one"), step("two"), step("three")]
    ran = Ran(undoing(steps, on=1), tmp_path, scripted({"pos-01 three": fail}))
    assert undos_of(ran) == ["pos-01 one undo"]


def test_only_a_failure_takes_back_not_silence_and_not_doubt(tmp_path):
    steps = three_steps()
    answer = scripted({"pos-01 three": refuse, "pos-02 three": lose})
    ran = Ran(undoing(steps, on=2), tmp_path, answer)
    assert not undos_of(ran)


def test_an_undo_that_fails_ends_the_undoing_and_says_so(tmp_path):
    answer = scripted({"pos-01 three": fail, "pos-01 two undo": broken})
    ran = Ran(undoing(three_steps(), on=1), tmp_path, answer)
    assert undos_of(ran) == ["pos-01 two undo"]
    assert ran.of(StepUndone)[0].state is EndState.FAILED
    assert not ran.ending.state.progress["acme/pos-01"].ends["two"].undone


def test_an_undo_has_an_attempt_id_of_its_own_that_is_durable_before_it(tmp_path):
    ran = Ran(undoing(three_steps(), on=1), tmp_path, scripted({"pos-01 three": fail}))
    started = [e for e in ran.of(StepStarted) if e.purpose == "undo"]
    assert [e.attempt for e in started] == ["acme/pos-01:two:2", "acme/pos-01:one:2"]


def test_an_endpoint_is_taken_back_before_its_gate_pauses_the_run(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=Gate())
    plan = undoing([read("look"), *three_steps()], on=4, rollout=rollout)
    ran = Ran(plan, tmp_path, scripted({"pos-01 two": fail}))
    assert ran.ending.exit_code == 5
    assert undos_of(ran) == ["pos-01 one undo"]
    kinds = [type(e) for e in ran.events if isinstance(e, WaveStopped | StepUndone | RunPaused)]
    assert kinds[-1] is RunPaused
    assert StepUndone in kinds


def test_what_was_taken_back_is_done_again_when_the_gate_is_tried_again(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=Gate())
    plan = undoing([read("look"), *three_steps()], on=4, rollout=rollout)
    first = Ran(plan, tmp_path, scripted({"pos-01 two": fail}))
    again = Ran(first.folder, tmp_path)
    assert again.ending.exit_code == 0
    assert again.handed_out[:3] == ["pos-01 one", "pos-01 two", "pos-01 three"]
    assert not any(end.undone for end in again.ending.state.progress["acme/pos-01"].ends.values())


def test_a_second_try_that_fails_is_taken_back_as_well(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=Gate())
    plan = undoing([read("look"), *three_steps()], on=4, rollout=rollout)
    first = Ran(plan, tmp_path, scripted({"pos-01 two": fail}))
    again = Ran(first.folder, tmp_path, scripted({"pos-01 three": fail}))
    assert again.ending.exit_code == 5
    assert again.handed_out == [
        "pos-01 one",
        "pos-01 two",
        "pos-01 three",
        "pos-01 two undo",
        "pos-01 one undo",
    ]


def test_a_change_of_an_earlier_stage_that_was_taken_back_is_done_again_at_the_second_try(
    tmp_path,
):
    steps = [
        read("look"),
        step("contain", phase="contain", undo="undo contain"),
        step("mend"),
    ]
    plan = undoing(steps, on=4, rollout=Rollout(waves=("1", "100%"), gate=Gate()))
    first = Ran(plan, tmp_path, scripted({"pos-01 mend": fail}))
    assert (first.ending.exit_code, undos_of(first)) == (5, ["pos-01 contain undo"])
    again = Ran(first.folder, tmp_path)
    assert again.ending.exit_code == 0
    assert again.handed_out[:2] == ["pos-01 contain", "pos-01 mend"]
    assert again.state_of("acme/pos-01") is EndState.CHANGED


def test_going_past_the_gate_leaves_what_was_taken_back_undone(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=Gate())
    plan = undoing([read("look"), *three_steps()], on=3, rollout=rollout)
    first = Ran(plan, tmp_path, scripted({"pos-01 two": fail}))
    again = Ran(first.folder, tmp_path, how=Resumption(past_gate="so"))
    assert again.ending.exit_code == 3
    assert not [o for o in again.handed_out if o.startswith("pos-01")]


def test_a_change_that_does_not_hold_after_its_bake_is_taken_back(tmp_path):
    rollout = Rollout(waves=("100%",), bake_s=900.0, gate=Gate())
    steps = [step("one", verify="ok", undo="undo one"), step("two", verify="ok", undo="undo two")]
    clock = FakeClock()
    ran = Ran(
        undoing(steps, on=1, rollout=rollout),
        tmp_path,
        scripted({"pos-01 two recheck": broken}),
        clock=clock,
    )
    assert ran.ending.exit_code == 5
    assert undos_of(ran) == ["pos-01 two undo", "pos-01 one undo"]
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.ending.exit_code == 0
    assert again.handed_out[:2] == ["pos-01 one", "pos-01 two"]


def test_a_stop_lets_no_undo_begin_and_a_resume_takes_back_what_is_left(tmp_path):
    holder = {}

    def answer(order):
        if order.step == "three":
            holder["ran"].coordinator.stop("Ctrl-C")
            return fail(order)
        return succeed(order)

    ran = Ran(
        undoing(three_steps(), on=1), tmp_path, answer, prepare=lambda r: holder.update(ran=r)
    )
    assert (ran.ending.exit_code, undos_of(ran)) == (6, [])
    again = Ran(ran.folder, tmp_path)
    assert again.handed_out == ["pos-01 two undo", "pos-01 one undo"]
    assert again.ending.exit_code == 3


def test_an_undo_nobody_knows_the_end_of_is_not_begun_again(tmp_path):
    class Killed(BaseException):
        pass

    def die(order):
        if order.purpose == "undo":
            raise Killed
        return fail(order) if order.step == "three" else succeed(order)

    plan = undoing(three_steps(), on=1)
    folder = {}
    with pytest.raises(Killed):
        Ran(plan, tmp_path, die, prepare=lambda r: folder.update(path=r.folder))
    again = Ran(folder["path"], tmp_path)
    assert not again.handed_out
    assert [e.step for e in again.of(StepInDoubt)] == ["two"]
    assert again.ending.exit_code == 3


def test_an_undo_whose_values_do_not_exist_any_more_has_failed_and_is_not_tried_for_ever(tmp_path):
    """The step its value came from was done, taken back and is to be done anew; it never is."""
    steps = [
        read("look"),
        step("one", undo="undo one", result={"n": "int"}),
        step("two", verify="ok", with_={"n": "one.n"}),
    ]

    def answer(order):
        if order.purpose == "recheck":
            return fail(order, FailureKind.AUTH)
        result = {"n": 3} if order.result and order.purpose == "do" else None
        return succeed(order).__class__(
            attempt=order.attempt, state=succeed(order).state, result=result
        )

    rollout = Rollout(waves=("100%",), bake_s=60.0, gate=Gate())
    clock = FakeClock()
    ran = Ran(undoing(steps, on=1, rollout=rollout), tmp_path, answer, clock=clock)
    assert (ran.ending.exit_code, undos_of(ran)) == (5, ["pos-01 one undo"])
    again = Ran(ran.folder, tmp_path, clock=clock)
    assert again.ending.exit_code in {0, 5}


def not_wanted(order):
    return fail(order, FailureKind.VERIFY)


def one_that_can_be_looked_at():
    rollout = Rollout(waves=("100%",), gate=Gate())
    steps = [step("one", check="is it", undo="undo one"), step("two")]
    return undoing(steps, on=1, rollout=rollout)


def test_an_undo_whose_end_nobody_knows_leaves_its_step_unknown(tmp_path):
    answer = scripted({"pos-01 two": fail, "pos-01 one undo": lose})
    ran = Ran(one_that_can_be_looked_at(), tmp_path, answer)
    end = ran.ending.state.progress["acme/pos-01"].ends["one"]
    assert (end.state, end.undone) == (EndState.UNKNOWN, False)
    assert "nobody knows whether it was taken back" in end.detail
    assert ran.state_of("acme/pos-01") is EndState.FAILED


@pytest.mark.parametrize(("looked", "again"), [(succeed, []), (not_wanted, ["pos-01 one"])])
def test_a_second_try_looks_at_what_was_perhaps_taken_back_before_it_builds_on_it(
    tmp_path, looked, again
):
    answer = scripted({"pos-01 two": fail, "pos-01 one undo": lose})
    left = Ran(one_that_can_be_looked_at(), tmp_path, answer)
    assert left.ending.exit_code == 5
    ran = Ran(left.folder, tmp_path, scripted({"pos-01 one probe": looked}))
    assert ran.handed_out == ["pos-01 one probe", *again, "pos-01 two"]
    assert ran.ending.exit_code == 0
