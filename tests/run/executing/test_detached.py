"""Detached scripts on real OpenSSH servers: through cut lines, killed processes, and their end."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from outagekit.credentials import SecretRef
from outagekit.events import EndState, FailureKind
from outagekit.inventory.model import Credential, Endpoint
from outagekit.playbook.model import Code, RunScript, Script
from outagekit.run.executing import detached as run_detached
from outagekit.run.executing.lanes import LaneLimits, Lanes
from outagekit.run.orders import Finished, Order, Part, Tidied
from outagekit.testing.sshd import KeyPair, find_sshd, free_port, make_key, sshd
from outagekit.testing.transport import ScriptedTransport, said
from outagekit.transports import detached
from outagekit.transports.access import Access
from outagekit.transports.protocol import Failure, Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore

needs_sshd = pytest.mark.skipif(
    find_sshd() is None or os.name != "posix", reason="OpenSSH's sshd is not installed"
)
ID = "20261122T081403Z-mend-x7q2:acme/web-01:mend"


class Line:
    """A way to the server that can be cut, and mended again."""

    def __init__(self, port):
        self._server = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.broken = False
        self.taken = 0
        self._ends = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self.taken += 1
                if self.broken:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._server))
                self._ends += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)

    def cut(self):
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._ends:
            end.close()


@dataclass
class Server:
    port: int
    login: KeyPair
    host: KeyPair
    home: Path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sshd")
    port, login, home = free_port("127.0.0.1"), make_key(folder / "login"), folder / "account"
    home.mkdir(mode=0o700)
    options = [f"SetEnv HOME={home} COUNTED=x"]
    with sshd(folder, ["127.0.0.1"], port, login_keys=[login.public], options=options) as host:
        yield Server(port, login, host, home)


def connecting(folder, login):
    """Return what connects to an endpoint; the keys of its server are trusted in `folder`."""

    def resolve(reference: SecretRef, endpoint: Endpoint, label: str) -> str:
        raise NotImplementedError

    access = Access(TrustStore(folder / "trust"), resolve)
    return lambda target: SshTransport(target, access), Credential(
        name="ops", user=getpass.getuser(), key=str(login)
    )


class Site:
    """The technician's side, with a line to the server."""

    def __init__(self, folder, server):
        self.folder, self.server = folder, server
        self.line = Line(server.port)
        kind, key = server.host.public.split()[:2]
        TrustStore(folder / "trust").add("acme", "127.0.0.1", self.line.port, HostKey(kind, key))
        connect, self.credential = connecting(folder, server.login.private)
        self.lanes = Lanes(
            lambda target: self._remember(connect(target)),
            folder=folder,
            key=b"k" * 32,
            limits=LaneLimits(lanes=4),
        )
        self.transports = []
        self.number = 0
        self.id = f"{folder.name}:{ID}"

    def _remember(self, transport):
        self.transports.append(transport)
        return transport

    @property
    def mark(self):
        return self.folder / "mark"

    @property
    def counted(self):
        return len(self.mark.read_text()) if self.mark.exists() else 0

    @property
    def spool(self):
        return self.server.home / ".outagekit" / detached.folder_name(self.id)

    def order(self, text, **fields):
        self.number += 1
        endpoint = Endpoint(
            client="acme", name="web-01", address="127.0.0.1", os="linux", port=self.line.port
        )
        fields = {"timeout_s": 20.0, "detach": self.id, "changes": True, **fields}
        return Order(
            attempt=f"acme/web-01:mend:{self.number}",
            target=Target(endpoint=endpoint, credential=self.credential),
            step="mend",
            action=RunScript(Script((Code(fields.pop("language", "sh"), text),))),
            **fields,
        )

    def submit(self, text, **fields):
        order = self.order(text, **fields)
        self.lanes.submit(order)
        return order

    def until(self, kind, timeout_s=25.0):
        reports, until_s = [], time.monotonic() + timeout_s
        while not any(isinstance(report, kind) for report in reports):
            assert time.monotonic() < until_s, f"only {reports}"
            reports.extend(self.lanes.reports(0.05))
        return reports

    def run(self, text, **fields):
        self.submit(text, **fields)
        return self.until(Finished)

    def await_count(self, number):
        until_s = time.monotonic() + 10
        while self.counted != number:
            assert time.monotonic() < until_s
            time.sleep(0.02)


