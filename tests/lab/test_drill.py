from __future__ import annotations

import msgspec
import pytest

from outagekit.events import EndState, FailureKind
from outagekit.lab.drill import Tempo, drill_answers, drill_plan, rehearsed, score_of
from outagekit.lab.fleet import Fleet
from outagekit.lab.score import Case
from outagekit.playbook.model import Approve, Manual, Reboot, Retry, Rollout, WaitScript
from outagekit.run.engine.state import Doubt, StepEnd, begin


def test_waiting_is_divided_by_the_speed(book, step):
    rollout = Rollout(bake_s=900.0, waiting_room_s=14_400.0, waves=("1", "100%"))
    steps = (step("fix", risk="change", retry=Retry(3, 30.0, 2.0), timeout_s=900.0),)
    done = rehearsed(book(rollout=rollout, steps=steps), Tempo(timeout_s=5.0, speed=60.0))
    assert done.rollout == msgspec.structs.replace(rollout, bake_s=15.0, waiting_room_s=240.0)
    assert done.steps[-1].retry == Retry(3, 0.5, 2.0)
    assert done.steps[-1].timeout_s == 5.0


def test_a_restart_keeps_the_time_it_takes_to_see_it(book, step):
    def within_s(whole_s, speed):
        steps = (step("restart", action=Reboot(whole_s), risk="change"),)
        return rehearsed(book(steps=steps), Tempo(speed=speed)).steps[-1].action.within_s

    assert within_s(3600.0, 60.0) == 60.0
    assert within_s(900.0, 60.0) == 30.0
    assert within_s(10.0, 60.0) == 10.0


def test_a_person_is_not_hurried(book, step):
    steps = (step("call", action=Manual("Ring."), timeout_s=3600.0), step("fix", risk="change"))
    hurried = {s.id: s.timeout_s for s in rehearsed(book(steps=steps), Tempo()).steps}
    assert (hurried["call"], hurried["fix"]) == (3600.0, 5.0)


def test_a_wait_looks_more_often_but_never_all_the_time(book, step, script):
    def every_s(whole_s):
        steps = (step("up", action=WaitScript(script(), whole_s)),)
        return rehearsed(book(steps=steps), Tempo(speed=60.0)).steps[0].action.every_s

    assert (every_s(60.0), every_s(5.0), every_s(0.1)) == (1.0, 0.2, 0.1)


def test_the_probe_before_the_first_change_is_hurried_too(book, step, lab_folder):
    done = rehearsed(book(steps=(step("fix", risk="change"),), drill=None), Tempo(timeout_s=2.0))
    assert [(s.id, s.timeout_s) for s in done.steps] == [("survey", 2.0), ("fix", 2.0)]
    with Fleet.start(done, endpoints=1, seed=1, folder=lab_folder) as fleet:
        assert [s.id for s in drill_plan(fleet).steps] == ["survey", "fix"]


@pytest.mark.parametrize(
    ("room_s", "speed", "swing"),
    [(0.0, 60.0, 1.0), (14_400.0, 60.0, 1.0), (14_400.0, 800.0, 0.5), (60.0, 60.0, 0.25)],
)
def test_machines_come_and_go_faster_where_nobody_waits_for_long(book, room_s, speed, swing):
    tempo = Tempo(speed=speed)
    playbook = rehearsed(book(rollout=Rollout(waiting_room_s=room_s)), tempo)
    assert (tempo.pace(playbook).swing, tempo.pace(playbook).speed) == (swing, speed)


def test_everything_a_plan_asks_people_is_answered_beforehand(book, step, lab_folder):
    steps = (
        step("call", action=Manual("Ring."), once="client"),
        step("allow", action=Approve("May we?")),
        step("fix", risk="change"),
    )
    playbook = book(steps=steps, drill=None, rollout=Rollout(pause="first"))
    with Fleet.start(playbook, endpoints=3, seed=1, folder=lab_folder, faults={}) as fleet:
        given = drill_answers(drill_plan(fleet))
    assert {each.question for each in given} == {"call", "allow", "pause"}
    assert {(each.answer, each.who, each.how) for each in given} == {("yes", "drill", "beforehand")}


@pytest.fixture
def over(book, lab_folder):
    """A fleet of three that all call for nothing, its plan, and the state before a run of it."""
    playbook = msgspec.structs.replace(book(), drill=None)
    with Fleet.start(playbook, endpoints=3, seed=1, folder=lab_folder, faults={}) as fleet:
        plan = drill_plan(fleet)
        yield fleet, plan, begin(plan)


def test_only_those_that_came_to_an_end_are_judged(over):
    fleet, plan, state = over
    first, second, third = state.progress
    state.progress[first].position = len(plan.steps)
    state.progress[second].ended = True
    state.progress[second].ends["detect"] = StepEnd(EndState.FAILED, FailureKind.EXIT_CODE)
    found = score_of(fleet, plan, state)
    assert (found.total, found.unfinished) == (2, (third,))
    assert [each.endpoint for each in found.misjudged] == [second]


def test_a_doubt_nobody_answered_is_unknown(over):
    fleet, plan, state = over
    first, *_ = state.progress
    progress = state.progress[first]
    progress.doubt = Doubt("fix", "a1", "the connection was lost", FailureKind.LOST)
    found = score_of(fleet, plan, state)
    assert found.misjudged[0].found == "unknown (lost)"
    assert first not in found.unfinished


def test_a_change_that_stood_and_could_not_be_seen_again_was_made(over):
    fleet, plan, state = over
    first, *_ = state.progress
    machine, progress = fleet.machines[first], state.progress[first]
    machine.answer("fix", "script", b"{ {\nset -eu\ntrue\n} </dev/null\n}")
    machine.fault = "flap"
    machine.went_down()
    fleet.cases[first] = Case("flap", fleet.cases[first].truth)
    progress.ended = True
    for stood in (True, False):
        end = StepEnd(EndState.UNREACHABLE, FailureKind.REFUSED, stood=stood)
        progress.ends["fix"] = end
        found = score_of(fleet, plan, state)
        assert (first in {each.endpoint for each in found.misjudged}) is not stood
