"""What runs on a simulated Windows machine when its WS-Man service is asked for a command."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Final

from outagekit.lab.answers import NOT_FOUND, Answer
from outagekit.lab.host import GoneError, Host
from outagekit.lab.machine import IDENTITY, Machine
from outagekit.lab.powershell import named_by
from outagekit.lab.wsman.program import Asked, Running

_POWERSHELL: Final = "5.1.20348.1"


class MachineProgram:
    """The commands of one machine: a `Program` of its WS-Man service.

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
        """Return what the machine answers, after the time that takes.

        Raises `GoneError` if it restarts before the command is executed; the machine remembers
        that it was there.
        """
        named = named_by(asked)
        script = asked.script or asked.line.encode()
        boot_id = self.boot_id
        try:
            with self._host.turn_of_boot(boot_id) as machine:
                if named is None:
                    return _unknown(machine, asked)
                before_s = machine.before_s(named.step, named.part)
            if before_s:
                running.wait(before_s)
            with self._host.turn_of_boot(boot_id) as machine:
                answer = machine.answer(named.step, named.part, script, detached=named.detached)
        except GoneError:
            if named is not None:
                with self._host.lock:
                    self._host.machine.missed(named.step, named.part, script)
            raise
        if answer.ending == "exit" and answer.takes_s:
            running.wait(answer.takes_s)
        return answer

    def answered(self, answer: Answer) -> None:
        """Restart the machine, if that is what was asked for."""
        if answer.down_s is not None:
            self._host.restart(answer.until_down_s, answer.down_s)

    def trailer(self, asked: Asked, answer: Answer) -> str:
        """Return how PowerShell came to its end, as our bootstrap says it."""
        del asked
        with self._host.lock:
            up_s = self._host.machine.up_s
        booted = datetime.now(UTC) - timedelta(seconds=up_s)
        how = answer.how or ("end" if answer.exit_code == 0 else "exit")
        told = {
            "how": how,
            "rc": answer.exit_code,
            "native": 0,
            "ps": _POWERSHELL,
            "mode": "FullLanguage",
            "boot": booted.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return json.dumps(told, separators=(",", ":"))


def _unknown(machine: Machine, asked: Asked) -> Answer:
    """Return the answer to a command without our facts: only what reg.exe knows."""
    if "reg" in asked.line.casefold():
        return machine.answer("-", IDENTITY, asked.line.encode())
    return Answer(NOT_FOUND, stderr="lab: a simulated machine has no cmd.exe\r\n")
