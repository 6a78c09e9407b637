"""Doubt: a step was sent and its end is not known. It is never guessed away."""

from __future__ import annotations

import pytest

from outagekit.events import (
    ApprovalAsked,
    EndState,
    FailureKind,
    RunPaused,
    StepFinished,
    StepInDoubt,
    StepResolved,
)
from outagekit.playbook.model import Gate, Retry, Rollout
from outagekit.run.orders import Finished
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

SILENCE = (FailureKind.LOST, FailureKind.TIMEOUT, FailureKind.ABANDONED, FailureKind.PROTOCOL)
BARE = {"on_doubt": None}
OPEN = Gate("0", "100%", "100%", "100%")


def silent(kind):
    return lambda order: fail(order, kind, EndState.UNKNOWN)


def not_wanted(order):
    return fail(order, FailureKind.VERIFY)


def resolutions(ran):
    return [(each.how, each.state) for each in ran.of(StepResolved)]


def answering(question, answer):
    """Return a way to prepare a run in which somebody says this, over and over."""
    return lambda ran: setattr(ran.driver, "while_idle", lambda: ran.say(question, answer))


@pytest.mark.parametrize("kind", SILENCE)
@pytest.mark.parametrize("proof", [{"check": "is it"}, {"verify": "is it"}])
def test_a_change_in_doubt_that_can_be_proven_is_looked_at_and_is_changed_if_it_is_so(
    tmp_path, kind, proof
):
    answer = scripted({"pos-01 mend do": silent(kind)})
    ran = Ran(plan_of([step("mend", **proof)], on=1), tmp_path, answer)
    assert ran.handed_out == ["pos-01 mend", "pos-01 mend probe"]
    assert resolutions(ran) == [("probed", EndState.CHANGED)]
    assert ran.of(StepResolved)[0].detail == "probed: it is as wanted"
    assert ran.ending.exit_code == 0


def test_a_change_that_is_seen_not_to_be_there_is_tried_once_more(tmp_path):
    answer = scripted({"pos-01 mend do": [lose, succeed], "pos-01 mend probe": not_wanted})
    ran = Ran(plan_of([step("mend", check="is it")], on=1), tmp_path, answer)
    assert ran.handed_out == ["pos-01 mend", "pos-01 mend probe", "pos-01 mend"]
    assert resolutions(ran) == [("probed", None)]
    assert ran.state_of("acme/pos-01") is EndState.CHANGED


def test_a_look_that_gets_no_answer_leaves_the_step_unknown(tmp_path):
    for name, nothing in (("lost", lose), ("gone", refuse), ("late", silent(FailureKind.TIMEOUT))):
        answer = scripted({"pos-01 mend do": lose, "pos-01 mend probe": nothing})
        ran = Ran(plan_of([step("mend", check="is it")], on=1), tmp_path / name, answer)
        assert resolutions(ran) == [("probed", EndState.UNKNOWN)]
        assert ran.ending.exit_code == 4


def test_a_look_whose_check_is_broken_leaves_the_step_unknown(tmp_path):
    broken = {
        "pos-01 mend do": lose,
        "pos-01 mend probe": lambda order: fail(order, FailureKind.CHECK_BROKEN),
    }
    ran = Ran(plan_of([step("mend", check="is it")], on=1), tmp_path, scripted(broken))
    assert resolutions(ran) == [("probed", EndState.UNKNOWN)]


def test_a_step_in_doubt_twice_and_seen_not_to_be_done_has_failed_for_good(tmp_path):
    answer = scripted({"pos-01 mend do": lose, "pos-01 mend probe": not_wanted})
    ran = Ran(plan_of([step("mend", check="is it")], on=1), tmp_path, answer)
    assert ran.handed_out == ["pos-01 mend", "pos-01 mend probe"] * 2
    assert resolutions(ran) == [("probed", None), ("probed", EndState.FAILED)]
    assert ran.ending.exit_code == 3


