"""A run on Windows endpoints is killed and taken up again: nothing twice, no shell, no secret.

The machines live in this process, the run in one of its own; what is true is asked of the
machines, past our transport and the run's log.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outagekit.lab.fleet import Fleet
from outagekit.lab.workspace import write_lab_workspace
from outagekit.lab.wsman import server as server_module
from outagekit.lab.wsman.service import Service
from outagekit.playbook.load import load_playbook
from outagekit.transports.winrm.ledger import Ledger

pytestmark = pytest.mark.crash

BOOK = """\
outagekit: 1
title: Mend what is sick
targets: os:windows
rollout: {waves: [100%]}
steps:
  - {id: look, powershell: Look-It, phase: assess, risk: read}
  - {id: mend, powershell: Mend-It, phase: fix, check: {powershell: Test-It}}
  - {id: prove, cmd: dir bad, phase: verify, risk: read}
drill:
  state: {mended: false}
  steps:
    look: {stdout: sick}
    mend: {set: {mended: true}, takes: 0.6s}
    prove: {takes: 0.6s}
"""
ENDPOINTS = 3
LONGEST_S = 30


class Windows:
    """A fleet of Windows endpoints, a workspace for it, and the services in front of them."""

    def __init__(self, fleet: Fleet, services: list[Service], state: Path) -> None:
        self.fleet, self.services, self.state = fleet, services, state
        self.folder = write_lab_workspace(fleet)
        (password,) = {
            fleet.password_of(each.password)
            for client in fleet.inventory.clients.values()
            for each in client.credentials.values()
            if each.password is not None
        }
        assert password
        self.password = password.encode()
        self.begun: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        said = [sys.executable, "-m", "outagekit", *words, "--state-dir", str(self.state)]
        process = subprocess.Popen(
            said,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.begun.append(process)
        return process

    def end(self, *words: str) -> str:
        process = self.start(*words)
        said, _ = process.communicate(timeout=LONGEST_S)
        assert process.returncode == 0, said
        return said

    def ran(self, step: str, part: str = "script") -> Counter[str]:
        """Return how often each machine really did it."""
        return Counter(
            endpoint
            for endpoint, machine in self.fleet.machines.items()
            for each in tuple(machine.received)
            if (each.step, each.part) == (step, part) and each.ran
        )

    @property
    def shells(self) -> int:
        return sum(len(service.shells) for service in self.services)

    @property
    def run_folder(self) -> Path:
        (folder,) = (self.state / "runs").iterdir()
        return folder

    def left(self) -> list[str]:
        """Return the shells that the run itself believes to be there."""
        (ledger,) = (Ledger(path) for path in self.run_folder.rglob("shells.jsonl"))
        return [shell for each in self.fleet.machines for shell in ledger.left(each)]

    def ends(self) -> dict[tuple[str, str], str]:
        lines = (self.run_folder / "log.jsonl").read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        told = [r for r in records if r["event"] in {"step.finished", "step.resolved"}]
        return {(r["endpoint"], r["step"]): r["state"] for r in told if r.get("state")}


@pytest.fixture
def windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Windows]:
    services: list[Service] = []
    makes = server_module.windows_server

    def make(*args: object, **given: object) -> Service:
        services.append(makes(*args, **given))
        return services[-1]

    monkeypatch.setattr(server_module, "windows_server", make)
    book = tmp_path / "mend.yaml"
    book.write_text(BOOK)
    playbook = load_playbook(book, origin="workspace")
    folder = tmp_path / "lab"
    with Fleet.start(playbook, endpoints=ENDPOINTS, seed=3, folder=folder, faults={}) as fleet:
        made = Windows(fleet, services, tmp_path / "state")
        made.end("playbooks", "trust", str(book), "--yes")
        yield made
        for process in made.begun:
            process.kill()
            process.wait()
            process.stdout.close()


def until(found: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until_s = time.monotonic() + LONGEST_S
    while not found():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.mark.parametrize("step", ["mend", "prove"])
def test_a_killed_run_is_ended_by_resume(windows: Windows, tmp_path: Path, step: str) -> None:
    process = windows.start("run", str(tmp_path / "mend.yaml"), "--all-clients", "--yes")
    # While a machine is at it: its answer comes later.
    until(lambda: windows.ran(step), process)
    process.kill()
    said = process.communicate()[0]
    assert windows.shells > 0
    assert windows.left()

    said += windows.end("resume", "last")

    assert {key: "good" for key, state in windows.ends().items() if state in {"ok", "changed"}} == {
        (endpoint, each): "good"
        for endpoint in windows.fleet.machines
        for each in ("look", "mend", "prove")
    }
    # A change is made once, whatever was lost; only what reads may be done again.
    assert windows.ran("mend") == dict.fromkeys(windows.fleet.machines, 1)
    assert windows.shells == 0
    assert windows.left() == []
    assert all(service.clear_bodies == 0 for service in windows.services if service.tls is None)
    require_hidden(windows, said)


def require_hidden(windows: Windows, said: str) -> None:
    """Assert that the password stands nowhere in what was written or said."""
    password = windows.password
    login = b"drill:" + password
    spelt = [password, password.decode().encode("utf-16-le"), *map(base64.b64encode, (login,))]
    files = [path for path in windows.state.rglob("*") if path.is_file()]
    assert any(path.name == "shells.jsonl" for path in files)
    kept = b"".join(path.read_bytes() + os.fsencode(path) for path in files) + said.encode()
    assert [each for each in spelt if each in kept] == []
