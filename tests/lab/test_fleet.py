from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
import time
from pathlib import Path

import paramiko
import pytest

from outagekit.errors import InvalidInput, NotYet, UsageError
from outagekit.events import EndState, FailureKind
from outagekit.lab.faults import RIGHT
from outagekit.lab.fleet import CREDENTIAL, Fleet
from outagekit.lab.journal import RECEIVED, read_journal
from outagekit.lab.machine import Pace
from outagekit.lab.score import Judged, score
from outagekit.playbook.model import Code, Drill, DrillStep, RunScript, Script, WaitHttp, WaitTcp

LINE = "exec env LC_ALL=C.UTF-8 OK_STEP={} OK_PART={} sh -s"
HASTE = Pace(slow_s=0.05)


class Rough:
    """A crude runner of two steps, for the score: not the engine, and no transport of ours."""

    def __init__(self, fleet, endpoint, sent):
        self.fleet, self.endpoint, self.sent = fleet, endpoint, sent

    def judge(self):
        return Judged(*self.judgement())

    def judgement(self):
        client = paramiko.SSHClient()
        with contextlib.closing(client):
            client.load_host_keys(self.fleet.trust_folder / self.endpoint.client / "known_hosts")
            owner = self.fleet.inventory.clients[self.endpoint.client]
            credential = owner.credentials[self.endpoint.credential]
            try:
                client.connect(
                    self.endpoint.address,
                    self.endpoint.port,
                    credential.user,
                    key_filename=credential.key,
                    allow_agent=False,
                    look_for_keys=False,
                    timeout=5,
                )
            except paramiko.AuthenticationException:
                return EndState.FAILED, FailureKind.AUTH
            except OSError:
                return EndState.UNREACHABLE, FailureKind.REFUSED
            try:
                return self.steps(client.get_transport())
            except TimeoutError:
                return EndState.UNKNOWN, FailureKind.TIMEOUT
            except ConnectionError:
                return EndState.UNKNOWN, FailureKind.LOST

    def steps(self, transport):
        if "true" not in self.run(transport, "detect", "script")[1]:
            return EndState.OK, None
        if self.run(transport, "fix", "check")[0] == 0:
            return EndState.OK, None
        self.run(transport, "fix", "script")
        if self.run(transport, "fix", "verify")[0] == 0:
            return EndState.CHANGED, None
        return EndState.FAILED, FailureKind.VERIFY

    def run(self, transport, step, part):
        channel = transport.open_session()
        channel.settimeout(0.5)
        channel.exec_command(LINE.format(step, part))
        channel.sendall(self.sent())
        channel.shutdown_write()
        text = channel.makefile("rb").read().decode()
        code = channel.recv_exit_status()
        if code < 0:
            raise ConnectionError
        return code, text


