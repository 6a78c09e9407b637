"""Two clients that are not ours, plain pywinrm and pypsrp's WinRS, get the same from the server."""

from __future__ import annotations

import contextlib
import os
import uuid

import pytest
from pypsrp.exceptions import AuthenticationError
from pypsrp.exceptions import WSManFaultError as PypsrpFault
from pypsrp.shell import Process, SignalCode, WinRS
from pypsrp.wsman import WSMan
from winrm import Session
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from outagekit.lab.answers import Answer
from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.rules import Rules

SCRIPT = 'Write-Output "Grüße"'
WAYS = [
    # way, https, user, binding enforced
    ("basic", True, "drill", False),
    ("ntlm", False, "drill", False),
    ("ntlm", False, ".\\drill", False),
    ("ntlm", False, "LAB\\Drill", False),
    ("ntlm", False, "drill@LAB", False),
    ("ntlm", True, "drill", True),
]


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch):
    for name in tuple(os.environ):
        if name.lower().endswith("_proxy") or name in {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}:
            monkeypatch.delenv(name)


class Pywinrm:
    """A kept shell of pywinrm's `Protocol`."""

    def __init__(self, lone, ca_file, password, *, way, user="drill", **given):
        self.protocol = Protocol(
            lone.url,
            transport=way,
            username=user,
            password=password,
            ca_trust_path=str(ca_file),
            proxy=None,
            read_timeout_sec=10,
            operation_timeout_sec=5,
            **given,
        )
        self.shell = self.protocol.open_shell(codepage=65001)

    def run(self, line, data=None):
        command = self.protocol.run_command(self.shell, line)
        if data is not None:
            self.protocol.send_command_input(self.shell, command, data, end=True)
        stdout, stderr, code = self.protocol.get_command_output(self.shell, command)
        self.protocol.cleanup_command(self.shell, command)
        return stdout, stderr, code

    def close(self):
        if self.shell:
            self.protocol.close_shell(self.shell)
        self.shell = ""
        self.protocol.transport.close_session()


class Pypsrp:
    """A kept shell of pypsrp."""

    def __init__(self, lone, ca_file, password, *, way, user="drill", **given):
        self.wsman = WSMan(
            LOOPBACK,
            port=lone.port,
            ssl=lone.server.tls is not None,
            username=user,
            password=password,
            auth=way,
            cert_validation=str(ca_file),
            no_proxy=True,
            operation_timeout=5,
            read_timeout=10,
            **given,
        )
        self.shell = WinRS(self.wsman, codepage=65001)
        self.shell.open()

    def run(self, line, data=None):
        word, *rest = line.split(" ")
        process = Process(self.shell, word, rest)
        process.begin_invoke()
        if data is not None:
            process.send(data, end=True)
        process.end_invoke()
        process.signal(SignalCode.TERMINATE)
        return process.stdout, process.stderr, process.rc

    def close(self):
        self.shell.close()
        self.wsman.close()


@pytest.fixture(params=[Pywinrm, Pypsrp])
def opened(request, ca_file, account):
    """Open a shell with one client or the other."""
    with contextlib.ExitStack() as stack:

        def made(lone, *, password=account.password, **given):
            one = request.param(lone, ca_file, password, **given)
            stack.callback(one.close)
            return one

        yield made


@pytest.mark.parametrize("case", WAYS, ids=str)
def test_both_get_the_same_by_every_way(lone, tls, opened, case):
    way, https, user, bound = case
    server = lone(tls if https else None, rules=Rules(wants_binding=bound)).server
    one = opened(server.keeper, way=way, user=user)
    assert one.run("echo hi") == (b"hi\r\n", b"", 0)
    assert one.run("anything") == (b"ran\r\n", b"warned\r\n", 0)
    assert one.run("exit 3010") == (b"", b"", 3010)
    assert one.run("cat", "Grüße ☂".encode()) == ("Grüße ☂".encode(), b"", 0)
    assert server.clear_bodies == 0
    one.close()
    assert server.shells == ()


@pytest.mark.parametrize("bound", [False, True])
def test_spnego_is_understood_over_http_and_https(lone, tls, ca_file, account, bound):
    place = lone(tls if bound else None, rules=Rules(wants_binding=bound))
    one = Pypsrp(place, ca_file, account.password, way="negotiate")
    assert one.run("big 300000") == (b"x" * 300000, b"y" * 300000, 7)
    one.close()
    assert (place.server.clear_bodies, place.server.shells) == (0, ())


def test_sealed_messages_inside_https_are_understood(lone, tls, opened, request):
    lines = {"message_encryption": "always"}
    if "Pypsrp" in request.node.name:
        lines = {"encryption": "always"}
    one = opened(lone(tls, rules=Rules(wants_binding=True)), way="ntlm", **lines)
    assert one.run("big 100000") == (b"x" * 100000, b"y" * 100000, 7)


def test_a_large_script_is_sent_and_a_megabyte_comes_back(lone, opened):
    one = opened(lone(), way="ntlm")
    assert one.run("big 1000000") == (b"x" * 1000000, b"y" * 1000000, 7)
    text = b"z" * 98304
    assert one.run("cat", text) == (text, b"", 0)


def test_a_wrong_password_is_refused(lone, tls, opened):
    for way, secure in (("basic", tls), ("ntlm", None), ("ntlm", tls)):
        place = lone(secure)
        with pytest.raises((InvalidCredentialsError, AuthenticationError)):
            opened(place, way=way, password="wrong")
        assert (place.server.refused_logins, place.server.shells) == (1, ())


def test_a_password_no_old_coding_has_is_fine_with_ntlm(lone, opened):
    one = opened(lone(), way="ntlm", user="other", password="another ☂")
    assert one.run("echo hi") == (b"hi\r\n", b"", 0)


