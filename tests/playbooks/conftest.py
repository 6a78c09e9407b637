"""What the tests of the shipped playbooks share: their scripts, really run, on a small machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from outagekit.playbook.model import Code
from outagekit.transports.posix.render import render

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
SHELLS = {"dash": ("dash", "-s"), "bash": ("bash", "-s"), "busybox": ("busybox", "sh", "-s")}
FACTS = {"client": "acme", "endpoint": "web-01", "run": "20260101T000000Z-drill-aaaa"}
TOOLS = (
    *("awk", "cat", "cksum", "chmod", "chown", "cp", "cut", "date", "df", "dirname", "du", "env"),
    *("find", "grep", "gzip", "head", "id", "ln", "ls", "mkdir", "mv", "nice", "ps", "readlink"),
    *("rm", "rmdir", "sed", "sha256sum", "sleep", "sort", "stat", "tail", "tar", "timeout"),
    *("touch", "tr", "uname", "uptime", "wc"),
)

collect_ignore_glob = ["*"] if os.name == "nt" else []


class Machine:
    """A shell, a PATH on which nothing else can be found, and facts of stand-ins as small files.

    A stand-in is a shell text in which `$W` is the folder with the facts. With busybox the
    ordinary tools are busybox's own as well.
    """

    def __init__(self, folder: Path, playbook: str, shell: str) -> None:
        self.folder = folder
        self.scripts = PLAYBOOKS / playbook
        self.shell = shell
        self.values: dict[str, object] = {}
        self.environment: dict[str, str] = {"HOME": str(folder / "home")}
        (folder / "home").mkdir(parents=True)
        self.bin = folder / "bin"
        self.bin.mkdir()
        for name in TOOLS:
            self._link(name)
        (self.bin / "sh").symlink_to(str(shutil.which(SHELLS[shell][0])))
        self.standin("sleep", 'echo "$1" >>"$W/slept"')

    def _link(self, name: str) -> None:
        found = shutil.which(name)
        if self.shell == "busybox" and name in _applets():
            found = shutil.which("busybox")
        if found:
            (self.bin / name).symlink_to(found)

    def standin(self, name: str, text: str) -> Machine:
        """Put a command of our own into the place of a system's."""
        tool = self.bin / name
        tool.unlink(missing_ok=True)
        tool.write_text(f"#!/bin/sh\nW='{self.folder}'\n{text}\n")
        tool.chmod(0o755)
        return self

    def real(self, *names: str) -> Machine:
        """Let the scripts find these commands of this system."""
        for name in names:
            (self.bin / name).unlink(missing_ok=True)
            (self.bin / name).symlink_to(str(shutil.which(name)))
        return self

    def set(self, **facts: str) -> Machine:
        for name, value in facts.items():
            (self.folder / name).write_text(value)
        return self

    def get(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def drop(self, *names: str) -> Machine:
        for name in names:
            (self.folder / name).unlink()
        return self

    def run(self, script: str, part: str = "script", **values: object) -> Done:
        """Run a script of the playbook as an endpoint would, with values."""
        code = Code("sh", (self.scripts / script).read_text())
        command = render(code, {**FACTS, **self.values, **values}, step="a", part=part)
        program, *rest = SHELLS[self.shell]
        return subprocess.run(
            [str(shutil.which(program)), *rest],
            input=command.stdin.decode(),
            env={"PATH": str(self.bin), "LC_ALL": "C", **self.environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
            check=False,
        )

    def result(self, script: str, **values: object) -> dict[str, Any]:
        """Run a script that must succeed, and return its result."""
        done = self.run(script, **values)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


Done = subprocess.CompletedProcess[str]


def _applets() -> frozenset[str]:
    if not _APPLETS:
        program = str(shutil.which("busybox"))
        listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True)
        _APPLETS.update(listed.stdout.split())
    return frozenset(_APPLETS)


_APPLETS: set[str] = set()


@pytest.fixture(params=sorted(SHELLS))
def shell(request: pytest.FixtureRequest) -> str:
    """Each shell a script must be able to run under."""
    name: str = request.param
    if shutil.which(SHELLS[name][0]) is None:
        pytest.skip(f"{name} is not installed")
    return name


@pytest.fixture
def machine(tmp_path: Path, shell: str) -> Callable[..., Machine]:
    """Make a machine for a playbook with stand-ins; `values` are what its scripts get."""

    def made(playbook: str, standins: Mapping[str, str] | None = None, **values: object) -> Machine:
        here = Machine(tmp_path / "machine", playbook, shell)
        here.values = values
        for name, text in (standins or {}).items():
            here.standin(name, text)
        return here

    return made
