"""A dry run reads and checks, changes nothing, asks nobody, and says what it could not see."""

from __future__ import annotations

from outagekit.events import (
    ApprovalAsked,
    EndpointParked,
    EndState,
    FailureKind,
    StepFinished,
    WaveOpened,
    WavesCut,
)
from outagekit.playbook.model import Approve, Manual, Reboot, Rollout
from outagekit.run.orders import Finished
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted


def dry(steps, on=1, **fields):
    return plan_of(steps, on=on, dry_run=True, **fields)


def needed(order):
    """Answer as an executing side does: reads are read, a check says that there is work to do."""
    if order.purpose == "foresee":
        return Finished(attempt=order.attempt, state=EndState.SKIPPED, detail="would change")
    return succeed(order)


def ends_of(ran):
    return {e.step: (e.state, e.would_change, e.detail) for e in ran.of(StepFinished)}


def test_reads_run_and_changes_are_only_checked(tmp_path):
    steps = [read("look"), step("mend", check="is it"), read("prove", phase="verify")]
    ran = Ran(dry(steps), tmp_path, needed)
    assert ran.handed_out == ["pos-01 look", "pos-01 mend foresee", "pos-01 prove"]
    assert ran.ending.exit_code == 0


def test_a_check_that_is_true_is_ok_and_one_that_is_not_says_what_would_happen(tmp_path):
    steps = [step("mend", check="is it")]
    fine = Ran(dry(steps), tmp_path, lambda o: Finished(attempt=o.attempt, state=EndState.OK))
    assert ends_of(fine)["mend"][:2] == (EndState.OK, False)
    work = Ran(dry(steps), tmp_path, needed)
    assert ends_of(work)["mend"][:2] == (EndState.SKIPPED, True)


def test_what_has_no_check_is_not_sent_and_it_is_said_that_it_cannot_be_seen(tmp_path):
    ran = Ran(dry([step("mend"), step("restart", action=Reboot(600.0))]), tmp_path)
    assert not ran.handed_out
    assert ends_of(ran)["mend"] == (EndState.SKIPPED, True, "a dry run cannot check it")
    assert ends_of(ran)["restart"] == (EndState.SKIPPED, True, "a dry run cannot check it")


def test_a_later_when_sees_what_would_have_been_changed(tmp_path):
    steps = [step("mend", check="is it"), step("restart", check="up", when="mend.changed")]
    assert Ran(dry(steps), tmp_path, needed).handed_out[-1] == "pos-01 restart foresee"
    fine = Ran(dry(steps), tmp_path, lambda o: Finished(attempt=o.attempt, state=EndState.OK))
    assert fine.handed_out == ["pos-01 mend foresee"]


def test_there_are_no_waves_no_gates_and_no_waiting_room(tmp_path):
    rollout = Rollout(waiting_room_s=3600.0, bake_s=900.0, pause="each")
    plan = dry([read("look"), step("mend", check="is it")], on=5, rollout=rollout)
    ran = Ran(plan, tmp_path, scripted({"pos-02 look": refuse}, otherwise=needed))
    assert not ran.of(WavesCut)
    assert not ran.of(WaveOpened)
    assert not ran.of(EndpointParked)
    assert ran.ending.exit_code == 4


def test_nobody_is_asked_anything(tmp_path):
    steps = [
        read("ask", action=Approve("May we?"), once="run"),
        read("call", action=Manual("Ring."), once="client"),
        read("each", action=Manual("Ring.")),
        step("mend", check="is it"),
    ]
    ran = Ran(dry(steps), tmp_path, needed)
    assert not ran.of(ApprovalAsked)
    assert ran.handed_out == ["pos-01 mend foresee"]
    assert ran.ending.exit_code == 0


def test_a_check_that_is_broken_is_a_failure_of_the_dry_run(tmp_path):
    answer = scripted({"pos-01 mend": lambda o: fail(o, FailureKind.CHECK_BROKEN)})
    ran = Ran(dry([step("mend", check="is it"), step("tidy", check="b")]), tmp_path, answer)
    assert ran.ending.exit_code == 3
    assert ran.handed_out == ["pos-01 mend foresee"]


def test_a_check_nobody_knows_the_end_of_is_unknown_for_it_did_nothing(tmp_path):
    ran = Ran(dry([step("mend", check="is it")]), tmp_path, scripted({"pos-01 mend": lose}))
    assert ran.state_of("acme/pos-01") is EndState.UNKNOWN
    assert ran.ending.exit_code == 4


def test_nothing_is_undone_in_a_dry_run(tmp_path):
    steps = [step("one", check="a", undo="back"), step("two", check="b", undo="back")]
    plan = dry(steps, undo_on_failure=True)
    answer = scripted({"pos-01 two": lambda o: fail(o, FailureKind.CHECK_BROKEN)}, otherwise=needed)
    assert not [o for o in Ran(plan, tmp_path, answer).handed_out if "undo" in o]


def test_a_dry_run_that_was_left_goes_on_as_a_dry_run(tmp_path):
    holder = {}

    def answer(order):
        holder["ran"].coordinator.stop("Ctrl-C")
        return needed(order)

    steps = [read("look"), step("mend", check="is it")]
    ran = Ran(dry(steps), tmp_path, answer, prepare=lambda r: holder.update(ran=r))
    assert ran.ending.exit_code == 6
    again = Ran(ran.folder, tmp_path, needed)
    assert again.handed_out == ["pos-01 mend foresee"]
