"""Ways that are not straight: jump hosts shared by many, programs, and what goes wrong there."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from outagekit.credentials import SecretRef
from outagekit.events import FailureKind
from outagekit.inventory.model import Credential, Endpoint
from outagekit.redaction import Secret
from outagekit.transports.access import Access
from outagekit.transports.protocol import Command, Deadlines, Failure, Limits, Opened, Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.ssh.ways import lines as lines_module
from outagekit.transports.ssh.ways import shared as shared_module
from outagekit.transports.ssh.ways.forwarding import Refused
from outagekit.transports.ssh.ways.hop import Hop
from outagekit.transports.ssh.ways.route import Route, Server
from outagekit.transports.ssh.ways.routes import Routes
from outagekit.transports.trust.scan import ends_of, scan_keys

if TYPE_CHECKING:
    from conftest import Bench, RawServer, Sshd

Start = Callable[..., "Sshd"]
Raw = Callable[..., "RawServer"]
QUICK = Deadlines(resolve_s=1.0, connect_s=1.0, handshake_s=1.0, auth_s=1.0, accept_s=1.0)


class Fixed(Routes):
    """Routes as a test lays them, by the endpoint's name."""

    def __init__(self) -> None:
        self.laid: dict[str, Route] = {}

    def route(self, target: Target) -> Route:
        return self.laid[target.endpoint.name]


class Country:
    """Endpoints with ways to them, over one set of lines."""

    def __init__(self, bench: Bench, deadlines: Deadlines | None = None) -> None:
        self.bench = bench
        self.routes = Fixed()
        self.access = Access(
            bench.trust, bench.resolve, deadlines or Deadlines(), routes=self.routes
        )
        self.made: list[SshTransport] = []

    def server(self, sshd: Sshd, *, trusted: bool = True, **facts: Any) -> Server:
        if trusted:
            self.bench.trust.add("acme", sshd.address, sshd.port, sshd.key)
        facts.setdefault("credential", self.bench.login(sshd.user_key))
        return Server(address=sshd.address, port=sshd.port, known_as=sshd.address, **facts)

    def target(self, name: str, end: Server, *hops: Server, command: str = "") -> Target:
        self.routes.laid[name] = Route(end, hops, command)
        endpoint = Endpoint(
            client="acme", name=name, address=end.address, os="linux", port=end.port
        )
        return Target(endpoint=endpoint, credential=end.credential)

    def transport(
        self, end: Server, *hops: Server, name: str = "web-01", command: str = ""
    ) -> SshTransport:
        made = SshTransport(self.target(name, end, *hops, command=command), self.access)
        self.made.append(made)
        return made

    def close(self) -> None:
        for transport in self.made:
            transport.close()
        self.access.close()


@pytest.fixture
def country(bench: Bench) -> Iterator[Country]:
    made = Country(bench)
    yield made
    made.close()


@pytest.fixture
def hasty(bench: Bench) -> Iterator[Country]:
    made = Country(bench, QUICK)
    yield made
    made.close()


def opened(transport: SshTransport) -> Opened:
    found = transport.open()
    assert isinstance(found, Opened), found
    return found


def refused(found: object) -> Failure:
    assert isinstance(found, Failure), found
    assert not found.sent
    assert found.detail.isprintable()
    return found


def logins(sshd: Sshd) -> int:
    return (sshd.folder / "sshd.log").read_text().count("Accepted publickey")


def until(condition: Callable[[], object], timeout_s: float = 5.0) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.01)


def said(transport: SshTransport, line: str) -> str:
    outcome = transport.execute(Command(line), Limits(run_s=10))
    assert outcome.failure is None, outcome.failure
    return outcome.stdout.text


def test_an_endpoint_is_reached_through_a_jump_host(country: Country, sshd_with: Start) -> None:
    jump, inner = sshd_with(), sshd_with()
    transport = country.transport(country.server(inner), country.server(jump))
    assert opened(transport).machine_id
    assert said(transport, "echo $SSH_CONNECTION").split()[3] == str(inner.port)
    large = os.urandom(300_000)
    moved = transport.put(large, str(inner.folder / "large"), mode=0o600, limits=Limits(run_s=10))
    assert not isinstance(moved, Failure)
    assert (inner.folder / "large").read_bytes() == large
    transport.close()
    assert not transport.alive
    opened(transport)
    assert logins(jump) == 1


