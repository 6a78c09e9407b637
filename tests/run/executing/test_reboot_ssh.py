"""Restarts over real SSH: an OpenSSH server that is stopped and started, and the lab's machine."""

from __future__ import annotations

import contextlib
import getpass
import os
import sys
import threading
import time

import pytest

from outagekit.events import EndState, FailureKind
from outagekit.inventory.model import Credential, Endpoint
from outagekit.lab.fleet import CREDENTIAL, Fleet
from outagekit.lab.machine import Pace
from outagekit.playbook.model import Code, Drill, DrillStep, Playbook, Reboot
from outagekit.run.executing import reboot as reboot_module
from outagekit.run.executing.execute import Bench, execute
from outagekit.run.orders import Order
from outagekit.testing import sshd as sshd_module
from outagekit.testing.builders import step
from outagekit.transports.access import Access
from outagekit.transports.protocol import Deadlines, Failure, Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore

ADDRESS = "127.0.0.1"
DEADLINES = Deadlines(resolve_s=5.0, connect_s=2.0, handshake_s=5.0, auth_s=5.0, accept_s=5.0)

# Stands in for the machine: what would restart it is read and thrown away, never run.
MACHINE = """\
#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
*OK_PART=identity*)
  test -s '{folder}/boot-id' || exec sh -c "$SSH_ORIGINAL_COMMAND"
  cat >/dev/null
  printf 'machine-id=%s\\nboot-id=%s\\n' 0123456789abcdef "$(cat '{folder}/boot-id')" ;;
*OK_PART=script*)
  cat >/dev/null
  echo $PPID >'{folder}/told.new' && mv '{folder}/told.new' '{folder}/told'
  echo 'restarts in 2 s' ;;
*OK_PART=verify*)
  cat >/dev/null
  test "$(cat '{folder}/boot-id')" = boot-0002 ;;
esac
"""


