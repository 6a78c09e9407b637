"""From code and values to a command for a POSIX endpoint.

Pure. Values become quoted assignments, never part of the script's text. The text travels as
standard input inside two pairs of braces, so that a shell that got only a part of it finds an
unclosed brace and runs nothing, and children of the script find an empty standard input.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.protocol import Account, Command
from outagekit.transports.values import as_text

PARTS: Final = ("check", "script", "verify", "undo", "probe", "identity")
_STEP: Final = re.compile(r"-|[a-z][a-z0-9_]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTERPRETERS: Final = {"sh": "sh -s", "bash": "bash -s"}


def render(
    code: Code,
    values: Mapping[str, Any],
    *,
    step: str,
    part: str,
    account: Account = "login",
) -> Command:
    """Return the command that runs `code` with `values` as variables `OK_<NAME>`.

    Raises `OutagekitError` for what no POSIX shell can be given: another language, a NUL
    character, a value that is not data.
    """
    interpreter = _INTERPRETERS.get(code.language)
    if interpreter is None:
        raise OutagekitError(f"{code.language} does not run on this endpoint")
    if not _STEP.fullmatch(step) or part not in PARTS:
        raise OutagekitError(f"'{visible_line(step)}' and '{visible_line(part)}' name no command")
    lines = [f"OK_{_variable(name)}={_quoted(name, value)}" for name, value in values.items()]
    text = code.text.replace("\r\n", "\n")
    # Nothing may follow the last brace: it is what makes the script whole.
    # LANGUAGE would win over LC_ALL for whatever is translated.
    script = "\n".join(("{ {", "set -eu", "unset LANGUAGE", *lines, text, "} </dev/null", "}"))
    line = f"exec env LC_ALL=C.UTF-8 OK_STEP={step} OK_PART={part} {interpreter}"
    return Command(line, _encoded(script, "the script"), account)


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise OutagekitError(f"'{visible_line(name)}' cannot name a shell variable")
    return name.upper()


def _quoted(name: str, value: Any) -> str:
    """Return the value in single quotes, within which a shell knows no special character."""
    text = as_text(name, value)
    if "\0" in text:
        raise OutagekitError(
            f"the value of '{name}' holds a NUL character, which no shell can take"
        )
    _encoded(text, f"the value of '{name}'")
    return "'" + text.replace("'", "'\\''") + "'"


def _encoded(text: str, what: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as fault:
        raise OutagekitError(f"{what} holds half a character, which no shell can take") from fault
    if b"\0" in data:
        raise OutagekitError(f"{what} holds a NUL character, which no shell can take")
    return data
