"""Losses at every message: what ran is told truly, nothing runs twice, no shell stays."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.lab.wsman.faults import BUSY, UNKNOWN_SELECTOR
from outagekit.lab.wsman.injection import Delay, Drop, Refuse, Replace, Status, Truncate
from outagekit.lab.wsman.rules import Rules
from outagekit.transports.protocol import Failure, Limits, Outcome

if TYPE_CHECKING:
    from conftest import Lab, Scripted

LIMITS = Limits(run_s=10.0, accept_s=3.0)
TROUBLES = {
    "dropped before": Drop(executed=False),
    "dropped after": Drop(executed=True),
    "closed before": Drop(executed=False, by_reset=False),
    "closed after": Drop(executed=True, by_reset=False),
    "cut answer": Truncate(40),
    "no answer of WinRM": Replace(),
}


def ran_and_told_agree(outcome: Outcome, ran: int) -> None:
    """The one rule: success and `sent=False` are both claims that must be true."""
    assert ran <= 1
    if outcome.failure is None:
        assert ran == 1
    elif not outcome.failure.sent:
        assert ran == 0
        assert outcome.failure.state is not EndState.UNKNOWN


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("kind", ["command", "send", "receive"])
@pytest.mark.parametrize("framed", [True, False])
def test_trouble_with_one_message(
    lab: Lab, program: Scripted, kind: str, trouble: str, framed: bool
) -> None:
    if not framed and kind == "send":
        return  # it has no input
    meets_trouble(lab, program, {"scheme": "http"}, (kind, trouble), framed=framed)


@pytest.mark.parametrize("kind", ["command", "send", "receive"])
@pytest.mark.parametrize("trouble", ["dropped before", "dropped after"])
def test_trouble_with_one_message_on_every_way(
    lab: Lab, program: Scripted, way: dict, kind: str, trouble: str
) -> None:
    meets_trouble(lab, program, way, (kind, trouble), framed=True)


def meets_trouble(
    lab: Lab, program: Scripted, way: dict, what: tuple[str, str], *, framed: bool
) -> None:
    kind, trouble = what
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    server.server.injections.plan(kind, TROUBLES[trouble])
    command = lab.powershell() if framed else lab.cmd()
    outcome = transport.execute(command, LIMITS)
    ran_and_told_agree(outcome, program.ran("fix"))
    if kind == "command" and "before" in trouble:
        assert outcome.failure is not None
        assert outcome.failure.kind is FailureKind.LOST
    else:
        # The endpoint has the command and its input, and goes on without the connection.
        assert outcome.exit_code == 0 or kind == "receive", outcome
    transport.close()
    assert server.server.shells == ()
    assert server.server.clear_bodies == 0


@pytest.mark.parametrize("kind", ["command", "send", "receive"])
def test_a_service_that_is_away_for_a_moment(lab: Lab, program: Scripted, kind: str) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan(kind, Status(503), times=2)
    outcome = transport.execute(lab.powershell(), LIMITS)
    ran_and_told_agree(outcome, program.ran("fix"))
    assert (outcome.failure is None) == (kind != "command")
    transport.close()
    assert server.server.shells == ()


def test_a_command_goes_on_through_many_losses(lab: Lab, program: Scripted) -> None:
    def slow(asked: object, running: object) -> object:
        for number in range(5):
            running.wait(0.1)
            running.write(f"{number}\r\n".encode())
        return lab.answer(stdout="over\r\n")

    program.acts["fix"] = slow
    server = lab.server(program)
    transport = lab.opened(server)
    for skip in range(3):
        server.server.injections.plan("receive", Drop(executed=False), skip=skip)
    outcome = transport.execute(lab.powershell(), LIMITS)
    assert outcome.failure is None, outcome
    assert "over" in outcome.stdout.text
    assert program.ran("fix") == 1


def test_output_that_may_be_missing_is_never_a_verdict(lab: Lab, program: Scripted) -> None:
    def tells(asked: object, running: object) -> object:
        running.write(b"True\r\n")
        running.wait(0.2)
        running.write(b"False\r\n")
        running.wait(0.2)
        return lab.answer()

    program.acts["fix"] = tells
    server = lab.server(program)
    transport = lab.opened(server)
    # The answer with the last line is lost on the way.
    server.server.injections.plan("receive", Drop(executed=True), skip=1)
    outcome = transport.execute(lab.powershell(), LIMITS)
    last = outcome.stdout.text.strip().splitlines()[-1]
    assert last != "True", outcome


def test_a_shell_lost_between_steps_ran_nothing(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.kept.lose()
    failure = transport.execute(lab.powershell(), LIMITS).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, False)
    assert not transport.alive
    transport.close()
    assert not isinstance(transport.open(), Failure)


def test_a_restart_while_a_command_runs_is_unknown(lab: Lab, program: Scripted) -> None:
    def restart(asked: object, running: object) -> object:
        program.boot += 1
        server.cut()
        running.wait(5.0)
        return lab.answer()

    program.acts["fix"] = restart
    server = lab.server(program)
    transport = lab.opened(server)
    failure = transport.execute(lab.powershell(), LIMITS).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, True)
    assert "restarted" in failure.detail
    assert failure.state is EndState.UNKNOWN
    assert not transport.alive


def test_a_machine_that_goes_down_for_good_is_unknown_in_time(lab: Lab, program: Scripted) -> None:
    def down(asked: object, running: object) -> object:
        server.go_down()
        running.wait(5.0)
        return lab.answer()

    program.acts["fix"] = down
    server = lab.server(program)
    transport = lab.opened(server)
    began_s = time.monotonic()
    failure = transport.execute(lab.powershell(), Limits(run_s=1.0, accept_s=1.0)).failure
    assert failure is not None
    assert failure.sent
    assert failure.state is EndState.UNKNOWN
    assert time.monotonic() - began_s < 4.0


def test_a_refused_login_on_the_way_back_is_not_counted(lab: Lab, program: Scripted) -> None:
    def locked(asked: object, running: object) -> object:
        server.server.injections.gate(401, requests=50)
        server.cut()
        running.wait(1.0)
        return lab.answer()

    program.acts["fix"] = locked
    server = lab.server(program)
    transport = lab.opened(server)
    failure = transport.execute(lab.powershell(), LIMITS).failure
    assert failure is not None
    assert failure.sent
    server.server.injections.clear()
    other = lab.server()
    assert not isinstance(lab.transport(other, name="b").open(), Failure)


def test_silence_after_a_command_is_settled_by_its_id(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("command", Delay(1.5))
    outcome = transport.execute(lab.cmd(), Limits(run_s=5.0, accept_s=0.5))
    ran_and_told_agree(outcome, program.ran("fix"))
    transport.close()


def test_a_deadline_ends_a_command_and_its_shell(lab: Lab, program: Scripted, way: dict) -> None:
    stopped = threading.Event()

    def hangs(asked: object, running: object) -> object:
        running.write(b"before\r\n")
        running.wait(20.0)
        stopped.set()
        return lab.answer()

    program.acts["fix"] = hangs
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    shell = server.server.shells[0].id
    began_s = time.monotonic()
    outcome = transport.execute(lab.powershell(), Limits(run_s=0.6, accept_s=3.0))
    assert time.monotonic() - began_s < 3.0
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.TIMEOUT, True)
    assert "before" in outcome.stdout.text
    assert stopped.wait(1.0)
    # What comes next meets the same machine in a fresh shell.
    assert transport.alive
    assert [each.id for each in server.server.shells] != [shell]
    assert len(server.server.shells) == 1
    assert transport.execute(lab.cmd("other"), LIMITS).exit_code == 0


def test_an_endpoint_that_falls_silent_costs_its_deadline_only(lab: Lab, program: Scripted) -> None:
    program.acts["fix"] = lambda asked, running: (running.wait(9.0), lab.answer())[1]
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("signal", Delay(3.0), times=5)
    server.server.injections.plan("delete", Delay(3.0), times=5)
    began_s = time.monotonic()
    failure = transport.execute(lab.powershell(), Limits(run_s=0.6, accept_s=3.0)).failure
    assert failure is not None
    assert failure.kind is FailureKind.TIMEOUT
    assert time.monotonic() - began_s < 5.0


def test_interrupt_ends_the_command_at_once(lab: Lab, program: Scripted, way: dict) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def hangs(asked: object, running: object) -> object:
        begun.set()
        running.wait(20.0)
        stopped.set()
        return lab.answer()

    program.acts["fix"] = hangs
    server = lab.server(program, scheme=way["scheme"])
    transport = lab.opened(server, auth=way.get("auth"))
    thread, results = lab.in_thread(lambda: transport.execute(lab.powershell(), LIMITS))
    assert begun.wait(3.0)
    began_s = time.monotonic()
    transport.interrupt()
    thread.join(3.0)
    assert time.monotonic() - began_s < 2.0
    failure = results[0].failure
    assert (failure.kind, failure.sent) == (FailureKind.ABANDONED, True)
    assert stopped.wait(1.0)
    assert server.server.shells == ()
    assert not transport.alive
    again = transport.execute(lab.cmd(), LIMITS)
    assert again.failure is not None
    assert not again.failure.sent
    transport.close()


def test_abort_cuts_from_any_thread(lab: Lab, program: Scripted) -> None:
    begun = threading.Event()

    def hangs(asked: object, running: object) -> object:
        begun.set()
        running.wait(20.0)
        return lab.answer()

    program.acts["fix"] = hangs
    server = lab.server(program)
    transport = lab.opened(server)
    thread, results = lab.in_thread(lambda: transport.execute(lab.powershell(), LIMITS))
    assert begun.wait(3.0)
    began_s = time.monotonic()
    transport.abort()
    thread.join(3.0)
    assert time.monotonic() - began_s < 1.0
    failure = results[0].failure
    assert (failure.kind, failure.sent) == (FailureKind.LOST, True)
    assert not transport.alive
    transport.close()
    # The shell is deleted over a connection of its own, and with it the command.
    assert server.server.shells == ()


def test_what_was_interrupted_before_it_began_never_begins(lab: Lab, program: Scripted) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    transport.interrupt()
    outcome = transport.execute(lab.powershell(), LIMITS)
    assert outcome.failure is not None
    assert not outcome.failure.sent
    assert program.ran("fix") == 0
    transport.close()
    assert server.server.shells == ()


def test_a_long_silence_is_asked_through(lab: Lab, program: Scripted, monkeypatch) -> None:
    from outagekit.transports.winrm import running as module

    monkeypatch.setattr(module, "_WAIT_S", 0.5)
    program.acts["fix"] = lambda asked, running: (running.wait(1.3), lab.answer())[1]
    server = lab.server(program)
    transport = lab.opened(server)
    assert transport.execute(lab.powershell(), LIMITS).exit_code == 0
    assert server.server.count("receive") >= 4


def test_input_nobody_takes_is_no_doubt(lab: Lab, program: Scripted) -> None:
    server = lab.server(program, rules=Rules(most_body_bytes=4000))
    transport = lab.opened(server)
    outcome = transport.execute(lab.powershell(), LIMITS)
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.SIZE, False)
    transport.close()
    assert server.server.shells == ()
    assert program.ran("fix") == 0


def test_a_shell_that_ends_while_input_is_sent_has_begun_nothing(
    lab: Lab, program: Scripted
) -> None:
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("send", Refuse(UNKNOWN_SELECTOR))
    failure = transport.execute(lab.powershell(), LIMITS).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, False)
    transport.close()
    assert program.ran("fix") == 0


@pytest.mark.parametrize("times", [1, 99])
def test_a_busy_endpoint_is_given_time_for_its_input(
    lab: Lab, program: Scripted, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    from outagekit.transports.winrm import starting as module

    monkeypatch.setattr(module, "_BUSY_S", 0.02)
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("send", Refuse(BUSY), times=times)
    outcome = transport.execute(lab.powershell(), Limits(run_s=0.8, accept_s=3.0))
    ran_and_told_agree(outcome, program.ran("fix"))
    assert (outcome.exit_code == 0) == (times == 1)


@pytest.mark.parametrize("kind", ["command", "send", "receive", "signal", "delete"])
@pytest.mark.parametrize("executed", [True, False])
def test_a_loss_while_a_command_is_stopped_changes_nothing_of_what_is_said(
    lab: Lab, program: Scripted, kind: str, executed: bool
) -> None:
    program.acts["fix"] = lambda asked, running: (running.wait(9.0), lab.answer())[1]
    server = lab.server(program)
    transport = lab.opened(server)
    skip = 1 if kind == "receive" else 0
    server.server.injections.plan(kind, Drop(executed=executed), skip=skip)
    outcome = transport.execute(lab.powershell(), Limits(run_s=0.6, accept_s=3.0))
    assert outcome.failure is not None
    if outcome.failure.sent:
        assert outcome.failure.kind in {FailureKind.TIMEOUT, FailureKind.LOST}
    else:
        assert program.ran("fix") == 0
    transport.close()
    assert server.server.shells == ()


def test_interrupting_at_any_moment_ends_it(lab: Lab, program: Scripted) -> None:
    program.acts["fix"] = lambda asked, running: (running.wait(9.0), lab.answer())[1]
    server = lab.server(program)
    transport = lab.transport(server)
    for delay_s in (0.0, 0.002, 0.005, 0.01):
        assert not isinstance(transport.open(), Failure)
        thread, results = lab.in_thread(lambda: transport.execute(lab.powershell(), LIMITS))
        time.sleep(delay_s)
        began_s = time.monotonic()
        transport.interrupt()
        thread.join(2.0)
        if thread.is_alive():  # as lanes do it
            transport.abort()
            thread.join(2.0)
        assert time.monotonic() - began_s < 3.5
        assert results[0].failure is not None
        transport.close()
        assert server.server.shells == ()
