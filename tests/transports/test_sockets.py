"""Connecting, and the watchdog that frees blocked calls."""

from __future__ import annotations

import errno
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from outagekit.events import FailureKind
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial, resolve
from outagekit.transports.watchdog import Watchdog, in_time

if TYPE_CHECKING:
    from conftest import Bench

QUICK = Deadlines(resolve_s=0.5, connect_s=0.5)


def places(*found: tuple[str, int]) -> object:
    return lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in found]


def test_a_second_address_is_tried_when_the_first_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = server.getsockname()
        monkeypatch.setattr(socket, "getaddrinfo", places(("127.0.0.2", 1), place))
        sock = dial("web.example", place[1], deadlines=QUICK)
        assert isinstance(sock, socket.socket)
        assert sock.getpeername() == place
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.gettimeout() is None
        sock.close()


def test_an_address_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    found = resolve("127.0.0.1", 22, timeout_s=0)
    assert found == [(socket.AF_INET, ("127.0.0.1", 22))]


def test_no_address_at_all_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", places())
    result = dial("web.example", 22, deadlines=QUICK)
    assert isinstance(result, Failure)
    assert result.kind is FailureKind.RESOLVE


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ECONNREFUSED, FailureKind.REFUSED),
        (errno.EHOSTUNREACH, FailureKind.CONNECT_TIMEOUT),
        (errno.ENETUNREACH, FailureKind.CONNECT_TIMEOUT),
        (errno.ETIMEDOUT, FailureKind.CONNECT_TIMEOUT),
        (errno.EMFILE, FailureKind.LOCAL_IO),
    ],
)
def test_errors_of_the_system_have_their_kinds(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: FailureKind
) -> None:
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: code)
    result = dial("127.0.0.1", 22, deadlines=QUICK)
    assert isinstance(result, Failure)
    assert result.kind is kind


def test_alarms_ring_in_time_order_and_cancelled_ones_do_not(bench: Bench) -> None:
    watchdog = Watchdog()
    rung: list[str] = []
    done = threading.Event()
    watchdog.after(0.15, lambda: (rung.append("late"), done.set()))
    watchdog.after(0.05, lambda: rung.append("early"))
    watchdog.after(0.07, lambda: rung.append("cancelled")).cancel()
    watchdog.after(0.08, lambda: 1 // 0)
    with watchdog.limit(0.1, lambda: rung.append("left")):
        pass
    assert done.wait(2)
    assert rung == ["early", "late"]


def test_a_call_that_hangs_is_left_behind() -> None:
    free = threading.Event()
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        in_time(lambda: free.wait(20), 0.1)
    assert time.monotonic() - began_s < 1
    free.set()


def test_a_call_in_time_returns_or_raises() -> None:
    assert in_time(lambda: 7, 5) == 7
    with pytest.raises(ZeroDivisionError):
        in_time(lambda: 1 // 0, 5)
