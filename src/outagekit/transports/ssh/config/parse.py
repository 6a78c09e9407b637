"""The text of a config file, as blocks of statements; everything wrong in it at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outagekit.errors import Problem
from outagekit.text import closest
from outagekit.transports.ssh.config import values
from outagekit.transports.ssh.config.keywords import ALIASES, HONOURED, KNOWN, TOLD
from outagekit.transports.ssh.config.model import (
    Block,
    ConfigFile,
    Criterion,
    Here,
    Include,
    Jumps,
    MatchLine,
    Place,
    Statement,
    Unknown,
)
from outagekit.transports.ssh.config.patterns import HostPatterns, lowered
from outagekit.transports.ssh.config.values import BadValueError
from outagekit.transports.ssh.config.words import WHITE, keyword_of, split_off, words_of

Value = str | int | bool | Jumps | None
Included = Callable[[str, Place], tuple[ConfigFile, ...]]
"""Returns the files a path of an `Include` leads to; raises `BadValueError`."""

_WITH_ARGUMENT: Final = frozenset(
    [
        "host",
        "originalhost",
        "user",
        "localuser",
        "exec",
        "tagged",
        "localnetwork",
        "sessiontype",
        "command",
        "version",
    ]
)
_WITHOUT_ARGUMENT: Final = frozenset({"canonical", "final"})
_ONE_WORD: Final[dict[str, Callable[[str, Here], Value]]] = {
    "port": values.port,
    "identitiesonly": lambda text, _: values.flag(text),
    "identityagent": values.agent,
    "connecttimeout": lambda text, _: values.seconds(text),
    "addressfamily": lambda text, _: values.one_of("any", "inet", "inet6")(text),
    "canonicalizehostname": lambda text, _: values.one_of("yes", "no", "true", "false", "always")(
        text
    ),
    **dict.fromkeys(
        ("hostname", "user", "hostkeyalias", "ignoreunknown", "tag"), lambda text, _: text
    ),
    **dict.fromkeys(("identityfile", "certificatefile"), lambda text, _: text),
}
"""Keywords that have exactly one argument, and what reads it."""


@dataclass(slots=True)
class _Open:
    """The block that is being read."""

    condition: HostPatterns | MatchLine | None = None
    content: list[Statement | Include | Unknown] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)

    def closed(self) -> Block:
        return Block(self.condition, tuple(self.content), tuple(self.unknown))


def parse_config(
    path: Path, text: str, *, here: Here, included: Included, problems: list[Problem]
) -> ConfigFile:
    """Return a file's blocks; what `ssh` would refuse in it is added to `problems`."""
    reader = _Reader(path, here, included)
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(number, line.partition("\0")[0])
    problems += reader.problems
    return reader.made()


