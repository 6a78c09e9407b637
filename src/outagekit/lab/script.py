"""How a simulated POSIX machine reads what it was sent: whole or cut, and with which values.

Pure. A script arrives inside `{ {` and `}`: `set -eu`, `unset LANGUAGE`, one `OK_NAME='value'` a
line, the text, `} </dev/null`. The outer braces and the second line may be missing.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Final

from outagekit.playbook.model import Script

_END: Final = b"} </dev/null"
_OPENING: Final = re.compile(r"\{ (?:\{\n)?set -eu\n(?:unset LANGUAGE\n)?")
# A shell joins what is in single quotes with what is escaped between them: 'it'\''s'.
_ASSIGNMENT: Final = re.compile(r"OK_([A-Z0-9_]+)=((?:'[^']*'|\\')*)\n")
_QUOTED: Final = re.compile(r"'([^']*)'|\\'")
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


@dataclass(frozen=True, slots=True)
class Named:
    """What a command line says its command is."""

    step: str
    part: str
    detached: str = ""
    """Name of the folder a script that goes on without the connection is kept in."""


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
