"""Having a Windows endpoint parse PowerShell without running it: its own parser is the true one.

Pure. The text arrives there as data and is handed to the parser, which knows no way to run it.
What is found is told in ASCII, whatever code page there is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.protocol import Command, Outcome
from outagekit.transports.windows.quoting import whole
from outagekit.transports.windows.render import Sent, framed

_LINE: Final = 76
_ASKED: Final = re.compile(r"\$data = '([A-Za-z0-9+/=\n]*)'\n")
_LONGEST: Final = 1000
_MOST: Final = 1000

# The list of errors is left by reference; PowerShell 2.0 knows no other way to parse.
_PARSE: Final = r"""
$ErrorActionPreference = 'Stop'
function ConvertTo-OkAscii([string]$text) {
  $made = New-Object Text.StringBuilder
  foreach ($one in $text.ToCharArray()) {
    $number = [int]$one
    if ($number -ge 32 -and $number -lt 127 -and $number -ne 34 -and $number -ne 92) {
      $null = $made.Append($one)
    } else {
      $null = $made.Append('\u').Append($number.ToString('x4'))
    }
  }
  return $made.ToString()
}
$out = [Console]::OpenStandardOutput()
function Send-OkLine([string]$line) {
  $bytes = [Text.Encoding]::ASCII.GetBytes($line + "`n")
  $out.Write($bytes, 0, $bytes.Length)
}
$text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($data))
$faults = $null
$null = [Management.Automation.PSParser]::Tokenize($text, [ref]$faults)
$number = 0
foreach ($fault in $faults) {
  $number++
  if ($number -gt 1000) { break }
  $place = $fault.Token
  $said = ConvertTo-OkAscii $fault.Message
  $where = '"line":' + $place.StartLine + ',"column":' + $place.StartColumn
  Send-OkLine ('{' + $where + ',"message":"' + $said + '"}')
}
$version = ConvertTo-OkAscii ([string]$PSVersionTable.PSVersion)
Send-OkLine ('{"parsed":' + $number + ',"version":"' + $version + '"}')
$out.Flush()
"""


@dataclass(frozen=True, slots=True)
class ParseProblem:
    """What a parser says about a place in a text; line and column count from 1, 0: not told."""

    line: int
    column: int
    message: str


def parse_command(code: Code) -> Command:
    """Return the command that has an endpoint parse a text and answer as `parse_problems` reads.

    Raises `OutagekitError` for another language, and for text no PowerShell can be given.
    """
    if code.language != "powershell":
        raise OutagekitError(f"{code.language} cannot be parsed without running it there")
    data = base64.b64encode(whole(code.text, "the script").encode()).decode("ascii")
    lines = "\n".join(data[at : at + _LINE] for at in range(0, len(data), _LINE))
    text = f"$data = '{lines}'\n{_PARSE}"
    return framed(Sent("plain", "", text), step="-", part="probe")


def parse_problems(outcome: Outcome) -> tuple[ParseProblem, ...] | None:
    """Return what the endpoint's parser found; None if it did not parse the whole text."""
    if outcome.failure is not None or outcome.exit_code != 0:
        return None
    problems: list[ParseProblem] = []
    for line in outcome.stdout.text.splitlines():
        found = _object(line)
        if found is None:
            continue
        if "parsed" in found:
            return tuple(problems) if found["parsed"] in {len(problems), _MOST + 1} else None
        problem = _problem(found)
        if problem is not None:
            problems.append(problem)
    return None


def asked_text(script: str) -> str | None:
    """Return the text that a script of `parse_command` has parsed; None: it is none of those."""
    found = _ASKED.match(script)
    if found is None or script[found.end() :] != _PARSE:
        return None
    try:
        return base64.b64decode("".join(found[1].split()), validate=True).decode()
    except ValueError:
        return None


def answer_parsed(problems: Sequence[ParseProblem]) -> str:
    """Return the standard output by which an endpoint tells what its parser found."""
    told: list[dict[str, object]] = [
        {"line": each.line, "column": each.column, "message": each.message} for each in problems
    ]
    told.append({"parsed": len(problems), "version": "5.1"})
    return "".join(f"{json.dumps(each)}\n" for each in told)


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _problem(found: dict[str, Any]) -> ParseProblem | None:
    line, column, message = found.get("line"), found.get("column"), found.get("message")
    if not isinstance(line, int) or not isinstance(column, int) or not isinstance(message, str):
        return None
    return ParseProblem(max(0, line), max(0, column), visible_line(message)[:_LONGEST])
