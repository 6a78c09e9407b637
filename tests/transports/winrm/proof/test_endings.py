"""How a command ends that does not end by itself, and who is not let in, by every way."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.lab.wsman.faults import TOO_MANY_OPERATIONS
from outagekit.lab.wsman.injection import Refuse
from outagekit.lab.wsman.rules import Rules
from outagekit.transports.protocol import Failure, Limits, Opened, Outcome

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way


def failed(outcome: Outcome | Opened | Failure, kind: FailureKind, *, sent: bool) -> Failure:
    failure = outcome.failure if isinstance(outcome, Outcome) else outcome
    assert isinstance(failure, Failure), outcome
    assert (failure.kind, failure.sent) == (kind, sent), outcome
    assert (failure.state is EndState.UNKNOWN) == sent
    return failure


class Hang:
    """A step that writes a word and then stays, until somebody stops it."""

    def __init__(self, stand: Stand, program: Steps) -> None:
        self.begun, self.stopped, self._stand = threading.Event(), threading.Event(), stand
        program.acts["fix"] = self.act

    def act(self, asked: object, running: object) -> object:
        running.write(b"before\r\n")
        self.begun.set()
        if running.wait(20.0):
            self.stopped.set()
        return self._stand.answer()


def rules_of(way: Way, **others: object) -> Rules:
    return Rules(wants_binding=way.rules.wants_binding, **others)


@pytest.mark.parametrize("framed", [True, False])
def test_a_hang_ends_at_its_deadline(stand: Stand, program: Steps, way: Way, framed: bool) -> None:
    hang = Hang(stand, program)
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    shell, began_s = server.server.shells[0].id, time.monotonic()
    command = stand.powershell() if framed else stand.cmd()
    outcome = stand.run(transport, command, Limits(run_s=0.3, accept_s=2.0))
    assert 0.25 < time.monotonic() - began_s < 2.5
    failed(outcome, FailureKind.TIMEOUT, sent=True)
    assert "before" in outcome.stdout.text
    assert hang.stopped.wait(1.0)
    # The shell it hung in is gone; what comes next has a fresh one.
    assert transport.alive
    assert shell not in [each.id for each in server.server.shells]
    assert stand.run(transport, stand.cmd(step="next")).exit_code == 0


@pytest.mark.parametrize("how", ["interrupt", "abort"])
def test_cancelling_ends_command_and_shell(
    stand: Stand, program: Steps, way: Way, how: str
) -> None:
    hang = Hang(stand, program)
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    thread, results = stand.in_thread(lambda: stand.run(transport, stand.powershell()))
    assert hang.begun.wait(3.0)
    # Its words were heard, and more is waited for: one look was that of the opening.
    until_s = time.monotonic() + 3.0
    while server.server.count("receive") < 3:
        assert time.monotonic() < until_s
        time.sleep(0.005)
    began_s = time.monotonic()
    getattr(transport, how)()
    thread.join(3.0)
    assert time.monotonic() - began_s < 2.0
    kind = FailureKind.ABANDONED if how == "interrupt" else FailureKind.LOST
    failed(results[0], kind, sent=True)
    again = stand.run(transport, stand.powershell(step="next"))
    assert again.failure is not None
    assert not again.failure.sent
    assert program.ran("next") == 0
    transport.close()
    assert hang.stopped.wait(1.0)
    assert isinstance(stand.open(transport), Opened)


@pytest.mark.parametrize("code", [0, 1, 5])
def test_powershell_that_was_killed_is_unknown_whatever_its_code(
    stand: Stand, program: Steps, way: Way, code: int
) -> None:
    program.is_mute = True
    program.acts["fix"] = lambda asked, running: stand.answer(code, "True\r\n")
    outcome = stand.run(stand.opened(stand.server(program, way), way), stand.powershell())
    failed(outcome, FailureKind.LOST, sent=True)
    assert program.ran() == 1


@pytest.mark.parametrize("framed", [True, False])
def test_a_shell_lost_while_a_command_runs(
    stand: Stand, program: Steps, way: Way, framed: bool
) -> None:
    def loses(asked: object, running: object) -> object:
        server.server.kept.lose()
        return stand.answer()

    program.acts["fix"] = loses
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    outcome = stand.run(transport, stand.powershell() if framed else stand.cmd())
    assert "restarted" in failed(outcome, FailureKind.LOST, sent=True).detail
    assert program.ran() == 1
    assert not transport.alive


@pytest.mark.parametrize("framed", [True, False])
def test_a_shell_lost_before_a_command(
    stand: Stand, program: Steps, way: Way, framed: bool
) -> None:
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    server.server.kept.lose()
    outcome = stand.run(transport, stand.powershell() if framed else stand.cmd())
    failed(outcome, FailureKind.LOST, sent=False)
    assert program.ran() == 0
    assert isinstance(stand.open(transport), Opened)


def test_shells_beyond_the_quota(stand: Stand, program: Steps, way: Way) -> None:
    server = stand.server(program, way, rules=rules_of(way, shells_per_user=1))
    first = stand.opened(server, way)
    second = stand.transport(server, way, name="pos-02")
    assert "idle time" in failed(stand.open(second), FailureKind.QUOTA, sent=False).detail
    first.close()
    assert isinstance(stand.open(second), Opened)


def test_operations_beyond_the_quota_are_answered_by_a_fresh_shell(
    stand: Stand, program: Steps, way: Way
) -> None:
    server = stand.server(program, way, rules=rules_of(way, operations_per_user=4))
    transport = stand.opened(server, way)
    shell = server.server.shells[0].id
    for _ in range(8):
        assert stand.run(transport, stand.cmd()).exit_code == 0
    assert program.ran() == 8
    assert [each.id for each in server.server.shells] != [shell]


def test_a_quota_that_stays_used_up_ran_nothing(stand: Stand, program: Steps, way: Way) -> None:
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    server.server.injections.plan("command", Refuse(TOO_MANY_OPERATIONS), times=9)
    failed(stand.run(transport, stand.powershell()), FailureKind.QUOTA, sent=False)
    assert program.ran() == 0
    assert not transport.alive
    server.server.injections.clear()
    assert isinstance(stand.open(transport), Opened)
    assert stand.run(transport, stand.powershell()).exit_code == 0


def test_a_wrong_password_is_told_and_stopped_after_two(
    stand: Stand, program: Steps, way: Way
) -> None:
    stand.secret = stand.wrong
    server = stand.server(program, way)
    for number in range(2):
        transport = stand.transport(server, way, name=f"pos-1{number}")
        failure = failed(stand.open(transport), FailureKind.AUTH, sent=False)
        assert "LocalAccountTokenFilterPolicy" in failure.detail
    requests = server.server.requests
    last = stand.transport(server, way, name="pos-19")
    failed(stand.open(last), FailureKind.CREDENTIAL_STOPPED, sent=False)
    assert (server.server.refused_logins, server.server.requests) == (2, requests)
    assert len(server.server.log) == 0


@pytest.mark.parametrize("name", ["basic", "bound", "pinned"])
def test_another_certificate_than_the_pinned_gets_no_login(
    stand: Stand, program: Steps, ways: dict[str, Way], name: str
) -> None:
    way = ways[name]
    server = stand.server(program, way, pin=stand.tls[not way.pinned])
    failure = failed(stand.open(stand.transport(server, way)), FailureKind.TLS, sent=False)
    assert "SHA256:" in failure.detail
    assert server.server.requests == 0
