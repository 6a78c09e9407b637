"""What a simulated machine's answers look like as those of cmd.exe and PowerShell."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from datetime import UTC, datetime
from typing import Final

from outagekit.lab.answers import NOT_FOUND, Answer
from outagekit.lab.host import GoneError, Host
from outagekit.lab.machine import IDENTITY
from outagekit.lab.wsman.program import Asked, Running

PS_VERSION: Final = "5.1.17763.1"
LANGUAGE_MODE: Final = "FullLanguage"

_VERDICTS: Final = {0: "True\r\n", 1: "False\r\n"}
_VERDICT_PARTS: Final = frozenset({"check", "verify"})
_REG_QUERY: Final = re.compile(r"\breg(?:\.exe)?\s+query\b", re.IGNORECASE)
_MACHINE_GUID: Final = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Cryptography"
_BOOT_ID: Final = (
    r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager"
    r"\Memory Management\PrefetchParameters"
)
_LINES: Final = re.compile(r"\r?\n")


class MachineProgram:
    """Runs commands on a simulated machine, behind its `Host`."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._booted = (host.machine.boot_id, datetime.now(UTC))

    @property
    def boot_id(self) -> str:
        """Which start of the machine this is."""
        return self._host.machine.boot_id

    def run(self, asked: Asked, running: Running) -> Answer:
        """Ask the machine. Raises `GoneError` if it has restarted since the command began."""
        if _REG_QUERY.search(asked.line):
            return self._registry(asked.line)
        if not asked.step or not asked.part:
            return Answer(NOT_FOUND, stderr="lab: a simulated machine has no shell\r\n")
        boot_id = self.boot_id
        try:
            answer = self._ask(asked, running, boot_id)
        except GoneError:
            with self._host.lock:
                self._host.machine.missed(asked.step, asked.part, _script(asked))
            raise
        if answer.takes_s and answer.ending == "exit":
            running.wait(answer.takes_s)
            with self._host.turn_of_boot(boot_id):
                pass
        return _as_windows(asked, answer)

    def answered(self, answer: Answer) -> None:
        """Restart the machine if that was asked for."""
        if answer.down_s is not None:
            self._host.restart(answer.until_down_s, answer.down_s)

    def trailer(self, asked: Asked, answer: Answer) -> str:
        """Return what the bootstrap prints last."""
        how, code = "end", answer.exit_code
        if asked.part in _VERDICT_PARTS:
            how = "end" if code == 0 else "error"
        elif code != 0:
            how = "exit"
        told = {
            "how": how,
            "rc": code,
            "native": code if how == "exit" else 0,
            "ps": PS_VERSION,
            "mode": LANGUAGE_MODE,
            "boot": self._boot_time(),
        }
        return json.dumps(told, separators=(",", ":"))

    def _ask(self, asked: Asked, running: Running, boot_id: str) -> Answer:
        with self._host.turn_of_boot(boot_id) as machine:
            before_s = machine.before_s(asked.step, asked.part)
        if before_s:
            running.wait(before_s)
        with self._host.turn_of_boot(boot_id) as machine:
            detached = asked.facts.get("DETACHED", "")
            return machine.answer(asked.step, asked.part, _script(asked), detached=detached)

    def _registry(self, line: str) -> Answer:
        with self._host.lock:
            answer = self._host.machine.answer("-", IDENTITY, b"")
        told = dict(entry.partition("=")[::2] for entry in answer.stdout.splitlines())
        stdout = ""
        if "machineguid" in line.lower():
            stdout += _value(_MACHINE_GUID, "MachineGuid", "REG_SZ", told["machine-id"])
        if "bootid" in line.lower():
            number = f"0x{boot_number(told['boot-id']):x}"
            stdout += _value(_BOOT_ID, "BootId", "REG_DWORD", number)
        return Answer(0 if stdout else 1, stdout)

    def _boot_time(self) -> str:
        boot_id = self.boot_id
        with self._lock:
            if self._booted[0] != boot_id:
                self._booted = (boot_id, datetime.now(UTC))
            return self._booted[1].strftime("%Y-%m-%dT%H:%M:%SZ")


def boot_number(boot_id: str) -> int:
    """Return the number that Windows would count this boot by: it is another one each time."""
    return int(boot_id[:7], 16)


def _script(asked: Asked) -> bytes:
    return asked.script if asked.nonce else asked.line.encode()


def _as_windows(asked: Asked, answer: Answer) -> Answer:
    """Return an answer with Windows' line ends, and a verdict as PowerShell prints it."""
    stdout = _LINES.sub("\r\n", answer.stdout)
    stderr = _LINES.sub("\r\n", answer.stderr)
    code = answer.exit_code
    if asked.nonce and asked.part in _VERDICT_PARTS and code in _VERDICTS:
        stdout, code = stdout + _VERDICTS[code], 0
    return dataclasses.replace(answer, exit_code=code, stdout=stdout, stderr=stderr)


def _value(key: str, name: str, kind: str, value: str) -> str:
    return f"\r\n{key}\r\n    {name}    {kind}    {value}\r\n\r\n"
