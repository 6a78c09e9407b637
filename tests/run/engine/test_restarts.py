"""A machine that restarted after its change, and not by us, is not well when its bake is over."""

from __future__ import annotations

import pytest

from outagekit.events import EndState, FailureKind, StepVerified
from outagekit.playbook.model import Gate, Reboot, Rollout
from outagekit.run.orders import Finished
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.runs import Ran, fail

OPEN = Gate("0", "100%", "100%", "100%")
POS = "acme/pos-01"


def baked(*steps, on=1, **rollout):
    given = {"waves": ("100%",), "gate": OPEN, "bake_s": 900.0, **rollout}
    return plan_of([read("look"), *steps], on=on, rollout=Rollout(**given))


def booted(*boots):
    """Return an endpoint that says at its first command the first of these boots, and so on."""
    left = list(boots)

    def answer(order):
        boot = left.pop(0) if len(left) > 1 else left[0]
        state = EndState.CHANGED if order.changes else EndState.OK
        return Finished(attempt=order.attempt, state=state, boot_id=boot)

    return answer


@pytest.mark.parametrize(
    "boots",
    [
        ("a", "a", "a", "b"),
        ("a", "a", "b", "b"),
    ],
    ids=["during the bake", "between two steps"],
)
def test_a_machine_that_restarted_by_itself_after_a_change_has_failed(tmp_path, boots):
    plan = baked(step("mend", verify="ok"), step("tidy", verify="ok"))
    ran = Ran(plan, tmp_path, booted(*boots), clock=FakeClock())
    assert ran.state_of(POS) is EndState.FAILED
    seen = ran.of(StepVerified)[0]
    assert seen.detail == "the machine has restarted since, and not by this run"
    assert seen.failure is FailureKind.VERIFY


def test_a_machine_that_restarted_before_it_was_changed_is_well(tmp_path):
    plan = baked(step("mend", verify="ok"), step("tidy", verify="ok"))
    ran = Ran(plan, tmp_path, booted("a", "b"), clock=FakeClock())
    assert ran.state_of(POS) is EndState.CHANGED


def test_our_own_restart_is_none_that_came_by_itself(tmp_path):
    plan = baked(step("mend", verify="ok"), step("restart", action=Reboot(60.0)))
    ran = Ran(plan, tmp_path, booted("a", "a", "b"), clock=FakeClock())
    assert ran.state_of(POS) is EndState.CHANGED


def test_our_own_restart_whose_end_nobody_saw_is_none_that_came_by_itself(tmp_path):
    plan = baked(
        step("mend", verify="ok"), step("restart", action=Reboot(60.0), verify="is it back")
    )
    boot = booted("a", "a", "b")

    def answer(order):
        if (order.step, order.purpose) == ("restart", "do"):
            return fail(order, FailureKind.ABANDONED, EndState.UNKNOWN)
        return boot(order)

    ran = Ran(plan, tmp_path, answer, clock=FakeClock())
    assert [e.state for e in ran.of(StepVerified)] == [EndState.CHANGED] * 2
    assert ran.ending.exit_code == 0


def test_what_restarted_by_itself_is_changed_again_when_its_gate_is_tried_again(tmp_path):
    plan = baked(step("mend", verify="ok"), step("tidy", verify="ok"), gate=Gate())
    clock = FakeClock()
    first = Ran(plan, tmp_path, booted("a", "a", "b"), clock=clock)
    assert first.ending.exit_code == 5
    again = Ran(first.folder, tmp_path, booted("b"), clock=clock)
    assert again.handed_out[0] == "pos-01 mend"
    assert again.ending.exit_code == 0
