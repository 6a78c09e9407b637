"""Two clients that are not ours get the same from the service for the same commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import pytest
from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan
from winrm.protocol import Protocol as Pywinrm

from outagekit.lab.listening import LOOPBACK
from outagekit.lab.wsman.alone import LoneServer
from outagekit.transports.protocol import Command, Limits

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way

NONCE = "0123456789abcdef0123456789abcdef"
LETTERS = "äöü Жук 東京 \U0001d518\U0001f9ef"
WORDS = {
    "nothing": (0, b"", b""),
    "lines": (0, b"one\r\ntwo\r\n\r\nfour", b""),
    "errors": (1, b"", b"it went wrong\r\n"),
    "both": (3010, b"out\r\n", b"err\r\n"),
    "letters": (0, f"{LETTERS}\r\n".encode(), LETTERS.encode()),
    "minus": (-2145124329, b"x", b""),
    "unsigned": (3221225477, b"", b"y"),
    "large": (7, b"0123456789abcde\n" * 65536, b"fedcba987654321\n" * 65536),
    "pieces": (2, b"", b""),
    "framed": (5, b"said by a script\r\n", b"oh\r\n"),
}
"""What each command ends with and says."""
LIMITS = Limits(run_s=10.0, accept_s=3.0, keep_bytes=4 * 1024 * 1024)

Said = tuple[int, bytes, bytes]


class Client(Protocol):
    """One kept shell."""

    def run(self, line: str, data: bytes) -> Said: ...

    def close(self) -> None: ...


class Plain:
    """pywinrm's `Protocol`, as its documentation has it."""

    def __init__(self, stand: Stand, server: LoneServer, way: Way) -> None:
        self._protocol = Pywinrm(
            server.url,
            transport=way.auth,
            username=stand.user,
            password=stand.password,
            ca_trust_path=str(stand.ca),
            proxy=None,
            read_timeout_sec=10,
            operation_timeout_sec=5,
        )
        self._shell = self._protocol.open_shell(codepage=65001)

    def run(self, line: str, data: bytes) -> Said:
        command = self._protocol.run_command(self._shell, line)
        if data:
            self._protocol.send_command_input(self._shell, command, data, end=True)
        stdout, stderr, code = self._protocol.get_command_output(self._shell, command)
        self._protocol.cleanup_command(self._shell, command)
        return code, stdout, stderr

    def close(self) -> None:
        self._protocol.close_shell(self._shell)
        self._protocol.transport.close_session()


class Psrp:
    """pypsrp's `WinRS`."""

    def __init__(self, stand: Stand, server: LoneServer, way: Way) -> None:
        self._wsman = WSMan(
            LOOPBACK,
            port=server.port,
            ssl=way.secure,
            username=stand.user,
            password=stand.password,
            auth=way.auth,
            cert_validation=str(stand.ca),
            no_proxy=True,
            operation_timeout=5,
            read_timeout=10,
        )
        self._shell = WinRS(self._wsman, codepage=65001)
        self._shell.open()

    def run(self, line: str, data: bytes) -> Said:
        process = Process(self._shell, line)
        process.begin_invoke()
        if data:
            process.send(data, end=True)
        process.end_invoke()
        return process.rc, process.stdout, process.stderr

    def close(self) -> None:
        self._shell.close()
        self._wsman.close()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in tuple(os.environ):
        if name.lower().endswith("_proxy") or name in {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}:
            monkeypatch.delenv(name)


@pytest.fixture(params=["basic", "sealed", "bound"])
def served(
    request: pytest.FixtureRequest, stand: Stand, program: Steps, ways: dict[str, Way]
) -> tuple[LoneServer, Way]:
    """A service that says the words, and the way to it."""

    def says(asked: object, running: object) -> object:
        if asked.step == "pieces":
            for number in range(3):
                running.write(f"out {number}\r\n".encode(), f"err {number}\r\n".encode())
                running.wait(0.02)
        code, stdout, stderr = WORDS[asked.step]
        return stand.answer(code, stdout.decode(), stderr.decode())

    program.acts = dict.fromkeys(WORDS, says)
    way = ways[request.param]
    return stand.server(program, way), way


def command_of(stand: Stand, name: str) -> Command:
    if name == "framed":
        return stand.powershell(f"'{LETTERS}'", step=name)
    return stand.cmd(f"echo {name} & ver", step=name)


def same(code: int, stdout: bytes, stderr: bytes) -> Said:
    """Return what was got with its code without a sign, and without the frame."""
    said = stdout.partition(f"\n{NONCE} ".encode())[0]
    return code & 0xFFFFFFFF, said, stderr


@pytest.mark.parametrize("other", [Plain, Psrp])
def test_the_same_ten_commands_get_the_same(
    stand: Stand, served: tuple[LoneServer, Way], other: type
) -> None:
    server, way = served
    ours = stand.opened(server, way)
    theirs: Client = other(stand, server, way)
    for name in WORDS:
        command = command_of(stand, name)
        outcome = stand.run(ours, command, LIMITS)
        assert outcome.failure is None, outcome
        data = f"{NONCE}\r\n".encode() + command.stdin if command.framed else b""
        found = same(*theirs.run(command.line, data))
        told = (outcome.exit_code, outcome.stdout.text.encode(), outcome.stderr.text.encode())
        assert same(*told) == found, name
        assert outcome.stdout.size_bytes == len(found[1])
        assert outcome.stderr.size_bytes == len(found[2])
    theirs.close()
