"""Warnings about the text of scripts: traps that bite on the endpoint, long after `check`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.errors import Problem
from outagekit.playbook import model
from outagekit.source import shown

if TYPE_CHECKING:
    from outagekit.playbook.actions import Written
    from outagekit.playbook.findings import Findings

_PLACEHOLDER = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)[\w.]*\s*-?\}\}")
_MERGED_STREAMS = re.compile(r"2>&1")
_BY_CMD = re.compile(r"\bcmd(?:\.exe)?\b[^\n|;]*\s/c\s", re.IGNORECASE)
_GOES_ON = re.compile(r"\$ErrorActionPreference\s*=\s*['\"]?(?:Silently)?Continue", re.IGNORECASE)
_SHARE = re.compile(
    r"(?:^|(?<=[\s'\"(=,;@]))\\\\[A-Za-z0-9$%{][\w.$%{}():-]*\\[^\s\\'\"][^\s'\",;]*",
    re.MULTILINE,
)
"""`\\\\server\\share`, also where a value stands for the server; no `\\\\.\\` and no regex."""
_HERE = re.compile(
    r"\\\\(?:localhost|127\.0\.0\.1|\$env:computername|%computername%)\\", re.IGNORECASE
)
_QUIET_WUSA = re.compile(r"\bwusa(?:\.exe)?\b[^\n]*?/quiet\b", re.IGNORECASE)
_COMMENT = re.compile(r"\s*(?:#|::|@?rem\b)", re.IGNORECASE)
_WINDOWS: Final = frozenset(model.LANGUAGES_OF["windows"])

_MERGED: Final = (
    "in Windows PowerShell `2>&1` turns a program's stderr into a failure",
    'leave it out: both streams are kept; or merge them in cmd: cmd /c "program 2>&1"',
)
_DOUBLE_HOP: Final = (
    "a login over the network may not go on to a share: {} will be denied",
    "push the file, or let the endpoint get it by https",
)
_WUSA: Final = (
    "`wusa` does nothing with `/quiet` when it uninstalls, and takes no login over the network",
    "use DISM in a step with `as: system`",
)


@dataclass(frozen=True, slots=True)
class _Found:
    """A trap at a character of a script."""

    offset: int
    message: str
    hint: str


def lint_code(playbook: model.Playbook, piece: Written, findings: Findings) -> None:
    """Note what in a script will not do what it looks like, as warnings."""
    code = piece.code
    rules: list[Callable[[str], Iterator[_Found]]] = []
    if code.language == "powershell":
        rules.append(_merged_streams)
    if code.language in _WINDOWS:
        rules.append(_quiet_wusa)
    if code.language in _WINDOWS and not _is_of_system(playbook, piece):
        rules.append(_shares)
    for rule in rules:
        for found in rule(code.text):
            if not _is_comment(code.text, found.offset):
                _warn(piece, found, findings)
    for found in _placeholders(playbook, code):
        _warn(piece, found, findings)


def _is_of_system(playbook: model.Playbook, piece: Written) -> bool:
    """Return whether a script runs as the machine itself, which goes where the machine may go."""
    match piece.loc:
        case ("steps", int(index), *_):
            return playbook.steps[index].account == "system"
    return False


def _merged_streams(text: str) -> Iterator[_Found]:
    for found in _MERGED_STREAMS.finditer(text):
        before = text[: found.start()]
        by_cmd = _BY_CMD.search(before.rpartition("\n")[2])
        if not by_cmd and not _GOES_ON.search(before):
            yield _Found(found.start(), *_MERGED)


def _shares(text: str) -> Iterator[_Found]:
    for found in _SHARE.finditer(text):
        if not _HERE.match(found[0]):
            message, hint = _DOUBLE_HOP
            yield _Found(found.start(), message.format(shown(found[0])), hint)


def _quiet_wusa(text: str) -> Iterator[_Found]:
    for found in _QUIET_WUSA.finditer(text):
        yield _Found(found.start(), *_WUSA)


def _is_comment(text: str, offset: int) -> bool:
    return bool(_COMMENT.match(text[:offset].rpartition("\n")[2]))


def _placeholders(playbook: model.Playbook, code: model.Code) -> Iterator[_Found]:
    names = {*playbook.params, *model.RESERVED_NAMES, *(step.id for step in playbook.steps)}
    names.update(name for step in playbook.steps for name in step.with_)
    for found in _PLACEHOLDER.finditer(code.text):
        if found[1] in names:
            message = f"{shown(found[0])} stays as it is: scripts are no templates"
            where = {
                "powershell": f"$OK.{found[1]}",
                "cmd": f"%OK_{found[1].upper()}%",
            }.get(code.language, f"$OK_{found[1].upper()}")
            yield _Found(found.start(), message, f"its value is in `{where}`")


def _warn(piece: Written, found: _Found, findings: Findings) -> None:
    code, offset = piece.code, found.offset
    if not code.file:
        findings.add(piece.loc, found.message, found.hint, warning=True, offset=offset)
        return
    line = code.text.count("\n", 0, offset)
    column = offset - (code.text.rfind("\n", 0, offset) + 1) + 1
    source = code.text.split("\n")[line]
    path = findings.document.path.parent / code.file
    findings.problems.append(
        Problem(path, line + 1, column, found.message, found.hint, source, warning=True)
    )
