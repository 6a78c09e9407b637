"""Orders that do not end: asked, cut off, given up; against servers that fall silent for real."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_REQUEST

from outagekit.credentials import SecretRef
from outagekit.events import AttemptId, EndState, FailureKind, StepId
from outagekit.inventory.model import Credential, Endpoint
from outagekit.playbook.model import Code, Fetch, RunScript, Script, WaitScript
from outagekit.run.executing import lanes as lanes_module
from outagekit.run.executing.lanes import LaneLimits, Lanes
from outagekit.run.orders import Finished, Order
from outagekit.testing.sshd import find_sshd, free_port, make_key, sshd
from outagekit.transports.access import Access
from outagekit.transports.open import transport_for
from outagekit.transports.protocol import Target
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore

PHASES = ("name", "connect", "banner", "key exchange", "login", "channel", "command", "file")
SENT = frozenset({"command"})
IDENTITY = b"machine-id=0123456789abcdef0123456789abcdef\nboot-id=\n"
SILENT_S = 60.0


class Mute(paramiko.ServerInterface):
    """Serves SSH up to the phase at which it falls silent; remembers signals."""

    def __init__(self, phase: str, over: threading.Event, served: Server) -> None:
        self.phase = phase
        self.over = over
        self.served = served

    def hang_at(self, phase: str) -> None:
        if self.phase == phase:
            self.served.reached.set()
            self.over.wait(SILENT_S)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.hang_at("login")
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        self.hang_at("channel")
        return paramiko.OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        self.hang_at("file")
        return False

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.served.commands.append(command.decode())
        if self.served.deaf and b"identity" not in command:
            # The first data stops the thread that reads the server's socket.
            channel.in_buffer.feed = lambda data: self.over.wait(SILENT_S)
        threading.Thread(target=self.act, args=(channel, command), daemon=True).start()
        return True

    def act(self, channel: paramiko.Channel, command: bytes) -> None:
        time.sleep(0.03)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            if b"identity" in command:
                channel.sendall(IDENTITY)
            else:
                channel.sendall(self.served.says)
                self.hang_at("command")
            channel.send_exit_status(0)
            channel.close()


class Server:
    """Listens on loopback and falls silent at one phase of every connection."""

    def __init__(self, phase: str, key: Path) -> None:
        self.phase = phase
        self.commands: list[str] = []
        self.signals: list[str] = []
        self.says = b"half of what "
        self.deaf = False
        """It reads nothing more once a command has sent something."""
        self.reached = threading.Event()
        self._key = key
        self._over = threading.Event()
        self._kept: list[socket.socket] = []
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0 if phase == "connect" else 16)
        self.port: int = self._listener.getsockname()[1]
        if phase == "connect":
            self._kept.append(socket.create_connection(self._listener.getsockname(), 2))
            self.reached.set()
        else:
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._kept.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            if self.phase in {"banner", "key exchange"}:
                self._be_raw(sock)
                return
            transport = paramiko.Transport(sock)
            transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(self._key)))
            self._listen_for_signals(transport)
            transport.default_window_size = 1 << 28
            transport.start_server(server=Mute(self.phase, self._over, self))
            while transport.is_active() and not self._over.wait(0.05):
                pass
            transport.close()

    def _listen_for_signals(self, transport: paramiko.Transport) -> None:
        base = transport._channel_handler_table[MSG_CHANNEL_REQUEST]

        def handle(channel: paramiko.Channel, message: paramiko.Message) -> None:
            start = message.packet.tell()
            if message.get_text() == "signal":
                message.get_boolean()
                self.signals.append(message.get_text())
            message.packet.seek(start)
            base(channel, message)

        transport._channel_handler_table = {
            **transport._channel_handler_table,
            MSG_CHANNEL_REQUEST: handle,
        }

    def _be_raw(self, sock: socket.socket) -> None:
        if self.phase == "key exchange":
            sock.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.reached.set()
        self._over.wait(SILENT_S)

    def stop(self) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._kept:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


class Lab:
    """Silent servers, and orders for them through real connections."""

    def __init__(self, folder: Path, *, reveal=lambda *_: "") -> None:
        self.folder = folder
        self.user = make_key(folder / "user_key")
        self.host = make_key(folder / "host_key")
        self.trust = TrustStore(folder / "trust")
        self.access = Access(self.trust, reveal)
        self.servers: list[Server] = []
        self.lanes: Lanes | None = None

    def serve(self, phase: str) -> Server:
        self.servers.append(Server(phase, self.host.private))
        self.know(self.servers[-1].port, self.host.public)
        return self.servers[-1]

    def know(self, port: int, public: str) -> None:
        kind, text = public.split()
        for address in ("127.0.0.1", "silent.example"):
            self.trust.add("acme", address, port, HostKey(kind, text))

    def start(self, **limits) -> Lanes:
        self.lanes = Lanes(
            lambda target: transport_for(target, self.access),
            folder=self.folder,
            key=b"k" * 32,
            limits=LaneLimits(**limits),
        )
        return self.lanes

    def order(self, name: str, port: int, action=None, **facts) -> Order:
        address = facts.pop("address", "127.0.0.1")
        login = {"name": "ops", "user": "root", "key": str(self.user.private)}
        credential = Credential(**{**login, **facts.pop("login", {})})
        endpoint = Endpoint(client="acme", name=name, address=address, os="linux", port=port)
        return Order(
            attempt=AttemptId(f"acme/{name}:mend:{secrets.token_hex(4)}"),
            target=Target(endpoint=endpoint, credential=credential),
            step=StepId("mend"),
            action=action or script("true"),
            **facts,
        )

    def order_at(self, phase: str) -> Order:
        server = self.serve(phase)
        address = "silent.example" if phase == "name" else "127.0.0.1"
        action = Fetch(("/etc/hostname",), 1000) if phase == "file" else None
        return self.order(phase.replace(" ", "-"), server.port, action, address=address)

    def end(self, timeout_s: float) -> Finished:
        until_s = time.monotonic() + timeout_s
        while time.monotonic() < until_s:
            for report in self.lanes.reports(0.05):
                if isinstance(report, Finished):
                    return report
        pytest.fail("no end")


def script(text: str) -> RunScript:
    return RunScript(Script((Code("sh", text),)))


@pytest.fixture
def lab(tmp_path):
    made = Lab(tmp_path)
    yield made
    for server in made.servers:
        server.stop()
    if made.lanes is not None:
        made.lanes.close(1.0)


@pytest.fixture
def silent_resolver(monkeypatch):
    free = threading.Event()
    real = socket.getaddrinfo

    def resolve(name, *rest, **facts):
        if name == "silent.example":
            reached.set()
            free.wait(SILENT_S)
        return real("127.0.0.1", *rest, **facts)

    reached = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield reached
    free.set()


@pytest.mark.parametrize("phase", PHASES)
def test_what_hangs_in_any_phase_ends_when_it_is_cancelled(lab, silent_resolver, phase):
    order = lab.order_at(phase)
    lanes = lab.start(lanes=1, connecting=1)
    lanes.submit(order)
    reached = silent_resolver if phase == "name" else lab.servers[0].reached
    assert reached.wait(5)
    time.sleep(0.05)
    began_s = time.monotonic()
    lanes.cancel(order.attempt)
    finished = lab.end(8)
    # A resolver cannot be cut off, but has its own five seconds.
    assert time.monotonic() - began_s < (6 if phase == "name" else 3)
    wanted = EndState.UNKNOWN if phase in SENT else EndState.UNREACHABLE
    assert (finished.attempt, finished.state) == (order.attempt, wanted)
    # Neither its lane nor its place is lost.
    lanes.submit(lab.order("next", lab.serve("nowhere").port))
    assert lab.end(5).state is EndState.OK


_CHILD = """
import socket, sys, threading, time
sys.path.insert(0, {here!r})
from pathlib import Path
import test_lanes_ladder as t

