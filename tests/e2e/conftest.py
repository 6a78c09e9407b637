"""Endpoints that are real OpenSSH servers, each with its own home, and the command line on them.

Scripts run as the person who runs the tests: they touch nothing but the home they are given.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from outagekit.log.folder import list_runs
from outagekit.testing import sshd as sshd_module
from outagekit.testing.ended import Ended
from outagekit.testing.sshd import free_port, make_key

USER = getpass.getuser()
NET = "127.46.0."
_UP = "Server listening"
CABLE = "192.0.2."
"""Of the addresses kept for documentation: no network has them but the one made here."""


def until(found, what, timeout_s=20.0):
    """Wait for something to be there, and return it."""
    until_s = time.monotonic() + timeout_s
    while not (value := found()):
        assert time.monotonic() < until_s, f"no {what}"
        time.sleep(0.02)
    return value


class Machine:
    """An endpoint: its own sshd, host key and home."""

    def __init__(self, folder, address, port, login, *, options=(), inside=()):
        self.home, self.address, self.port = folder / "home", address, port
        self.home.mkdir(parents=True, mode=0o700)
        self._server = folder / "sshd"
        self._inside = inside
        self._process = None
        options = [f"SetEnv HOME={self.home}", "LogLevel VERBOSE", *options]
        self._server.mkdir()
        self.key = make_key(self._server / "host")
        authorized = self._server / "authorized_keys"
        authorized.write_text(f"{login.public}\n")
        self._config = self._server / "config"
        self._config.write_text(
            sshd_module._config([address], port, [self.key], authorized, options)
        )
        self.start()

    def start(self):
        words = [*self._inside, sshd_module.find_sshd(), "-D", "-e", "-f", str(self._config)]
        with (self._server / "log").open("ab") as log:
            started = self.log.count(_UP)
            self._process = subprocess.Popen(words, stderr=log)
        until(lambda: self.log.count(_UP) > started, "sshd")

    def stop(self):
        if self._process is not None:
            self._process.terminate()
            self._process.wait(5)

    def write(self, name, text):
        (self.home / name).write_text(text)

    def read(self, name):
        with contextlib.suppress(FileNotFoundError):
            return (self.home / name).read_text()
        return ""

    def wait_for(self, name):
        return until(lambda: self.read(name), f"{name} on {self.address}")

    def cut_off(self, *, kill_script=False):
        """End the server's side of the connection whose script wrote its `session`."""
        session, script = map(int, self.wait_for("session").split())
        os.kill(session, signal.SIGKILL)
        if kill_script:
            os.killpg(script, signal.SIGKILL)

    @property
    def log(self):
        return (self._server / "log").read_text(errors="replace")

    @property
    def tree(self):
        files = self.home.rglob("*")
        return {str(f): f.read_bytes() if f.is_file() else None for f in files}


