"""A restart is proven by another boot; what is not back in time failed, and is never in doubt."""

from __future__ import annotations

import os
import subprocess
import threading
import time

import msgspec
import pytest

from outagekit.events import EndState, FailureKind
from outagekit.playbook.model import Code, Reboot
from outagekit.run.executing import reboot as reboot_module
from outagekit.run.executing.execute import Bench, execute
from outagekit.run.executing.lanes import Lanes
from outagekit.run.orders import Finished, Order, Part
from outagekit.testing.builders import endpoints
from outagekit.testing.transport import ScriptedTransport, said
from outagekit.transports.posix.render import render
from outagekit.transports.posix.restart import RESTART
from outagekit.transports.protocol import Failure, Opened, Target

LOST = Failure(FailureKind.LOST, "reset", sent=True)
REFUSED = Failure(FailureKind.REFUSED, "10.0.0.1 port 22 refused the connection")
SILENT = Failure(FailureKind.CONNECT_TIMEOUT, "did not answer within 10 s")
NOT_YET = Failure(FailureKind.AUTH, "the server refused ops with the key")
BOOTING = Failure(FailureKind.PROTOCOL, "System is booting up.")
UP = object()
"""The machine's door opens, on the boot it is on."""


class Machine:
    """A machine that goes down when told to; its door then answers as listed, the last for ever.

    What is listed may also be a boot the machine begins just then, or a function.
    """

    def __init__(self, *doors, boot="boot-0001", **answers):
        self.boot = boot
        self.doors = list(doors) or ["boot-0002"]
        self.answers = answers
        self.is_up = True
        self.told = 0
        self.opened_at_s = []
        self.transport = ScriptedTransport(self.answer, self.door)
        self.transport.boot_id = boot

    def answer(self, step, part):
        if not self.is_up:
            return LOST
        found = self.answers.get(part)
        if found is None:
            return getattr(self, part, said)()
        return found() if callable(found) else found

    def identity(self):
        return said(f"machine-id=m-1\nboot-id={self.boot}\n")

    def script(self):
        self.told += 1
        self.is_up = False
        return said("restarts in 2 s\n")

    def door(self):
        self.opened_at_s.append(time.monotonic())
        found = self.doors.pop(0) if len(self.doors) > 1 else self.doors[0]
        if callable(found):
            found = found()
        if isinstance(found, Failure):
            return found
        if found is not UP:
            self.boot = found
        self.is_up = True
        return Opened("m-1", "SHA256:x", boot_id=self.boot)

    @property
    def parts(self):
        return [part for _, part in self.transport.commands]


def order_of(*, check="", verify="", within_s=0.3, os="linux", **fields):
    endpoint = msgspec.structs.replace(endpoints(1)[0], os=os)
    return Order(
        attempt="acme/pos-01:restart:1",
        target=Target(endpoint=endpoint),
        step="restart",
        action=Reboot(within_s),
        check=Code("sh", check) if check else None,
        verify=Code("sh", verify) if verify else None,
        changes=True,
        **{"timeout_s": within_s, **fields},
    )


class Done:
    def __init__(self, machine, order, cancelled=None):
        self.reports = []
        bench = Bench(self.reports.append, b"k", None, cancelled or threading.Event())
        began_s = time.monotonic()
        self.finished = execute(order, machine.transport, bench)
        self.took_s = time.monotonic() - began_s
        self.end = (self.finished.state, self.finished.failure)
        self.detail = self.finished.detail


CHANGED = (EndState.CHANGED, None)
NOT_BACK = (EndState.FAILED, FailureKind.NOT_BACK)


@pytest.fixture(autouse=True)
def pace(monkeypatch):
    """Restarts that take milliseconds."""
    monkeypatch.setattr(reboot_module, "_RETRY_S", 0.002)
    monkeypatch.setattr(reboot_module, "_SETTLE_S", 0.005)
    monkeypatch.setattr(reboot_module, "_REFUSED_S", 0.003)
    return monkeypatch


