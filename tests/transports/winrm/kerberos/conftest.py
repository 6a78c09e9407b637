"""A Kerberos realm on loopback with a KDC of its own, and the lab's service as a member of it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from outagekit.lab.answers import Answer
from outagekit.lab.wsman.accounts import Account
from outagekit.lab.wsman.alone import LoneServer
from outagekit.transports.protocol import Deadlines
from outagekit.transports.winrm.faults import WireError
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.tickets import TICKETS
from outagekit.transports.winrm.tls import Believed
from outagekit.transports.winrm.wire import Wire

REALM = "OUTAGE.TEST"
SERVICE = "HTTP/localhost"
PASSWORDS = {"ops": "first-one-ø", "beta": "second-one", "locked": "third-one", "stale": "fourth"}
FIRST, SECOND = PASSWORDS["ops"], PASSWORDS["beta"]
PATIENT = Deadlines(resolve_s=2.0, connect_s=5.0, handshake_s=5.0, auth_s=10.0, accept_s=5.0)
HASTY = replace(PATIENT, auth_s=0.4)
_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


def missing() -> str:
    """What the tests need and this machine does not have."""
    if sys.platform == "win32":
        return "there is no KDC to start on Windows"
    for program in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit"):
        if shutil.which(program, path=_PATH) is None:
            return (
                f"the program {program} is not installed (krb5-kdc, krb5-admin-server, krb5-user)"
            )
    for name in ("kerberos", "gssapi", "krb5"):
        if importlib.util.find_spec(name) is None:
            return f"the module {name} is not installed (outagekit[kerberos], pyspnego[kerberos])"
    return ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@dataclass
class Kdc:
    """A running KDC. Keytabs: `keytab` has the service's key, `foreign` another one."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "kdc.log").read_text("utf-8")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": _PATH,
            "KRB5_CONFIG": str(self.folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
        }

    def configuration(self, port: int) -> str:
        """What a client is told that finds the KDC at a port."""
        return f"""[libdefaults]
 default_realm = {REALM}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 {REALM} = {{
  kdc = 127.0.0.1:{port}
 }}
[logging]
 kdc = FILE:{self.folder}/kdc.log
"""

    def start(self) -> None:
        (self.folder / "krb5.conf").write_text(self.configuration(self.port))
        (self.folder / "kdc.conf").write_text(f"""[kdcdefaults]
 kdc_listen = 127.0.0.1:{self.port}
 kdc_tcp_listen = 127.0.0.1:{self.port}
[realms]
 {REALM} = {{
  database_name = {self.folder}/principal
  key_stash_file = {self.folder}/stash
  acl_file = {self.folder}/acl
  max_life = 1h
 }}
""")
        self._fill()
        program = shutil.which("krb5kdc", path=_PATH)
        self.process = subprocess.Popen(
            [program, "-n", "-r", REALM],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._await()

    def _fill(self) -> None:
        orders = [f"addprinc -pw {word} +requires_preauth {who}" for who, word in PASSWORDS.items()]
        orders += [
            "modprinc -allow_tix locked",
            "modprinc -pwexpire yesterday stale",
            f"addprinc -randkey {SERVICE}",
            f"ktadd -k {self.folder}/foreign {SERVICE}",
            f"ktadd -k {self.folder}/keytab {SERVICE}",
        ]
        self.run("kdb5_util", "create", "-s", "-r", REALM, said="master\nmaster\n")
        self.run("kadmin.local", "-r", REALM, said="\n".join([*orders, ""]))

    def _await(self) -> None:
        until_s = time.monotonic() + 5.0
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
                return
            time.sleep(0.02)
        message = "the KDC does not start"
        raise RuntimeError(message)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(5.0)

    def run(self, program: str, *arguments: str, said: str = "") -> str:
        found = shutil.which(program, path=_PATH)
        done = subprocess.run(
            [found, *arguments],
            input=said.encode(),
            env=self.environment,
            capture_output=True,
            timeout=10,
            check=True,
        )
        return done.stdout.decode()


class Imitation:
    """Stands where a KDC is expected: says nothing, or one error to whatever it is asked."""

    def __init__(self, code: int | None = None) -> None:
        self.asked = 0
        self._code = code
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.port: int = self._udp.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while (said := self._udp.recvfrom(65536))[0]:
                self.asked += 1
                if self._code is not None:
                    self._udp.sendto(krb_error(self._code), said[1])

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._udp.shutdown(socket.SHUT_RDWR)
        self._thread.join(5.0)
        self._udp.close()


def krb_error(code: int) -> bytes:
    """A KRB-ERROR (RFC 4120, section 5.9.1)."""

    def tagged(tag: int, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return bytes([tag, len(body)]) + body

    def number(value: int) -> bytes:
        return tagged(0x02, bytes([value]))

    def text(value: str) -> bytes:
        return tagged(0x1B, value.encode())

    names = tagged(0x30, text("krbtgt"), text(REALM))
    fields = {
        0: number(5),
        1: number(30),
        4: tagged(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime()).encode()),
        5: number(0),
        6: number(code),
        9: text(REALM),
        10: tagged(0x30, tagged(0xA0, number(2)), tagged(0xA1, names)),
    }
    return tagged(0x7E, tagged(0x30, *(tagged(0xA0 | at, part) for at, part in fields.items())))


@pytest.fixture(scope="session")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    """The KDC of the tests, or a skip that says what is missing."""
    if reason := missing():
        pytest.skip(f"no Kerberos here: {reason}")
    made = Kdc(tmp_path_factory.mktemp("kdc"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def imitate(kdc: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable]:
    """Have something else stand where the KDC of the realm is: see `Imitation`."""
    with contextlib.ExitStack() as stack:

        def made(code: int | None = None, *, closed: bool = False) -> Imitation | None:
            other = None if closed else Imitation(code)
            if other is not None:
                stack.callback(other.stop)
            file = tmp_path / "imitated.conf"
            file.write_text(kdc.configuration(other.port if other is not None else free_port()))
            monkeypatch.setenv("KRB5_CONFIG", str(file))
            return other

        yield made


@pytest.fixture(autouse=True)
def realm(kdc, tmp_path, monkeypatch):
    """This process lives in the realm, and holds no ticket."""
    for name in ("KRB5_CONFIG", "PATH"):
        monkeypatch.setenv(name, kdc.environment[name])
    monkeypatch.setenv("KRB5_KTNAME", str(kdc.folder / "keytab"))
    monkeypatch.setenv("KRB5RCACHEDIR", str(tmp_path))
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path / 'own'}")
    yield kdc
    TICKETS.forget()


class Echo:
    """A program that answers with what it was asked, or given."""

    boot_id = "1"

    def run(self, asked, running):
        return Answer(0, running.read().decode() if asked.line == "cat" else asked.line)

    def answered(self, answer):
        pass

    def trailer(self, asked, answer):
        return "{}"


@pytest.fixture
def lone(tmp_path):
    with contextlib.ExitStack() as stack:

        def made(program=None, **given):
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            account = Account("drill", "of-no-use-here")
            return stack.enter_context(LoneServer(program or Echo(), folder, account, **given))

        yield made


@pytest.fixture
def wire():
    made = []

    def make(server, login=None, *, address="localhost", deadlines=PATIENT, trust=None):
        port = server if isinstance(server, int) else server.port
        secure = not isinstance(server, int) and server.server.tls is not None
        made.append(
            Wire(
                Place("https" if secure else "http", address, port),
                login or log_in(),
                connect=lambda limit_s: socket.create_connection(("127.0.0.1", port), limit_s),
                trust=trust or Believed(words="acme/pos-01"),
                deadlines=deadlines,
                stop=threading.Event(),
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def log_in(user="ops", password=FIRST, client="acme", realm=REALM):
    who = f"{user}@{realm}"
    return Login(client=client, user=who, auth="kerberos", password=password, name="admin")


def own_ticket(kdc, tmp_path, user="ops", password=FIRST):
    """Have the person of this process hold a ticket; return its file."""
    kdc.run("kinit", "-c", str(tmp_path / "own"), user, said=f"{password}\n")
    return tmp_path / "own"


def ran(one, line="echo", data=b"", *, keep=False):
    """Run a command; return what it wrote."""
    shell, command = one.create(), str(uuid.uuid4()).upper()
    one.command(shell, command, line, timeout_s=5)
    one.send(shell, command, data, end=True, timeout_s=5)
    written, done = b"", False
    while not done:
        received = one.receive(shell, command, wait_s=2, timeout_s=5)
        written, done = written + received.stdout, received.done
    if not keep:
        one.delete(shell, timeout_s=5)
    return written


def failed(call, *args):
    """Return the error a call ends with, once it is sure that it tells no password."""
    with pytest.raises(WireError) as caught:
        call(*args)
    fault: BaseException | None = caught.value
    while fault is not None:
        text = f"{fault!r} {fault} {fault.__dict__}"
        assert not any(word in text for word in (FIRST, SECOND, "not-the-one"))
        fault = fault.__cause__ or fault.__context__
    assert caught.value.unsent
    return caught.value


def told(error):
    return (error.fault, error.failure.kind)


@pytest.fixture
def kit(realm: Kdc, lone: Callable, wire: Callable) -> object:
    """What tests need of this file, which no test can import."""
    return types.SimpleNamespace(
        REALM=REALM,
        HASTY=HASTY,
        PATIENT=PATIENT,
        Echo=Echo,
        kdc=realm,
        lone=lone,
        wire=wire,
        log_in=log_in,
        own_ticket=own_ticket,
        ran=ran,
        failed=failed,
        told=told,
    )
