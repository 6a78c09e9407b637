"""A simulated Windows machine behind its WS-Man service and its `Host`."""

from __future__ import annotations

import contextlib
import json
import re
import time

import pytest

from outagekit.lab.host import Host
from outagekit.lab.listening import Listener
from outagekit.lab.machine import Pace
from outagekit.lab.wsman.accounts import Accounts
from outagekit.lab.wsman.server import windows_server
from outagekit.playbook.model import Code, Drill, DrillStep, Reboot
from outagekit.transports.windows.identity import CHEAP_IDENTITY, IDENTITY
from outagekit.transports.windows.render import render

NONCE = "0123456789abcdef"


class Placed:
    """A machine with a port; as `lone` it is what a client by hand wants."""

    def __init__(self, machine, folder, account, tls):
        folder.mkdir()
        self.machine = machine
        self.listener = Listener()
        self.host = Host(machine, self.listener)
        self.server = windows_server(self.host, Accounts(folder, account), tls=tls)
        self.host.doors.append(self.listener.door(self.server.serve))
        self.port = self.host.doors[0].port
        self.host.begin()
        self.listener.start()

    def close(self):
        self.listener.close()
        self.host.close()


@pytest.fixture
def placed(lab_folder, account, tls, client):
    with contextlib.ExitStack() as stack:

        def made(machine):
            place = Placed(machine, lab_folder, account, tls)
            stack.callback(place.close)
            return client(place)

        yield made


def started(one, shell, command):
    identity = one.run(shell, command.line)
    if command.framed:
        one.input(shell, identity, f"{NONCE}\n".encode() + command.stdin)
    return identity


def told(one, shell, identity):
    """Return output without its last line, that line, and the exit code."""
    text = ""
    while True:
        received = one.receive(shell, identity)
        text += received.stream("stdout")
        if received.done:
            break
    plain, _, trailer = text.partition(f"\n{NONCE} ")
    return plain, json.loads(trailer or "{}"), int(received["ExitCode"])


@pytest.fixture
def windows(machine, book):
    def made(**given):
        return machine(book(**given), system="windows")

    return made


def script(text, step, part):
    return render(Code("powershell", text), {}, step=step, part=part)


def test_both_ways_to_ask_who_it_is_tell_the_same(placed, windows):
    one = placed(windows())
    shell = one.create().shell
    cheap, trailer, code = told(one, shell, started(one, shell, CHEAP_IDENTITY))
    assert (code, trailer) == (0, {})
    guid = re.search(r"MachineGuid    REG_SZ    (\S+)\r\n", cheap)[1]
    boot = int(re.search(r"BootId    REG_DWORD    (0x\w+)\r\n", cheap)[1], 16)
    probe, trailer, code = told(one, shell, started(one, shell, IDENTITY))
    lines = dict(line.split("=") for line in probe.splitlines() if line)
    assert (guid, boot) == (lines["machine-id"], int(lines["boot-id"]))
    assert (guid, code, trailer["how"]) == (one.lone.machine.machine_id, 0, "end")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", trailer["boot"])


def test_a_step_is_checked_done_and_checked_again(placed, windows):
    machine = windows()
    machine.state = {"impacted": True}
    one = placed(machine)
    shell = one.create().shell
    said = []
    for part in ("check", "script", "check"):
        plain, trailer, code = told(one, shell, started(one, shell, script("true", "fix", part)))
        said.append((plain.strip(), trailer["how"], trailer["rc"], code))
    assert said == [("False", "end", 0, 0), ("done", "end", 0, 0), ("True", "end", 0, 0)]
    assert [entry.part for entry in machine.ran] == ["check", "script", "check"]
    one.delete(shell)
    assert one.lone.server.shells == ()


def test_a_cut_script_runs_nothing(placed, windows):
    one = placed(windows())
    shell = one.create().shell
    command = script("true", "fix", "script")
    identity = one.run(shell, command.line)
    one.input(shell, identity, f"{NONCE}\n".encode() + command.stdin[:400])
    _, trailer, code = told(one, shell, identity)
    assert (trailer["how"], trailer["boot"], code != 0) == ("cut", "", True)
    assert one.lone.machine.ran == ()


