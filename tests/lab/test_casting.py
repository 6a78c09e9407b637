from __future__ import annotations

from collections import Counter

import pytest

from outagekit.errors import InvalidInput, UsageError
from outagekit.events import EndpointId, EndState
from outagekit.lab.casting import cast, sample_params
from outagekit.lab.machine import Pace, cure_of
from outagekit.playbook.model import Drill, DrillStep, Param, Push, Rollout

NAMES = {EndpointId(f"acme/srv-{number:03d}"): "linux" for number in range(60)}


def play(playbook, faults=None, seed=1):
    return cast(playbook, NAMES, seed=seed, faults=faults, params={}, pace=Pace())


def test_the_same_seed_casts_the_same(book):
    assert play(book()).cases == play(book()).cases
    assert play(book()).cases != play(book(), seed=2).cases


def test_some_of_every_fault_without_being_asked(book):
    found = Counter(case.fault for case in play(book()).cases.values())
    faulty = {"unreachable": 3, "slow": 3, "hang": 1, "reset": 1, "auth": 1, "lie": 1}
    assert found == {None: 50, **faulty}


def test_no_faults_when_told_so(book):
    assert {case.fault for case in play(book(), {}).cases.values()} == {None}


def test_machines_come_and_go_where_the_playbook_waits_for_them(book):
    waits = book(rollout=Rollout(waiting_room_s=60.0))
    found = Counter(case.fault for case in play(waits).cases.values())
    assert (found["flap"], found["bootloop"]) == (1, 1)


def test_only_machines_that_call_for_what_ends_it_are_in_a_boot_loop(book):
    cases = play(book(), {"bootloop": 1.0}).cases.values()
    assert {case.truth.state for case in cases if case.fault == "bootloop"} == {EndState.CHANGED}
    assert {case.truth.state for case in cases if case.fault is None} == {EndState.OK}


def test_a_boot_loop_ends_with_the_step_to_pounce_with_else_with_the_first_change(book, step):
    steps = (step("look"), step("a", risk="change"), step("b", risk="change"))
    assert cure_of(book(steps=steps)) == "a"
    assert cure_of(book(steps=steps, rollout=Rollout(pounce="b"))) == "b"
    assert cure_of(book(steps=steps[:1])) is None


def test_asking_for_a_boot_loop_nothing_would_end_is_refused(book, step):
    with pytest.raises(UsageError, match="nothing would end a boot loop in small"):
        play(book(steps=(step("look"),), drill=None), {"bootloop": 0.1})


def test_only_machines_that_call_for_the_change_lie(book):
    cases = play(book(), {"lie": 1.0}).cases.values()
    assert {case.truth.state for case in cases if case.fault == "lie"} == {EndState.CHANGED}
    assert {case.truth.state for case in cases if case.fault is None} == {EndState.OK}


def test_asking_for_a_lie_no_verify_would_find_is_refused(book, step):
    playbook = book(steps=(step("fix", risk="change"),), drill=None)
    with pytest.raises(UsageError, match="no lie would show in small"):
        play(playbook, {"lie": 0.1})
    assert "lie" not in {case.fault for case in play(playbook).cases.values()}


def test_faults_strike_early_on_some_and_late_on_others(book):
    players = play(book(), {"hang": 0.5, "reset": 0.5})
    late = [name for name, machine in players.machines.items() if machine.strikes_late]
    assert 8 < len(late) < 32
    assert all(players.cases[name].truth.needs for name in late)


def test_a_fault_never_waits_for_a_script_that_does_not_come(book, step):
    push = step("put", risk="change", action=Push("f", "/tmp/f", b""))
    players = play(book(steps=(push,), drill=None), {"hang": 1.0})
    assert not any(machine.strikes_late for machine in players.machines.values())


def test_a_drill_block_that_cannot_be_evaluated_is_invalid_input(book, step):
    playbook = book(
        steps=(step("fix"),), drill=Drill(steps={"fix": DrillStep(stdout="{{ missing }}")})
    )
    with pytest.raises(InvalidInput, match=r"drill block of small .* missing"):
        play(playbook)


def test_a_value_that_is_required_is_made_up(book):
    playbook = book(
        params={
            "given": Param(),
            "plain": Param(),
            "chosen": Param(choices=("a", "b")),
            "fact": Param(),
            "number": Param(type="int"),
            "empty": Param(default="", required=False),
        },
        drill=Drill(state={"fact": "nginx"}),
    )
    assert sample_params(playbook, {"given": "x"}) == {
        "given": "x",
        "plain": "drill",
        "chosen": "a",
        "fact": "nginx",
        "number": 1,
        "empty": "",
    }
