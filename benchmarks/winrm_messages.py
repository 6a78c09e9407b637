"""How many messages a Windows endpoint is sent for each step on a kept shell.

Runs our transport against a simulated machine behind the lab's WS-Man service on loopback, over
sealed http and over https, and counts at the service: SOAP messages, and HTTP requests with those
of logins. Every message is a way there and back, which is what a step costs on a slow line. Ends
with 1 if a PowerShell command on a kept shell takes more than 3 messages.

    python benchmarks/winrm_messages.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from outagekit.credentials import SecretRef
from outagekit.events import EndpointId
from outagekit.inventory.model import Credential, Endpoint
from outagekit.lab.host import Host
from outagekit.lab.keys import new_certificate_files, new_password_file
from outagekit.lab.listening import LOOPBACK, Listener
from outagekit.lab.machine import Machine
from outagekit.lab.wsman.accounts import Account, Accounts
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.server import windows_server
from outagekit.lab.wsman.tls import Tls
from outagekit.playbook.load import load_playbook
from outagekit.playbook.model import Code
from outagekit.transports.access import Access
from outagekit.transports.protocol import Command, Failure, Limits, Target
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore
from outagekit.transports.windows.render import render
from outagekit.transports.winrm.transport import WinrmTransport

MOST = 3
"""Messages for a PowerShell command on a kept shell: Command, Send, Receive."""
POWERSHELL = "a PowerShell command"
PARTS = "check, script and verify"
SIZE_BYTES = 1024 * 1024
PATH = "C:\\ProgramData\\big.bin"
BOOK = """\
outagekit: 1
title: Mend it
targets: os:windows
steps:
  - {id: fix, phase: fix, powershell: Fix-It, check: {powershell: Test-It}}
drill:
  state: {fixed: false}
  steps: {fix: {set: {fixed: true}}}
"""
WAYS = ("sealed http", "https")
Counts = dict[str, dict[str, tuple[int, int]]]
"""By step and way: SOAP messages and HTTP requests."""


@dataclass(frozen=True)
class Bench:
    """A transport and the service it talks to."""

    transport: WinrmTransport
    count: Callable[[], tuple[int, int]]
    folder: Path

    def command(self, text: str, *, part: str = "script", language: str = "powershell") -> None:
        made: Command = render(Code(language, text), {}, step="fix", part=part)
        outcome = self.transport.execute(made, Limits(run_s=20.0))
        if outcome.failure is not None:
            sys.exit(f"{part}: {outcome.failure.detail}")

    def parts(self) -> None:
        for part, text in (("check", "Test-It"), ("script", "Fix-It"), ("verify", "Test-It")):
            self.command(text, part=part)

    def put(self) -> None:
        content = os.urandom(SIZE_BYTES)
        _moved(self.transport.put(content, PATH, mode=0o600, limits=Limits(run_s=60.0)))

    def fetch(self) -> None:
        limits = Limits(run_s=60.0)
        into = self.folder / "fetched"
        _moved(self.transport.fetch(PATH, into, max_bytes=SIZE_BYTES, limits=limits))

    def counted(self) -> dict[str, tuple[int, int]]:
        """Return the counts of every step, in the order they are done in."""
        steps = {
            "opening": lambda: _moved(self.transport.open()),
            POWERSHELL: lambda: self.command("Fix-It"),
            "a line for cmd": lambda: self.command("ver", language="cmd"),
            PARTS: self.parts,
            "put 1 MiB": self.put,
            "fetch 1 MiB": self.fetch,
            "closing": self.transport.close,
        }
        found: dict[str, tuple[int, int]] = {}
        for name, step in steps.items():
            before = self.count()
            step()
            after = self.count()
            found[name] = (after[0] - before[0], after[1] - before[1])
        return found


def _moved(result: object) -> None:
    if isinstance(result, Failure):
        sys.exit(result.detail)


def counted(folder: Path, way: str) -> dict[str, tuple[int, int]]:
    """Return what each step takes by one way; `folder` is empty."""
    (folder / "book.yaml").write_text(BOOK)
    book = load_playbook(folder / "book.yaml", origin="workspace")
    machine = Machine(EndpointId("bench/pc"), book, system="windows")
    password = new_password_file(folder / "password")
    new_certificate_files(folder / "own.pem", folder / "own-key.pem", address=LOOPBACK)
    secure = way == "https"
    tls = Tls.load(folder / "own.pem", folder / "own-key.pem") if secure else None
    accounts = Accounts(folder, Account("drill", password))
    listener = Listener()
    host = Host(machine, listener)
    service = windows_server(host, accounts, tls=tls, rules=Rules(wants_binding=secure))
    host.doors.append(listener.door(service.serve))
    host.begin()
    listener.start()
    trust = TrustStore(folder / "trust")
    if tls is not None:
        pin = HostKey.of_certificate(tls.certificate)
        trust.add("bench", LOOPBACK, host.doors[0].port, pin)
    transport = WinrmTransport(
        _target(host.doors[0].port, secure=secure), Access(trust, lambda *_: password)
    )
    try:
        return Bench(transport, lambda: (len(service.log), service.requests), folder).counted()
    finally:
        transport.close()
        host.close()
        listener.close()


def _target(port: int, *, secure: bool) -> Target:
    endpoint = Endpoint(
        client="bench",
        name="pc",
        address=LOOPBACK,
        os="windows",
        port=port,
        scheme="https" if secure else "http",
    )
    credential = Credential(name="drill", user="drill", password=SecretRef("env", "X"), auth="ntlm")
    return Target(endpoint=endpoint, credential=credential)


def measured() -> Counts:
    """Return the counts of every step by every way."""
    found: Counts = {}
    for way in WAYS:
        with tempfile.TemporaryDirectory(prefix="outagekit-bench-") as name:
            for step, counts in counted(Path(name), way).items():
                found.setdefault(step, {})[way] = counts
    return found


def excess(found: Counts) -> list[str]:
    """Return the ways by which a PowerShell command takes more messages than it may."""
    most = {POWERSHELL: MOST, PARTS: 3 * MOST}
    return [
        f"{step} over {way}: {counts[0]} messages, not {most[step]}"
        for step, by_way in found.items()
        for way, counts in by_way.items()
        if counts[0] > most.get(step, counts[0])
    ]


def main() -> None:
    found = measured()
    print(f"{'messages (HTTP requests)':28}" + "".join(f"{way:>16}" for way in WAYS))
    for step, by_way in found.items():
        cells = (f"{messages} ({requests})" for messages, requests in by_way.values())
        print(f"{step:28}" + "".join(f"{cell:>16}" for cell in cells))
    wrong = excess(found)
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
