"""Lanes and the execution of one order: what is sent in which order, and what never hangs."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
import time

import msgspec
import pytest

from outagekit.errors import LogUnwritable
from outagekit.events import EndpointId, EndState, FailureKind
from outagekit.playbook.model import Fetch, Push, WaitHttp, WaitScript, WaitTcp
from outagekit.run.engine.commands import Start
from outagekit.run.engine.ordering import make_order
from outagekit.run.executing import lanes as lanes_module
from outagekit.run.executing.lanes import LaneLimits, Lanes
from outagekit.run.orders import Fetched, Finished, FirstContact, Part
from outagekit.testing.builders import endpoints, plan_of, read, script, step
from outagekit.testing.transport import ScriptedTransport, said
from outagekit.transports.protocol import Failure, Opened


def order_of(made, *, on=None, number=1):
    endpoint = (on or endpoints(1))[0]
    plan = plan_of([made], on=[endpoint])
    values = {"client": "acme", "endpoint": endpoint.name, "run": "r"}
    attempt = f"{endpoint.id}:{made.id}:{number}"
    return make_order(plan, endpoint, Start(EndpointId(endpoint.id), made, attempt, number, values))


class Bench:
    def __init__(self, tmp_path, answer, **fields):
        self.transports = []
        self._answer = answer
        self._opened = fields.pop("opened", None)
        self.reach = None
        limits = LaneLimits(**fields)
        self.lanes = Lanes(self._connect, folder=tmp_path, key=b"k" * 32, limits=limits)

    def _connect(self, target):
        transport = ScriptedTransport(self._answer, self._opened)
        if self.reach is not None:
            transport.reach = self.reach
        self.transports.append(transport)
        return transport

    def run(self, order):
        self.lanes.submit(order)
        return self.until_finished(1)

    def until_finished(self, number, timeout_s=5.0):
        reports, deadline = [], time.monotonic() + timeout_s
        while sum(isinstance(r, Finished) for r in reports) < number:
            assert time.monotonic() < deadline, f"only {reports}"
            reports.extend(self.lanes.reports(0.02))
        return reports


def parts(bench):
    return [part for transport in bench.transports for _, part in transport.commands]


def test_a_true_check_means_that_nothing_is_done(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    *_, finished = bench.run(order_of(step("mend", check="c", verify="v")))
    assert (finished.state, parts(bench)) == (EndState.OK, ["check"])


def test_a_false_check_runs_the_script_and_green_means_verified(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said(code=1 if part == "check" else 0))
    *_, finished = bench.run(order_of(step("mend", check="c", verify="v")))
    assert (finished.state, parts(bench)) == (EndState.CHANGED, ["check", "script", "verify"])


def test_a_script_that_says_done_is_failed_when_verify_says_otherwise(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said(code=0 if part == "script" else 1))
    *_, finished = bench.run(order_of(step("mend", check="c", verify="v")))
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.VERIFY)


def test_a_broken_check_fails_the_step_and_its_script_does_not_run(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said(code=127, stderr="sh: 1: nope: not found"))
    *_, finished = bench.run(order_of(step("mend", check="nope")))
    assert finished.failure is FailureKind.CHECK_BROKEN
    assert "not found" in finished.detail
    assert parts(bench) == ["check"]


def test_a_connection_lost_after_sending_is_unknown(tmp_path):
    lost = Failure(FailureKind.LOST, "reset", sent=True)
    bench = Bench(tmp_path, lambda step, part: lost if part == "script" else said(code=1))
    *_, finished = bench.run(order_of(step("mend", check="c")))
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.LOST)


def test_a_connection_lost_before_sending_is_unreachable(tmp_path):
    lost = Failure(FailureKind.LOST, "reset", sent=False)
    bench = Bench(tmp_path, lambda step, part: lost)
    *_, finished = bench.run(order_of(step("mend")))
    assert finished.state is EndState.UNREACHABLE


def test_an_exit_code_fails_the_step_with_the_last_thing_it_said(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said("out\n", code=4, stderr="a\nno space\n"))
    *_, finished = bench.run(order_of(step("mend")))
    assert (finished.failure, finished.detail) == (FailureKind.EXIT_CODE, "exit code 4: no space")


def test_a_result_is_read_from_the_last_line_and_typed(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said('chatter\n{"sick": true, "n": 3}\n'))
    *_, finished = bench.run(order_of(read("look", result={"sick": "bool"})))
    assert finished.result == {"sick": True}


@pytest.mark.parametrize("line", ["", "no json", "[1]", '{"sick": "maybe"}', "{}"])
def test_a_result_that_is_missing_or_mistyped_fails_the_step(tmp_path, line):
    bench = Bench(tmp_path, lambda step, part: said(line))
    *_, finished = bench.run(order_of(read("look", result={"sick": "bool"})))
    assert finished.failure is FailureKind.BAD_RESULT


@pytest.mark.parametrize("lost", ["check", "script"])
def test_an_answer_that_was_lost_with_the_connection_is_doubt_and_no_failure(tmp_path, lost):
    def answer(step, part):
        whole = said('{"found": true}\n', code=1 if part == "check" else 0)
        torn = dataclasses.replace(whole, exit_code=0, missing=True)
        return torn if part == lost else whole

    made = step("mend", check=script("test"), result={"found": "bool"})
    *_, finished = Bench(tmp_path, answer).run(order_of(made))
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.LOST)
    assert lost in finished.detail


def test_what_was_sent_is_proven_by_a_keyed_hash_not_shown(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    first, *_ = bench.run(order_of(step("mend")))
    assert isinstance(first, Part)
    assert len(first.command) == 64
    assert "run mend" not in msgspec.json.encode(first).decode()


def test_a_wait_asks_again_until_it_is_true(tmp_path):
    answers = iter([said(code=1), said(code=1), said()])
    bench = Bench(tmp_path, lambda step, part: next(answers))
    waiting = read("up", action=WaitScript(script("probe"), every_s=0.01), timeout_s=2.0)
    *_, finished = bench.run(order_of(waiting))
    assert finished.state is EndState.OK
    assert parts(bench) == ["script"] * 3


def test_a_wait_that_never_becomes_true_fails_at_its_timeout(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said(code=1))
    waiting = read("up", action=WaitScript(script("probe"), every_s=0.01), timeout_s=0.05)
    *_, finished = bench.run(order_of(waiting))
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.TIMEOUT)


def test_waiting_for_a_port_looks_the_way_the_endpoint_is_reached(tmp_path):
    seen = []

    def reach(port, timeout_s):
        seen.append(port)
        if len(seen) < 3:
            return Failure(FailureKind.REFUSED, "nothing listens there")
        near, far = socket.socketpair()
        far.close()
        return near

    bench = Bench(tmp_path, lambda step, part: said())
    bench.reach = reach
    waiting = read("up", action=WaitTcp(443, every_s=0.01), timeout_s=2.0)
    *_, finished = bench.run(order_of(waiting))
    assert finished.state is EndState.OK
    assert seen == [443, 443, 443]


def test_waiting_for_a_page_asks_over_the_way_the_endpoint_is_reached(tmp_path):
    asked, ends = [], []

    def reach(port, timeout_s):
        near, far = socket.socketpair()
        far.sendall(b"HTTP/1.1 %d Word\r\n\r\n" % (200 if asked else 503))
        ends.append(far)
        asked.append(port)
        return near

    bench = Bench(tmp_path, lambda step, part: said())
    bench.reach = reach
    waiting = read("up", action=WaitHttp(8080, every_s=0.01), timeout_s=2.0)
    *_, finished = bench.run(order_of(waiting))
    assert (finished.state, asked) == (EndState.OK, [8080, 8080])
    for end in ends:
        assert end.recv(4096).startswith(b"GET / HTTP/1.1\r\n")
        end.close()


def test_what_can_never_be_seen_is_not_waited_for(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    never = Failure(FailureKind.PROTOCOL, "the jump host forbids connections to it")
    bench.reach = lambda port, timeout_s: never
    waiting = read("up", action=WaitTcp(443), timeout_s=30.0)
    *_, finished = bench.run(order_of(waiting))
    assert (finished.state, finished.detail) == (EndState.FAILED, never.detail)


def test_push_writes_the_file_and_is_a_change(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    pushing = step("push", action=Push("a.conf", "/etc/a.conf", b"x=1\n"))
    *_, finished = bench.run(order_of(pushing))
    assert finished.state is EndState.CHANGED
    assert bench.transports[0].files == {"/etc/a.conf": b"x=1\n"}


def test_fetch_keeps_files_as_evidence_under_names_of_ours(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    bench.run(order_of(step("one")))
    bench.transports[0].files["/var/log/../evil name"] = b"data"
    fetching = read("get", action=Fetch(("/var/log/../evil name",), 1000))
    fetched, finished = bench.run(order_of(fetching))
    assert isinstance(fetched, Fetched)
    assert finished.state is EndState.OK
    assert (tmp_path / fetched.path).read_bytes() == b"data"
    assert fetched.path.startswith("evidence/acme/pos-01/get/")


def test_the_size_limit_of_a_fetch_is_for_all_its_files_together(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    bench.run(order_of(step("one")))
    bench.transports[0].files.update({"/a": b"x" * 600, "/b": b"x" * 600})
    *_, finished = bench.run(order_of(read("get", action=Fetch(("/a", "/b"), 1000))))
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.SIZE)
    assert "400 bytes" in finished.detail


def test_a_fetch_has_one_timeout_for_all_its_files(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    bench.run(order_of(step("one")))
    bench.transports[0].files.update({"/a": b"x", "/b": b"x"})
    *_, finished = bench.run(
        order_of(read("get", action=Fetch(("/a", "/b"), 1000), timeout_s=1e-9))
    )
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.TIMEOUT)


def test_a_look_of_a_wait_gets_no_more_than_the_time_that_is_left(tmp_path):
    answers = iter([said(code=1), said()])
    bench = Bench(tmp_path, lambda step, part: next(answers))
    waiting = read("up", action=WaitScript(script("probe"), every_s=0.03), timeout_s=100.0)
    bench.run(order_of(waiting))
    first, second = bench.transports[0].limits_s
    assert second <= first - 0.02


def test_a_fetch_that_fails_leaves_no_file(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    *_, finished = bench.run(order_of(read("get", action=Fetch(("/nope",), 1000))))
    assert finished.state is EndState.FAILED
    assert [p for p in (tmp_path / "evidence").rglob("*") if p.is_file()] == []


def test_an_endpoint_that_cannot_be_opened_is_answered_with_its_kind(tmp_path):
    closed = Failure(FailureKind.HOST_KEY, "changed")
    bench = Bench(tmp_path, lambda step, part: said(), opened=closed)
    *_, finished = bench.run(order_of(step("mend")))
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.HOST_KEY)
    assert parts(bench) == []


def test_first_contact_is_reported_once(tmp_path):
    opened = Opened("m-7", "SHA256:k", first_contact=True)
    bench = Bench(tmp_path, lambda step, part: said(), opened=opened)
    reports = bench.run(order_of(step("one"))) + bench.run(order_of(step("two")))
    assert [r.machine_id for r in reports if isinstance(r, FirstContact)] == ["m-7"]


def test_the_connection_of_an_endpoint_is_kept_between_its_steps(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    bench.run(order_of(step("one")))
    bench.run(order_of(step("two")))
    assert [t.opens for t in bench.transports] == [1]


def test_a_kept_connection_that_died_is_opened_anew(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said())
    bench.run(order_of(step("one")))
    bench.transports[0].aborted.set()
    *_, finished = bench.run(order_of(step("two")))
    assert finished.state is EndState.CHANGED
    assert len(bench.transports) == 2


NOT_TAKEN = Failure(FailureKind.TIMEOUT, "the server did not take a command within 10 s")


class Dying:
    """Endpoints that hear nothing any more over a connection on which they were asked once."""

    def __init__(self, failure, *, parts=("script",)):
        self._failure, self._parts, self.lines = failure, parts, []

    def connect(self, target):
        taken = []

        def answer(step, part):
            taken.append(part)
            dead = len(taken) > 1 and part in self._parts
            return self._failure if dead else said(code=1 if part == "check" else 0)

        self.lines.append(ScriptedTransport(answer))
        return self.lines[-1]


def dying(tmp_path, *failure, **fields):
    bench = Bench(tmp_path, None)
    endpoint = Dying(*failure, **fields)
    bench.lanes._connect = endpoint.connect
    return bench, endpoint


@pytest.mark.parametrize("failure", [NOT_TAKEN, Failure(FailureKind.LOST, "reset")])
def test_a_kept_connection_that_died_unseen_is_opened_anew_and_nothing_is_done_twice(
    tmp_path, failure
):
    bench, endpoint = dying(tmp_path, failure)
    bench.run(order_of(step("one")))
    *_, finished = bench.run(order_of(step("two")))
    assert finished.state is EndState.CHANGED
    assert [line.commands for line in endpoint.lines] == [
        [("one", "script"), ("two", "script")],
        [("two", "script")],
    ]
    until(lambda: endpoint.lines[0].closed)


def test_a_new_connection_that_takes_no_command_is_believed(tmp_path):
    bench, endpoint = dying(tmp_path, NOT_TAKEN)
    *_, finished = bench.run(order_of(step("mend", check="c")))
    assert (finished.state, finished.failure) == (EndState.UNREACHABLE, FailureKind.TIMEOUT)
    assert len(endpoint.lines) == 1


def test_what_was_sent_over_a_kept_connection_is_not_sent_again(tmp_path):
    for number, kind in enumerate((FailureKind.LOST, FailureKind.TIMEOUT)):
        bench, endpoint = dying(tmp_path / str(number), Failure(kind, "gone", sent=True))
        bench.run(order_of(step("one")))
        *_, finished = bench.run(order_of(step("two")))
        assert (finished.state, finished.failure) == (EndState.UNKNOWN, kind)
        assert len(endpoint.lines) == 1


def test_a_proof_that_a_kept_connection_does_not_take_any_more_does_nothing_twice(tmp_path):
    bench, endpoint = dying(tmp_path, NOT_TAKEN, parts=("verify",))
    bench.run(order_of(step("one")))
    *_, finished = bench.run(order_of(step("two", verify="v")))
    assert finished.state is EndState.UNKNOWN
    assert len(endpoint.lines) == 1


def test_a_connection_on_which_a_command_ran_out_of_time_is_not_used_again(tmp_path):
    late = Failure(FailureKind.TIMEOUT, "did not end", sent=True)
    bench, endpoint = dying(tmp_path, late)
    bench.run(order_of(step("one")))
    bench.run(order_of(step("two")))
    *_, finished = bench.run(order_of(step("three")))
    assert finished.state is EndState.CHANGED
    assert [len(line.commands) for line in endpoint.lines] == [2, 1]


def test_idle_connections_beyond_the_limit_are_closed_oldest_first(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said(), idle=2)
    machines = endpoints(3)
    for endpoint in machines:
        bench.run(order_of(step("one"), on=[endpoint]))
    until(lambda: [t.closed for t in bench.transports] == [True, False, False])


def test_of_two_connections_to_one_endpoint_only_one_is_kept_and_the_other_is_closed(tmp_path):
    both = threading.Barrier(2)
    bench = Bench(tmp_path, lambda step, part: (both.wait(5.0) and None) or said())
    bench.lanes.submit(order_of(step("one"), number=1))
    bench.lanes.submit(order_of(step("tidies"), number=2))
    bench.until_finished(2)
    assert len(bench.transports) == 2
    until(lambda: sorted(t.closed for t in bench.transports) == [False, True])
    bench.lanes.close(1.0)
    assert all(t.closed for t in bench.transports)


def test_no_more_connections_are_opened_at_once_than_allowed(tmp_path):
    opening, most, guard = [], [], threading.Lock()

    class Slow(ScriptedTransport):
        def open(self, *, booting=False):
            with guard:
                opening.append(self)
                most.append(len(opening))
            time.sleep(0.02)
            with guard:
                opening.remove(self)
            return super().open()

    lanes = Lanes(
        lambda target: Slow(lambda step, part: said()),
        folder=tmp_path,
        key=b"k",
        limits=LaneLimits(lanes=16, connecting=3),
    )
    for endpoint in endpoints(12):
        lanes.submit(order_of(step("one"), on=[endpoint]))
    finished = 0
    while finished < 12:
        finished += sum(isinstance(r, Finished) for r in lanes.reports(0.05))
    assert max(most) == 3


def test_one_hanging_endpoint_does_not_keep_others_from_ending(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said(), lanes=2)
    first, *others = endpoints(6)
    bench.lanes.submit(order_of(step("one"), on=[first]))
    while not bench.transports:
        time.sleep(0.005)
    bench.transports[0].hold.clear()
    bench.until_finished(1)
    bench.lanes.submit(order_of(step("hangs"), on=[first]))
    for endpoint in others:
        bench.lanes.submit(order_of(step("one"), on=[endpoint]))
    reports = bench.until_finished(5)
    assert {r.attempt.split(":")[0] for r in reports if isinstance(r, Finished)} == {
        endpoint.id for endpoint in others
    }
    bench.lanes.close(0.5)


def test_a_cancelled_order_is_answered_with_doubt(tmp_path):
    sent = threading.Event()

    def answer(step, part):
        sent.set()
        bench.transports[0].aborted.wait(5)
        return Failure(FailureKind.LOST, "aborted", sent=True)

    bench = Bench(tmp_path, answer)
    order = order_of(step("mend"))
    bench.lanes.submit(order)
    assert sent.wait(2)
    bench.lanes.cancel(order.attempt)
    *_, finished = bench.until_finished(1)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.LOST)


def test_a_lane_that_ignores_being_closed_is_given_up_and_its_order_answered(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes_module, "_GRACE_S", -400.0)
    monkeypatch.setattr(lanes_module, "_END_S", 0.02)
    monkeypatch.setattr(lanes_module, "_ABANDON_S", 0.05)
    stuck = threading.Event()
    bench = Bench(tmp_path, lambda step, part: stuck.wait(10) and said())
    *_, finished = bench.run(order_of(step("mend")))
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.ABANDONED)
    monkeypatch.undo()
    stuck.set()
    *_, after = bench.run(order_of(step("two"), on=endpoints(2)[1:]))
    assert after.state is EndState.CHANGED


def test_a_bug_in_a_transport_answers_the_order_and_the_lane_lives_on(tmp_path):
    broken = iter([ValueError("a secret"), None])

    def answer(step, part):
        fault = next(broken)
        if fault:
            raise fault
        return said()

    bench = Bench(tmp_path, answer, lanes=1)
    *_, first = bench.run(order_of(step("one")))
    *_, second = bench.run(order_of(step("two")))
    assert (first.state, first.failure) == (EndState.UNKNOWN, FailureKind.PROTOCOL)
    (report,) = tmp_path.glob("bug-*.txt")
    assert report.name in first.detail
    assert "test_lanes.py" in report.read_text()
    assert "a secret" not in report.read_text() + first.detail
    assert second.state is EndState.CHANGED


class Stubborn(ScriptedTransport):
    """Hangs in the calls it is told to, whatever is done to it, until `freed`; may raise there."""

    def __init__(self, *hang, fault=None):
        super().__init__(lambda step, part: said())
        self.hang = hang
        self.fault = fault
        self.freed = threading.Event()
        self.closes = 0

    def open(self):
        self._stop("open")
        return super().open()

    def close(self):
        self.closes += 1
        self._stop("close")
        super().close()

    def _stop(self, call):
        if call in self.hang:
            if self.fault:
                raise self.fault
            self.freed.wait(10)


def lanes_over(tmp_path, *transports, **limits):
    """Lanes that connect pos-01, pos-02, ... to these transports, and then to good ones."""
    made = {f"pos-{n:02d}": [transport] for n, transport in enumerate(transports, 1)}

    def connect(target):
        waiting = made.get(target.endpoint.name)
        return waiting.pop() if waiting else ScriptedTransport(lambda step, part: said())

    bench = Bench(tmp_path, None)
    bench.lanes = Lanes(connect, folder=tmp_path, key=b"k", limits=LaneLimits(**limits))
    return bench


def ends_of(reports):
    return {r.attempt.split(":")[0][-2:]: r.state for r in reports if isinstance(r, Finished)}


def until(condition, timeout_s=3.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_an_open_that_never_returns_gives_its_place_to_the_next_endpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes_module, "_GRACE_S", -59.95)
    monkeypatch.setattr(lanes_module, "_END_S", 0.02)
    monkeypatch.setattr(lanes_module, "_ABANDON_S", 0.05)
    stuck = Stubborn("open")
    bench = lanes_over(tmp_path, stuck, lanes=4, connecting=1)
    for endpoint in endpoints(3):
        bench.lanes.submit(order_of(step("one", timeout_s=300.0), on=[endpoint]))
    found = ends_of(bench.until_finished(3))
    assert found == {"01": EndState.UNREACHABLE, "02": EndState.CHANGED, "03": EndState.CHANGED}
    stuck.freed.set()
    until(lambda: stuck.closes)
    bench.lanes.submit(order_of(step("two"), on=endpoints(4)[3:]))
    assert ends_of(bench.until_finished(1)) == {"04": EndState.CHANGED}


def test_a_way_that_may_take_longer_is_waited_for_longer(tmp_path, monkeypatch):
    class Far(ScriptedTransport):
        opening_s = 3600.0

        def open(self, *, booting=False):
            assert not self.aborted.wait(0.3), "nobody may have had enough of it yet"
            return super().open()

    monkeypatch.setattr(lanes_module, "_GRACE_S", -60.0)
    bench = lanes_over(tmp_path, Far(lambda step, part: said()))
    bench.lanes.submit(order_of(step("one", timeout_s=300.0), on=endpoints(1)))
    assert ends_of(bench.until_finished(1)) == {"01": EndState.CHANGED}


def test_an_order_cancelled_while_it_waits_for_a_connection_is_answered_at_once(tmp_path):
    slow = Stubborn("open")
    bench = lanes_over(tmp_path, slow, lanes=4, connecting=1)
    first, second = (order_of(step("one"), on=[each]) for each in endpoints(2))
    bench.lanes.submit(first)
    bench.lanes.submit(second)
    bench.lanes.cancel(second.attempt)
    assert ends_of(bench.until_finished(1, timeout_s=1.0)) == {"02": EndState.UNREACHABLE}
    slow.freed.set()
    assert ends_of(bench.until_finished(1)) == {"01": EndState.CHANGED}


def test_an_order_cancelled_before_a_lane_took_it_is_answered_at_once_and_never_begun(tmp_path):
    slow = Stubborn("open")
    bench = lanes_over(tmp_path, slow, lanes=1)
    first, second, third = (order_of(step("one"), on=[each]) for each in endpoints(3))
    for order in (first, second, third):
        bench.lanes.submit(order)
    bench.lanes.cancel(second.attempt)
    assert ends_of(bench.until_finished(1, timeout_s=1.0)) == {"02": EndState.UNREACHABLE}
    slow.freed.set()
    reports = bench.until_finished(2)
    assert ends_of(reports) == {"01": EndState.CHANGED, "03": EndState.CHANGED}


def test_an_open_that_raises_leaves_no_connection_behind(tmp_path):
    broken = Stubborn("open", fault=LogUnwritable("no trust file"))
    worse = Stubborn("open", fault=ValueError("a bug"))
    bench = lanes_over(tmp_path, broken, worse)
    for endpoint in endpoints(2):
        bench.lanes.submit(order_of(step("one"), on=[endpoint]))
    assert ends_of(bench.until_finished(2)) == {"01": EndState.FAILED, "02": EndState.FAILED}
    until(lambda: broken.closes and worse.closes)
    again = order_of(step("two"), on=endpoints(1))
    bench.lanes.submit(again)
    assert ends_of(bench.until_finished(1)) == {"01": EndState.CHANGED}


def test_closing_a_connection_for_ever_costs_neither_an_answer_nor_a_lane(tmp_path):
    stuck = [Stubborn("close") for _ in range(4)]
    bench = lanes_over(tmp_path, *stuck, lanes=1, idle=1)
    for endpoint in endpoints(6):
        bench.lanes.submit(order_of(step("one"), on=[endpoint]))
    assert set(ends_of(bench.until_finished(6)).values()) == {EndState.CHANGED}
    for each in stuck:
        each.freed.set()


def test_a_dead_connection_that_cannot_be_closed_does_not_keep_its_endpoint_waiting(tmp_path):
    stuck = Stubborn("close")
    bench = lanes_over(tmp_path, stuck)
    bench.run(order_of(step("one")))
    stuck.aborted.set()
    assert ends_of(bench.run(order_of(step("two")))) == {"01": EndState.CHANGED}
    stuck.freed.set()


def test_a_close_that_raises_costs_no_lane(tmp_path):
    bench = lanes_over(tmp_path, Stubborn("close", fault=OSError("gone")), lanes=1, idle=1)
    for endpoint in endpoints(4):
        bench.lanes.submit(order_of(step("one"), on=[endpoint]))
    assert set(ends_of(bench.until_finished(4)).values()) == {EndState.CHANGED}


def test_a_lane_that_comes_back_after_it_was_given_up_does_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(lanes_module, "_GRACE_S", -400.0)
    monkeypatch.setattr(lanes_module, "_END_S", 0.02)
    monkeypatch.setattr(lanes_module, "_ABANDON_S", 0.05)

    before = set(threading.enumerate())

    def lane_threads():
        return set(threading.enumerate()) - before

    stuck = threading.Event()
    bench = Bench(tmp_path, lambda step, part: stuck.wait(10) and said(), lanes=1)
    bench.run(order_of(step("mend")))
    assert len(lane_threads()) == 2
    monkeypatch.undo()
    stuck.set()
    until(lambda: len(lane_threads()) == 1)
    *_, after = bench.run(order_of(step("two"), on=endpoints(2)[1:]))
    assert after.state is EndState.CHANGED


def test_after_closing_no_lane_and_no_connection_is_left(tmp_path):
    before = set(threading.enumerate())
    bench = Bench(tmp_path, lambda step, part: said(), lanes=8)
    for endpoint in endpoints(20):
        bench.lanes.submit(order_of(step("one"), on=[endpoint]))
    bench.until_finished(20)
    bench.lanes.close(1.0)
    until(lambda: set(threading.enumerate()) <= before)
    assert all(transport.closed for transport in bench.transports)


class Polite(ScriptedTransport):
    """A connection that says good-bye to its endpoint, which takes its time."""

    def close(self):
        time.sleep(0.05)
        super().close()


def test_closing_gives_every_kept_connection_the_time_to_say_good_bye(tmp_path):
    lines = [Polite(lambda step, part: said()) for _ in range(60)]
    bench = lanes_over(tmp_path, *lines, lanes=8)
    for endpoint in endpoints(60):
        bench.lanes.submit(order_of(step("one"), on=[endpoint]))
    bench.until_finished(60)
    bench.lanes.close(1.0)
    assert [line.closed for line in lines] == [True] * 60


def test_closing_waits_for_a_connection_that_was_given_up_just_before(tmp_path):
    late = Failure(FailureKind.TIMEOUT, "the command did not end", sent=True)
    line = Polite(lambda step, part: late)
    bench = lanes_over(tmp_path, line)
    bench.run(order_of(step("one")))
    bench.lanes.close(1.0)
    assert line.closed


def test_closing_does_not_wait_for_lanes_that_hang(tmp_path):
    forever = threading.Event()
    bench = Bench(tmp_path, lambda step, part: forever.wait(30) and said())
    bench.lanes.submit(order_of(step("one")))
    while not bench.transports:
        time.sleep(0.005)
    began = time.monotonic()
    bench.lanes.close(0.2)
    assert time.monotonic() - began < 1.0
    forever.set()


def test_reports_survive_json(tmp_path):
    bench = Bench(tmp_path, lambda step, part: said('{"sick": true}'))
    for report in bench.run(order_of(read("look", result={"sick": "bool"}))):
        assert msgspec.json.decode(msgspec.json.encode(report), type=type(report)) == report
        assert json.loads(msgspec.json.encode(report))
