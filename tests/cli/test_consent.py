"""Consent comes from a person at the command line and from nowhere else."""

from __future__ import annotations

import pytest
from typer.main import get_command

from outagekit.cli.app import app

CONSENT = {
    "yes",
    "plan",
    "approve",
    "override",
    "approved_by",
    "because",
    "past_gate",
    "unknown",
    "all_clients",
}


def every_option():
    """Yield the words of a command and each of its options."""
    waiting = [((), get_command(app))]
    while waiting:
        words, command = waiting.pop()
        waiting += [
            ((*words, name), each) for name, each in getattr(command, "commands", {}).items()
        ]
        yield from ((words, each) for each in command.params if each.param_type_name == "option")


def test_no_option_that_consents_can_be_set_by_a_variable():
    found = [(words, each) for words, each in every_option() if each.name in CONSENT]
    assert {each.name for _, each in found} == CONSENT
    assert not [(words, each.name) for words, each in found if each.envvar]


def test_no_variable_is_read_that_no_option_names():
    from typer.main import get_group

    assert get_group(app).context_settings.get("auto_envvar_prefix") is None


@pytest.mark.parametrize(
    "words",
    [
        ("exec", "--sh", "true", "--limit", "all", "--all-clients"),
        ("run", "mend", "--all-clients"),
    ],
)
def test_a_run_that_changes_something_is_not_confirmed_by_any_variable(
    call, lab, monkeypatch, words
):
    for name in ("YES", "PLAN", "APPROVE", "OVERRIDE", "CONFIRM", "CONSENT"):
        monkeypatch.setenv(f"OUTAGEKIT_{name}", "1")
        monkeypatch.setenv(f"OUTAGEKIT_RUN_{name}", "1")
    asked = call(*words, "--state-dir", "state")
    assert asked.code == 2
    assert "--yes" in asked.err
