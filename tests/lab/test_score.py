from __future__ import annotations

import pytest

from outagekit.events import EndpointId, EndState, FailureKind
from outagekit.lab.faults import FAULTS, RIGHT
from outagekit.lab.machine import Machine
from outagekit.lab.score import Case, Judged, Misjudged, Tally, score
from outagekit.lab.truth import truth_of
from outagekit.playbook.model import Reboot

ONE = EndpointId("acme/srv-001")
PARTS = ("check", "script", "verify")


@pytest.fixture
def stage(drilled, sent):
    """One machine that is, or is not, impacted; played through the given parts of `fix`."""

    def made(*, impacted=True, fault=None, parts=PARTS, late=False, downs=0, system="linux"):
        playbook = drilled({"impacted": impacted}, set={"impacted": False})
        case = Case(fault, truth_of(playbook, Machine(ONE, playbook), {}))
        machine = Machine(ONE, playbook, system=system)
        machine.fault, machine.strikes_late = fault, late
        for _ in range(downs):
            machine.went_down()
            machine.came_up(boots=False)
        for part in parts:
            machine.answer("fix", part, sent() if system == "linux" else b"dir")
        return {ONE: case}, {ONE: machine}

    return made


def judged(state, kind=None, **steps):
    return {ONE: Judged(state, kind, steps)}


def test_a_healthy_machine_that_was_changed_is_right(stage):
    cases, machines = stage()
    found = score(cases, judged(EndState.CHANGED), machines)
    assert found.passed
    assert (found.total, found.right, found.tallies) == (1, 1, (Tally(None, 1, 1, fixed=1),))


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


def test_a_reset_of_a_command_that_outlives_its_connection_may_end_as_a_time_out(stage):
    for system, fair in (("windows", True), ("linux", False)):
        cases, machines = stage(fault="reset", system=system)
        assert score(cases, judged(EndState.UNKNOWN, FailureKind.LOST), machines).passed
        found = score(cases, judged(EndState.UNKNOWN, FailureKind.TIMEOUT), machines)
        assert found.passed is fair


def test_a_change_made_again_on_windows_shows_although_its_verdicts_have_no_exit_code(stage):
    cases, machines = stage(system="windows", parts=("check", "script", "verify"))
    assert score(cases, judged(EndState.CHANGED), machines).repeated == ()
    cases, machines = stage(system="windows", parts=("check", "script", "verify", "script"))
    assert score(cases, judged(EndState.CHANGED), machines).repeated == (ONE,)


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


@pytest.mark.parametrize("look", ["check", "verify"])
def test_a_change_that_a_look_found_missing_may_be_made_again(stage, sent, look):
    cases, machines = stage(parts=("check", "script"))
    machines[ONE].state["impacted"] = True
    machines[ONE].answer("fix", look, sent())
    machines[ONE].answer("fix", "script", sent())
    assert score(cases, judged(EndState.CHANGED), machines).passed


def test_a_look_that_found_the_change_there_does_not_excuse_making_it_again(stage):
    cases, machines = stage(parts=("script", "check", "verify", "script"))
    assert score(cases, judged(EndState.CHANGED), machines).repeated == (ONE,)


def test_a_change_may_be_made_again_after_it_was_taken_back(stage):
    cases, machines = stage(parts=("script", "undo", "script"))
    assert score(cases, judged(EndState.CHANGED), machines).repeated == ()


def test_a_step_that_says_so_may_be_repeated(book, step, sent):
    playbook = book(steps=(step("fix", risk="change", on_doubt="rerun"),), drill=None)
    machine = Machine(ONE, playbook)
    machine.answer("fix", "script", sent())
    machine.answer("fix", "script", sent())
    case = Case(None, truth_of(playbook, Machine(ONE, playbook), {}))
    assert score({ONE: case}, judged(EndState.CHANGED), {ONE: machine}).passed


def test_those_the_run_did_not_end_with_are_listed_and_not_judged(stage):
    cases, machines = stage(parts=())
    found = score(cases, {}, machines, unfinished={ONE})
    assert found.passed
    assert (found.total, found.right, found.tallies, found.unfinished) == (0, 0, (), (ONE,))


def test_a_wrong_target_is_one_also_when_the_run_did_not_end_with_it(stage):
    cases, machines = stage(impacted=False)
    assert score(cases, {}, machines, unfinished={ONE}).wrong_targets == (ONE,)


