"""Steps that go on without us: under which id they run, and when what they left is removed."""

from __future__ import annotations

import pytest

from outagekit.events import (
    ApprovalAsked,
    EndState,
    FailureKind,
    RunClosed,
    StepFinished,
    StepResolved,
    StepTidied,
)
from outagekit.log.reader import read_records
from outagekit.playbook.model import Gate, Retry, Rollout
from outagekit.run.orders import Finished, Settled
from outagekit.testing.builders import plan_of, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")


class Killed(BaseException):
    """The process is gone."""


def detached(**fields):
    return step("patch", detach=True, **fields)


def plan(*, on=1, room_s=0.0, **fields):
    rollout = Rollout(waves=("100%",), gate=OPEN, waiting_room_s=room_s)
    return plan_of([detached(**fields)], on=on, rollout=rollout)


def ids_of(ran):
    """Return the ids handed out, by their ends: the number of the attempt that began them."""
    return [order.detach.rpartition(":")[2] for order in ran.driver.orders]


def killed(made, tmp_path, when=lambda _order: True, answer=succeed):
    where = {}

    def die(order):
        if when(order):
            raise Killed
        return answer(order)

    with pytest.raises(Killed):
        Ran(made, tmp_path, die, prepare=lambda r: where.update(folder=r.folder))
    return where["folder"]


def left(order):
    return fail(order, FailureKind.ABANDONED, EndState.UNKNOWN)


def late(order):
    return fail(order, FailureKind.TIMEOUT, EndState.UNKNOWN)


def test_it_runs_under_an_id_of_run_endpoint_step_and_attempt(tmp_path):
    ran = Ran(plan(), tmp_path)
    assert ran.driver.orders[0].detach == f"{ran.folder.name}:acme/pos-01:patch:1"


def test_an_ordinary_step_has_no_such_id(tmp_path):
    ran = Ran(plan_of([step("mend")], on=1), tmp_path)
    assert ran.driver.orders[0].detach == ""


def test_one_that_was_left_is_taken_up_under_the_same_id_again_and_again(tmp_path):
    ran = Ran(plan(), tmp_path, scripted({"pos-01 patch": [left, left, left, succeed]}))
    assert ids_of(ran) == ["1", "1", "1", "1"]
    assert [o.attempt for o in ran.driver.orders] == [
        f"acme/pos-01:patch:{n}" for n in (1, 2, 3, 4)
    ]
    assert ran.state_of("acme/pos-01") is EndState.CHANGED


def test_a_line_that_broke_for_good_is_taken_up_once_more_under_the_same_id(tmp_path):
    ran = Ran(plan(), tmp_path, scripted({"pos-01 patch": [lose, succeed]}))
    assert ids_of(ran) == ["1", "1"]
    assert ran.state_of("acme/pos-01") is EndState.CHANGED


@pytest.mark.parametrize("nothing", ["left", "lose"])
def test_a_line_that_never_holds_leaves_it_unknown_in_the_end(tmp_path, nothing):
    ran = Ran(plan(), tmp_path, left if nothing == "left" else lose)
    assert 1 < len(ran.driver.orders) < 20
    assert set(ids_of(ran)) == {"1"}
    assert ran.state_of("acme/pos-01") is EndState.UNKNOWN


def test_a_later_life_takes_it_up_under_the_same_id(tmp_path):
    folder = killed(plan(check="is it"), tmp_path)
    again = Ran(folder, tmp_path)
    assert [(o.attempt, o.purpose) for o in again.driver.orders] == [("acme/pos-01:patch:2", "do")]
    assert ids_of(again) == ["1"]
    assert again.driver.orders[0].detach.startswith(folder.name)
    assert again.ending.exit_code == 0


def test_a_life_after_that_one_still_does(tmp_path):
    folder = killed(plan(), tmp_path)
    for _ in range(2):
        with pytest.raises(Killed):
            Ran(folder, tmp_path, die)
    again = Ran(folder, tmp_path)
    assert (again.driver.orders[0].attempt, ids_of(again)) == ("acme/pos-01:patch:4", ["1"])


def die(_order):
    raise Killed


def test_a_definite_end_that_is_tried_again_begins_under_a_new_id(tmp_path):
    made = plan(retry=Retry(attempts=4, delay_s=0.0))
    ran = Ran(made, tmp_path, scripted({"pos-01 patch": [fail, lose, fail, succeed]}))
    assert ids_of(ran) == ["1", "2", "2", "4"]


def test_one_that_ran_out_of_its_time_was_ended_and_a_look_tells_what_it_came_to(tmp_path):
    made = plan(check="is it")
    answer = scripted(
        {
            "pos-01 patch do": [late, succeed],
            "pos-01 patch probe": lambda o: fail(o, FailureKind.VERIFY),
        }
    )
    ran = Ran(made, tmp_path, answer)
    assert [o.purpose for o in ran.driver.orders] == ["do", "probe", "do"]
    assert ids_of(ran) == ["1", "", "3"]


def test_one_that_ran_out_of_its_time_and_cannot_be_looked_at_asks_a_person(tmp_path):
    ran = Ran(plan(), tmp_path, scripted({"pos-01 patch": late}))
    assert ran.of(ApprovalAsked)[0].kind == "doubt"
    assert ran.ending.exit_code == 6


