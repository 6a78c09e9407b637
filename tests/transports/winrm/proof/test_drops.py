"""A connection that breaks at one message, before or after that was executed, by every way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from outagekit.events import FailureKind
from outagekit.lab.wsman.injection import Drop
from outagekit.transports.protocol import Limits, Outcome

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way

LIMITS = Limits(run_s=5.0, accept_s=2.0)
MESSAGES = ["command", "send", "receive"]


@pytest.mark.parametrize("executed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", MESSAGES)
def test_a_break_is_told_truly_and_runs_nothing_twice(
    stand: Stand, program: Steps, way: Way, kind: str, executed: bool
) -> None:
    program.acts["fix"] = lambda asked, running: stand.answer(7, "said\r\n")
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    server.server.injections.plan(kind, Drop(executed=executed))
    outcome = stand.run(transport, stand.powershell(), LIMITS)
    if (kind, executed) == ("command", False):
        assert told(outcome, FailureKind.LOST, sent=False)
        assert program.ran() == 0
    elif (kind, executed) == ("receive", True):
        # Its last words are gone with the answer, and with them how it ended.
        assert told(outcome, FailureKind.LOST, sent=True)
        assert program.ran() == 1
    else:
        assert (outcome.exit_code, program.ran()) == (7, 1), outcome
        assert "said" in outcome.stdout.text


def told(outcome: Outcome, kind: FailureKind, *, sent: bool) -> bool:
    if outcome.failure is None:
        return False
    assert (outcome.failure.kind, outcome.failure.sent) == (kind, sent), outcome
    return True


@pytest.mark.parametrize("executed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", ["command", "receive"])
def test_a_break_of_a_plain_line(
    stand: Stand, program: Steps, way: Way, kind: str, executed: bool
) -> None:
    program.acts["fix"] = lambda asked, running: stand.answer(7, "said\r\n")
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    server.server.injections.plan(kind, Drop(executed=executed, by_reset=False))
    outcome = stand.run(transport, stand.cmd(), LIMITS)
    if (kind, executed) == ("command", False):
        assert told(outcome, FailureKind.LOST, sent=False)
        assert program.ran() == 0
    else:
        assert (outcome.exit_code, program.ran()) == (7, 1), outcome


def test_a_script_that_may_exit_is_not_believed_when_its_last_words_are_lost(
    stand: Stand, program: Steps, way: Way
) -> None:
    program.acts["fix"] = lambda asked, running: stand.answer(0)
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    server.server.injections.plan("receive", Drop(executed=True))
    outcome = stand.run(transport, stand.powershell("exit 0"), LIMITS)
    assert told(outcome, FailureKind.LOST, sent=True), outcome
    assert program.ran() == 1


def test_breaks_again_and_again_lose_no_command(stand: Stand, program: Steps, way: Way) -> None:
    def writes(asked: object, running: object) -> object:
        for number in range(4):
            running.write(f"{number}\r\n".encode())
            running.wait(0.05)
        return stand.answer(7, "over\r\n")

    program.acts["fix"] = writes
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    for number in range(3):
        server.server.injections.plan("receive", Drop(executed=False), skip=2 * number)
    outcome = stand.run(transport, stand.powershell(), LIMITS)
    assert (outcome.exit_code, program.ran()) == (7, 1), outcome
    assert "over" in outcome.stdout.text


def test_an_endpoint_that_is_gone_for_good_is_unknown_by_the_deadline(
    stand: Stand, program: Steps, way: Way
) -> None:
    def goes(asked: object, running: object) -> object:
        server.go_down()
        running.wait(5.0)
        return stand.answer()

    program.acts["fix"] = goes
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    began_s = time.monotonic()
    outcome = stand.run(transport, stand.powershell(), Limits(run_s=0.5, accept_s=1.0))
    assert outcome.failure is not None
    assert outcome.failure.sent
    assert outcome.failure.kind in {FailureKind.LOST, FailureKind.TIMEOUT}
    assert time.monotonic() - began_s < 3.5
    transport.close()
    # Nobody was there to be told; who comes back first tidies up.
    stand.come_back(server)
    stand.opened(server, way)