@pytest.fixture
def site(tmp_path, server):
    made = Site(tmp_path, server)
    yield made
    made.lanes.close(2.0)
    made.line.close()
    for begun in made.server.home.glob(".outagekit/*/begun"):
        with contextlib.suppress(ProcessLookupError, ValueError, IndexError):
            os.killpg(int(begun.read_text().split()[1]), signal.SIGKILL)
    shutil.rmtree(made.server.home / ".outagekit", ignore_errors=True)


def parts(reports):
    return [report for report in reports if isinstance(report, Part)]


@needs_sshd
def test_a_detached_step_ends_like_any_other(site):
    text = f"printf x >> {site.mark}\necho out\necho err >&2\n" + 'printf \'{"n": %s}\' "$OK_N"'
    *before, finished = site.run(text, values={"n": 7}, result={"n": "int"})
    assert (finished.state, finished.failure, finished.result) == (EndState.CHANGED, None, {"n": 7})
    (part,) = parts(before)
    assert (part.part, part.exit_code) == ("script", 0)
    assert (part.stdout.text, part.stdout.size_bytes) == ('out\n{"n": 7}', 12)
    assert (part.stderr.text, part.stderr.size_bytes) == ("err\n", 4)
    assert site.counted == 1


@needs_sshd
def test_an_exit_code_fails_it_and_the_same_id_only_tells_it_again(site):
    for _ in range(2):
        *_, finished = site.run(f"printf x >> {site.mark}\necho 'no space' >&2\nexit 4")
        assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.EXIT_CODE)
        assert finished.detail == "exit code 4: no space"
    assert site.counted == 1


@needs_sshd
def test_check_and_verify_run_as_ordinary_commands(site):
    check = Code("sh", f"test -e {site.mark}")
    *before, finished = site.run(f"printf x >> {site.mark}", check=check, verify=check)
    assert finished.state is EndState.CHANGED
    assert [part.part for part in parts(before)] == ["check", "script", "verify"]
    again = f"{site.id}:again"
    *before, finished = site.run(f"printf x >> {site.mark}", check=check, detach=again)
    assert finished.state is EndState.OK
    assert [part.part for part in parts(before)] == ["check"]


@needs_sshd
def test_one_that_is_found_again_is_collected_although_its_check_is_true_by_now(site):
    check = Code("sh", f"test -e {site.mark}")
    text = f"printf x >> {site.mark}\necho '{{\"n\": 7}}'"
    site.run(text)
    *before, finished = site.run(text, check=check, verify=check, result={"n": "int"})
    assert (finished.state, finished.result) == (EndState.CHANGED, {"n": 7})
    assert [part.part for part in parts(before)] == ["script", "verify"]
    assert site.counted == 1


@needs_sshd
def test_the_first_attempt_asks_its_check_without_looking_for_an_earlier_one(site):
    first = f"{site.id}:acme/web-01:mend:1"
    site.run("exit 4", detach=first, check=Code("sh", "true"))
    assert not site.spool.parent.exists()


@needs_sshd
def test_five_mebibytes_of_output_are_kept_as_beginning_and_end(site):
    text = (
        "echo first\n"
        "awk 'BEGIN { for (i = 0; i < 327680; i++) print \"0123456789abcde\" }'\n"
        "echo '{\"done\": true}'"
    )
    *before, finished = site.run(text, result={"done": "bool"})
    assert finished.result == {"done": True}
    (part,) = parts(before)
    assert part.stdout.size_bytes == 327680 * 16 + 6 + 15
    assert part.stdout.text.startswith("first\n0123")
    assert "bytes left out]" in part.stdout.text
    assert len(part.stdout.text) < detached.KEEP_BYTES + 100


