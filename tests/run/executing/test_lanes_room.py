"""What lanes know of attempts, and how endpoints that come back get their turn first."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from outagekit.events import AttemptId, EndpointId, EndState, FailureKind, StepId
from outagekit.inventory.model import Endpoint
from outagekit.playbook.model import Code, RunScript, Script
from outagekit.run.executing import lanes as lanes_module
from outagekit.run.executing.jobs import Job, Places
from outagekit.run.executing.lanes import LaneLimits, Lanes
from outagekit.run.orders import Answers, Finished, Order, Settled
from outagekit.testing.transport import ScriptedTransport, said
from outagekit.transports.protocol import Failure, Opened, Target


def target(name, port=22):
    return Target(
        endpoint=Endpoint(client="acme", name=name, address="127.0.0.1", os="linux", port=port)
    )


def order(name, *, step="mend", port=22):
    return Order(
        attempt=AttemptId(f"acme/{name}:{step}:1"),
        target=target(name, port),
        step=StepId(step),
        action=RunScript(Script((Code("sh", "true"),))),
    )


class Desk:
    """Lanes over scripted transports; those in `dead` hang while they open."""

    def __init__(self, folder, **limits):
        self.dead = set()
        self.free = threading.Event()
        self.opened = []
        self.opening = []
        self.made = []
        self.answer = lambda step, part: said()
        self.lanes = Lanes(self.connect, folder=folder, key=b"k", limits=LaneLimits(**limits))

    def connect(self, target):
        name = target.endpoint.name

        def door():
            self.opening.append(name)
            if name in self.dead:
                self.free.wait(20)
                return Failure(FailureKind.CONNECT_TIMEOUT, "nobody answers")
            self.opened.append(name)
            return Opened("m-1", "SHA256:k")

        self.made.append(ScriptedTransport(self.answer, door))
        return self.made[-1]

    def ends(self, number, timeout_s=5.0):
        found, until_s = {}, time.monotonic() + timeout_s
        while len(found) < number:
            assert time.monotonic() < until_s, found
            for report in self.lanes.reports(0.05):
                if isinstance(report, Finished):
                    found[report.attempt] = report
        return found

    def answers(self, timeout_s=5.0):
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            for report in self.lanes.reports(0.05):
                if isinstance(report, Answers):
                    return report.endpoint
        pytest.fail("no answer")


@pytest.fixture
def desks(tmp_path):
    made = []

    def make(**limits):
        made.append(Desk(tmp_path, **limits))
        return made[-1]

    yield make
    for desk in made:
        desk.free.set()
        desk.lanes.close(0.5)


def until(condition, timeout_s=5.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_an_attempt_of_another_life_has_no_record(desks):
    desk = desks()
    attempt = AttemptId("acme/a:mend:1")
    assert desk.lanes.settle([attempt]) == {attempt: Settled(kind="no_record")}
    assert desk.lanes.settle([]) == {}


def test_an_attempt_is_running_until_its_outcome_is_known(desks):
    desk = desks(lanes=1)
    desk.dead.add("a")
    first, second = order("a"), order("b")
    desk.lanes.submit(first)
    desk.lanes.submit(second)
    until(lambda: desk.opening == ["a"])
    known = desk.lanes.settle([first.attempt, second.attempt])
    assert [settled.kind for settled in known.values()] == ["running", "running"]
    desk.free.set()
    ends = desk.ends(2)
    known = desk.lanes.settle([first.attempt, second.attempt])
    assert known == {
        attempt: Settled(kind="outcome", outcome=ends[attempt])
        for attempt in (first.attempt, second.attempt)
    }
    assert ends[first.attempt].state is EndState.UNREACHABLE


def test_an_attempt_whose_endpoint_was_left_alone_was_never_started(desks):
    desk = desks(lanes=2, connecting=1)
    desk.dead.add("a")
    connecting, waiting, queued = order("a"), order("b"), order("c")
    for each in (connecting, waiting, queued):
        desk.lanes.submit(each)
    until(lambda: desk.opening == ["a"])
    time.sleep(0.03)
    for each in (connecting, waiting, queued):
        desk.lanes.cancel(each.attempt)
    desk.free.set()
    desk.ends(3)
    known = desk.lanes.settle([o.attempt for o in (connecting, waiting, queued)])
    assert [s.kind for s in known.values()] == ["outcome", "never_started", "never_started"]
    assert desk.opening == ["a"]


def test_only_so_many_outcomes_are_remembered(desks, monkeypatch):
    monkeypatch.setattr(lanes_module, "_MOST_REMEMBERED", 3)
    desk = desks()
    orders = [order("a", step=f"s{n}") for n in range(5)]
    for each in orders:
        desk.lanes.submit(each)
        desk.ends(1)
    known = desk.lanes.settle([each.attempt for each in orders])
    assert [s.kind for s in known.values()] == ["no_record"] * 2 + ["outcome"] * 3


def test_a_watched_endpoint_is_reported_once_when_it_answers(desks):
    desk = desks()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        desk.lanes.watch(target("a", port), 0.05)
        desk.lanes.watch(target("b", port), 0.05)
        desk.lanes.unwatch(EndpointId("acme/b"))
        assert desk.answers() == "acme/a"
        assert desk.lanes.reports(0.5) == []


def test_a_connection_kept_for_an_endpoint_that_is_watched_is_used_no_more(desks):
    desk = desks()
    desk.lanes.submit(order("a"))
    desk.ends(1)
    desk.lanes.watch(target("a", 1), 60.0)
    until(lambda: desk.made[0].closed)
    desk.lanes.submit(order("a", step="two"))
    desk.ends(1)
    assert desk.opened == ["a", "a"]


def test_closing_ends_all_watching(desks):
    before = set(threading.enumerate())
    desk = desks()
    with socket.create_server(("127.0.0.1", 0)) as server:
        desk.lanes.watch(target("a", server.getsockname()[1]), 0.3)
        desk.lanes.close(0.5)
        until(lambda: set(threading.enumerate()) <= before)
        assert desk.lanes.reports(0.4) == []


def test_an_endpoint_that_just_answered_does_not_wait_behind_dead_ones(desks):
    desk = desks(lanes=16, connecting=4)
    dead = [f"dead-{n}" for n in range(12)]
    desk.dead.update(dead)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        desk.lanes.watch(target("back", port), 0.2)
        desk.lanes.watch(target("away", 1), 60.0)
        for name in dead:
            desk.lanes.submit(order(name))
        until(lambda: len(desk.opening) == 3)
        assert desk.answers() == "acme/back"
        desk.lanes.submit(order("back", port=port))
        (finished,) = desk.ends(1, timeout_s=1.0).values()
    assert finished.attempt == "acme/back:mend:1"
    assert len(desk.opening) == 4


def test_an_endpoint_that_just_answered_takes_the_next_lane(desks):
    desk = desks(lanes=1)
    desk.dead.add("dead")
    desk.lanes.submit(order("dead"))
    until(lambda: desk.opening == ["dead"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        desk.lanes.watch(target("back", port), 0.0)
        assert desk.answers() == "acme/back"
    for name in ("x", "y", "back", "z"):
        desk.lanes.submit(order(name))
    desk.free.set()
    desk.ends(5)
    assert desk.opened == ["back", "x", "y", "z"]


def test_what_answered_long_ago_waits_as_everybody(desks, monkeypatch):
    monkeypatch.setattr(lanes_module, "_FRESH_S", 0.05)
    desk = desks(lanes=1)
    desk.dead.add("dead")
    desk.lanes.submit(order("dead"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        desk.lanes.watch(target("back", server.getsockname()[1]), 0.0)
        assert desk.answers() == "acme/back"
    time.sleep(0.06)
    for name in ("x", "back"):
        desk.lanes.submit(order(name))
    desk.free.set()
    desk.ends(3)
    assert desk.opened == ["x", "back"]


def test_reports_of_a_lane_that_was_given_up_are_dropped(desks, monkeypatch):
    monkeypatch.setattr(lanes_module, "_END_S", 0.02)
    monkeypatch.setattr(lanes_module, "_ABANDON_S", 0.02)
    desk = desks()
    stuck = threading.Event()

    def answer(step, part):
        desk.opening.append(part)
        stuck.wait(10)
        return said("late news")

    desk.answer = answer
    made = order("a")
    desk.lanes.submit(made)
    until(lambda: "script" in desk.opening)
    desk.lanes.cancel(made.attempt)
    ends = desk.ends(1)
    assert ends[made.attempt].failure is FailureKind.ABANDONED
    stuck.set()
    until(lambda: desk.made[0].closed)
    assert desk.lanes.reports(0.1) == []
    assert desk.lanes.settle([made.attempt])[made.attempt].outcome == ends[made.attempt]


class TestPlaces:
    def enter(self, places, job):
        done = threading.Event()

        def work():
            job.got = places.enter(job.job)
            done.set()

        threading.Thread(target=work, daemon=True).start()
        return done

    class Caller:
        def __init__(self, *, first=False):
            self.job = Job(order("a"), first=first)
            self.got = None

    def test_those_that_are_first_go_before_all_others(self):
        places = Places(1)
        holder, others = self.Caller(), [self.Caller() for _ in range(3)]
        first = self.Caller(first=True)
        assert places.enter(holder.job)
        waiting = [self.enter(places, other) for other in others]
        done = self.enter(places, first)
        until(lambda: len(places._first) == 1 and len(places._others) == 3)
        places.leave(holder.job)
        assert done.wait(2)
        assert first.got
        assert not any(event.is_set() for event in waiting)

    def test_a_cancelled_one_gives_no_place_away(self):
        places = Places(1)
        holder, gone, last = self.Caller(), self.Caller(), self.Caller()
        assert places.enter(holder.job)
        left, done = self.enter(places, gone), self.enter(places, last)
        until(lambda: len(places._others) == 2)
        gone.job.cancelled.set()
        gone.job.called.set()
        assert left.wait(2)
        assert not gone.got
        places.leave(holder.job)
        places.leave(holder.job)
        assert done.wait(2)
        assert last.got
        assert not self.enter(places, self.Caller()).wait(0.1)

    def test_kept_places_are_for_those_that_are_first(self):
        places = Places(2, lambda: 1)
        assert places.enter(Job(order("a")))
        other = self.enter(places, self.Caller())
        assert self.enter(places, self.Caller(first=True)).wait(2)
        assert not other.wait(0.1)
