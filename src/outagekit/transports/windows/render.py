"""From code and values to a command for a Windows endpoint.

Pure. A script travels as base64 on standard input, with its values before it as quoted
assignments; what reads and runs it is constant (`bootstrap`). A short line for cmd.exe goes as the
command itself: that needs neither PowerShell nor input. Either way step and part come first, as
environment variables: scripts may read them, and the cmd.exe that waits for the script shows them
in its command line.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.protocol import Account, Command
from outagekit.transports.windows.bootstrap import MOST_CHARACTERS, PROGRAM, RUNNER
from outagekit.transports.windows.quoting import assignments, environment, whole

PARTS: Final = ("check", "script", "verify", "undo", "probe", "identity", "collect", "release")
Kind = Literal["plain", "exit", "cmd"]
"""How a script is run: as a block, as a file because it may `exit`, or by cmd.exe."""

_FACT: Final = re.compile(r"-|[A-Za-z0-9_.-]+")
_STEP: Final = re.compile(r"-|[a-z][a-z0-9_]*")
_EXIT: Final = re.compile(r"\bexit\b", re.IGNORECASE)
_FOR_FILES: Final = re.compile(r"%|OK_|\b(?:goto|setlocal|shift)\b|\bcall\s*:", re.IGNORECASE)
"""What a line for cmd.exe means only in a file, or holds only there."""
_LINE_CHARACTERS: Final = 8000
_INPUT_LINE: Final = 4096
_PARTS_OF_INPUT: Final = 5
_CMD_HEAD: Final = ("@echo off", "@chcp 65001 >nul")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the input of a framed command holds."""

    kind: Kind
    prelude: str
    """The values, as PowerShell text."""
    text: str
    """The script itself."""


def render(
    code: Code,
    values: Mapping[str, Any],
    *,
    step: str,
    part: str,
    account: Account = "login",
) -> Command:
    """Return the command that runs `code` with `values` as `$OK.<name>`, or as `OK_<NAME>` for cmd.

    With the account system it is what a task of SYSTEM has to run: always framed. Raises
    `OutagekitError` for what Windows cannot be given: another language, the account root, a value
    that is not data, or one that cmd.exe could obey.
    """
    if code.language not in {"powershell", "cmd"}:
        raise OutagekitError(f"{code.language} does not run on this endpoint")
    if account == "root":
        raise OutagekitError("there is no root on Windows: write `as: system`, or leave it out")
    text = whole(code.text, "the script").replace("\r\n", "\n")
    if code.language == "cmd":
        if account == "login" and _is_a_line(text):
            return Command(_line(text.strip(), step, part), account=account)
        text = "\r\n".join((*_CMD_HEAD, *text.split("\n"), ""))
        sent = Sent("cmd", environment(values), text)
    else:
        kind: Kind = "exit" if _EXIT.search(text) else "plain"
        sent = Sent(kind, assignments(values), text)
    return framed(sent, step=step, part=part, account=account)


def framed(
    sent: Sent,
    *,
    step: str,
    part: str,
    account: Account = "login",
    facts: Mapping[str, str] | None = None,
) -> Command:
    """Return the command that has PowerShell read and run a script; `facts` become `OK_<NAME>`."""
    line = _line(PROGRAM, step, part, facts)
    return Command(line, input_of(sent), account, framed=True)


def input_of(sent: Sent) -> bytes:
    """Return the input that `bootstrap.PROGRAM` reads, without the nonce: lines of base64."""
    text = f"{RUNNER}\0{sent.kind}\0{sent.prelude}\0{sent.text}\0"
    data = base64.b64encode(f"{text}{_units(text)}".encode())
    lines = (data[at : at + _INPUT_LINE] for at in range(0, len(data), _INPUT_LINE))
    return b"".join(line + b"\n" for line in lines)


def sent_in(stdin: bytes) -> Sent | None:
    """Return what the input of a framed command holds, without the nonce; None if it is cut."""
    try:
        return sent_as(base64.b64decode(b"".join(stdin.split()), validate=True).decode())
    except ValueError:
        return None


def sent_as(text: str) -> Sent | None:
    """Return what input holds, base64 undone; None if it is cut, as the bootstrap sees it."""
    parts = text.split("\0")
    if len(parts) != _PARTS_OF_INPUT or parts[1] not in get_args(Kind):
        return None
    if parts[4] != str(_units(text) - len(parts[4])):
        return None
    return Sent(cast("Kind", parts[1]), parts[2], parts[3])


def _units(text: str) -> int:
    """Return the length of a text as PowerShell counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def may_exit(command: Command) -> bool:
    """Return whether a command's script may end its process before the last line is written.

    True of PowerShell that says `exit`: where policy allows no script files it can run only inside
    the process that would write that line.
    """
    if not command.framed:
        return False
    sent = sent_in(command.stdin)
    return sent is not None and sent.kind == "exit"


def _is_a_line(text: str) -> bool:
    line = text.strip()
    return (
        bool(line)
        and line.isprintable()
        and len(line) <= _LINE_CHARACTERS
        and not line.startswith(":")
        and not line.endswith("^")
        and _FOR_FILES.search(line) is None
    )


def _line(line: str, step: str, part: str, facts: Mapping[str, str] | None = None) -> str:
    if not _STEP.fullmatch(step) or part not in PARTS:
        raise OutagekitError(f"'{visible_line(step)}' and '{visible_line(part)}' name no command")
    known = {"STEP": step, "PART": part, **(facts or {})}
    for name, value in known.items():
        if not _FACT.fullmatch(value):
            raise OutagekitError(f"'{visible_line(value)}' cannot be the fact {name}")
    made = "&".join((*(f'set "OK_{name}={value}"' for name, value in known.items()), line))
    if len(made) > MOST_CHARACTERS:
        raise OutagekitError("the command is longer than cmd.exe takes: write it in more lines")
    return made
