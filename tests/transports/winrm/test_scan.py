"""What a WinRM service shows of itself, and that nothing is said to it."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from outagekit.events import FailureKind
from outagekit.testing.tls import TlsServer, self_signed, server_context, tls_server
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial
from outagekit.transports.trust.certificates import Seen, facts_of
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.scan import seen_certificate

if TYPE_CHECKING:
    from conftest import RawServer

Raw = Callable[..., "RawServer"]
Serve = Callable[..., TlsServer]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(organization_name="Acme", organization_unit_name="tests")


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return str(file)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(
            certificate: trustme.LeafCert | Path, *, change: Callable[..., object] | None = None
        ) -> TlsServer:
            by_file = isinstance(certificate, Path)
            context = server_context(certificate if by_file else None)
            if not by_file:
                certificate.configure_cert(context)
            if change is not None:
                change(context)
            return stack.enter_context(tls_server(context))

        yield start


def seen(
    port: int,
    *,
    address: str = "127.0.0.1",
    ca: str | None = None,
    timeout_s: float = 2.0,
    stop: threading.Event | None = None,
) -> Seen | Failure:
    return seen_certificate(
        lambda: dial("127.0.0.1", port, deadlines=Deadlines()),
        Place("https", address, port),
        ca=ca,
        timeout_s=timeout_s,
        stop=stop or threading.Event(),
    )


def test_a_certificate_of_the_clients_authority_is_vouched_for(
    authority: trustme.CA, ca_file: str, serve: Serve
) -> None:
    leaf = authority.issue_cert("127.0.0.1")
    server = serve(leaf)
    found = seen(server.port, ca=ca_file)
    assert isinstance(found, Seen), found
    assert found.by == f"the authorities in {ca_file}"
    pem = leaf.cert_chain_pems[0].bytes().decode()
    assert found.key.certificate == ssl.PEM_cert_to_DER_cert(pem)
    assert server.heard in ([], [b""])


def test_the_name_that_is_asked_for_is_the_endpoints(
    authority: trustme.CA, ca_file: str, serve: Serve
) -> None:
    server = serve(authority.issue_cert("pos-01.acme.example"))
    found = seen(server.port, address="pos-01.acme.example.", ca=ca_file)
    assert isinstance(found, Seen)
    assert found.by
    assert server.names == ["pos-01.acme.example"]


def test_the_same_certificate_for_another_name_is_not(
    authority: trustme.CA, ca_file: str, serve: Serve
) -> None:
    found = seen(serve(authority.issue_cert("pos-02.acme.example")).port, ca=ca_file)
    assert isinstance(found, Seen)
    assert found.by == ""
    assert "mismatch" in found.why


def test_without_the_clients_file_its_authority_is_nobody(
    authority: trustme.CA, serve: Serve
) -> None:
    found = seen(serve(authority.issue_cert("127.0.0.1")).port)
    assert isinstance(found, Seen)
    assert found.by == ""
    assert "issuer" in found.why


def test_a_self_signed_one_is_seen_and_nothing_is_sent(serve: Serve, tmp_path: Path) -> None:
    server = serve(self_signed(tmp_path))
    found = seen(server.port)
    assert isinstance(found, Seen)
    assert (found.by, "self-signed" in found.why) == ("", True)
    facts = facts_of(found.key)
    assert facts is not None
    assert facts.self_signed
    assert facts.subject == "CN=127.0.0.1"
    until_s = time.monotonic() + 2
    while len(server.heard) < 1 and time.monotonic() < until_s:
        time.sleep(0.01)
    assert set(server.heard) == {b""}


def test_an_expired_one_is_seen_with_its_reason(serve: Serve, tmp_path: Path) -> None:
    pem = self_signed(tmp_path, from_days=-9, to_days=-2)
    found = seen(serve(pem).port, ca=str(pem))
    assert isinstance(found, Seen)
    assert found.by == ""
    assert "expired" in found.why


def test_a_port_with_http_is_told_so(raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        sock.recv(100)

    found = seen(raw_server(serve).port)
    assert isinstance(found, Failure)
    assert "http" in found.detail
    assert found.detail.startswith("127.0.0.1 port ")


@pytest.mark.parametrize("what", ["silent", "closing", "resetting"])
def test_what_does_not_answer_costs_its_time_and_no_more(
    raw_server: Raw, what: str, reset: Callable[[socket.socket], None]
) -> None:
    def serve(sock: socket.socket) -> None:
        sock.recv(1)
        if what == "closing":
            sock.close()
        elif what == "resetting":
            reset(sock)
        else:
            while sock.recv(1000):
                pass

    began_s = time.monotonic()
    found = seen(raw_server(serve).port, timeout_s=0.4)
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.HANDSHAKE
    assert time.monotonic() - began_s < 1.5


def test_it_is_given_up_when_nobody_wants_it_any_more(raw_server: Raw) -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    found = seen(
        raw_server(lambda sock: sock.recv(1) and stop.wait(9)).port, timeout_s=30, stop=stop
    )
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.LOST


def test_tls_of_yore_is_refused_with_a_reason(serve: Serve, tmp_path: Path) -> None:
    def only_old(context: ssl.SSLContext) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")

    server = serve(self_signed(tmp_path), change=only_old)
    found = seen(server.port)
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.TLS


def test_authorities_that_were_read_once_are_read_again_when_their_file_changes(
    authority: trustme.CA, ca_file: str, serve: Serve
) -> None:
    port = serve(authority.issue_cert("127.0.0.1")).port
    for other, vouched in ((authority, True), (trustme.CA(), False), (authority, True)):
        other.cert_pem.write_to_path(ca_file)
        stamp = time.time_ns() + 1_000_000 * vouched
        os.utime(ca_file, ns=(stamp, stamp))
        found = seen(port, ca=ca_file)
        assert isinstance(found, Seen)
        assert bool(found.by) is vouched


def test_a_file_of_authorities_that_cannot_be_used_is_our_fault(tmp_path: Path) -> None:
    for ca in (tmp_path / "none.pem", tmp_path):
        found = seen(1, ca=str(ca))
        assert isinstance(found, Failure)
        assert found.kind is FailureKind.LOCAL_IO
        assert str(ca) in found.detail


def test_an_endpoint_that_is_away_is_the_failure_of_the_way() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    found = seen(port)
    assert isinstance(found, Failure)
    assert found.kind is FailureKind.REFUSED
