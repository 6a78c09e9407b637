"""A run is taken up where it was left, after any death, from nothing but its folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter

import pytest

from outagekit.errors import LogDamaged, LogUnwritable, NothingMatched
from outagekit.events import (
    ApprovalGiven,
    EndpointId,
    EndState,
    FailureKind,
    LogRepaired,
    RunId,
    RunOpened,
    RunResumed,
    StepFinished,
    StepInDoubt,
    StepResolved,
    StepStarted,
)
from outagekit.log.folder import RunFolder
from outagekit.log.writer import LogWriter
from outagekit.playbook.load import load_playbook
from outagekit.playbook.model import Approve, Gate, Retry, Rollout
from outagekit.run.opening import Beginning, Resumption, resume_run
from outagekit.run.orders import Finished, Settled
from outagekit.run.replay import replay
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")
MOST_KILLS = 6


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


class Fleet:
    """Endpoints that outlive the process: what was done on them stays done."""

    def __init__(self):
        self.done = set()
        self.executed = Counter()
        self.away = {"pos-05"}

    def answer(self, order):
        place = (order.target.endpoint.name, order.step)
        if place[0] in self.away:
            return refuse(order)
        if order.purpose == "probe":
            wanted = place in self.done or not order.changes
            return succeed(order) if wanted else fail(order, FailureKind.VERIFY)
        if order.check is not None and place in self.done:
            return Finished(attempt=order.attempt, state=EndState.OK)
        if place == ("pos-03", "polish"):
            return fail(order)
        if order.changes:
            self.executed[place] += 1
            self.done.add(place)
        result = {"sick": place[0] != "pos-02"} if order.result else None
        return Finished(attempt=order.attempt, state=succeed(order).state, result=result)


def story():
    steps = [
        read("look", result={"sick": "bool"}),
        read("ask", action=Approve("May we?"), once="run", phase="fix", timeout_s=600.0),
        step("mend", when="look.sick", check="is it"),
        step("polish", check="does it shine", retry=Retry(attempts=2, delay_s=0.0)),
        read("prove", phase="verify"),
    ]
    rollout = Rollout(waves=("1", "50%", "100%"), gate=OPEN, waiting_room_s=3600.0)
    return plan_of(steps, on=5, rollout=rollout)


class Life:
    """One life of a run; at its `kill_at`-th call to the executing side the process is gone.

    Of what was sent to the endpoints by then a part has happened. `folder` is the run, of a killed
    one as it was on disk at that moment; `ran` is None then.
    """

    def __init__(self, plan, tmp_path, fleet, clock, *, kill_at=None):
        self.fleet, self.tmp_path, self.kill_at = fleet, tmp_path, kill_at
        self.calls = 0
        self.ran = None
        beginning = None if hasattr(plan, "exists") else Beginning(given=(yes(),))
        with contextlib.suppress(Killed):
            self.ran = Ran(
                plan,
                tmp_path,
                fleet.answer,
                prepare=self._prepare,
                clock=clock,
                beginning=beginning,
            )

    def _prepare(self, ran):
        self.folder, self.driver = ran.folder, ran.driver
        ran.driver.while_idle = self._come_back
        for name in ("submit", "reports", "watch"):
            setattr(ran.driver, name, self._mortal(getattr(ran.driver, name)))

    def _come_back(self):
        self.fleet.away.clear()
        for each in list(self.driver.watched):
            self.driver.come_back(each)

    def _mortal(self, method):
        def call(*args):
            self.calls += 1
            if self.calls == self.kill_at:
                self._die()
            return method(*args)

        return call

    def _die(self):
        for order in self.driver.orders[-2:]:
            if self.driver.pending(order.attempt):
                self.fleet.answer(order)
        number = sum(1 for _ in self.tmp_path.glob("grave-*"))
        grave = self.tmp_path / f"grave-{number}" / "runs" / self.folder.name
        shutil.copytree(self.folder, grave)
        self.folder = grave
        raise Killed


def yes():
    return ApprovalGiven(question="ask", answer="yes", who="Jo", os_user="kim", how="beforehand")


def ends_of(ran):
    return {
        name: {step: end.state for step, end in progress.ends.items()}
        for name, progress in ran.ending.state.progress.items()
    }


def undisturbed(tmp_path):
    fleet = Fleet()
    ran = Life(story(), tmp_path, fleet, FakeClock()).ran
    assert ran.ending.exit_code == 3
    assert ran.ending.state.counts() == {EndState.FAILED: 1, EndState.CHANGED: 4}
    return ran, fleet


def test_killed_at_any_call_and_taken_up_a_run_comes_to_the_same_end(tmp_path):
    whole, before = undisturbed(tmp_path / "whole")
    number = 0
    while True:
        number += 1
        fleet, clock = Fleet(), FakeClock()
        killed = Life(story(), tmp_path / str(number), fleet, clock, kill_at=number)
        if killed.ran is not None:
            break
        again = Life(killed.folder, tmp_path / str(number), fleet, clock).ran
        assert ends_of(again) == ends_of(whole), f"killed at call {number}"
        assert again.ending.exit_code == whole.ending.exit_code
        assert fleet.executed == before.executed, f"killed at call {number}"
        assert replay(again.folder) == again.ending.state
    assert number > len(whole.driver.orders)


@pytest.mark.parametrize("number", [2, 3, 5, 8, 13, 21])
def test_killed_again_and_again_it_still_comes_to_the_same_end(tmp_path, number):
    whole, before = undisturbed(tmp_path / "whole")
    fleet, clock = Fleet(), FakeClock()
    life = Life(story(), tmp_path, fleet, clock, kill_at=number)
    lives = 1
    while life.ran is None:
        lives += 1
        kill_at = number if lives < MOST_KILLS else None
        life = Life(life.folder, tmp_path, fleet, clock, kill_at=kill_at)
    assert lives > 1
    assert ends_of(life.ran) == ends_of(whole)
    assert fleet.executed == before.executed


def test_an_attempt_that_ran_when_the_run_died_is_in_doubt_and_settled_by_its_policy(tmp_path):
    folder = killed_in(plan_of([read("look"), step("mend", check="is it")], on=2), tmp_path)
    again = Ran(folder, tmp_path)
    assert again.handed_out == ["pos-01 mend probe", "pos-02 mend probe"]
    assert {e.endpoint for e in again.of(StepInDoubt)} == {"acme/pos-01", "acme/pos-02"}
    assert again.of(StepInDoubt)[0].failure is FailureKind.ABANDONED
    assert again.ending.exit_code == 0


def killed_in(plan, tmp_path, step_name="mend"):
    where = {}

    def die(order):
        if order.step == step_name:
            raise Killed
        return succeed(order)

    with pytest.raises(Killed):
        Ran(plan, tmp_path, die, prepare=lambda r: where.update(folder=r.folder))
    return where["folder"]


def test_a_doubt_that_asks_is_listed_by_a_resume_nobody_watches(tmp_path):
    folder = killed_in(plan_of([step("mend")], on=2), tmp_path)
    again = Ran(folder, tmp_path)
    assert again.handed_out == []
    assert again.ending.exit_code == 6
    assert sorted(again.ending.state.questions) == [
        "doubt-mend@acme/pos-01",
        "doubt-mend@acme/pos-02",
    ]


def test_what_the_executing_side_knows_is_believed_before_anything_is_asked(tmp_path):
    folder = killed_in(plan_of([step("mend")], on=4), tmp_path)
    ids = [f"acme/pos-0{n}:mend:1" for n in (1, 2, 3, 4)]
    known = {
        ids[0]: Settled(kind="outcome", outcome=Finished(attempt=ids[0], state=EndState.CHANGED)),
        ids[1]: Settled(kind="never_started"),
        ids[2]: Settled(kind="no_record"),
        ids[3]: Settled(kind="running"),
    }

    def prepare(ran):
        ran.driver.known = known
        ran.driver.report(Finished(attempt=ids[3], state=EndState.CHANGED))

    again = Ran(folder, tmp_path, prepare=prepare)
    states = [again.state_of(f"acme/pos-0{n}") for n in (1, 2, 3, 4)]
    assert states == [EndState.CHANGED, EndState.CHANGED, EndState.UNKNOWN, EndState.CHANGED]
    assert again.handed_out == ["pos-02 mend"]
    assert [e.how for e in again.of(StepResolved)] == ["settled"]


def test_a_second_ctrl_c_knows_what_still_runs_from_an_earlier_life(tmp_path):
    folder = killed_in(plan_of([step("mend")], on=1), tmp_path)

    def prepare(ran):
        ran.driver.known = {"acme/pos-01:mend:1": Settled(kind="running")}
        ran.driver.while_idle = lambda: ran.coordinator.stop("Ctrl-C")

    again = Ran(folder, tmp_path, prepare=prepare)
    assert again.ending.exit_code == 130
    assert again.of(StepInDoubt)[0].endpoint == "acme/pos-01"


def test_attempt_numbers_go_on_over_a_resume(tmp_path):
    plan = plan_of([step("mend", on_doubt="rerun")], on=1)
    folder = killed_in(plan, tmp_path)
    again = Ran(folder, tmp_path)
    assert [e.attempt for e in again.of(StepStarted)] == [
        "acme/pos-01:mend:1",
        "acme/pos-01:mend:2",
    ]


def test_a_run_that_is_closed_is_not_taken_up(tmp_path):
    ran = Ran(plan_of([step("mend")], on=1), tmp_path)
    before = (ran.folder / "log.jsonl").read_bytes()
    with pytest.raises(NothingMatched, match="closed"):
        Ran(ran.folder, tmp_path)
    assert (ran.folder / "log.jsonl").read_bytes() == before


def test_a_run_that_another_process_holds_is_not_taken_up(tmp_path):
    folder = killed_in(plan_of([step("mend")], on=1), tmp_path)
    with RunFolder.open_existing(folder), pytest.raises(LogUnwritable, match="held"):
        Ran(folder, tmp_path)
    assert Ran(folder, tmp_path).ending.exit_code == 6


def test_a_torn_last_line_is_cut_recorded_and_the_run_goes_on(tmp_path):
    folder = killed_in(plan_of([step("mend", check="is it")], on=1), tmp_path)
    log = folder / "log.jsonl"
    whole = log.read_bytes()
    last = whole.rstrip(b"\n").rpartition(b"\n")[2]
    log.write_bytes(whole + last[: len(last) // 2])
    again = Ran(folder, tmp_path)
    assert again.ending.exit_code == 0
    assert again.of(LogRepaired)


def test_a_log_that_was_altered_is_not_taken_up(tmp_path):
    folder = killed_in(plan_of([step("mend", check="is it")], on=1), tmp_path)
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"acme/pos-01", b"acme/pos-99", 1))
    with pytest.raises(LogDamaged):
        Ran(folder, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes, and links need a right")
@pytest.mark.parametrize("name", ["plan.json", "inventory.json", "command.key"])
def test_a_link_or_a_pipe_in_the_place_of_a_frozen_file_is_refused_before_anything_begins(
    tmp_path, name
):
    folder = killed_in(plan_of([step("mend", check="is it")], on=1), tmp_path)
    frozen, elsewhere = folder / name, tmp_path / "elsewhere"
    frozen.rename(elsewhere)
    frozen.symlink_to(elsewhere)
    with pytest.raises(LogDamaged, match="link"):
        Ran(folder, tmp_path)
    frozen.unlink()
    os.mkfifo(frozen)
    with pytest.raises(LogDamaged, match="no regular file"):
        Ran(folder, tmp_path)
    frozen.unlink()
    elsewhere.rename(frozen)
    assert Ran(folder, tmp_path).ending.exit_code == 0


def test_a_run_that_died_before_its_plan_was_on_disk_has_begun_nothing(tmp_path):
    with RunFolder.create(tmp_path, RunId("20261122T081403Z-test-x7q2")) as folder:
        with LogWriter.create(folder) as log:
            log.append(
                RunOpened(
                    playbook="test",
                    title="Test",
                    plan="0" * 64,
                    clients=("acme",),
                    endpoints=1,
                    os_user="kim",
                    machine="m",
                    version="1",
                )
            ).wait()
        path = folder.path
    with pytest.raises(NothingMatched, match="nothing was begun"):
        Ran(path, tmp_path)


def test_the_folder_alone_is_enough_whatever_became_of_the_playbook(tmp_path):
    book = tmp_path / "book.yaml"
    text = (
        "outagekit: 1\ntitle: Mend\ntargets: os:linux\nsteps:\n"
        "  - {id: look, sh: look, phase: assess, risk: read}\n"
        "  - {id: mend, sh: the first text, phase: fix, check: is it}\n"
    )
    book.write_text(text, encoding="utf-8")
    playbook = load_playbook(book)
    folder = killed_in(plan_of(playbook.steps, on=2), tmp_path, step_name="look")
    book.write_text(text.replace("the first text", "another text"), encoding="utf-8")
    moved = tmp_path / "elsewhere" / "runs" / folder.name
    shutil.copytree(folder, moved)
    shutil.rmtree(folder)
    book.unlink()
    again = Ran(moved, tmp_path)
    texts = {o.action.script.variants[0].text for o in again.driver.orders if o.step == "mend"}
    assert {each.strip() for each in texts} == {"the first text"}
    assert again.ending.exit_code == 0


def test_every_life_is_in_the_log_with_who_began_it(tmp_path):
    ran = Ran(plan_of([step("mend")], on=1), tmp_path, prepare=lambda r: r.coordinator.stop("x"))
    ran = Ran(ran.folder, tmp_path, prepare=lambda r: r.coordinator.stop("x"))
    ran = Ran(ran.folder, tmp_path)
    assert len(ran.of(RunResumed)) == 2
    assert len({record.life for record in ran.records}) == 3


def test_what_failed_is_left_alone_by_a_resume_unless_it_closed_a_gate(tmp_path):
    holder = {}

    def answer(order):
        if order.attempt == "acme/pos-02:one:1":
            holder["ran"].coordinator.stop("Ctrl-C")
        return fail(order) if order.target.endpoint.name == "pos-01" else succeed(order)

    plan = plan_of([step("one"), step("two")], on=2)
    ran = Ran(plan, tmp_path, answer, prepare=lambda r: holder.update(ran=r))
    again = Ran(ran.folder, tmp_path)
    assert again.handed_out == ["pos-02 two"]
    assert again.ending.exit_code == 3


def test_a_resume_that_is_killed_at_once_costs_nothing(tmp_path):
    folder = killed_in(plan_of([step("mend", check="is it")], on=1), tmp_path)
    for _ in range(3):
        with resume_run(folder, Resumption()):
            pass
    again = Ran(folder, tmp_path, scripted({"pos-01 mend do": lose}))
    assert again.ending.exit_code == 0
    assert [e.state for e in again.of(StepResolved)] == [EndState.CHANGED]
    assert not [e for e in again.of(StepFinished) if e.state is EndState.UNKNOWN]
    assert again.ending.state.progress[EndpointId("acme/pos-01")].doubts == 0
