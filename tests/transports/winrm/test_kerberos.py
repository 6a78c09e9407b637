"""Kerberos logins against a real KDC and the lab's service: whose tickets, which words."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
import winrm.protocol

from outagekit.events import FailureKind
from outagekit.lab.answers import Answer
from outagekit.lab.wsman.accounts import Account
from outagekit.lab.wsman.alone import LoneServer
from outagekit.lab.wsman.injection import Injections, Status
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.tls import Tls
from outagekit.transports.protocol import Deadlines
from outagekit.transports.winrm import tickets as tickets_module
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.tickets import TICKETS
from outagekit.transports.winrm.tls import Believed
from outagekit.transports.winrm.wire import Wire

REALM = "OUTAGE.TEST"
FIRST, SECOND = "first-one-ø", "second-one"
PATIENT = Deadlines(connect_s=5.0, handshake_s=5.0, auth_s=10.0, accept_s=5.0)
HASTY = replace(PATIENT, auth_s=0.4)
MANY = 20


class Echo:
    """A program that answers with what it was asked, or given."""

    boot_id = "1"

    def run(self, asked, running):
        return Answer(0, running.read().decode() if asked.line == "cat" else asked.line)

    def answered(self, answer):
        pass

    def trailer(self, asked, answer):
        return "{}"


@pytest.fixture(autouse=True)
def realm(kdc, tmp_path, monkeypatch):
    """This process lives in the realm, and holds no ticket."""
    for name in ("KRB5_CONFIG", "PATH"):
        monkeypatch.setenv(name, kdc.environment[name])
    monkeypatch.setenv("KRB5_KTNAME", str(kdc.folder / "keytab"))
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'own'}")
    yield kdc
    TICKETS.forget()


@pytest.fixture
def lone(tmp_path):
    with contextlib.ExitStack() as stack:

        def made(**given):
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            account = Account("drill", "of-no-use-here")
            return stack.enter_context(LoneServer(Echo(), folder, account, **given))

        yield made


@pytest.fixture
def wire():
    made = []

    def make(server, login=None, *, address="localhost", deadlines=PATIENT, trust=None):
        port = server if isinstance(server, int) else server.port
        secure = not isinstance(server, int) and server.server.tls is not None
        made.append(
            Wire(
                Place("https" if secure else "http", address, port),
                login or log_in(),
                connect=lambda limit_s: socket.create_connection(("127.0.0.1", port), limit_s),
                trust=trust or Believed(words="acme/pos-01"),
                deadlines=deadlines,
                stop=threading.Event(),
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def log_in(user="ops", password=FIRST, client="acme", realm=REALM):
    who = f"{user}@{realm}"
    return Login(client=client, user=who, auth="kerberos", password=password, name="admin")


def own_ticket(kdc, tmp_path, user="ops", password=FIRST):
    """Have the person of this process hold a ticket; return its file."""
    kdc.run("kinit", "-c", str(tmp_path / "own"), user, said=f"{password}\n")
    return tmp_path / "own"


def ran(one, line="echo", data=b"", *, keep=False):
    """Run a command; return what it wrote."""
    shell, command = one.create(), str(uuid.uuid4()).upper()
    one.command(shell, command, line, timeout_s=5)
    one.send(shell, command, data, end=True, timeout_s=5)
    written, done = b"", False
    while not done:
        received = one.receive(shell, command, wait_s=2, timeout_s=5)
        written, done = written + received.stdout, received.done
    if not keep:
        one.delete(shell, timeout_s=5)
    return written


def failed(call, *args):
    """Return the error a call ends with, once it is sure that it tells no password."""
    with pytest.raises(WireError) as caught:
        call(*args)
    fault: BaseException | None = caught.value
    while fault is not None:
        text = f"{fault!r} {fault} {fault.__dict__}"
        assert not any(word in text for word in (FIRST, SECOND, "not-the-one"))
        fault = fault.__cause__ or fault.__context__
    assert caught.value.unsent
    return caught.value


def told(error):
    return (error.fault, error.failure.kind)


def test_a_password_logs_in_and_everything_is_sealed(lone, wire, realm):
    server = lone()
    one = wire(server)
    one.hello()
    assert one.is_open
    assert ran(one, "echo", keep=True) == b"echo"
    data = ("Größe ☂ " * 12_000).encode()
    assert ran(one, "cat", data) == data
    assert server.server.clear_bodies == 0
    assert [shell.owner for shell in server.server.shells] == ["ops"]
    assert f"ops@{REALM} for HTTP/localhost@{REALM}" in realm.log
    assert "AES" in realm.log.upper()


def test_the_password_stands_in_no_argument_and_no_environment(lone, wire, tmp_path, monkeypatch):
    real, seen = shutil.which("kinit"), tmp_path / "seen"
    stand_in = tmp_path / "bin" / "kinit"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\n(printf "%s\\n" "$@"; env) > {seen}\nexec {real} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    assert ran(wire(lone())) == b"echo"
    assert f"ops@{REALM}" in seen.read_text("utf-8")
    assert FIRST not in seen.read_text("utf-8")
    folder = Path(seen.read_text("utf-8").splitlines()[1].removeprefix("FILE:")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_nothing_of_the_process_changes_and_nothing_is_logged(lone, wire, caplog):
    caplog.set_level(logging.DEBUG)
    servers = [lone(), lone()]
    with servers[0].server.accounts.consulted():
        before = dict(os.environ)
    assert ran(wire(servers[0])) == b"echo"
    failed(wire(servers[1], log_in(password="not-the-one")).hello)
    assert dict(os.environ) == before
    # The service's own half of the login is none of ours.
    assert not [record for record in caplog.records if not record.name.startswith("spnego")]


def test_a_ticket_of_the_person_logs_in_without_a_password(lone, wire, realm, tmp_path):
    own_ticket(realm, tmp_path)
    server = lone()
    assert ran(wire(server, log_in(password=None)), keep=True) == b"echo"
    assert [shell.owner for shell in server.server.shells] == ["ops"]


def test_a_ticket_of_somebody_else_is_not_used(lone, wire, realm, tmp_path):
    own_ticket(realm, tmp_path, "beta", SECOND)
    server = lone()
    error = failed(wire(server, log_in(password=None)).hello)
    assert told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert f"no Kerberos ticket of ops@{REALM}" in error.failure.detail
    assert server.server.requests == 0


def test_a_ticket_of_the_person_is_not_used_for_a_password(lone, wire, realm, tmp_path):
    own_ticket(realm, tmp_path, "beta", SECOND)
    before = (tmp_path / "own").read_bytes()
    server = lone()
    ran(wire(server), keep=True)
    assert [shell.owner for shell in server.server.shells] == ["ops"]
    assert (tmp_path / "own").read_bytes() == before


def test_two_clients_at_once_never_use_each_others_tickets(lone, wire, monkeypatch):
    monkeypatch.setattr(tickets_module, "_FRESH_S", 0.0)
    servers = [lone() for _ in range(MANY)]
    logins = [log_in(), log_in("beta", SECOND, "beta")]
    wires = [wire(server, logins[at % 2]) for at, server in enumerate(servers)]
    with ThreadPoolExecutor(MANY) as pool:
        assert set(pool.map(lambda one: ran(one, keep=True), wires)) == {b"echo"}
    owners = [server.server.shells[0].owner for server in servers]
    assert owners == ["ops", "beta"] * (MANY // 2)
    assert sum(server.server.clear_bodies for server in servers) == 0


def test_many_endpoints_at_once_ask_for_tickets_once(lone, wire, realm):
    begun = realm.log.count("AS_REQ")
    wires = [wire(lone()) for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        list(pool.map(Wire.hello, wires))
    # Asked twice: the first time without a proof of the password.
    assert realm.log.count("AS_REQ") - begun == 2


def test_a_login_after_a_loss_uses_the_tickets_that_are_there(lone, wire, realm):
    server = lone()
    one = wire(server)
    one.hello()
    begun = realm.log.count("_REQ")
    one.drop()
    assert ran(one) == b"echo"
    assert realm.log.count("_REQ") == begun
    assert server.server.clear_bodies == 0


def secured(tmp_path):
    authority, issued = trustme.CA(), None
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    made = []
    for name in ("one", "other"):
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        made.append(Tls.load(tmp_path / f"{name}.pem", tmp_path / f"{name}.key"))
    return made


def test_over_https_the_login_is_bound_to_the_channel(lone, wire, tmp_path):
    tls, other = secured(tmp_path)
    trust, rules = Believed(ca=tmp_path / "ca.pem"), Rules(wants_binding=True)
    server = lone(tls=tls, rules=rules)
    assert ran(wire(server, trust=trust)) == b"echo"
    assert server.server.requests > 1
    # A server in between, which shows a certificate that is believed, and passes everything on.
    between = lone(tls=replace(tls, certificate=other.certificate), rules=rules)
    error = failed(wire(between, trust=trust).hello)
    assert told(error) == (Fault.DENIED, FailureKind.AUTH)


def test_pywinrm_itself_gets_the_same_from_the_service(lone, realm, tmp_path):
    own_ticket(realm, tmp_path)
    server = lone()
    url = server.url.replace("127.0.0.1", "localhost")
    one = winrm.protocol.Protocol(url, "kerberos", f"ops@{REALM}", proxy=None, ca_trust_path=None)
    shell = one.open_shell(codepage=65001)
    command = one.run_command(shell, "echo")
    assert one.get_command_output(shell, command) == (b"echo", b"", 0)
    one.cleanup_command(shell, command)
    one.close_shell(shell)
    assert server.server.clear_bodies == 0


@pytest.mark.parametrize(
    ("user", "password", "realm_", "expected", "part"),
    [
        ("ops", "not-the-one", REALM, (Fault.UNAUTHORIZED, FailureKind.AUTH), "is wrong"),
        ("nobody", "x", REALM, (Fault.UNAUTHORIZED, FailureKind.AUTH), "name@REALM"),
        ("locked", "third-one", REALM, (Fault.UNAUTHORIZED, FailureKind.AUTH), "is locked"),
        ("stale", "fourth", REALM, (Fault.UNAUTHORIZED, FailureKind.AUTH), "has expired"),
        ("ops", FIRST, "NOWHERE.TEST", (Fault.LOCAL, FailureKind.LOCAL_IO), "krb5.conf"),
    ],
)
def test_a_refusal_of_the_kdc_is_said_in_words(lone, wire, user, password, realm_, expected, part):
    server = lone()
    error = failed(wire(server, log_in(user, password, realm=realm_)).hello)
    assert told(error) == expected
    assert part in error.failure.detail
    assert server.server.requests == 0


def test_a_wrong_password_is_shown_to_the_kdc_once_however_many_use_it(lone, wire, realm):
    begun = realm.log.count("PREAUTH_FAILED")
    wires = [wire(lone(), log_in(password="not-the-one")) for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        errors = list(pool.map(lambda one: failed(one.hello), wires))
    assert {told(error) for error in errors} == {(Fault.UNAUTHORIZED, FailureKind.AUTH)}
    assert realm.log.count("PREAUTH_FAILED") - begun == 1


@pytest.mark.parametrize(
    ("code", "kind", "part"),
    [
        (37, FailureKind.LOCAL_IO, "clock"),
        (18, FailureKind.AUTH, "is locked"),
        (14, FailureKind.LOCAL_IO, "no AES"),
        (60, FailureKind.LOCAL_IO, "Kerberos gives no ticket"),
    ],
)
def test_errors_of_a_kdc_are_told_apart(lone, wire, imitate, code, kind, part):
    kdc = imitate(code)
    error = failed(wire(lone()).hello)
    assert error.failure.kind is kind
    assert part in error.failure.detail
    assert kdc.asked


def test_a_kdc_that_is_down_is_a_timeout_and_said(lone, wire, imitate):
    imitate(closed=True)
    error = failed(wire(lone()).hello)
    assert told(error) == (Fault.LOCAL, FailureKind.TIMEOUT)
    assert "can be reached" in error.failure.detail


@pytest.mark.parametrize("password", [FIRST, None])
def test_a_silent_kdc_keeps_nobody_longer_than_the_login_may_take(
    lone, wire, realm, imitate, tmp_path, password
):
    own_ticket(realm, tmp_path)
    imitate()
    wires = [wire(lone(), log_in(password=password), deadlines=HASTY) for _ in range(MANY)]
    begun_s = time.monotonic()
    with ThreadPoolExecutor(MANY) as pool:
        errors = list(pool.map(lambda one: failed(one.hello), wires))
    assert time.monotonic() - begun_s < 2.0
    assert {told(error) for error in errors} == {(Fault.LOCAL, FailureKind.TIMEOUT)}


def test_who_waits_for_a_silent_kdc_can_be_cut(lone, wire, imitate):
    kdc = imitate()
    one = wire(lone())
    with ThreadPoolExecutor(1) as pool:
        hello = pool.submit(failed, one.hello)
        while not kdc.asked:
            time.sleep(0.01)
        begun_s = time.monotonic()
        one.cut()
        assert hello.result(2.0).failure.kind is FailureKind.LOST
        assert time.monotonic() - begun_s < 1.0


def test_no_ticket_of_ones_own_says_what_to_run(lone, wire):
    error = failed(wire(lone(), log_in(password=None)).hello)
    assert told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert f"run kinit ops@{REALM}" in error.failure.detail


def test_an_expired_ticket_of_ones_own_says_what_to_run(lone, wire, realm, tmp_path):
    file = own_ticket(realm, tmp_path)
    data, now = file.read_bytes(), int(time.time())
    for at in range(len(data) - 12):
        begun, _, ends = struct.unpack_from(">III", data, at)
        if abs(begun - now) < 60 and ends - begun == 3600:
            past = struct.pack(">III", begun - 7200, begun - 7200, begun - 3600)
            file.write_bytes(data[:at] + past + data[at + 12 :])
    error = failed(wire(lone(), log_in(password=None)).hello)
    assert told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert f"of ops@{REALM} has expired: run kinit" in error.failure.detail


def test_a_clock_that_is_wrong_is_named(lone, wire, realm, tmp_path):
    file = own_ticket(realm, tmp_path)
    data = file.read_bytes()
    # Behind version and lengths stands how far the KDC's clock is ahead of ours.
    assert struct.unpack_from(">HHHH", data) == (0x504, 12, 1, 8)
    file.write_bytes(data[:8] + struct.pack(">i", 1800) + data[12:])
    error = failed(wire(lone(), log_in(password=None)).hello)
    assert told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert "clock" in error.failure.detail


def test_a_name_the_domain_does_not_know_is_named(lone, wire):
    server = lone()
    error = failed(wire(server, address="127.0.0.1").hello)
    assert told(error) == (Fault.OTHER, FailureKind.AUTH)
    assert "no service HTTP/127.0.0.1" in error.failure.detail
    assert server.server.requests == 0


def test_an_endpoint_that_refuses_the_ticket_is_asked_once(lone, wire, realm, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", str(realm.folder / "foreign"))
    server = lone()
    error = failed(wire(server).hello)
    assert told(error) == (Fault.DENIED, FailureKind.AUTH)
    assert "refused the Kerberos ticket" in error.failure.detail
    assert (server.server.requests, server.server.refused_logins) == (1, 1)


def test_a_service_that_forgets_us_is_not_told_again_on_the_same_connection(lone, wire):
    injections = Injections()
    server = lone(injections=injections)
    one = wire(server)
    one.hello()
    injections.plan("create", Status(401))
    begun = server.server.requests
    with pytest.raises(WireError) as caught:
        one.create()
    assert caught.value.fault is Fault.STALE
    assert server.server.requests - begun == 1
    assert ran(one) == b"echo"
    assert server.server.clear_bodies == 0


@pytest.mark.parametrize("status", ["200 OK", "500 X"])
def test_a_server_that_proves_nothing_gets_nothing(wire, status):
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with listener.accept()[0] as sock:
                heard.append(sock.recv(65536))
                sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\nx".encode())
                heard.append(sock.recv(65536))

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(WireError) as caught:
            wire(listener.getsockname()[1]).create()
        thread.join()
    assert caught.value.failure.kind is FailureKind.PROTOCOL
    assert heard[1] == b""


PROGRAM = """
import sys
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.tickets import TICKETS
login = Login(client="acme", user=sys.argv[1], auth="kerberos", password=sys.stdin.read())
print(TICKETS.cache(login, 10).exists())
"""


def test_the_tickets_are_gone_with_the_process(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"ops@{REALM}"],
        env={**os.environ, "TMPDIR": str(folder)},
        input=FIRST.encode(),
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"True\n", b"")
    assert list(folder.iterdir()) == []


def test_forgotten_tickets_are_fetched_anew(lone, wire):
    ran(wire(lone()))
    cache = TICKETS.cache(log_in(), 5)
    TICKETS.forget()
    assert not cache.parent.exists()
    assert ran(wire(lone())) == b"echo"
