"""What is said, how soon, when Kerberos gives no ticket or the endpoint takes none."""

from __future__ import annotations

import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from outagekit.events import FailureKind
from outagekit.lab.wsman.injection import Injections, Status
from outagekit.transports.winrm.faults import Fault, WireError

FIRST = "first-one-ø"
MANY = 20
REFUSED = (Fault.UNAUTHORIZED, FailureKind.AUTH)


@pytest.mark.parametrize(
    ("user", "password", "expected", "part"),
    [
        ("ops", "not-the-one", REFUSED, "is wrong"),
        ("nobody", "x", REFUSED, "name@REALM"),
        ("locked", "third-one", REFUSED, "is locked"),
        ("stale", "fourth", REFUSED, "has expired"),
    ],
)
def test_a_refusal_of_the_kdc_is_said_in_words(kit, user, password, expected, part):
    server = kit.lone()
    error = kit.failed(kit.wire(server, kit.log_in(user, password)).hello)
    assert kit.told(error) == expected
    assert part in error.failure.detail
    assert server.server.requests == 0


def test_a_realm_nobody_knows_is_named(kit):
    error = kit.failed(kit.wire(kit.lone(), kit.log_in(realm="NOWHERE.TEST")).hello)
    assert kit.told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert "krb5.conf" in error.failure.detail


def test_a_wrong_password_is_shown_to_the_kdc_once_however_many_use_it(kit):
    begun = kit.kdc.log.count("PREAUTH_FAILED")
    wires = [kit.wire(kit.lone(), kit.log_in(password="not-the-one")) for _ in range(MANY)]
    with ThreadPoolExecutor(MANY) as pool:
        errors = list(pool.map(lambda one: kit.failed(one.hello), wires))
    errors.append(kit.failed(wires[0].hello))
    assert {kit.told(error) for error in errors} == {REFUSED}
    assert kit.kdc.log.count("PREAUTH_FAILED") - begun == 1


@pytest.mark.parametrize(
    ("code", "kind", "part"),
    [
        (37, FailureKind.LOCAL_IO, "clock"),
        (18, FailureKind.AUTH, "is locked"),
        (14, FailureKind.LOCAL_IO, "no AES"),
        (60, FailureKind.LOCAL_IO, "Kerberos gives no ticket"),
    ],
)
def test_errors_of_a_kdc_are_told_apart(kit, imitate, code, kind, part):
    kdc = imitate(code)
    error = kit.failed(kit.wire(kit.lone()).hello)
    assert error.failure.kind is kind
    assert part in error.failure.detail
    assert kdc.asked


def test_a_kdc_that_is_down_is_a_timeout_and_said(kit, imitate):
    imitate(closed=True)
    error = kit.failed(kit.wire(kit.lone()).hello)
    assert kit.told(error) == (Fault.LOCAL, FailureKind.TIMEOUT)
    assert "can be reached" in error.failure.detail


@pytest.mark.parametrize("password", [FIRST, None])
def test_a_silent_kdc_keeps_nobody_longer_than_the_login_may_take(kit, imitate, tmp_path, password):
    kit.own_ticket(kit.kdc, tmp_path)
    imitate()
    wires = [
        kit.wire(kit.lone(), kit.log_in(password=password), deadlines=kit.HASTY)
        for _ in range(MANY)
    ]
    begun_s = time.monotonic()
    with ThreadPoolExecutor(MANY) as pool:
        errors = list(pool.map(lambda one: kit.failed(one.hello), wires))
    assert time.monotonic() - begun_s < 2.0
    assert {kit.told(error) for error in errors} == {(Fault.LOCAL, FailureKind.TIMEOUT)}


def test_who_waits_for_a_silent_kdc_can_be_cut(kit, imitate):
    kdc = imitate()
    one = kit.wire(kit.lone())
    with ThreadPoolExecutor(1) as pool:
        hello = pool.submit(kit.failed, one.hello)
        while not kdc.asked:
            time.sleep(0.01)
        begun_s = time.monotonic()
        one.cut()
        assert hello.result(2.0).failure.kind is FailureKind.LOST
        assert time.monotonic() - begun_s < 1.0


def test_no_ticket_of_ones_own_says_what_to_run(kit):
    error = kit.failed(kit.wire(kit.lone(), kit.log_in(password=None)).hello)
    assert kit.told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert f"run kinit ops@{kit.REALM}" in error.failure.detail


def test_an_expired_ticket_of_ones_own_says_what_to_run(kit, tmp_path):
    file = kit.own_ticket(kit.kdc, tmp_path)
    data, now = file.read_bytes(), int(time.time())
    for at in range(len(data) - 12):
        begun, _, ends = struct.unpack_from(">III", data, at)
        if abs(begun - now) < 60 and ends - begun == 3600:
            past = struct.pack(">III", begun - 7200, begun - 7200, begun - 3600)
            file.write_bytes(data[:at] + past + data[at + 12 :])
    error = kit.failed(kit.wire(kit.lone(), kit.log_in(password=None)).hello)
    assert kit.told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert f"of ops@{kit.REALM} has expired: run kinit" in error.failure.detail


def test_a_clock_that_is_wrong_is_named(kit, tmp_path):
    file = kit.own_ticket(kit.kdc, tmp_path)
    data = file.read_bytes()
    # Behind version and lengths stands how far the KDC's clock is ahead of ours.
    assert struct.unpack_from(">HHHH", data) == (0x504, 12, 1, 8)
    file.write_bytes(data[:8] + struct.pack(">i", 1800) + data[12:])
    error = kit.failed(kit.wire(kit.lone(), kit.log_in(password=None)).hello)
    assert kit.told(error) == (Fault.LOCAL, FailureKind.LOCAL_IO)
    assert "clock" in error.failure.detail


def test_a_name_the_domain_does_not_know_is_named(kit):
    server = kit.lone()
    error = kit.failed(kit.wire(server, address="127.0.0.1").hello)
    assert kit.told(error) == (Fault.OTHER, FailureKind.AUTH)
    assert "no service HTTP/127.0.0.1" in error.failure.detail
    assert server.server.requests == 0


def test_an_endpoint_that_refuses_the_ticket_is_asked_once(kit, monkeypatch):
    monkeypatch.setenv("KRB5_KTNAME", str(kit.kdc.folder / "foreign"))
    server = kit.lone()
    error = kit.failed(kit.wire(server).hello)
    assert kit.told(error) == (Fault.DENIED, FailureKind.AUTH)
    assert "refused the Kerberos ticket" in error.failure.detail
    assert (server.server.requests, server.server.refused_logins) == (1, 1)


def test_a_service_that_forgets_us_is_not_told_again_on_the_same_connection(kit):
    injections = Injections()
    server = kit.lone(injections=injections)
    one = kit.wire(server)
    one.hello()
    injections.plan("create", Status(401))
    begun = server.server.requests
    with pytest.raises(WireError) as caught:
        one.create()
    assert caught.value.fault is Fault.STALE
    assert server.server.requests - begun == 1
    assert kit.ran(one) == b"echo"
    assert server.server.clear_bodies == 0


@pytest.mark.parametrize("status", ["200 OK", "500 X"])
def test_a_server_that_proves_nothing_gets_nothing(kit, status):
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
            kit.wire(listener.getsockname()[1]).create()
        thread.join()
    assert caught.value.failure.kind is FailureKind.PROTOCOL
    assert "let us in without" in str(caught.value)
    assert heard[1] == b""
