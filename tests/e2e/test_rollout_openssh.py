"""Careful rollouts against real OpenSSH servers: gates, doubt, waiting, detached work, undo.

Every endpoint is an sshd of its own with a home folder of its own, the only place scripts touch.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from outagekit.log.folder import list_runs
from outagekit.testing import sshd as sshd_module
from outagekit.testing.sshd import find_sshd, free_port, make_key

REQUIRED = bool(os.environ.get("OUTAGEKIT_REQUIRE_E2E"))
USER = getpass.getuser()
AGREED = "agreement: {id: M-1, allows: [diagnose, collect, remediate, reboot]}"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        find_sshd() is None and not REQUIRED, reason="OpenSSH's sshd is not installed"
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="all of 127.0.0.0/8 is there on Linux only"),
]


class Machine:
    """An endpoint: its own sshd, its own host key, its own home."""

    def __init__(self, folder, address, port, login):
        self.home, self.address, self.port = folder / "home", address, port
        self.home.mkdir(parents=True, mode=0o700)
        self._running = contextlib.ExitStack()
        self._server = folder / "sshd"
        self.key = self._running.enter_context(
            sshd_module.sshd(
                self._server,
                [address],
                port,
                login_keys=[login.public],
                options=[f"SetEnv HOME={self.home}", "LogLevel VERBOSE"],
            )
        )

    def stop(self):
        self._running.close()

    def start(self):
        config = self._server / "sshd_config.0"
        self._running.enter_context(sshd_module._process(config, self.address, self.port))

    def write(self, name, text=""):
        (self.home / name).write_text(text)

    def read(self, name):
        path = self.home / name
        return path.read_text() if path.exists() else ""

    def wait_for(self, name, timeout_s=20.0):
        until_s = time.monotonic() + timeout_s
        while not self.read(name):
            assert time.monotonic() < until_s, f"no {name} on {self.address}"
            time.sleep(0.02)
        return self.read(name)

    def end_session(self):
        os.kill(int(self.wait_for("session")), signal.SIGKILL)

    @property
    def log(self):
        return (self._server / "sshd.log").read_text(errors="replace")


class Site:
    def __init__(self, folder, machines, login):
        self.folder, self.machines, self.login = folder, machines, login
        (folder / "inventory").mkdir(parents=True)
        (folder / "playbooks").mkdir()
        (folder / "outagekit.yaml").write_text("outagekit: 1\n")
        self.inventory(f"{{user: {USER}, key: {login.private}}}")
        trust = folder / "trust" / "acme"
        trust.mkdir(parents=True)
        known = [f"[{m.address}]:{m.port} {m.key.public}\n" for m in machines]
        (trust / "known_hosts").write_text("".join(known))

    def inventory(self, credential, port=None):
        endpoints = "".join(
            f"  pc-{n}: {{address: {m.address}, os: linux, port: {port or m.port},"
            " credential: ops}\n"
            for n, m in enumerate(self.machines, 1)
        )
        (self.folder / "inventory" / "acme.yaml").write_text(
            f"outagekit: 1\nclient: acme\nname: Acme Dental\n{AGREED}\n"
            f"credentials:\n  ops: {credential}\nendpoints:\n{endpoints}"
        )

    def playbook(self, text, rollout=""):
        head = "outagekit: 1\ntitle: Mend\ntargets: os:linux\n"
        rollout = f"rollout: {rollout}\n" if rollout else ""
        (self.folder / "playbooks" / "mend.yaml").write_text(f"{head}{rollout}steps:\n{text}")

    def begin(self, *words, **kwargs):
        return subprocess.Popen(
            [sys.executable, "-m", "outagekit", *words, "--state-dir", str(self.folder / "state")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            **kwargs,
        )

    def call(self, *words, timeout_s=60.0):
        process = self.begin(*words)
        return self.end(process, timeout_s)

    def end(self, process, timeout_s=60.0):
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(out + err)
        assert "Traceback" not in err
        return Ended(process.returncode, out, err)

    def run(self, *words):
        return self.call("run", "mend", "--yes", "--json", *words)

    def resume(self, *words):
        return self.call("resume", "--json", *words)

    def events(self, name=""):
        (run,) = list_runs(self.folder / "state")[-1:]
        lines = (run / "log.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return found


class Ended:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def document(self):
        return json.loads(self.out)

    @property
    def ends(self):
        return {
            e["endpoint"].removeprefix("acme/"): e["state"] for e in self.document["endpoints"]
        }

    def __repr__(self):
        return f"exit {self.code}\n{self.out[-3000:]}\n{self.err[-3000:]}"


@pytest.fixture
def site(tmp_path, request):
    number = getattr(request, "param", 4)
    login = make_key(tmp_path / "login")
    port = free_port("127.46.0.1")
    machines = []
    try:
        for n in range(1, number + 1):
            machines.append(Machine(tmp_path / f"pc-{n}", f"127.46.0.{n}", port, login))
        yield Site(tmp_path / "msp", machines, login)
    finally:
        for machine in machines:
            machine.stop()
