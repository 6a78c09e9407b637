"""A file that was read: its values, and the place of each.

Pure values; nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from outagekit.errors import InvalidInput, Problem
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Location = tuple[str | int, ...]
"""Keys and list positions from the root to a value."""

_LONGEST_SHOWN = 60
_LONGEST_SOURCE = 1000


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the file with its place; lines and columns count from 1."""

    value: Any
    """Plain Python: dict, list, str, int, float, bool or None. Keys are always text."""
    line: int
    column: int
    style: str = ""
    """`flow` for `{}` and `[]`, `'` `"` `|` `>` for such texts, else empty."""
    broken: bool = False
    """The value was not understood and a problem says so: it is not to be judged further."""
    children: dict[str | int, Node] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Where each key of a mapping stands."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file that could be read, with everything needed to point at a place in it."""

    path: Path
    lines: tuple[str, ...]
    """Never empty; without line ends."""
    root: Node
    problems: tuple[Problem, ...] = ()
    """Faults that did not keep the file from being read: duplicate keys, anchors, tags."""

    def node(self, loc: Location) -> Node:
        """Return the node at `loc`, or the nearest one above it that exists."""
        found = self.root
        for part in loc:
            if part not in found.children:
                break
            found = found.children[part]
        return found

    def mark(self, loc: Location, *, key: bool = False) -> tuple[int, int]:
        """Return line and column of the value at `loc` (with `key` of its key), or near it."""
        above = self.node(loc[:-1])
        if key and loc and str(loc[-1]) in above.keys:
            return above.keys[str(loc[-1])]
        found = self.node(loc)
        return found.line, found.column

    def broken(self) -> Iterator[Location]:
        """Yield where values stand that were not understood."""
        waiting: list[tuple[Location, Node]] = [((), self.root)]
        while waiting:
            loc, node = waiting.pop()
            if node.broken:
                yield loc
            waiting += [((*loc, part), child) for part, child in node.children.items()]

    def within(self, loc: Location, offset: int) -> tuple[int, int]:
        """Return line and column of character `offset` of the text at `loc`.

        Where the text is not written as it reads (folded, escaped), its beginning is returned.
        """
        node = self.node(loc)
        text = node.value if isinstance(node.value, str) else ""
        if node.style == "|":
            line = node.line + 1 + text.count("\n", 0, offset)
            start = text.rfind("\n", 0, offset) + 1
            indent = self._line(line).find(text[start:].partition("\n")[0])
            return (line, indent + offset - start + 1) if indent >= 0 else (node.line, node.column)
        begin = node.column + (node.style in {"'", '"'})
        as_it_reads = node.style != ">" and self._line(node.line).startswith(text, begin - 1)
        return node.line, begin + offset if as_it_reads else node.column

    def problem(
        self,
        loc: Location,
        message: str,
        hint: str = "",
        *,
        key: bool = False,
        warning: bool = False,
        offset: int | None = None,
    ) -> Problem:
        """Return a problem at a value (or its key, or a character of it) with its line."""
        place = self.mark(loc, key=key) if offset is None else self.within(loc, offset)
        return problem_at(self.path, self.lines, place, message, hint=hint, warning=warning)

    def _line(self, number: int) -> str:
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def problem_at(
    path: Path,
    lines: tuple[str, ...],
    place: tuple[int, int],
    message: str,
    *,
    hint: str = "",
    warning: bool = False,
) -> Problem:
    """Return a problem with the line it stands in; a place behind the file is its end."""
    line, column = place
    if line > len(lines):  # a parser that misses something sees it missing after the last line
        line, column = len(lines), len(lines[-1]) + 1
    source = lines[line - 1]
    source = source if len(source) <= _LONGEST_SOURCE else ""
    return Problem(path, line, column, message, hint, source, warning)


def invalid(path: Path, problems: tuple[Problem, ...]) -> InvalidInput:
    """Return the error that carries a file's problems, in the order of the file."""
    faults = tuple(sorted(set(problems)))
    return InvalidInput(f"{path} has {count(len(faults), 'problem')}", faults)


def shown(text: str) -> str:
    """Return text of a file for a message: one line, visible, not too long, in backquotes."""
    cut = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return f"`{visible_line(cut)}`"
