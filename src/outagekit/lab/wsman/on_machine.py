"""Commands of a WS-Man service that a simulated machine answers."""

from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Final

from outagekit.lab.answers import NOT_FOUND, Answer
from outagekit.lab.host import GoneError, Host
from outagekit.lab.machine import IDENTITY, Machine
from outagekit.lab.moving import answer_file
from outagekit.lab.parsing import parsed_there
from outagekit.lab.wsman.program import Asked, Running

PS_VERSION: Final = "5.1.17763.1"
LANGUAGE_MODE: Final = "FullLanguage"

_REG_QUERY: Final = re.compile(r"\breg(?:\.exe)?\s+query\b", re.IGNORECASE)
_LINE_END: Final = re.compile(r"\r?\n")
_STOPPED: Final = 1
_NOTHING_RUN: Final = frozenset({"cut"})


class MachineProgram:
    """Runs commands on a simulated machine, behind its `Host`.

    A command belongs to a boot of the machine, not to the connection it came over: a line that is
    down for a while ends nothing that runs.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def boot_id(self) -> str:
        """Which start of the machine this is."""
        return self._host.machine.boot_id

    def run(self, asked: Asked, running: Running) -> Answer:
        """Ask the machine, and let pass the time that takes.

        Raises `GoneError` if it restarts meanwhile. If the command was not executed by then, or
        was stopped before, the machine remembers that it was there.
        """
        step, part, script = asked.step, asked.part, asked.script
        if not asked.nonce:
            script = asked.line.encode()
        if not (step and part) and _REG_QUERY.search(asked.line):
            step, part = "-", IDENTITY
        if not (step and part):
            return Answer(NOT_FOUND, stderr="lab: a simulated machine has no cmd.exe\r\n")
        boot_id = self.boot_id
        try:
            with self._host.turn_of_boot(boot_id) as machine:
                before_s = machine.before_s(step, part)
            if running.wait(before_s):
                self._missed(step, part, script)
                return Answer(_STOPPED)
            with self._host.turn_of_boot(boot_id) as machine:
                answer = _answer(machine, asked, step, part, script)
        except GoneError:
            self._missed(step, part, script)
            raise
        if answer.ending == "exit" and answer.takes_s:
            running.wait(answer.takes_s)
            with self._host.turn_of_boot(boot_id):
                pass
        return _with_line_ends(answer)

    def _missed(self, step: str, part: str, script: bytes) -> None:
        with self._host.lock:
            self._host.machine.missed(step, part, script)

    def answered(self, answer: Answer) -> None:
        """Restart the machine if that was asked for."""
        if answer.down_s is not None:
            self._host.restart(answer.until_down_s, answer.down_s)

    def trailer(self, asked: Asked, answer: Answer) -> str:
        """Return what our bootstrap says last of how PowerShell came to its end."""
        del asked
        how = answer.how or ("exit" if answer.exit_code else "end")
        with self._host.lock:
            booted = datetime.now(UTC) - timedelta(seconds=self._host.machine.up_s)
        told = {
            "how": how,
            "rc": answer.exit_code,
            "native": None if how in _NOTHING_RUN else answer.exit_code,
            "ps": PS_VERSION,
            "mode": LANGUAGE_MODE,
            "boot": "" if how in _NOTHING_RUN else booted.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return json.dumps(told, separators=(",", ":"))


def _answer(machine: Machine, asked: Asked, step: str, part: str, script: bytes) -> Answer:
    kind = asked.facts.get("FILE")
    if kind is not None:
        return answer_file(machine, kind, asked.input)
    answer = machine.answer(step, part, script, detached=asked.facts.get("DETACHED", ""))
    parsed = parsed_there(script) if part == "probe" and answer.ending == "exit" else None
    return answer if parsed is None else dataclasses.replace(answer, stdout=parsed)


def _with_line_ends(answer: Answer) -> Answer:
    stdout = _LINE_END.sub("\r\n", answer.stdout)
    stderr = _LINE_END.sub("\r\n", answer.stderr)
    return dataclasses.replace(answer, stdout=stdout, stderr=stderr)
