"""outagekit on real machines: sudo, a jump host, packages that go back, and what the log says of it.

What is true is asked of the machines themselves, past sshd, sudo and outagekit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from outagekit.log.folder import list_runs
from outagekit.testing.machines.ground import INNER, NETWORK, Ground, missing
from outagekit.testing.machines.machine import Build
from outagekit.testing.machines.packages import STORE
from outagekit.testing.machines.workspace import Entry, Workspace

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
REASON = missing("dpkg-deb", "apt-get")
NO_DNF = missing("dnf", "rpmbuild", "createrepo_c")
SHIPPED = Path(__file__).parents[2] / "playbooks"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(REASON) and not REQUIRED, reason=REASON or "all is here"),
]

CHANGED = ("changed", None)
BAD = {"version": "2.0", "held": False}
GOOD = {"version": "1.0", "held": True}


def until(found, what, timeout_s=30.0):
    until_s = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < until_s, f"no {what}"
        time.sleep(0.02)
    return value


class Ended:
    """What a command did."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def ends(self):
        """Endpoint -> its end state and what kind of failure it met."""
        found = json.loads(self.out)["endpoints"]
        return {e["endpoint"].removeprefix("acme/"): (e["state"], e["failure"]) for e in found}

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


class Office:
    """A technician: machines, a workspace that knows them, and the command line."""

    def __init__(self, folder, ground):
        self.ground, self.workspace = ground, Workspace(folder, ground)
        self.folder = folder
        self.machines, self._made, self._entries, self._begun = {}, [], [], []
        self._jump = None

    def start(self, *builds, **facts):
        """Start machines; all but `bastion` are endpoints with these facts."""
        made = self.ground.start(builds)
        self._made += made
        for machine in made:
            if machine.name == "bastion":
                self._jump = machine
                continue
            site = "inner" if machine.build.behind else None
            self._add(machine.name, machine.address, site=site, **facts)
            self.machines[machine.name] = machine
        self.workspace.trust(self._made)
        return made

    def dead(self, name, address):
        """Add an endpoint where there is no machine."""
        self._add(name, address)

    def _add(self, name, address, **facts):
        self._entries.append(Entry(name, address, **facts))
        self.workspace.write(self._entries, jump=self._jump)

    def playbook(self, steps, rollout="{waves: [100%]}"):
        head = f"outagekit: 1\ntitle: Mend\ntargets: os:linux\nrollout: {rollout}\nsteps:\n"
        (self.folder / "playbooks" / "mend.yaml").write_text(head + steps)

    def shipped(self, name, **rollout):
        """Take a shipped playbook as it is, but for lines of its rollout that take their time."""
        copy = self.folder / "playbooks" / name
        shutil.copytree(SHIPPED / name, copy)
        text = (copy / "playbook.yaml").read_text()
        for key, value in rollout.items():
            text, found = re.subn(rf"(?m)^  {key}: .*$", f"  {key}: {value}", text)
            assert found == 1, key
        (copy / "playbook.yaml").write_text(text)

    def begin(self, *words):
        process = subprocess.Popen(
            self.workspace.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self._begun.append(process)
        return process

    def end(self, process):
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        return Ended(process.returncode, out, err)

    def call(self, *words):
        return self.end(self.begin(*words))

    def run(self, *words):
        return self.call("run", "--yes", "--json", *words)

    def events(self, name):
        """Return the events of one kind in the newest log, as far as it is written."""
        state = self.folder / "state"
        runs = list_runs(state) if state.exists() else []
        log = runs[-1] / "log.jsonl" if runs else None
        if log is None or not log.exists():
            return []
        whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [record for record in map(json.loads, whole) if record["event"] == name]

    def said(self, step, part="script", stream="stdout"):
        """Endpoint -> what a step printed there."""
        return {
            event["endpoint"].removeprefix("acme/"): event[stream]["text"]
            for event in self.events("step.part")
            if (event["step"], event["part"]) == (step, part)
        }

    def close(self):
        for process in self._begun:
            if process.poll() is None:
                process.kill()
                process.communicate()
        self.ground.stop(self._made)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with Ground(tmp_path_factory.mktemp("machines") / "ground") as made:
        yield made


@pytest.fixture
def office(ground, tmp_path):
    made = Office(tmp_path / "msp", ground)
    yield made
    made.close()


def packages(machine):
    """What apt knows of it, asked of the machine itself."""
    version = machine.ask("dpkg-query", "-W", "-f", "${Version}", "okdemo")
    return {"version": version, "held": "okdemo" in machine.ask("apt-mark", "showhold").split()}


def serves(machine):
    """Which version of the service runs."""
    active = machine.call("systemctl", "is-active", "--quiet", "okdemo").returncode == 0
    return machine.ask("cat", "/run/okdemo.version").strip() if active else None


def wrong_tries(machine):
    """How many wrong passwords reached sudo there."""
    log = machine.ask("cat", "/var/log/sudo.log").replace("\n    ", " ")
    return sum(int(n) for n in re.findall(r"(\d+) incorrect password attempt", log))


WHO = """\
  - {id: who, sh: id -un, risk: read}
"""