class Server:
    """A real sshd in front of a machine whose boot id stands in a file."""

    def __init__(self, folder, *, boot="boot-0001"):
        self.folder = folder
        folder.mkdir()
        (folder / "boot-id").write_text(boot)
        machine = folder / "machine"
        machine.write_text(MACHINE.format(folder=folder))
        machine.chmod(0o755)
        self.login = sshd_module.make_key(folder / "login")
        self.port = sshd_module.free_port(ADDRESS)
        self.running = contextlib.ExitStack()
        self.key = self.running.enter_context(
            sshd_module.sshd(
                folder,
                [ADDRESS],
                self.port,
                login_keys=[self.login.public],
                options=[f"ForceCommand {machine}"],
            )
        )

    def transport(self, folder):
        trust = TrustStore(folder)
        trust.add("acme", ADDRESS, self.port, HostKey(*self.key.public.split()))
        endpoint = Endpoint(
            client="acme", name="web-01", address=ADDRESS, os="linux", port=self.port
        )
        credential = Credential(name="ops", user=getpass.getuser(), key=str(self.login.private))
        target = Target(endpoint=endpoint, credential=credential)
        return target, SshTransport(target, Access(trust, lambda *_: "", DEADLINES))

    def goes_down(self):
        """Wait until the machine was told to restart; then end the server and the connection."""
        deadline_s = time.monotonic() + 10
        while not (self.folder / "told").exists():
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        time.sleep(0.05)  # its answer goes first
        self.running.close()
        session = int((self.folder / "told").read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(session, 15)

    def comes_up(self, boot, *, key=None):
        (self.folder / "boot-id").write_text(boot)
        if key is not None:
            (self.folder / "host_ed25519").write_bytes(key.private.read_bytes())
        config = self.folder / "sshd_config.0"
        self.running.enter_context(sshd_module._process(config, ADDRESS, self.port))


@pytest.fixture
def server(tmp_path):
    if sshd_module.find_sshd() is None:
        pytest.skip("OpenSSH's sshd is not installed")
    if sys.platform != "linux":
        pytest.skip("the session of a connection is ended by its parent process here")
    made = Server(tmp_path / "sshd")
    yield made
    made.running.close()


@pytest.fixture(autouse=True)
def pace(monkeypatch):
    monkeypatch.setattr(reboot_module, "_RETRY_S", 0.05)
    monkeypatch.setattr(reboot_module, "_SETTLE_S", 0.1)


def restart(target, transport, *, within_s=20.0, verify=""):
    assert not isinstance(transport.open(), Failure)
    order = Order(
        attempt="acme/web-01:restart:1",
        target=target,
        step="restart",
        action=Reboot(within_s),
        verify=Code("sh", verify) if verify else None,
        changes=True,
        timeout_s=within_s,
    )
    reports = []
    bench = Bench(reports.append, b"k", None, threading.Event())
    finished = execute(order, transport, bench)
    transport.close()
    return finished, reports


def meanwhile(work):
    """Do this while the restart runs."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_real_server_goes_down_and_comes_back_on_another_boot(server, tmp_path):
    target, transport = server.transport(tmp_path / "trust")

    def act():
        server.goes_down()
        time.sleep(0.3)
        server.comes_up("boot-0002")

    thread = meanwhile(act)
    finished, reports = restart(target, transport, verify="v")
    thread.join()
    assert (finished.state, finished.failure, finished.boot_id) == (
        EndState.CHANGED,
        None,
        "boot-0002",
    )
    assert [report.part for report in reports] == ["identity", "script", "identity", "verify"]
    assert reports[1].stdout.text == "restarts in 2 s\n"


def test_a_real_server_that_stays_down_is_not_back(server, tmp_path):
    target, transport = server.transport(tmp_path / "trust")
    thread = meanwhile(server.goes_down)
    finished, _ = restart(target, transport, within_s=1.5)
    thread.join()
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.NOT_BACK)
    assert finished.detail == "not back within 1.5 s; last seen: port refused"


def test_a_real_machine_that_does_not_restart_is_found_on_its_old_boot(server, tmp_path):
    target, transport = server.transport(tmp_path / "trust")
    (server.folder / "boot-id").write_text("")  # it tells its own, the one of this machine
    finished, reports = restart(target, transport, within_s=0.5)
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.NOT_BACK)
    assert "it never went down" in finished.detail
    assert "uptime-s=" in reports[0].stdout.text


def test_a_server_that_was_restarted_is_no_machine_that_was_restarted(server, tmp_path):
    target, transport = server.transport(tmp_path / "trust")

    def act():
        server.goes_down()
        server.comes_up("boot-0001")

    thread = meanwhile(act)
    finished, _ = restart(target, transport, within_s=1.5)
    thread.join()
    assert (finished.failure, finished.boot_id) == (FailureKind.NOT_BACK, "boot-0001")
    assert finished.detail.endswith("same boot id: it never went down")


def test_a_machine_that_comes_back_with_another_host_key_ends_it_at_once(server, tmp_path):
    target, transport = server.transport(tmp_path / "trust")
    other = sshd_module.make_key(tmp_path / "other")

    def act():
        server.goes_down()
        server.comes_up("boot-0002", key=other)

    thread = meanwhile(act)
    finished, _ = restart(target, transport, within_s=60.0)
    thread.join()
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.HOST_KEY)


def test_logins_refused_for_good_after_a_restart_end_it(server, tmp_path, monkeypatch):
    monkeypatch.setattr(reboot_module, "_REFUSED_S", 0.05)
    target, transport = server.transport(tmp_path / "trust")

    def act():
        server.goes_down()
        (server.folder / "authorized_keys").write_text("")
        server.comes_up("boot-0002")

    thread = meanwhile(act)
    finished, _ = restart(target, transport, within_s=60.0)
    thread.join()
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.AUTH)


@pytest.fixture
def fleet(tmp_path):
    def start(**drill):
        playbook = Playbook(
            name="restart",
            title="Restart",
            targets="os:linux",
            steps=(
                step("mend", check="c", verify="v"),
                step("restart", action=Reboot(20.0), verify="v", needs=("reboot",)),
            ),
            drill=Drill(
                state={"mended": False}, steps={"mend": DrillStep(set={"mended": True}), **drill}
            ),
        )
        return opened.enter_context(
            Fleet.start(
                playbook,
                endpoints=1,
                seed=1,
                folder=tmp_path / "lab",
                faults={},
                pace=Pace(speed=20.0),
            )
        )

    with contextlib.ExitStack() as opened:
        yield start


def connected(fleet):
    (owner,) = fleet.inventory.clients.values()
    (endpoint,) = owner.endpoints.values()
    target = Target(endpoint=endpoint, credential=owner.credentials[CREDENTIAL])
    access = Access(TrustStore(fleet.trust_folder), lambda *_: "", DEADLINES)
    return target, SshTransport(target, access), fleet.machines[endpoint.id]


def test_a_simulated_machine_is_restarted_once_and_comes_back_on_another_boot(fleet):
    target, transport, machine = connected(fleet())
    before = machine.boot_id
    finished, reports = restart(target, transport, verify="v")
    assert (finished.state, finished.failure) == (EndState.CHANGED, None)
    assert finished.boot_id == machine.boot_id != before
    assert [report.part for report in reports] == ["identity", "script", "identity", "verify"]
    did = [(entry.step, entry.part) for entry in machine.ran if entry.part == "script"]
    assert did == [("restart", "script")]


def test_a_simulated_machine_that_refuses_to_restart_fails_with_its_words(fleet):
    refusing = DrillStep(exit_code=1, stderr="Access denied")
    target, transport, machine = connected(fleet(restart=refusing))
    before = machine.boot_id
    finished, _ = restart(target, transport)
    assert (finished.failure, machine.boot_id) == (FailureKind.EXIT_CODE, before)
    assert finished.detail == "exit code 1: Access denied"


def test_a_simulated_machine_that_takes_too_long_is_not_back(fleet):
    target, transport, _ = connected(fleet(restart=DrillStep(takes_s=600.0)))
    finished, _ = restart(target, transport, within_s=1.0)
    assert (finished.state, finished.failure) == (EndState.FAILED, FailureKind.NOT_BACK)
    assert finished.detail == "not back within 1 s; last seen: port refused"


def test_a_connection_knows_the_boot_of_its_machine_while_it_is_open(server, tmp_path):
    _, transport = server.transport(tmp_path / "trust")
    assert transport.boot_id == ""
    transport.open()
    assert transport.boot_id == "boot-0001"
    transport.close()
    assert transport.boot_id == ""