@pytest.mark.parametrize("fault", ["flap", "bootloop"])
class TestRestless:
    """Machines that come and go: whatever is true of them is right."""

    def test_like_a_healthy_one(self, stage, fault):
        cases, machines = stage(fault=fault)
        found = score(cases, judged(EndState.CHANGED, fix=EndState.CHANGED), machines)
        assert found.passed
        assert found.tallies == (Tally(fault, 1, 1, fixed=1),)

    def test_out_of_reach(self, stage, fault):
        cases, machines = stage(fault=fault, parts=(), downs=1)
        found = score(cases, judged(EndState.UNREACHABLE, FailureKind.REFUSED), machines)
        assert found.passed
        assert found.tallies == (Tally(fault, 1, 1, fixed=0),)

    @pytest.mark.parametrize("parts", [(), ("check", "script")])
    def test_unknown_after_a_lost_connection(self, stage, fault, parts):
        cases, machines = stage(fault=fault, parts=parts, downs=1)
        assert score(cases, judged(EndState.UNKNOWN, FailureKind.LOST), machines).passed

    @pytest.mark.parametrize(
        ("state", "kind"),
        [(EndState.UNREACHABLE, FailureKind.REFUSED), (EndState.UNKNOWN, FailureKind.LOST)],
    )
    def test_not_if_it_was_up_all_the_time(self, stage, fault, state, kind):
        cases, machines = stage(fault=fault, parts=())
        assert not score(cases, judged(state, kind), machines).passed

    @pytest.mark.parametrize("kind", [k for k in FailureKind if k not in RIGHT["flap"].kinds])
    def test_not_for_a_reason_that_is_not_its_fault(self, stage, fault, kind):
        cases, machines = stage(fault=fault, parts=(), downs=1)
        assert not score(cases, judged(EndState.UNREACHABLE, kind), machines).passed

    @pytest.mark.parametrize("kind", FailureKind)
    def test_never_failed(self, stage, fault, kind):
        cases, machines = stage(fault=fault, downs=3)
        assert not score(cases, judged(EndState.FAILED, kind), machines).passed

    def test_not_back_only_after_a_restart_that_was_asked_for(self, stage, fault, book, step, sent):
        cases, machines = stage(fault=fault, downs=1)
        not_back = judged(EndState.FAILED, FailureKind.NOT_BACK)
        assert not score(cases, not_back, machines).passed
        steps = (step("restart", risk="change", action=Reboot(900.0)),)
        machine = Machine(ONE, book(steps=steps, drill=None))
        machine.fault = fault
        machine.answer("restart", "script", sent())
        case = Case(fault, truth_of(book(steps=steps, drill=None), machine, {}))
        assert score({ONE: case}, not_back, {ONE: machine}).passed
        machine.received.clear()
        assert not score({ONE: case}, not_back, {ONE: machine}).passed
        machine.missed("restart", "script", sent())
        assert score({ONE: case}, not_back, {ONE: machine}).passed

    @pytest.mark.parametrize("state", [EndState.CHANGED, EndState.OK])
    def test_green_must_be_true(self, stage, fault, state):
        cases, machines = stage(fault=fault, parts=("check",), downs=1)
        assert not score(cases, judged(state), machines).passed

    def test_ok_if_the_answer_to_the_change_was_lost(self, stage, fault):
        cases, machines = stage(fault=fault, parts=("check", "script"), downs=1)
        assert score(cases, judged(EndState.OK, fix=EndState.OK), machines).passed

    def test_a_change_that_was_made_is_not_called_out_of_reach(self, stage, fault):
        cases, machines = stage(fault=fault, parts=("check", "script"), downs=1)
        claim = judged(EndState.UNREACHABLE, FailureKind.LOST, fix=EndState.UNREACHABLE)
        found = score(cases, claim, machines)
        assert found.misjudged[0].found == "unreachable (lost), but fix was done"
        later = judged(EndState.UNREACHABLE, FailureKind.LOST, fix=EndState.CHANGED)
        assert score(cases, later, machines).passed


def test_a_healthy_machine_may_not_claim_a_change_that_was_never_made(stage):
    cases, machines = stage(parts=())
    machines[ONE].state["impacted"] = False
    found = score(cases, judged(EndState.CHANGED, fix=EndState.CHANGED), machines)
    assert found.misjudged[0].found == "changed, but fix was never done"


def test_a_probe_is_no_change(stage):
    cases, machines = stage(parts=("check", "script", "probe", "probe"))
    assert score(cases, judged(EndState.CHANGED), machines).passed
