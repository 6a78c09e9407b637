"""A run is killed at any moment and taken up again: it comes to the same end, nothing done twice.

The endpoints are a lab in a process of its own, so they outlive every kill, and keep a record of
what they were told. What the log says is compared with that record, and with the end of a run
that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from outagekit.log.verify import verify

PLAYBOOK = """\
outagekit: 1
title: Mend what is sick
targets: os:linux
rollout:
  waves: [3, 30%, 100%]
  gate: {min_answered: 50%, max_failed: 50%, max_unreachable: 50%, max_unknown: 50%}
steps:
  - {id: look, sh: look, phase: assess, risk: read, result: {sick: bool}}
  - id: mend
    sh: mend
    phase: fix
    when: look.sick
    check: is it mended
    undo: break it
  - {id: polish, sh: polish, phase: fix, verify: does it shine}
  - {id: prove, sh: prove, phase: verify, risk: read}
drill:
  state: {sick: 60%, mended: false, shiny: false}
  steps:
    look: {stdout: '{"sick": {{ sick | tojson }}}', takes: 0.1s}
    mend: {set: {mended: true}, takes: 0.2s}
    polish: {set: {shiny: true}, takes: 0.2s}
    prove: {takes: 0.05s}
"""
ENDPOINTS = 36
LONGEST_S = 90
CLOSED = {0, 3, 4}
"""Exit codes of a run that came to its end."""


class Lab:
    """Simulated endpoints in a process of their own."""

    def __init__(self, folder, book, state):
        self.folder, self.book, self.state = folder, book, state

    def command(self, *words):
        return [sys.executable, "-m", "outagekit", *words, "--state-dir", str(self.state)]

    def start(self, *words):
        return subprocess.Popen(
            self.command(*words, "--plain", "--quiet"),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def begin(self):
        return self.start("run", str(self.book), "--all-clients", "--yes", "--concurrency", "24")

    def resume(self):
        return self.start("resume", "last", "--concurrency", "24")

    def finish(self, process):
        _, said = process.communicate(timeout=LONGEST_S)
        assert "Traceback" not in said
        return process.returncode, said

    @property
    def run_folder(self):
        (folder,) = self.begun()
        return folder

    def begun(self):
        """Return the folders of runs that had begun; killed before that, a run is begun anew."""
        logs = (self.state / "runs").glob("*/log.jsonl")
        return [path.parent for path in logs if b"plan.frozen" in path.read_bytes()]

    def ends(self):
        """Return the end of every step on every endpoint, by the records alone."""
        ends = {}
        for record in self.records():
            if (
                record["event"] in {"step.finished", "step.resolved"}
                and "retry_in_ms" not in record
            ):
                key = (record["endpoint"], record["step"])
                if record.get("state"):
                    ends[key] = record["state"]
        return ends

    def records(self):
        lines = (self.run_folder / "log.jsonl").read_bytes().splitlines()
        return [json.loads(line) for line in lines]

    def scripts_run(self):
        """Return how often each machine really did each changing step."""
        lines = (self.folder / "received.jsonl").read_text().splitlines()
        done = [json.loads(line) for line in lines]
        return Counter(
            (each["endpoint"], each["step"])
            for each in done
            if each["part"] == "script" and each["ran"] and each["step"] in {"mend", "polish"}
        )


@contextmanager
def lab(folder: Path):
    folder.mkdir()
    book = folder / "mend.yaml"
    book.write_text(PLAYBOOK)
    made = Lab(folder / "lab", book, folder / "state")
    words = ["lab", "lab", "--playbook", str(book), "--endpoints", str(ENDPOINTS), "--seed", "5"]
    subprocess.run(
        made.command("playbooks", "trust", str(book), "--yes"), check=True, capture_output=True
    )
    process = subprocess.Popen(
        made.command(*words), cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        for line in process.stderr:
            if b"Ctrl-C" in line:
                break
        yield made
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The end of the same run when nobody disturbs it, and how long it took."""
    with lab(tmp_path_factory.mktemp("undisturbed") / "here") as made:
        began_s = time.monotonic()
        code, said = made.finish(made.begin())
        assert code in CLOSED, said
        ends, took_s = made.ends(), time.monotonic() - began_s
        assert set(made.scripts_run().values()) == {1}
        return ends, took_s


def killed_and_resumed(folder, seed, took_s):
    """Kill a run, and sometimes its resumption, at moments drawn from a seed; then let it end."""
    dice = random.Random(seed)
    with lab(folder) as made:
        process = made.begin()
        for _ in range(dice.choice([1, 1, 2, 3])):
            time.sleep(0.3 + dice.random() * took_s)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            process = made.resume() if made.begun() else made.begin()
        code, said = made.finish(process)
        assert code in CLOSED | {7}, said  # 7: it had been closed already
        assert made.records()[-2]["event"] == "run.closed"
        verdict = verify(made.run_folder)
        assert verdict.ok, verdict.faults
        return made.ends(), made.scripts_run(), made.records()


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_run_comes_to_the_same_end_and_does_nothing_twice(tmp_path, undisturbed, seed):
    check_one(tmp_path, undisturbed, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 150))
def test_fifty_more_kills(tmp_path, undisturbed, seed):
    check_one(tmp_path, undisturbed, seed)


def check_one(tmp_path, undisturbed, seed):
    expected, took_s = undisturbed
    ends, scripts, records = killed_and_resumed(tmp_path / "here", seed, took_s)
    assert {key: found(state) for key, state in ends.items()} == {
        key: found(state) for key, state in expected.items()
    }
    # Again is right only where a look has said that it was not done.
    not_wanted = Counter(
        (r["endpoint"], r["step"])
        for r in records
        if r["event"] == "step.resolved" and r["how"] == "probed" and "state" not in r
    )
    for key, number in scripts.items():
        assert number <= 1 + not_wanted[key], f"{key} was done {number} times"
    started = Counter(r["attempt"] for r in records if r["event"] == "step.started")
    assert set(started.values()) == {1}


def found(state):
    """A change that a look found done is `changed`; one its check found done on a retry is `ok`."""
    return "done" if state in {"ok", "changed"} else state
