"""JSON with places, as inventory programs print it and `ansible-inventory --list` writes it.

The standard library says where a broken text breaks, but not where a sound value stands; so texts
and numbers are its own, and the brackets are followed here.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from outagekit.inventory.foreign.ansible.node import LIMIT_DEPTH, LIMIT_NODES, Node
from outagekit.inventory.foreign.findings import Findings, Place

if TYPE_CHECKING:
    from pathlib import Path

_SPACE = re.compile(r"[ \t\n\r]*")
_SCALAR = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null'
)
_LONGEST_NUMBER = 400


class _Broken(Exception):  # noqa: N818  (ends the reading of one text, never leaves this module)
    """What is wrong at a character of the text."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at, self.message = at, message


def read_json(path: Path, text: str, findings: Findings) -> Node | None:
    """Return the value of a JSON text; None, with a fault, if it is none."""
    reader = _Reader(path, text)
    try:
        return reader.read()
    except _Broken as error:
        findings.fault(reader.place(error.at), f"this is not JSON: {error.message}")
    return None


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text
        self._at = 0
        self._number = 0
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def place(self, at: int) -> Place:
        line = bisect_right(self._lines, at)
        return Place(self._path, line, at - self._lines[line - 1] + 1)

    def read(self) -> Node:
        node = self._value(0)
        self._skip()
        if self._at < len(self._text):
            raise _Broken(self._at, "there is more after its end")
        return node

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _value(self, depth: int) -> Node:
        self._skip()
        self._number += 1
        if depth > LIMIT_DEPTH or self._number > LIMIT_NODES:
            raise _Broken(self._at, "it holds too many values or levels")
        place = self.place(self._at)
        sign = self._text[self._at : self._at + 1]
        if sign == "{":
            return self._mapping(place, depth)
        if sign == "[":
            return self._list(place, depth)
        return Node("scalar", place, self._scalar())

    def _scalar(self) -> object:
        found = _SCALAR.match(self._text, self._at)
        if not found:
            raise _Broken(self._at, "a value is missing here")
        if len(found[0]) > _LONGEST_NUMBER and found[0][0] != '"':
            raise _Broken(self._at, "this number is too long")
        try:
            value: object = json.loads(found[0])
        except ValueError as error:
            raise _Broken(self._at, "this text has an escape that means nothing") from error
        self._at = found.end()
        return value

    def _mapping(self, place: Place, depth: int) -> Node:
        node = Node("mapping", place)
        while self._more("}", first=not node.entries):
            self._skip()
            at = self._at
            key = self._scalar()
            if not isinstance(key, str):
                raise _Broken(at, "a key must be a text")
            self._expect(":")
            node.entries[key] = (Node("scalar", self.place(at), key), self._value(depth + 1))
        return node

    def _list(self, place: Place, depth: int) -> Node:
        node = Node("list", place)
        while self._more("]", first=not node.items):
            node.items.append(self._value(depth + 1))
        return node

    def _more(self, end: str, *, first: bool) -> bool:
        """Step to the next entry and return True, or over the end and return False."""
        if first:
            self._at += 1
            self._skip()
            if not self._text.startswith(end, self._at):
                return True
        self._skip()
        if self._text.startswith(end, self._at):
            self._at += 1
            return False
        self._expect(",")
        return True

    def _expect(self, sign: str) -> None:
        self._skip()
        if not self._text.startswith(sign, self._at):
            raise _Broken(self._at, f"`{sign}` is missing here")
        self._at += 1