real = socket.getaddrinfo
def resolve(name, *rest, **facts):
    if name == "silent.example":
        time.sleep(600)
    return real("127.0.0.1", *rest, **facts)
socket.getaddrinfo = resolve

def never(*words):
    time.sleep(600)

lab = t.Lab(Path({folder!r}), reveal=never)
lanes = lab.start()
orders = [lab.order_at(phase) for phase in t.PHASES]
locked = {{"passphrase": t.SecretRef("keyring", "silent")}}
orders.append(lab.order("secret", lab.serve("nowhere").port, login=locked))
for order in orders:
    lanes.submit(order)
for server in lab.servers:
    if server.phase not in {{"name", "nowhere"}}:
        assert server.reached.wait(10), server.phase
lanes.reports(0.3)
began = time.monotonic()
lanes.close(1.0)
print("closed", time.monotonic() - began, flush=True)
"""


def test_the_process_ends_at_once_although_every_lane_hangs(tmp_path):
    code = _CHILD.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        word, _, spent_s = child.stdout.readline().strip().partition(" ")
        said_s = time.monotonic()
        assert word == "closed", child.stderr.read()
        assert float(spent_s) < 1.3
        assert child.wait(10) == 0
        assert time.monotonic() - said_s < 1.5
    finally:
        child.kill()
        child.communicate()


def test_a_wait_that_is_cancelled_ends_between_two_looks(lab):
    server = lab.serve("nowhere")
    server.says = b"false\n"
    asks = WaitScript(Script((Code("sh", "false"),)), every_s=60.0)
    order = lab.order("a", server.port, asks, timeout_s=300.0)
    lanes = lab.start()
    lanes.submit(order)
    until(lambda: len(server.commands) == 2)
    time.sleep(0.1)
    began_s = time.monotonic()
    lanes.cancel(order.attempt)
    finished = lab.end(3)
    assert time.monotonic() - began_s < 0.5
    assert finished.attempt == order.attempt
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.ABANDONED)
    assert len(server.commands) == 2


def test_a_command_that_is_cancelled_is_asked_to_stop_before_its_connection_is_closed(lab):
    order = lab.order_at("command")
    lanes = lab.start()
    lanes.submit(order)
    assert lab.servers[0].reached.wait(5)
    lanes.cancel(order.attempt)
    finished = lab.end(5)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.ABANDONED)
    assert lab.servers[0].signals == ["TERM", "KILL"]


def test_an_overdue_order_goes_down_the_same_ladder(lab, monkeypatch):
    # One second for the step.
    monkeypatch.setattr(lanes_module, "_GRACE_S", -59.0)
    order = lab.order("a", lab.serve("command").port, timeout_s=50.0)
    lab.start().submit(order)
    finished = lab.end(5)
    assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.ABANDONED)
    assert lab.servers[0].signals == ["TERM", "KILL"]


@pytest.mark.skipif(find_sshd() is None, reason="OpenSSH's sshd is not installed")
def test_openssh_ends_a_command_that_is_cancelled(lab, tmp_path):
    port = free_port("127.0.0.1")
    pid_file = tmp_path / "pid"
    endless = script(f"echo $$ > {pid_file}; while echo still here; do sleep 0.05; done")
    with sshd(tmp_path / "sshd", ["127.0.0.1"], port, login_keys=[lab.user.public]) as key:
        lab.know(port, key.public)
        order = lab.order("a", port, endless)
        lanes = lab.start()
        lanes.submit(order)
        until(lambda: pid_file.exists() and pid_file.read_text().strip())
        lanes.cancel(order.attempt)
        finished = lab.end(5)
        assert (finished.state, finished.failure) == (EndState.UNKNOWN, FailureKind.ABANDONED)
        until(lambda: not is_running(int(pid_file.read_text())))


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_connection_that_takes_no_more_bytes_is_cut_off(lab, monkeypatch):
    monkeypatch.setattr(lanes_module, "_END_S", 0.3)
    server = lab.serve("command")
    server.deaf = True
    order = lab.order("a", server.port, script(f"# {'x' * (48 << 20)}"))
    lanes = lab.start()
    lanes.submit(order)
    assert server.reached.wait(10)
    time.sleep(1.0)
    began_s = time.monotonic()
    lanes.cancel(order.attempt)
    finished = lab.end(5)
    assert finished.state is EndState.UNKNOWN
    assert time.monotonic() - began_s < 2.5


def test_a_lane_that_reacts_to_nothing_is_given_up_and_its_late_answer_dropped(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(lanes_module, "_END_S", 0.1)
    monkeypatch.setattr(lanes_module, "_ABANDON_S", 0.1)
    asked, free = threading.Event(), threading.Event()
    before = lane_threads()

    def never(*_):
        asked.set()
        free.wait(SILENT_S)
        return ""

    lab = Lab(tmp_path, reveal=never)
    server = lab.serve("nowhere")
    locked = {"passphrase": SecretRef("keyring", "silent")}
    stuck = lab.order("stuck", server.port, login=locked)
    lanes = lab.start(lanes=1, connecting=1)
    lanes.submit(stuck)
    assert asked.wait(5)
    lanes.cancel(stuck.attempt)
    finished = lab.end(3)
    assert (finished.attempt, finished.failure) == (stuck.attempt, FailureKind.ABANDONED)
    lanes.submit(lab.order("next", server.port))
    assert lab.end(5).state is EndState.OK
    free.set()
    until(lambda: len(lane_threads() - before) == 1)
    assert lanes.reports(0.2) == []
    lanes.submit(lab.order("last", server.port))
    assert lab.end(5).state is EndState.OK
    lanes.close(1.0)
    server.stop()


def lane_threads():
    return {thread for thread in threading.enumerate() if thread.name == "outagekit-lane"}


def until(condition, timeout_s=5.0):
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)
