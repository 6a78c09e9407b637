"""`undo` from the command line, over real SSH to a lab."""

from __future__ import annotations

import pytest

from outagekit.cli.render import Screen
from outagekit.cli.undo import steps_to_undo_unknown
from outagekit.errors import StoppedByPerson, UsageError
from outagekit.events import StepFinished
from outagekit.log.folder import find_run
from outagekit.log.lock import FolderLock
from outagekit.log.reader import read_records
from outagekit.run.replay import recorded
from outagekit.run.traces import traces_of
from outagekit.testing.builders import plan_of, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, lose
from outagekit.testing.terminal import Keyboard, Pipe, Terminal

ALL = ("--all-clients", "--yes")


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def ran(lab, call, state):
    """Returns the document of a run that changed some of the lab's endpoints."""
    return call("run", "mend", *ALL, "--json", "--state-dir", str(state)).document


def changed(document):
    return {e["endpoint"] for e in document["endpoints"] if e["state"] == "changed"}


def sick(lab):
    return {name for name, machine in lab.machines.items() if machine.state["sick"]}


def test_undo_takes_back_what_the_run_changed_and_proves_it(lab, call, state):
    before = sick(lab)
    ran = call("run", "mend", *ALL, "--json", "--state-dir", str(state)).document
    assert (sick(lab), changed(ran)) == (set(), before)
    undone = call("undo", ran["run"][:16], "--yes", "--json", "--state-dir", str(state))
    assert undone.code == 0, undone.err
    assert changed(undone.document) == before == sick(lab)
    assert undone.document["undoes"] == ran["run"]
    assert f"undo of {ran['run']}: Mend the thing" in undone.err


def test_undo_of_everything_undone_is_nothing_matched(call, ran, state):
    assert call("undo", ran["run"], "--yes", "--state-dir", str(state)).code == 0
    again = call("undo", ran["run"], "--yes", "--state-dir", str(state))
    assert again.code == 7
    assert "taken back already" in again.err
    of_undo = call("undo", "last", "--yes", "--state-dir", str(state))
    assert of_undo.code == 7
    assert "is an undo itself" in of_undo.err


def test_undo_asks_before_it_begins_and_can_be_held_to_a_plan(call, ran, state):
    place = ("--state-dir", str(state))
    unasked = call("undo", ran["run"], *place)
    assert unasked.code == 2
    assert "--yes" in unasked.err
    digest = next(line for line in unasked.err.splitlines() if line.startswith("plan "))[5:]
    assert call("undo", ran["run"], "--yes", "--plan", "0" * 12, *place).code == 10
    assert call("undo", ran["run"], "--yes", "--plan", digest, *place).code == 0


def test_undo_can_be_narrowed_and_says_what_it_leaves(call, ran, state):
    first, *others = sorted(changed(ran))
    place = ("--state-dir", str(state))
    undone = call("undo", ran["run"], "--limit", first, "--yes", "--json", *place)
    assert changed(undone.document) == {first}
    left = f"{len(others)} endpoint" if len(others) == 1 else f"{len(others)} endpoints"
    assert f"what was done on {left} that --limit leaves out" in undone.err
    rest = call("undo", ran["run"], "--yes", "--json", *place)
    assert changed(rest.document) == set(others)
    assert f"taken back already: mend on 1 endpoint ({first})" in rest.err


def test_undo_of_what_is_still_running_is_refused(call, ran, state):
    folder = find_run(state, ran["run"])
    lock = FolderLock.acquire(folder, start="2026-11-22T08:14:03.120411Z")
    try:
        refused = call("undo", ran["run"], "--yes", "--state-dir", str(state))
    finally:
        lock.release()
    assert refused.code == 11
    assert "still running" in refused.err


def test_what_is_unknown_is_never_undone_silently(lab, call, state):
    name = min(sick(lab))
    lab.machines[name].fault = "reset"
    lab.machines[name].strikes_late = True
    place = ("--state-dir", str(state))
    ran = call("run", "mend", *ALL, "--limit", name, "--json", *place).document
    assert ran["counts"]["unknown"] == 1
    lab.machines[name].fault = None
    unasked = call("undo", ran["run"], "--yes", *place)
    assert unasked.code == 2
    assert "--unknown undo or --unknown leave" in unasked.err
    left = call("undo", ran["run"], "--yes", "--unknown", "leave", *place)
    assert left.code == 7
    undone = call("undo", ran["run"], "--yes", "--unknown", "undo", "--json", *place)
    assert (undone.code, changed(undone.document)) == (0, {name})
    assert sick(lab) >= {name}


def test_an_undo_that_was_executed_stands_in_its_own_log(call, ran, state):
    place = ("--state-dir", str(state))
    undone = call("undo", ran["run"], "--yes", "--json", *place).document
    records = list(read_records(find_run(state, undone["run"])))
    ends = [r.event for r in records if isinstance(r.event, StepFinished)]
    assert {e.step for e in ends} == {"survey", "undo_mend"}
    assert call("log", "verify", undone["run"], *place).code == 0


@pytest.fixture
def doubtful(tmp_path):
    """Two steps that are unknown on one endpoint each."""

    def answer(order):
        at = (order.target.endpoint.name, order.step)
        return lose(order) if at in {("pos-01", "one"), ("pos-02", "two")} else succeed(order)

    fields = {"check": "is it", "undo": "undo it", "on_doubt": "skip"}
    return traces_of(
        recorded(
            Ran(plan_of([step("one", **fields), step("two", **fields)]), tmp_path, answer).folder
        )
    )


def test_at_a_terminal_each_unknown_step_is_asked_about(doubtful):
    shown = Terminal()
    screen = Screen(plain=True, stderr=shown, stdin=Keyboard("leave\nUndo\n"))
    assert steps_to_undo_unknown(screen, doubtful, None) == ["one"]
    asked = "Nobody knows whether two on 1 endpoint (acme/pos-02) was done. Undo it there too?"
    assert asked in shown.getvalue()


@pytest.mark.parametrize("typed", ["yes\n", "\n", ""])
def test_an_answer_that_is_neither_undo_nor_leave_begins_nothing(doubtful, typed):
    screen = Screen(plain=True, stderr=Terminal(), stdin=Keyboard(typed))
    with pytest.raises(StoppedByPerson, match="nothing begins"):
        steps_to_undo_unknown(screen, doubtful, None)


def test_without_a_terminal_the_flag_is_named(doubtful):
    with pytest.raises(UsageError, match="--unknown undo or --unknown leave"):
        steps_to_undo_unknown(Screen(stderr=Pipe(), stdin=Pipe()), doubtful, None)
    screen = Screen(stderr=Pipe(), stdin=Pipe())
    assert set(steps_to_undo_unknown(screen, doubtful, "undo")) == {"one", "two"}
    assert set(steps_to_undo_unknown(screen, doubtful, "leave")) == set()
