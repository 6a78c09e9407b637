"""Looking at ports and pages from here."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import pytest

from outagekit.events import FailureKind
from outagekit.inventory.model import Endpoint
from outagekit.transports.probing.probe import probe_http, probe_tcp, reached_port
from outagekit.transports.protocol import Failure

if TYPE_CHECKING:
    from conftest import RawServer

Raw = Callable[..., "RawServer"]


def page(status: bytes, seen: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    def serve(sock: socket.socket) -> None:
        request = sock.recv(4096)
        if seen is not None:
            seen.append(request)
        sock.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 1000000\r\n\r\nx")

    return serve


def get(
    port: int, path: str, timeout_s: float, scheme: Literal["http", "https"] = "http"
) -> int | Failure:
    sock = socket.create_connection(("127.0.0.1", port))
    found = probe_http(sock, scheme, ("127.0.0.1", port), path=path, timeout_s=timeout_s)
    until_s = time.monotonic() + 2  # who was left waiting for it lets go, too
    while sock.fileno() != -1:
        assert time.monotonic() < until_s
        time.sleep(0.005)
    return found


def test_an_open_port_is_open_and_a_closed_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert probe_tcp("127.0.0.1", port, timeout_s=1)
    assert not probe_tcp("127.0.0.1", port, timeout_s=1)
    assert not probe_tcp("no-such-machine.invalid", port, timeout_s=1)


@pytest.mark.parametrize("status", [200, 301, 404, 503])
def test_the_status_is_told_whatever_it_is(raw_server: Raw, status: int) -> None:
    server = raw_server(page(b"%d Word\r\nLocation: http://127.0.0.1:1/" % status))
    assert get(server.port, "/", 5) == status


def test_no_proxy_and_no_credentials_of_this_machine_are_used(
    raw_server: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    seen: list[bytes] = []
    server = raw_server(page(b"200 OK", seen))
    assert get(server.port, "health?a=b c", 5) == 200
    assert seen[0].startswith(b"GET /health?a=b%20c HTTP/1.1\r\n")


def failure(result: int | Failure) -> FailureKind:
    assert isinstance(result, Failure)
    assert result.detail.isprintable()
    return result.kind


def test_what_is_no_web_server_is_told_apart(
    raw_server: Raw, reset: Callable[[socket.socket], None]
) -> None:
    garbage = raw_server(lambda sock: (sock.recv(1), sock.sendall(b"\x1b[2J\r\n")))
    torn = raw_server(reset)
    assert failure(get(garbage.port, "/", 2)) is FailureKind.PROTOCOL
    assert failure(get(torn.port, "/", 2)) is FailureKind.PROTOCOL


def test_a_page_drop_by_drop_costs_the_time_only(raw_server: Raw) -> None:
    def serve(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"H")
            time.sleep(0.05)

    server = raw_server(serve)
    began_s = time.monotonic()
    assert failure(get(server.port, "/", 0.5)) is FailureKind.TIMEOUT
    assert time.monotonic() - began_s < 2
    server.stop()


def test_a_server_without_tls_has_no_certificate(raw_server: Raw) -> None:
    server = raw_server(page(b"200 OK"))
    found = get(server.port, "/", 5, "https")
    assert failure(found) is FailureKind.TLS


def test_a_forwarded_port_is_found() -> None:
    endpoint = Endpoint(client="acme", name="a", address="a", os="linux", ports={22: 10022})
    assert (reached_port(endpoint, 22), reached_port(endpoint, 443)) == (10022, 443)