def test_two_jump_hosts_in_a_row_are_each_entered_once(country: Country, sshd_with: Start) -> None:
    outer, middle, inner = sshd_with(), sshd_with(), sshd_with()
    hops = (country.server(outer), country.server(middle))
    for number in range(3):
        opened(country.transport(country.server(inner), *hops, name=f"web-{number}"))
    opened(country.transport(country.server(middle), hops[0], name="middle"))
    assert (logins(outer), logins(middle), logins(inner)) == (1, 2, 3)


def test_sixty_endpoints_at_once_log_in_to_their_jump_host_once(
    country: Country, sshd_with: Start
) -> None:
    jump, inner = sshd_with(options=("MaxSessions 2",)), sshd_with()
    hop, end = country.server(jump), country.server(inner)
    transports = [country.transport(end, hop, name=f"web-{n}") for n in range(60)]
    with ThreadPoolExecutor(60) as pool:
        assert all(isinstance(found, Opened) for found in pool.map(SshTransport.open, transports))
    assert (logins(jump), logins(inner)) == (1, 60)


def test_clients_share_no_jump_host(country: Country, sshd_with: Start, bench: Bench) -> None:
    jump, inner = sshd_with(), sshd_with()
    hop, end = country.server(jump), country.server(inner)
    opened(country.transport(end, hop))
    other = country.target("web-02", end, hop)
    other = Target(
        endpoint=Endpoint(client="globex", name="web-02", address=end.address, os="linux"),
        credential=other.credential,
    )
    found = refused(SshTransport(other, country.access).open())
    assert found.kind is FailureKind.HOST_KEY
    assert "globex" in found.detail
    assert f"the jump host {jump.address} port {jump.port}" in found.detail
    for server in (jump, inner):
        bench.trust.add("globex", server.address, server.port, server.key)
    opened(SshTransport(other, country.access))
    assert logins(jump) == 2


def test_a_jump_host_that_is_not_trusted_gets_no_login(
    country: Country, sshd_with: Start, bench: Bench
) -> None:
    jump, inner = sshd_with(), sshd_with()
    hop = country.server(jump, trusted=False)
    transport = country.transport(country.server(inner), hop)
    found = refused(transport.open())
    assert found.kind is FailureKind.HOST_KEY
    assert f"the jump host {jump.address} port {jump.port} is not trusted yet" in found.detail
    assert "outagekit trust add acme/web-01" in found.detail
    assert logins(jump) == 0
    bench.trust.add("acme", jump.address, jump.port, jump.key)
    opened(transport)


def test_a_jump_host_with_another_key_is_not_entered(
    country: Country, sshd_with: Start, bench: Bench
) -> None:
    jump, inner = sshd_with(), sshd_with()
    hop = country.server(jump, trusted=False)
    bench.trust.add("acme", jump.address, jump.port, inner.key)
    found = refused(country.transport(country.server(inner), hop).open())
    assert found.kind is FailureKind.HOST_KEY
    assert "but trusted is" in found.detail
    assert found.detail.endswith("(then: outagekit trust replace --jump acme/web-01)")
    assert logins(jump) == 0


def test_a_jump_host_whose_key_is_revoked_is_not_entered(
    country: Country, sshd_with: Start, bench: Bench
) -> None:
    jump, inner = sshd_with(), sshd_with()
    hop = country.server(jump)
    file = bench.trust.folder / "acme" / "known_hosts"
    name, key = f"[{jump.address}]:{jump.port}", f"{jump.key.type} {jump.key.base64}"
    file.write_text(f"@revoked {name} {key}\n{file.read_text()}")
    found = refused(country.transport(country.server(inner), hop).open())
    assert found.kind is FailureKind.HOST_KEY
    assert "is revoked" in found.detail
    assert logins(jump) == 0


def test_a_refused_login_is_tried_by_one_of_many_and_twice_at_most(
    country: Country, sshd_with: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_module, "_LOCKED_OUT_S", 0.0)
    jump, inner = sshd_with(options=("LogLevel VERBOSE",)), sshd_with()
    hop = country.server(jump, credential=country.bench.login(inner.user_key))
    end = country.server(inner)
    transports = [country.transport(end, hop, name=f"web-{n}") for n in range(8)]
    for transport in transports:
        found = refused(transport.open())
        assert found.kind is FailureKind.AUTH
        assert found.detail.startswith(f"the login at the jump host {jump.address} port")
    log = (jump.folder / "sshd.log").read_text()
    assert log.count("Failed publickey") == 2
    country.access.close()
    refused(transports[0].open())
    assert (jump.folder / "sshd.log").read_text().count("Failed publickey") == 2


