"""Patterns of names: `*` and `?`, lists with commas, and `!` for what must not be."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

_LONGEST_PATTERN: Final = 1023
"""`ssh` lets a longer one in a list match nothing."""
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWERED: Final = str.maketrans(_UPPER, _UPPER.lower())


def lowered(text: str) -> str:
    """Return a text with the letters A to Z in lower case, and no others."""
    return text.translate(_LOWERED)


def matches(text: str, pattern: str) -> bool:
    """Return whether a text is what a pattern with `*` and `?` describes."""
    return _matcher(pattern)(text)


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

    def __init__(self, words: Sequence[str]) -> None:
        wild = [word for word in words if "*" in word or "?" in word]
        self._names = frozenset(word for word in words if word not in wild and word[:1] != "!")
        self._wild = [_matcher(word) for word in wild if word[:1] != "!"]
        self._not = [_matcher(word[1:]) for word in words if word[:1] == "!"]

    def match(self, host: str) -> bool:
        """Return whether one of them matches a host, and none with `!` does."""
        if host not in self._names and not any(match(host) for match in self._wild):
            return False
        return not any(match(host) for match in self._not)


@lru_cache(maxsize=4096)
def _matcher(pattern: str) -> Callable[[str], bool]:
    if pattern.count("*") > 1:
        return lambda text: _glob(text, pattern)
    signs = {"*": ".*", "?": "."}
    compiled = re.compile("".join(signs.get(sign, re.escape(sign)) for sign in pattern), re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


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
