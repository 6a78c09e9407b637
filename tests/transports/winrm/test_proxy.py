"""HTTP CONNECT: what a proxy can answer, and that it never costs more than its time."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.events import FailureKind
from outagekit.inventory.model import Credential, Endpoint, Site, Winrm
from outagekit.transports.access import Access
from outagekit.transports.protocol import Deadlines, Failure, Target
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.winrm.proxy import HttpProxy, parse_proxy, tunnel

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RawServer

Raw = Callable[..., "RawServer"]
QUICK = Deadlines(resolve_s=1.0, connect_s=0.6, handshake_s=1.0, auth_s=1.0, accept_s=1.0)


class Answering:
    """A proxy that gives every CONNECT one answer, and keeps what it was asked."""

    def __init__(self, answer: bytes, *, onward: int = 0, waits: bool = True) -> None:
        self.answer = answer
        self.onward = onward
        self.waits = waits
        self.asked: list[bytes] = []

    def __call__(self, sock: socket.socket) -> None:
        head = b""
        while self.waits and not head.endswith(b"\r\n\r\n"):
            piece = sock.recv(1)
            if not piece:
                return
            head += piece
        self.asked.append(head)
        sock.sendall(self.answer)
        if self.onward:
            with socket.create_connection(("127.0.0.1", self.onward), 2) as far:
                sock.sendall(far.recv(100))
        elif not self.answer:
            sock.recv(1)
        sock.close()


def asked_of(
    answer: bytes, raw_server: Raw, *, timeout_s: float = 1.0, stop: threading.Event | None = None
) -> Failure | None:
    server = raw_server(Answering(answer))
    sock = socket.create_connection(("127.0.0.1", server.port), 2)
    proxy = HttpProxy("127.0.0.1", server.port)
    failure = tunnel(
        sock, proxy, ("pos-01", 5986), timeout_s=timeout_s, stop=stop or threading.Event()
    )
    if failure is not None:
        assert sock.fileno() == -1
        assert str(proxy) in failure.detail
        assert not failure.sent
    sock.close()
    return failure


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://proxy.acme.example:3128", ("proxy.acme.example", 3128)),
        ("http://[::1]:3128/", ("::1", 3128)),
    ],
)
def test_a_proxy_is_named_by_address_and_port(text: str, place: tuple[str, int]) -> None:
    proxy = parse_proxy(text)
    assert (proxy.address, proxy.port) == place


@pytest.mark.parametrize(
    "text",
    [
        "https://p:1",
        "socks5://p:1",
        "p:3128",
        "http://p",
        "http://p:0",
        "http://p:99999",
        "http://:1",
        "http://[::1:3128",
        "http://p:1/x",
        "http://p:1?x",
        "http://a b:1",
        "",
    ],
)
def test_what_is_no_proxy_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="proxy"):
        parse_proxy(text)


def test_a_password_in_the_proxys_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_proxy("http://me:hunter2@p:1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 204\r\nVia: x\r\nA: b\r\n\r\n"]
)
def test_any_good_answer_makes_it_a_tunnel(raw_server: Raw, answer: bytes) -> None:
    assert asked_of(answer, raw_server) is None


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (b"HTTP/1.1 407 Log in\r\n\r\n", FailureKind.PROTOCOL, "wants a login (407)"),
        (b"HTTP/1.1 403 No\x1b[2J\r\n\r\n", FailureKind.PROTOCOL, r"403 No\x1b[2J"),
        (b"HTTP/1.1 301 Go\r\nLocation: x\r\n\r\n", FailureKind.PROTOCOL, "301 Go"),
        (b"HTTP/1.1 100 Wait\r\n\r\n", FailureKind.PROTOCOL, "100 Wait"),
        (b"HTTP/1.1 502 \xff\r\n\r\n", FailureKind.CONNECT_TIMEOUT, "cannot connect to pos-01"),
        (b"HTTP/1.1 503\r\n\r\n", FailureKind.CONNECT_TIMEOUT, "503"),
        (b"HTTP/1.1 504 Late\r\n\r\n", FailureKind.CONNECT_TIMEOUT, "504 Late"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", FailureKind.HANDSHAKE, "as no HTTP proxy does"),
        (b"HTTP/1.1 200 OK\r\nVia", FailureKind.HANDSHAKE, "as no HTTP proxy does"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 9000, FailureKind.HANDSHAKE, "no HTTP proxy"),
    ],
)
def test_any_other_answer_is_a_failure_that_names_the_proxy(
    raw_server: Raw, answer: bytes, kind: FailureKind, said: str
) -> None:
    failure = asked_of(answer, raw_server)
    assert failure is not None
    assert failure.kind is kind
    assert said in failure.detail
    assert failure.detail.isprintable()


def test_a_silent_proxy_costs_its_time_and_no_more(raw_server: Raw) -> None:
    began_s = time.monotonic()
    failure = asked_of(b"", raw_server, timeout_s=0.4)
    assert failure is not None
    assert failure.kind is FailureKind.CONNECT_TIMEOUT
    assert 0.3 < time.monotonic() - began_s < 1.5


def test_one_that_drips_is_not_waited_for_either(raw_server: Raw) -> None:
    def drip(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"H")
                time.sleep(0.02)

    server = raw_server(drip)
    sock = socket.create_connection(("127.0.0.1", server.port), 2)
    began_s = time.monotonic()
    proxy = HttpProxy("127.0.0.1", server.port)
    failure = tunnel(sock, proxy, ("x", 1), timeout_s=0.4, stop=threading.Event())
    assert failure is not None
    assert failure.kind is FailureKind.CONNECT_TIMEOUT
    assert time.monotonic() - began_s < 1.5


def test_it_is_given_up_when_nobody_wants_it_any_more(raw_server: Raw) -> None:
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    began_s = time.monotonic()
    failure = asked_of(b"", raw_server, timeout_s=30, stop=stop)
    assert failure is not None
    assert failure.kind is FailureKind.LOST
    assert time.monotonic() - began_s < 2


# --- as a way to Windows endpoints -------------------------------------------------------------


@pytest.fixture
def access(tmp_path: Path) -> Iterator[Access]:
    def never(reference: SecretRef, endpoint: Endpoint, label: str) -> str:
        raise InvalidInput(label)

    made = Access(TrustStore(tmp_path / "trust"), never, QUICK)
    yield made
    made.close()


@pytest.fixture
def greeter(raw_server: Raw) -> int:
    """The port of an endpoint that says hello."""

    def greet(sock: socket.socket) -> None:
        sock.sendall(b"hello")
        sock.recv(1)

    return raw_server(greet).port


def target(
    port: int, proxy: int | str | None, address: str = "127.0.0.1", **facts: object
) -> Target:
    site = facts.pop("site", None)
    endpoint = Endpoint(
        client="acme", name="pos-01", address=address, os="windows", port=port, **facts
    )
    named = f"http://127.0.0.1:{proxy}" if isinstance(proxy, int) else proxy
    credential = Credential(name="admin", user="ACME\\ops")
    return Target(endpoint=endpoint, credential=credential, site=site, winrm=Winrm(proxy=named))


def test_a_named_proxy_leads_to_the_endpoint(
    access: Access, raw_server: Raw, greeter: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    proxy = Answering(b"HTTP/1.1 200 OK\r\n\r\n", onward=greeter)
    to = target(5986, raw_server(proxy).port, "pos-01.acme.example")
    sock = access.winrm_socket(to, threading.Event(), 1.0)
    assert isinstance(sock, socket.socket), sock
    with sock:
        sock.settimeout(2)
        assert sock.recv(100) == b"hello"
    assert proxy.asked == [
        b"CONNECT pos-01.acme.example:5986 HTTP/1.1\r\nHost: pos-01.acme.example:5986\r\n\r\n"
    ]
    assert access.place(to) is None
    assert access.knock(to, 1.0)
    reached = access.reach(to, 443, 1.0, threading.Event())
    assert isinstance(reached, socket.socket)
    reached.close()
    assert proxy.asked[-1].startswith(b"CONNECT pos-01.acme.example:443 ")


def test_no_proxy_of_the_environment_is_used(
    access: Access, greeter: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    to = target(greeter, None)
    sock = access.winrm_socket(to, threading.Event(), 1.0)
    assert isinstance(sock, socket.socket), sock
    sock.close()
    assert access.place(to) == ("127.0.0.1", greeter)
    assert access.knock(to, 1.0)


def test_http_does_not_go_through_a_proxy(access: Access, raw_server: Raw) -> None:
    proxy = Answering(b"HTTP/1.1 200 OK\r\n\r\n")
    to = target(80, raw_server(proxy).port, scheme="http")
    failure = access.winrm_socket(to, threading.Event(), 1.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.PROTOCOL
    assert "the proxy 127.0.0.1" in failure.detail
    assert "use https" in failure.detail
    assert not access.knock(to, 1.0)
    assert proxy.asked == []


def test_a_proxy_that_is_away_is_named(access: Access) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    failure = access.winrm_socket(target(5986, closed), threading.Event(), 1.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.REFUSED
    assert failure.detail.startswith(f"the proxy 127.0.0.1:{closed} cannot be reached")
    assert not access.knock(target(5986, closed), 1.0)


def test_a_proxy_that_is_none_is_refused_before_anything_is_connected(access: Access) -> None:
    with pytest.raises(InvalidInput, match="proxy"):
        access.place(target(5986, "ftp://p:1"))


def test_the_way_through_a_proxy_is_told_apart_from_the_straight_one(access: Access) -> None:
    words = [access.routes.route(target(5986, proxy)).words for proxy in (None, 3128)]
    assert words == [
        "https ACME\\ops@127.0.0.1 port 5986",
        "https ACME\\ops@127.0.0.1 port 5986 by the proxy 127.0.0.1:3128",
    ]


def test_a_sites_jump_host_wins_over_the_clients_proxy(access: Access) -> None:
    to = target(5986, 3128, site=Site(name="berlin", jump="bastion"))
    route = access.routes.route(to)
    assert [hop.address for hop in route.hops] == ["bastion"]
    assert route.proxy is None


# --- the socket itself -------------------------------------------------------------------------


def test_an_endpoint_that_is_away_costs_the_time_that_was_asked_for(access: Access) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    failure = access.winrm_socket(target(closed, None), threading.Event(), 1.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.REFUSED
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        stack.enter_context(socket.create_connection(listener.getsockname(), 2))
        patient = dataclasses.replace(access, deadlines=Deadlines(connect_s=30))
        began_s = time.monotonic()
        full = target(listener.getsockname()[1], None)
        failure = patient.winrm_socket(full, threading.Event(), 0.3)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.CONNECT_TIMEOUT
    assert time.monotonic() - began_s < 1.5


def test_a_name_nobody_knows_is_a_failure_of_its_own(access: Access) -> None:
    failure = access.winrm_socket(target(5986, None, "no.such.invalid"), threading.Event(), 1.0)
    assert isinstance(failure, Failure)
    assert failure.kind is FailureKind.RESOLVE