def test_forwarding_that_is_forbidden_is_said_so(country: Country, sshd_with: Start) -> None:
    jump, inner = sshd_with(options=("AllowTcpForwarding no",)), sshd_with()
    found = refused(country.transport(country.server(inner), country.server(jump)).open())
    assert found.kind is FailureKind.PROTOCOL
    assert "forbids connections" in found.detail
    assert "AllowTcpForwarding" in found.detail


def test_what_the_jump_host_cannot_reach_is_told_apart(country: Country, sshd_with: Start) -> None:
    jump = country.server(sshd_with())
    closed = Server(address="127.0.0.1", port=1, known_as="x")
    found = refused(country.transport(closed, jump).open())
    assert found.kind is FailureKind.REFUSED
    assert "cannot connect to 127.0.0.1 port 1" in found.detail
    nowhere = Server(address="no-such-machine.invalid", port=22, known_as="x")
    found = refused(country.transport(nowhere, jump).open())
    assert found.kind is FailureKind.RESOLVE


def test_each_gets_the_answer_to_its_own_question(country: Country, sshd_with: Start) -> None:
    hop, inner = country.server(sshd_with()), sshd_with()
    ends = {
        "here": country.server(inner),
        "closed": Server("127.0.0.1", 1, "x"),
        "nowhere": Server("no-such-machine.invalid", 22, "x"),
    }
    opened(country.transport(ends["here"], hop))
    ways = [(name, n) for n in range(8) for name in ends]
    transports = [country.transport(ends[name], hop, name=f"{name}-{n}") for name, n in ways]
    with ThreadPoolExecutor(len(transports)) as pool:
        found = list(pool.map(SshTransport.open, transports))
    kinds = {
        (name, getattr(each, "kind", None)) for (name, _), each in zip(ways, found, strict=True)
    }
    assert kinds == {
        ("here", None),
        ("closed", FailureKind.REFUSED),
        ("nowhere", FailureKind.RESOLVE),
    }


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that answers nothing, as a machine that is off: its backlog is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        stack.enter_context(socket.create_connection(listener.getsockname(), 2))
        yield listener.getsockname()[1]


def test_an_endpoint_that_is_silent_costs_its_deadline_and_not_the_jump_host(
    hasty: Country, sshd_with: Start, black_hole: int
) -> None:
    jump, inner = sshd_with(), sshd_with()
    hop = hasty.server(jump)
    transport = hasty.transport(Server("127.0.0.1", black_hole, "x"), hop, name="off")
    began_s = time.monotonic()
    found = refused(transport.open())
    assert found.kind is FailureKind.CONNECT_TIMEOUT
    assert 0.9 < time.monotonic() - began_s < 3
    opened(hasty.transport(hasty.server(inner), hop))
    assert logins(jump) == 1


def test_an_abort_frees_who_waits_for_an_answer_through_a_jump_host(
    country: Country, sshd_with: Start, black_hole: int
) -> None:
    hop = country.server(sshd_with())
    transport = country.transport(Server("127.0.0.1", black_hole, "x"), hop)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(transport.open)
        time.sleep(0.5)
        began_s = time.monotonic()
        transport.abort()
        assert refused(opening.result(5)).kind is FailureKind.LOST
        assert time.monotonic() - began_s < 1


def test_a_jump_host_without_a_greeting_is_waited_for_once(
    hasty: Country, sshd_with: Start, raw_server: Raw
) -> None:
    taken: list[socket.socket] = []
    silent = raw_server(lambda sock: (taken.append(sock), time.sleep(0.01)))
    hop = Server("127.0.0.1", silent.port, "x")
    end = hasty.server(sshd_with())
    transports = [hasty.transport(end, hop, name=f"web-{n}") for n in range(10)]
    began_s = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        found = [refused(each) for each in pool.map(SshTransport.open, transports)]
    assert {each.kind for each in found} == {FailureKind.HANDSHAKE}
    assert f"the jump host 127.0.0.1 port {silent.port} took" in found[0].detail
    assert time.monotonic() - began_s < 3
    assert refused(transports[0].open()) == found[0]
    assert len(taken) == 1