def test_a_read_in_doubt_is_done_again_and_unknown_if_it_is_in_doubt_twice(tmp_path):
    answer = scripted({"pos-01 look": [lose, succeed], "pos-02 look": lose})
    ran = Ran(plan_of([read("look")], on=2), tmp_path, answer)
    assert ran.orders_of("acme/pos-01") == [("look", "do")] * 2
    assert ran.orders_of("acme/pos-02") == [("look", "do")] * 2
    assert ran.state_of("acme/pos-01") is EndState.OK
    assert ran.state_of("acme/pos-02") is EndState.UNKNOWN
    assert ran.ending.exit_code == 4


def test_a_change_in_doubt_that_nothing_can_prove_asks_a_person_while_the_run_goes_on(tmp_path):
    plan = plan_of([step("mend"), step("tidy"), read("prove", phase="verify")], on=3)
    ran = Ran(plan, tmp_path, scripted({"pos-02 mend": lose}))
    assert ran.handed_out.count("pos-02 mend") == 1
    assert "pos-03 prove" in ran.handed_out
    asked = ran.of(ApprovalAsked)[0]
    assert (asked.question, asked.kind) == ("doubt-mend@acme/pos-02", "doubt")
    assert asked.answers == ("done", "rerun", "failed", "unknown")
    assert ran.ending.exit_code == 6
    assert ran.of(RunPaused)[0].why == "a question waits for a person"
    assert ran.state_of("acme/pos-02") is EndState.UNKNOWN


def test_a_policy_of_the_playbook_goes_before_the_default(tmp_path):
    plan = plan_of([step("mend", on_doubt="rerun")], on=1)
    assert Ran(plan, tmp_path, scripted({"pos-01 mend": [lose, succeed]})).ending.exit_code == 0
    plan = plan_of([step("mend", check="is it", on_doubt="ask")], on=1)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": lose}))
    assert ran.ending.exit_code == 6
    assert ran.handed_out == ["pos-01 mend"]


def test_a_rerun_that_is_in_doubt_again_is_unknown_for_good(tmp_path):
    plan = plan_of([step("mend", on_doubt="rerun")], on=1)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": lose}))
    assert len(ran.handed_out) == 2
    assert resolutions(ran) == [("rerun", None), ("rerun", EndState.UNKNOWN)]
    assert ran.ending.exit_code == 4


def test_a_rerun_that_cannot_be_reached_leaves_the_first_try_unknown(tmp_path):
    plan = plan_of([step("mend", on_doubt="rerun")], on=1)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": [lose, refuse]}))
    assert ran.state_of("acme/pos-01") is EndState.UNKNOWN
    assert ran.ending.exit_code == 4


def test_a_rerun_that_cannot_be_reached_waits_in_the_room_and_is_done_when_it_is_back(tmp_path):
    rollout = Rollout(waves=("100%",), gate=OPEN, waiting_room_s=3600.0)
    plan = plan_of([step("mend", on_doubt="rerun")], on=1, rollout=rollout)
    ran = Ran(
        plan,
        tmp_path,
        scripted({"pos-01 mend": [lose, refuse, refuse, succeed]}),
        clock=FakeClock(),
        prepare=lambda r: setattr(
            r.driver, "while_idle", lambda: r.driver.come_back("acme/pos-01")
        ),
    )
    assert len(ran.handed_out) == 4
    assert ran.state_of("acme/pos-01") is EndState.CHANGED


def test_a_try_after_a_look_said_no_that_cannot_be_reached_is_unreachable(tmp_path):
    answer = scripted({"pos-01 mend do": [lose, refuse], "pos-01 mend probe": not_wanted})
    ran = Ran(plan_of([step("mend", check="is it")], on=1), tmp_path, answer)
    assert ran.state_of("acme/pos-01") is EndState.UNREACHABLE


def test_a_doubt_that_is_passed_over_stays_unknown_and_the_endpoint_goes_on(tmp_path):
    plan = plan_of([step("mend", on_doubt="skip"), step("tidy")], on=1)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": lose}))
    assert ran.handed_out == ["pos-01 mend", "pos-01 tidy"]
    assert resolutions(ran) == [("skipped", EndState.UNKNOWN)]
    assert ran.state_of("acme/pos-01") is EndState.UNKNOWN
    assert ran.ending.exit_code == 4


