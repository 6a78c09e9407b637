"""Machines that go down and come up, seen by a client that is not ours: plain paramiko."""

from __future__ import annotations

import contextlib
import socket
import time

import paramiko
import pytest

from outagekit.lab.host import GoneError, Host
from outagekit.lab.keys import new_key, new_key_file
from outagekit.lab.listening import LOOPBACK, Listener
from outagekit.lab.machine import Pace
from outagekit.lab.ports import accept_only
from outagekit.lab.ssh_server import LOGIN, LoopbackServer
from outagekit.playbook.model import Drill, DrillStep, Reboot

LINE = "exec env LC_ALL=C.UTF-8 OK_STEP={} OK_PART={} sh -s"
FAST = Pace(swing=0.05)
"""Up for 200 to 500 ms, down for 100 to 300; a boot loop of 600 ms with 150 ms in it."""


class Away(Exception):  # noqa: N818
    """The machine cannot be reached, or went away."""


class Lab:
    """One machine behind a real server."""

    def __init__(self, folder, machine):
        folder.mkdir()
        self.machine = machine
        self.login_key = new_key_file(folder / "key")
        self.server = LoopbackServer()
        self.port = self.server.add_machine(machine, new_key(), self.login_key)
        self.other = self.server.add_port(accept_only, of=machine)
        self.host = self.server._hosts[machine]
        self.server.start()

    def is_up(self, port=None):
        try:
            with socket.create_connection((LOOPBACK, port or self.port), timeout=5):
                return True
        except ConnectionRefusedError:
            return False

    @contextlib.contextmanager
    def client(self):
        try:
            sock = socket.create_connection((LOOPBACK, self.port), timeout=5)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.closing(paramiko.Transport(sock)) as transport:
                transport.set_log_channel("tests.lab.client")
                transport.connect(username=LOGIN, pkey=self.login_key)
                yield transport
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Away from error

    def run(self, step, part, script):
        with self.client() as transport:
            return send(transport, step, part, script)

    def boot_id(self):
        _, text = self.run("-", "identity", b"")
        return dict(line.split("=") for line in text.splitlines())["boot-id"]


def send(transport, step, part, script):
    channel = transport.open_session()
    channel.settimeout(5)
    channel.exec_command(LINE.format(step, part))
    channel.sendall(script)
    channel.shutdown_write()
    text = channel.makefile("rb").read().decode()
    code = channel.recv_exit_status()
    if code < 0:
        raise Away
    return code, text


def until(true, *, within_s=5.0):
    """Wait until something is so."""
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.002)


@pytest.fixture
def lab(lab_folder):
    with contextlib.ExitStack() as stack:

        def made(machine):
            started = Lab(lab_folder, machine)
            stack.callback(started.server.close)
            return started

        yield made


@pytest.fixture
def restarting(machine, book, step):
    def made(speed, **answer):
        steps = (step("look"), step("restart", action=Reboot(900.0), risk="change"))
        drill = Drill(steps={"restart": DrillStep(**answer)})
        return machine(book(steps=steps, drill=drill), pace=Pace(speed=speed))

    return made


def test_a_restart_is_answered_then_refuses_connections_then_is_another_boot(lab, restarting, sent):
    one = lab(restarting(10.0))
    before = one.boot_id()
    with one.client() as transport:
        assert send(transport, "restart", "script", sent())[0] == 0
        assert send(transport, "look", "script", sent())[0] == 0, "it is up for a moment still"
        until(lambda: not one.is_up())
        transport.join(2)
        assert isinstance(transport.saved_exception, ConnectionResetError | EOFError)
    assert not one.is_up(one.other), "all its ports are shut"
    began_s = time.monotonic()
    until(one.is_up)
    assert 1.5 < time.monotonic() - began_s < 4
    until(lambda: one.is_up(one.other))
    assert one.boot_id() != before
    assert one.machine.downs == 1


def test_a_machine_that_refuses_to_restart_goes_on(lab, restarting, sent):
    one = lab(restarting(1000.0, exit_code=1))
    before = one.boot_id()
    assert one.run("restart", "script", sent())[0] == 1
    time.sleep(0.05)
    assert one.boot_id() == before
    assert one.machine.downs == 0