def test_a_step_that_fails_exits(placed, windows, drilled):
    steps = {"state": {"impacted": True}, "exit_code": 3010}
    one = placed(windows(drill=drilled(**steps).drill))
    shell = one.create().shell
    _, trailer, code = told(one, shell, started(one, shell, script("exit 3010", "fix", "script")))
    assert (code, trailer["how"], trailer["rc"]) == (3010, "exit", 3010)


def test_a_machine_that_resets_breaks_the_connection_and_one_that_hangs_does_not(placed, windows):
    machine = windows()
    machine.fault = "reset"
    one = placed(machine)
    shell = one.create().shell
    identity = started(one, shell, script("true", "fix", "script"))
    with pytest.raises(OSError):
        one.receive(shell, identity)
    machine.fault = "hang"
    one.http.close()
    one.timeout = "PT0.03S"
    identity = started(one, shell, script("true", "fix", "script"))
    assert one.receive(shell, identity).code == 2150858793
    assert machine.ran == ()


def test_a_restart_is_answered_then_breaks_connections_and_its_shells_are_gone(
    placed, machine, book, step
):
    steps = (step("look"), step("restart", action=Reboot(900.0), risk="change"))
    drill = Drill(steps={"restart": DrillStep(takes_s=0.5)})
    restarting = machine(book(steps=steps, drill=drill), system="windows", pace=Pace(speed=10.0))
    boot_id = restarting.boot_id
    one = placed(restarting)
    shell = one.create().shell
    assert told(one, shell, started(one, shell, script("x", "restart", "script")))[2] == 0
    end_s = time.monotonic() + 10
    answer = None
    while answer is None or answer.status == 200:
        assert time.monotonic() < end_s
        try:
            answer = one.command(shell, "reg query x /v BootId")
            time.sleep(0.01)
        except OSError:
            one.http.close()
            time.sleep(0.005)
    assert answer.code == 2150858843
    assert (restarting.downs, restarting.boot_id != boot_id) == (1, True)
    assert one.lone.server.shells == ()


def test_a_line_that_is_down_for_a_while_ends_no_command(placed, windows, drilled):
    machine = windows(drill=drilled({"impacted": True}, takes_s=0.15, stdout="done\n").drill)
    one = placed(machine)
    shell = one.create().shell
    identity = started(one, shell, script("true", "fix", "script"))
    host = one.lone.host
    one.lone.listener.at(0, lambda: host._go_down(0.03))
    end_s = time.monotonic() + 5
    while machine.downs == 0 or not host.is_up:
        assert time.monotonic() < end_s
        time.sleep(0.002)
    one.http.close()
    plain, trailer, code = told(one, shell, identity)
    assert (plain.strip(), trailer["how"], code) == ("done", "end", 0)
    assert len(machine.ran) == 1


def test_a_command_that_is_stopped_in_time_is_not_executed(placed, windows, monkeypatch):
    machine = windows()
    machine.state = {"impacted": True}
    monkeypatch.setattr(machine, "before_s", lambda step, part: 30.0)
    one = placed(machine)
    shell = one.create().shell
    identity = started(one, shell, script("true", "fix", "script"))
    one.signal(shell, identity, "ctrl_c")
    assert told(one, shell, identity) == ("", {}, -1073741510)
    until_s = time.monotonic() + 5  # the answer does not wait for the machine's own record
    while not machine.received and time.monotonic() < until_s:
        time.sleep(0.01)
    assert [(entry.part, entry.ran) for entry in machine.received] == [("script", False)]


def test_what_is_none_of_ours_is_not_run(placed, windows):
    one = placed(windows())
    shell = one.create().shell
    received = one.receive(shell, one.run(shell, "format c:"))
    assert (received["ExitCode"], received.stream("stdout")) == ("127", "")
    assert one.lone.machine.received == []
