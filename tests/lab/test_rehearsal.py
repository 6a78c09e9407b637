"""Drills from end to end: the real engine over real connections."""

from __future__ import annotations

import msgspec
import pytest

from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndState,
    RunClosed,
    RunOpened,
    RunPaused,
    StepFinished,
    StepStarted,
    WaveReopened,
)
from outagekit.lab.drill import Tempo, drill_plan, rehearsed, score_of
from outagekit.lab.fleet import Fleet
from outagekit.lab.journal import RECEIVED, read_journal
from outagekit.lab.machine import Pace
from outagekit.lab.rehearsal import PAST_GATE, rehearse
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.playbook.model import Drill, DrillStep, Manual, Reboot, Rollout
from outagekit.run.conduct import Setting, conduct, conduct_on
from outagekit.run.executing import reboot
from outagekit.transports.access import Access
from outagekit.transports.open import transport_for
from outagekit.transports.trust.store import TrustStore

TEMPO = Tempo(timeout_s=1.0, speed=60.0)
HASTE = Pace(speed=60.0, slow_s=0.05, swing=0.25)


class Over:
    """A drill that is over."""

    def __init__(self, fleet, state_dir):
        def refuse(*_):
            raise AssertionError("a drill resolves no secret")

        access = Access(trust=TrustStore(fleet.trust_folder), resolve_secret=refuse)
        self.plan = drill_plan(fleet)
        setting = Setting(lambda target: transport_for(target, access))
        self.ran = rehearse(
            self.plan,
            lambda beginning: conduct(self.plan, state_dir, setting, beginning),
            lambda folder, how: conduct_on(folder, setting, how),
            trust_folder=fleet.trust_folder,
        )
        self.exit_code = self.ran.ending.exit_code
        self.score = score_of(fleet, self.plan, self.ran.ending.state)
        self.events = [record.event for record in read_records(self.ran.folder)]
        self.received = read_journal(fleet.folder / RECEIVED)

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def drill(lab_folder, tmp_path):
    def made(playbook, faults, *, endpoints=12, seed=1, pace=HASTE):
        with Fleet.start(
            rehearsed(playbook, TEMPO),
            endpoints=endpoints,
            seed=seed,
            folder=lab_folder,
            faults=faults,
            pace=pace,
        ) as fleet:
            return Over(fleet, tmp_path / "state")

    return made


def test_a_drill_without_faults_passes(drill, book):
    over = drill(book(), {})
    assert (over.exit_code, over.score.passed, over.score.right) == (0, True, 12)
    assert verify(over.ran.folder).ok
    assert over.of(RunOpened)[0].drill


def test_a_gate_that_closes_is_gone_past_and_all_of_it_stands_in_the_log(drill, book):
    over = drill(book(), {"lie": 0.3})
    assert over.exit_code == 3
    assert over.score.passed
    assert over.score.unfinished == ()
    paused = over.of(RunPaused)
    assert paused
    assert {each.exit_code for each in paused} == {5}
    because = {(each.because, each.who) for each in over.of(WaveReopened) if each.because}
    assert because == {(PAST_GATE, "drill")}
    assert len(over.of(RunClosed)) == 1
    assert verify(over.ran.folder).ok


def test_questions_and_pauses_are_answered_by_the_drill_itself(drill, book, step):
    steps = (*book().steps, step("call", action=Manual("Ring."), phase="communicate"))
    over = drill(book(steps=steps, rollout=Rollout(pause="each")), {})
    assert (over.exit_code, over.score.passed) == (0, True)
    assert over.of(ApprovalAsked) == []
    assert {given.who for given in over.of(ApprovalGiven)} == {"drill"}


def test_machines_that_come_and_go_are_caught_or_told_truly(drill, book):
    playbook = book(rollout=Rollout(waiting_room_s=600.0, pounce="fix"))
    over = drill(playbook, {"flap": 0.2, "bootloop": 0.2})
    assert over.score.misjudged == ()
    assert over.score.passed
    tallies = {tally.fault: tally for tally in over.score.tallies}
    assert tallies["bootloop"].total == tallies["flap"].total == 2


def test_a_restart_is_seen(drill, book, step, monkeypatch):
    monkeypatch.setattr(reboot, "_RETRY_S", 0.2)
    monkeypatch.setattr(reboot, "_SETTLE_S", 0.3)
    steps = (*book().steps, step("restart", risk="change", when="fix.changed", action=Reboot(900)))
    steps = (*steps, step("after", phase="verify"))
    before = book()
    drilled = Drill(state=before.drill.state, steps={**before.drill.steps})
    over = drill(book(steps=steps, drill=drilled), {}, endpoints=4)
    assert over.score.misjudged == ()
    restarts = [e for e in over.of(StepFinished) if e.step == "restart" and e.attempt]
    assert restarts
    assert {each.state for each in restarts} == {EndState.CHANGED}


def test_a_machine_that_does_not_come_back_is_not_back(drill, book, step):
    steps = (step("restart", risk="change", action=Reboot(3.0)),)
    slow = Drill(steps={"restart": DrillStep(takes_s=6000.0)})
    over = drill(book(steps=steps, drill=slow), {}, endpoints=1)
    assert over.score.misjudged == ()
    assert [e.failure for e in over.of(StepFinished) if e.step == "restart"] == ["not_back"]


def test_no_machine_saw_a_command_before_the_log_knew_of_it(drill, book):
    over = drill(book(rollout=Rollout(waiting_room_s=60.0)), {"flap": 0.3, "reset": 0.2})
    begun = {(event.endpoint, event.step) for event in over.of(StepStarted)}
    seen = {(line.endpoint, line.step) for line in over.received if line.part != "identity"}
    assert seen
    assert seen <= begun


def test_a_machine_that_was_told_to_hang_is_unknown_and_holds_nobody_up(drill, book):
    over = drill(msgspec.structs.replace(book()), {"hang": 0.2, "reset": 0.2, "unreachable": 0.1})
    assert over.score.misjudged == ()
    assert over.score.repeated == over.score.wrong_targets == ()
