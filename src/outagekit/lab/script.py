"""How a simulated POSIX machine reads what it was sent, and what it answers.

Pure. A script arrives inside `{ {` and `}`: `set -eu`, `unset LANGUAGE`, one `OK_NAME='value'` a
line, the text, `} </dev/null`. The outer braces and the second line may be missing.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

from outagekit.events import EndpointId
from outagekit.lab.answers import SYNTAX_ERROR, Answer
from outagekit.lab.chance import token
from outagekit.lab.files import Files
from outagekit.lab.shell import Asks, Myself, Named
from outagekit.playbook.model import Script
from outagekit.transports.posix.detached import script_in

_END: Final = b"} </dev/null"
_OPENING: Final = re.compile(r"\{ (?:\{\n)?set -eu\n(?:unset LANGUAGE\n)?")
# A shell joins what is in single quotes with what is escaped between them: 'it'\''s'.
_ASSIGNMENT: Final = re.compile(r"OK_([A-Z0-9_]+)=((?:'[^']*'|\\')*)\n")
_QUOTED: Final = re.compile(r"'([^']*)'|\\'")
_WAITS: Final = re.compile(rb"^wait=(\d+)$", re.MULTILINE)
_LIMIT: Final = re.compile(rb"^limit=(\d+)$", re.MULTILINE)
_STOPS: Final = b': >"$folder/stopped"'
_TELLS_THE_REST: Final = b"\ntell rest\n"
_FACT: Final = re.compile(r"OK_(STEP|PART|DETACHED)=(.*)", re.DOTALL)


def is_whole(script: bytes) -> bool:
    """Say whether every brace the script opened was closed; else a shell runs nothing of it."""
    last = script.rstrip(b"\n").rsplit(b"\n", 2)
    if script.startswith(b"{ {"):
        return last[-2:] == [_END, b"}"]
    return last[-1] == _END


def holds(script: bytes, intent: Script | None) -> bool:
    """Say whether what was sent ends with the text of any variant of a playbook's script."""
    variants = intent.variants if intent is not None else ()
    texts = ((code.text.replace("\r\n", "\n")).encode() for code in variants)
    return any(script.endswith(b"\n" + text + b"\n" + _END + b"\n}") for text in texts)


def values_in(script: bytes) -> dict[str, str]:
    """Return the values that stand before the script's text: name in lower case -> text."""
    text = script.decode("utf-8", "replace")
    opening = _OPENING.match(text)
    at = opening.end() if opening else len(text)
    values: dict[str, str] = {}
    while found := _ASSIGNMENT.match(text, at):
        values[found[1].lower()] = "".join(
            quoted[1] if quoted[1] is not None else "'" for quoted in _QUOTED.finditer(found[2])
        )
        at = found.end()
    return values


def named_in(command_line: str) -> Named | None:
    """Return what `exec env … OK_STEP=a OK_PART=check sh -s` is, or None.

    None means that the command is none of ours: a simulated machine has no shell to run it.
    """
    try:
        words = shlex.split(command_line)
    except ValueError:
        return None
    if words[:2] != ["exec", "env"] or words[-2:] not in (["sh", "-s"], ["bash", "-s"]):
        return None
    found = map(_FACT.fullmatch, words[2:-2])
    named: dict[str, str] = {match[1]: match[2] for match in found if match is not None}
    if not named.get("STEP") or not named.get("PART"):
        return None
    return Named(named["STEP"], named["PART"], named.get("DETACHED", ""))


class PosixShell:
    """The `Shell` of Linux and macOS: what comes is what a shell reads from its input."""

    cut: Final = Answer(SYNTAX_ERROR, stderr="sh: Syntax error: end of file unexpected\n")

    is_whole = staticmethod(is_whole)
    started_in = staticmethod(script_in)
    values_in = staticmethod(values_in)
    holds = staticmethod(holds)

    def machine_id(self, seed: int, endpoint: EndpointId) -> str:
        """Return 32 hexadecimal digits, as `/etc/machine-id` holds them."""
        return token(seed, "machine-id", endpoint)

    def boot_id(self, seed: int, endpoint: EndpointId, boots: int) -> str:
        """Return 32 hexadecimal digits that belong to the boot."""
        return token(seed, "boot-id", endpoint, *([str(boots)] if boots else []))

    def files(self) -> Files:
        """Return a disk whose paths begin with a slash."""
        return Files()

    def identity(self, script: bytes, myself: Myself) -> Answer:
        """Return the lines the probe prints; of time and account only if it asks for them."""
        lines = [f"machine-id={myself.machine_id}", f"boot-id={myself.boot_id}"]
        if b"uptime" in script:
            lines.append(f"uptime-s={myself.uptime_s:.2f}")
        if b"uid=" in script:
            lines.append("uid=0")
        return Answer(stdout="".join(f"{line}\n" for line in lines))

    def asks_in(self, script: bytes) -> Asks:
        """Return what the settings before the text say, and the text itself."""
        return Asks(
            wait_s=_told(_WAITS, script),
            limit_s=_told(_LIMIT, script),
            stops=_STOPS in script,
            rest=_TELLS_THE_REST in script,
        )

    def verdict(self, script: bytes, answer: Answer) -> Answer:
        """Return it as it is: a POSIX shell says it by the exit code."""
        del script
        return answer


def _told(pattern: re.Pattern[bytes], script: bytes) -> int:
    found = pattern.search(script)
    return int(found[1]) if found else 0
