"""Ansible's INI form: sections of hosts, children and variables.

Every line that cannot be read is a fault of its own. Values of variables are Python literals where
they are some, else text, as Ansible has it.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from typing import TYPE_CHECKING, Any, Final

from outagekit.inventory.foreign.ansible.estate import UNGROUPED, Estate, EstateError
from outagekit.inventory.foreign.ansible.node import VAULT, Setting
from outagekit.inventory.foreign.ansible.patterns import PatternError, expand
from outagekit.inventory.foreign.findings import Findings, Place
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_QUOTING = re.compile(r"[\"'\\#]")
_BLANKS = re.compile(r"[ \t\r\n]+")
_LONGEST_LITERAL: Final = 1000
_STATES: Final = ("hosts", "children", "vars")


def read_ini(
    path: Path, text: str, estate: Estate, findings: Findings, *, wanted: Callable[[str], bool]
) -> None:
    """Add what an INI file says; values of variables that are not `wanted` are passed over."""
    reader = _Reader(path, estate, findings, wanted)
    for number, line in enumerate(text.splitlines(), 1):
        reader.line(number, line)
    reader.end()


def first_line(text: str) -> str:
    """Return the first line that says something."""
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if line and line[0] not in "#;"), "")


def is_section(line: str) -> bool:
    """Return whether a line begins a section, which no line of a YAML inventory does."""
    return bool(_SECTION.fullmatch(line))


class _Reader:
    def __init__(
        self, path: Path, estate: Estate, findings: Findings, wanted: Callable[[str], bool]
    ) -> None:
        self._path = path
        self._estate = estate
        self._findings = findings
        self._wanted = wanted
        self._group = UNGROUPED
        self._state = "hosts"
        self._line = ""
        self._place = Place(path)
        self._undeclared: dict[str, tuple[Place, str]] = {}
        """Groups that only their variables or a parent name, so far."""
        self._children: dict[str, list[str]] = {}
        """Groups that wait for their declaration, with the groups they belong below."""

    def line(self, number: int, whole: str) -> None:
        line = whole.strip()
        if not line or line[0] in "#;":
            return
        self._line = whole.rstrip()
        self._place = Place(self._path, number, len(whole) - len(whole.lstrip()) + 1)
        try:
            self._statement(line)
        except (PatternError, EstateError) as error:
            self._fault(error.message, error.hint)

    def end(self) -> None:
        for place, message in self._undeclared.values():
            self._findings.fault(place, message, "declare it with a line like [name]")

    def _fault(self, message: str, hint: str = "") -> None:
        line = "" if self._state == "vars" else self._line  # values stand there, of any kind
        self._findings.fault(self._place, message, hint, line=line)

    def _statement(self, line: str) -> None:
        found = _SECTION.fullmatch(line)
        if found:
            self._section(found[1], found[2] or "hosts")
        elif line.startswith("[") and line.endswith("]"):
            self._fault("this is no section", "write [group], [group:children] or [group:vars]")
        elif self._state == "hosts":
            self._hosts(line)
        elif self._state == "vars":
            self._variable(line)
        elif self._state == "children":
            self._child(line)

    def _section(self, group: str, state: str) -> None:
        self._group, self._state = group, state
        if state not in _STATES:
            self._fault(f"{shown(state)} is no kind of section", "hosts, children or vars")
            return
        if state == "vars":
            if group not in self._estate.groups and group not in self._undeclared:
                message = f"the group {shown(group)} has variables, but is declared nowhere"
                self._undeclared[group] = self._place, message
            self._estate.add_group(group, self._place)
            return
        self._estate.add_group(group, self._place)
        self._undeclared.pop(group, None)
        for parent in self._children.pop(group, ()):
            self._estate.add_child(parent, group)

    def _child(self, line: str) -> None:
        found = _CHILD.fullmatch(line)
        if not found:
            self._fault("the name of one group belongs in this line")
        elif found[1] in self._estate.groups and found[1] not in self._children:
            self._estate.add_child(self._group, found[1])
        else:
            message = f"the group {shown(found[1])} is declared nowhere"
            self._undeclared.setdefault(found[1], (self._place, message))
            self._children.setdefault(found[1], []).append(self._group)

    def _variable(self, line: str) -> None:
        name, equals, value = line.partition("=")
        if not equals:
            self._fault("a line of a :vars section is like name=value")
        elif self._wanted(name.strip()):
            setting = Setting(_literal(value.strip()), self._place)
            self._estate.put(self._group, name.strip(), _sealed(setting))
        else:
            self._estate.put(self._group, name.strip(), Setting(..., self._place))

    def _hosts(self, line: str) -> None:
        try:
            words = _words(line)
        except ValueError:
            self._fault("a quote in this line never ends")
            return
        if not words or not words[0].strip() or words[0].strip() == "---":
            self._fault("the name of a host is missing")
            return
        if "=" in words[0]:
            hint = "variables of a group stand below [group:vars]"
            self._fault("the name of a host is missing before name=value", hint)
            return
        names, port = expand(words[0])
        if words[0].strip().endswith(":") and port is None:
            self._fault("a host cannot end with `:`", "write the port behind it, or nothing")
            return
        settings = self._settings(words[1:])
        at_port = Setting(port, self._place) if port else None
        for name in names:
            self._estate.add_host(name, self._place, group=self._group, port=at_port)
            for variable, setting in settings.items():
                self._estate.put(name, variable, setting)
        if not names:
            self._findings.warn(self._place, "this range is empty: it stands for no host")

    def _settings(self, words: list[str]) -> dict[str, Setting]:
        settings: dict[str, Setting] = {}
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                hint = "without blanks around the =, and with quotes around a value that has some"
                self._fault("a word behind a host is like name=value", hint)
                continue
            column = self._line.find(f"{name}=") + 1 or self._place.column
            place = Place(self._path, self._place.line, column)
            found = _literal(value) if self._wanted(name) else ...
            settings[name] = _sealed(Setting(found, place))
        return settings


def _words(line: str) -> list[str]:
    """Return the words of a line as a shell splits them; raises `ValueError` for an open quote."""
    if _QUOTING.search(line):
        return shlex.split(line, comments=True)
    return [word for word in _BLANKS.split(line) if word]  # the same, in a fraction of the time


def _sealed(setting: Setting) -> Setting:
    if isinstance(setting.value, str) and setting.value.startswith(VAULT):
        return Setting(None, setting.place, encrypted=True)
    return setting


def _literal(text: str) -> Any:
    """Return a Python literal as its value; what is none is the text itself.

    A list or mapping is only known to be one, as `...`.
    """
    if len(text) > _LONGEST_LITERAL:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash that escapes nothing is no news
            value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text
    if value is ...:
        return text
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value) if isinstance(value, complex) else ...