def test_a_connection_of_before_reaches_nothing_afterwards(lab, machine, sent):
    one = lab(machine())
    life = one.host.life
    with one.client() as transport:
        channel = transport.open_session()
        channel.exec_command(LINE.format("fix", "script"))
        channel.sendall(sent())
        one.host.restart(0.0, 0.02)
        until(lambda: one.host.life == life + 1 and one.host.is_up)
        with contextlib.suppress(OSError, EOFError):
            channel.shutdown_write()
    with pytest.raises(GoneError), one.host.turn(life):
        pytest.fail("the turn belongs to an earlier life")
    until(lambda: one.machine.received != [])
    (entry,) = one.machine.received
    assert (entry.step, entry.ran, entry.exit_code) == ("fix", False, None)


def test_a_flapping_line_comes_and_goes_and_the_machine_stays_as_it_is(lab, machine):
    flapping = machine(pace=FAST)
    flapping.fault = "flap"
    boot_id = flapping.boot_id
    one = lab(flapping)
    seen = []
    end_s = time.monotonic() + 5
    while len(seen) < 7 and time.monotonic() < end_s:
        up = one.is_up()
        if not seen or up is not seen[-1]:
            seen.append(up)
        time.sleep(0.002)
    assert len(seen) == 7
    assert flapping.downs >= 3
    assert flapping.boot_id == boot_id


def test_a_flapping_line_cuts_commands_before_and_after_they_were_executed(lab, machine, sent):
    flapping = machine(pace=Pace(swing=0.03, dawdle_s=3.0))
    flapping.fault = "flap"
    one = lab(flapping)
    answered = 0
    end_s = time.monotonic() + 10

    def lost():
        done = sum(entry.ran for entry in flapping.received) - answered
        return done, sum(not entry.ran for entry in flapping.received)

    while not all(lost()) and time.monotonic() < end_s:
        with contextlib.suppress(Away):
            one.run("detect", "script", sent())
            answered += 1
        time.sleep(0.01)
    done, not_done = lost()
    assert done > 0, "executed, and the answer lost"
    assert not_done > 0, "sent, and not executed"


def test_a_boot_loop_ends_with_the_change_that_mends_it(lab, machine, drilled, sent):
    looping = machine(drilled({"impacted": True}, set={"impacted": False}), pace=FAST)
    looping.fault = "bootloop"
    first_boot = looping.boot_id
    one = lab(looping)
    until(lambda: looping.downs >= 2)
    assert looping.boot_id != first_boot, "it starts anew each time"

    def mended():
        with contextlib.suppress(Away):
            one.run("fix", "script", sent())
        return looping.is_cured

    until(mended, within_s=20)
    until(one.is_up)
    downs = looping.downs
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        assert one.is_up()
        time.sleep(0.02)
    assert looping.downs == downs


def test_a_restart_of_a_machine_that_is_down_already_happens_all_the_same(lab_folder, machine):
    one = machine()
    with contextlib.closing(Listener()) as listener:
        host = Host(one, listener)
        door = listener.door()
        host.doors.append(door)
        host.begin()
        boot_id = one.boot_id
        host._go_down(0.05)
        host._restart(0.05)
        assert one.downs == 1
        listener.start()
        until(lambda: host.is_up)
        assert one.boot_id != boot_id
        assert door.is_open


def test_a_machine_comes_up_as_soon_as_there_is_a_file_for_its_port(lab, machine, monkeypatch):
    one = lab(machine())
    (door, _) = one.host.doors

    def none_left():
        raise OSError(24, "too many open files")

    monkeypatch.setattr(door, "open", none_left)
    one.host.restart(0.0, 0.01)
    until(lambda: one.machine.downs == 1)
    time.sleep(0.05)
    assert not one.is_up()
    monkeypatch.undo()
    until(one.is_up)


def test_closing_the_lab_ends_a_timetable(lab, machine):
    flapping = machine(pace=FAST)
    flapping.fault = "flap"
    one = lab(flapping)
    one.server.close()
    downs = flapping.downs
    time.sleep(0.05)
    assert flapping.downs == downs
