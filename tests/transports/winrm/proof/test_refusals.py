"""What is at the other end instead of a WinRM that wants us: each a clear kind, with a hint."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from outagekit.events import FailureKind
from outagekit.lab.wsman import faults
from outagekit.lab.wsman.faults import SoapFault
from outagekit.lab.wsman.injection import Injections, Refuse, Replace, Status, Truncate
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.tls import Tls
from outagekit.transports.protocol import Failure, Limits, Opened

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way

NOW = dt.datetime.now(dt.UTC)
MEGABYTE = 1024 * 1024
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n"
BOMB = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaa"><!ENTITY b "&a;&a;">]><x>&b;</x>'


def refused(found: Opened | Failure, kind: FailureKind, *hints: str) -> str:
    assert isinstance(found, Failure), found
    assert (found.kind, found.sent) == (kind, False), found
    for hint in hints:
        assert hint in found.detail
    assert len(found.detail) < 1001
    assert found.detail.isprintable()
    return found.detail


@pytest.fixture
def raw() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Have a function serve every connection to a port, which is returned."""
    with contextlib.ExitStack() as stack:

        def serve(talk: Callable[[socket.socket], None]) -> int:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def listen() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        sock, _ = listener.accept()
                        with sock, contextlib.suppress(OSError):
                            sock.settimeout(5.0)
                            talk(sock)

            threading.Thread(target=listen, daemon=True).start()
            stack.callback(_shut, listener)
            return listener.getsockname()[1]

        yield serve


