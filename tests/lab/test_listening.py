from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from outagekit.errors import Refused
from outagekit.lab import listening
from outagekit.lab.listening import LOOPBACK, Listener

FILES = Path("/proc/self/fd")


@pytest.fixture
def listener():
    with contextlib.closing(Listener()) as started:
        yield started


def connect(door):
    return socket.create_connection((LOOPBACK, door.port), timeout=5)


def done(listener, action):
    """Have the listener's thread do something, and wait for it."""
    over = threading.Event()
    listener.at(0.0, lambda: (action(), over.set()))
    assert over.wait(5)


def greet(connection):
    connection.sendall(b"hello")
    connection.close()


def test_a_door_is_shut_until_it_is_opened(listener):
    door = listener.door(greet)
    listener.start()
    with pytest.raises(ConnectionRefusedError):
        connect(door)
    done(listener, door.open)
    with connect(door) as connection:
        assert connection.recv(10) == b"hello"


def test_a_door_that_shuts_refuses_and_opens_again_at_the_same_port(listener):
    door = listener.door(greet)
    door.open()
    listener.start()
    for _ in range(20):
        done(listener, door.shut)
        with pytest.raises(ConnectionRefusedError):
            connect(door)
        done(listener, door.open)
        with connect(door) as connection:
            assert connection.recv(10) == b"hello"


def test_a_shut_port_is_nobody_elses(listener):
    door = listener.door(greet)
    door.open()
    listener.start()
    for change in (door.shut, door.open, door.shut):
        done(listener, change)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind((LOOPBACK, door.port))


def test_a_connection_nobody_accepted_yet_is_reset_when_the_door_shuts(listener):
    door = listener.door(greet)
    door.open()
    with connect(door) as connection:
        door.shut()
        with pytest.raises(ConnectionResetError):
            connection.recv(10)


def test_opening_and_shutting_leaves_no_file_open(listener):
    if not FILES.is_dir():
        pytest.skip("open files cannot be counted here")
    door = listener.door(greet)
    before = len(list(FILES.iterdir()))
    for _ in range(100):
        door.open()
        door.shut()
    assert len(list(FILES.iterdir())) == before


def test_without_a_file_left_a_shut_door_resets(listener, monkeypatch):
    door = listener.door(greet)
    door.open()
    listener.start()

    def none_left(address, port):
        raise OSError(24, "too many open files")

    monkeypatch.setattr(listening, "_bound", none_left)
    done(listener, door.shut)
    with contextlib.suppress(ConnectionResetError), connect(door) as connection:
        assert connection.recv(10) == b""
    monkeypatch.undo()
    done(listener, door.open)
    with connect(door) as connection:
        assert connection.recv(10) == b"hello"


def test_one_clients_trouble_does_not_end_the_listener(listener):
    def fail(_connection):
        raise RuntimeError

    broken, sound = listener.door(fail), listener.door(greet)
    broken.open()
    sound.open()
    listener.start()
    with contextlib.suppress(OSError), connect(broken) as connection:
        assert connection.recv(10) == b""
    with connect(sound) as connection:
        assert connection.recv(10) == b"hello"


def test_what_is_due_is_done_in_its_order_and_not_before(listener):
    listener.start()
    over, order, began_s = threading.Event(), [], time.monotonic()
    listener.at(0.06, lambda: (order.append(time.monotonic() - began_s), over.set()))
    listener.at(0.02, lambda: order.append(time.monotonic() - began_s))
    assert over.wait(5)
    assert order[0] >= 0.02
    assert order[1] >= 0.06


def test_many_due_at_once_are_all_done(listener):
    listener.start()
    over, left = threading.Event(), list(range(5000))
    for _ in range(5000):
        listener.at(0.0, lambda: (left.pop(), left or over.set()))
    assert over.wait(5)


def test_closing_frees_every_port_and_is_allowed_twice(listener):
    opened, shut = listener.door(greet), listener.door(greet)
    opened.open()
    listener.start()
    listener.close()
    listener.close()
    for door in (opened, shut):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind((LOOPBACK, door.port))


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::"])
def test_any_address_but_loopback_is_refused(address):
    with pytest.raises(Refused, match="loopback only"):
        Listener(address)
