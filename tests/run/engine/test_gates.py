"""Gates: what is counted, when one closes, and what a resume may do about it."""

from __future__ import annotations

import pytest

from outagekit.errors import UsageError
from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndState,
    FailureKind,
    RunClosed,
    RunPaused,
    RunResumed,
    StepStarted,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WaveStopped,
)
from outagekit.playbook.model import Gate, Retry, Rollout
from outagekit.run.engine.situation import Bounds
from outagekit.run.opening import Resumption
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

CAREFUL = Rollout()
"""What a playbook gets that does not say how its change spreads."""


def careful(number=8, *, steps=None, **rollout):
    return plan_of(steps or [read("look"), step("mend")], on=number, rollout=Rollout(**rollout))


def limits_of(opened):
    return {limit.what: (limit.limit, limit.of, limit.scope) for limit in opened.limits}


def sum_of(event, what):
    return next(each for each in event.sums if each.what == what)


def test_percent_is_of_the_wave_maxima_rounded_down_and_minima_up(tmp_path):
    gate = Gate(min_answered="50%", max_failed="34%", max_unreachable="99%", max_unknown="1%")
    ran = Ran(careful(5, waves=("3", "100%"), gate=gate), tmp_path)
    of_three, of_two = (limits_of(opened) for opened in ran.of(WaveOpened))
    assert of_three["answered"] == (2, 3, "wave")
    assert of_three["failed"] == (1, 3, "wave")
    assert of_three["unreachable"] == (2, 3, "wave")
    assert of_three["unknown"] == (0, 3, "wave")
    assert of_two["answered"] == (1, 2, "wave")
    assert of_two["failed"] == (0, 2, "wave")


def test_plain_numbers_are_of_the_run_so_far(tmp_path):
    gate = Gate(min_answered="3", max_failed="2", max_unreachable="2", max_unknown="0")
    ran = Ran(careful(6, waves=("2", "100%"), gate=gate), tmp_path)
    first, last = (limits_of(opened) for opened in ran.of(WaveOpened))
    assert first["failed"] == (2, 2, "run")
    assert last["failed"] == (2, 6, "run")
    assert first["answered"] == (2, 2, "run")
    assert last["answered"] == (3, 6, "run")


def test_a_plain_number_adds_up_over_waves_and_stages(tmp_path):
    gate = Gate(min_answered="0", max_failed="1", max_unreachable="100%", max_unknown="100%")
    steps = [read("look"), step("mend"), step("harden", phase="contain")]
    plan = careful(6, steps=steps, waves=("100%",), gate=gate)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": fail, "pos-04 harden": fail}))
    assert ran.ending.exit_code == 5
    stopped = ran.of(WaveStopped)[0]
    assert (stopped.stage, sum_of(stopped, "failed").found) == (3, 2)
    assert [each.passed for each in ran.of(WaveJudged)] == [True]


@pytest.mark.parametrize(
    ("kind", "state", "answered", "counted"),
    [
        (FailureKind.AUTH, EndState.FAILED, 0, "failed"),
        (FailureKind.HOST_KEY, EndState.FAILED, 0, "failed"),
        (FailureKind.TLS, EndState.FAILED, 0, "failed"),
        (FailureKind.WRONG_MACHINE, EndState.FAILED, 0, "failed"),
        (FailureKind.CREDENTIAL_STOPPED, EndState.FAILED, 0, "failed"),
        (FailureKind.BECOME, EndState.FAILED, 0, "failed"),
        (FailureKind.RESOLVE, EndState.UNREACHABLE, 0, "unreachable"),
        (FailureKind.CONNECT_TIMEOUT, EndState.UNREACHABLE, 0, "unreachable"),
        (FailureKind.HANDSHAKE, EndState.UNREACHABLE, 0, "unreachable"),
        (FailureKind.EXIT_CODE, EndState.FAILED, 1, "failed"),
        (FailureKind.CHECK_BROKEN, EndState.FAILED, 1, "failed"),
        (FailureKind.VERIFY, EndState.FAILED, 1, "failed"),
    ],
)
def test_answered_is_who_ran_a_command_of_ours(tmp_path, kind, state, answered, counted):
    gate = Gate(min_answered="0", max_failed="100%", max_unreachable="100%", max_unknown="100%")
    plan = plan_of([step("mend")], on=1, rollout=Rollout(waves=("100%",), gate=gate))
    ran = Ran(plan, tmp_path, lambda order: fail(order, kind, state))
    judged = ran.of(WaveJudged)[0]
    assert judged.passed
    assert sum_of(judged, "answered").found == answered
    assert sum_of(judged, counted).found == 1


