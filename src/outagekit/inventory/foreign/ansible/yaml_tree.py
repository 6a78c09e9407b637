"""YAML as Ansible reads it: version 1.1 with anchors, merge keys and its own tags.

`yes` is true, `22:22` is 1342 and a date is a date. Values become nodes with their places. A file
is refused before it can cost memory: levels and values are counted before any is made, and again
while anchors are followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from outagekit.inventory.foreign.ansible.node import LIMIT_DEPTH, LIMIT_NODES, Node
from outagekit.inventory.foreign.findings import Findings, Place
from outagekit.source import shown
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_Loader: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_PLAIN = frozenset(f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null"))
_SCALARS = _PLAIN | {f"{_CORE}{name}" for name in ("timestamp", "binary", "value", "merge")}
_SEALED = frozenset(["!vault", "!vault-encrypted"])
_UNSAFE = "!unsafe"
_LONGEST_NUMBER = 400


class _Unusable(Exception):  # noqa: N818  (ends the making of one tree, never leaves this module)
    """What keeps the whole file from being used, and where."""

    def __init__(self, mark: Any, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.mark, self.message, self.hint = mark, message, hint


def read_yaml(path: Path, text: str, findings: Findings) -> Node | None:
    """Return the document of a YAML file; None, with a fault, if it cannot be used.

    An empty document is a node of nothing.
    """
    try:
        _count(text)
        root = yaml.compose(text, Loader=_Loader)
        return _Maker(path, findings).make(root) if root else Node("scalar", Place(path, 1, 1))
    except _Unusable as error:
        findings.fault(_place(path, error.mark), error.message, error.hint)
    except yaml.MarkedYAMLError as error:
        what = visible_line(error.problem or "it cannot be read")
        mark = error.problem_mark or error.context_mark
        findings.fault(_place(path, mark), f"this is not YAML: {what}")
    except yaml.YAMLError:
        findings.fault(Place(path), "this is not YAML: it holds a character that may not be there")
    return None


def _place(path: Path, mark: Any) -> Place:
    return Place(path, mark.line + 1, mark.column + 1) if mark else Place(path)


def _count(text: str) -> None:
    """Raise `_Unusable` where a document is nested too deep or holds too much."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > LIMIT_DEPTH:
            raise _Unusable(event.start_mark, f"more than {LIMIT_DEPTH} levels are nested here")
        if number > LIMIT_NODES:
            raise _Unusable(event.start_mark, f"the file holds more than {LIMIT_NODES} values")


class _Maker:
    """Makes the tree of one document out of what the library composed."""

    def __init__(self, path: Path, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        self._number = 0
        self._above: list[int] = []
        self._made: dict[int, tuple[Node, int]] = {}
        """What was made of each collection and how many levels it has: aliases cost nothing."""
        self._deepest = 0
        self._scalars = yaml.constructor.SafeConstructor()
        self._resolver: Any = yaml.resolver.Resolver()

    def make(self, node: Any) -> Node:
        """Return a node; an alias becomes the very node of its anchor."""
        made, levels = self._made.get(id(node), (None, 0))
        self._deepest = max(self._deepest, len(self._above) + levels)
        if id(node) in self._above or self._deepest > LIMIT_DEPTH:
            raise _Unusable(node.start_mark, "this value holds itself, or too many levels")
        if made is not None:
            return made
        self._spend(node, 1)
        place = _place(self._path, node.start_mark)
        if node.tag in _SEALED:
            return Node("encrypted", place)
        if isinstance(node, yaml.ScalarNode):
            return Node("scalar", place, self._scalar(node))
        before, self._deepest = self._deepest, len(self._above)
        self._above.append(id(node))
        made = self._collection(node, place)
        self._above.pop()
        self._made[id(node)] = made, self._deepest - len(self._above)
        self._deepest = max(before, self._deepest)
        return made

    def _spend(self, node: Any, values: int) -> None:
        self._number += values
        if self._number > LIMIT_NODES:
            raise _Unusable(node.start_mark, f"the file holds more than {LIMIT_NODES} values")

    def _collection(self, node: Any, place: Place) -> Node:
        if isinstance(node, yaml.SequenceNode) and node.tag in {f"{_CORE}seq", _UNSAFE}:
            return Node("list", place, items=[self.make(each) for each in node.value])
        if isinstance(node, yaml.MappingNode) and node.tag in {f"{_CORE}map", _UNSAFE}:
            made = Node("mapping", place)
            self._warn_of_twins(node)
            for key, value in self._pairs(node):
                known = made.entries.get(key.value)
                made.entries[key.value] = (known[0] if known else key, value)
            return made
        raise _Unusable(node.start_mark, f"the tag {shown(node.tag)} is not read here")

    def _warn_of_twins(self, node: Any) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if key.value in seen:
                message = f"the key {shown(key.value)} stands twice"
                place = _place(self._path, key.start_mark)
                self._findings.warn(place, message, "only what stands behind the last one counts")
            seen.add(key.value)

    def _pairs(self, node: Any) -> Iterator[tuple[Node, Node]]:
        """Yield a mapping's keys and values: what it merges first, as its own win."""
        own = [pair for pair in node.value if pair[0].tag != _MERGE]
        for key, value in node.value:
            if key.tag == _MERGE:
                yield from self._merged(value)
        for key, value in own:
            made = self.make(key)
            if made.kind != "scalar":
                raise _Unusable(key.start_mark, "a key must be a text")
            yield made, self.make(value)

    def _merged(self, value: Any) -> Iterator[tuple[Node, Node]]:
        sources = [value]
        if isinstance(value, yaml.SequenceNode):
            sources = list(reversed(value.value))
        if not all(isinstance(source, yaml.MappingNode) for source in sources):
            raise _Unusable(value.start_mark, "only mappings can be merged")
        for source in sources:
            entries = self.make(source).entries
            self._spend(source, len(entries))
            yield from entries.values()

    def _scalar(self, node: Any) -> Any:
        tag = node.tag
        if tag == _UNSAFE:
            tag = self._resolver.resolve(yaml.ScalarNode, node.value, (True, False))
        if tag not in _SCALARS:
            raise _Unusable(node.start_mark, f"the tag {shown(node.tag)} is not read here")
        if tag == f"{_CORE}str":
            return node.value
        if tag in {f"{_CORE}int", f"{_CORE}float"} and len(node.value) > _LONGEST_NUMBER:
            raise _Unusable(node.start_mark, "this number is too long", "put it in quotes")
        try:
            plain = yaml.ScalarNode(tag, node.value, node.start_mark, node.end_mark)
            return self._scalars.construct_object(plain)
        except (ValueError, OverflowError) as error:
            message = f"{shown(node.value)} is neither a number nor a date"
            raise _Unusable(node.start_mark, message, "put it in quotes") from error