def test_looking_for_it_in_vain_says_nothing_of_it(tmp_path):
    """It was begun; that its endpoint cannot be reached now does not make it unreachable."""
    ran = Ran(plan(), tmp_path, scripted({"pos-01 patch": [lose, refuse]}))
    assert ran.state_of("acme/pos-01") is EndState.UNKNOWN
    assert ran.ending.exit_code == 4


def test_it_is_found_again_under_its_id_by_one_that_comes_back_from_the_waiting_room(tmp_path):
    ran = Ran(
        plan(room_s=3600.0),
        tmp_path,
        scripted({"pos-01 patch": [lose, refuse, refuse, succeed]}),
        clock=FakeClock(),
        prepare=lambda r: setattr(
            r.driver, "while_idle", lambda: r.driver.come_back("acme/pos-01")
        ),
    )
    assert ids_of(ran) == ["1"] * 4
    assert ran.state_of("acme/pos-01") is EndState.CHANGED


def test_nothing_is_removed_before_its_end_is_on_disk(tmp_path):
    seen = []

    def spy(ran):
        release = ran.driver.release

        def check(order):
            ends = [r.event for r in read_records(ran.folder) if isinstance(r.event, StepFinished)]
            seen.append([end.endpoint for end in ends])
            release(order)

        ran.driver.release = check

    ran = Ran(plan(on=3), tmp_path, prepare=spy)
    names = [order.target.endpoint.id for order in ran.driver.released]
    assert sorted(names) == ["acme/pos-01", "acme/pos-02", "acme/pos-03"]
    assert all(name in on_disk for name, on_disk in zip(names, seen, strict=True))


def test_the_log_says_what_was_removed_and_the_run_closes_after_that(tmp_path):
    ran = Ran(plan(on=2), tmp_path)
    assert sorted(e.detach.rpartition("/")[2] for e in ran.of(StepTidied)) == [
        "pos-01:patch:1",
        "pos-02:patch:1",
    ]
    kinds = [type(e) for e in ran.events]
    assert kinds.index(RunClosed) > max(n for n, k in enumerate(kinds) if k is StepTidied)
    assert not ran.ending.state.left_behind


def test_a_run_does_not_wait_for_ever_for_something_that_cannot_be_removed(tmp_path):
    clock = FakeClock()
    ran = Ran(
        plan(),
        tmp_path,
        clock=clock,
        prepare=lambda r: setattr(r.driver, "release", lambda _order: None),
    )
    assert ran.ending.exit_code == 0
    assert clock.monotonic() < 60
    assert ran.ending.state.left_behind


def test_nothing_is_removed_while_its_end_is_in_doubt(tmp_path):
    ran = Ran(plan(), tmp_path, scripted({"pos-01 patch": late}))
    assert "doubt-patch@acme/pos-01" in ran.ending.state.questions
    assert not ran.driver.released


def test_what_could_not_be_removed_is_removed_by_a_later_life(tmp_path):
    rollout = Rollout(waves=("100%",), gate=OPEN)
    made = plan_of([detached(), step("tidy")], on=2, rollout=rollout)
    holder = {}

    def stop(order):
        if order.attempt == "acme/pos-02:patch:1":
            holder["ran"].coordinator.stop("Ctrl-C")
        return succeed(order)

    def deaf(ran):
        holder.update(ran=ran)
        ran.driver.release = lambda _order: None

    ran = Ran(made, tmp_path, stop, prepare=deaf)
    assert ran.ending.exit_code == 6
    again = Ran(ran.folder, tmp_path)
    assert sorted(o.detach.rpartition("/")[2] for o in again.driver.released) == [
        "pos-01:patch:1",
        "pos-02:patch:1",
    ]
    assert len(again.of(StepTidied)) == 2


def test_an_end_the_executing_side_remembers_is_written_down_and_its_traces_removed(tmp_path):
    folder = killed(plan(), tmp_path)
    attempt = "acme/pos-01:patch:1"
    outcome = Finished(attempt=attempt, state=EndState.CHANGED)
    again = Ran(
        folder,
        tmp_path,
        prepare=lambda r: r.driver.known.update(
            {attempt: Settled(kind="outcome", outcome=outcome)}
        ),
    )
    assert not again.driver.orders
    assert [o.detach.rpartition(":")[2] for o in again.driver.released] == ["1"]


def test_a_search_that_was_never_begun_leaves_it_running_under_its_id(tmp_path):
    """The second attempt only looks for the first; that it did not happen changes nothing."""
    folder = killed(
        plan(),
        tmp_path,
        when=lambda o: o.attempt.endswith(":2"),
        answer=scripted({"pos-01 patch": lose}),
    )
    attempt = "acme/pos-01:patch:2"
    again = Ran(
        folder,
        tmp_path,
        prepare=lambda r: r.driver.known.update({attempt: Settled(kind="never_started")}),
    )
    assert ids_of(again) == ["1"]
    assert [o.detach.rpartition(":")[2] for o in again.driver.released] == ["1"]
    assert [e.how for e in again.of(StepResolved)] == ["rerun", "settled"]


def test_a_person_who_says_how_it_ended_has_its_traces_removed(tmp_path):
    ran = Ran(
        plan(),
        tmp_path,
        scripted({"pos-01 patch": late}),
        clock=FakeClock(),
        attended=True,
        prepare=lambda r: setattr(
            r.driver, "while_idle", lambda: r.say("doubt-patch@acme/pos-01", "done")
        ),
    )
    assert ran.ending.exit_code == 0
    assert [o.detach.rpartition(":")[2] for o in ran.driver.released] == ["1"]
