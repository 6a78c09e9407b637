"""Real servers on loopback: OpenSSH's sshd, a scripted SSH server, and sockets that misbehave."""

from __future__ import annotations

import contextlib
import getpass
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.inventory.model import Credential, Endpoint
from outagekit.testing import sshd as sshd_module
from outagekit.testing.sshd import Kind
from outagekit.transports.access import Access
from outagekit.transports.protocol import Deadlines, Target
from outagekit.transports.ssh.transport import SshTransport
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore

QUICK = Deadlines(resolve_s=1.0, connect_s=1.0, handshake_s=1.0, auth_s=1.0, accept_s=1.0)
PATIENT = Deadlines(resolve_s=5.0, connect_s=10.0, handshake_s=15.0, auth_s=15.0, accept_s=10.0)
USER = getpass.getuser()


def make_key(path: Path, kind: Kind = "ed25519", passphrase: str = "") -> Path:
    return sshd_module.make_key(path, passphrase, kind=kind).private


def public_key(path: Path) -> HostKey:
    kind, text = path.with_suffix(".pub").read_text().split()
    return HostKey(kind, text)


@dataclass
class Sshd:
    """A running OpenSSH server that lets the current user in with `user_key`."""

    address: str
    port: int
    folder: Path
    host_key: Path
    user_key: Path
    running: contextlib.ExitStack

    @property
    def key(self) -> HostKey:
        return public_key(self.host_key)

    def stop(self) -> None:
        self.running.close()


def start_sshd(
    folder: Path,
    *,
    address: str = "127.0.0.1",
    port: int | None = None,
    host_keys: tuple[Kind, ...] = ("ed25519",),
    options: tuple[str, ...] = (),
) -> Sshd:
    folder.mkdir(parents=True, exist_ok=True)
    user_key = sshd_module.make_key(folder / "user_key")
    port = port or sshd_module.free_port(address)
    running = contextlib.ExitStack()
    host_key = running.enter_context(
        sshd_module.sshd(
            folder,
            [address],
            port,
            login_keys=[user_key.public],
            host_kinds=host_keys,
            options=options,
        )
    )
    return Sshd(address, port, folder, host_key.private, user_key.private, running)