def test_a_doubt_that_is_passed_over_counts_as_unknown_at_the_gate(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=Gate())
    plan = plan_of([step("mend", on_doubt="skip"), step("tidy")], on=3, rollout=rollout)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": lose}))
    assert ran.ending.exit_code == 5
    assert "1 unknown of 1" in ran.ending.why


@pytest.mark.parametrize(
    ("word", "state", "code"),
    [
        ("done", EndState.CHANGED, 0),
        ("failed", EndState.FAILED, 3),
        ("unknown", EndState.UNKNOWN, 4),
    ],
)
def test_what_a_person_says_of_a_doubt_is_its_end(tmp_path, word, state, code):
    ran = Ran(
        plan_of([step("mend")], on=1),
        tmp_path,
        scripted({"pos-01 mend": lose}),
        prepare=answering("doubt-mend@acme/pos-01", word),
        attended=True,
        clock=FakeClock(),
    )
    assert ran.ending.exit_code == code
    assert ran.state_of("acme/pos-01") is state
    assert ran.of(StepResolved)[0].who == "Kim"
    assert ran.of(StepResolved)[0].detail == f"Kim says {word}"


def test_a_person_can_have_a_step_in_doubt_done_again(tmp_path):
    ran = Ran(
        plan_of([step("mend"), step("tidy")], on=1),
        tmp_path,
        scripted({"pos-01 mend": [lose, succeed]}),
        prepare=answering("doubt-mend@acme/pos-01", "rerun"),
        attended=True,
        clock=FakeClock(),
    )
    assert ran.handed_out == ["pos-01 mend", "pos-01 mend", "pos-01 tidy"]
    assert ran.ending.exit_code == 0


def test_an_endpoint_answered_for_after_its_wave_was_judged_goes_on_behind_the_others(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=OPEN)
    plan = plan_of([step("mend"), step("tidy")], on=3, rollout=rollout)
    holder = {}

    def answer(order):
        if order.target.endpoint.name == "pos-02":
            holder["ran"].say("doubt-mend@acme/pos-01", "done")
        return lose(order) if order.attempt == "acme/pos-01:mend:1" else succeed(order)

    ran = Ran(
        plan,
        tmp_path,
        answer,
        prepare=lambda r: holder.update(ran=r),
        clock=FakeClock(),
        attended=True,
    )
    assert ran.ending.exit_code == 0
    assert ran.orders_of("acme/pos-01") == [("mend", "do"), ("tidy", "do")]
    assert list(ran.ending.state.spreads[1].stragglers) == ["acme/pos-01"]
    assert ran.state_of("acme/pos-01") is EndState.CHANGED


def test_one_that_is_answered_for_as_failed_after_its_wave_counts_in_the_waves_that_follow(
    tmp_path,
):
    gate = Gate("0", "1", "100%", "100%")
    plan = plan_of([step("mend")], on=4, rollout=Rollout(waves=("1", "2", "100%"), gate=gate))
    holder = {}

    def answer(order):
        name = order.target.endpoint.name
        if name == "pos-02":
            holder["ran"].say("doubt-mend@acme/pos-01", "failed")
        return (
            lose(order)
            if name == "pos-01"
            else fail(order)
            if name == "pos-03"
            else (succeed(order))
        )

    ran = Ran(plan, tmp_path, answer, prepare=lambda r: holder.update(ran=r))
    assert ran.ending.exit_code == 5
    assert "2 failed" in ran.ending.why


def test_doubts_are_asked_about_at_the_end_if_somebody_is_there_and_the_run_waits_an_hour(tmp_path):
    clock = FakeClock()
    ran = Ran(
        plan_of([step("mend")], on=2),
        tmp_path,
        scripted({"pos-01 mend": lose, "pos-02 mend": lose}),
        attended=True,
        clock=clock,
    )
    timed = [each for each in ran.of(ApprovalAsked) if each.for_ms]
    assert [each.question for each in timed] == ["doubt-mend@acme/pos-01", "doubt-mend@acme/pos-02"]
    assert 3_600 <= clock.monotonic() < 3_700
    assert ran.ending.exit_code == 6


