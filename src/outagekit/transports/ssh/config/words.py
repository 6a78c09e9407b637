"""How a line of a config file falls into words: by two different rules, as in `ssh` itself.

The keyword, and everything on a `Match` line, ends at white space, a double quote or one `=`.
All other arguments are words as in a shell: both kinds of quotes, a backslash before a quote, a
backslash or a space, and `#` at the beginning of a word ends the line.
"""

from __future__ import annotations

import re
from typing import Final

WHITE: Final = " \t\r\n"
_END_OF_WORD: Final = re.compile(r'[ \t\r\n"=]')
_ESCAPABLE: Final = "'\"\\"


def split_off(text: str) -> tuple[str | None, str | None]:
    """Return the first word and what follows it; None where there is nothing (left).

    The word is None, too, if a double quote in it is never closed.
    """
    found = _END_OF_WORD.search(text)
    if found is None:
        return text, None
    at = found.start()
    if text[at] == '"':
        end = text.find('"', at + 1)
        if end < 0:
            return None, None
        return text[:at] + text[at + 1 : end], text[end + 1 :].lstrip(WHITE)
    rest = text[at + 1 :].lstrip(WHITE)
    if text[at] != "=" and rest.startswith("="):
        rest = rest[1:].lstrip(WHITE)
    return text[:at], rest


def keyword_of(line: str) -> tuple[str, str] | None:
    """Return keyword and arguments of a line; None if the line says nothing."""
    line = line[:1] + line[1:].rstrip(WHITE + "\f")
    word, rest = split_off(line)
    if word == "" and rest is not None:
        word, rest = split_off(rest)
    if not word or word.startswith("#"):
        return None
    return word, (rest or "").lstrip(WHITE)


def words_of(text: str) -> list[str] | None:
    """Return the arguments in a text; None if a quote is never closed."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
        elif text[at] == "#":
            break
        else:
            word, at = _word(text, at)
            if word is None:
                return None
            words.append(word)
    return words


def _word(text: str, at: int) -> tuple[str | None, int]:
    made: list[str] = []
    quote = ""
    while at < len(text):
        sign, after = text[at], text[at + 1 : at + 2]
        if sign == "\\" and after and (after in _ESCAPABLE or (not quote and after == " ")):
            made.append(after)
            at += 1
        elif not quote and sign in " \t":
            break
        elif not quote and sign in "\"'":
            quote = sign
        elif sign == quote:
            quote = ""
        else:
            made.append(sign)
        at += 1
    return (None if quote else "".join(made)), at