def test_one_who_failed_unreachable_or_unknown_counts_each_where_it_belongs(tmp_path):
    gate = Gate(min_answered="0", max_failed="100%", max_unreachable="100%", max_unknown="100%")
    plan = plan_of([step("mend")], on=6, rollout=Rollout(waves=("100%",), gate=gate))
    answer = scripted({"pos-01 mend": fail, "pos-02 mend": refuse, "pos-03 mend": lose})
    judged = Ran(plan, tmp_path, answer).of(WaveJudged)[0]
    found = {each.what: each.found for each in judged.sums}
    assert found == {"answered": 4, "failed": 1, "unreachable": 1, "unknown": 1}


def test_the_default_gate_lets_no_failed_canary_through(tmp_path):
    ran = Ran(careful(8), tmp_path, scripted({"pos-01 mend": fail}))
    assert ran.ending.exit_code == 5
    assert ran.ending.why == "the gate of wave 1 is closed: 1 failed of 1, at most 0"
    assert [o for o in ran.handed_out if "mend" in o] == ["pos-01 mend"]
    assert isinstance(ran.events[-2], RunPaused)


def test_a_gate_closes_during_its_wave_once_its_limit_is_certainly_exceeded(tmp_path):
    gate = Gate(max_failed="1")
    plan = careful(12, waves=("100%",), gate=gate)
    answer = scripted({"pos-02 mend": fail, "pos-03 mend": fail})
    ran = Ran(plan, tmp_path, answer, bounds=None)
    assert ran.ending.exit_code == 5
    assert ran.of(WaveStopped)[0].wave == 1
    assert not ran.of(WaveJudged)


def test_what_runs_when_a_gate_closes_comes_to_its_end_and_nothing_else_begins(tmp_path):
    plan = careful(9, waves=("100%",), gate=Gate(max_failed="0"))
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": fail}), bounds=Bounds(running=3))
    begun = [o for o in ran.handed_out if "mend" in o]
    assert begun == ["pos-01 mend", "pos-02 mend", "pos-03 mend"]
    assert ran.state_of("acme/pos-03") is EndState.CHANGED
    assert not ran.ending.state.running


def test_too_few_answers_close_a_gate_as_soon_as_they_cannot_come_any_more(tmp_path):
    gate = Gate(min_answered="80%", max_failed="100%", max_unreachable="100%", max_unknown="100%")
    plan = careful(10, waves=("100%",), gate=gate)
    away = {f"pos-{n:02d} mend": refuse for n in (1, 2, 3)}
    ran = Ran(plan, tmp_path, scripted(away))
    assert ran.ending.exit_code == 5
    line = sum_of(ran.of(WaveStopped)[0], "answered")
    assert (line.found, line.limit, line.holds) == (7, 8, False)


def test_a_resume_tries_those_who_closed_the_gate_again_and_judges_once_more(tmp_path):
    plan = careful(8)
    first = Ran(plan, tmp_path, scripted({"pos-01 mend": fail}))
    again = Ran(first.folder, tmp_path)
    assert again.ending.exit_code == 0
    assert again.handed_out[0] == "pos-01 mend"
    reopened = again.of(WaveReopened)[0]
    assert (reopened.wave, reopened.because) == (1, "")
    assert sum_of(reopened, "failed").found == 0
    assert [each.wave for each in again.of(WaveJudged) if each.passed] == [1, 2, 3]
    assert again.state_of("acme/pos-01") is EndState.CHANGED


def test_a_gate_that_does_not_hold_after_the_second_try_pauses_again_every_time(tmp_path):
    ran = Ran(careful(8), tmp_path, scripted({"pos-01 mend": fail}))
    for _ in range(2):
        ran = Ran(ran.folder, tmp_path, scripted({"pos-01 mend": fail}))
        assert ran.ending.exit_code == 5
        assert ran.handed_out == ["pos-01 mend"]
        assert not ran.of(WaveReopened)
    assert Ran(ran.folder, tmp_path).ending.exit_code == 0


def test_a_resume_past_the_gate_tries_nobody_again_and_records_why(tmp_path):
    first = Ran(careful(8), tmp_path, scripted({"pos-01 mend": fail}))
    how = Resumption(past_gate="known bad disk", who="Kim")
    again = Ran(first.folder, tmp_path, how=how)
    reopened = again.of(WaveReopened)[0]
    assert (reopened.because, reopened.who) == ("known bad disk", "Kim")
    assert not again.of(RunResumed)[-1].retry
    assert "pos-01 mend" not in again.handed_out
    assert again.ending.exit_code == 3
    assert again.state_of("acme/pos-08") is EndState.CHANGED


