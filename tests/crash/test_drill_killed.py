"""The whole tool is killed in the middle of its work; what it has acknowledged must be there."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

import pytest

from outagekit.events import StepFinished, StepPart, StepStarted
from outagekit.lab.faults import parse_faults
from outagekit.lab.fleet import Fleet
from outagekit.lab.workspace import write_lab_workspace
from outagekit.log.folder import list_runs
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.playbook.catalogue import find_playbook
from outagekit.playbook.load import load_playbook
from outagekit.run.replay import replay

pytestmark = pytest.mark.crash

PLAYBOOK = "bad-update-rollback"
SHARES = ("none", "hang=20%,lie=10%", "unreachable=30%,reset=20%", "slow=40%,auth=10%")


@pytest.fixture(autouse=True)
def own_scratch(tmp_path, monkeypatch):
    """What a killed drill cannot clean up goes with the test."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))


def outagekit(*words, **options):
    command = [sys.executable, "-m", "outagekit", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


class Killed:
    """A command that streams its events, and is killed some time after its first one."""

    def __init__(self, *words, after_s, **options):
        command = [sys.executable, "-m", "outagekit", *map(str, words), "--events", "jsonl"]
        self.lines = []
        begun = threading.Event()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        ) as process:
            errors = threading.Thread(target=lambda: setattr(self, "said", process.stderr.read()))
            errors.start()

            def read():
                for line in process.stdout:
                    self.lines.append(line)
                    begun.set()
                begun.set()

            reader = threading.Thread(target=read)
            reader.start()
            begun.wait(30)
            time.sleep(after_s)
            process.kill()
            reader.join()
            errors.join()
        assert b"Traceback" not in self.said
        self.acknowledged = [json.loads(line) for line in self.lines if line.endswith(b"\n")]


def check(state_dir, killed):
    """Everything acknowledged is in the log, which is sound; nothing ended that had not begun."""
    assert killed.acknowledged, killed.said
    (run,) = list_runs(state_dir)
    verdict = verify(run)
    assert verdict.ok, verdict.faults
    records = list(read_records(run))
    kept = [json.loads(line) for line in (run / "log.jsonl").read_bytes().split(b"\n")[:-1]]
    for told in killed.acknowledged:
        there = kept[told["seq"]]
        assert told == {name: there[name] for name in there if name not in {"dur", "prev"}}
    begun = set()
    for record in records:
        match record.event:
            case StepStarted(attempt=attempt):
                begun.add(attempt)
            case StepPart(attempt=attempt) | StepFinished(attempt=attempt) if attempt:
                assert attempt in begun
    replay(run)
    return records


def test_a_killed_drill_loses_nothing_it_has_told(tmp_path):
    dice = random.Random(20240719)
    for number, shares in enumerate(SHARES):
        state_dir = tmp_path / f"state-{number}"
        words = ["drill", "-n", 24, "--timeout", 1, "--faults", shares, "--state-dir", state_dir]
        check(state_dir, Killed(*words, "--seed", number, after_s=dice.uniform(0, 1.2)))
    for words in (["list"], ["show", "last"], ["verify", "last"]):
        told = outagekit("log", *words, "--state-dir", state_dir)
        assert (told.returncode, told.stderr) == (0, "")
    words = ["drill", "-n", 4, "--faults", "none", "--speed", 3600, "--state-dir", state_dir]
    again = outagekit(*words)
    assert again.returncode == 0, again.stderr
    assert len(list_runs(state_dir)) == 2


def test_a_killed_run_has_touched_no_endpoint_without_having_written_it_down(tmp_path):
    dice = random.Random(1907)
    playbook = load_playbook(find_playbook(PLAYBOOK).path)
    touched = 0
    for number, shares in enumerate(SHARES):
        state_dir = tmp_path / f"state-{number}"
        with Fleet.start(
            playbook,
            endpoints=24,
            seed=number,
            faults=parse_faults(shares),
            folder=tmp_path / f"lab-{number}",
        ) as fleet:
            killed = Killed(
                *("run", PLAYBOOK, "--all-clients", "--yes", "--state-dir", state_dir),
                *(word for pair in fleet.params.items() for word in ("-p", "{}={}".format(*pair))),
                after_s=dice.uniform(0, 1.2),
                cwd=write_lab_workspace(fleet),
            )
            received = {
                (endpoint, entry.step)
                for endpoint, machine in fleet.machines.items()
                for entry in machine.received
            }
        events = [record.event for record in check(state_dir, killed)]
        begun = {(e.endpoint, e.step) for e in events if isinstance(e, StepStarted)}
        assert received <= begun
        touched += len(received)
    assert touched > 20
