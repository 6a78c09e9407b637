from __future__ import annotations

import socket
import urllib.error
import urllib.request

import pytest

from outagekit.lab.ports import accept_only, http
from outagekit.lab.ssh_server import LOOPBACK, LoopbackServer


@pytest.fixture
def server():
    started = LoopbackServer()
    yield started
    started.close()


def status_of(port):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{LOOPBACK}:{port}/health", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_tcp_port_accepts(server):
    port = server.add_port(accept_only)
    server.start()
    with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
        assert connection.recv(1) == b""


def test_a_web_server_answers_with_the_status_of_the_moment(server):
    statuses = [503, 204, 299]
    port = server.add_port(http(lambda: statuses.pop(0)))
    server.start()
    assert [status_of(port) for _ in range(3)] == [503, 204, 299]


def test_a_closed_port_refuses_and_stays_ours(server):
    port = server.closed_port()
    server.start()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), timeout=5)