def test_going_past_a_gate_lets_through_what_was_there_and_not_one_more(tmp_path):
    gate = Gate(max_failed="0")
    plan = careful(6, waves=("100%",), gate=gate)
    first = Ran(plan, tmp_path, scripted({"pos-01 mend": fail}), bounds=Bounds(running=1))
    again = Ran(
        first.folder,
        tmp_path,
        scripted({"pos-03 mend": fail}),
        how=Resumption(past_gate="go"),
        bounds=Bounds(running=1),
    )
    assert again.ending.exit_code == 5
    assert again.handed_out == ["pos-02 mend", "pos-03 mend"]


def test_a_wave_behind_a_gate_somebody_went_past_shows_the_limits_it_is_judged_by(tmp_path):
    plan = careful(6, waves=("1", "50%", "100%"), gate=Gate(max_failed="0"))
    first = Ran(plan, tmp_path, scripted({"pos-01 mend": fail}))
    again = Ran(first.folder, tmp_path, how=Resumption(past_gate="known bad disk"))
    opened = {e.wave: [limit.limit for limit in e.limits] for e in again.of(WaveOpened)}
    judged = {e.wave: [each.limit for each in e.sums] for e in again.of(WaveJudged)}
    assert {wave: opened[wave] for wave in (2, 3)} == {wave: judged[wave] for wave in (2, 3)}
    assert opened[2] == [2, 1, 0, 0]


def test_nobody_goes_past_a_gate_where_none_is_closed(tmp_path):
    holder = {}

    def answer(order):
        holder["ran"].coordinator.stop("Ctrl-C")
        return succeed(order)

    ran = Ran(careful(3), tmp_path, answer, prepare=lambda r: holder.update(ran=r))
    with pytest.raises(UsageError, match="no gate is closed"):
        Ran(ran.folder, tmp_path, how=Resumption(past_gate="why not"))


def test_a_step_in_flight_at_a_closed_gate_that_ends_in_doubt_is_looked_at_but_not_begun_again(
    tmp_path,
):
    gate = Gate(max_failed="0", max_unknown="100%")
    steps = [read("look"), step("mend", check="fine")]
    plan = careful(4, steps=steps, waves=("100%",), gate=gate)
    missed = scripted(
        {
            "pos-01 mend": fail,
            "pos-02 mend do": lose,
            "pos-02 mend probe": lambda order: fail(order, FailureKind.VERIFY),
            "pos-03 mend do": lose,
        }
    )
    ran = Ran(plan, tmp_path, missed)
    assert ran.ending.exit_code == 5
    assert ran.orders_of("acme/pos-02")[1:] == [("mend", "do"), ("mend", "probe")]
    assert ran.orders_of("acme/pos-03")[1:] == [("mend", "do"), ("mend", "probe")]
    assert ran.state_of("acme/pos-03") is EndState.CHANGED
    again = Ran(ran.folder, tmp_path)
    assert again.ending.exit_code == 0
    assert sorted(again.handed_out) == ["pos-01 mend", "pos-02 mend"]


def test_a_canary_that_was_unreachable_is_reached_for_at_once_when_its_gate_is_tried_again(
    tmp_path,
):
    plan = careful(8, waiting_room_s=14_400.0)
    clock = FakeClock()
    first = Ran(plan, tmp_path, scripted({"pos-01 mend": refuse}), clock=clock)
    assert first.ending.exit_code == 5
    assert first.ending.why == (
        "the gate of wave 1 is closed: 0 answered of 1, at least 1, 1 unreachable of 1, at most 0"
    )
    still = Ran(first.folder, tmp_path, scripted({"pos-01 mend": refuse}), clock=clock)
    assert (still.ending.exit_code, still.handed_out) == (5, ["pos-01 mend"])
    again = Ran(first.folder, tmp_path, clock=clock)
    assert again.ending.exit_code == 0
    assert again.state_of("acme/pos-01") is EndState.CHANGED
    assert again.state_of("acme/pos-08") is EndState.CHANGED


def test_a_doubt_that_closed_the_gate_can_be_answered_when_it_is_tried_again(tmp_path):
    steps = [read("look"), step("mend", on_doubt="ask")]
    clock = FakeClock()
    first = Ran(careful(8, steps=steps), tmp_path, scripted({"pos-01 mend": lose}), clock=clock)
    assert first.ending.exit_code == 5
    again = Ran(
        first.folder,
        tmp_path,
        clock=clock,
        attended=True,
        prepare=lambda ran: setattr(
            ran.driver, "while_idle", lambda: ran.say("doubt-mend@acme/pos-01", "done")
        ),
    )
    assert again.ending.exit_code == 0
    assert "pos-01 mend" not in again.handed_out
    assert again.state_of("acme/pos-01") is EndState.CHANGED
    assert again.of(WaveReopened)[0].because == ""