@needs_sshd
def test_a_cut_line_ends_nothing_and_is_mended(site):
    site.submit(f"printf x >> {site.mark}\nsleep 1.2\necho done")
    site.await_count(1)
    site.line.cut()
    *before, finished = site.until(Finished)
    assert finished.state is EndState.CHANGED
    assert parts(before)[0].stdout.text == "done\n"
    assert site.counted == 1
    assert site.line.taken >= 2


@needs_sshd
def test_a_line_that_stays_broken_is_doubt_and_another_attempt_finds_it(site):
    site.submit(f"printf x >> {site.mark}\nsleep 4\necho done", timeout_s=2.0)
    site.await_count(1)
    site.line.broken = True
    site.line.cut()
    *before, finished = site.until(Finished)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.LOST)
    assert "out of sight" in finished.detail
    assert [part.exit_code for part in parts(before)] == [None]
    site.line.broken = False
    *before, finished = site.run("echo never")
    assert finished.state is EndState.CHANGED
    assert parts(before)[0].stdout.text == "done\n"
    assert site.counted == 1


@needs_sshd
def test_an_endpoint_that_cannot_be_reached_has_begun_nothing(site):
    site.line.broken = True
    *_, finished = site.run("echo never")
    assert finished.state is EndState.UNREACHABLE


@needs_sshd
def test_a_cancelled_attempt_leaves_it_running(site):
    order = site.submit(f"printf x >> {site.mark}\nsleep 1.5\necho done")
    site.await_count(1)
    site.lanes.cancel(order.attempt)
    *_, finished = site.until(Finished, timeout_s=5)
    assert finished.state is EndState.UNKNOWN
    *before, finished = site.run("echo never")
    assert finished.state is EndState.CHANGED
    assert parts(before)[0].stdout.text == "done\n"


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import msgspec
from outagekit.run.executing.lanes import Lanes
from outagekit.run.orders import Order
from tests.run.executing.test_detached import connecting

folder = Path(sys.argv[2])
connect, _ = connecting(folder, sys.argv[3])
lanes = Lanes(connect, folder=folder, key=b"k" * 32)
lanes.submit(msgspec.json.decode(sys.stdin.buffer.read(), type=Order))
while True:
    lanes.reports(1)