def test_a_retry_follows_an_exit_code_and_a_doubt_between_two_tries_uses_one_up(tmp_path):
    tried = Retry(attempts=3, delay_s=0.0)
    answer = scripted({"pos-01 mend do": [fail, lose, fail], "pos-01 mend probe": not_wanted})
    ran = Ran(plan_of([step("mend", check="is it", retry=tried)], on=1), tmp_path, answer)
    assert ran.handed_out == ["pos-01 mend"] * 2 + ["pos-01 mend probe", "pos-01 mend"]
    assert ran.of(StepFinished)[-1].retry_in_ms is None
    assert ran.ending.exit_code == 3


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.VERIFY, FailureKind.CHECK_BROKEN])
def test_only_an_exit_code_is_tried_again(tmp_path, kind):
    plan = plan_of([step("mend", retry=Retry(attempts=5, delay_s=0.0))], on=1)
    ran = Ran(plan, tmp_path, lambda order: fail(order, kind))
    assert len(ran.handed_out) == 1


def test_a_try_that_did_not_reach_the_endpoint_is_no_try(tmp_path):
    rollout = Rollout(waves=("100%",), gate=OPEN, waiting_room_s=3600.0)
    plan = plan_of([step("mend", retry=Retry(attempts=2, delay_s=0.0))], on=1, rollout=rollout)
    ran = Ran(
        plan,
        tmp_path,
        scripted({"pos-01 mend": [refuse, refuse, fail, succeed]}),
        clock=FakeClock(),
        prepare=lambda r: setattr(
            r.driver, "while_idle", lambda: r.driver.come_back("acme/pos-01")
        ),
    )
    assert ran.ending.exit_code == 0


def test_in_a_dry_run_silence_is_unknown_and_nothing_is_asked(tmp_path):
    plan = plan_of([step("mend", check="is it")], on=1, dry_run=True)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend foresee": lose}))
    assert ran.ending.exit_code == 4
    assert not ran.of(StepInDoubt)
    assert not ran.of(ApprovalAsked)


def test_a_look_needs_the_values_the_step_was_begun_with(tmp_path):
    def answer(order):
        if order.step == "look":
            return Finished(attempt=order.attempt, state=EndState.OK, result={"newest": "v2"})
        return lose(order) if order.purpose == "do" else succeed(order)

    steps = [
        read("look", result={"newest": "text"}),
        step("mend", check="is it", with_={"newest": "look.newest"}),
    ]
    ran = Ran(plan_of(steps, on=1), tmp_path, answer)
    assert [order.values["newest"] for order in ran.driver.orders[1:]] == ["v2", "v2"]


@pytest.mark.parametrize("nothing", [refuse, lose])
def test_a_detached_step_that_stays_unknown_is_found_again_under_its_own_id(tmp_path, nothing):
    plan = plan_of([step("mend", detach=True)], on=1, rollout=Rollout(waves=("100%",)))
    left = Ran(plan, tmp_path, scripted({"pos-01 mend": [lose, nothing]}))
    assert left.ending.exit_code == 5
    assert left.driver.released == []
    again = Ran(left.folder, tmp_path)
    orders = (*left.driver.orders, *again.driver.orders)
    assert len({order.detach for order in orders}) == 1
    assert "not begun twice" in again.of(StepResolved)[-1].detail
    assert again.ending.exit_code == 0
    assert len(again.driver.released) == 1


@pytest.mark.parametrize(("kind", "tries"), [(FailureKind.LOST, 2), (FailureKind.ABANDONED, 10)])
def test_a_detached_step_that_stays_out_of_sight_holds_its_wave_for_its_time_twice_only(
    tmp_path, kind, tries
):
    plan = plan_of([step("mend", detach=True)], on=1)
    ran = Ran(plan, tmp_path, silent(kind))
    assert len(ran.handed_out) == tries
    assert ran.ending.state.counts() == {EndState.UNKNOWN: 1}


def test_a_detached_step_that_ran_out_of_time_and_is_not_wanted_gets_a_new_id(tmp_path):
    late = silent(FailureKind.TIMEOUT)
    answer = scripted({"pos-01 mend do": [late, succeed], "pos-01 mend probe": not_wanted})
    ran = Ran(plan_of([step("mend", detach=True, check="is it")], on=1), tmp_path, answer)
    first, _, second = ran.driver.orders
    assert first.detach != second.detach
    assert ran.ending.exit_code == 0