class Site:
    """A workspace with one client, whose endpoints are machines."""

    def __init__(self, folder, machines, login, *, inside=()):
        self.folder, self.machines, self._inside = folder, machines, inside
        self._begun = []
        (folder / "inventory").mkdir(parents=True)
        (folder / "playbooks").mkdir()
        (folder / "outagekit.yaml").write_text("outagekit: 1\n")
        self.credential(f"key: {login.private}")
        trust = folder / "trust" / "acme"
        trust.mkdir(parents=True)
        known = [f"[{m.address}]:{m.port} {m.key.public}\n" for m in machines]
        (trust / "known_hosts").write_text("".join(known))

    def credential(self, secret):
        endpoints = "".join(
            f"  pc-{n}: {{address: {m.address}, os: linux, port: {m.port}, credential: ops}}\n"
            for n, m in enumerate(self.machines, 1)
        )
        (self.folder / "inventory" / "acme.yaml").write_text(
            "outagekit: 1\nclient: acme\nname: Acme Dental\n"
            "agreement: {id: M-1, allows: [diagnose, collect, remediate, reboot]}\n"
            f"credentials:\n  ops: {{user: {USER}, {secret}}}\nendpoints:\n{endpoints}"
        )

    def playbook(self, steps, rollout="{waves: [100%]}"):
        head = f"outagekit: 1\ntitle: Mend\ntargets: os:linux\nrollout: {rollout}\nsteps:\n"
        (self.folder / "playbooks" / "mend.yaml").write_text(head + steps)

    def begin(self, *words):
        state = ["--state-dir", str(self.folder / "state")]
        process = subprocess.Popen(
            [*self._inside, sys.executable, "-m", "outagekit", *words, *state],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )
        self._begun.append(process)
        return process

    def end(self, process):
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        return Ended(process.returncode, out, err)

    def call(self, *words):
        return self.end(self.begin(*words))

    def begin_run(self, *words):
        return self.begin("run", "mend", "--yes", "--json", *words)

    def run(self, *words):
        return self.end(self.begin_run(*words))

    def resume(self, *words):
        return self.call("resume", "--json", *words)

    def kill(self, process):
        process.kill()
        process.communicate()

    def close(self):
        for process in self._begun:
            if process.poll() is None:
                self.kill(process)
        for machine in self.machines:
            machine.stop()

    def events(self, name):
        """Return the events of one kind in the newest log, as far as it is written."""
        runs = list_runs(self.folder / "state") if (self.folder / "state").exists() else []
        log = runs[-1] / "log.jsonl" if runs else None
        if log is None or not log.exists():
            return []
        whole = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [record for record in map(json.loads, whole) if record["event"] == name]

    def await_event(self, name, number=1):
        return until(lambda: self.events(name)[number - 1 : number], name)[0]

    def read(self, name):
        return [machine.read(name) for machine in self.machines]


@pytest.fixture
def acme(tmp_path):
    """Make a site of so many machines."""
    made = []

    def make(number, *options):
        login, port = make_key(tmp_path / "login"), free_port(f"{NET}1")
        machines = [
            Machine(tmp_path / f"pc-{n}", f"{NET}{n}", port, login, options=options)
            for n in range(1, number + 1)
        ]
        made.append(Site(tmp_path / "msp", machines, login))
        return made[0]

    yield make
    for site in made:
        site.close()


class Cable:
    """Two networks of their own, joined by one cable; nothing outside them is touched."""

    def __init__(self, stack):
        self._near, self._far = (self._network(stack) for _ in range(2))
        self.near, self.far = self._inside(self._near), self._inside(self._far)
        pair = f"ip link add ok0 type veth peer name ok1 netns {self._far.pid}"
        self.on(self.near, f"{pair}; ip addr add {CABLE}1/24 dev ok0; ip link set ok0 up")
        self.on(self.far, f"ip addr add {CABLE}2/24 dev ok1; ip link set ok1 up")
        self.on(self.near, "ip link set lo up")

    @staticmethod
    def _network(stack):
        made = stack.enter_context(
            subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; cat"], stdin=-1, stdout=-1)
        )
        stack.callback(made.kill)
        made.stdout.readline()
        return made

    @staticmethod
    def _inside(network):
        return ["nsenter", f"--net=/proc/{network.pid}/ns/net"]

    @staticmethod
    def on(side, line):
        subprocess.run([*side, "sh", "-ec", line], check=True)

    def cut(self):
        self.on(self.far, "ip link set ok1 down")

    def mend(self):
        self.on(self.far, "ip link set ok1 up")

    def forget(self):
        """Be as a firewall that forgot the connections it had let through."""
        flush = "ip neigh flush dev ok0"
        src = f"ip route change {CABLE}0/24 dev ok0 src {CABLE}3"
        self.on(self.near, f"ip addr add {CABLE}3/24 dev ok0; {src}; {flush}")
        self.on(self.far, f"ip route add blackhole {CABLE}1/32")


@pytest.fixture
def far(tmp_path):
    """A site of one machine behind a `cable`; both ends are networks made for this test."""
    tools = all(map(shutil.which, ("ip", "unshare", "nsenter")))
    if not tools or subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("no networks can be made here")
    login = make_key(tmp_path / "login")
    with contextlib.ExitStack() as stack:
        cable = Cable(stack)
        machine = Machine(tmp_path / "pc-1", f"{CABLE}2", 2222, login, inside=cable.far)
        site = Site(tmp_path / "msp", [machine], login, inside=cable.near)
        stack.callback(site.close)
        site.cable = cable
        yield site