def test_a_machine_is_seen_down_up_logged_in_settled_and_verified():
    machine = Machine(REFUSED, SILENT, REFUSED, NOT_YET, "boot-0002")
    done = Done(machine, order_of(verify="v", within_s=5.0))
    assert (done.end, done.finished.boot_id) == (CHANGED, "boot-0002")
    assert done.detail.startswith("back after ")
    assert machine.told == 1
    assert machine.parts[:2] == ["identity", "script"]
    assert machine.parts[-3:] == ["identity", "identity", "verify"]


def test_the_boots_before_and_after_stand_in_the_reports():
    done = Done(Machine(REFUSED, "boot-0002"), order_of(verify="v", within_s=5.0))
    told = [(report.part, report.stdout.text) for report in done.reports]
    assert [part for part, _ in told] == ["identity", "script", "identity", "verify"]
    assert "boot-id=boot-0001" in told[0][1]
    assert "boot-id=boot-0002" in told[2][1]
    assert all(isinstance(report, Part) for report in done.reports)


def test_looking_for_a_machine_that_is_away_fills_no_log():
    done = Done(Machine(*[REFUSED] * 20, "boot-0002"), order_of(within_s=5.0))
    assert done.end == CHANGED
    assert len(done.reports) == 3


def test_a_machine_nobody_saw_down_is_proven_by_its_boot():
    machine = Machine("boot-0002")
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED
    assert machine.transport.opens == 1


def test_a_true_check_restarts_nothing():
    machine = Machine()
    done = Done(machine, order_of(check="c"))
    assert (done.end, machine.parts) == ((EndState.OK, None), ["check"])


def test_a_refused_restart_fails_with_its_own_words_and_is_not_waited_for():
    words = "Interactive authentication required."
    machine = Machine(script=said(code=1, stderr=words))
    done = Done(machine, order_of(within_s=60.0))
    assert done.end == (EndState.FAILED, FailureKind.EXIT_CODE)
    assert done.detail == f"exit code 1: {words}"
    assert (machine.transport.opens, done.took_s < 1) == (0, True)


def test_a_machine_gone_before_it_was_told_to_restart_is_unreachable():
    machine = Machine(identity=LOST)
    done = Done(machine, order_of(within_s=60.0))
    assert done.end == (EndState.UNREACHABLE, FailureKind.LOST)
    assert machine.parts == ["identity"]


def test_a_restart_that_was_never_sent_is_unreachable():
    machine = Machine(script=Failure(FailureKind.LOST, "reset", sent=False))
    done = Done(machine, order_of(within_s=60.0))
    assert done.end == (EndState.UNREACHABLE, FailureKind.LOST)


@pytest.mark.parametrize("kind", [FailureKind.LOST, FailureKind.TIMEOUT, FailureKind.EXIT_CODE])
def test_a_restart_whose_answer_was_lost_is_proven_by_the_boot_all_the_same(kind):
    machine = Machine(REFUSED, "boot-0002")

    def gone():
        machine.script()
        return Failure(kind, "gone", sent=True)

    machine.answers["script"] = gone
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED


@pytest.mark.parametrize(
    ("door", "seen"),
    [
        (REFUSED, "port refused"),
        (SILENT, "no answer"),
        (NOT_YET, "logins refused"),
        (BOOTING, "System is booting up."),
        (Failure(FailureKind.LOCAL_IO, "too many open files"), "too many open files"),
    ],
)
def test_a_machine_that_is_not_back_in_time_failed_with_what_was_seen_last(pace, door, seen):
    pace.setattr(reboot_module, "_REFUSED_S", 10.0)
    done = Done(Machine(door), order_of(within_s=0.3))
    assert done.end == NOT_BACK
    assert done.detail == f"not back within 300 ms; last seen: {seen}"
    assert done.finished.boot_id == ""
    assert done.took_s < 1


