"""The docs say what is: their commands parse, their tables match the code, nothing is left out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from outagekit import errors
from outagekit.cli.app import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands_in(text):
    joined = re.sub(r"\\\n\s*", "", text)
    lines = re.findall(r"^    (.*outagekit .*)$", joined, flags=re.MULTILINE)
    for line in lines:
        for part in re.split(r"&&|;", line.split("  #")[0]):
            words = shlex.split(part.strip(), posix=True)
            if words[:1] == ["outagekit"]:
                yield tuple(words[1:])


def leaf(words):
    """The command these words lead to, and the words left for it."""
    found, rest = get_command(app), list(words)
    while hasattr(found, "commands"):
        found = found.commands[rest.pop(0)]
    return found, rest


def leaves(found=None, path=()):
    found = found or get_command(app)
    if not hasattr(found, "commands"):
        yield path, found
        return
    for name, each in found.commands.items():
        yield from leaves(each, (*path, name))


def test_the_readme_opens_with_the_two_commands():
    opening = README.splitlines()[:5]
    assert any("make drill" in line for line in opening)
    assert any("make test" in line for line in opening)


@pytest.mark.parametrize("words", sorted(set(commands_in(README))), ids=" ".join)
def test_every_command_of_the_readme_parses(words):
    found, rest = leaf(words)
    found.make_context(words[0], rest)


def test_the_readme_has_commands_to_check():
    assert len(set(commands_in(README))) >= 8


def test_what_the_readme_says_to_do_in_a_workspace_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    for words in commands_in(README):
        if words[0] in {"init", "check"} or words[:1] == ("plan",):
            result = runner.invoke(app, list(words))
            assert result.exit_code == 0, result.output
        if words[0] == "init":
            monkeypatch.chdir(tmp_path / words[1])


@pytest.mark.parametrize("path", [path for path, _ in leaves()], ids=" ".join)
def test_every_command_and_option_has_help(path):
    found, _ = leaf(path)
    assert found.help
    for parameter in found.params:
        assert parameter.help, f"{' '.join(path)} {parameter.name}"


@pytest.mark.parametrize("path", [path for path, _ in leaves()], ids=" ".join)
def test_every_command_is_named_in_the_docs(path):
    text = README + "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("*.md"))
    assert re.search(rf"\b{' '.join(path)}\b", text), f"no document mentions {' '.join(path)}"


def test_the_table_of_exit_codes_holds_every_code():
    table = (ROOT / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, flags=re.MULTILINE)}
    raised = {
        each.exit_code
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.OutagekitError)
    }
    assert raised | {0, 3, 4, 5, 130} == listed


_CONSENT = {"yes", "approved_by", "because", "override", "all_clients", "approve", "plan"}


def test_no_option_of_consent_can_come_from_the_environment():
    for path, found in leaves():
        for parameter in found.params:
            if parameter.name in _CONSENT:
                assert not parameter.envvar, f"{' '.join(path)} {parameter.name}"


def test_the_changelog_has_an_unreleased_part():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## Unreleased" in text
