"""`--host`: one machine, no inventory."""

from __future__ import annotations

import shlex
import socket
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from outagekit.cli.render import Screen


@pytest.fixture
def machine(lab):
    """The words that name one simulated endpoint."""
    endpoint = lab.inventory.endpoints()[0]
    return ("--host", f"root@127.0.0.1:{endpoint.port}", "--os", "linux", "--state-dir", "state")


@pytest.fixture
def nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return ("--host", f"root@127.0.0.1:{port}", "--os", "linux", "--state-dir", "state")


def test_the_command_that_trusts_its_key_can_be_pasted(call, lab, machine):
    refused = call("ping", *machine, "--key", "drill_key", "--json")
    assert refused.code == 3
    detail = refused.document["endpoints"][0]["detail"]
    words = shlex.split(detail.partition("then: outagekit ")[2])
    assert words[:2] == ["trust", "add"]
    assert call(*words, "--yes").code == 0
    assert call("ping", *machine, "--key", "drill_key").code == 0


def test_a_machine_that_does_not_answer_is_unreachable_at_a_terminal_too(
    call, empty, nobody, monkeypatch
):
    monkeypatch.setattr(Screen, "interactive", property(lambda _: True))
    Path("key").write_text("never read")
    ran = call("ping", *nobody, "--key", "key", "--json")
    assert (ran.code, ran.document["counts"]["unreachable"]) == (4, 1)


def test_a_key_with_a_passphrase_can_be_used(call, lab, machine, monkeypatch):
    key = serialization.load_ssh_private_key(Path("drill_key").read_bytes(), None)
    guard = serialization.BestAvailableEncryption(b"made up")
    form = serialization.PrivateFormat.OpenSSH
    Path("locked").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, guard))
    Path("locked").chmod(0o600)
    monkeypatch.setenv("WORDS", "made up")
    assert call("trust", "add", *machine, "--yes").code == 0
    ran = call("ping", *machine, "--key", "locked", "--passphrase", "env:WORDS")
    assert ran.code == 0, ran.err


def test_a_password_in_place_of_its_reference_is_a_usage_error_that_does_not_repeat_it(
    call, empty, nobody
):
    ran = call("ping", *nobody, "--password", "not-a-reference")
    assert ran.code == 2
    assert "--password" in ran.err
    assert "not-a-reference" not in ran.err


def test_a_change_on_a_named_machine_becomes_root_by_sudo(call, lab, machine):
    assert call("trust", "add", *machine, "--yes").code == 0
    words = (*machine, "--key", "drill_key", "--become", "sudo")
    planned = call("plan", "mend", *words)
    assert "changes run as root by sudo on 1 endpoint\n" in planned.out, planned.err
    assert call("ping", *words).code == 0


def test_the_sudo_password_of_a_named_machine_is_asked_for_before_the_run(
    call, lab, machine, monkeypatch
):
    asked = []

    def prompt(text):
        asked.append(text)
        return "made up sudo"

    monkeypatch.setattr("outagekit.credentials.terminal_prompt", lambda: prompt)
    assert call("trust", "add", *machine, "--yes").code == 0
    words = (*machine, "--key", "drill_key", "--become", "sudo", "--sudo", "prompt")
    assert call("ping", *words).code == 0
    assert asked == ["login-1 sudo for adhoc: "]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sudo", "prompt"), "add --become sudo"),
        (("--become", "sudo", "--sudo", "swordfish"), "never what it is"),
    ],
)
def test_a_sudo_password_goes_with_become_and_is_a_reference(call, empty, nobody, words, said):
    ran = call("ping", *nobody, *words)
    assert ran.code == 2
    assert said in ran.err
    assert "swordfish" not in ran.err


@pytest.mark.parametrize("words", [("--become", "sudo"), ("--sudo", "prompt")])
def test_an_inventory_says_itself_how_root_is_reached(call, lab, words):
    ran = call("ping", "--limit", "all", "--all-clients", *words)
    assert ran.code == 2
    assert "goes with --host" in ran.err