class _Reader:
    """Reads one file, line by line."""

    def __init__(self, path: Path, here: Here, included: Included) -> None:
        self._path = path
        self._here = here
        self._included = included
        self._blocks: list[Block] = []
        self._open = _Open()
        self._wants_final = False
        self.problems: list[Problem] = []

    def made(self) -> ConfigFile:
        """Return what was read."""
        blocks = (*self._blocks, self._open.closed())
        return ConfigFile(self._path, blocks, self._wants_final)

    def read(self, number: int, line: str) -> None:
        """Read one line."""
        found = keyword_of(line)
        if found is None:
            return
        written, rest = found
        keyword = lowered(written)
        start = len(line) - len(line.lstrip(WHITE + '="')) + 1
        place = Place(self._path, number, start, line.rstrip())
        if rest:
            # The arguments, for what is wrong with them.
            column = line.find(rest[:1], start - 1 + len(written)) + 1
            place = Place(self._path, number, column, line.rstrip())
        try:
            self._take(ALIASES.get(keyword, keyword), rest, place, start)
        except BadValueError as fault:
            self.problems.append(place.problem(f"{written}: {fault.message}", fault.hint))

    def _take(self, keyword: str, rest: str, place: Place, start: int) -> None:
        if not rest:
            raise BadValueError("an argument is missing")
        if keyword not in KNOWN and keyword not in self._here.vendor_keywords:
            at = Place(place.path, place.line, start, place.source)
            unknown = Unknown(keyword, at)
            self._open.content.append(unknown)
            self._open.unknown.append(unknown)
            return
        words = words_of(rest)
        if words is None:
            raise BadValueError("a quote is not closed")
        if keyword in {"host", "match"}:
            self._begin(keyword, words, rest, place)
        elif keyword == "include":
            self._include(words, place)
        elif keyword in HONOURED or keyword in TOLD:
            value = self._value(keyword, words, rest)
            self._open.content.append(Statement(keyword, value, place))

    def _begin(self, keyword: str, words: list[str], rest: str, place: Place) -> None:
        self._blocks.append(self._open.closed())
        # If its line is wrong, what follows belongs to nobody.
        self._open = _Open(HostPatterns(()))
        if keyword == "host":
            if "" in words:
                raise BadValueError("a pattern is empty")
            self._open.condition = HostPatterns(words)
            return
        criteria = _criteria(rest)
        self._wants_final |= any(each.name == "final" for each in criteria)
        self._open.condition = MatchLine(criteria, place)

    def _include(self, words: list[str], place: Place) -> None:
        if "" in words:
            raise BadValueError("a path is empty")
        files = tuple(file for word in words for file in self._included(word, place))
        self._wants_final |= any(file.wants_final for file in files)
        self._open.content.append(Include(files))
        self._open.unknown += [each for file in files for each in file.unknown]

    def _value(self, keyword: str, words: list[str], rest: str) -> Value:
        if keyword == "proxycommand":
            return rest.lstrip(WHITE + "=")
        if keyword == "proxyjump":
            return values.jumps(rest.lstrip(WHITE + "="), self._here)
        if not words or not words[0]:
            raise BadValueError("an argument is missing")
        read = _ONE_WORD.get(keyword)
        if read is None:
            return words[0]
        value = read(words[0], self._here)
        if len(words) > 1:
            raise BadValueError(f"there is more than one argument: {' '.join(words)}")
        return value


def unknown_keyword(unknown: Unknown) -> Problem:
    """Return the problem an unknown keyword is."""
    near = closest(unknown.keyword, sorted(KNOWN))
    hint = f"did you mean {near}?" if near else "IgnoreUnknown names keywords to pass over"
    return unknown.place.problem(f"bad configuration option: {unknown.keyword}", hint)


def _criteria(text: str) -> tuple[Criterion, ...]:
    """Return the criteria of a `Match` line; none stands for `all`."""
    found: list[Criterion] = []
    rest: str | None = text
    while rest is not None:
        word, rest = split_off(rest)
        if not word or word.startswith("#"):
            rest = None if word else rest
            break
        name = lowered(word.removeprefix("!"))
        negated = word.startswith("!")
        if name == "all":
            _require_alone(found, rest)
            return (*found, Criterion("all", "", negated))
        criterion, rest = _criterion(name, rest, negated=negated)
        found.append(criterion)
    if not found:
        raise BadValueError("no condition is given")
    if rest:
        raise BadValueError(f"this is no condition: {rest}")
    return tuple(found)


def _criterion(name: str, rest: str | None, *, negated: bool) -> tuple[Criterion, str | None]:
    if name in _WITHOUT_ARGUMENT:
        return Criterion(name, "", negated), rest
    argument, rest = split_off(rest) if rest is not None else (None, None)
    if not argument or argument.startswith("#"):
        raise BadValueError(f"the condition {name} has no argument")
    if name not in _WITH_ARGUMENT:
        raise BadValueError(f"the condition {name} is not known")
    return Criterion(name, argument, negated), rest


def _require_alone(before: list[Criterion], rest: str | None) -> None:
    word, after = split_off(rest) if rest is not None else (None, None)
    if len(before) > 1 or (word and not word.startswith("#")):
        raise BadValueError("'all' goes with no other condition")
    if not word and after:
        raise BadValueError(f"this is no condition: {after}")
