"""A hostile SSH server whose behaviour a user name picks, and the real command line against it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
import pytest
from typer.testing import CliRunner

from outagekit.cli.app import app
from outagekit.testing.sshd import KeyPair, free_port, make_key

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)
"""What a terminal obeys or nobody can see; newlines and tabs aside."""
CONTROLS = (
    "\x1b[2J\x1b[31m"
    "\x1b]0;title\x07"
    "\x1b]8;;http://example.invalid\x1b\\link\x1b]8;;\x1b\\"
    "\x1b]52;c;aGk=\x07"
    "\x1bP+q544e\x1b\\"
    "\x1b_apc\x1b\\"
    "\x9b31m\x9d0;c1\x9c"
    "\u202eturned\u2066round\u2069"
    "a\u200bz\u2060w\ufeffb"
    "[red]markup[/x] [/] [link=x]y[/link] :skull:"
    "good\rbad"
    "\x08\x08bs\x0b\x0c\x85\x7f"
    "\u2028line\u2029paragraph"
    "\x00nul\U000e0041"
)
"""Every family of what a terminal obeys, hides or lays out, and what Rich would read as markup."""


@dataclass
class Visit:
    """One command of a visitor; `done` ends it."""

    channel: paramiko.Channel
    server: Host

    def say(self, text: str | bytes, *, error: bool = False) -> None:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        (self.channel.sendall_stderr if error else self.channel.sendall)(data)

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def done(self, code: int = 0) -> None:
        message = paramiko.Message()
        message.add_byte(bytes([98]))
        message.add_int(self.channel.remote_chanid)
        message.add_string("exit-status")
        message.add_boolean(False)
        message.add_int(code)
        self.channel.transport._send_user_message(message)
        self.channel.shutdown_write()
        self.channel.close()

    def killed_by(self, name: bytes) -> None:
        message = paramiko.Message()
        message.add_byte(bytes([98]))
        message.add_int(self.channel.remote_chanid)
        message.add_string("exit-signal")
        message.add_boolean(False)
        message.add_string(name)
        message.add_boolean(False)
        message.add_string("")
        message.add_string("")
        self.channel.transport._send_user_message(message)
        self.channel.close()


Act = Callable[[Visit], None]


@dataclass
class Manners:
    """How the server treats one user; what is left out it does properly."""

    act: Act = lambda visit: visit.done()
    identify: Act | None = None
    sftp: Callable[[paramiko.Channel], None] | None = None
    login: Callable[[Host, str], int] | None = None


class Host(paramiko.ServerInterface):
    """The server's side of one connection."""

    def __init__(self, manners: dict[str, Manners], transport: paramiko.Transport) -> None:
        self.manners = manners
        self.transport = transport
        self.user = ""

    def get_banner(self):
        return CONTROLS * 3, "en"

    def get_allowed_auths(self, username):
        return "password"

    def check_auth_none(self, username):
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username, password):
        self.user = username
        login = self.manners[username].login
        return paramiko.AUTH_SUCCESSFUL if login is None else login(self, password)

    def hang_up(self, words: bytes) -> None:
        message = paramiko.Message()
        message.add_byte(bytes([1]))
        message.add_int(14)
        message.add_string(words)
        message.add_string("")
        self.transport._send_message(message)

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_subsystem_request(self, channel, name):
        serve = self.manners[self.user].sftp
        if serve is not None:
            threading.Thread(target=self._guarded, args=(serve, channel), daemon=True).start()
        return serve is not None

    def check_channel_exec_request(self, channel, command):
        theirs = self.manners[self.user]
        act = theirs.act
        if b"OK_PART=identity" in command:
            act = theirs.identify or self._identify
        visit = Visit(channel, self)
        threading.Thread(target=self._guarded, args=(act, visit), daemon=True).start()
        return True

    def _identify(self, visit: Visit) -> None:
        machine = hashlib.md5(self.user.encode()).hexdigest()
        visit.say(f"machine-id={machine}\nboot-id=\n")
        visit.done()

    def _guarded(self, act, argument) -> None:
        time.sleep(0.03)  # paramiko says that it took a request only after this call
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException, struct.error):
            act(argument)


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str
    state: Path

    @property
    def run(self) -> Path:
        """The only run's folder."""
        (found,) = (self.state / "runs").iterdir()
        return found

    def spoken(self) -> str:
        return self.out + self.err

    def kept(self) -> bytes:
        """Everything that was written below the state folder, names included."""
        files = [path for path in self.state.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() + os.fsencode(path) for path in files)

    def require_calm(self) -> None:
        """Fail for what a terminal obeys, a traceback, or what we call a bug."""
        for text in (self.out, self.err):
            found = OBEYED.search(text)
            assert found is None, text[max(found.start() - 40, 0) : found.end() + 20]
            assert "Traceback" not in text
            assert "internal error" not in text
        assert not list(self.state.rglob("bug-*"))