def test_a_lost_answer_of_a_machine_that_stays_away_is_no_doubt():
    machine = Machine(SILENT, script=LOST)
    machine.answers["identity"] = iter([machine.identity(), *[LOST] * 100]).__next__
    assert Done(machine, order_of(within_s=0.1)).end == NOT_BACK


def test_a_machine_that_never_went_down_is_not_back_and_not_logged_into_anew():
    machine = Machine(script=said("restarts in 2 s\n"))
    done = Done(machine, order_of(within_s=0.1))
    assert done.end == NOT_BACK
    assert "same boot id: it never went down" in done.detail
    assert (machine.transport.opens, done.finished.boot_id) == (0, "boot-0001")


def test_a_connection_that_broke_is_no_proof_of_a_restart():
    done = Done(Machine(REFUSED, "boot-0001"), order_of(within_s=0.3))
    assert done.end == NOT_BACK
    assert "same boot id: it never went down" in done.detail


def test_a_server_that_takes_no_more_commands_is_not_logged_into_anew():
    closed = Failure(FailureKind.PROTOCOL, "the server refused to run a command")
    machine = Machine("boot-0002", script=said())
    words = iter([machine.identity(), closed, closed, closed, LOST])
    machine.answers["identity"] = lambda: next(words, None) or machine.identity()
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED
    assert machine.transport.opens == 1


def test_refused_logins_are_tried_again_three_times_and_not_at_once(pace):
    pace.setattr(reboot_module, "_REFUSED_S", 0.04)
    machine = Machine(REFUSED, NOT_YET, NOT_YET, NOT_YET, "boot-0002")
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED
    first, second, third, fourth = machine.opened_at_s[1:]
    assert min(second - first, third - second, fourth - third) >= 0.04


def test_a_login_refused_for_the_fourth_time_ends_it():
    machine = Machine(REFUSED, NOT_YET)
    done = Done(machine, order_of(within_s=60.0))
    assert done.end == (EndState.FAILED, FailureKind.AUTH)
    assert done.detail == NOT_YET.detail
    assert machine.transport.opens == 5


def test_windows_is_asked_three_times_to_let_us_in_and_seldom_so_that_it_locks_no_account(pace):
    pace.setattr(reboot_module, "_WINDOWS_REFUSED_S", 0.04)
    machine = Machine(REFUSED, NOT_YET)
    done = Done(machine, order_of(os="windows", within_s=60.0))
    assert done.end == (EndState.FAILED, FailureKind.AUTH)
    first, second, third = machine.opened_at_s[1:]
    assert min(second - first, third - second) >= 0.04


def test_windows_that_lets_us_in_at_the_third_time_is_back(pace):
    pace.setattr(reboot_module, "_WINDOWS_REFUSED_S", 0.003)
    machine = Machine(REFUSED, NOT_YET, NOT_YET, "boot-0002")
    assert Done(machine, order_of(os="windows", within_s=5.0)).end == CHANGED


def test_between_two_refusals_of_windows_are_thirty_seconds():
    assert reboot_module._WINDOWS_REFUSED_S == 30.0


def test_refusals_are_counted_over_the_whole_wait_so_that_no_account_is_locked():
    machine = Machine(NOT_YET, REFUSED, NOT_YET, REFUSED, NOT_YET, REFUSED, NOT_YET, "boot-0002")
    assert Done(machine, order_of(within_s=60.0)).end == (EndState.FAILED, FailureKind.AUTH)


@pytest.mark.parametrize(
    "kind", ["host_key", "wrong_machine", "tls", "credential_stopped", "become"]
)
def test_another_machine_in_its_place_or_no_way_in_ends_it_at_once(kind):
    machine = Machine(REFUSED, Failure(FailureKind(kind), "not the one"))
    done = Done(machine, order_of(within_s=60.0))
    assert done.end == (EndState.FAILED, kind)
    assert (done.detail, machine.transport.opens) == ("not the one", 2)


