"""The selector language: text becomes a small tree of words, `and`, `or` and `not`.

    os:windows and site:leeds and not tag:fragile
    pos-*, acme/web-01
    client:acme and (file:hosts.txt or run:last:failed)

A comma is an `or` that binds as loosely as the word. Comparing ignores case, as names that differ
only in case are refused by the loader. This module reads no file and knows no inventory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

from outagekit.errors import UsageError
from outagekit.events import EndState, OperatingSystem
from outagekit.text import closest, count, fold_list, visible_line

MAX_LENGTH: Final = 4000
"""Characters of a selector; longer lists belong into a file (`file:hosts.txt`)."""
MAX_DEPTH: Final = 32
"""How deep parentheses and `not` may be nested."""

Key = Literal["name", "client", "site", "tag", "os", "address", "file", "run"]
KEYS: Final[tuple[Key, ...]] = get_args(Key)
KEYWORDS: Final = frozenset({"all", "and", "or", "not"})
"""Words with a meaning of their own; no endpoint may be called so."""

_SYSTEMS: Final = get_args(OperatingSystem)
_STATES: Final = tuple(state.value for state in EndState)
_NEVER_IN_TARGETS: Final = frozenset({"client", "address", "file", "run"})
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
_TOKEN = re.compile(r"""\s+|[(),]|(?:[^\s(),"']|"[^"]*"|'[^']*')+""")


class SelectorError(UsageError):
    """A selector cannot be understood; the hint shows it with a caret, then `advice`.

    `reason` is the message without its place, `column` counts from 1.
    """

    def __init__(self, reason: str, text: str, column: int, *, advice: str = "") -> None:
        hint = "\n".join(filter(None, (*_caret(text, column), advice)))
        super().__init__(f"the selector is wrong at column {column}: {reason}", hint=hint)
        self.reason = reason
        self.text = text
        self.column = column
        self.advice = advice


def _caret(text: str, column: int) -> tuple[str, str]:
    """Return a piece of the selector that fits on a line, and a caret under the column."""
    start = max(0, column - 41)
    before = visible_line(text[start : column - 1])
    return before + visible_line(text[column - 1 : column + 39]), " " * len(before) + "^"


@dataclass(frozen=True, slots=True)
class Word:
    """One condition, `key:value`. A value without a key has the key `name`."""

    key: Key
    value: str
    column: int = 0

    @property
    def written(self) -> str:
        """The word as it can be typed, safe to show."""
        quote = _quote_for(self.value)
        return visible_line(f"{self.key}:{quote}{self.value}{quote}")


def _quote_for(value: str) -> str:
    if not re.search(r"""[\s(),"']""", value):
        return ""
    return "'" if '"' in value else '"'


@dataclass(frozen=True, slots=True)
class Everything:
    """`all`: every endpoint there is."""


@dataclass(frozen=True, slots=True)
class Not:
    """What `part` does not match."""

    part: Expression


@dataclass(frozen=True, slots=True)
class AllOf:
    """What every part matches; at least two parts."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """What at least one part matches; at least two parts."""

    parts: tuple[Expression, ...]


Expression = Word | Everything | Not | AllOf | AnyOf


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector that was understood: its text as written, and its meaning."""

    text: str
    root: Expression

    def words(self) -> tuple[Word, ...]:
        """Return every word, from left to right."""
        return _words(self.root)


def _words(expression: Expression) -> tuple[Word, ...]:
    match expression:
        case Word():
            return (expression,)
        case Everything():
            return ()
        case Not(part):
            return _words(part)
        case AllOf(parts) | AnyOf(parts):
            return tuple(word for part in parts for word in _words(part))


def parse(text: str) -> Selector:
    """Return the meaning of a selector. Raises `SelectorError`, and nothing else."""
    if len(text) > MAX_LENGTH:
        message = f"it is longer than {count(MAX_LENGTH, 'character')}"
        advice = "write the names into a file, one a line: file:hosts.txt"
        raise SelectorError(message, text, MAX_LENGTH + 1, advice=advice)
    return Selector(text, _Parser(text).read())


def parse_targets(text: str) -> Selector:
    """Return the meaning of a selector that stands in a playbook.

    A playbook is used for many clients: `client:`, `address:`, `file:`, `run:` and `client/name`
    are refused in it. Raises `SelectorError`, and nothing else.
    """
    selector = parse(text)
    for word in selector.words():
        if word.key in _NEVER_IN_TARGETS or "/" in word.value:
            message = f"a playbook serves many clients and cannot say {word.written}"
            advice = "use os:, tag:, site: or name: here, the rest with --client and --limit"
            raise SelectorError(message, text, word.column, advice=advice)
    return selector


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    column: int

    @property
    def keyword(self) -> str:
        """The token itself if it has a meaning of its own, else an empty text."""
        folded = self.text.casefold()
        return folded if folded in KEYWORDS or folded in {"(", ")", ","} else ""


class _Parser:
    """Recursive descent over the tokens of one selector; as deep as `MAX_DEPTH` allows."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split()
        self._place = 0
        self._depth = 0

    def _split(self) -> list[_Token]:
        tokens = []
        end = 0
        while end < len(self._text):
            found = _TOKEN.match(self._text, end)
            if found is None:
                raise self._wrong("this quote is never closed", end + 1)
            if not found[0].isspace():
                tokens.append(_Token(found[0], end + 1))
            end = found.end()
        return tokens

    def read(self) -> Expression:
        expression = self._either()
        token = self._next()
        if token is None:
            return expression
        if token.keyword == ")":
            raise self._wrong("there is no ( for this )", token.column)
        message = "'and', 'or' or a comma is missing before this word"
        raise self._wrong(message, token.column)

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._take("or", ","):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._term()]
        while self._take("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _term(self) -> Expression:
        token = self._next()
        if token is None or token.keyword in {"and", "or", ",", ")"}:
            raise self._nothing_here(token)
        self._place += 1
        if token.keyword == "all":
            return Everything()
        if not token.keyword:
            return self._word(token)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH}", token.column)
        inner = Not(self._term()) if token.keyword == "not" else self._group(token)
        self._depth -= 1
        return inner

    def _group(self, opening: _Token) -> Expression:
        inner = self._either()
        if self._take(")"):
            return inner
        token = self._next()
        if token is None:
            raise self._wrong("this ( is never closed", opening.column)
        raise self._wrong("'and', 'or', a comma or ) is missing before this word", token.column)

    def _word(self, token: _Token) -> Word:
        key, colon, value = token.text.partition(":")
        if not colon or key.startswith(('"', "'")):
            key, value = "name", token.text
        key = key.casefold()
        if key not in KEYS:
            raise self._unknown_key(key, token)
        value = _QUOTED.sub(lambda quoted: quoted[0][1:-1], value)
        fault, advice = _fault_in(key, value)
        if fault:
            raise self._wrong(fault, token.column, advice=advice)
        folded = value if key in {"file", "run"} else value.casefold()
        return Word(key, folded, token.column)

    def _unknown_key(self, key: str, token: _Token) -> SelectorError:
        near = closest(key, KEYS)
        known = f"known are {', '.join(f'{known}:' for known in KEYS)}"
        advice = f"did you mean {near}:?" if near else known
        return self._wrong(f"there is no {visible_line(key)}:", token.column, advice=advice)

    def _nothing_here(self, token: _Token | None) -> SelectorError:
        if not self._tokens:
            advice = "write all for every endpoint"
            return self._wrong("it is empty", 1, advice=advice)
        column = token.column if token else len(self._text) + 1
        return self._wrong("a name or a word like tag:pos is missing here", column)

    def _next(self) -> _Token | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _take(self, *keywords: str) -> bool:
        token = self._next()
        taken = token is not None and token.keyword in keywords
        self._place += taken
        return taken

    def _wrong(self, message: str, column: int, *, advice: str = "") -> SelectorError:
        return SelectorError(message, self._text, column, advice=advice)


def _fault_in(key: Key, value: str) -> tuple[str, str]:
    """Return what is wrong with a word and what to write instead; two empty texts if nothing."""
    if not value or not value.isprintable():
        what = "a value is missing" if not value else "a character cannot be printed"
        return f"{what} after {key}:", ""
    if key == "run":
        return _fault_in_run(value)
    if key == "os" and value.casefold() not in _SYSTEMS:
        return f"there is no os:{value}", _meant(value, _SYSTEMS)
    if "/" in value and key not in {"file", "name"}:
        return f"no {key} has a / in it", "client/name stands alone: acme/pos-01"
    if key == "name" and ("/" in value and not re.fullmatch("[^/]+/[^/]+", value)):
        return "this is no name", "write it like acme/pos-01"
    return "", ""


def _fault_in_run(value: str) -> tuple[str, str]:
    run, colon, state = value.rpartition(":")
    if not colon or not run:
        return "run: needs a run and an end state", "write it like run:last:failed"
    if state not in _STATES:
        return f"there is no end state {state}", _meant(state, _STATES)
    return "", ""


def _meant(word: str, choices: tuple[str, ...]) -> str:
    near = closest(word, choices)
    return f"did you mean {near}?" if near else f"known are {fold_list(choices, limit=9)}"
