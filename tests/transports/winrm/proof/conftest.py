"""Our transport against the lab's WS-Man service, by every way there is to log in and be sealed.

What holds for every test is looked at after every test: no clear body on http, no shell left, the
password nowhere but in the login itself.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import socket
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from outagekit.credentials import SecretRef
from outagekit.inventory.model import Credential, Endpoint, Winrm
from outagekit.lab.answers import Answer
from outagekit.lab.keys import new_certificate_files
from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.accounts import Account
from outagekit.lab.wsman.alone import LoneServer
from outagekit.lab.wsman.program import Asked, Running
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.tls import Tls
from outagekit.playbook.model import Code
from outagekit.transports.access import Access
from outagekit.transports.logins import Logins
from outagekit.transports.protocol import (
    Command,
    Deadlines,
    Failure,
    Limits,
    Opened,
    Outcome,
    Target,
)
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.windows.render import render
from outagekit.transports.winrm import wire as wire_module
from outagekit.transports.winrm.ledger import Ledger
from outagekit.transports.winrm.transport import WinrmTransport

USER = "drill"
PASSWORD = "Gr\u00fcn-ist:die\u00a4Heide-7"
WRONG = "Blau-ist:das\u00a4Meer-3"
MACHINE = "0a1b2c3d-1111-2222-3333-444455556666"
DEADLINES = Deadlines(resolve_s=1.0, connect_s=1.0, handshake_s=2.0, auth_s=2.0, accept_s=2.0)
LIMITS = Limits(run_s=8.0, accept_s=2.0)

Act = Callable[[Asked, Running], Answer]


@dataclass(frozen=True)
class Way:
    """How a service is spoken to, and why it is believed."""

    auth: str
    secure: bool = False
    pinned: bool = False
    rules: Rules = field(default_factory=Rules)


WAYS = {
    "basic": Way("basic", secure=True),
    "sealed": Way("ntlm"),
    "bound": Way("ntlm", secure=True, rules=Rules(wants_binding=True)),
    "pinned": Way("ntlm", secure=True, pinned=True, rules=Rules(wants_binding=True)),
}


def spelt(password: str) -> tuple[bytes, ...]:
    """Return how a password could show itself."""
    texts = [password.encode(coding) for coding in ("utf-8", "latin-1", "utf-16-le")]
    for coding in ("utf-8", "latin-1"):
        login = f"{USER}:{password}".encode(coding)
        texts += (base64.b64encode(login), base64.b64encode(password.encode(coding)))
    return (*texts, ascii(password)[1:-1].encode())


@dataclass
class Steps:
    """A machine whose steps do what a test says. It keeps its own record of what was executed."""

    acts: dict[str, Act] = field(default_factory=dict)
    machine_id: str = MACHINE
    boot: int = 7
    asked: list[Asked] = field(default_factory=list)
    up_since_s: float = field(default_factory=time.monotonic)
    is_mute: bool = False
    """PowerShell does not say how it came to its end: it was killed."""

    @property
    def boot_id(self) -> str:
        return str(self.boot)

    def run(self, asked: Asked, running: Running) -> Answer:
        if "reg query" in asked.line:
            return Answer(
                stdout=f"    MachineGuid    REG_SZ    {self.machine_id}\r\n"
                f"    BootId    REG_DWORD    0x{self.boot:x}\r\n"
            )
        self.asked.append(asked)
        act = self.acts.get("identity" if asked.part == "identity" else asked.step)
        return Answer(stdout="done\r\n") if act is None else act(asked, running)

    def answered(self, answer: Answer) -> None:
        pass

    def trailer(self, asked: Asked, answer: Answer) -> str:
        if self.is_mute:
            return ""
        told = {"how": "end", "rc": answer.exit_code, "native": 0, "ps": "5.1.1", "mode": "Full"}
        return json.dumps({**told, "boot": "2026-11-22T07:01:02Z"})

    def ran(self, step: str = "fix") -> int:
        return sum(asked.step == step for asked in self.asked)


@dataclass
class Stand:
    """Services and our transports to them; afterwards it is looked at what is left."""

    folder: Path
    tls: dict[bool, Tls]
    ca: Path
    servers: list[LoneServer] = field(default_factory=list)
    transports: list[WinrmTransport] = field(default_factory=list)
    logins: Logins = field(default_factory=Logins)
    said: list[str] = field(default_factory=list)
    """What anybody was told, and every exception that was met on the way."""
    secret: str = PASSWORD
    others: list[Stand] = field(default_factory=list)
    orphans: int = 0
    """Shells whose id was lost with the answer: nobody can know them."""

    answer = Answer
    new_program = Steps
    limits = LIMITS
    deadlines = DEADLINES
    user = USER
    password = PASSWORD
    wrong = WRONG

    def another(self, *, orphans: int = 0) -> Stand:
        """Return a stand of its own, beside this one, which hears what is said there."""
        folder = self.folder / f"stand{len(self.others)}"
        folder.mkdir()
        made = Stand(folder, self.tls, self.ca, said=self.said, orphans=orphans)
        self.others.append(made)
        return made

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.folder / "shells.jsonl")

    @property
    def trust(self) -> TrustStore:
        return TrustStore(self.folder / "trust")

    def server(
        self, program: Steps, way: Way, *, pin: Tls | None = None, **options: object
    ) -> LoneServer:
        """Start a service; `pin` is the certificate to trust it by, instead of its own."""
        folder = self.folder / f"server{len(self.servers)}"
        folder.mkdir()
        options.setdefault("rules", way.rules)
        tls = self.tls[way.pinned] if way.secure else None
        made = LoneServer(program, folder, Account(USER, PASSWORD), tls=tls, **options)
        self.servers.append(made)
        shown = pin or (tls if way.pinned else None)
        if shown is not None:
            key = HostKey.of_certificate(shown.certificate)
            self.trust.add("acme", LOOPBACK, made.port, key)
        return made

    @staticmethod
    def come_back(server: LoneServer) -> None:
        """Have a service that went down listen again; returns when it does."""
        server.come_up()
        until_s = time.monotonic() + 2.0
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, server.port)):
                return

    def resolve(self, reference: SecretRef, endpoint: Endpoint, label: str) -> str:
        return self.secret

    def access(self, deadlines: Deadlines) -> Access:
        return Access(self.trust, self.resolve, deadlines, logins=self.logins, ledger=self.ledger)

    def target(self, server: LoneServer, way: Way, **facts: object) -> Target:
        facts = {"name": "pos-01", "address": LOOPBACK, "port": server.port, **facts}
        facts.setdefault("scheme", "https" if way.secure else "http")
        credential = Credential(
            name="admin", user=USER, password=SecretRef("env", "PW"), auth=way.auth
        )
        ca = str(self.ca) if way.secure and not way.pinned else None
        endpoint = Endpoint(client="acme", os="windows", **facts)
        return Target(endpoint=endpoint, credential=credential, winrm=Winrm(ca=ca))

    def transport(
        self, server: LoneServer, way: Way, *, deadlines: Deadlines = DEADLINES, **facts: object
    ) -> WinrmTransport:
        made = WinrmTransport(self.target(server, way, **facts), self.access(deadlines))
        self.transports.append(made)
        return made

    def open(self, transport: WinrmTransport, **how: bool) -> Opened | Failure:
        opened = transport.open(**how)
        self.said.append(repr(opened))
        return opened

    def opened(self, server: LoneServer, way: Way, **options: object) -> WinrmTransport:
        transport = self.transport(server, way, **options)
        opened = self.open(transport)
        assert isinstance(opened, Opened), opened
        return transport

    def run(
        self,
        transport: WinrmTransport,
        command: Command,
        limits: Limits = LIMITS,
        on_output: Callable[[str, str], None] | None = None,
    ) -> Outcome:
        outcome = transport.execute(command, limits, on_output)
        self.said.append(repr(outcome))
        return outcome

    @staticmethod
    def powershell(text: str = "'x'", step: str = "fix", part: str = "script") -> Command:
        return render(Code("powershell", text), {}, step=step, part=part)

    @staticmethod
    def cmd(text: str = "ver", step: str = "fix", part: str = "script") -> Command:
        return render(Code("cmd", text), {}, step=step, part=part)

    @staticmethod
    def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
        results: list[object] = []
        thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
        thread.start()
        return thread, results

    def settle(self) -> None:
        """Close our side, and look at what is left of it."""
        for transport in self.transports:
            began_s = time.monotonic()
            transport.close()
            assert time.monotonic() - began_s < 1.5
        left = [shell for each in self.servers for shell in each.server.shells]
        assert len(left) == self.orphans, left
        for each in self.servers:
            # What a restart has ended is not noted as left once it is known that there was one.
            boot = f"{each.server.program.boot:08d}"
            assert not self.ledger.left("acme/pos-01", boot=boot)
        assert [each.server.clear_bodies for each in self.servers if not each.server.tls] == [
            0 for each in self.servers if not each.server.tls
        ]

    def close(self) -> None:
        for transport in self.transports:
            transport.close()
        for server in self.servers:
            server.close()
        for other in self.others:
            other.close()


@pytest.fixture(scope="session")
def believed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[bool, Tls], Path]:
    """A certificate of an authority, one signed by nobody, and the file of the authority."""
    folder = tmp_path_factory.mktemp("proof")
    authority = trustme.CA()
    issued = authority.issue_cert(LOOPBACK, "localhost", "::1")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    new_certificate_files(folder / "own.pem", folder / "own-key.pem", address=LOOPBACK)
    vouched = Tls.load(folder / "cert.pem", folder / "key.pem")
    own = Tls.load(folder / "own.pem", folder / "own-key.pem")
    return {False: vouched, True: own}, folder / "ca.pem"


@pytest.fixture
def stand(
    tmp_path: Path,
    believed: tuple[dict[bool, Tls], Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Stand]:
    """A stand; whatever the test did, its rules hold at the end."""
    made = Stand(tmp_path, *believed)
    started: list[str] = []
    begins, explains = subprocess.Popen.__init__, wire_module.explained

    def begin(self: object, args: object, *more: object, **given: object) -> None:
        started.append(repr(args))
        begins(self, args, *more, **given)

    def explain(fault: Exception, when: object) -> object:
        made.said.append("".join(traceback.format_exception(fault)))
        return explains(fault, when)

    monkeypatch.setattr(subprocess.Popen, "__init__", begin)
    monkeypatch.setattr(wire_module, "explained", explain)
    caplog.set_level(logging.DEBUG)
    try:
        yield made
        made.settle()
        servers = [server for each in (made, *made.others) for server in each.servers]
        lines = [asked.line for each in servers for asked in each.server.program.asked]
        held = [record.getMessage() for record in caplog.records]
        texts = (*made.said, *held, *started, *lines, *os.environ.values(), repr(made.transports))
        everything = "\n".join(texts).encode("utf-8", "surrogateescape")
        ledger = tmp_path / "shells.jsonl"
        everything += ledger.read_bytes() if ledger.exists() else b""
        for password in (PASSWORD, WRONG):
            assert [each for each in spelt(password) if each in everything] == []
    finally:
        made.close()


@pytest.fixture
def program() -> Steps:
    return Steps()


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each of the four ways."""
    return WAYS[request.param]


@pytest.fixture
def sealed() -> Way:
    return WAYS["sealed"]


@pytest.fixture
def ways() -> dict[str, Way]:
    return WAYS
