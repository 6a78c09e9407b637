"""What is planned to go wrong does, at the message it was planned for, and nowhere else."""

from __future__ import annotations

import socket
import time
from xml.etree import ElementTree as ET

import pytest

from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.faults import BUSY, DENIED, TORN_DOWN
from outagekit.lab.wsman.injection import (
    Delay,
    Drop,
    Injections,
    Refuse,
    Replace,
    Status,
    Trickle,
    Truncate,
)

KINDS = ("create", "command", "send", "receive", "signal", "delete")


@pytest.fixture
def one(at_hand):
    return at_hand()


@pytest.fixture
def plan(one):
    return one.lone.server.injections.plan


def each_kind(one):
    """Send one message of each kind, with what each of them gives the next."""
    shell = one.create().shell
    command = one.run(shell, "cat")
    one.input(shell, command, b"x")
    one.receive(shell, command)
    one.signal(shell, command, "terminate")
    one.delete(shell)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("by_reset", [False, True])
def test_a_message_is_dropped_before_or_after_it_was_executed(one, plan, kind, executed, by_reset):
    plan(kind, Drop(executed=executed, by_reset=by_reset))
    with pytest.raises(OSError):
        each_kind(one)
    server = one.lone.server
    assert server.log[-1].kind == kind
    one.http.close()
    shells = server.shells
    began, ended = kind == "create", kind == "delete"
    assert len(shells) == ((executed and began) or (not began and not (ended and executed)))
    if kind == "command":
        assert bool(shells[0].commands) is executed
    each_kind(one)
    assert server.injections.met == 1


@pytest.mark.parametrize("code", [400, 404, 413, 500, 503])
def test_a_status_comes_in_the_place_of_an_answer(one, plan, code):
    plan("create", Status(code))
    answer = one.create()
    assert (answer.status, answer.body, one.lone.server.shells) == (code, "", ())
    assert one.create().status == 200


def test_a_401_says_how_to_log_in(one, plan):
    plan("create", Status(401))
    answer = one.create()
    assert (answer.status, "Negotiate" in answer.headers["WWW-Authenticate"]) == (401, True)


@pytest.mark.parametrize("fault", [BUSY, DENIED, TORN_DOWN])
def test_a_fault_comes_in_the_place_of_an_answer(one, plan, fault):
    plan("command", Refuse(fault))
    shell = one.create().shell
    assert one.command(shell, "echo hi").code == fault.code
    assert one.lone.server.shells[0].commands == {}


def test_an_answer_can_be_cut(one, plan):
    plan("create", Truncate(50))
    with pytest.raises((OSError, Exception), match="IncompleteRead"):
        one.create()
    assert len(one.lone.server.shells) == 1


def test_an_answer_can_be_nonsense(one, plan):
    plan("create", Replace(b"<html>", 200))
    answer = one.create()
    assert (answer.status, answer.body) == (200, "<html>")
    assert answer.headers["Content-Type"].startswith("application/soap+xml")


def test_an_answer_can_come_late_and_slowly(one, plan):
    plan("create", Delay(0.04))
    begin_s = time.monotonic()
    assert one.create().status == 200
    assert time.monotonic() - begin_s >= 0.04
    plan("create", Trickle(100, 0.001))
    assert ET.fromstring(one.create().body) is not None


def test_plans_are_followed_in_their_order_after_those_they_skip():
    planned = Injections()
    planned.plan("receive", Status(500), skip=1)
    planned.plan("any", Status(503), times=2)
    kinds = ("receive", "receive", "create", "receive")
    assert [planned.take(k) for k in kinds] == [Status(503), Status(500), Status(503), None]
    planned.plan("any", Status(400))
    planned.clear()
    assert planned.take("create") is None


def test_a_step_of_a_login_is_a_hello(lone, client):
    one = client(lone())
    one.lone.server.injections.plan("hello", Status(503))
    assert one.post(headers={}).status == 503
    assert one.post(headers={}).status == 401


@pytest.mark.parametrize("refusal", [401, 404, 500, 503])
def test_a_gate_answers_the_first_requests(one, refusal):
    one.lone.server.injections.gate(refusal, requests=2)
    assert [one.create().status for _ in range(3)] == [refusal, refusal, 200]


@pytest.mark.parametrize("refusal", ["reset", "close"])
def test_a_gate_breaks_the_first_connections(one, refusal):
    one.lone.server.injections.gate(refusal, requests=1)
    with pytest.raises(OSError):
        one.create()
    one.http.close()
    assert one.create().status == 200
    assert len(one.lone.server.log) == 1


def test_a_gate_opens_after_its_time():
    now_s = [0.0]
    gate = Injections(clock=lambda: now_s[0])
    assert gate.at_gate() is None
    gate.gate(503, for_s=2.0)
    assert gate.at_gate() == 503
    now_s[0] = 2.0
    assert gate.at_gate() is None


def test_a_service_that_is_down_refuses_and_its_shells_are_there_again(one):
    shell = one.create().shell
    one.lone.go_down()
    with pytest.raises(OSError):
        one.command(shell, "echo hi")
    one.http.close()
    until(lambda: not is_open(one.lone.port))
    one.lone.come_up()
    until(lambda: is_open(one.lone.port))
    assert one.command(shell, "echo hi").status == 200


def is_open(port):
    try:
        socket.create_connection((LOOPBACK, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def until(true, *, within_s=5.0):
    end_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.002)
