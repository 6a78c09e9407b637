from __future__ import annotations

import pytest

from outagekit.events import EndpointId, EndState, FailureKind
from outagekit.lab.machine import Machine
from outagekit.lab.truth import truth_of
from outagekit.playbook.expressions import ExpressionProblem
from outagekit.playbook.model import Drill, DrillStep, Reboot, WaitScript


def truth(playbook, *, fault=None, **params):
    twin = Machine(EndpointId("acme/srv-001"), playbook)
    twin.fault = fault
    return truth_of(playbook, twin, params)


def test_an_impacted_machine_calls_for_its_change(drilled):
    found = truth(drilled({"impacted": True}, set={"impacted": False}))
    assert found.state is EndState.CHANGED
    assert found.needs == {"fix"}
    assert found.facts == {"impacted": False}


def test_a_machine_that_is_not_impacted_calls_for_nothing(drilled):
    found = truth(drilled({"impacted": False}, set={"impacted": False}))
    assert (found.state, found.failure, found.needs) == (EndState.OK, None, frozenset())


def test_a_check_that_is_true_already_calls_for_nothing(drilled):
    found = truth(drilled({"impacted": True, "done": True}, set={"done": True}))
    assert (found.state, found.needs) == (EndState.OK, frozenset())


def test_a_lie_ends_at_verify(drilled):
    found = truth(drilled({"impacted": True}, set={"impacted": False}), fault="lie")
    assert (found.state, found.failure) == (EndState.FAILED, FailureKind.VERIFY)


def test_a_lie_without_goals_cannot_show(drilled):
    assert truth(drilled({"impacted": True}), fault="lie").state is EndState.CHANGED


def test_an_exit_code_ends_the_endpoint(drilled, book, step):
    found = truth(drilled({"impacted": True}, exit_code=1))
    assert (found.state, found.failure) == (EndState.FAILED, FailureKind.EXIT_CODE)
    later = book(
        steps=(step("a"), step("b", risk="change"), step("c", risk="change", always=True)),
        drill=Drill(steps={"a": DrillStep(exit_code=1)}),
    )
    assert truth(later).needs == {"c"}


@pytest.mark.parametrize("stdout", ["", "no json", '["impacted"]', '{"other": true}'])
def test_a_result_that_is_none_ends_the_endpoint(book, step, stdout):
    playbook = book(
        steps=(step("look", result={"impacted": "bool"}),),
        drill=Drill(steps={"look": DrillStep(stdout=stdout + "\n")}),
    )
    assert truth(playbook).failure is FailureKind.BAD_RESULT


def test_a_wait_that_never_comes_true_is_a_timeout(book, step, script):
    playbook = book(
        steps=(step("up", action=WaitScript(script())),),
        drill=Drill(state={"up": False}, steps={"up": DrillStep(check="up")}),
    )
    assert truth(playbook).failure is FailureKind.TIMEOUT


def test_a_condition_sees_params_results_and_end_states(book, step):
    playbook = book(
        steps=(
            step("look", result={"n": "int"}),
            step("a", risk="change", when="look.n > limit"),
            step("b", risk="change", when="a.changed"),
            step("c", risk="change", when="not a.skipped and b.state == 'changed'"),
            step("d", risk="change", when="a.skipped"),
            step("e", risk="change", when="d.value == 1"),
            step("f", risk="change", when="client == 'acme' and endpoint == 'srv-001'"),
        ),
        drill=Drill(steps={"look": DrillStep(stdout='{"n": 3}')}),
    )
    assert truth(playbook, limit=2).needs == {"a", "b", "c", "f"}
    assert truth(playbook, limit=3).needs == {"d", "f"}


def test_values_reach_the_answers_as_scripts_get_them(book, step):
    playbook = book(
        steps=(
            step("look", result={"n": "int"}),
            step("set", risk="change", with_={"twice": "look.n * 2", "plain": True}),
        ),
        drill=Drill(
            steps={
                "look": DrillStep(stdout='{"n": 3}'),
                "set": DrillStep(set={"seen": "{{ twice }}/{{ plain }}/{{ level }}"}),
            }
        ),
    )
    assert truth(playbook, level=5).facts == {"seen": "6/true/5"}


def test_a_condition_that_cannot_be_evaluated_is_an_error(book, step):
    with pytest.raises(ExpressionProblem):
        truth(book(steps=(step("a", when="client - 1"),)))


@pytest.mark.parametrize(
    ("takes_s", "failure"), [(0.0, None), (899.0, None), (901.0, FailureKind.NOT_BACK)]
)
def test_a_machine_that_is_down_for_too_long_is_not_back(book, step, takes_s, failure):
    playbook = book(
        steps=(step("restart", risk="change", action=Reboot(900.0)),),
        drill=Drill(steps={"restart": DrillStep(takes_s=takes_s)}),
    )
    assert truth(playbook).failure is failure


def test_a_machine_that_refuses_to_restart_fails_with_its_exit_code(book, step):
    playbook = book(
        steps=(step("restart", risk="change", action=Reboot(900.0)),),
        drill=Drill(steps={"restart": DrillStep(exit_code=1)}),
    )
    assert truth(playbook).failure is FailureKind.EXIT_CODE
