"""What a simulated Windows says when it is asked to parse PowerShell: the most obvious only.

Pure. Brackets, strings and comments that do not end are seen, and nothing else: no simulated
machine knows PowerShell's grammar, and a false alarm would be worse than none.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Final

from outagekit.transports.windows.parsing import ParseProblem, answer_parsed, asked_text
from outagekit.transports.windows.render import sent_in

_CLOSES: Final = {"{": "}", "(": ")"}
_MISSING: Final = {
    "{": "Missing closing '}' in statement block or type definition.",
    "(": "Missing closing ')' in expression.",
    '"': 'The string is missing the terminator: ".',
    '@"': 'The string is missing the terminator: "@.',
    "'": "The string is missing the terminator: '.",
    "@'": "The string is missing the terminator: '@.",
    "<#": "The terminator '#>' is missing from the multiline comment.",
}
# What ends by itself: a closing sign, or for a here-string one at the beginning of a line.
_WHOLE: Final = {
    "<#": re.compile(r"<#.*?#>", re.DOTALL),
    "@'": re.compile(r"@'[ \t]*\r?\n.*?^'@", re.DOTALL | re.MULTILINE),
    "'": re.compile(r"'(?:[^']|'')*+'"),
}
_OPENS_HERE: Final = re.compile(r'@"[ \t]*\r?\n')
_OPENS_PLAIN: Final = re.compile(r"@'[ \t]*\r?\n")
_OTHER: Final = re.compile(r"[^`#<@'\"{}()]+")
_COMMENT: Final = re.compile(r"#[^\n]*")
_ENDS_WORD: Final = frozenset(" \t\r\n;{}()|&,=")


def parsed_there(script: bytes) -> str | None:
    """Return what is printed if a script asks for a text to be parsed; None: it does not."""
    sent = sent_in(base64.b64encode(script))
    text = asked_text(sent.text) if sent is not None else None
    if text is None:
        return None
    problem = problem_in(text)
    return answer_parsed(() if problem is None else (problem,))


def problem_in(text: str) -> ParseProblem | None:
    """Return the first obvious problem of a PowerShell text, or None."""
    return _Reader(text).problem()


class _Reader:
    """Walks through a text once; what is open is on a stack, with its place."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._open: list[tuple[str, int]] = []

    def problem(self) -> ParseProblem | None:
        while self._at < len(self._text):
            inside = self._open[-1][0] if self._open else ""
            step = self._in_string if inside in {'"', '@"'} else self._in_code
            found = step()
            if found is not None:
                return found
        if not self._open:
            return None
        sign, at = self._open[-1]
        return self._told(at, _MISSING[sign])

    def _in_string(self) -> ParseProblem | None:
        text, at, sign = self._text, self._at, self._open[-1][0]
        if text[at] == "`" or (sign == '"' and text.startswith('""', at)):
            self._at += 2
        elif text.startswith("$(", at):
            self._begin("(", 2)
        elif sign == '"' and text[at] == '"':
            self._end(1)
        elif sign == '@"' and text.startswith('"@', at) and text[at - 1] == "\n":
            self._end(2)
        else:
            self._at += 1
        return None

    def _in_code(self) -> ParseProblem | None:
        text, at = self._text, self._at
        for sign, whole in _WHOLE.items():
            if text.startswith(sign, at) and (sign != "@'" or _is_here(text, at)):
                found = whole.match(text, at)
                if found is None:
                    return self._told(at, _MISSING[sign])
                self._at = found.end()
                return None
        return self._steps().get(text[at], self._pass)()

    def _steps(self) -> dict[str, Callable[[], ParseProblem | None]]:
        here = _OPENS_HERE.match(self._text, self._at)
        return {
            "`": lambda: self._skip(2),
            "#": self._comment,
            "@": (lambda: self._begin('@"', len(here[0]))) if here else (lambda: self._skip(1)),
            '"': lambda: self._begin('"'),
            "{": lambda: self._begin("{"),
            "(": lambda: self._begin("("),
            "}": self._closes,
            ")": self._closes,
        }

    def _pass(self) -> None:
        found = _OTHER.match(self._text, self._at)
        self._at = found.end() if found is not None else self._at + 1

    def _skip(self, count: int) -> None:
        self._at += count

    def _comment(self) -> None:
        before = self._text[self._at - 1] if self._at else "\n"
        found = _COMMENT.match(self._text, self._at) if before in _ENDS_WORD else None
        self._at = found.end() if found is not None else self._at + 1

    def _begin(self, sign: str, length: int = 1) -> None:
        """Go into what a sign opens, which is so many characters long."""
        self._open.append((sign, self._at))
        self._at += length

    def _end(self, count: int) -> None:
        self._open.pop()
        self._at += count

    def _closes(self) -> ParseProblem | None:
        sign = self._text[self._at]
        if not self._open or _CLOSES.get(self._open[-1][0]) != sign:
            if self._open:
                opened, at = self._open[-1]
                return self._told(at, _MISSING[opened])
            return self._told(self._at, f"Unexpected token '{sign}' in expression or statement.")
        self._end(1)
        return None

    def _told(self, at: int, message: str) -> ParseProblem:
        line = self._text.count("\n", 0, at) + 1
        return ParseProblem(line, at - self._text.rfind("\n", 0, at), message)


def _is_here(text: str, at: int) -> bool:
    return _OPENS_PLAIN.match(text, at) is not None
