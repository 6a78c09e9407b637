"""The PowerShell of shipped playbooks, as far as it can be judged where there is none."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_powershell

from outagekit.playbook.load import load_playbook
from outagekit.playbook.model import RESERVED_NAMES, RunScript

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"
SCRIPTS = sorted(PLAYBOOKS.glob("*/*.ps1"))
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))
NEWER_THAN_TWO = (
    *("ConvertTo-Json", "ConvertFrom-Json", "Get-CimInstance", "Get-FileHash", "[ordered]"),
    *(" -in ", " -notin ", "$PSScriptRoot", "?.", "??", "[PSCustomObject]", "::new("),
)
CHANGES = re.compile(
    r"\b(Remove|Set|New|Move|Copy|Rename|Clear|Stop|Start|Restart|Disable|Enable)-"
    r"|/remove-package|-disable|-enable|shutdown",
    re.IGNORECASE,
)


def name_of(path):
    return f"{path.parent.name}/{path.name}"


def every(parametrized):
    return pytest.mark.parametrize("path", parametrized, ids=name_of)


def book_of(path):
    return _book(path.parent)


@cache
def _book(folder):
    return load_playbook(folder / "playbook.yaml")


def uses(path):
    """The steps a script belongs to, each with the part it plays there."""
    for step in book_of(path).steps:
        action = step.action.script if isinstance(step.action, RunScript) else None
        parts = {"script": action, "check": step.check, "verify": step.verify, "undo": step.undo}
        for part, script in parts.items():
            if script is not None and path.name in {code.file for code in script.variants}:
                yield step, part


@every(SCRIPTS)
def test_a_script_is_ascii_and_has_no_error_of_syntax(path):
    source = path.read_bytes()
    assert source.isascii()
    tree = PARSER.parse(source)
    assert not tree.root_node.has_error, list(errors(tree.root_node))


def errors(node):
    if node.is_error or node.is_missing:
        yield node.start_point, node.text
    for child in node.children:
        yield from errors(child)


@every(SCRIPTS)
def test_every_value_a_script_asks_for_is_given_to_it(path):
    wanted = set(re.findall(r"\$OK\.([A-Za-z0-9_]+)", path.read_text()))
    book = book_of(path)
    found = list(uses(path))
    assert found
    for step, _ in found:
        given = {*book.params, *step.with_, *RESERVED_NAMES}
        assert wanted <= given, (step.id, wanted - given)


@every(SCRIPTS)
def test_a_script_says_no_more_than_powershell_2_knows(path):
    text = path.read_text()
    assert [word for word in NEWER_THAN_TWO if word in text] == []


@every(SCRIPTS)
def test_no_script_turns_what_a_program_complains_of_into_an_error(path):
    assert "2>&1" not in path.read_text()


@every(SCRIPTS)
def test_what_only_reads_changes_nothing(path):
    if all(part in {"check", "verify"} or not step.changes for step, part in uses(path)):
        code = "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())
        assert CHANGES.findall(code) == []


@every(SCRIPTS)
def test_no_script_installs_or_removes_an_update_without_dism(path):
    assert "wusa" not in path.read_text().casefold()


@every(SCRIPTS)
def test_a_time_is_written_in_the_same_way_whatever_the_machine_speaks(path):
    # In Finland the hours would stand before a dot, and in Thailand it is the year 2569.
    written = re.findall(r"\.ToString\((?:[^()]|\([^()]*\))+\)", path.read_text())
    assert [call for call in written if "invariant" not in call.casefold()] == []


@every(SCRIPTS)
def test_no_script_asks_for_all_services(path):
    # Windows has some that cannot be queried: an error, which would end the script.
    assert not re.search(r"Get-Service\b(?! -Name)", path.read_text())


@every(SCRIPTS)
def test_a_log_that_cannot_be_read_is_not_a_log_without_events(path):
    for line in path.read_text().splitlines():
        if "Get-WinEvent" in line:
            assert "SilentlyContinue" not in line
            assert "NoMatchingEventsFound" in path.read_text()


@every(SCRIPTS)
def test_what_a_pattern_finds_by_its_short_name_is_not_taken_for_it(path):
    text = path.read_text()
    for pattern in re.findall(r"-Filter '([^']*\*[^']*)'", text):
        assert f"$_.Name -like '{pattern}'" in text


@every(SCRIPTS)
def test_every_reason_stands_in_the_one_line_that_is_shown(path):
    # Of what a failed script says on stderr a table shows the last line.
    assert not re.search(r"foreach[^\n]*Error\.WriteLine", path.read_text())


@every(SCRIPTS)
def test_what_is_kept_for_undo_is_kept_apart_for_each_run(path):
    text = path.read_text()
    for line in text.splitlines():
        if re.match(r"\$kept = ", line):
            assert "$OK.run" in line


@every(SCRIPTS)
def test_a_folder_that_anybody_may_have_made_is_looked_at_before_it_is_used(path):
    text = path.read_text()
    if "CommonApplicationData" in text and any(step.changes for step, _ in uses(path)):
        owner = text.index("GetAccessControl")
        assert owner < min(text.find(word) % len(text) for word in ('Write-Through "', "Copy("))
    assert "$env:ProgramData" not in text


@every(SCRIPTS)
def test_a_copy_is_on_the_disk_before_its_original_goes(path):
    text = path.read_text()
    if "Remove-Item -LiteralPath $file" in text:
        assert "[IO.FileOptions]::WriteThrough" in text
        assert text.index("is not whole") < text.index("Remove-Item -LiteralPath $file")