def test_a_machine_that_serves_no_commands_early_in_its_boot_is_waited_for():
    machine = Machine(*[BOOTING] * 6, "boot-0002")
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED


def after(machine, *answers):
    """Let the machine say who it is once more, and then these, and then who it is."""
    words = iter([None, *answers])

    def told():
        word = next(words, None)
        if callable(word):
            return word()
        return word or Machine.identity(machine)

    machine.answers["identity"] = told
    return machine


def test_a_machine_that_crashes_while_it_settles_is_not_back_yet():
    machine = Machine(REFUSED, "boot-0002", REFUSED, "boot-0003")
    after(machine, None, LOST)  # up on boot-0002, and gone before it had settled
    done = Done(machine, order_of(within_s=5.0))
    assert (done.end, done.finished.boot_id) == (CHANGED, "boot-0003")
    assert machine.transport.opens == 4


def test_a_machine_that_restarts_once_more_unseen_settles_on_its_newest_boot():
    machine = Machine("boot-0002")

    def restarted():
        machine.boot = "boot-0003"
        return machine.identity()

    after(machine, None, restarted)
    done = Done(machine, order_of(within_s=5.0))
    assert done.end == CHANGED
    assert machine.parts.count("identity") == 6


def test_a_boot_loop_is_never_back():
    machine = Machine("boot-0002")
    turns = iter(range(3, 10**6))

    def crashing():
        machine.boot = f"boot-{next(turns):04}"
        return machine.identity()

    after(machine, *[crashing] * 10_000)
    done = Done(machine, order_of(within_s=0.15))
    assert done.end == NOT_BACK
    assert "last seen: up, but " in done.detail


def test_a_machine_that_comes_up_too_late_to_settle_is_not_back(pace):
    pace.setattr(reboot_module, "_SETTLE_S", 10.0)
    done = Done(Machine("boot-0002"), order_of(within_s=0.1))
    assert done.end == NOT_BACK
    assert "not for long enough" in done.detail


def test_a_machine_that_is_back_but_not_as_wanted_fails_verify():
    done = Done(Machine(verify=said(code=1)), order_of(verify="v", within_s=5.0))
    assert (done.end, done.finished.boot_id) == ((EndState.FAILED, FailureKind.VERIFY), "boot-0002")


def test_a_verify_may_want_false_after_a_restart_too():
    order = order_of(verify="v", within_s=5.0, verify_wants=False)
    assert Done(Machine(verify=said(code=1)), order).end == CHANGED


def test_a_broken_verify_after_a_restart_is_a_broken_check():
    done = Done(Machine(verify=said(code=127)), order_of(verify="v", within_s=5.0))
    assert done.end == (EndState.FAILED, FailureKind.CHECK_BROKEN)


def test_a_verify_that_hangs_after_a_restart_is_a_broken_check_and_no_doubt():
    hung = Failure(FailureKind.TIMEOUT, "did not end within 5 s", sent=True)
    done = Done(Machine(verify=hung), order_of(verify="v", within_s=5.0))
    assert done.end == (EndState.FAILED, FailureKind.CHECK_BROKEN)


def test_a_machine_that_crashes_under_verify_is_waited_for_again():
    answers = iter([LOST, said()])
    machine = Machine("boot-0002", REFUSED, "boot-0003", verify=lambda: next(answers))
    done = Done(machine, order_of(verify="v", within_s=5.0))
    assert (done.end, done.finished.boot_id) == (CHANGED, "boot-0003")


def test_a_machine_that_crashes_under_verify_for_ever_is_no_doubt_either():
    done = Done(Machine(verify=LOST), order_of(verify="v", within_s=0.1))
    assert done.end == NOT_BACK


