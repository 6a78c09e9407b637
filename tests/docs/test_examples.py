"""The examples are what they say: they check, plan and rehearse without a single fault."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from outagekit.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def msp(tmp_path, monkeypatch):
    """The workspace of the examples, in a folder nobody else can write."""
    folder = tmp_path / "msp"
    shutil.copytree(EXAMPLES / "msp", folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.chdir(folder)
    return folder


def said_by(*words):
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_example_workspace_has_no_problem(msp):
    said_by("check")


def test_the_commands_of_the_examples_run(msp):
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [shlex.split(found) for found in re.findall(r"^ +outagekit (.+)$", text, re.MULTILINE)]
    assert len(lines) >= 4
    for words in lines:
        if words[0] != "drill":
            said_by(*words)


def test_its_own_playbook_is_rehearsed_without_a_fault(msp):
    words = ("print-queue", "--endpoints", "6", "--faults", "none", "--seed", "3", "--json")
    drilled = json.loads(said_by("drill", *words))
    assert drilled["score"]["passed"], drilled
