"""Ctrl-C and the system's requests to end, at every moment of a command's life."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time

import pytest

from outagekit.events import RunClosed, RunPaused, StepInDoubt
from outagekit.log.folder import list_runs
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.run.signals import StopRequests, signals_to

pytestmark = pytest.mark.crash
if sys.platform == "win32":
    pytest.skip("signals of POSIX", allow_module_level=True)

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
HASTE = ("--speed", "3600")
"""A bake of a quarter of an hour takes a quarter of a second."""


class Drill:
    """A drill in a process of its own, with its scratch folder below `tmp_path`."""

    def __init__(self, tmp_path, *words):
        self.state_dir = tmp_path / "state"
        self.scratch = tmp_path / "scratch"
        self.scratch.mkdir()
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "outagekit", "drill", "-n", "6", "--timeout", "1", *HASTE),
                *("--events", "jsonl", "--state-dir", str(self.state_dir), *words),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"TMPDIR": str(self.scratch), "HOME": str(tmp_path), "PATH": ""},
        )

    def until(self, text):
        for line in self.process.stdout:
            if text in line:
                return
        pytest.fail(f"never said {text}: {self.process.stderr.read()}")

    def until_scratch(self):
        deadline = time.monotonic() + 20
        while not list(self.scratch.glob("outagekit-drill-*/*")):
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def end(self):
        """Return the exit code and what was said to people; nothing may be left behind."""
        try:
            _, said = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        assert "Traceback" not in said
        assert list(self.scratch.rglob("*")) == []
        return self.process.returncode, said

    def events(self):
        (run,) = list_runs(self.state_dir)
        assert verify(run).ok
        return [record.event for record in read_records(run)]


@pytest.mark.parametrize(("number", "code"), [*zip(ALL, (130, 143, 129), strict=True)])
def test_a_signal_before_the_run_leaves_no_scratch_folder_behind(tmp_path, number, code):
    drill = Drill(tmp_path, "-n", "400")
    drill.until_scratch()
    drill.process.send_signal(number)
    assert drill.end() == (code, "stopped\n")
    assert list_runs(drill.state_dir) == ()


@pytest.mark.parametrize("number", ALL)
def test_a_signal_after_the_last_step_takes_nothing_from_the_ending(tmp_path, number):
    drill = Drill(tmp_path, "--faults", "none")
    drill.until("run.closed")
    drill.process.send_signal(number)
    code, said = drill.end()
    assert code in {
        0,
        128 + number,
        -number,
    }  # the summary itself may be interrupted, the log may not
    assert ("drill passed" in said) == (code == 0)
    *_, closed, _checkpoint = drill.events()
    assert isinstance(closed, RunClosed)


def test_hammering_ctrl_c_ends_the_run_in_order(tmp_path):
    drill = Drill(tmp_path, "--faults", "hang=100%", "--timeout", "60")
    drill.until("step.started")
    for _ in range(6):
        drill.process.send_signal(signal.SIGINT)
        time.sleep(0.03)
    with contextlib.suppress(subprocess.TimeoutExpired):
        drill.process.wait(5)
    # Where the computer is busy, all of them may have reached the process as one.
    drill.process.send_signal(signal.SIGINT)
    code, _said = drill.end()
    # The last signal may meet an interpreter that is going down; a shell calls both 130.
    assert code in {130, -signal.SIGINT}
    *_, paused, _checkpoint = drill.events()
    assert paused == RunPaused(why="Ctrl-C twice", exit_code=130)


def test_a_signal_while_the_run_opens_pauses_it_before_its_first_step(tmp_path):
    drill = Drill(tmp_path)
    drill.until("run.opened")
    drill.process.send_signal(signal.SIGTERM)
    code, said = drill.end()
    assert code == 6
    assert drill.events()[-2] == RunPaused(why="SIGTERM")
    assert "the drill was stopped, so there is no score" in said


def test_a_wish_to_stop_that_comes_before_anybody_listens_is_heard_later():
    wishes, heard = StopRequests(), []
    wishes.ask("SIGTERM")
    wishes.heard_by(heard.append)
    wishes.ask("Ctrl-C")
    assert heard == ["SIGTERM", "Ctrl-C"]


def test_what_a_closing_terminal_sends_twice_is_one_wish():
    now_ns, heard = iter([0, 10**6, 999 * 10**6, 3 * 10**9, 3 * 10**9 + 1]), []
    wishes = StopRequests(lambda: next(now_ns))
    wishes.heard_by(heard.append)
    for why in ("SIGHUP", "SIGHUP", "SIGTERM", "SIGTERM", "Ctrl-C"):
        wishes.ask(why)
    assert heard == ["SIGHUP", "SIGTERM", "Ctrl-C"]


def test_a_run_whose_terminal_closes_lets_its_steps_end(tmp_path):
    drill = Drill(tmp_path, "--faults", "slow=100%", "--timeout", "20")
    drill.until("step.started")
    for _ in range(3):
        drill.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    code, _said = drill.end()
    assert code == 6
    assert not any(isinstance(event, StepInDoubt) for event in drill.events())


def test_a_signal_the_process_was_told_to_ignore_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_to(pytest.fail):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_while_python_still_loads_the_program_shows_no_traceback(tmp_path):
    stop = "import sys; sys.modules['typer'] = None\n"
    code = stop.replace("= None", "= Bomb()") + "import outagekit.__main__ as m; m.main()"
    bomb = "class Bomb:\n    def __getattr__(self, name):\n        raise KeyboardInterrupt\n"
    ended = subprocess.run(
        [sys.executable, "-c", bomb + code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_stream_that_was_closed_before_is_no_fault_and_no_number_for_the_log(tmp_path, closed):
    words = [*(sys.executable, "-m", "outagekit", "drill", "-n", "3", "--faults", "none"), *HASTE]
    words += ["--json", "--state-dir", str(tmp_path / "state")]
    starter = (
        f"import os, sys; [os.close(n) for n in {closed}]; os.execv(sys.argv[1], sys.argv[1:])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", starter, *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "internal error" not in ended.stderr
    (run,) = list_runs(tmp_path / "state")
    assert verify(run).ok