def test_verify_gets_the_time_that_is_left_and_no_more():
    machine = Machine(*[REFUSED] * 20, "boot-0002")
    assert Done(machine, order_of(verify="v", within_s=5.0)).end == CHANGED
    assert machine.transport.limits_s[-1] < 5.0 - 20 * 0.002
    machine = Machine()
    assert Done(machine, order_of(verify="v", within_s=5.0, timeout_s=1.0)).end == CHANGED
    assert machine.transport.limits_s[-1] == 1.0


def test_the_time_of_a_restart_is_its_own_not_the_time_limit_of_the_step():
    machine = Machine(*[REFUSED] * 30, "boot-0002")
    assert Done(machine, order_of(within_s=5.0, timeout_s=0.01)).end == CHANGED


def test_a_connection_that_hangs_is_cut_when_the_time_is_over():
    machine = Machine()

    def hanging():
        assert machine.transport.aborted.wait(20)
        return Failure(FailureKind.LOST, "aborted")

    machine.doors = [hanging]
    done = Done(machine, order_of(within_s=0.15))
    assert done.end == NOT_BACK
    assert "no answer" in done.detail
    assert 0.1 < done.took_s < 2


def test_who_stops_waiting_gets_an_answer_soon(pace):
    pace.setattr(reboot_module, "_RETRY_S", 60.0)
    cancelled, machine = threading.Event(), Machine(REFUSED)
    timer = threading.Timer(0.03, cancelled.set)
    timer.start()
    done = Done(machine, order_of(within_s=600.0), cancelled)
    timer.join()
    assert done.end == (EndState.UNKNOWN, FailureKind.ABANDONED)
    assert done.took_s < 5


def test_a_connection_closed_for_a_cancelled_order_is_not_opened_again():
    cancelled, machine = threading.Event(), Machine("boot-0002")

    def told_and_gone():
        cancelled.set()
        machine.script()
        return said()

    machine.answers["script"] = told_and_gone
    assert Done(machine, order_of(within_s=60.0), cancelled).finished.state is EndState.UNKNOWN
    assert machine.transport.opens == 0


def uptime(seconds, boot=""):
    return said(f"machine-id=m-1\nboot-id={boot}\nuptime-s={seconds}\n")


def test_without_boot_ids_an_uptime_that_began_anew_is_the_proof():
    machine = Machine("", boot="")
    after(machine)
    machine.answers["identity"] = iter([uptime(90_000), uptime(0.0), uptime(0.1)]).__next__
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED


def test_without_boot_ids_an_uptime_that_goes_on_is_no_restart():
    machine = Machine(REFUSED, "", boot="", identity=uptime(90_000))
    done = Done(machine, order_of(within_s=0.3))
    assert done.end == NOT_BACK
    assert "same boot: it never went down" in done.detail


def test_an_uptime_that_began_anew_is_a_proof_where_a_container_shares_its_boot_id():
    machine = Machine("boot-0001")
    told = iter([uptime(90_000, "boot-0001"), uptime(0.0, "boot-0001"), uptime(0.1, "boot-0001")])
    machine.answers["identity"] = told.__next__
    assert Done(machine, order_of(within_s=5.0)).end == CHANGED


def test_a_clock_that_stood_still_is_no_restart_while_the_connection_lasts():
    told = iter([uptime(1.0, "boot-0001")])
    machine = Machine("boot-0002", script=said())
    machine.answers["identity"] = lambda: next(told, None) or uptime(0.0, "boot-0001")
    done = Done(machine, order_of(within_s=0.1))
    assert (done.end, machine.transport.opens) == (NOT_BACK, 0)


def test_a_machine_that_tells_nothing_of_its_boots_was_restarted_if_it_was_away():
    assert Done(Machine(REFUSED, "", boot=""), order_of(within_s=5.0)).end == CHANGED
    stays = Machine("", boot="", script=said())
    assert Done(stays, order_of(within_s=0.1)).end == NOT_BACK


# What is sent to restart a machine, run here among commands that only say that they were called.