def test_a_doubt_at_a_gate_that_nobody_answers_pauses_the_run_with_the_gates_code(tmp_path):
    steps = [read("look"), step("mend", on_doubt="ask")]
    clock = FakeClock()
    first = Ran(careful(8, steps=steps), tmp_path, scripted({"pos-01 mend": lose}), clock=clock)
    unattended = Ran(first.folder, tmp_path, clock=clock)
    assert unattended.ending.exit_code == 5
    attended = Ran(first.folder, tmp_path, clock=clock, attended=True)
    assert attended.ending.exit_code == 5
    asked = [e for e in attended.of(ApprovalAsked) if e.for_ms]
    assert [e.question for e in asked] == ["doubt-mend@acme/pos-01"]


def test_a_doubt_at_a_gate_can_be_answered_beforehand_by_a_resume(tmp_path):
    steps = [read("look"), step("mend", on_doubt="ask")]
    first = Ran(careful(8, steps=steps), tmp_path, scripted({"pos-01 mend": lose}))
    said = ApprovalGiven(
        question="doubt-mend@acme/pos-01", answer="done", who="Kim", os_user="kim", how="beforehand"
    )
    again = Ran(first.folder, tmp_path, how=Resumption(given=(said,)))
    assert again.ending.exit_code == 0
    assert "pos-01 mend" not in again.handed_out


def test_a_stop_while_a_gate_is_tried_again_does_not_wait_for_a_retry_that_will_not_begin(tmp_path):
    steps = [read("look"), step("mend", retry=Retry(attempts=3, delay_s=600.0))]
    clock = FakeClock()
    first = Ran(careful(8, steps=steps), tmp_path, scripted({"pos-01 mend": fail}), clock=clock)
    assert first.ending.exit_code == 5
    holder = {}

    def answer(order):
        holder["ran"].coordinator.stop("Ctrl-C")
        return fail(order)

    again = Ran(first.folder, tmp_path, answer, clock=clock, prepare=lambda r: holder.update(ran=r))
    assert again.ending.exit_code == 5
    assert again.handed_out == ["pos-01 mend"]
    assert clock.monotonic() < 3_600


def test_a_gate_stop_outweighs_a_persons_stop(tmp_path):
    holder = {}

    def answer(order):
        if order.step == "mend":
            holder["ran"].coordinator.stop("Ctrl-C")
            return fail(order)
        return succeed(order)

    ran = Ran(careful(8), tmp_path, answer, prepare=lambda r: holder.update(ran=r))
    assert ran.ending.exit_code == 5
    assert ran.of(WaveStopped)


def test_a_gate_that_could_not_be_resumed_past_is_closed_still_after_another_death(tmp_path):
    first = Ran(careful(8), tmp_path, scripted({"pos-01 mend": fail}))
    started = len(first.of(StepStarted))

    class Killed(BaseException):
        pass

    def die(_order):
        raise Killed

    with pytest.raises(Killed):
        Ran(first.folder, tmp_path, die)
    again = Ran(first.folder, tmp_path, scripted({"pos-01 mend": fail}))
    assert again.ending.exit_code == 5
    assert len(again.of(StepStarted)) > started
    assert not again.of(RunClosed)


def test_who_was_lost_before_the_waves_counts_at_no_gate(tmp_path):
    answer = scripted({f"pos-0{n} look": fail if n % 2 else refuse for n in range(1, 7)})
    ran = Ran(careful(8), tmp_path, answer)
    assert ran.of(WaveJudged)[-1].passed
    assert [limit.of for limit in ran.of(WaveOpened)[-1].limits if limit.scope == "run"] == [2]
    assert ran.ending.exit_code == 3


def test_what_a_person_went_past_in_one_stage_does_not_close_the_gate_of_the_next(tmp_path):
    gate = Gate(min_answered="0", max_failed="0", max_unreachable="0", max_unknown="0")
    steps = [read("look"), step("contain", phase="contain"), step("mend")]
    plan = careful(4, steps=steps, waves=("1", "100%"), gate=gate)
    first = Ran(plan, tmp_path, scripted({"pos-01 contain": fail}))
    assert first.ending.exit_code == 5
    again = Ran(first.folder, tmp_path, how=Resumption(past_gate="known bad disk"))
    assert again.ending.exit_code == 3
    assert again.state_of("acme/pos-04") is EndState.CHANGED
    third = Ran(careful(4, steps=steps, gate=gate), tmp_path, scripted({"pos-01 contain": fail}))
    past = Ran(
        third.folder,
        tmp_path,
        scripted({"pos-02 mend": fail}),
        how=Resumption(past_gate="so"),
    )
    assert (past.ending.exit_code, past.of(WaveStopped)[-1].stage) == (5, 3)