@dataclass
class Msp:
    """A workspace of one client whose endpoints are named like their users."""

    folder: Path
    secret: str
    inside: Callable[..., Ran]
    environment: dict[str, str] = field(default_factory=dict)

    def call(self, *words: str, **how: Any) -> Ran:
        """Call with a state folder of its own."""
        return self.again(self.folder / f"state-{secrets.token_hex(3)}", *words, **how)

    def again(self, state: Path, *words: str, through: tuple[str, ...] = ()) -> Ran:
        """Call with a state folder that was used before.

        In this process, unless the environment matters or `through` says what Python runs.
        """
        if not through and not self.environment:
            return self.inside(self.folder, *words, state=state, word=self.secret)
        ran = subprocess.run(
            [sys.executable, *(through or ("-m", "outagekit")), *words],
            capture_output=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
            cwd=self.folder,
            env={
                **os.environ,
                "ENTRY_WORD": self.secret,
                "OUTAGEKIT_STATE": str(state),
                **self.environment,
            },
        )
        out, err = (text.decode("utf-8", "surrogateescape") for text in (ran.stdout, ran.stderr))
        return Ran(ran.returncode, out, err, state)

    def playbook(self, name: str, steps: str) -> None:
        text = f"outagekit: 1\ntitle: {name}\ntargets: all\nsteps:\n{steps}"
        (self.folder / "playbooks" / f"{name}.yaml").write_text(text)


def _hangs(*_: object) -> None:
    raise AssertionError("it hangs")


@contextlib.contextmanager
def _alarm(seconds: int) -> Iterator[None]:
    """Let what hangs fail; only where the system has an alarm."""
    ring = getattr(signal, "SIGALRM", None)
    if ring is None:
        yield
        return
    before = signal.signal(ring, _hangs)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(ring, before)


@pytest.fixture
def call_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ran]:
    """Call the command line in this process, in a folder; what takes 15 s counts as hanging."""

    def call(
        folder: Path, *words: str, state: Path = tmp_path / "state", word: str = "made-up"
    ) -> Ran:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("OUTAGEKIT_STATE", str(state))
        monkeypatch.setenv("ENTRY_WORD", word)
        with _alarm(15):
            result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr, state)

    return call


@pytest.fixture(scope="session")
def controls() -> str:
    """Everything a terminal obeys, in one line of text."""
    return CONTROLS


@pytest.fixture(scope="session")
def manners() -> type[Manners]:
    """What to make users of that misbehave before a command is run."""
    return Manners


@pytest.fixture(scope="session")
def host_key(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key(tmp_path_factory.mktemp("hostile") / "host_key")


@pytest.fixture
def hostile(
    tmp_path: Path, host_key: KeyPair, call_in: Callable[..., Ran]
) -> Iterator[Callable[..., Msp]]:
    """Start a server with these manners and write a workspace whose endpoints it plays."""
    over = threading.Event()
    listeners: list[socket.socket] = []

    def start(secret: str = "", **manners: Act | Manners) -> Msp:
        port = free_port("127.0.0.1")
        listener = socket.create_server(("127.0.0.1", port))
        listeners.append(listener)
        key = paramiko.Ed25519Key.from_private_key_file(str(host_key.private))
        known = {u: m if isinstance(m, Manners) else Manners(m) for u, m in manners.items()}
        serve = threading.Thread(target=_accept, args=(listener, key, known, over), daemon=True)
        serve.start()
        root = _workspace(tmp_path, port, host_key, list(manners))
        return Msp(root, secret or secrets.token_hex(8), call_in)

    yield start
    over.set()
    for listener in listeners:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener, key, manners, over) -> None:
    while True:
        try:
            sock, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(sock, key, manners, over), daemon=True).start()


def _serve(sock, key, manners, over) -> None:
    transport = paramiko.Transport(sock)
    transport.add_server_key(key)
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        transport.start_server(server=Host(manners, transport))
        while transport.is_active() and not over.wait(0.05):
            pass
    transport.close()


def _workspace(folder: Path, port: int, key: KeyPair, users: list[str]) -> Path:
    root = folder / "msp"
    for name in ("inventory", "playbooks", "trust/acme"):
        (root / name).mkdir(parents=True)
    (root / "outagekit.yaml").write_text("outagekit: 1\n")
    logins = "".join(f"  {u}: {{user: {u}, password: 'env:ENTRY_WORD'}}\n" for u in users)
    endpoints = "".join(
        f"  {u}: {{address: 127.0.0.1, port: {port}, os: linux, credential: {u}}}\n" for u in users
    )
    (root / "inventory" / "acme.yaml").write_text(
        "outagekit: 1\nclient: acme\nagreement: {id: M-1, allows: [diagnose, collect, remediate]}\n"
        f"credentials:\n{logins}endpoints:\n{endpoints}"
    )
    (root / "trust" / "acme" / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.public}\n")
    return root
