"""`secret set` and `secret test`: a command is trusted once, and nothing is asked in vain."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from outagekit.cli.prepare import NeededSecret
from outagekit.cli.render import Screen
from outagekit.cli.trust.offering import offer_commands
from outagekit.credentials import SecretRef
from outagekit.credentials.trusted import TrustedDigests
from outagekit.errors import StoppedByPerson
from outagekit.testing.terminal import Keyboard, Terminal

COMMAND = SecretRef("cmd", argv=(sys.executable, "-c", "print('made up')"))
NEEDED = [NeededSecret("acme", "acme/web-01", "ops password", COMMAND)]


@pytest.fixture
def shop(empty):
    """A workspace with one endpoint whose password a command gives."""
    Path("outagekit.yaml").write_text("outagekit: 1\n")
    Path("inventory").mkdir()
    client = {
        "outagekit": 1,
        "client": "acme",
        "credentials": {"ops": {"user": "ops", "password": {"cmd": list(COMMAND.argv)}}},
        "endpoints": {"web-01": {"address": "192.0.2.1", "os": "linux", "credential": "ops"}},
    }
    Path("inventory/acme.yaml").write_text(yaml.safe_dump(client))
    return empty


def test_a_command_is_trusted_once_and_then_gives_its_secret(call, shop):
    before = call("secret", "test", "--json")
    assert before.code == 10
    assert "never trusted" in before.document[0]["verdict"]
    trusting = call("secret", "test", "--yes", "--json")
    assert (trusting.code, trusting.document[0]["verdict"]) == (0, "ok")
    assert "print('made up')" in trusting.err.replace("'\"'\"'", "'")
    assert call("secret", "test").code == 0


def test_at_a_terminal_the_whole_command_is_shown_before_the_question(tmp_path):
    known = TrustedDigests(tmp_path / "trusted.json")
    terminal = Terminal()
    screen = Screen(plain=True, stderr=terminal, stdin=Keyboard("yes\n"))
    offer_commands(screen, known, NEEDED, yes=False)
    shown = terminal.getvalue()
    assert shown.index(COMMAND.command_line()) < shown.index("Type yes:")
    assert known.knows(COMMAND.digest)


def test_a_command_is_not_trusted_after_a_no(tmp_path):
    known = TrustedDigests(tmp_path / "trusted.json")
    screen = Screen(plain=True, stderr=Terminal(), stdin=Keyboard("no\n"))
    with pytest.raises(StoppedByPerson):
        offer_commands(screen, known, NEEDED, yes=False)
    assert not known.knows(COMMAND.digest)


def test_a_sudo_password_nobody_needs_keeps_no_run_from_its_endpoints(call, lab):
    for path in Path("inventory").iterdir():
        text = path.read_text()
        assert text.count("    user: ") == 1
        path.write_text(text.replace("    user: ", "    sudo: env:NOT_SET_HERE\n    user: "))
    every = ("--limit", "all", "--all-clients")
    assert call("ping", *every, "--state-dir", "state").code == 0
    tested = call("secret", "test", "--all-clients", "--json")
    assert tested.code == 8
    assert all("NOT_SET_HERE" in row["verdict"] for row in tested.document)


def test_a_name_no_keyring_takes_is_refused_before_a_secret_is_typed(call, empty, monkeypatch):
    asked = []
    monkeypatch.setattr("outagekit.credentials.terminal_prompt", lambda: asked.append)
    assert call("secret", "set", "bad name!").code == 8
    assert asked == []


def test_secret_set_gives_the_reference_as_a_document(call, empty, monkeypatch):
    kept = {}

    def store(name, value):
        kept[name] = value
        return SecretRef("keyring", name)

    monkeypatch.setattr("outagekit.credentials.store_secret", store)
    monkeypatch.setattr("sys.stdin", Keyboard("x"))
    monkeypatch.setattr("outagekit.credentials.terminal_prompt", lambda: lambda _: "made up")
    stored = call("secret", "set", "acme-admin", "--json")
    assert (stored.code, stored.document) == (0, {"reference": "keyring:acme-admin"})
    assert kept == {"acme-admin": "made up"}