def test_a_failure_is_forgotten_after_a_while(
    hasty: Country, sshd_with: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_module, "_REMEMBERED_S", 0.2)
    jump, inner = sshd_with(), sshd_with()
    hop, end = hasty.server(jump), hasty.server(inner)
    gone = replace(hop, port=1)
    transport = hasty.transport(end, gone)
    found = refused(transport.open())
    assert found.kind is FailureKind.REFUSED
    assert found.detail.startswith(
        "the jump host 127.0.0.1 port 1 cannot be reached: 127.0.0.1 port 1 refused"
    )
    hasty.routes.laid["web-01"] = Route(end, (hop,))
    opened(hasty.transport(end, hop))


def test_a_resolver_that_hangs_on_the_jump_hosts_name_costs_its_deadline(
    hasty: Country, sshd_with: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    real = socket.getaddrinfo

    def hang(name: str, *rest: Any, **facts: Any) -> Any:
        if name == "bastion.example":
            free.wait(20)
        return real(name, *rest, **facts)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    hop = Server("bastion.example", 22, "x")
    began_s = time.monotonic()
    found = refused(hasty.transport(hasty.server(sshd_with()), hop).open())
    free.set()
    assert found.kind is FailureKind.RESOLVE
    assert 0.9 < time.monotonic() - began_s < 3


def kill_connections(sshd: Sshd) -> None:
    """End every connection of a server, as a reboot of its machine would."""
    parents: dict[int, int] = {}
    family: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            line = (folder / "cmdline").read_bytes().partition(b"\0")[0]
            if line.startswith(b"sshd: ") and str(sshd.folder).encode() in line:
                family.add(pid)
    masters = set(family)
    for _ in range(3):
        family |= {pid for pid, parent in parents.items() if parent in family}
    assert family > masters
    for pid in family - masters:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_a_jump_host_lost_in_mid_command_leaves_its_end_unknown_and_is_entered_anew(
    country: Country, sshd_with: Start, tmp_path: Path
) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("finds the processes of a server where Linux shows them")
    jump, inner = sshd_with(), sshd_with()
    hop, end = country.server(jump), country.server(inner)
    transports = [country.transport(end, hop, name=f"web-{n}") for n in range(2)]
    for transport in transports:
        opened(transport)
    begun = tmp_path / "begun"
    with ThreadPoolExecutor(1) as pool:
        line = f"touch {shlex.quote(str(begun))}; sleep 20"
        running = pool.submit(transports[0].execute, Command(line), Limits(run_s=20))
        until(begun.exists)
        kill_connections(jump)
        failure = running.result(5).failure
    assert failure is not None
    assert (failure.kind, failure.sent) == (FailureKind.LOST, True)
    until(lambda: not transports[1].alive)
    transports[0].close()
    opened(transports[0])
    opened(transports[1])
    assert logins(jump) == 2


def test_a_jump_host_that_hangs_is_noticed_and_left(
    hasty: Country, sshd_with: Start, raw_server: Raw
) -> None:
    jump, inner = sshd_with(), sshd_with()
    stalled = threading.Event()

    def relay(sock: socket.socket) -> None:
        onward = socket.create_connection((jump.address, jump.port))

        def back() -> None:
            with contextlib.suppress(OSError):
                while data := onward.recv(65536):
                    sock.sendall(data)

        threading.Thread(target=back, daemon=True).start()
        with onward:
            while data := sock.recv(65536):
                if stalled.is_set():
                    stalled.wait()
                    while sock.recv(65536):
                        pass
                onward.sendall(data)

    server = raw_server(relay)
    hasty.bench.trust.add("acme", "127.0.0.1", server.port, jump.key)
    hop = replace(hasty.server(jump), port=server.port)
    end = hasty.server(inner)
    first = hasty.transport(end, hop)
    opened(first)
    stalled.set()
    began_s = time.monotonic()
    found = refused(hasty.transport(end, hop, name="web-02").open())
    assert found.kind is FailureKind.CONNECT_TIMEOUT
    assert "answers no more" in found.detail
    assert time.monotonic() - began_s < 6
    stalled.clear()
    until(lambda: not first.alive)
    opened(hasty.transport(end, hop, name="web-03"))


def test_a_jump_hosts_password_is_asked_for_once_and_shown_nowhere(
    country: Country, scripted_server: Any, scripted: type, bench: Bench
) -> None:
    class Closed(scripted):  # type: ignore[misc,valid-type]
        def get_allowed_auths(self, username: str) -> str:
            return "password"

        def check_auth_publickey(self, username: str, key: Any) -> int:
            return 2

        def check_auth_password(self, username: str, password: str) -> int:
            return 0

        def check_channel_direct_tcpip_request(self, *_: Any) -> int:
            return 1

    server = scripted_server(Closed)
    bench.secrets["jump"] = "correct-horse-battery"
    bench.trust.add("acme", "127.0.0.1", server.port, server.key)
    credential = Credential(name="bastion", user="ops", password=SecretRef("env", "jump"))
    hop = Server("127.0.0.1", server.port, "127.0.0.1", credential=credential)
    end = Server("web-correct-horse-battery.example", 22, "x")
    for number in range(3):
        transport = country.transport(end, hop, name=f"web-{number}")
        found = refused(transport.open())
        assert found.kind is FailureKind.PROTOCOL
        assert "correct-horse" not in found.detail
    assert bench.labels == ["bastion password"]


def test_what_the_jump_host_was_told_is_hidden_in_what_the_endpoint_says(
    country: Country, sshd_with: Start, bench: Bench
) -> None:
    jump, inner = sshd_with(), sshd_with()
    key = bench.key(jump.folder / "locked", passphrase="long-passphrase-42")
    with (jump.folder / "authorized_keys").open("a") as file:
        file.write(key.with_suffix(".pub").read_text())
    bench.secrets["phrase"] = "long-passphrase-42"
    credential = bench.login(key, passphrase=SecretRef("env", "phrase"))
    hop = country.server(jump, credential=credential)
    transport = country.transport(country.server(inner), hop)
    opened(transport)
    assert "long-passphrase" not in said(transport, "echo long-passphrase-42")
    assert bench.asked == ["env:phrase for acme/web-01"]


LONG = "z" * 190
"""Before a secret, so that a sentence that is cut too early ends in its middle."""


def disconnect(words: str) -> bytes:
    """Return a server's greeting and its goodbye, unencrypted as before the key exchange."""
    told = words.encode()
    body = struct.pack(">BII", 1, 11, len(told)) + told + struct.pack(">I", 0)
    padding = 8 - (len(body) + 5) % 8 + 8
    packet = struct.pack(">IB", len(body) + padding + 1, padding) + body + bytes(padding)
    return b"SSH-2.0-x\r\n" + packet


def test_no_beginning_of_what_a_jump_host_was_told_is_left_in_a_goodbye_that_is_cut(
    country: Country, sshd_with: Start, bench: Bench, raw_server: Raw
) -> None:
    jump = sshd_with()
    key = bench.key(jump.folder / "locked", passphrase="long-passphrase-42")
    with (jump.folder / "authorized_keys").open("a") as file:
        file.write(key.with_suffix(".pub").read_text())
    bench.secrets["phrase"] = "long-passphrase-42"
    hop = country.server(jump, credential=bench.login(key, passphrase=SecretRef("env", "phrase")))

    def serve(sock: socket.socket) -> None:
        sock.sendall(disconnect(f"{LONG}long-passphrase-42"))
        while sock.recv(4096):
            pass

    end = Server("127.0.0.1", raw_server(serve).port, "127.0.0.1")
    transport = country.transport(end, hop)
    scanned = scan_keys(
        ends_of([country.target("web-02", end, hop)], country.access), country.access
    )
    for found in (refused(transport.open()), refused(scanned[0])):
        assert "zzz" in found.detail
        assert "long" not in found.detail
        assert len(found.detail) < 400


def test_no_beginning_of_what_a_jump_host_was_told_is_left_in_its_refusal() -> None:
    class Refusing:
        is_sound = True

        def forward(self, *_: Any) -> Any:
            raise Refused(2, f"{LONG}long-passphrase-42")

    secrets = (Secret("ops password", "long-passphrase-42"),)
    session: Any = Refusing()
    hop = Hop(Server("198.51.100.1", 22, "198.51.100.1"), session, secrets)
    found = refused(hop.connect("198.51.100.2", 22, 1.0))
    assert "zzz" in found.detail
    assert "long" not in found.detail
    assert len(found.detail) < 400


def test_another_port_is_reached_through_the_jump_host(country: Country, sshd_with: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        hop, inner = country.server(sshd_with()), sshd_with()
        transport = country.transport(country.server(inner), hop)
        sock = transport.reach(port, 2.0)
        assert isinstance(sock, socket.socket)
        taken, _ = service.accept()
        with sock, taken:
            sock.settimeout(5)
            taken.settimeout(5)
            sock.sendall(b"hello")
            assert taken.recv(10) == b"hello"
            taken.sendall(b"world")
            assert sock.recv(10) == b"world"
            sock.close()
            assert taken.recv(10) == b""
        sock = transport.reach(port, 2.0)
        assert isinstance(sock, socket.socket)
        taken, _ = service.accept()
        taken.close()
        with sock:
            sock.settimeout(5)
            assert sock.recv(10) == b""
    assert refused(transport.reach(port, 2.0)).kind is FailureKind.REFUSED


def test_a_port_is_that_of_the_port_forward(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        transport = bench.transport("127.0.0.1", 22, ports={443: service.getsockname()[1]})
        sock = transport.reach(443, 2.0)
        assert isinstance(sock, socket.socket)
        sock.close()


def test_a_knock_sees_what_the_jump_host_sees(
    country: Country, sshd_with: Start, black_hole: int
) -> None:
    hop, inner = country.server(sshd_with()), sshd_with()
    there = country.target("there", country.server(inner), hop)
    off = country.target("off", Server("127.0.0.1", black_hole, "x"), hop)
    closed = country.target("closed", Server("127.0.0.1", 1, "x"), hop)
    lost = country.target("lost", country.server(inner), replace(hop, port=1))
    assert country.access.place(there) is None
    assert country.access.knock(there, 5.0)
    assert not country.access.knock(off, 0.2)
    assert not country.access.knock(closed, 1.0)
    assert not country.access.knock(lost, 1.0)


def test_machines_without_any_answer_hide_no_other_behind_their_jump_host(
    country: Country, sshd_with: Start, black_hole: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "_MOST_UNANSWERED", 2)
    jump, inner = sshd_with(), sshd_with()
    hop = country.server(jump)
    there = country.target("there", country.server(inner), hop)
    off = country.target("off", Server("127.0.0.1", black_hole, "x"), hop)
    for entered in (1, 2, 3):
        for _ in range(2):
            assert not country.access.knock(off, 0.1)
        assert logins(jump) == entered
        assert country.access.knock(there, 5.0)
    assert logins(jump) == 4


def test_many_who_wonder_whether_a_jump_host_lives_ask_it_once(
    country: Country, sshd_with: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    hop, inner = country.server(sshd_with()), sshd_with()
    target = country.target("there", country.server(inner), hop)
    assert country.access.knock(target, 5.0)
    (found,) = (shared.hop for shared in country.access.lines._shared.values())
    assert found is not None
    asked: list[str] = []

    def ask(kind: str, *, wait: bool) -> None:
        asked.append(kind)
        time.sleep(0.05)

    monkeypatch.setattr(found.session, "global_request", ask)
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(found.session.answers, [3.0] * 16))
    assert len(asked) <= 2


@pytest.mark.parametrize("hops", [1, 2])
def test_opening_may_take_as_long_as_every_jump_host_on_the_way(
    country: Country, sshd_with: Start, hops: int
) -> None:
    end = country.server(sshd_with())
    straight = country.transport(end).opening_s
    assert straight >= 5 + 10 + 15 + 20 + 10, "name, connection, handshake, login, first command"
    behind = country.transport(end, *(replace(end, port=n + 1) for n in range(hops)), name="b")
    assert behind.opening_s - straight >= hops * (5 + 10 + 15 + 20)


def test_a_connection_that_comes_too_late_is_given_back(country: Country, sshd_with: Start) -> None:
    hop, inner = country.server(sshd_with()), sshd_with()
    opened(country.transport(country.server(inner), hop))
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        filler = stack.enter_context(socket.create_connection(listener.getsockname(), 2))
        late = country.target("late", Server("127.0.0.1", listener.getsockname()[1], "x"), hop)
        assert not country.access.knock(late, 0.2)
        listener.accept()[0].close()
        filler.close()
        listener.settimeout(5)
        taken, _ = listener.accept()
        with taken:
            taken.settimeout(5)
            assert taken.recv(10) == b""


RELAY = """
import os, socket, sys, threading
sock = socket.create_connection(("127.0.0.1", {port}))
def out():
    while data := sock.recv(65536): os.write(1, data)
    os._exit(0)
threading.Thread(target=out, daemon=True).start()
while data := os.read(0, 65536): sock.sendall(data)
"""


def relay(port: int, extra: str = "") -> str:
    text = extra + RELAY.format(port=port)
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(text)}"


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_program_is_the_way_and_ends_with_it(
    country: Country, sshd_with: Start, tmp_path: Path
) -> None:
    inner = sshd_with()
    noted = tmp_path / "pids"
    child = "import os, subprocess; p = subprocess.Popen(['sleep', '600']);"
    note = f"{child}open({str(noted)!r}, 'w').write(f'{{os.getpid()}} {{p.pid}}')\n"
    transport = country.transport(country.server(inner), command=relay(inner.port, note))
    opened(transport)
    assert said(transport, "echo hello") == "hello\n"
    pids = [int(pid) for pid in noted.read_text().split()]
    assert not any(map(gone, pids))
    transport.close()
    until(lambda: all(map(gone, pids)))
    found = refused(transport.reach(inner.port, 1.0))
    assert found.kind is FailureKind.PROTOCOL


def test_a_program_leads_to_the_first_jump_host(country: Country, sshd_with: Start) -> None:
    jump, inner = sshd_with(), sshd_with()
    hop = country.server(jump)
    transport = country.transport(country.server(inner), hop, command=relay(jump.port))
    opened(transport)
    assert logins(jump) == 1


def test_what_a_program_says_when_it_fails_is_told(hasty: Country, sshd_with: Start) -> None:
    end = hasty.server(sshd_with())
    found = refused(hasty.transport(end, command="sh -c 'echo no route >&2; exit 3'").open())
    assert found.kind is FailureKind.HANDSHAKE
    assert found.detail.endswith("the ProxyCommand ended with exit code 3: no route")
    found = refused(hasty.transport(end, command="no-such-program-here --x").open())
    assert found.kind is FailureKind.LOCAL_IO
    assert "the ProxyCommand cannot be executed" in found.detail
    found = refused(hasty.transport(end, command="sleep 60").open())
    assert found.kind is FailureKind.HANDSHAKE
    assert "no SSH banner" in found.detail


def test_a_knock_through_a_program_hears_the_greeting(country: Country, sshd_with: Start) -> None:
    inner = sshd_with()
    end = country.server(inner)
    there = country.target("there", end, command=relay(inner.port))
    dead = country.target("dead", end, command="sleep 60")
    assert country.access.knock(there, 5.0)
    assert not country.access.knock(dead, 0.2)


def test_closing_ends_jump_hosts_and_programs_within_a_second(
    country: Country, sshd_with: Start, tmp_path: Path
) -> None:
    jump, inner = sshd_with(), sshd_with()
    noted = tmp_path / "pid"
    note = f"import os, signal; open({str(noted)!r}, 'w').write(str(os.getpid()))\n"
    stubborn = f"{note}signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    through = country.transport(country.server(inner), country.server(jump))
    opened(through)
    opened(country.transport(country.server(inner), name="b", command=relay(inner.port, stubborn)))
    began_s = time.monotonic()
    country.access.close()
    assert time.monotonic() - began_s < 1
    until(lambda: not through.alive)
    until(lambda: gone(int(noted.read_text())))
    opened(through)


def test_no_thread_is_left_of_a_way(bench: Bench, sshd_with: Start) -> None:
    before = set(threading.enumerate())
    made = Country(bench)
    jump, inner = sshd_with(), sshd_with()
    opened(made.transport(made.server(inner), made.server(jump)))
    opened(made.transport(made.server(inner), name="b", command=relay(inner.port)))
    made.close()
    ours = {"outagekit-watch"}
    until(lambda: {t for t in threading.enumerate() if t.name not in ours} <= before)
