"""Kerberos from a credential to a step's end, and what its refusals do to a shared password."""

from __future__ import annotations

import pytest

from outagekit.credentials import SecretRef
from outagekit.events import FailureKind
from outagekit.inventory.model import Credential, Endpoint
from outagekit.lab.answers import Answer
from outagekit.playbook.model import Code
from outagekit.transports.access import Access
from outagekit.transports.protocol import Limits, Opened, Target
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.windows.render import render
from outagekit.transports.winrm.transport import WinrmTransport

LIMITS = Limits(10.0, accept_s=5.0)


class Windows:
    """A machine that says who it is, and that its steps are done."""

    boot_id = "1"

    def run(self, asked, running):
        if "reg query" not in asked.line:
            return Answer(stdout="done\r\n")
        return Answer(
            stdout="\r\nHKEY_LOCAL_MACHINE\\X\r\n"
            "    MachineGuid    REG_SZ    0a1b2c3d-1111-2222-3333-444455556666\r\n"
            "\r\nHKEY_LOCAL_MACHINE\\Y\r\n    BootId    REG_DWORD    0x7\r\n"
        )

    def answered(self, answer):
        pass

    def trailer(self, asked, answer):
        return (
            '{"how":"end","rc":0,"native":0,"ps":"5.1","mode":"Full","boot":"2026-11-22T07:01:02Z"}'
        )


@pytest.fixture
def enter(kit, tmp_path):
    """Return transports that share what is known of their password."""
    secrets = {"RIGHT": "first-one-ø", "WRONG": "not-the-one"}
    access = Access(
        TrustStore(tmp_path / "trust"),
        lambda reference, _endpoint, _label: secrets[reference.value],
        kit.PATIENT,
    )
    made = []

    def make(server, *, password="RIGHT", name="pos-01"):
        endpoint = Endpoint(
            client="acme",
            name=name,
            address="localhost",
            os="windows",
            port=server.port,
            scheme="http",
        )
        reference = SecretRef("env", password) if password else None
        credential = Credential(
            name="admin", user=f"ops@{kit.REALM}", password=reference, auth="kerberos"
        )
        made.append(WinrmTransport(Target(endpoint=endpoint, credential=credential), access))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("password", ["RIGHT", None])
def test_a_step_runs_and_leaves_no_shell(kit, enter, tmp_path, password):
    if password is None:
        kit.own_ticket(kit.kdc, tmp_path)
    server = kit.lone(program=Windows())
    one = enter(server, password=password)
    assert isinstance(one.open(), Opened)
    outcome = one.execute(render(Code("powershell", "'x'"), {}, step="fix", part="script"), LIMITS)
    assert (outcome.exit_code, outcome.failure, "done" in str(outcome.stdout)) == (0, None, True)
    one.close()
    assert server.server.shells == ()
    assert server.server.clear_bodies == 0


def test_a_wrong_password_is_stopped_and_was_shown_once(kit, enter):
    begun = kit.kdc.log.count("PREAUTH_FAILED")
    kinds = [enter(kit.lone(), password="WRONG", name=f"pos-{at}").open().kind for at in range(4)]
    stopped = FailureKind.CREDENTIAL_STOPPED
    assert kinds == [FailureKind.AUTH, FailureKind.AUTH, stopped, stopped]
    assert kit.kdc.log.count("PREAUTH_FAILED") - begun == 1


def test_endpoints_that_refuse_the_ticket_do_not_stop_the_password(kit, enter, monkeypatch):
    servers = [kit.lone(program=Windows()) for _ in range(4)]
    monkeypatch.setenv("KRB5_KTNAME", str(kit.kdc.folder / "foreign"))
    for at in range(3):
        assert enter(servers[at], name=f"pos-{at}").open().kind is FailureKind.AUTH
    monkeypatch.setenv("KRB5_KTNAME", str(kit.kdc.folder / "keytab"))
    assert isinstance(enter(servers[3], name="pos-3").open(), Opened)
