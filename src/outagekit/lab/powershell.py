"""How a simulated Windows machine reads what it was sent, and what it answers.

Pure. A script comes as what our bootstrap decodes: how it is run, its values as PowerShell text,
and its own text. Or there is no script, and what cmd.exe is given says it all. One that goes on
without its connection, or runs as SYSTEM, holds another such input. Nothing of it is executed.
"""

from __future__ import annotations

import base64
import re
import uuid
from dataclasses import replace
from typing import Final

from outagekit.events import EndpointId
from outagekit.lab.answers import Answer
from outagekit.lab.chance import token, unit
from outagekit.lab.files import Files, WindowsFiles
from outagekit.lab.literals import assigned, environment_in
from outagekit.lab.shell import Asks, Myself
from outagekit.playbook.model import Script
from outagekit.transports.windows.bootstrap import CUT_CODE, RUNNER
from outagekit.transports.windows.detached import request_in
from outagekit.transports.windows.identity import boot_text
from outagekit.transports.windows.render import Sent, sent_in

_NEWLINE: Final = "\r\n"
_FIRST_BOOTS: Final = (1_000, 9_000)
_INNER: Final = re.compile(r"^\$okScript = '([A-Za-z0-9+/=\s]*)'$", re.MULTILINE)
_QUERY: Final = re.compile(r'reg(?:\.exe)? +query +("[^"]*"|\S+) +/v +("[^"]*"|\w+)', re.IGNORECASE)
_HIVES: Final = {"HKLM": "HKEY_LOCAL_MACHINE"}
_NO_VALUE: Final = "ERROR: The system was unable to find the specified registry key or value.\r\n"


def is_whole(script: bytes) -> bool:
    """Say whether all of it arrived: our bootstrap counts, and a line for cmd.exe is never cut."""
    return bool(_sent(script)) or not (b"\0" in script or RUNNER.encode().startswith(script))


def values_in(script: bytes) -> dict[str, str]:
    """Return the values that stand before the script's text: name in lower case -> text."""
    sent = _step_of(script)
    if sent is None:
        return {}
    return environment_in(sent.prelude) if sent.kind == "cmd" else assigned(sent.prelude)


def holds(script: bytes, intent: Script | None) -> bool:
    """Say whether what was sent ends with the text of any variant of a playbook's script."""
    sent = _step_of(script)
    came = _plain(script.decode("utf-8", "replace") if sent is None else sent.text)
    variants = intent.variants if intent is not None else ()
    texts = (_plain(code.text) for code in variants if code.language in {"powershell", "cmd"})
    return any(came == text or came.endswith("\n" + text) for text in texts)


def registry_answer(line: str, myself: Myself) -> Answer | None:
    """Return what reg.exe prints for the queries of a command line; None: there is none in it.

    It knows what tells a machine and its boot from another.
    """
    known = {
        "machineguid": ("REG_SZ", myself.machine_id),
        "bootid": ("REG_DWORD", f"{int(myself.boot_id):#x}"),
    }
    queries = _QUERY.findall(line)
    printed, code = "", 0
    for key, name in ((key.strip('"'), name.strip('"')) for key, name in queries):
        found = known.get(name.casefold())
        code = 0 if found else 1
        if found:
            hive, _, path = key.partition("\\")
            whole = f"{_HIVES.get(hive.upper(), hive)}\\{path}"
            printed += f"\r\n{whole}\r\n    {name}    {found[0]}    {found[1]}\r\n\r\n"
    missing = sum(name.strip('"').casefold() not in known for _, name in queries)
    return Answer(code, printed, _NO_VALUE * missing) if queries else None


class WindowsShell:
    """The `Shell` of Windows: PowerShell, and cmd.exe before it."""

    cut: Final = Answer(
        CUT_CODE,
        stderr="outagekit: the script did not arrive whole; nothing of it was run\r\n",
        how="cut",
    )

    is_whole = staticmethod(is_whole)
    values_in = staticmethod(values_in)
    holds = staticmethod(holds)

    def machine_id(self, seed: int, endpoint: EndpointId) -> str:
        """Return a GUID, as the registry holds it."""
        return str(uuid.UUID(hex=token(seed, "machine-id", endpoint), version=4))

    def boot_id(self, seed: int, endpoint: EndpointId, boots: int) -> str:
        """Return a number that grows with every boot, as our commands write it."""
        least, most = _FIRST_BOOTS
        first = least + int(unit(seed, "boot-id", endpoint) * (most - least))
        return boot_text(first + boots)

    def files(self) -> Files:
        """Return a disk with a drive and backslashes."""
        return WindowsFiles()

    def started_in(self, script: bytes) -> bytes:
        """Return the same: `values_in` and `holds` look for the step's own script themselves."""
        return script

    def identity(self, script: bytes, myself: Myself) -> Answer:
        """Return what reg.exe prints where it was asked, else the lines of the probe."""
        asked = registry_answer(script.decode("utf-8", "replace"), myself)
        if asked is not None and _sent(script) is None:
            return asked
        lines = (
            f"machine-id={myself.machine_id}",
            f"boot-id={myself.boot_id}",
            f"uptime-s={myself.uptime_s:.2f}",
        )
        return Answer(stdout="".join(line + _NEWLINE for line in lines))

    def asks_in(self, script: bytes) -> Asks:
        """Return what our own command says it asks for."""
        request = request_in(base64.b64encode(script))
        if request is None:
            return Asks()
        return Asks(
            wait_s=request.wait_s,
            limit_s=request.limit_s,
            stops=request.kind == "stop",
            rest=request.kind == "rest",
        )

    def verdict(self, script: bytes, answer: Answer) -> Answer:
        """Return `True` or `False` as PowerShell prints it, or the exit code of a cmd script."""
        if answer.exit_code not in {0, 1}:
            return answer
        sent = _step_of(script)
        if sent is None or sent.kind == "cmd":
            return replace(answer, how="exit")
        said = f"{answer.stdout}{answer.exit_code == 0}{_NEWLINE}"
        return replace(answer, exit_code=0, stdout=said)


def _sent(script: bytes) -> Sent | None:
    return sent_in(base64.b64encode(script))


def _step_of(script: bytes) -> Sent | None:
    """Return the step's own script; what another one carries to a task comes first."""
    sent = _sent(script)
    inner = _INNER.search(sent.text) if sent is not None else None
    return (inner and sent_in(inner[1].encode("ascii"))) or sent


def _plain(text: str) -> str:
    """Return a text without what cmd.exe and line ends make of it on the way."""
    return "\n".join(line.strip() for line in text.splitlines()).strip()
