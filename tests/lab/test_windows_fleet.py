"""Simulated Windows endpoints, as plain pywinrm finds them: a client that is not ours."""

from __future__ import annotations

import os
import stat

import msgspec
import pytest
import winrm
from winrm.exceptions import InvalidCredentialsError

from outagekit.cli.drilled import lab_access
from outagekit.credentials import SecretRef
from outagekit.errors import OutagekitError
from outagekit.inventory.load import load
from outagekit.lab.entrances import CREDENTIAL, WINDOWS_CREDENTIAL
from outagekit.lab.fleet import Fleet
from outagekit.lab.workspace import write_lab_workspace
from outagekit.playbook.model import Code, RunScript, Script
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.windows.render import render

BOTH = Script((Code("sh", "true"), Code("powershell", "Fix-It")))


@pytest.fixture
def mixed(book, step, lab_folder):
    """Start a fleet of both systems."""
    fleets = []

    def start(endpoints=6, faults=None, targets="all"):
        steps = (step("fix", action=RunScript(BOTH), risk="change", check=BOTH, verify=BOTH),)
        playbook = msgspec.structs.replace(book(targets=targets), steps=steps)
        fleet = Fleet.start(
            playbook, endpoints=endpoints, seed=1, folder=lab_folder, faults=faults or {}
        )
        fleets.append(fleet)
        return fleet

    yield start
    for fleet in fleets:
        fleet.close()


def windows_of(fleet):
    return [e for e in fleet.inventory.endpoints() if e.os == "windows"]


def protocol(fleet, endpoint):
    credential = fleet.inventory.clients[endpoint.client].credentials[endpoint.credential]
    return winrm.Protocol(
        f"{endpoint.scheme}://{endpoint.address}:{endpoint.port}/wsman",
        transport="ntlm",
        username=credential.user,
        password=fleet.password_of(credential.password),
        server_cert_validation="validate",
        ca_trust_path=str(fleet.folder / "drill_certificate.pem"),
        proxy=None,
    )


def run(fleet, endpoint, line, stdin=b""):
    client = protocol(fleet, endpoint)
    shell = client.open_shell(codepage=65001)
    try:
        command = client.run_command(shell, line)
        if stdin:
            client.send_command_input(shell, command, stdin, end=True)
        stdout, _, code = client.get_command_output(shell, command)
        return code, stdout.decode()
    finally:
        client.close_shell(shell)


def test_half_is_windows_and_half_of_that_https(mixed):
    fleet = mixed(12)
    schemes = [endpoint.scheme for endpoint in windows_of(fleet)]
    assert sorted(schemes) == ["http"] * 3 + ["https"] * 3
    assert {e.credential for e in fleet.inventory.endpoints()} == {CREDENTIAL, WINDOWS_CREDENTIAL}


def test_a_plain_client_runs_commands_over_https_and_over_sealed_http(mixed):
    fleet = mixed(4, targets="os:windows")
    for endpoint in windows_of(fleet)[:2]:
        machine = fleet.machines[endpoint.id]
        machine.state["impacted"] = True
        code, said = run(
            fleet, endpoint, r'reg query "HKLM\SOFTWARE\Microsoft\Cryptography" /v MachineGuid'
        )
        assert code == 0
        assert f"    MachineGuid    REG_SZ    {machine.machine_id}\r\n" in said
        for part, wanted in (("check", "False"), ("script", "done"), ("check", "True")):
            command = render(Code("powershell", "Fix-It"), {}, step="fix", part=part)
            code, said = run(fleet, endpoint, command.line, b"nonce\n" + command.stdin)
            assert code == 0
            lines = said.splitlines()
            assert lines[0] == wanted
            assert lines[-1].startswith('nonce {"how":"end","rc":0,')


def test_a_machine_that_refuses_logins_refuses_the_right_password(mixed):
    fleet = mixed(2, faults={"auth": 1.0}, targets="os:windows")
    for endpoint in windows_of(fleet):
        with pytest.raises(InvalidCredentialsError):
            run(fleet, endpoint, "ver")


def test_certificates_are_trusted_by_their_pin_and_machines_by_their_id(mixed):
    fleet = mixed(12)
    trust = TrustStore(fleet.trust_folder)
    for endpoint in windows_of(fleet):
        known = trust.known_certificates(endpoint.client, endpoint.address, endpoint.port)
        assert len(known) == (endpoint.scheme == "https")
        machine = fleet.machines[endpoint.id]
        assert trust.machine_of(endpoint.client, endpoint.name) == machine.machine_id


def test_a_drill_resolves_its_own_password_and_nothing_else(mixed, monkeypatch):
    fleet = mixed(3)
    monkeypatch.setenv("REAL", "a real one")
    access = lab_access(fleet)
    (endpoint, *_) = windows_of(fleet)
    own = fleet.inventory.clients[endpoint.client].credentials[WINDOWS_CREDENTIAL].password
    assert access.resolve_secret(own, endpoint, "drill") == fleet.password_of(own)
    for other in (SecretRef("env", "REAL"), SecretRef("file", "/etc/hostname")):
        with pytest.raises(OutagekitError, match="resolves no secret but its own"):
            access.resolve_secret(other, endpoint, "x")


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_password_and_keys_are_private(mixed):
    fleet = mixed(3)
    for name in ("drill_key", "drill_password", "drill_certificate_key.pem"):
        assert stat.S_IMODE((fleet.folder / name).stat().st_mode) == 0o600


def test_a_fleet_of_linux_makes_no_password(mixed):
    fleet = mixed(3, targets="os:linux")
    assert not (fleet.folder / "drill_password").exists()


def test_the_workspace_of_a_lab_is_read_as_the_fleet_is(mixed):
    fleet = mixed(12)
    folder = write_lab_workspace(fleet)
    read = load([folder / "inventory"]).clients
    for name, client in fleet.inventory.clients.items():
        assert read[name].endpoints == client.endpoints
        assert read[name].credentials == client.credentials