def _shut(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


class Said:
    """Serves one request after the other with the same bytes."""

    def __init__(self, *pieces: bytes, forever: bytes = b"") -> None:
        self._pieces, self._forever = pieces, forever

    def __call__(self, sock: socket.socket) -> None:
        sock.recv(65536)
        for piece in self._pieces:
            sock.sendall(piece)
        while self._forever:
            sock.sendall(self._forever)


PORTS = {
    # what listens there, the kind, a hint
    "nothing": (None, FailureKind.REFUSED, "is WinRM on there"),
    "another web server": (
        Said(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        FailureKind.HANDSHAKE,
        "no WinRM under /wsman",
    ),
    "a page for everything": (
        Said(HEAD + b"Content-Length: 6\r\n\r\n<html>"),
        FailureKind.PROTOCOL,
        "without asking who we are",
    ),
    "a redirect": (
        Said(
            b"HTTP/1.1 302 Found\r\nLocation: http://example.invalid/\r\nContent-Length: 0\r\n\r\n"
        ),
        FailureKind.PROTOCOL,
        "elsewhere",
    ),
    "SSH": (Said(b"SSH-2.0-OpenSSH_9.6\r\n"), FailureKind.PROTOCOL, "no HTTP"),
    "a length without end": (
        Said(HEAD + b"Content-Length: 99999999999\r\n\r\n", forever=b"x" * 65536),
        FailureKind.PROTOCOL,
        "larger than",
    ),
    "chunks without end": (
        Said(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            forever=b"10000\r\n" + b"x" * 65536 + b"\r\n",
        ),
        FailureKind.PROTOCOL,
        "larger than",
    ),
    "a header without end": (
        Said(HEAD, forever=b"X-Long: " + b"x" * 65536),
        FailureKind.PROTOCOL,
        "beyond all bounds",
    ),
}


@pytest.mark.parametrize("there", PORTS)
def test_a_wrong_url(
    stand: Stand, program: Steps, sealed: Way, raw: Callable[..., int], there: str
) -> None:
    talk, kind, hint = PORTS[there]
    server = stand.server(program, sealed)
    port = raw(talk) if talk is not None else _free_port()
    began_s = time.monotonic()
    refused(stand.open(stand.transport(server, sealed, port=port)), kind, hint)
    assert time.monotonic() - began_s < 4.0


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_https_on_a_port_of_http(
    stand: Stand, program: Steps, ways: dict[str, Way], raw: Callable[..., int]
) -> None:
    server = stand.server(program, ways["bound"])
    port = raw(Said(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
    found = stand.open(stand.transport(server, ways["bound"], port=port))
    refused(found, FailureKind.TLS, "scheme: http, port 5985")


def test_http_on_a_port_of_https(stand: Stand, program: Steps, ways: dict[str, Way]) -> None:
    way = ways["bound"]
    server = stand.server(program, way)
    found = stand.open(stand.transport(server, way, scheme="http"))
    assert isinstance(found, Failure)
    assert found.kind in {FailureKind.TLS, FailureKind.LOST, FailureKind.HANDSHAKE}
    assert "https" in found.detail
    assert server.server.requests == 0


def test_basic_over_http_is_never_tried(
    stand: Stand, program: Steps, ways: dict[str, Way], sealed: Way
) -> None:
    server = stand.server(program, sealed, rules=Rules(allows_clear=True))
    transport = stand.transport(server, ways["basic"], scheme="http")
    refused(stand.open(transport), FailureKind.TLS, "https only")
    assert server.server.requests == 0


@pytest.mark.parametrize("name", ["basic", "sealed", "bound"])
def test_an_ipv6_address_leads_where_it_says(
    stand: Stand, program: Steps, ways: dict[str, Way], name: str
) -> None:
    way = ways[name]
    try:
        server = stand.server(program, way, address="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    transport = stand.opened(server, way, address="::1")
    assert stand.run(transport, stand.powershell()).exit_code == 0
    assert program.ran() == 1


CERTIFICATES = {
    "expired": ("127.0.0.1", {"not_after": NOW - dt.timedelta(days=1)}, "expired"),
    "for another name": ("elsewhere.example", {}, "not for 127.0.0.1"),
    "of a foreign authority": ("127.0.0.1", None, "of an authority that is not among"),
    "self-signed": ("", {}, "self-signed"),
}


@pytest.mark.parametrize("what", CERTIFICATES)
@pytest.mark.parametrize("name", ["basic", "bound"])
def test_a_certificate_that_cannot_be_believed(
    stand: Stand,
    ways: dict[str, Way],
    tmp_path: Path,
    name: str,
    what: str,
) -> None:
    address, facts, hint = CERTIFICATES[what]
    authority = trustme.CA()
    stand.tls = {
        False: _issued(authority, tmp_path, address, facts or {}) if address else stand.tls[True]
    }
    if facts is not None and address:
        stand.ca = tmp_path / "own-ca.pem"
    server = stand.server(stand.new_program(), ways[name])
    found = stand.open(stand.transport(server, ways[name]))
    refused(found, FailureKind.TLS, hint, "outagekit trust add", "fingerprint")
    assert server.server.requests == 0


def _issued(authority: trustme.CA, folder: Path, name: str, facts: dict[str, object]) -> Tls:
    issued = authority.issue_cert(name, **facts)
    issued.cert_chain_pems[0].write_to_path(folder / "other.pem")
    issued.private_key_pem.write_to_path(folder / "other-key.pem")
    authority.cert_pem.write_to_path(folder / "own-ca.pem")
    return Tls.load(folder / "other.pem", folder / "other-key.pem")


WRONG_ANSWERS = {
    "garbage": (Replace(b"\x00\x01\x02"), FailureKind.PROTOCOL, "damaged or cut"),
    "nothing": (Replace(b""), FailureKind.PROTOCOL, "empty"),
    "a web page": (Replace(b"<html><body>hi"), FailureKind.PROTOCOL, "a web page"),
    "other XML": (Replace(b"<a/>"), FailureKind.PROTOCOL, "not of WinRM"),
    "cut XML": (Replace(b"<s:Envelope xmlns:s='x'><s:Bo"), FailureKind.PROTOCOL, "damaged"),
    "a cut answer": (Truncate(80), FailureKind.LOST, "closed the connection"),
    "a document type": (Replace(BOMB), FailureKind.PROTOCOL, "document type"),
    "depths": (Replace(b"<a>" * 99999), FailureKind.PROTOCOL, "too deep"),
    "parts": (
        Replace(b"<a>" + b"<b/>" * 99999 + b"</a>"),
        FailureKind.PROTOCOL,
        "too many parts",
    ),
    "megabytes": (Replace(b"<a>" + b"x" * 5 * MEGABYTE), FailureKind.PROTOCOL, "larger than"),
    "not ready": (Status(503), FailureKind.HANDSHAKE, "starting, or going down"),
    "no word": (Status(500), FailureKind.HANDSHAKE, "without a word"),
    "too large": (Status(413), FailureKind.SIZE, "MaxEnvelopeSizekb"),
    "forbidden": (Status(403), FailureKind.AUTH, "IPv4Filter"),
}


@pytest.mark.parametrize("what", WRONG_ANSWERS)
@pytest.mark.parametrize("name", ["sealed", "bound"])
def test_an_answer_that_is_none(
    stand: Stand, program: Steps, ways: dict[str, Way], name: str, what: str
) -> None:
    trouble, kind, hint = WRONG_ANSWERS[what]
    server = stand.server(program, ways[name], injections=Injections())
    server.server.injections.plan("create", trouble)
    refused(stand.open(stand.transport(server, ways[name])), kind, hint)
    # Of a shell whose name did not arrive nobody knows.
    stand.orphans = len(server.server.shells)
    assert stand.orphans == (not isinstance(trouble, Status))


@pytest.mark.parametrize("kind", ["command", "send", "receive"])
def test_a_flood_instead_of_an_answer_is_bounded(
    stand: Stand, program: Steps, sealed: Way, kind: str
) -> None:
    server = stand.server(program, sealed)
    transport = stand.opened(server, sealed)
    server.server.injections.plan(kind, Replace(b"<a>" + b"x" * 5 * MEGABYTE))
    outcome = stand.run(transport, stand.powershell(), Limits(run_s=3.0, accept_s=2.0))
    assert program.ran() == 1
    assert outcome.failure is None or outcome.failure.sent, outcome


def test_a_filtered_token_is_named_with_its_remedy(stand: Stand, program: Steps, way: Way) -> None:
    server = stand.server(program, way)
    server.server.injections.plan("create", Refuse(faults.DENIED))
    found = stand.open(stand.transport(server, way))
    refused(found, FailureKind.AUTH, "LocalAccountTokenFilterPolicy", "administrator")
    # A service that let us in said so: the password is not at fault.
    assert isinstance(stand.open(stand.transport(server, way)), Opened)


def test_a_refused_local_account_is_told_of_the_filtered_token(
    stand: Stand, program: Steps, way: Way
) -> None:
    rules = Rules(refuses=True, wants_binding=way.rules.wants_binding)
    server = stand.server(program, way, rules=rules)
    found = stand.open(stand.transport(server, way))
    refused(found, FailureKind.AUTH, "LocalAccountTokenFilterPolicy", "user or password is wrong")


def test_a_login_that_is_not_offered_names_those_that_are(
    stand: Stand, program: Steps, ways: dict[str, Way]
) -> None:
    server = stand.server(program, ways["basic"], rules=Rules(ways=frozenset({"negotiate"})))
    found = stand.open(stand.transport(server, ways["basic"]))
    refused(found, FailureKind.AUTH, "does not accept basic logins", "negotiate")


def test_trusted_hosts_are_said_not_to_matter_here(
    stand: Stand, program: Steps, sealed: Way
) -> None:
    words = "The client cannot process the request. Use winrm.cmd to configure TrustedHosts."
    server = stand.server(program, sealed)
    server.server.injections.plan("create", Refuse(SoapFault(words, 2150858770)))
    found = stand.open(stand.transport(server, sealed))
    refused(found, FailureKind.PROTOCOL, "TrustedHosts", "does not concern this tool")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves a full queue unanswered")
def test_silence_names_the_public_profile(stand: Stand, program: Steps, sealed: Way) -> None:
    server = stand.server(program, sealed)
    with socket.socket() as listener, contextlib.ExitStack() as full:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            filler = full.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        found = stand.open(stand.transport(server, sealed, port=port))
    refused(found, FailureKind.CONNECT_TIMEOUT, "a network Windows takes for a public one")