"""


@needs_sshd
def test_it_survives_the_death_of_our_process_and_is_found_by_another(site):
    order = site.order(f"printf x >> {site.mark}\nsleep 1\necho done")
    root = str(Path(__file__).parents[2])
    words = [sys.executable, "-c", KILLED, root, str(site.folder), str(site.server.login.private)]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        site.await_count(1)
        process.kill()
    *before, finished = site.run("echo never")
    assert finished.state is EndState.CHANGED
    assert parts(before)[0].stdout.text == "done\n"
    assert site.counted == 1


@needs_sshd
def test_two_attempts_at_once_wait_for_the_same_script(site):
    text = f"printf x >> {site.mark}\nsleep 0.5\necho done"
    site.submit(text)
    site.submit(text)
    reports = site.until(Finished)
    while sum(isinstance(report, Finished) for report in reports) < 2:
        reports += site.until(Finished)
    assert [r.state for r in reports if isinstance(r, Finished)] == [EndState.CHANGED] * 2
    assert [part.stdout.text for part in parts(reports)] == ["done\n"] * 2
    assert site.counted == 1


@needs_sshd
def test_at_its_deadline_the_whole_process_group_is_ended(site):
    text = f"sh -c 'printf x >> {site.mark}; sleep 3; printf x >> {site.mark}' &\necho go\nsleep 3"
    began_s = time.monotonic()
    *before, finished = site.run(text, timeout_s=1.0)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.TIMEOUT)
    assert finished.detail == "the detached script did not end within 1 s and was ended"
    assert parts(before)[0].stdout.text == "go\n"
    time.sleep(max(0.0, 3.5 - (time.monotonic() - began_s)))
    assert site.counted == 1
    *_, finished = site.run("echo never")
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.TIMEOUT)


@needs_sshd
def test_its_time_counts_from_its_start_not_from_the_attempt_that_found_it(site):
    order = site.submit(f"printf x >> {site.mark}\nsleep 60")
    site.await_count(1)
    site.lanes.cancel(order.attempt)
    site.until(Finished, timeout_s=5)
    begun = site.spool / "begun"
    *identity, clock = begun.read_text().split()
    begun.write_text(" ".join((*identity, str(int(clock) - 60))) + "\n")
    began_s = time.monotonic()
    *_, finished = site.run("echo never", timeout_s=50.0)
    assert finished.failure is FailureKind.TIMEOUT
    assert time.monotonic() - began_s < 15


@needs_sshd
def test_one_that_was_killed_there_is_unknown(site):
    site.submit(f"printf x >> {site.mark}\nsleep 60")
    site.await_count(1)
    os.killpg(int((site.spool / "begun").read_text().split()[1]), signal.SIGKILL)
    *_, finished = site.until(Finished)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.LOST)
    assert "gone without an exit code" in finished.detail


@needs_sshd
def test_without_a_place_for_it_the_step_fails_and_nothing_began(site):
    site.spool.parent.symlink_to(site.folder)
    try:
        *_, finished = site.run(f"printf x >> {site.mark}")
    finally:
        site.spool.parent.unlink()
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.PROTOCOL)
    assert "not a folder of the account" in finished.detail
    assert site.counted == 0


@needs_sshd
def test_a_released_step_leaves_nothing_on_its_endpoint(site):
    order = site.submit("echo done")
    site.until(Finished)
    assert site.spool.is_dir()
    site.lanes.release(order)
    reports = site.until(Tidied)
    assert reports == [Tidied(endpoint="acme/web-01", step="mend", detach=order.detach)]
    assert list(site.server.home.iterdir()) == []
    assert len(site.transports) == 1


@needs_sshd
def test_what_still_runs_is_not_released_and_nobody_is_told(site):
    order = site.submit(f"printf x >> {site.mark}\nsleep 60")
    site.await_count(1)
    site.lanes.cancel(order.attempt)
    site.until(Finished, timeout_s=5)
    site.lanes.release(order)
    until_s = time.monotonic() + 2
    while time.monotonic() < until_s:
        assert site.lanes.reports(0.05) == []
        if len(site.transports) == 2 and not site.lanes._jobs:
            break
    assert site.spool.is_dir()


def scripted(tmp_path, answer, **fields):
    transport = ScriptedTransport(answer)
    lanes = Lanes(lambda target: transport, folder=tmp_path, key=b"k" * 32)
    order = Order(
        attempt="acme/web-01:mend:1",
        target=Target(endpoint=Endpoint(client="acme", name="web-01", address="x", os="linux")),
        step="mend",
        action=RunScript(Script((Code("sh", "mend it"),))),
        detach=ID,
        **fields,
    )
    return lanes, transport, order


def finish(lanes, order):
    lanes.submit(order)
    until_s = time.monotonic() + 5
    reports = []
    while not any(isinstance(report, Finished) for report in reports):
        assert time.monotonic() < until_s
        reports.extend(lanes.reports(0.02))
    return reports


def test_a_simulated_endpoint_tells_the_end_at_once(tmp_path):
    told = said(detached.answer_ended(0, '{"n": 1}\n', "warned\n"), stderr="warned\n")
    lanes, transport, order = scripted(tmp_path, lambda step, part: told, result={"n": "int"})
    part, finished = finish(lanes, order)
    assert (finished.state, finished.result) == (EndState.OK, {"n": 1})
    assert (part.stdout.text, part.stderr.text) == ('{"n": 1}\n', "warned\n")
    assert transport.commands == [("mend", "script")]


def test_a_simulated_endpoint_is_asked_until_it_tells_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(run_detached, "_PAUSE_S", 0.01)
    answers = iter([said(detached.answer_started())] * 3 + [said(detached.answer_ended(2, "", ""))])
    lanes, transport, order = scripted(tmp_path, lambda step, part: next(answers))
    *_, finished = finish(lanes, order)
    assert finished.failure is FailureKind.EXIT_CODE
    assert [part for _, part in transport.commands] == ["script", "collect", "collect", "collect"]


def test_a_start_whose_answer_was_lost_is_sent_again(tmp_path, monkeypatch):
    monkeypatch.setattr(run_detached, "_RETRY_S", 0.01)
    lost = Failure(FailureKind.LOST, "reset", sent=True)
    answers = iter([lost, lost, said(detached.answer_ended(0, "", ""))])
    lanes, transport, order = scripted(tmp_path, lambda step, part: next(answers))
    *_, finished = finish(lanes, order)
    assert finished.state is EndState.OK
    assert [part for _, part in transport.commands] == ["script"] * 3
    assert transport.opens == 3


def test_an_answer_of_which_something_may_be_missing_is_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr(run_detached, "_RETRY_S", 0.01)
    whole = said(detached.answer_ended(0, "all of it", ""))
    torn = dataclasses.replace(said(whole.stdout.text[:9] + "\n[a gap]\n"), missing=True)
    answers = iter([torn, whole])
    lanes, transport, order = scripted(tmp_path, lambda step, part: next(answers))
    *reports, finished = finish(lanes, order)
    assert finished.state is EndState.OK
    assert [part.stdout.text for part in reports] == ["all of it"]
    assert [part for _, part in transport.commands] == ["script"] * 2


def test_a_start_that_was_not_taken_is_not_sent_again(tmp_path):
    lost = Failure(FailureKind.LOST, "reset", sent=False)
    lanes, transport, order = scripted(tmp_path, lambda step, part: lost)
    *_, finished = finish(lanes, order)
    assert finished.state is EndState.UNREACHABLE
    assert len(transport.commands) == 1


def test_a_refusal_after_a_start_that_may_have_arrived_is_doubt(tmp_path, monkeypatch):
    monkeypatch.setattr(run_detached, "_RETRY_S", 0.01)
    lost = Failure(FailureKind.LOST, "reset", sent=True)
    refused = said("outagekit-detached refused\nno home\n")
    answers = iter([lost, refused])
    lanes, _, order = scripted(tmp_path, lambda step, part: next(answers))
    *_, finished = finish(lanes, order)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.PROTOCOL)


@pytest.mark.parametrize("stdout", ["", "nonsense", "outagekit-detached ended\n"])
def test_an_answer_nobody_understands_is_doubt(tmp_path, stdout):
    lanes, _, order = scripted(tmp_path, lambda step, part: said(stdout))
    *_, finished = finish(lanes, order)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.PROTOCOL)


def test_a_login_that_is_refused_meanwhile_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(run_detached, "_RETRY_S", 0.01)
    lost = Failure(FailureKind.LOST, "reset", sent=True)
    lanes, transport, order = scripted(tmp_path, lambda step, part: lost)
    doors = iter([transport.open()])
    transport._opened = lambda: next(doors, Failure(FailureKind.AUTH, "refused"))
    *_, finished = finish(lanes, order)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.LOST)
    assert transport.opens == 3


def test_a_failed_release_is_told_to_nobody_and_hurts_no_later_order(tmp_path):
    def answer(step, part):
        if part == "release":
            return Failure(FailureKind.TIMEOUT, "silence", sent=True)
        return said(detached.answer_ended(0, "", ""))

    lanes, transport, order = scripted(tmp_path, answer)
    finish(lanes, order)
    lanes.release(order)
    later = msgspec.structs.replace(order, attempt="acme/web-01:mend:2")
    reports = finish(lanes, later)
    assert [type(report) for report in reports] == [Part, Finished]
    assert ("mend", "release") in transport.commands


def test_releasing_a_step_that_was_not_detached_sends_nothing(tmp_path):
    lanes, transport, order = scripted(tmp_path, lambda step, part: said())
    lanes.release(msgspec.structs.replace(order, detach=""))
    assert lanes.reports(0.05) == []
    assert transport.commands == []


def test_what_was_sent_for_it_proves_the_script_itself(tmp_path):
    told = said(detached.answer_ended(0, "", ""))
    lanes, _, order = scripted(tmp_path, lambda step, part: told)
    first, *_ = finish(lanes, order)
    second, *_ = finish(lanes, msgspec.structs.replace(order, attempt="acme/web-01:mend:2"))
    assert first.command == second.command
    assert "mend it" not in json.dumps(msgspec.to_builtins(first))
