"""Answers that are lost on the way: what they may have said is never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from outagekit.events import FailureKind
from outagekit.lab.wsman.injection import Drop
from outagekit.transports.meaning import verdict
from outagekit.transports.protocol import Failure, Limits, Opened

if TYPE_CHECKING:
    from conftest import Lab, Scripted

LIMITS = Limits(run_s=10.0, accept_s=3.0)


@pytest.mark.parametrize(("executed", "skip"), [(False, 1), (True, 1)])
def test_a_command_whose_last_words_may_be_lost_has_its_exit_code_and_no_verdict(
    lab: Lab, program: Scripted, executed: bool, skip: int
) -> None:
    def tells(asked: object, running: object) -> object:
        running.write(b"True\r\n")
        running.wait(0.2)
        running.write(b"False\r\n")
        running.wait(0.2)
        return lab.answer()

    program.acts["fix"] = tells
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("receive", Drop(executed=executed), skip=skip)
    outcome = transport.execute(lab.powershell(), LIMITS)
    assert outcome.exit_code == 0
    assert outcome.missing, outcome.stdout.text
    assert verdict(outcome) is None
    transport.close()


def test_many_breaks_at_one_place_are_told_by_one_line(lab: Lab, program: Scripted) -> None:
    def slow(asked: object, running: object) -> object:
        running.write(b"begun\r\n")
        running.wait(1.5)
        return lab.answer(stdout="x\r\nover\r\n")

    program.acts["fix"] = slow
    server = lab.server(program)
    transport = lab.opened(server)
    server.server.injections.plan("receive", Drop(executed=False), skip=1, times=3)
    outcome = transport.execute(lab.powershell(), LIMITS)
    assert outcome.failure is None, outcome
    assert server.server.injections.met == 3
    assert outcome.stdout.text.count("may be missing") == 1
    assert not outcome.missing
    transport.close()


def test_a_machine_whose_answer_who_it_is_was_lost_is_asked_again(
    lab: Lab, program: Scripted
) -> None:
    server = lab.server(program)
    transport = lab.transport(server)
    known = transport.open()
    assert isinstance(known, Opened)
    server.server.injections.plan("receive", Drop(executed=True))
    again = transport.open()
    transport.close()
    assert isinstance(again, Opened), again
    assert (again.machine_id, again.boot_id) == (known.machine_id, known.boot_id)
    assert again.machine_id


def test_a_machine_that_never_gets_to_say_who_it_is_is_out_of_reach(
    lab: Lab, program: Scripted
) -> None:
    server = lab.server(program)
    transport = lab.transport(server)
    for skip in (0, 1):  # the answer of each try; its end comes with the next message
        server.server.injections.plan("receive", Drop(executed=True), skip=skip)
    failure = transport.open()
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.sent) == (FailureKind.LOST, False)
    transport.close()
    assert server.server.shells == ()