def test_an_unknown_user_is_refused(lone, opened):
    with pytest.raises((InvalidCredentialsError, AuthenticationError)):
        opened(lone(), way="ntlm", user="nobody")


def test_a_machine_that_refuses_every_login_refuses_the_right_password_too(lone, tls, opened):
    for way, secure in (("basic", tls), ("ntlm", None)):
        with pytest.raises((InvalidCredentialsError, AuthenticationError)):
            opened(lone(secure, rules=Rules(refuses=True)), way=way)


def test_a_login_that_is_not_bound_to_the_certificate_is_refused(lone, tls, ca_file, account):
    place = lone(tls, rules=Rules(wants_binding=True))
    with pytest.raises(InvalidCredentialsError):
        Pywinrm(place, ca_file, account.password, way="ntlm", send_cbt=False)
    with pytest.raises(AuthenticationError):
        Pypsrp(place, ca_file, account.password, way="negotiate", negotiate_send_cbt=False)


def test_a_certificate_logs_in_where_it_is_vouched_for(lone, tls, ca_file, pem_files):
    certificate, key = pem_files("drill@lab.example")
    place = lone(tls)
    given = {"cert_pem": str(certificate), "cert_key_pem": str(key)}
    protocol = Protocol(
        place.url, transport="certificate", ca_trust_path=str(ca_file), proxy=None, **given
    )
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "echo hi")
    assert protocol.get_command_output(shell, command) == (b"hi\r\n", b"", 0)
    protocol.close_shell(shell)
    assert place.server.shells == ()


def test_pywinrms_session_runs_a_script_in_five_messages(lone, account, program):
    place = lone()
    session = Session(place.url, auth=("drill", account.password), transport="ntlm", proxy=None)
    assert session.run_cmd("echo", ["a", "b"]).std_out == b"a b\r\n"
    before = len(place.server.log)
    result = session.run_ps(SCRIPT)
    assert (result.std_out, result.status_code) == (b"ran\r\n", 0)
    kinds = [logged.kind for logged in place.server.log[before:]]
    assert kinds == ["create", "command", "receive", "signal", "delete"]
    assert program.asked[-1].line.startswith("powershell -encodedcommand ")
    assert (place.server.shells, place.server.clear_bodies) == ((), 0)


def test_faults_are_read_by_pywinrm(lone, tls, ca_file, account):
    place = lone(tls, rules=Rules(shells_per_user=1))
    one = Pywinrm(place, ca_file, account.password, way="basic")
    with pytest.raises(WSManFaultError) as refused:
        one.protocol.open_shell()
    assert refused.value.wmierror_code == 2150859173
    with pytest.raises(WSManFaultError) as unknown:
        one.protocol.run_command("0" * 8, "echo hi")
    assert (unknown.value.wsman_fault_code, unknown.value.fault_subcode) == (
        2150858843,
        "w:InvalidSelectors",
    )
    command = one.protocol.run_command(one.shell, "hang")
    one.protocol.operation_timeout_sec = 1
    with pytest.raises(WinRMOperationTimeoutError):
        one.protocol.get_command_output_raw(one.shell, command)
    one.close()


def test_faults_are_read_by_pypsrp(lone, ca_file, account):
    place = lone(rules=Rules(commands_per_shell=1))
    one = Pypsrp(place, ca_file, account.password, way="negotiate")
    process = Process(one.shell, "hang", [])
    process.begin_invoke()
    with pytest.raises(PypsrpFault) as silent:
        one.shell.receive(command_id=process.id, timeout=1)
    assert silent.value.code == 2150858793
    with pytest.raises(PypsrpFault, match="w:QuotaLimit"):
        one.run("echo hi")
    with pytest.raises(PypsrpFault) as unknown:
        one.shell.receive(command_id=str(uuid.uuid4()))
    assert unknown.value.code == 2150858843
    one.close()


def test_both_hear_a_program_that_prints_bit_by_bit(lone, opened):
    place = lone()
    one = opened(place, way="ntlm")
    assert one.run("live 3") == (b"tick 0\r\ntick 1\r\ntick 2\r\n", b"", 0)
    assert place.server.count("receive") >= 3


def test_pywinrm_with_a_stale_seal_is_told_400(lone, ca_file, account):
    place = lone()
    one = Pywinrm(place, ca_file, account.password, way="ntlm")
    place.cut()
    with contextlib.suppress(OSError, WinRMTransportError):
        one.run("echo hi")
    with pytest.raises(WinRMTransportError, match="400"):
        one.run("echo hi")
    one.protocol.transport.close_session()
    one.protocol.transport.encryption = None
    assert one.run("echo hi") == (b"hi\r\n", b"", 0)
    one.close()
    assert place.server.clear_bodies == 0


def test_the_leak_of_pywinrm_is_seen_refused_and_counted(lone, ca_file, account):
    """What makes the count worth something: a client that does send in clear is caught."""
    place = lone()
    place.server.injections.gate("close", requests=1)
    one = Pywinrm.__new__(Pywinrm)
    one.protocol = Protocol(
        place.url, transport="ntlm", username="drill", password=account.password, proxy=None
    )
    with pytest.raises(OSError):
        one.protocol.open_shell()
    with pytest.raises(WinRMTransportError, match="500"):
        one.protocol.open_shell()
    assert place.server.clear_bodies > 0
    assert place.server.shells == ()
    one.protocol.transport.close_session()


def test_the_answer_of_a_program_is_heard_once(lone, opened, program):
    assert opened(lone(), way="ntlm").run("exit 1") == (b"", b"", 1)
    assert program.answers == [Answer(1)]
