"""Having a POSIX endpoint parse a script without running it: its own shell is the true one. Pure.

A shell tells its first problem only, and as every shell likes; the line is found in what it says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Command, Outcome

_NO_SUCH_PROGRAM: Final = 127
_LONGEST: Final = 1000
_MARK: Final = "outagekit-parsed"
# The text comes by a pipe, so that nothing in it can end it; as a file it has line numbers in every
# shell. `-n` reads without running.
_PARSE: Final = """\
said=$(printf '%s\\n' "$OK_TEXT" | {shell} -n /dev/stdin 2>&1) && code=0 || code=$?
printf '%s %s\\n%s\\n' {mark} "$code" "$said"
"""
# dash: `/dev/stdin: 3: Syntax error: …`; bash and busybox: `/dev/stdin: line 3: syntax error …`.
_SAID: Final = re.compile(r"^[^:\n]+: ?(?:line )?(\d+): (.+)$", re.MULTILINE)
_ANSWER: Final = re.compile(rf"^{_MARK} (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a shell said of a script."""

    message: str = ""
    """Its first problem; empty: none."""
    line: int = 0
    """Counted from 1; 0: it did not say."""


def parse_command(code: Code) -> Command:
    """Return the command that has an endpoint parse a script, answering as `parse_problem` reads.

    Raises `OutagekitError` for what no POSIX shell can be given.
    """
    if code.language not in {"sh", "bash"}:
        raise OutagekitError(f"{code.language} does not run on this endpoint")
    asked = Code("sh", _PARSE.format(shell=code.language, mark=_MARK))
    return render(asked, {"text": code.text}, step="-", part="probe")


def parse_problem(outcome: Outcome) -> Parsed | None:
    """Return what the shell said of the script; None if it did not parse it."""
    found = _ANSWER.search(outcome.stdout.text)
    if outcome.failure is not None or outcome.exit_code != 0 or found is None:
        return None
    if int(found[1]) == 0:
        return Parsed()
    text = outcome.stdout.text[found.end() :].strip()
    if int(found[1]) == _NO_SUCH_PROGRAM:
        return None
    said = _SAID.search(text)
    if said is None:
        return Parsed(_shown(text.partition("\n")[0]) or f"exit code {found[1]}")
    return Parsed(_shown(said[2]), int(said[1]))


def _shown(text: str) -> str:
    return visible_line(text)[:_LONGEST]