def needs_sshd() -> None:
    if sshd_module.find_sshd() is None:
        pytest.skip("OpenSSH's sshd is not installed")


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    needs_sshd()
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture
def sshd_with(tmp_path: Path) -> Iterator[Callable[..., Sshd]]:
    needs_sshd()
    servers: list[Sshd] = []

    def start(**options: object) -> Sshd:
        servers.append(start_sshd(tmp_path / f"sshd{len(servers)}", **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@dataclass
class Bench:
    """Makes transports for endpoints of client `acme` and closes them."""

    trust: TrustStore
    secrets: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    made: list[SshTransport] = field(default_factory=list)

    quick = QUICK
    """Deadlines of one second each, for servers that are meant to miss them."""
    key = staticmethod(make_key)
    public = staticmethod(public_key)

    @staticmethod
    def login(key: Path | None = None, **facts: object) -> Credential:
        return Credential(name="admin", user=USER, key=str(key) if key else None, **facts)

    def resolve(self, reference: SecretRef, endpoint: Endpoint, label: str) -> str:
        self.asked.append(f"{reference.describe()} for {endpoint.id}")
        self.labels.append(label)
        if reference.value not in self.secrets:
            raise InvalidInput("this secret is not there")
        return self.secrets[reference.value]

    def transport(
        self,
        address: str,
        port: int | None,
        *,
        name: str = "web-01",
        credential: Credential | None = None,
        deadlines: Deadlines = PATIENT,
        **facts: object,
    ) -> SshTransport:
        facts = {"os": "linux", "port": port, **facts}
        endpoint = Endpoint(client="acme", name=name, address=address, **facts)
        target = Target(endpoint=endpoint, credential=credential)
        transport = SshTransport(target, Access(self.trust, self.resolve, deadlines))
        self.made.append(transport)
        return transport

    def to(self, server: Sshd, *, trusted: bool = True, **options: object) -> SshTransport:
        if trusted:
            self.trust.add("acme", server.address, server.port, server.key)
        options.setdefault("credential", self.login(server.user_key))
        return self.transport(server.address, server.port, **options)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(TrustStore(tmp_path / "trust"))
    yield made
    for transport in made.made:
        transport.close()


@pytest.fixture
def ready(bench: Bench, sshd: Sshd) -> SshTransport:
    """An open connection to the shared sshd."""
    transport = bench.to(sshd)
    opened = transport.open()
    assert not hasattr(opened, "kind"), opened
    return transport


def reset(sock: socket.socket) -> None:
    """Close with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.fixture(name="reset")
def fixture_reset() -> Callable[[socket.socket], None]:
    return reset


class RawServer:
    """Hands every accepted connection to `serve` in a thread of its own."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.over = threading.Event()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            threading.Thread(target=self._guarded, args=(sock,), daemon=True).start()

    def _guarded(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._serve(sock)

    def stop(self) -> None:
        self.over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()


@pytest.fixture
def raw_server() -> Iterator[Callable[..., RawServer]]:
    servers: list[RawServer] = []

    def start(serve: Callable[[socket.socket], None]) -> RawServer:
        servers.append(RawServer(serve))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


class Scripted(paramiko.ServerInterface):
    """An SSH server whose answers a test overrides; it lets user keys in and counts passwords."""

    def __init__(self, over: threading.Event) -> None:
        self.over = over
        self.passwords: list[str] = []
        self.commands: list[str] = []
        self.transport: paramiko.Transport | None = None
        self.sock: socket.socket | None = None

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        line = command.decode()
        self.commands.append(line)
        act = self.identify if "OK_PART=identity" in line else self.act
        threading.Thread(target=self._acting, args=(act, channel), daemon=True).start()
        return True

    def _acting(self, act: Callable[[paramiko.Channel], None], channel: paramiko.Channel) -> None:
        # paramiko says that it took a command only after `check_channel_exec_request`.
        time.sleep(0.03)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            act(channel)

    def identify(self, channel: paramiko.Channel) -> None:
        channel.sendall(b"machine-id=0123456789abcdef0123456789abcdef\nboot-id=\n")
        channel.send_exit_status(0)
        channel.close()

    def act(self, channel: paramiko.Channel) -> None:
        channel.send_exit_status(0)
        channel.close()


@pytest.fixture(name="scripted")
def fixture_scripted() -> type[Scripted]:
    """The class to make misbehaving servers of."""
    return Scripted


@dataclass
class ScriptedServer:
    """A listening `Scripted` server."""

    raw: RawServer
    key: HostKey
    served: list[Scripted]

    @property
    def port(self) -> int:
        return self.raw.port


@pytest.fixture
def scripted_server(
    tmp_path: Path, raw_server: Callable[..., RawServer]
) -> Callable[..., ScriptedServer]:
    def start(
        kind: Callable[[threading.Event], Scripted],
        *,
        prepare: Callable[[paramiko.Transport], None] = lambda transport: None,
    ) -> ScriptedServer:
        path = make_key(tmp_path / f"scripted_{secrets.token_hex(4)}")
        served: list[Scripted] = []

        def serve(sock: socket.socket) -> None:
            server = kind(raw.over)
            transport = paramiko.Transport(sock)
            server.transport, server.sock = transport, sock
            served.append(server)
            transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(str(path)))
            prepare(transport)
            try:
                transport.start_server(server=server)
                while transport.is_active() and not raw.over.wait(0.05):
                    pass
            finally:
                transport.close()

        raw = raw_server(serve)
        return ScriptedServer(raw, public_key(path), served)

    return start


@pytest.fixture
def user_key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "my_key")
