"""The SSH config on the command line: which one is followed, what is said of it, what refused."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def endpoint(lab):
    return lab.inventory.endpoints()[0]


@pytest.fixture
def named(endpoint):
    """The words that name one simulated endpoint by a name only a config knows."""
    return ("--host", "root@far", "--os", "linux", "--key", "drill_key", "--state-dir", "state")


@pytest.fixture
def config(endpoint):
    """A config that knows where `far` is; returns its path."""
    path = Path("their_config")
    path.write_text(f"Host far\n HostName 127.0.0.1\n Port {endpoint.port}\n BindAddress ::1\n")
    return str(path)


def test_a_name_of_the_config_is_trusted_and_reached(call, named, config):
    words = (*named, "--ssh-config", config)
    assert call("trust", "add", *words, "--yes").code == 0
    ran = call("ping", *words)
    assert ran.code == 0, ran.err
    assert ran.err.count("their_config") == 1
    assert "not used here: BindAddress (their_config:4)" in ran.err


def test_a_variable_names_the_config_too(call, named, config, monkeypatch):
    monkeypatch.setenv("OUTAGEKIT_SSH_CONFIG", config)
    assert call("trust", "add", *named, "--yes").code == 0
    assert call("ping", *named).code == 0


def test_a_persons_own_config_is_followed_unless_none_is_wanted(call, named, config):
    folder = Path.home() / ".ssh"
    folder.mkdir()
    (folder / "config").write_text(Path(config).read_text())
    (folder / "config").chmod(0o600)
    assert call("trust", "add", *named, "--yes").code == 0
    assert call("ping", *named).code == 0
    ran = call("ping", *named, "--ssh-config", "none", "--json")
    assert ran.document["endpoints"][0]["failure"] in {"resolve", "host_key", "connect_timeout"}


def test_a_broken_config_is_refused_with_its_place(call, named):
    Path("broken").write_text("Host far\n  Colour blue\n")
    ran = call("ping", *named, "--ssh-config", "broken")
    assert ran.code == 8
    assert "broken:2:3: bad configuration option: colour" in ran.err
    assert call("ping", *named, "--ssh-config", "missing").code == 8


@pytest.mark.parametrize("command", [("resume",), ("undo", "last")])
def test_what_goes_on_from_a_run_takes_a_config_too(call, empty, command):
    ran = call(*command, "--state-dir", "state", "--ssh-config", "none")
    assert ran.code == 7, ran.err
