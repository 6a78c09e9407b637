"""Our transport against the lab's WS-Man service; each test writes what its commands answer."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.inventory.model import Credential, Endpoint, Winrm
from outagekit.lab.answers import Answer
from outagekit.lab.wsman.accounts import Account
from outagekit.lab.wsman.alone import LoneServer
from outagekit.lab.wsman.injection import Injections
from outagekit.lab.wsman.program import Asked, Running
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.tls import Tls
from outagekit.playbook.model import Code
from outagekit.transports.access import Access
from outagekit.transports.logins import Logins
from outagekit.transports.protocol import Command, Deadlines, Opened, Target
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.windows.render import render
from outagekit.transports.winrm import attempts, running, starting
from outagekit.transports.winrm.ledger import Ledger
from outagekit.transports.winrm.transport import WinrmTransport

PASSWORD = "Zug-faehrt-um-8"
MACHINE = "0a1b2c3d-1111-2222-3333-444455556666"
PATIENT = Deadlines(resolve_s=2.0, connect_s=3.0, handshake_s=5.0, auth_s=5.0, accept_s=5.0)
QUICK = Deadlines(resolve_s=1.0, connect_s=1.0, handshake_s=1.0, auth_s=1.0, accept_s=1.0)

Act = Callable[[Asked, Running], Answer]


def powershell(step: str = "fix", text: str = "'x'", part: str = "script") -> Command:
    return render(Code("powershell", text), {}, step=step, part=part)


def cmd(step: str = "fix", text: str = "ver", part: str = "script") -> Command:
    return render(Code("cmd", text), {}, step=step, part=part)


def in_thread(call: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    return thread, results


@dataclass
class Scripted:
    """A machine whose steps answer as a test says; unknown ones say what their script was."""

    acts: dict[str, Act] = field(default_factory=dict)
    machine_id: str = MACHINE
    boot: int = 7
    asked: list[Asked] = field(default_factory=list)
    told: dict[str, object] = field(default_factory=dict)
    silent: bool = False
    """No trailer."""

    @property
    def boot_id(self) -> str:
        return str(self.boot)

    def run(self, asked: Asked, work: Running) -> Answer:
        if re.search(r"reg(\.exe)? query", asked.line) and "identity" not in self.acts:
            return Answer(
                stdout=f"\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Cryptography\r\n"
                f"    MachineGuid    REG_SZ    {self.machine_id}\r\n\r\n"
                "\r\nHKEY_LOCAL_MACHINE\\X\r\n"
                f"    BootId    REG_DWORD    0x{self.boot:x}\r\n\r\n"
            )
        self.asked.append(asked)
        name = "identity" if asked.part == "identity" else asked.step
        act = self.acts.get(name)
        return Answer(stdout="done\r\n") if act is None else act(asked, work)

    def answered(self, answer: Answer) -> None:
        pass

    def trailer(self, asked: Asked, answer: Answer) -> str:
        told = {"how": "end", "rc": answer.exit_code, "native": 0, "ps": "5.1.1", "mode": "Full"}
        return json.dumps({**told, "boot": "2026-11-22T07:01:02Z", **self.told})

    def ran(self, step: str) -> int:
        return sum(asked.step == step for asked in self.asked)


@dataclass
class Lab:
    """Servers, and transports to them for endpoints of client `acme`."""

    folder: Path
    authority: trustme.CA
    servers: list[LoneServer] = field(default_factory=list)
    transports: list[WinrmTransport] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=lambda: {"PW": PASSWORD})
    logins: Logins = field(default_factory=Logins)
    ledger: Ledger = field(default_factory=Ledger)

    powershell = staticmethod(powershell)
    cmd = staticmethod(cmd)
    in_thread = staticmethod(in_thread)
    quick = QUICK
    answer = Answer

    @property
    def trust(self) -> TrustStore:
        return TrustStore(self.folder / "trust")

    def server(
        self, program: Scripted | None = None, *, scheme: str = "http", **options: object
    ) -> LoneServer:
        options.setdefault("rules", Rules())
        options.setdefault("injections", Injections())
        folder = self.folder / f"server{len(self.servers)}"
        folder.mkdir()
        tls = self._tls(folder) if scheme == "https" else None
        account = Account("drill", PASSWORD)
        made = LoneServer(program or Scripted(), folder, account, tls=tls, **options)
        self.servers.append(made)
        return made

    def _tls(self, folder: Path) -> Tls:
        issued = self.authority.issue_cert("127.0.0.1")
        issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        issued.private_key_pem.write_to_path(folder / "key.pem")
        self.authority.cert_pem.write_to_path(self.folder / "ca.pem")
        return Tls.load(folder / "cert.pem", folder / "key.pem")

    def resolve(self, reference: SecretRef, endpoint: Endpoint, label: str) -> str:
        if reference.value not in self.secrets:
            raise InvalidInput("this secret is not there")
        return self.secrets[reference.value]

    def access(self, deadlines: Deadlines = PATIENT) -> Access:
        return Access(self.trust, self.resolve, deadlines, logins=self.logins, ledger=self.ledger)

    def transport(
        self,
        server: LoneServer,
        *,
        name: str = "pos-01",
        auth: str | None = None,
        user: str = "drill",
        deadlines: Deadlines = PATIENT,
        port: int | None = None,
        **facts: object,
    ) -> WinrmTransport:
        https = server.url.startswith("https")
        endpoint = Endpoint(
            client="acme",
            name=name,
            address="127.0.0.1",
            os="windows",
            port=port or server.port,
            scheme="https" if https else "http",
            **facts,
        )
        credential = Credential(name="admin", user=user, password=SecretRef("env", "PW"), auth=auth)
        winrm = Winrm(ca=str(self.folder / "ca.pem") if https else None)
        target = Target(endpoint=endpoint, credential=credential, winrm=winrm)
        made = WinrmTransport(target, self.access(deadlines))
        self.transports.append(made)
        return made

    def opened(self, server: LoneServer, **options: object) -> WinrmTransport:
        transport = self.transport(server, **options)
        opened = transport.open()
        assert isinstance(opened, Opened), opened
        return transport

    def close(self) -> None:
        for transport in self.transports:
            transport.close()
        for server in self.servers:
            server.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def lab(tmp_path: Path, authority: trustme.CA) -> Iterator[Lab]:
    made = Lab(tmp_path, authority)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab on loopback needs no patience."""
    monkeypatch.setattr(attempts, "_PAUSES_S", (0.01, 0.03, 0.1, 0.2, 0.3, 0.4))
    monkeypatch.setattr(starting, "_LOOK_S", 0.1)
    monkeypatch.setattr(running, "_SHORTEST_WAIT_S", 0.1)


@pytest.fixture
def program() -> Scripted:
    return Scripted()


@pytest.fixture(params=["http", "https", "basic"])
def way(request: pytest.FixtureRequest) -> dict[str, object]:
    """How a server speaks and how we log in."""
    return {
        "http": {"scheme": "http"},
        "https": {"scheme": "https"},
        "basic": {"scheme": "https", "auth": "basic"},
    }[request.param]
