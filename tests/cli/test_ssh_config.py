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


ASKS = """\
outagekit: 1
title: Mend and ask
steps:
  - {id: ask, approve: May we?, once: run, timeout: 0.2s, phase: assess}
  - {id: look, sh: "true", risk: read, phase: verify}
drill:
  steps: {look: {stdout: fine}}
"""


@pytest.fixture
def paused(call, named, config):
    """A run that follows a config and was left at a question; calls what goes on from it."""
    Path("asks.yaml").write_text(ASKS)
    assert call("playbooks", "trust", "./asks.yaml", "--yes", "--state-dir", "state").code == 0
    words = (*named, "--ssh-config", config)
    assert call("trust", "add", *words, "--yes").code == 0
    assert call("run", "./asks.yaml", *words, "--yes").code == 6
    agreed = ("--approve", "ask=Jo Weber: agreed", "--state-dir", "state")
    return lambda *more: call("resume", "last", *agreed, *more)


def test_a_resume_follows_the_config_its_run_began_with(paused):
    resumed = paused()
    assert resumed.code == 0, resumed.err
    assert "another way" not in resumed.err
    assert "changed since" not in resumed.err


def test_a_resume_says_that_the_way_is_another_than_when_the_run_began(paused, config, endpoint):
    path = Path(config)
    path.write_text(path.read_text().replace("127.0.0.1", "127.0.0.9"))
    resumed = paused()
    assert "the SSH config leads to 1 endpoint another way than when the run began" in resumed.err
    assert "adhoc/far" in resumed.err
    assert resumed.code == 4  # nobody listens there


def test_a_resume_may_follow_another_config(paused, config, endpoint):
    path = Path(config)
    other = path.rename("other_config")
    gone = paused()
    assert gone.code == 8
    assert "their_config" in gone.err
    assert "--ssh-config" in gone.err
    resumed = paused("--ssh-config", str(other))
    assert resumed.code == 0, resumed.err
    assert "another way" not in resumed.err


def test_the_ways_of_a_run_are_kept_and_proven(paused, call, endpoint):
    folder = next(Path("state/runs").iterdir())
    ways = folder / "ways.json"
    assert f"root@127.0.0.1 port {endpoint.port}" in ways.read_text()
    ways.chmod(0o600)
    ways.write_text(ways.read_text().replace("127.0.0.1", "127.0.0.9"))
    resumed = paused()
    assert resumed.code == 9
    assert "ways.json" in resumed.err
    assert call("log", "verify", "last", "--state-dir", "state").code == 9


def test_an_undo_follows_the_config_of_its_run_or_the_one_that_is_named(call, lab, config):
    state = ("--state-dir", "state")
    words = ("--all-clients", "--yes", "--ssh-config", config)
    assert call("run", "mend", *words, *state).code == 0
    Path(config).unlink()
    gone = call("undo", "last", "--yes", *state)
    assert gone.code == 8
    assert f"there is no SSH config {Path(config).absolute()}" in gone.err
    assert call("undo", "last", "--yes", "--ssh-config", "none", *state).code == 0


def test_a_drill_follows_no_config_and_asks_for_no_secret(call, empty):
    folder = Path.home() / ".ssh"
    folder.mkdir()
    (folder / "config").write_text("Host *\n  ProxyCommand false\n  Colour blue\n")
    (folder / "config").chmod(0o600)
    words = ("-n", "2", "--faults", "none", "--speed", "3600", "--state-dir", "state")
    ran = call("drill", *words, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["score"]["right"] == 2
