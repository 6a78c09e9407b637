"""Machines that restart under a command, on purpose, or for ever, by every way."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.playbook.model import Code, Reboot
from outagekit.run.executing import reboot as reboot_module
from outagekit.run.executing.execute import Bench, execute
from outagekit.run.orders import Order, Part
from outagekit.transports.protocol import Failure, Limits, Opened

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way

AWAY = {
    FailureKind.REFUSED,
    FailureKind.CONNECT_TIMEOUT,
    FailureKind.HANDSHAKE,
    FailureKind.LOST,
    FailureKind.TIMEOUT,
}


class Machine:
    """A machine that can go down, and come back on another boot with all shells gone."""

    def __init__(self, stand: Stand, program: Steps, way: Way) -> None:
        self._stand, self._program = stand, program
        self.server = stand.server(program, way)
        program.acts["identity"] = self.identity
        self.timers: list[threading.Timer] = []

    def identity(self, asked: object, running: object) -> object:
        program = self._program
        up_s = time.monotonic() - program.up_since_s
        return self._stand.answer(
            stdout=f"machine-id={program.machine_id}\r\nboot-id={program.boot:08d}\r\n"
            f"uptime-s={up_s:.3f}\r\n"
        )

    def crash(self) -> None:
        self.server.go_down()
        self._program.boot += 1

    def boot(self) -> None:
        self._program.up_since_s = time.monotonic()
        self._stand.come_back(self.server)

    def restarts(self, asked: object, running: object) -> object:
        """Answer, then go down, and be back soon, refusing everybody at first."""
        self.timers = [threading.Timer(0.05, self.crash), threading.Timer(0.3, self.warms_up)]
        for timer in self.timers:
            timer.start()
        return self._stand.answer(stdout="restarts in 5 s\r\n")

    def warms_up(self) -> None:
        self.server.server.injections.gate(503, requests=2)
        self.boot()

    def wait(self) -> None:
        for timer in self.timers:
            timer.join()


@pytest.fixture
def machine(stand: Stand, program: Steps, way: Way) -> Machine:
    return Machine(stand, program, way)


@pytest.mark.parametrize("framed", [True, False])
def test_a_restart_under_a_command_is_unknown_and_not_repeated(
    stand: Stand, program: Steps, way: Way, machine: Machine, framed: bool
) -> None:
    def falls(asked: object, running: object) -> object:
        machine.crash()
        machine.boot()
        running.wait(5.0)
        return stand.answer()

    program.acts["fix"] = falls
    transport = stand.opened(machine.server, way)
    before = transport.boot_id
    outcome = stand.run(transport, stand.powershell() if framed else stand.cmd())
    assert outcome.exit_code is None
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.LOST, True)
    assert outcome.failure.state is EndState.UNKNOWN
    assert not transport.alive
    opened = stand.open(transport)
    assert isinstance(opened, Opened)
    assert (before, opened.boot_id) == ("00000007", "00000008")
    assert program.ran() == 1


@pytest.fixture
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_RETRY_S", "_SETTLE_S", "_REFUSED_S", "_WINDOWS_REFUSED_S"):
        monkeypatch.setattr(reboot_module, name, 0.05)


def restarted(
    stand: Stand, machine: Machine, way: Way, *, within_s: float
) -> tuple[object, list[object]]:
    reports: list[object] = []
    transport = stand.opened(machine.server, way)
    order = Order(
        attempt="acme/pos-01:restart:1",
        target=stand.target(machine.server, way),
        step="restart",
        action=Reboot(within_s),
        verify=Code("powershell", "$true"),
        changes=True,
        timeout_s=within_s,
    )
    finished = execute(order, transport, Bench(reports.append, b"k", None, threading.Event()))
    machine.wait()
    stand.said.extend([repr(finished), *map(repr, reports)])
    return finished, reports


@pytest.mark.usefixtures("_at_once")
def test_a_restart_on_purpose_is_awaited_and_proven(
    stand: Stand, program: Steps, way: Way, machine: Machine
) -> None:
    def script(asked: object, running: object) -> object:
        if asked.part == "verify":
            return stand.answer(stdout="True\r\n")
        return machine.restarts(asked, running)

    program.acts["restart"] = script
    finished, reports = restarted(stand, machine, way, within_s=8.0)
    assert (finished.state, finished.failure) == (EndState.CHANGED, None), finished
    assert finished.boot_id == "00000008"
    parts = [each.part for each in reports if isinstance(each, Part)]
    assert parts.count("script") == 1
    assert parts[-1] == "verify"
    assert sum(each.part == "script" for each in program.asked) == 1


@pytest.mark.usefixtures("_at_once")
def test_a_machine_that_does_not_restart_is_not_back(
    stand: Stand, program: Steps, way: Way, machine: Machine
) -> None:
    program.acts["restart"] = lambda asked, running: stand.answer(stdout="restarts in 5 s\r\n")
    finished, _ = restarted(stand, machine, way, within_s=0.5)
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.NOT_BACK)
    assert "never went down" in finished.detail


@pytest.mark.usefixtures("_at_once")
def test_logins_refused_after_a_restart_are_tried_three_times(
    stand: Stand, program: Steps, way: Way, machine: Machine
) -> None:
    def warms_up() -> None:
        machine.server.server.injections.gate(401, requests=99)
        machine.boot()

    machine.warms_up = warms_up
    program.acts["restart"] = machine.restarts
    finished, _ = restarted(stand, machine, way, within_s=8.0)
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.AUTH)
    machine.server.server.injections.clear()
    # What was refused while it booted stopped nobody's password.
    other = stand.server(program, way)
    assert isinstance(stand.open(stand.transport(other, way, name="pos-02")), Opened)
    assert isinstance(stand.open(stand.transport(machine.server, way)), Opened)


def test_a_boot_loop_lets_a_command_in_between_two_crashes(
    stand: Stand, program: Steps, way: Way, machine: Machine
) -> None:
    over = threading.Event()
    executed: list[int] = []

    def fix(asked: object, running: object) -> object:
        executed.append(program.boot)
        return stand.answer(7)

    def loop() -> None:
        while not over.is_set():
            machine.crash()
            over.wait(0.05)
            machine.boot()
            over.wait(0.25)

    program.acts["fix"] = fix
    transport = stand.transport(machine.server, way)
    looping = threading.Thread(target=loop)
    looping.start()
    done, until_s = None, time.monotonic() + 8.0
    try:
        while done is None and time.monotonic() < until_s:
            opened = stand.open(transport, booting=True)
            if isinstance(opened, Failure):
                assert opened.kind in AWAY, opened
                assert not opened.sent
                continue
            ran = len(executed)
            outcome = stand.run(transport, stand.cmd(), Limits(run_s=1.0, accept_s=0.5))
            if outcome.failure is None:
                done = outcome.exit_code
                assert len(executed) == ran + 1
            elif not outcome.failure.sent:
                assert len(executed) == ran
    finally:
        over.set()
        looping.join()
    assert done == 7
    assert executed
