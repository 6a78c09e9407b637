"""What a technician types about Windows endpoints, against simulated ones over real WinRM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outagekit.lab.fleet import Fleet
from outagekit.lab.workspace import write_lab_workspace
from outagekit.playbook.load import load_playbook

ALL = ("--limit", "all", "--all-clients", "--state-dir", "state")
WINDOWS = ("--limit", "os:windows", "--all-clients", "--state-dir", "state")
MIXED = """\
outagekit: 1
title: Look at the thing
targets: os:windows or os:linux
steps:
  - id: look
    script: [look.ps1, look.sh]
    risk: read
drill:
  steps:
    look: {stdout: 'seen'}
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Six endpoints of three clients, Windows and Linux, as a workspace."""
    source = tmp_path_factory.mktemp("source") / "playbook.yaml"
    source.write_text(MIXED)
    for name in ("look.ps1", "look.sh"):
        (source.parent / name).write_text("echo seen\n")
    playbook = load_playbook(source, origin="workspace")
    folder = tmp_path_factory.mktemp("lab") / "lab"
    with Fleet.start(playbook, endpoints=6, seed=3, folder=folder, faults={}) as fleet:
        write_lab_workspace(fleet)
        yield fleet


@pytest.fixture(autouse=True)
def there(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(fleet.folder)
    return fleet.folder


def systems(fleet: Fleet) -> set[str]:
    clients = fleet.inventory.clients.values()
    return {each.os for client in clients for each in client.endpoints.values()}


def test_ping_reaches_windows_and_linux_in_one_breath(call, fleet):
    assert systems(fleet) == {"windows", "linux"}
    ran = call("ping", *ALL, "--json")
    assert (ran.code, ran.document["counts"]["ok"]) == (0, 6), ran.err


@pytest.mark.parametrize("words", [("--powershell", "Get-Date"), ("--cmd", "ver & whoami")])
def test_exec_takes_both_languages_of_windows(call, fleet, words):
    ran = call("exec", *words, "--read", *WINDOWS, "--json")
    assert ran.code == 0, ran.err
    assert ran.document["counts"]["ok"] == sum(
        each.os == "windows"
        for client in fleet.inventory.clients.values()
        for each in client.endpoints.values()
    )


def test_what_was_typed_for_another_system_names_the_flags_of_this_one(call):
    ran = call("exec", "--sh", "true", "--read", *WINDOWS)
    assert ran.code == 8
    assert "say it with --powershell or --cmd" in ran.err


LOOK = "outagekit: 1\ntitle: Look\nsteps: [{powershell: Get-Date, risk: read}]\n"


def test_check_on_a_name_of_several_clients_tells_all_their_endpoints(call, there, fleet):
    client = next(iter(fleet.inventory.clients.values()))
    name = next(iter(client.endpoints))
    (there / "look.yaml").write_text(LOOK)
    ran = call("check", "look.yaml", "--on", name, "--state-dir", "state")
    assert ran.code == 2
    assert "--on names one endpoint, this names " in ran.err
    assert f"{client.client}/{name}" in ran.err
    assert "--all-clients" not in ran.err


def test_a_simulated_linux_says_that_nothing_there_reads_scripts(call, there, fleet):
    linux = next(e for e in fleet.inventory.endpoints() if e.os == "linux")
    (there / "look.yaml").write_text(LOOK.replace("powershell: Get-Date", "sh: date"))
    ran = call("check", "look.yaml", "--on", linux.id, "--state-dir", "state")
    assert ran.code == 3
    assert "lab: simulated, nothing here can read a script" in ran.err
