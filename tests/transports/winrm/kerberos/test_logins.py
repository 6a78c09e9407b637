"""Whose tickets a Kerberos login uses, and that nothing of it is left behind or seen."""

from __future__ import annotations

import logging
import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import trustme
import winrm.protocol

from outagekit.events import FailureKind
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.tls import Tls
from outagekit.transports.winrm import tickets as tickets_module
from outagekit.transports.winrm.faults import Fault
from outagekit.transports.winrm.tickets import TICKETS
from outagekit.transports.winrm.tls import Believed
from outagekit.transports.winrm.wire import Wire

FIRST, SECOND = "first-one-ø", "second-one"
MANY = 20


def test_a_password_logs_in_and_everything_is_sealed(kit):
    server = kit.lone()
    one = kit.wire(server)
    one.hello()
    assert one.is_open
    assert kit.ran(one, "echo", keep=True) == b"echo"
    data = ("Größe ☂ " * 12_000).encode()
    assert kit.ran(one, "cat", data) == data
    assert server.server.clear_bodies == 0
    assert [shell.owner for shell in server.server.shells] == ["ops"]
    assert f"ops@{kit.REALM} for HTTP/localhost@{kit.REALM}" in kit.kdc.log
    assert "AES" in kit.kdc.log.upper()


def test_the_password_stands_in_no_argument_and_no_environment(kit, tmp_path, monkeypatch):
    real, seen = shutil.which("kinit"), tmp_path / "seen"
    stand_in = tmp_path / "bin" / "kinit"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\n(printf "%s\\n" "$@"; env) > {seen}\nexec {real} "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    assert kit.ran(kit.wire(kit.lone())) == b"echo"
    assert f"ops@{kit.REALM}" in seen.read_text("utf-8")
    assert FIRST not in seen.read_text("utf-8")
    folder = Path(seen.read_text("utf-8").splitlines()[1].removeprefix("FILE:")).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o600}


def test_nothing_of_the_process_changes_and_nothing_is_logged(kit, caplog):
    caplog.set_level(logging.DEBUG)
    servers = [kit.lone(), kit.lone()]
    with servers[0].server.accounts.consulted():
        before = dict(os.environ)
    assert kit.ran(kit.wire(servers[0])) == b"echo"
    kit.failed(kit.wire(servers[1], kit.log_in(password="not-the-one")).hello)
    assert dict(os.environ) == before
    # The service's own half of the login is none of ours.
    assert not [record for record in caplog.records if not record.name.startswith("spnego")]


def test_a_ticket_of_the_person_logs_in_without_a_password(kit, tmp_path):
    kit.own_ticket(kit.kdc, tmp_path)
    server = kit.lone()
    assert kit.ran(kit.wire(server, kit.log_in(password=None)), keep=True) == b"echo"
    assert [shell.owner for shell in server.server.shells] == ["ops"]


def test_a_ticket_of_somebody_else_is_not_used(kit, tmp_path):
    kit.own_ticket(kit.kdc, tmp_path, "beta", SECOND)
    server = kit.lone()
    error = kit.failed(kit.wire(server, kit.log_in(password=None)).hello)
    assert kit.told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert f"no Kerberos ticket of ops@{kit.REALM}" in error.failure.detail
    assert server.server.requests == 0


def test_a_ticket_of_the_person_is_not_used_for_a_password(kit, tmp_path):
    kit.own_ticket(kit.kdc, tmp_path, "beta", SECOND)
    before = (tmp_path / "own").read_bytes()
    server = kit.lone()
    kit.ran(kit.wire(server), keep=True)
    assert [shell.owner for shell in server.server.shells] == ["ops"]
    assert (tmp_path / "own").read_bytes() == before


def test_two_clients_at_once_never_use_each_others_tickets(kit, monkeypatch):
    monkeypatch.setattr(tickets_module, "_FRESH_S", 0.0)
    servers = [kit.lone() for _ in range(MANY)]
    logins = [kit.log_in(), kit.log_in("beta", SECOND, "beta")]
    wires = [kit.wire(server, logins[at % 2]) for at, server in enumerate(servers)]
    with ThreadPoolExecutor(MANY) as pool:
        assert set(pool.map(lambda one: kit.ran(one, keep=True), wires)) == {b"echo"}
    owners = [server.server.shells[0].owner for server in servers]
    assert owners == ["ops", "beta"] * (MANY // 2)
    assert sum(server.server.clear_bodies for server in servers) == 0


def test_many_endpoints_at_once_ask_for_tickets_once(kit):
    begun = kit.kdc.log.count("AS_REQ")
    wires = [kit.wire(kit.lone()) for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        list(pool.map(Wire.hello, wires))
    # Asked twice: the first time without a proof of the password.
    assert kit.kdc.log.count("AS_REQ") - begun == 2


def test_a_login_after_a_loss_uses_the_tickets_that_are_there(kit):
    server = kit.lone()
    one = kit.wire(server)
    one.hello()
    begun = kit.kdc.log.count("_REQ")
    one.drop()
    assert kit.ran(one) == b"echo"
    assert kit.kdc.log.count("_REQ") == begun
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


def test_over_https_the_login_is_bound_to_the_channel(kit, tmp_path):
    tls, other = secured(tmp_path)
    trust, rules = Believed(ca=tmp_path / "ca.pem"), Rules(wants_binding=True)
    server = kit.lone(tls=tls, rules=rules)
    assert kit.ran(kit.wire(server, trust=trust)) == b"echo"
    assert server.server.requests > 1
    # A server in between, which shows a certificate that is believed, and passes everything on.
    between = kit.lone(tls=replace(tls, certificate=other.certificate), rules=rules)
    error = kit.failed(kit.wire(between, trust=trust).hello)
    assert kit.told(error) == (Fault.DENIED, FailureKind.AUTH)


def test_pywinrm_itself_gets_the_same_from_the_service(kit, tmp_path):
    kit.own_ticket(kit.kdc, tmp_path)
    server = kit.lone()
    url = server.url.replace("127.0.0.1", "localhost")
    one = winrm.protocol.Protocol(
        url, "kerberos", f"ops@{kit.REALM}", proxy=None, ca_trust_path=None
    )
    shell = one.open_shell(codepage=65001)
    command = one.run_command(shell, "echo")
    assert one.get_command_output(shell, command) == (b"echo", b"", 0)
    one.cleanup_command(shell, command)
    one.close_shell(shell)
    assert server.server.clear_bodies == 0


PROGRAM = """
import sys
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.tickets import TICKETS
login = Login(client="acme", user=sys.argv[1], auth="kerberos", password=sys.stdin.read())
print(TICKETS.cache(login, 10).exists())
"""


def test_the_tickets_are_gone_with_the_process(kit, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"ops@{kit.REALM}"],
        env={**os.environ, "TMPDIR": str(folder)},
        input=FIRST.encode(),
        capture_output=True,
        timeout=20,
        check=True,
    )
    assert (done.stdout, done.stderr) == (b"True\n", b"")
    assert list(folder.iterdir()) == []


def test_forgotten_tickets_are_fetched_anew(kit):
    kit.ran(kit.wire(kit.lone()))
    cache = TICKETS.cache(kit.log_in(), 5)
    TICKETS.forget()
    assert not cache.parent.exists()
    assert kit.ran(kit.wire(kit.lone())) == b"echo"
