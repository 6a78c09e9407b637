"""Opening and closing: who is let in, who is not, and that nothing stays behind."""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.events import FailureKind
from outagekit.lab.wsman.faults import TOO_MANY_SHELLS
from outagekit.lab.wsman.injection import Delay, Drop, Refuse, Status
from outagekit.transports.protocol import Failure, Limits, Opened
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.winrm.ledger import Ledger

if TYPE_CHECKING:
    from conftest import Lab, Scripted


def failed(result: object, kind: FailureKind) -> Failure:
    assert isinstance(result, Failure), result
    assert result.kind is kind, result
    assert not result.sent
    return result


def test_the_first_contact_pins_the_machine(lab: Lab, program: Scripted, way: dict) -> None:
    server = lab.server(program, scheme=way["scheme"])
    first = lab.transport(server, auth=way.get("auth"))
    opened = first.open()
    assert isinstance(opened, Opened)
    assert (opened.machine_id, opened.boot_id) == (program.machine_id, "00000007")
    assert opened.first_contact
    assert first.alive
    assert first.boot_id == "00000007"
    assert bool(opened.key) == (way["scheme"] == "https")
    again = lab.transport(server, auth=way.get("auth")).open()
    assert isinstance(again, Opened)
    assert not again.first_contact


def test_another_machine_is_refused_and_keeps_no_shell(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    lab.opened(server).close()
    program.machine_id = "ffffffff-0000-0000-0000-000000000000"
    transport = lab.transport(server)
    failure = failed(transport.open(), FailureKind.WRONG_MACHINE)
    assert "acme/pos-01" in failure.detail
    assert not transport.alive
    assert server.server.shells == ()


def test_closing_deletes_the_shell_and_opens_again(lab: Lab, way: dict) -> None:
    server = lab.server(scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    assert len(server.server.shells) == 1
    transport.close()
    assert server.server.shells == ()
    assert not transport.alive
    transport.close()
    assert isinstance(transport.open(), Opened)
    transport.close()
    assert server.server.shells == ()
    assert server.server.clear_bodies == 0


def test_a_wrong_password_is_auth_and_told_to_nobody(lab: Lab, way: dict) -> None:
    server = lab.server(scheme=way["scheme"])
    lab.secrets["PW"] = "not-the-password"
    failure = failed(lab.transport(server, auth=way.get("auth")).open(), FailureKind.AUTH)
    assert "not-the-password" not in failure.detail
    assert server.server.shells == ()
    assert server.server.clear_bodies == 0


def test_two_refusals_stop_the_password(lab: Lab, way: dict) -> None:
    server = lab.server(scheme=way["scheme"])
    lab.secrets["PW"] = "not-the-password"
    auth = way.get("auth")
    for name in ("a", "b"):
        failed(lab.transport(server, name=name, auth=auth).open(), FailureKind.AUTH)
    requests = server.server.requests
    failed(lab.transport(server, name="c", auth=auth).open(), FailureKind.CREDENTIAL_STOPPED)
    assert server.server.requests == requests


def test_refusals_while_booting_do_not_count(lab: Lab) -> None:
    server = lab.server()
    lab.secrets["PW"] = "not-the-password"
    for _ in range(4):
        failed(lab.transport(server).open(booting=True), FailureKind.AUTH)
    lab.secrets["PW"] = "Zug-faehrt-um-8"
    assert isinstance(lab.transport(server).open(), Opened)


def test_an_unproven_password_is_sent_by_one_at_a_time(lab: Lab) -> None:
    server = lab.server()
    lab.secrets["PW"] = "not-the-password"
    transports = [lab.transport(server, name=f"n{n}") for n in range(8)]
    results: list[object] = []
    threads = [threading.Thread(target=lambda t=t: results.append(t.open())) for t in transports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    kinds = sorted(result.kind for result in results if isinstance(result, Failure))
    assert kinds == [FailureKind.AUTH] * 2 + [FailureKind.CREDENTIAL_STOPPED] * 6
    assert server.server.refused_logins == 2


def test_a_machine_that_is_away_does_not_keep_others_waiting(lab: Lab) -> None:
    # It is not even asked for the password's turn.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = lab.server()
    failed(lab.transport(server, port=port).open(), FailureKind.REFUSED)
    assert isinstance(lab.transport(server).open(), Opened)


def test_no_password_at_all_is_local(lab: Lab) -> None:
    del lab.secrets["PW"]
    server = lab.server()
    failed(lab.transport(server).open(), FailureKind.LOCAL_IO)
    assert server.server.requests == 0


def test_basic_over_http_is_never_sent(lab: Lab) -> None:
    server = lab.server()
    failed(lab.transport(server, auth="basic").open(), FailureKind.TLS)
    assert server.server.requests == 0


def test_a_certificate_nobody_vouches_for_is_tls(lab: Lab, tmp_path: Path) -> None:
    server = lab.server(scheme="https")
    (tmp_path / "ca.pem").unlink()
    failed(lab.transport(server).open(), FailureKind.LOCAL_IO)
    other = lab.authority.__class__()
    other.cert_pem.write_to_path(tmp_path / "ca.pem")
    failed(lab.transport(server).open(), FailureKind.TLS)
    assert server.server.requests == 0


def test_a_pinned_certificate_is_believed_and_no_other(lab: Lab) -> None:
    server, other = lab.server(scheme="https"), lab.server(scheme="https")
    assert server.server.tls is not None
    assert other.server.tls is not None
    pin = HostKey.of_certificate(server.server.tls.certificate)
    lab.trust.add("acme", "127.0.0.1", server.port, pin)
    lab.trust.add("acme", "127.0.0.1", other.port, pin)
    opened = lab.transport(server).open()
    assert isinstance(opened, Opened)
    assert opened.key == pin.fingerprint
    failed(lab.transport(other, name="b").open(), FailureKind.TLS)
    assert other.server.requests == 0


@pytest.mark.parametrize("kind", ["create", "command", "receive"])
@pytest.mark.parametrize("executed", [True, False])
def test_a_drop_while_opening_leaves_no_shell(lab: Lab, kind: str, executed: bool) -> None:
    server = lab.server()
    server.server.injections.plan(kind, Drop(executed=executed))
    transport = lab.transport(server)
    opened = transport.open()
    if isinstance(opened, Failure):
        assert opened.kind is FailureKind.LOST
        assert not opened.sent
    transport.close()
    # Of a shell whose id was lost with the answer nobody can know; it ends when it is idle.
    assert len(server.server.shells) == (kind == "create" and executed)
    assert server.server.clear_bodies == 0


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_service_that_is_not_up_yet_is_unreachable(lab: Lab, status: int) -> None:
    server = lab.server()
    server.server.injections.gate(status, requests=9)
    failed(lab.transport(server).open(), FailureKind.HANDSHAKE)


def test_a_shell_too_many_is_quota(lab: Lab) -> None:
    server = lab.server()
    server.server.injections.plan("create", Refuse(TOO_MANY_SHELLS), times=9)
    failed(lab.transport(server).open(), FailureKind.QUOTA)


def test_shells_of_a_killed_process_make_room(lab: Lab, tmp_path: Path) -> None:
    from outagekit.lab.wsman.rules import Rules

    lab.ledger = Ledger(tmp_path / "shells.jsonl")
    server = lab.server(rules=Rules(shells_per_user=1))
    lab.opened(server)  # and never closed: its process is killed
    lab.ledger = Ledger(tmp_path / "shells.jsonl")
    transport = lab.transport(server)
    assert isinstance(transport.open(), Opened)
    transport.close()
    assert server.server.shells == ()


def test_shells_of_a_killed_process_are_deleted_when_it_is_opened_again(
    lab: Lab, tmp_path: Path
) -> None:
    lab.ledger = Ledger(tmp_path / "shells.jsonl")
    server = lab.server()
    lab.opened(server)
    lab.ledger = Ledger(tmp_path / "shells.jsonl")
    lab.opened(server)
    assert len(server.server.shells) == 1
    assert len(Ledger(tmp_path / "shells.jsonl").left("acme/pos-01")) == 1


def test_shells_that_a_restart_ended_cost_no_message(
    lab: Lab, program: Scripted, tmp_path: Path
) -> None:
    lab.ledger = Ledger(tmp_path / "shells.jsonl")
    server = lab.server(program)
    lab.opened(server)
    program.boot = 8
    lab.ledger = Ledger(tmp_path / "shells.jsonl")
    assert lab.opened(server).messages == 3
    assert len(Ledger(tmp_path / "shells.jsonl").left("acme/pos-01")) == 1


def test_opening_needs_three_messages(lab: Lab) -> None:
    server = lab.server()
    assert lab.opened(server).messages == 3


def test_closing_a_silent_endpoint_takes_a_second_at_most(lab: Lab) -> None:
    server = lab.server()
    transport = lab.opened(server)
    server.server.injections.plan("any", Delay(3.0), times=9)
    began_s = time.monotonic()
    transport.close()
    assert time.monotonic() - began_s < 1.3
    server.server.injections.clear()
    # The next opening tidies up.
    assert isinstance(transport.open(), Opened)
    transport.close()


def test_abort_frees_an_opening_that_hangs(lab: Lab) -> None:
    server = lab.server()
    server.server.injections.plan("create", Delay(5.0))
    transport = lab.transport(server)
    threading.Timer(0.2, transport.abort).start()
    began_s = time.monotonic()
    failed(transport.open(), FailureKind.LOST)
    assert time.monotonic() - began_s < 1.5
    # Until close, nothing is begun.
    failed(transport.open(), FailureKind.LOST)
    transport.close()
    assert isinstance(transport.open(), Opened)


def test_what_is_not_open_takes_no_command(lab: Lab) -> None:
    transport = lab.transport(lab.server())
    failure = failed(transport.execute(lab.powershell(), Limits()).failure, FailureKind.LOST)
    assert "not open" in failure.detail


def test_no_words_of_a_refused_opening_hold_the_password(lab: Lab) -> None:
    server = lab.server()
    server.server.injections.plan("any", Status(418), times=9)
    failure = lab.transport(server).open()
    assert isinstance(failure, Failure)
    assert "Zug-faehrt" not in repr(failure)


def test_other_ports_are_reached_the_same_way(lab: Lab) -> None:
    server = lab.server()
    transport = lab.transport(server)
    reached = transport.reach(server.port, 2.0)
    assert isinstance(reached, socket.socket)
    reached.close()


def test_silent_endpoints_say_nothing_about_a_password_they_never_got(lab: Lab) -> None:
    for name in ("a", "b", "c"):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            transport = lab.transport(
                lab.server(), name=name, port=port, deadlines=replace(lab.quick, auth_s=0.2)
            )
            failed(transport.open(), FailureKind.TIMEOUT)
    assert isinstance(lab.transport(lab.server()).open(), Opened)


def test_endpoints_that_fall_silent_after_the_proof_count(lab: Lab) -> None:
    server = lab.server()
    for name in ("a", "b"):
        server.server.injections.plan("hello", Delay(1.0), skip=1)
        transport = lab.transport(server, name=name, deadlines=replace(lab.quick, auth_s=0.2))
        failed(transport.open(), FailureKind.TIMEOUT)
    failed(lab.transport(server, name="c").open(), FailureKind.CREDENTIAL_STOPPED)
