"""Options and the variables behind them: which commands they mean, and what they may be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_type_hints

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from outagekit.cli.app import app
from outagekit.cli.options import Pace
from outagekit.inventory.input import LARGEST_CONCURRENCY, LARGEST_CONNECTING

ALL = ("--limit", "all", "--all-clients")


def options(name):
    return {each.name: each for each in get_command(app).commands[name].params}


def test_a_state_folder_from_the_environment_is_not_called_a_flag(call, empty, monkeypatch):
    monkeypatch.setenv("OUTAGEKIT_STATE", str(empty / "mine"))
    shown = call("config", "--json").document
    assert shown["state_dir"] == {"value": str(empty / "mine"), "origin": "OUTAGEKIT_STATE"}
    shown = call("config", "--json", "--state-dir", "other").document
    assert shown["state_dir"] == {"value": str(empty / "other"), "origin": "--state-dir"}


@pytest.mark.parametrize(
    "name",
    [
        "OUTAGEKIT_KEY",
        "OUTAGEKIT_PASSWORD_REF",
        "OUTAGEKIT_PASSPHRASE_REF",
        "OUTAGEKIT_SUDO_REF",
    ],
)
def test_a_variable_meant_for_host_does_not_break_commands_with_an_inventory(
    call, lab, monkeypatch, name
):
    monkeypatch.setenv(name, "env:ANYTHING")
    assert call("plan", "mend", "--all-clients").code == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OUTAGEKIT_INVENTORY", "inventory"),
        ("OUTAGEKIT_CLIENT", "acme"),
        ("OUTAGEKIT_LIMIT", "tag:canary"),
    ],
)
def test_a_variable_about_the_inventory_does_not_mean_endpoints_named_by_host(
    call, lab, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    planned = call("plan", "mend", "--host", "ops@192.0.2.1", "--os", "linux", "--json")
    assert planned.code == 0, planned.err
    assert planned.document["endpoints"] == ["adhoc/192.0.2.1"]


def test_json_wins_over_a_variable_that_asks_for_events(call, lab, monkeypatch):
    monkeypatch.setenv("OUTAGEKIT_EVENTS", "jsonl")
    ran = call("ping", *ALL, "--json", "--state-dir", "state")
    assert (ran.code, ran.document["counts"]["ok"]) == (0, 6)


def test_a_flag_may_be_what_the_file_of_the_workspace_may_be():
    hints = get_type_hints(Pace, include_extras=True)
    most = {name: hints[name].__metadata__[0].max for name in hints}
    assert most["concurrency"] == most["per_site"] == LARGEST_CONCURRENCY
    assert most["connecting"] == LARGEST_CONNECTING


def test_plan_has_no_option_that_only_a_run_obeys():
    assert not {"yes", "plan"} & set(options("plan"))
    assert {"override", "approved_by", "because"} <= set(options("plan"))


def test_plan_offers_no_command_for_what_is_refused(call, lab):
    for path in Path("inventory").iterdir():
        path.write_text(path.read_text().replace("  - remediate\n", ""))
    planned = call("plan", "mend", "--all-clients")
    assert planned.code == 0
    assert "goes on only with --override remediate" in planned.out
    assert "next:" not in planned.err


def test_values_are_shown_as_they_are_written(call, lab):
    book = Path("playbooks/mend.yaml")
    more = "params:\n  often: {type: bool, default: true}\n  names: {type: list, default: [a, 2]}\n"
    book.write_text(book.read_text().replace("params:\n", more))
    planned = call("plan", "mend", "--all-clients")
    assert "  often = true\n" in planned.out
    assert '  names = ["a",2]\n' in planned.out


def test_a_quiet_run_that_is_well_says_nothing(call, lab):
    ran = call("ping", *ALL, "-q", "--state-dir", "state")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    lab.close()
    gone = call("ping", *ALL, "-q", "--state-dir", "state")
    assert gone.code == 4
    assert "unreachable" in gone.err


def test_a_file_with_warnings_is_not_said_to_have_nothing_wrong(call, empty):
    Path("one.yaml").write_text("outagekit: 1\ntitle: T\nsteps:\n  - sh: 'true'\n")
    checked = call("check", "one.yaml")
    assert checked.code == 0
    assert "1 warning" in checked.err
    assert "nothing wrong" not in checked.err


@pytest.mark.parametrize(
    "words",
    [
        ("playbooks", "trust", "mend", "--yes"),
        ("trust", "replace", "all", "--all-clients", "--yes", "--because", "set up anew"),
    ],
)
def test_a_command_that_offers_json_gives_a_document(call, lab, words):
    called = call(*words, "--json", "--state-dir", "state")
    assert called.code == 0
    assert called.document


def test_a_file_no_command_would_read_is_warned_about(call, lab):
    (path,) = Path("playbooks").iterdir()
    path.rename("playbooks/mend.yml")
    checked = call("check", "--json")
    assert checked.code == 0
    (problem,) = checked.document
    assert (Path(problem["path"]), problem["warning"]) == (Path.cwd() / "playbooks/mend.yml", True)
    assert problem["hint"] == "rename it to mend.yaml"


def test_one_broken_playbook_does_not_hide_the_others(call, lab):
    Path("playbooks/broken.yaml").write_text("outagekit: 1\nsteps: []\n")
    listed = call("playbooks", "list", "--json")
    assert listed.code == 8
    assert {"mend", "bad-update-rollback"} <= {book["name"] for book in listed.document}
    assert "broken.yaml" in listed.err
    assert "1 playbook left out" in listed.err


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("", False)])
def test_config_says_that_colour_is_off_exactly_when_it_is(call, empty, monkeypatch, value, shown):
    monkeypatch.setenv("NO_COLOR", value)
    assert ("colour" in call("config", "--json").document) is shown


def test_log_show_tells_with_q_only_what_went_wrong(call, lab):
    assert call("ping", *ALL, "--state-dir", "state").code == 0
    shown = call("log", "show", "-q", "--state-dir", "state")
    assert (shown.code, shown.out) == (0, "")


def every_command(command, *words):
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from every_command(below, *words, name)


@pytest.mark.parametrize("words", list(every_command(get_command(app))), ids=" ".join)
def test_help_asks_no_flag_for_a_value_and_speaks_of_no_type_of_python(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    shown = CliRunner().invoke(app, [*words, "--help"]).output
    ours = [line for line in shown.splitlines() if line.strip("│ ").startswith("--")]
    bad = [line for line in ours if re.search(r"<(bool|int|float|str|path|list)\b", line)]
    assert [line for line in bad if "--help" not in line and "-completion" not in line] == []
