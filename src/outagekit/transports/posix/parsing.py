"""Having a POSIX endpoint parse a script without running it: its own shell is the true one. Pure.

A shell tells its first problem only, and as every shell likes; the line is found in what it says.
"""

from __future__ import annotations

import re
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Command, Outcome

_NO_SUCH_PROGRAM: Final = 127
_LONGEST: Final = 1000
_MARK: Final = "outagekit-parsed"
# `-n` reads without running; a here-document would end at a line of the text.
_PARSE: Final = """\
said=$(printf '%s\\n' "$OK_TEXT" | LC_ALL=C {shell} -n 2>&1) && code=0 || code=$?
printf '%s %s\\n%s\\n' {mark} "$code" "$said"
"""
# dash: `sh: 3: Syntax error: …`; bash and busybox: `sh: line 3: syntax error …`.
_SAID: Final = re.compile(r"^[^:\n]+: (?:line )?(\d+): (.+)$", re.MULTILINE)
_ANSWER: Final = re.compile(rf"^{_MARK} (\d+)$", re.MULTILINE)


def parse_command(code: Code) -> Command:
    """Return the command that has an endpoint parse a script, answering as `parse_problem` reads.

    Raises `OutagekitError` for what no POSIX shell can be given.
    """
    if code.language not in {"sh", "bash"}:
        raise OutagekitError(f"{code.language} does not run on this endpoint")
    asked = Code("sh", _PARSE.format(shell=code.language, mark=_MARK))
    return render(asked, {"text": code.text}, step="-", part="probe")


def parse_problem(outcome: Outcome) -> tuple[int, str] | None | bool:
    """Return line and message of what the shell found; None: nothing; False: it did not parse."""
    found = _ANSWER.search(outcome.stdout.text)
    if outcome.failure is not None or outcome.exit_code != 0 or found is None:
        return False
    if int(found[1]) == 0:
        return None
    text = outcome.stdout.text[found.end() :].strip()
    if int(found[1]) == _NO_SUCH_PROGRAM:
        return False
    said = _SAID.search(text)
    if said is None:
        return 0, visible_line(text.partition("\n")[0])[:_LONGEST]
    return int(said[1]), visible_line(said[2])[:_LONGEST]
