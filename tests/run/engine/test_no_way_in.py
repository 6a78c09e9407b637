"""A login that is refused is not tried again, and says nothing of what was sent before it."""

from __future__ import annotations

import pytest

from outagekit.events import EndState, FailureKind, StepResolved
from outagekit.playbook.model import Retry, Rollout
from outagekit.run.opening import Resumption
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, scripted

POS = "acme/pos-01"
NO_WAY_IN = (
    FailureKind.AUTH,
    FailureKind.CREDENTIAL_STOPPED,
    FailureKind.HOST_KEY,
    FailureKind.WRONG_MACHINE,
)


def refused(kind):
    return lambda order: fail(order, kind)


@pytest.mark.parametrize("kind", NO_WAY_IN)
def test_no_policy_for_doubts_makes_a_second_login_of_one_that_was_refused(tmp_path, kind):
    policies = [
        step("mend", detach=True),
        step("mend", on_doubt="rerun"),
        step("mend", check="is it", on_doubt="probe"),
        step("mend", retry=Retry(attempts=5, delay_s=0.0), on_doubt="rerun"),
        read("mend", retry=Retry(attempts=5, delay_s=0.0)),
    ]
    for at, policy in enumerate(policies):
        answer = scripted({"pos-01 mend": [lose, refused(kind)]})
        ran = Ran(plan_of([policy], on=1), tmp_path / str(at), answer)
        assert len(ran.handed_out) == 2


@pytest.mark.parametrize("kind", NO_WAY_IN)
@pytest.mark.parametrize("how", [{"detach": True}, {"on_doubt": "rerun"}])
def test_a_step_in_doubt_stays_unknown_when_nobody_can_log_in_to_see(tmp_path, kind, how):
    answer = scripted({"pos-01 mend": [lose, refused(kind)]})
    ran = Ran(plan_of([step("mend", **how)], on=1), tmp_path, answer)
    assert ran.state_of(POS) is EndState.UNKNOWN
    assert ran.of(StepResolved)[-1].failure is kind
    assert ran.ending.exit_code == 4


def test_a_read_in_doubt_that_cannot_log_in_the_second_time_has_failed(tmp_path):
    answer = scripted({"pos-01 look": [lose, refused(FailureKind.AUTH)]})
    ran = Ran(plan_of([read("look")], on=1), tmp_path, answer)
    assert ran.state_of(POS) is EndState.FAILED


def test_what_no_login_could_settle_is_looked_at_when_its_gate_is_tried_again(tmp_path):
    for at, mend in enumerate((step("mend", detach=True), step("mend", on_doubt="rerun"))):
        plan = plan_of([read("look"), mend], on=2, rollout=Rollout(waves=("1", "100%")))
        answer = scripted({"pos-01 mend": [lose, refused(FailureKind.AUTH)]})
        first = Ran(plan, tmp_path / str(at), answer)
        assert first.ending.exit_code == 5
        again = Ran(first.folder, tmp_path, succeed, how=Resumption())
        assert again.handed_out == ["pos-01 mend", "pos-02 mend"]
        assert again.ending.exit_code == 0
