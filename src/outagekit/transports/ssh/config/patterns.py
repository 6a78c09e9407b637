"""Patterns of names: `*` and `?`, lists with commas, and `!` for what must not be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

_LONGEST_PATTERN: Final = 1023
"""`ssh` lets a longer one in a list match nothing."""
_SEVERAL: Final = 2
"""With so many `*`, a regular expression could take for ever."""
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWERED: Final = str.maketrans(_UPPER, _UPPER.lower())


def lowered(text: str) -> str:
    """Return a text with the letters A to Z in lower case, and no others."""
    return text.translate(_LOWERED)


def matches(text: str, pattern: str) -> bool:
    """Return whether a text is what a pattern with `*` and `?` describes."""
    return bool(_matcher(pattern)(text))


def in_list(text: str, patterns: str, *, lower: bool = False) -> bool:
    """Return whether a text matches a pattern between commas, and none that begins with `!`.

    `lower` takes the patterns in lower case.
    """
    found = False
    for each in (lowered(patterns) if lower else patterns).split(","):
        pattern = each.removeprefix("!")
        if len(pattern) >= _LONGEST_PATTERN:
            return False
        if (pattern or each) and matches(text, pattern):
            if pattern != each:
                return False
            found = True
    return found


class HostPatterns:
    """The patterns of one `Host` line."""

    __slots__ = ("_names", "_not", "_wild")

    def __init__(self, words: Sequence[str]) -> None:
        wanted = [word for word in words if word[:1] != "!"]
        wild = [word for word in wanted if "*" in word or "?" in word]
        self._names = frozenset(wanted) - frozenset(wild)
        # One expression for all: a config may have hundreds of lines, a run thousands of hosts.
        simple = [_expression(word) for word in wild if word.count("*") < _SEVERAL]
        self._wild = [_matcher(word) for word in wild if word.count("*") >= _SEVERAL]
        if simple:
            self._wild.append(re.compile("|".join(simple), re.DOTALL).fullmatch)
        self._not = [_matcher(word[1:]) for word in words if word[:1] == "!"]

    def match(self, host: str) -> bool:
        """Return whether one of them matches a host, and none with `!` does."""
        if host not in self._names:
            for wild in self._wild:
                if wild(host):
                    break
            else:
                return False
        return not any(match(host) for match in self._not)


_Matcher = Callable[[str], object]
"""Returns something true of a text that matches."""


def _expression(pattern: str) -> str:
    signs = {"*": ".*", "?": "."}
    return "".join(signs.get(sign, re.escape(sign)) for sign in pattern)


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> _Matcher:
    if pattern.count("*") >= _SEVERAL:
        return lambda text: _glob(text, pattern)
    return re.compile(_expression(pattern), re.DOTALL).fullmatch


def _glob(text: str, pattern: str) -> bool:
    """Match with several `*` in time proportional to both lengths multiplied, never worse."""
    at = place = 0
    star, resume = -1, 0
    while at < len(text):
        sign = pattern[place] if place < len(pattern) else ""
        if sign == "*":
            star, resume = place, at
            place += 1
        elif sign and sign in {"?", text[at]}:
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return not pattern[place:].strip("*")
