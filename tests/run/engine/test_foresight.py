"""What a dry run cannot foresee, because no change was made, is said and is no failure."""

from __future__ import annotations

import pytest

from outagekit.events import EndState, FailureKind, StepFinished
from outagekit.playbook.model import (
    Fetch,
    Push,
    Reboot,
    Retry,
    WaitHttp,
    WaitScript,
    WaitTcp,
)
from outagekit.run.orders import Finished
from outagekit.testing.builders import plan_of, read, script, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, scripted

CANNOT = "a dry run cannot check it"


def would_change(order):
    return Finished(attempt=order.attempt, state=EndState.SKIPPED, detail="would change")


def needed(**more):
    """Return answers of an endpoint on which `mend` would be done."""
    return scripted({"pos-01 mend foresee": would_change, **more})


def dry(*steps, on=1, **fields):
    return plan_of([read("look"), *steps], on=on, dry_run=True, **fields)


def ends_of(ran):
    return {e.step: (e.state, e.detail, e.would_change) for e in ran.of(StepFinished)}


def test_nothing_but_reads_and_checks_is_handed_out(tmp_path):
    ran = Ran(
        dry(
            step("mend", check="is it"),
            step("blind"),
            step("restart", action=Reboot(60.0)),
            step("copy", action=Push("f", "/etc/f", b"x")),
            step("long", detach=True),
            read("grab", action=Fetch(("/var/log/x",), 10)),
        ),
        tmp_path,
        needed(),
    )
    assert ran.handed_out == ["pos-01 look", "pos-01 mend foresee", "pos-01 grab"]
    blind = (EndState.SKIPPED, CANNOT, True)
    ends = ends_of(ran)
    assert [ends[name] for name in ("blind", "restart", "copy", "long")] == [blind] * 4
    assert ran.ending.exit_code == 0


@pytest.mark.parametrize(
    "action", [WaitTcp(80), WaitHttp(80), WaitScript(script("is it up"))], ids=["tcp", "http", "sh"]
)
def test_nobody_waits_for_what_a_change_would_bring(tmp_path, action):
    wait = read("up", action=action, phase="fix")
    ran = Ran(dry(step("mend", check="is it"), wait), tmp_path, needed())
    assert "pos-01 up" not in ran.handed_out
    state, detail, _ = ends_of(ran)["up"]
    assert (state, detail) == (EndState.SKIPPED, f"{CANNOT}: it waits for what mend may bring")
    without = Ran(dry(step("mend", check="is it"), wait), tmp_path)
    assert "pos-01 up" in without.handed_out


def test_a_value_that_only_a_change_would_give_cannot_be_checked(tmp_path):
    mend = step("mend", check="is it", result={"v": "text"})
    steps = [
        mend,
        step("by_when", check="is it", when="mend.v == 'x'"),
        step("by_value", check="is it", with_={"v": "mend.v"}),
        read("seen", phase="verify", with_={"v": "mend.v"}, result={"w": "text"}),
        step("later", phase="close", when="seen.w == 'x'"),
    ]
    ran = Ran(dry(*steps), tmp_path, needed())
    ends = ends_of(ran)
    why = f"{CANNOT}: no value: mend.v"
    assert ends["by_when"] == ends["by_value"] == (EndState.SKIPPED, why, True)
    assert ends["seen"] == (EndState.SKIPPED, why, False)
    assert ends["later"] == (EndState.SKIPPED, f"{CANNOT}: no value: seen.w", True)


def test_a_value_that_the_run_itself_would_not_have_is_no_gap_of_the_dry_run(tmp_path):
    mend = step("mend", check="is it", when="false", result={"v": "text"})
    ran = Ran(dry(mend, step("later", when="mend.v == 'x'")), tmp_path)
    assert ends_of(ran)["later"] == (EndState.SKIPPED, "no value: mend.v", False)


@pytest.mark.parametrize(
    "kind", [FailureKind.EXIT_CODE, FailureKind.BAD_RESULT, FailureKind.CHECK_BROKEN]
)
def test_a_read_that_fails_behind_a_change_that_was_not_made_proves_nothing(tmp_path, kind):
    prove = read("prove", phase="verify", retry=Retry(attempts=3, delay_s=0.0))
    answer = needed(**{"pos-01 prove": lambda order: fail(order, kind)})
    ran = Ran(dry(step("mend", check="is it"), prove), tmp_path, answer)
    assert ran.handed_out.count("pos-01 prove") == 1
    assert ends_of(ran)["prove"] == (EndState.SKIPPED, f"{CANNOT} before mend: no", False)
    assert ran.ending.exit_code == 0


def test_a_check_that_is_broken_behind_a_change_that_was_not_made_proves_nothing(tmp_path):
    broken = {"pos-01 tune foresee": lambda order: fail(order, FailureKind.CHECK_BROKEN)}
    plan = dry(step("mend", check="is it"), step("tune", check="is it tuned"))
    ran = Ran(plan, tmp_path, needed(**broken))
    assert ends_of(ran)["tune"] == (EndState.SKIPPED, f"{CANNOT} before mend: no", True)
    assert ran.ending.exit_code == 0


def test_a_failure_that_no_change_could_mend_fails_a_dry_run(tmp_path):
    prove = read("prove", phase="verify")
    refused = {"pos-01 prove": lambda order: fail(order, FailureKind.AUTH)}
    ran = Ran(dry(step("mend", check="is it"), prove), tmp_path, needed(**refused))
    assert (ran.ending.exit_code, ran.state_of("acme/pos-01")) == (3, EndState.FAILED)
    first = Ran(dry(step("mend", check="is it")), tmp_path, scripted({"pos-01 look": fail}))
    assert first.ending.exit_code == 3
    well = scripted({"pos-01 mend foresee": succeed, "pos-01 prove": fail})
    assert Ran(dry(step("mend", check="is it"), prove), tmp_path, well).ending.exit_code == 3
