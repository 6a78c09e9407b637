"""A run in one line: how it stands, from a glance at its log and its lock."""

from __future__ import annotations

import pytest

from outagekit.events import RunClosed, RunPaused, RunResumed, StepTidied
from outagekit.log.folder import RunFolder
from outagekit.log.overview import overview
from outagekit.log.writer import LogWriter
from outagekit.run.opening import Beginning, open_run
from outagekit.testing.builders import plan_of, step

PAUSED = RunPaused(why="Ctrl-C", exit_code=6)
RESUMED = RunResumed(os_user="ops", version="1")


def run_with(state_dir, *events, drill=False):
    """Make a run folder whose log ends with these events, and let go of it."""
    plan = plan_of([step("mend")])
    with open_run(plan, state_dir, beginning=Beginning(drill=drill)) as opened:
        for event in events:
            opened.log.append(event).wait()
    return opened.folder.path


@pytest.mark.parametrize(
    ("events", "standing", "resumable"),
    [
        ((), "open", True),
        ((PAUSED,), "paused: exit 6, Ctrl-C", True),
        ((RunPaused(why="the gate of wave 1 is closed", exit_code=5),), "paused: exit 5", True),
        ((PAUSED, RESUMED), "open", True),
        ((PAUSED, RESUMED, RunClosed(counts={}, exit_code=3)), "closed: exit 3", False),
        (
            (
                RunClosed(counts={}, exit_code=0),
                StepTidied(endpoint="acme/pos-01", step="mend", detach="x"),
            ),
            "closed: exit 0",
            False,
        ),
    ],
)
def test_a_run_stands_as_its_last_life_left_it(tmp_path, events, standing, resumable):
    seen = overview(run_with(tmp_path, *events))
    assert seen.standing.startswith(standing)
    assert seen.resumable is resumable


def test_a_run_that_a_process_holds_is_running(tmp_path):
    path = run_with(tmp_path, PAUSED)
    with RunFolder.open_existing(path) as folder, LogWriter.resume(folder) as log:
        log.append(RESUMED).wait()
        assert overview(path).standing == "running"
        assert not overview(path).resumable
    assert overview(path).standing == "open"


def test_a_drill_that_was_left_cannot_be_resumed(tmp_path):
    assert not overview(run_with(tmp_path, PAUSED, drill=True)).resumable
