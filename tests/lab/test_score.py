from __future__ import annotations

import pytest

from outagekit.events import EndpointId, EndState, FailureKind
from outagekit.lab.faults import FAULTS, RIGHT
from outagekit.lab.machine import Machine
from outagekit.lab.score import Case, Misjudged, Tally, score
from outagekit.lab.truth import truth_of

ONE = EndpointId("acme/srv-001")


@pytest.fixture
def stage(drilled, sent):
    """One machine that is, or is not, impacted; played through the given parts of `fix`."""

    def made(*, impacted=True, fault=None, parts=("check", "script", "verify"), late=False):
        playbook = drilled({"impacted": impacted}, set={"impacted": False})
        case = Case(fault, truth_of(playbook, Machine(ONE, playbook), {}))
        machine = Machine(ONE, playbook)
        machine.fault, machine.strikes_late = fault, late
        for part in parts:
            machine.answer("fix", part, sent())
        return {ONE: case}, {ONE: machine}

    return made


def judged(state, kind=None):
    return {ONE: (state, kind)}


def test_a_healthy_machine_that_was_changed_is_right(stage):
    cases, machines = stage()
    found = score(cases, judged(EndState.CHANGED), machines)
    assert found.passed
    assert (found.total, found.right, found.tallies) == (1, 1, (Tally(None, 1, 1),))


@pytest.mark.parametrize("state", [EndState.OK, EndState.SKIPPED])
def test_a_machine_that_needed_nothing_and_got_nothing_is_right(stage, state):
    cases, machines = stage(impacted=False, parts=("check",))
    assert score(cases, judged(state), machines).passed


@pytest.mark.parametrize("state", [s for s in EndState if s is not EndState.CHANGED])
def test_any_other_end_of_a_machine_that_needed_a_change_is_wrong(stage, state):
    cases, machines = stage()
    found = score(cases, judged(state), machines)
    assert not found.passed
    assert found.misjudged == (Misjudged(ONE, None, "changed", state.value),)


def test_green_that_the_machine_does_not_bear_out_is_wrong(stage):
    cases, machines = stage(parts=())
    found = score(cases, judged(EndState.CHANGED), machines)
    assert found.misjudged[0].found == "changed, but on the machine it is not so: impacted"


def test_a_missing_judgement_is_wrong(stage):
    cases, machines = stage()
    found = score(cases, {}, machines)
    assert (found.right, found.misjudged[0].found) == (0, "no judgement")


def test_a_change_nobody_needed_is_a_wrong_target(stage):
    cases, machines = stage(impacted=False)
    found = score(cases, judged(EndState.OK), machines)
    assert found.wrong_targets == (ONE,)
    assert not found.passed


def test_a_change_outside_the_chosen_endpoints_is_a_wrong_target(stage):
    _, machines = stage()
    found = score({}, {}, machines)
    assert found.wrong_targets == (ONE,)


def test_a_machine_outside_that_was_only_looked_at_is_none(stage):
    _, machines = stage(parts=("check",))
    assert score({}, {}, machines).passed


def test_a_change_made_twice_is_told(stage):
    cases, machines = stage(parts=("script", "script"))
    found = score(cases, judged(EndState.CHANGED), machines)
    assert found.repeated == (ONE,)
    assert not found.passed


@pytest.mark.parametrize("fault", [f for f in FAULTS if RIGHT[f].state])
def test_each_fault_has_its_right_judgement_and_no_other(stage, fault):
    cases, machines = stage(fault=fault)
    right = RIGHT[fault]
    for state in EndState:
        for kind in (None, *FailureKind):
            expected = state is right.state and kind in right.kinds
            assert score(cases, judged(state, kind), machines).passed == expected


def test_a_slow_machine_is_judged_like_a_healthy_one(stage):
    cases, machines = stage(fault="slow")
    assert score(cases, judged(EndState.CHANGED), machines).passed
    assert not score(cases, judged(EndState.UNKNOWN, FailureKind.TIMEOUT), machines).passed


@pytest.mark.parametrize(
    ("fault", "kind"), [("hang", FailureKind.TIMEOUT), ("reset", FailureKind.LOST)]
)
def test_nothing_is_unknown_about_a_machine_that_never_got_a_command(stage, fault, kind):
    cases, machines = stage(fault=fault, parts=())
    assert score(cases, judged(EndState.UNREACHABLE, kind), machines).passed
    assert not score(cases, judged(EndState.UNKNOWN, kind), machines).passed


def test_a_change_whose_answer_was_lost_is_no_wrong_target(stage):
    cases, machines = stage(fault="reset", late=True, parts=("check", "script"))
    assert score(cases, judged(EndState.UNKNOWN, FailureKind.LOST), machines).passed


def test_tallies_are_kept_by_fault(stage):
    cases, machines = stage(fault="auth", parts=())
    found = score(cases, judged(EndState.FAILED, FailureKind.EXIT_CODE), machines)
    assert found.tallies == (Tally("auth", 1, 0),)
    assert found.misjudged == (Misjudged(ONE, "auth", "failed (auth)", "failed (exit_code)"),)
