"""How a simulated Windows machine reads what it was sent, and what it answers.

Pure. A script comes as PowerShell text, with the values before it as quoted assignments; or there
is no script, and what cmd.exe is given says it all. Nothing of it is executed.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

from outagekit.events import EndpointId
from outagekit.lab.answers import Answer
from outagekit.lab.chance import token, unit
from outagekit.lab.files import Files, WindowsFiles
from outagekit.lab.shell import Myself
from outagekit.playbook.model import Script

_NEWLINE: Final = "\r\n"
_FIRST_BOOTS: Final = (20, 400)
_QUERY: Final = re.compile(r'reg(?:\.exe)? +query +("[^"]*"|\S+) +/v +("[^"]*"|\w+)', re.IGNORECASE)
_HIVES: Final = {"HKLM": "HKEY_LOCAL_MACHINE"}
_NO_VALUE: Final = "ERROR: The system was unable to find the specified registry key or value.\r\n"


def is_whole(script: bytes) -> bool:
    return bool(script)


def values_in(script: bytes) -> dict[str, str]:
    return {}


def holds(script: bytes, intent: Script | None) -> bool:
    return False


def registry_answer(line: str, myself: Myself) -> Answer | None:
    """Return what reg.exe prints for the queries of a command line; None: there is none in it.

    It knows what tells a machine and its boot from another.
    """
    queries = _QUERY.findall(line)
    if not queries:
        return None
    known = {
        "machineguid": ("REG_SZ", myself.machine_id),
        "bootid": ("REG_DWORD", f"{int(myself.boot_id):#x}"),
    }
    printed, missing = "", 0
    for key, name in ((key.strip('"'), name.strip('"')) for key, name in queries):
        found = known.get(name.casefold())
        if found is None:
            missing += 1
            continue
        hive, _, path = key.partition("\\")
        whole = f"{_HIVES.get(hive.upper(), hive)}\\{path}"
        printed += f"\r\n{whole}\r\n    {name}    {found[0]}    {found[1]}\r\n\r\n"
    return Answer(1 if missing else 0, printed, _NO_VALUE * missing)


class WindowsShell:
    """The `Shell` of Windows: PowerShell, and cmd.exe before it."""

    cut: Final = Answer(1, how="error", stderr="lab: only a part of the script arrived\r\n")

    is_whole = staticmethod(is_whole)
    values_in = staticmethod(values_in)
    holds = staticmethod(holds)

    def machine_id(self, seed: int, endpoint: EndpointId) -> str:
        """Return a GUID, as the registry holds it."""
        return str(uuid.UUID(hex=token(seed, "machine-id", endpoint), version=4))

    def boot_id(self, seed: int, endpoint: EndpointId, boots: int) -> str:
        """Return a number in decimal that grows with every boot."""
        least, most = _FIRST_BOOTS
        return str(least + int(unit(seed, "boot-id", endpoint) * (most - least)) + boots)

    def files(self) -> Files:
        """Return a disk with a drive and backslashes."""
        return WindowsFiles()

    def started_in(self, script: bytes) -> bytes:
        return script

    def identity(self, script: bytes, myself: Myself) -> Answer:
        """Return what reg.exe prints where it was asked, else the lines of the probe."""
        asked = registry_answer(script.decode("utf-8", "replace"), myself)
        if asked is not None:
            return asked
        lines = (
            f"machine-id={myself.machine_id}",
            f"boot-id={myself.boot_id}",
            f"uptime-s={myself.uptime_s:.2f}",
        )
        return Answer(stdout="".join(line + _NEWLINE for line in lines))

    def verdict(self, script: bytes, *, is_so: bool) -> Answer:
        """Return `True` or `False` as PowerShell prints it, or the exit code of a cmd script."""
        del script
        return Answer(stdout=f"{is_so}{_NEWLINE}")