NAMES = ("systemctl", "shutdown", "reboot")


@pytest.fixture
def shell(tmp_path):
    """Runs the restart where only fakes of the commands it calls are found."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def run(*, uid=0, **exits):
        fakes = {"id": f"echo {uid}", "sleep": 'echo "sleep $*" >&3'}
        for name, code in exits.items():
            fakes[name] = f'echo "{name} $*" >&3; echo "{name} says no" >&2; exit {code}'
        for name, text in fakes.items():
            path = folder / name
            path.write_text(f"#!/bin/sh\nexec 3>>'{tmp_path}/calls'\n{text}\n")
            path.chmod(0o755)
        found = subprocess.run(
            [
                "/bin/sh",
                "-c",
                f"command -v {NAMES[0]}; command -v {NAMES[1]}; command -v {NAMES[2]}",
            ],
            env={"PATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        if found != [str(folder / name) for name in NAMES if name in exits]:
            pytest.skip("this shell has commands of its own that would restart this machine")
        command = render(RESTART, {}, step="restart", part="script")
        return subprocess.run(
            ["/bin/sh", "-s"],
            input=command.stdin,
            env={"PATH": str(folder)},
            capture_output=True,
            check=False,
            timeout=10,
        )

    return run


def calls(tmp_path, number):
    path, deadline_s = tmp_path / "calls", time.monotonic() + 5
    while not path.exists() or len(path.read_text().splitlines()) < number:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    return path.read_text().splitlines()


posix = pytest.mark.skipif(os.name == "nt", reason="a POSIX shell is needed")


@posix
def test_the_restart_answers_before_the_machine_goes(shell, tmp_path):
    outcome = shell(systemctl=0, shutdown=0, reboot=0)
    assert (outcome.returncode, outcome.stdout) == (0, b"restarts in 2 s\n")
    assert calls(tmp_path, 2) == ["sleep 2", "systemctl reboot"]


@posix
def test_the_next_command_restarts_where_the_first_one_cannot(shell, tmp_path):
    assert shell(systemctl=1, shutdown=1, reboot=0).returncode == 0
    assert calls(tmp_path, 4)[1:] == ["systemctl reboot", "shutdown -r now", "reboot "]


@posix
def test_where_nothing_restarts_a_machine_it_says_so(shell):
    outcome = shell()
    assert outcome.returncode == 127
    assert b"no systemctl, shutdown or reboot" in outcome.stderr


@posix
def test_an_account_that_may_not_restart_the_machine_hears_it_at_once(shell, tmp_path):
    outcome = shell(uid=1000, systemctl=1, shutdown=0, reboot=0)
    assert outcome.returncode == 1
    assert outcome.stderr.endswith(b"systemctl says no\n")
    assert calls(tmp_path, 1) == ["systemctl --no-ask-password reboot"]


@posix
def test_an_account_without_systemctl_asks_shutdown(shell, tmp_path):
    assert shell(uid=1000, shutdown=1, reboot=0).returncode == 1
    assert calls(tmp_path, 1) == ["shutdown -r now"]


def test_a_cancelled_order_in_a_lane_is_answered_while_its_machine_is_away(tmp_path, pace):
    pace.setattr(reboot_module, "_RETRY_S", 60.0)
    machine = Machine(REFUSED)
    lanes = Lanes(lambda target: machine.transport, folder=tmp_path, key=b"k" * 32)
    machine.doors = [UP, REFUSED]
    order = order_of(within_s=600.0)
    lanes.submit(order)
    reports, deadline_s = [], time.monotonic() + 10
    while not any(isinstance(report, Finished) for report in reports):
        assert time.monotonic() < deadline_s
        reports += lanes.reports(0.01)
        if any(isinstance(report, Part) and report.part == "script" for report in reports):
            lanes.cancel(order.attempt)
    assert reports[-1].state is EndState.UNKNOWN
    lanes.close(1.0)
