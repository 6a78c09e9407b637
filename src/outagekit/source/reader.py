"""From bytes to a document, event by event.

A file is refused before it can cost time or memory: 1 MiB, 32 levels, 50 000 values, no anchors,
aliases, merge keys, tags or second document. Scalars follow the core schema of YAML 1.2: `yes`,
`22:22` and dates stay text, `010` is ten. Keys are text as written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from outagekit.errors import Problem
from outagekit.source.document import Document, Node, invalid, problem_at, shown
from outagekit.source.files import check_size, decode, read_bytes
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import yaml

LIMIT_BYTES: Final = 1024 * 1024
LIMIT_DEPTH: Final = 32
LIMIT_NODES: Final = 50_000
LIMIT_PROBLEMS: Final = 100
"""So many problems of one file are enough to begin with."""

BLOCK_HINT: Final = "write it as a block: the key, `|`, and the text indented on the next lines"

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML counts as one
_UNREADABLE = re.compile("[^\t\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 40
_LARGEST_INT = 2**63 - 1


def read_document(path: Path, text: bytes | None = None) -> Document:
    """Return the YAML file at `path`, or of `text` if its bytes are at hand.

    Raises InvalidInput with every problem found.
    """
    document = parse_document(path, text)
    if document.problems:
        raise invalid(path, document.problems)
    return document


def parse_document(path: Path, text: bytes | None = None) -> Document:
    """Return the file with those `problems` after which the rest of it can still be judged.

    Raises InvalidInput if nothing of the file can be used.
    """
    data = read_bytes(path, limit_bytes=LIMIT_BYTES) if text is None else text
    check_size(path, data, LIMIT_BYTES)
    decoded = decode(path, data)
    lines = tuple(_LINE_END.split(decoded))
    lines = lines[:-1] if len(lines) > 1 and not lines[-1] else lines
    unreadable = tuple(_unreadable(path, lines))
    if unreadable:
        raise invalid(path, unreadable)
    return _Builder(path, lines).build(_events(path, lines, decoded))


def _unreadable(path: Path, lines: tuple[str, ...]) -> Iterator[Problem]:
    found = 0
    for number, line in enumerate(lines, 1):
        match = _UNREADABLE.search(line)
        if match and found < LIMIT_PROBLEMS:
            found += 1
            message = f"the character U+{ord(match[0]):04X} may not stand in a file"
            place = (number, match.start() + 1)
            yield problem_at(path, lines, place, message, hint="remove it")


def _events(path: Path, lines: tuple[str, ...], text: str) -> list[Any]:
    """Return the events of the document; raises InvalidInput for bad YAML and broken limits.

    Limits are watched before any value is made: that is what keeps a bomb cheap.
    """
    import yaml  # noqa: PLC0415  (loading a model must not cost the reader)

    loader = (yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)(text)
    events: list[Any] = []
    depth = 0
    try:
        while depth <= LIMIT_DEPTH and len(events) <= LIMIT_NODES:
            event = loader.get_event()
            events.append(event)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            elif isinstance(event, yaml.StreamEndEvent):
                break
    except yaml.MarkedYAMLError as error:
        raise invalid(path, (_syntax_problem(path, lines, error),)) from error
    except yaml.YAMLError as error:
        message = f"this is not YAML: {visible_line(str(error))}"
        raise invalid(path, (Problem(path, 1, 1, message),)) from error
    finally:
        loader.dispose()
    if depth > LIMIT_DEPTH or len(events) > LIMIT_NODES:
        deep = f"more than {LIMIT_DEPTH} levels are nested here"
        message = deep if depth > LIMIT_DEPTH else f"the file holds more than {LIMIT_NODES} values"
        raise invalid(path, (problem_at(path, lines, _place(events[-1]), message),))
    return events


def _place(event: Any) -> tuple[int, int]:  # every event of a parser has its marks
    return event.start_mark.line + 1, event.start_mark.column + 1


_QUOTE_HINT = "put the text in quotes, or write it as a block after `|`"
_ALIAS_HINT = "a text that begins with `*` or `&` needs quotes"
_SYNTAX: tuple[tuple[str, str, str], ...] = (
    ("mapping values are not allowed", "`: ` where no key can stand", _QUOTE_HINT),
    ("that cannot start any token", "no value can begin with this character", _QUOTE_HINT),
    ("expected ',' or '}'", "the mapping in `{ }` should end or go on with `,` here", BLOCK_HINT),
    ("expected ',' or ']'", "the list in `[ ]` should end or go on with `,` here", _QUOTE_HINT),
    ("unexpected end of stream", "the quoted text that begins here never ends", "close it"),
    ("expected ':'", "this line is neither `key: value` nor a list entry", ""),
    ("entries are not allowed", "a list cannot begin here", "begin it on a line of its own"),
    ("expected <document start>", "the document has ended before this", ""),
    ("expected '<document start>'", "the document has ended before this", ""),
    ("unknown escape", "a backslash with a letter that means nothing", "use single quotes"),
    ("node content", "a value is missing before this character", ""),
    ("alphabetic or numeric", "this looks like an anchor or alias", _ALIAS_HINT),
    ("expected", "this does not fit the lines above", "check the indentation and the quotes"),
)
"""What PyYAML says (as libyaml or as Python words it) -> what a person is told, and a hint."""


def _syntax_problem(path: Path, lines: tuple[str, ...], error: yaml.MarkedYAMLError) -> Problem:
    what = error.problem or ""
    mark = error.problem_mark
    last = len(lines) - 1
    at_the_end = mark is None or (mark.line, mark.column) >= (last, len(lines[last]))
    if error.context_mark and (at_the_end or "expected ':'" in what):
        mark = error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    words = ((say, hint) for key, say, hint in _SYNTAX if key in what)
    message, hint = next(words, (f"this is not YAML: {visible_line(what)}", ""))
    problem = problem_at(path, lines, place, message, hint=hint)
    if problem.source[problem.column - 1 : problem.column] == "\t":
        return problem_at(path, lines, place, "a tab cannot indent", hint="use spaces")
    return problem


def _flow(event: Any) -> str:
    return "flow" if event.flow_style else ""


class _Builder:
    """Makes the tree of one document out of its events, without recursion."""

    def __init__(self, path: Path, lines: tuple[str, ...]) -> None:
        self._path = path
        self._lines = lines
        self._problems: list[Problem] = []
        self._root: Node | None = None
        self._open: list[tuple[Node, list[tuple[str, tuple[int, int]] | None]]] = []
        """Collections that have not ended, each with the key that waits for its value."""

    def build(self, events: list[Any]) -> Document:
        from yaml import events as kinds  # noqa: PLC0415  (as in _events)

        documents = 0
        for event in events:
            if isinstance(event, kinds.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fault(_place(event), "a second document", "one file holds one document")
                    break
            elif isinstance(event, kinds.CollectionEndEvent):
                self._open.pop()
            elif isinstance(event, kinds.NodeEvent):
                node = self._node(event)
                self._attach(node, event)
                if isinstance(event, kinds.CollectionStartEvent):
                    self._open.append((node, [None]))
        root = self._root or Node(None, 1, 1)
        return Document(self._path, self._lines, root, tuple(self._problems[:LIMIT_PROBLEMS]))

    def _fault(self, place: tuple[int, int], message: str, hint: str = "") -> None:
        self._problems.append(problem_at(self._path, self._lines, place, message, hint=hint))

    def _node(self, event: Any) -> Node:
        line, column = _place(event)
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._fault((line, column), "aliases are not read", _ALIAS_HINT)
            return Node(None, line, column, broken=True)
        if event.anchor is not None:
            self._fault((line, column), "anchors are not read", _ALIAS_HINT)
        if event.tag is not None:
            hint = "a text that begins with `!` needs quotes"
            self._fault((line, column), f"tags like {shown(event.tag)} are not read", hint)
        if kind == "MappingStartEvent":
            return Node({}, line, column, _flow(event), broken=event.tag is not None)
        if kind == "SequenceStartEvent":
            return Node([], line, column, _flow(event), broken=event.tag is not None)
        if event.tag is not None:
            return Node(event.value, line, column, broken=True)
        return self._scalar(event.value, event.style or "", (line, column))

    def _scalar(self, text: str, style: str, place: tuple[int, int]) -> Node:
        line, column = place
        if "\0" in text or _has_surrogate(text):
            self._fault(place, "a text may not hold NUL or half a character", "remove the escape")
            return Node(text, line, column, style, broken=True)
        try:
            value = text if style else _plain(text)
        except ValueError:
            message = f"the number {shown(text)} is not finite or too large"
            self._fault(place, message, "put it in quotes if it is text")
            return Node(text, line, column, broken=True)
        return Node(value, line, column, style)

    def _attach(self, node: Node, event: yaml.NodeEvent) -> None:
        if not self._open:
            self._root = node
            return
        above, waiting = self._open[-1]
        if isinstance(above.value, list):
            above.children[len(above.value)] = node
            above.value.append(node.value)
        elif waiting[0] is None:
            waiting[0] = (self._key(node, event), _place(event))
        else:
            (key, place), waiting[0] = waiting[0], None
            self._pair(above, key, place, node)

    def _key(self, node: Node, event: Any) -> str:
        text = getattr(event, "value", None)
        place = (node.line, node.column)
        if text is None:
            if not node.broken:
                self._fault(place, "a key must be text", "put it in quotes")
        elif not text or visible_line(text) != text:
            self._fault(place, "a key must be text that can be seen", "put a name before the `:`")
        elif text == "<<" and not node.style:
            self._fault(place, "merge keys are not read", "write the keys out")
        else:
            return str(text)
        return ""

    def _pair(self, above: Node, key: str, place: tuple[int, int], node: Node) -> None:
        if not key:
            return
        if key in above.keys:
            first = above.keys[key][0]
            self._fault(place, f"the key {shown(key)} stands twice, first in line {first}")
            return
        above.keys[key] = place
        above.children[key] = node
        above.value[key] = node.value


def _plain(text: str) -> Any:
    """Return an unquoted scalar's value; raises ValueError for a number nothing can hold."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return _whole_number(text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value in {float("inf"), float("-inf")}:
            raise ValueError
        return value
    return text


def _whole_number(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError
    number = int(text, 0 if text.startswith(("0o", "0x")) else 10)
    if abs(number) > _LARGEST_INT:
        raise ValueError
    return number


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)
