"""A lab workspace with endpoints that answer, and the command line called in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from outagekit.cli.app import app
from outagekit.lab.fleet import Fleet
from outagekit.lab.workspace import write_lab_workspace
from outagekit.playbook.load import load_playbook

FLEET_PLAYBOOK = """\
outagekit: 1
title: Mend the thing
targets: os:linux
params:
  thing: {default: spooler, help: What is mended}
steps:
  - id: look
    phase: assess
    sh: "true"
    risk: read
    result: {sick: bool}
  - id: mend
    phase: fix
    when: look.sick
    sh: "true"
    check: "true"
    undo: "true"
drill:
  state: {sick: 50%}
  steps:
    look: {stdout: '{"sick": {{ sick | tojson }}}'}
    mend: {set: {sick: false}}
"""


@dataclass
class Called:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def call() -> Callable[..., Called]:
    """Call the command line without a terminal."""

    def run(*words: str) -> Called:
        result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert "Traceback" not in result.output
        return Called(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Six endpoints of three clients up on loopback, and the workspace that names them."""
    source = tmp_path / "source" / "mend.yaml"
    source.parent.mkdir()
    source.write_text(FLEET_PLAYBOOK)
    playbook = load_playbook(source, origin="workspace")
    folder = tmp_path / "lab"
    with Fleet.start(playbook, endpoints=6, seed=3, folder=folder, faults={}) as fleet:
        write_lab_workspace(fleet)
        (folder / "playbooks").mkdir()
        (folder / "playbooks" / "mend.yaml").write_text(FLEET_PLAYBOOK)
        monkeypatch.chdir(folder)
        yield fleet


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is no workspace, as the current one."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