def judge_all(fleet, sent):
    judged = {}

    def work(endpoints):
        for endpoint in endpoints:
            judged[endpoint.id] = Rough(fleet, endpoint, sent).judge()

    everybody = fleet.inventory.endpoints()
    threads = [threading.Thread(target=work, args=(everybody[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return judged


def test_a_fleet_is_judged_over_real_connections_and_passes(book, sent, lab_folder):
    steady = [fault for fault in RIGHT if not RIGHT[fault].also]
    shares = dict.fromkeys(steady, 0.1)
    with Fleet.start(
        book(), endpoints=24, seed=5, folder=lab_folder, faults=shares, pace=HASTE
    ) as fleet:
        judged = judge_all(fleet, sent)
        found = score(fleet.chosen(fleet.inventory.endpoints()), judged, fleet.machines)
    assert found.misjudged == ()
    assert found.passed
    assert {tally.fault for tally in found.tallies} == {None, *steady}
    assert sum(tally.total for tally in found.tallies) == 24


def test_a_wrong_judgement_fails_the_drill(book, sent, lab_folder):
    with Fleet.start(
        book(), endpoints=6, seed=5, folder=lab_folder, faults={"lie": 0.2}, pace=HASTE
    ) as fleet:
        judged = judge_all(fleet, sent)
        (liar,) = (name for name, case in fleet.cases.items() if case.fault == "lie")
        judged[liar] = Judged(EndState.CHANGED)
        found = score(fleet.cases, judged, fleet.machines)
    assert [entry.endpoint for entry in found.misjudged] == [liar]


def test_forty_endpoints_are_up_within_a_second(book, lab_folder):
    began_s = time.perf_counter()
    with Fleet.start(book(), endpoints=40, seed=1, folder=lab_folder):
        assert time.perf_counter() - began_s < 1.0


def test_five_hundred_endpoints_are_possible(book, sent, lab_folder):
    with Fleet.start(book(), endpoints=500, seed=1, folder=lab_folder, faults={}) as fleet:
        last = fleet.inventory.endpoints()[-1]
        assert Rough(fleet, last, sent).judge().state in {EndState.OK, EndState.CHANGED}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files cannot be counted here")
def test_five_hundred_that_come_and_go_cost_one_file_each(book, lab_folder):
    def files():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = files()
    pace = Pace(swing=0.1)
    with Fleet.start(
        book(), endpoints=500, seed=1, folder=lab_folder, faults={"flap": 1.0}, pace=pace
    ) as fleet:
        time.sleep(1.5)
        assert sum(machine.downs for machine in fleet.machines.values()) > 500
        assert files() - before < 520, "a port is one file, whether it is open or shut"
    assert files() <= before


def test_what_reached_the_machines_stands_in_a_file_as_soon_as_it_did(book, sent, lab_folder):
    with Fleet.start(book(), endpoints=3, seed=5, folder=lab_folder, faults={}) as fleet:
        judge_all(fleet, sent)
        lines = read_journal(fleet.folder / RECEIVED)
        for name, machine in fleet.machines.items():
            mine = [line for line in lines if line.endpoint == name]
            assert [(m.step, m.part, m.number, m.ran, m.exit_code, m.sha256) for m in mine] == [
                (e.step, e.part, e.number, e.ran, e.exit_code, e.sha256) for e in machine.received
            ]
        assert [line.mono_ns for line in lines] == sorted(line.mono_ns for line in lines)
    assert len(lines) >= 3


def test_all_ports_of_a_machine_that_is_down_are_shut(book, step, lab_folder):
    playbook = book(
        steps=(step("tcp", action=WaitTcp(5432)), step("fix", risk="change")), drill=None
    )
    with Fleet.start(
        playbook, endpoints=1, seed=1, folder=lab_folder, faults={"bootloop": 1.0}
    ) as fleet:
        (endpoint,) = fleet.inventory.endpoints()
        (machine,) = fleet.machines.values()
        end_s = time.monotonic() + 5
        while machine.downs == 0 and time.monotonic() < end_s:
            time.sleep(0.01)
        time.sleep(0.05)
        for port in (endpoint.port, endpoint.ports[5432]):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((endpoint.address, port), timeout=5)


def test_the_inventory_is_complete_and_holds_no_secret(book, lab_folder):
    with Fleet.start(book(targets="tag:pos"), endpoints=12, seed=1, folder=lab_folder) as fleet:
        assert set(fleet.inventory.clients) == {"acme", "borealis", "corvus"}
        for client in fleet.inventory.clients.values():
            assert set(client.agreement.allows) == {"diagnose", "collect", "remediate", "reboot"}
            credential = client.credentials[CREDENTIAL]
            assert credential.password is credential.passphrase is credential.sudo is None
            for endpoint in client.endpoints.values():
                assert endpoint.site in client.sites
                assert endpoint.address == "127.0.0.1"
                assert endpoint.tags == ("pos",)
                assert endpoint.become is None
        assert set(fleet.machines) == {e.id for e in fleet.inventory.endpoints()}


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_what_is_written_is_private(book, lab_folder):
    with Fleet.start(book(), endpoints=3, seed=1, folder=lab_folder):
        assert stat.S_IMODE((lab_folder / "drill_key").stat().st_mode) == 0o600
        assert stat.S_IMODE(lab_folder.stat().st_mode) == 0o700


def test_a_used_folder_is_refused(book, lab_folder):
    with Fleet.start(book(), endpoints=3, seed=1, folder=lab_folder) as fleet:
        key = (lab_folder / "drill_key").read_bytes()
        with pytest.raises(UsageError, match="is not empty"):
            Fleet.start(book(), endpoints=3, seed=1, folder=fleet.folder)
        assert (lab_folder / "drill_key").read_bytes() == key


def test_a_folder_with_anything_in_it_is_left_as_it_is(book, lab_folder):
    lab_folder.mkdir()
    (lab_folder / "outagekit.yaml").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        Fleet.start(book(), endpoints=3, seed=1, folder=lab_folder)
    assert [path.name for path in lab_folder.iterdir()] == ["outagekit.yaml"]


def test_a_folder_that_cannot_be_made_is_said(book, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="folder cannot be written"):
        Fleet.start(book(), endpoints=3, seed=1, folder=tmp_path / "file" / "lab")


def test_ports_of_wait_steps_are_forwarded(book, step, lab_folder):
    playbook = book(
        steps=(
            step("tcp", action=WaitTcp(5432)),
            step("web", action=WaitHttp(8080, status=204)),
        ),
        drill=None,
    )
    with Fleet.start(playbook, endpoints=4, seed=1, folder=lab_folder, faults={}) as fleet:
        for endpoint in fleet.inventory.endpoints():
            with socket.create_connection((endpoint.address, endpoint.ports[5432]), timeout=5):
                pass
            with socket.create_connection(
                (endpoint.address, endpoint.ports[8080]), timeout=5
            ) as web:
                web.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert web.recv(100).startswith(b"HTTP/1.1 204 No Content\r\n")


def test_a_web_server_is_ready_when_the_drill_says_so(book, step, lab_folder):
    drill = Drill(state={"up": False}, steps={"web": DrillStep(check="up")})
    playbook = book(steps=(step("web", action=WaitHttp(8080)),), drill=drill)
    with Fleet.start(playbook, endpoints=1, seed=1, folder=lab_folder, faults={}) as fleet:
        (endpoint,) = fleet.inventory.endpoints()
        statuses = []
        for up in (False, True):
            fleet.machines[endpoint.id].state["up"] = up
            with socket.create_connection(("127.0.0.1", endpoint.ports[8080]), timeout=5) as web:
                web.sendall(b"GET / HTTP/1.1\r\n\r\n")
                statuses.append(web.recv(100)[9:12])
    assert statuses == [b"503", b"200"]


def test_all_ports_of_an_unreachable_machine_are_closed(book, step, lab_folder):
    playbook = book(steps=(step("tcp", action=WaitTcp(5432)), step("fix")), drill=None)
    with Fleet.start(
        playbook, endpoints=1, seed=1, folder=lab_folder, faults={"unreachable": 1.0}
    ) as fleet:
        (endpoint,) = fleet.inventory.endpoints()
        for port in (endpoint.port, endpoint.ports[5432]):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((endpoint.address, port), timeout=5)


def test_what_cannot_be_simulated_is_refused_before_anything_is_opened(book, step, lab_folder):
    https = book(steps=(step("web", action=WaitHttp(443, scheme="https"), line=9),))
    with pytest.raises(NotYet):
        Fleet.start(https, endpoints=1, seed=1, folder=lab_folder)
    nobodys = book(steps=(step("fix", action=RunScript(Script((Code("cmd", "x"),)))),))
    with pytest.raises(InvalidInput):
        Fleet.start(nobodys, endpoints=1, seed=1, folder=lab_folder)
    with pytest.raises(UsageError):
        Fleet.start(book(), endpoints=0, seed=1, folder=lab_folder)
    assert not lab_folder.exists()


def test_closing_twice_is_allowed_and_leaves_no_thread(book, lab_folder):
    fleet = Fleet.start(book(), endpoints=3, seed=1, folder=lab_folder)
    fleet.close()
    fleet.close()
    assert "lab-listen" not in {thread.name for thread in threading.enumerate()}
