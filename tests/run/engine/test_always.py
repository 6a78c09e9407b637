"""An early end: what is left out after it, what happens always, and what is never begun."""

from __future__ import annotations

import pytest

from outagekit.events import EndState, FailureKind, RunClosed, StepFinished
from outagekit.playbook.model import Approve, Gate, Rollout
from outagekit.run.engine.situation import Bounds
from outagekit.run.orders import Finished
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")


def cared_for():
    return [step("enter"), step("mend"), step("check_in"), step("leave", always=True)]


def ending(state, kind=None):
    return lambda order: Finished(attempt=order.attempt, state=state, failure=kind)


@pytest.mark.parametrize(
    "states",
    [
        ("failed", "unknown", "unreachable", "changed", "ok", "skipped"),
        ("unknown", "unreachable", "changed", "ok", "skipped"),
        ("unreachable", "changed", "ok", "skipped"),
        ("changed", "ok", "skipped"),
        ("ok", "skipped"),
        ("skipped",),
    ],
)
def test_an_endpoint_ends_as_the_worst_of_its_steps(tmp_path, states):
    """Each step ends as it is told to; later ones begin after a bad end because they always do."""
    steps = [
        read(f"s{n}", always=True, on_doubt="skip", when="false" if state == "skipped" else None)
        for n, state in enumerate(reversed(states))
    ]
    how = {
        "failed": fail,
        "unknown": lose,
        "unreachable": refuse,
        "changed": ending(EndState.CHANGED),
        "ok": ending(EndState.OK),
    }
    script = {
        f"pos-01 s{n}": how[state] for n, state in enumerate(reversed(states)) if state in how
    }
    ran = Ran(plan_of(steps, on=1), tmp_path, scripted(script))
    assert ran.state_of("acme/pos-01").value == states[0]


@pytest.mark.parametrize("bad", [fail, lose])
def test_a_failed_or_unknown_step_ends_the_endpoint_but_not_what_always_happens(tmp_path, bad):
    plan = plan_of([*cared_for()[:1], step("mend", on_doubt="rerun"), *cared_for()[2:]], on=2)
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": bad}))
    assert "pos-01 check_in" not in ran.handed_out
    assert ran.handed_out.count("pos-01 leave") == 1
    assert ran.orders_of("acme/pos-02") == [
        (name, "do") for name in ("enter", "mend", "check_in", "leave")
    ]


def test_one_that_cannot_be_reached_any_more_is_still_tried_if_it_was_begun(tmp_path):
    ran = Ran(plan_of(cared_for(), on=1), tmp_path, scripted({"pos-01 mend": refuse}))
    assert ran.handed_out == ["pos-01 enter", "pos-01 mend", "pos-01 leave"]
    assert ran.state_of("acme/pos-01") is EndState.UNREACHABLE


def test_nothing_always_happens_where_nothing_of_ours_ever_ran(tmp_path):
    answer = scripted({"pos-01 enter": refuse, "pos-02 enter": lambda o: fail(o, FailureKind.AUTH)})
    ran = Ran(plan_of(cared_for(), on=2), tmp_path, answer)
    assert ran.handed_out == ["pos-01 enter", "pos-02 enter"]
    assert ran.ending.exit_code == 3


def test_an_always_step_of_a_later_stage_comes_in_its_turn(tmp_path):
    steps = [
        read("look"),
        step("mend"),
        read("prove", phase="verify"),
        read("collect", phase="review", always=True),
    ]
    ran = Ran(plan_of(steps, on=2), tmp_path, scripted({"pos-01 mend": fail}))
    assert ran.handed_out[-2:] in (
        ["pos-01 collect", "pos-02 collect"],
        ["pos-02 collect", "pos-01 collect"],
    )
    assert "pos-01 prove" not in ran.handed_out


def test_a_when_of_an_always_step_sees_how_it_ended(tmp_path):
    steps = [
        step("mend"),
        step("leave", always=True, when="mend.failed"),
        read("prove", phase="verify"),
    ]
    ran = Ran(plan_of(steps, on=2), tmp_path, scripted({"pos-01 mend": fail}))
    assert [o for o in ran.handed_out if "leave" in o] == ["pos-01 leave"]
    assert ran.ending.exit_code == 3


def test_after_a_no_nothing_happens_any_more_not_even_what_always_does(tmp_path):
    ask = read("ask", action=Approve("May we?"), phase="fix", timeout_s=600.0)
    plan = plan_of([step("enter"), ask, step("leave", always=True)], on=1)
    ran = Ran(
        plan,
        tmp_path,
        clock=FakeClock(),
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: r.say("ask@acme/pos-01", "no")),
    )
    assert ran.handed_out == ["pos-01 enter"]
    assert ran.ending.exit_code == 6


def test_an_always_step_that_fails_is_the_end_of_it(tmp_path):
    steps = [*cared_for(), step("last", always=True)]
    answer = scripted({"pos-01 mend": fail, "pos-01 leave": fail})
    ran = Ran(plan_of(steps, on=1), tmp_path, answer)
    assert ran.handed_out == ["pos-01 enter", "pos-01 mend", "pos-01 leave", "pos-01 last"]


def test_at_a_closed_gate_it_waits_so_that_a_second_try_finds_the_endpoint_as_it_was(tmp_path):
    plan = plan_of([read("look"), *cared_for()], on=3, rollout=Rollout())
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": fail}))
    assert ran.ending.exit_code == 5
    assert "pos-01 leave" not in ran.handed_out
    again = Ran(ran.folder, tmp_path)
    assert again.handed_out[:3] == ["pos-01 mend", "pos-01 check_in", "pos-01 leave"]


def test_steps_that_are_left_out_because_of_an_earlier_one_need_no_record(tmp_path):
    steps = [step("one"), step("two"), step("three")]
    ran = Ran(plan_of(steps, on=1), tmp_path, scripted({"pos-01 one": fail}))
    assert [e.step for e in ran.of(StepFinished)] == ["one"]
    assert ran.ending.state.progress["acme/pos-01"].position == 3


def test_an_endpoint_that_was_never_begun_is_skipped_and_the_run_does_not_end_well(tmp_path):
    holder = {}

    def answer(order):
        holder["ran"].coordinator.stop("Ctrl-C")
        return succeed(order)

    ran = Ran(
        plan_of([step("one")], on=3),
        tmp_path,
        answer,
        bounds=Bounds(running=1),
        prepare=lambda r: holder.update(ran=r),
    )
    left = ran.ending.state.progress["acme/pos-03"]
    assert (left.begun, left.state) == (False, EndState.SKIPPED)
    assert ran.ending.exit_code == 6
    assert not ran.of(RunClosed)


def test_a_when_without_its_value_skips_and_names_it_also_where_only_a_part_is_missing(tmp_path):
    steps = [
        read("detect", when="false", result={"sick": "bool"}),
        step("mend", when="detect.sick"),
        step("tidy", when="detect.sick or true"),
        step("hand", with_={"it": "detect.sick"}),
    ]
    ran = Ran(plan_of(steps, on=1), tmp_path)
    details = {e.step: e.detail for e in ran.of(StepFinished)}
    assert details["mend"] == "no value: detect.sick"
    assert details["hand"] == "no value: detect.sick"
    assert details["tidy"] == "no value: detect.sick"
    assert ran.ending.exit_code == 0
