"""A drill of 300 endpoints, half Linux over SSH and half Windows over WinRM, with every fault.

One engine, one playbook, two protocols: every endpoint is judged rightly, on both.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

PLAYBOOK = """\
outagekit: 1
title: Take the bad file away, whatever the system
targets: os:linux or os:windows
rollout:
  waves: [10%, 100%]
  gate: {min_answered: 80%, max_failed: 10%, max_unreachable: 20%, max_unknown: 10%}
  waiting_room: 12m
  pounce: remove
steps:
  - {id: detect, script: [detect.sh, detect.ps1], phase: assess, risk: read,
     result: {impacted: bool}}
  - id: remove
    script: [remove.sh, remove.ps1]
    phase: fix
    when: detect.impacted
    check: {script: [gone.sh, gone.ps1]}
  - {id: prove, script: [prove.sh, prove.cmd], phase: verify, risk: read}
drill:
  state: {impacted: 70%, gone: false}
  steps:
    detect: {stdout: '{"impacted": {{ impacted | tojson }}}'}
    remove: {set: {gone: true, impacted: false}}
    prove: {}
"""
SCRIPTS = {
    "detect.sh": "look",
    "detect.ps1": "Get-Item bad",
    "remove.sh": "rm -f bad",
    "remove.ps1": "Remove-Item bad",
    "gone.sh": "test ! -e bad",
    "gone.ps1": "-not (Test-Path bad)",
    "prove.sh": "true",
    "prove.cmd": "dir bad",
}
FAULTS = {
    "unreachable": 4,
    "hang": 3,
    "slow": 3,
    "reset": 3,
    "auth": 3,
    "flap": 3,
    "bootloop": 2,
    "lie": 3,
}
ENDPOINTS = 300
LONGEST_S = 280
# What hangs costs this, and what answers must not be cut off where the computer is busy.
TIMEOUT_S = "4"


class Drilled:
    """A drill that is over: what it printed."""

    def __init__(self, folder):
        book = folder / "mixed.yaml"
        book.write_text(PLAYBOOK)
        for name, text in SCRIPTS.items():
            (folder / name).write_text(f"{text}\n")
        run = [sys.executable, "-m", "outagekit"]
        state = ["--state-dir", str(folder / "state")]
        subprocess.run(
            [*run, "playbooks", "trust", str(book), "--yes", *state],
            check=True,
            capture_output=True,
        )
        faults = ",".join(f"{fault}={share}%" for fault, share in FAULTS.items())
        drill = [*run, "drill", str(book), "--endpoints", str(ENDPOINTS), "--faults", faults]
        done = subprocess.run(
            [*drill, "--timeout", TIMEOUT_S, "--json", *state],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        self.code, self.said = done.returncode, done.stderr
        self.document = json.loads(done.stdout)
        (self.folder,) = (folder / "state" / "runs").iterdir()

    @property
    def score(self):
        return self.document["score"]

    @property
    def trouble(self):
        wrong = ("misjudged", "unfinished", "wrong_targets", "repeated")
        found = {name: self.score[name] for name in wrong}
        return f"exit {self.code}\n{json.dumps(found, indent=1)}\n…{self.said[-3000:]}"

    def ends(self, name):
        """How many endpoints whose name begins so ended in which way."""
        mine = [e for e in self.document["endpoints"] if e["endpoint"].split("/")[1][:4] == name]
        return Counter((e["state"], e["failure"]) for e in mine)


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    return Drilled(tmp_path_factory.mktemp("mixed"))


def test_every_endpoint_of_both_systems_is_judged_rightly(drilled):
    assert drilled.code == 0, drilled.trouble
    assert drilled.score["total"] == drilled.score["right"] == ENDPOINTS
    assert not drilled.score["wrong_targets"]
    assert not drilled.score["repeated"]


def test_every_fault_was_put_in_and_caught(drilled):
    found = drilled.score["faults"]
    assert {fault: round(ENDPOINTS * share / 100) for fault, share in FAULTS.items()} == {
        fault: tally["total"] for fault, tally in found.items()
    }
    assert all(tally["total"] == tally["right"] for tally in found.values())


@pytest.mark.parametrize("name", ["srv-", "win-"])
def test_both_systems_had_their_share_of_everything(drilled, name):
    ends = drilled.ends(name)
    assert sum(ends.values()) == ENDPOINTS // 2
    assert ends["changed", None] > ENDPOINTS // 5
    assert ends["ok", None] > ENDPOINTS // 15
    for end in (
        ("failed", "auth"),
        ("failed", "verify"),
        ("unknown", "timeout"),
        ("unreachable", "refused"),
    ):
        assert ends[end] > 0, (end, ends)


def test_no_password_and_no_encoded_login_is_in_the_runs_folder(drilled):
    for path in drilled.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"NTLMSSP" not in content
            assert b"TlRMTVNTU" not in content, "what base64 makes of it"
            assert b"Authorization:" not in content
