"""Text on its way to a person, a file name or an event: made safe, cut, counted, worded.

Nothing a machine, a file or a stranger wrote reaches a screen before it went through `visible`.
This module knows strings and bytes only; it reads no file and prints nothing.
"""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from difflib import get_close_matches
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable

RemoteText = NewType("RemoteText", str)
"""Text an endpoint sent: free of surrogates, to be shown through `visible` only."""

# Control and format characters, line and paragraph separators, surrogates: what a terminal obeys,
# what turns the reading direction, and what nobody can see. Unicode categories Cc Cf Zl Zp Cs.
_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb\U000110bd\U000110cd"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
_IN_TEXT = re.compile(f"[{_INVISIBLE}]")
_IN_LINE = re.compile(f"[\t\n{_INVISIBLE}]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\n]")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}

_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)")
_MAX_EXTENSION = 10
_LONGEST_GUESS = 100


def visible(text: str) -> str:
    r"""Return `text` with everything a terminal might obey, or a person cannot see, spelt out.

    ESC becomes `\x1b`, a lone carriage return `\r`, a bidirectional override `\u202e`. Newlines
    and tabs stay; a carriage return that ends a line together with its newline is dropped.
    Applying it twice is the same as once.
    """
    if text.isprintable():
        return text
    return _IN_TEXT.sub(_spelt_in_text, text)


def visible_line(text: str) -> str:
    r"""Return `text` as one line safe to show: as `visible`, with `\n` and `\t` spelt out."""
    if text.isprintable():
        return text
    return _IN_LINE.sub(_spelt, text)


def _spelt_in_text(match: re.Match[str]) -> str:
    ends_a_line = match[0] == "\r" and match.string.startswith("\n", match.end())
    return "" if ends_a_line else _spelt(match)


def _spelt(match: re.Match[str]) -> str:
    character = match[0]
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if code < 0x100:  # noqa: PLR2004  (what two hexadecimal digits can say)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004


def printable_json(text: str) -> str:
    r"""Return JSON text with unprintable characters as `\uXXXX`: the same value, safe to show."""
    return text if text.isprintable() else _UNPRINTABLE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0] if match[0].isprintable() else json.dumps(match[0])[1:-1]


def decode_remote(data: bytes) -> RemoteText:
    r"""Decode what an endpoint sent as UTF-8; bytes that are none become `\xff`. Never raises."""
    return RemoteText(data.decode("utf-8", "backslashreplace"))


class StreamDecoder:
    """Decodes a stream of bytes piece by piece, giving the same text as `decode_remote` of it all.

    A character cut in two by a chunk's end is held back until its rest arrives.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def feed(self, data: bytes) -> RemoteText:
        """Return the text that is complete with `data`."""
        return RemoteText(self._decoder.decode(data))

    def finish(self) -> RemoteText:
        """Return what was held back; the decoder is as new afterwards."""
        rest = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return RemoteText(rest)


def head_and_tail(text: str, limit_bytes: int = 8192) -> tuple[str, str]:
    """Return `(text, "")` if its UTF-8 fits in `limit_bytes`, else its beginning and its end.

    Beginning and end have at most half the limit each and are cut between characters.
    """
    if len(text) <= limit_bytes and len(_encoded(text)) <= limit_bytes:
        return text, ""
    half = max(limit_bytes // 2, 0)
    head = _encoded(text[:half])
    tail = _encoded(text[max(len(text) - half, 0) :])
    end = min(half, len(head))
    while end < len(head) and _continues(head[end]):
        end -= 1
    start = max(len(tail) - half, 0)
    while start < len(tail) and _continues(tail[start]):
        start += 1
    return _decoded(head[:end]), _decoded(tail[start:])


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80  # noqa: PLR2004  (10xxxxxx: not the first byte of a character)


def slug(text: str, max_length: int = 60) -> str:
    """Return a file name part for `text` that is safe on every platform and never empty.

    It holds `[a-z0-9._-]` only, does not begin with a dot or dash, does not end with a dot, is no
    name Windows reserves, and is at most `max_length` (at least 8) characters long; a short file
    extension survives the cut. Accents are dropped, so composed and decomposed spellings agree.
    Different texts may share a slug.
    """
    name = re.sub(r"[^a-z0-9._-]+", "-", _plain(text)).lstrip(".-").rstrip(".-")
    name = _cut(name, max_length)
    if _RESERVED.match(name):
        name = _cut(f"x-{name}", max_length)
    return name or "unnamed"


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _cut(name: str, max_length: int) -> str:
    if len(name) <= max_length:
        return name
    stem, dot, extension = name.rpartition(".")
    ending = dot + extension
    if not stem or len(ending) > min(_MAX_EXTENSION, max_length - 2):
        stem, ending = name, ""
    return stem[: max_length - len(ending)].rstrip(".-") + ending


def identifier(text: str) -> str:
    """Return a step id `[a-z][a-z0-9_]*` made from a title; `step` if nothing of it can be used."""
    words = re.sub(r"[^a-z0-9]+", "_", _plain(text)).strip("_")[:60].rstrip("_")
    if not words:
        return "step"
    return words if words[0].isalpha() else f"step_{words}"


def closest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice `word` was most probably meant to be, or None if none is near."""
    by_folded = {choice.casefold(): choice for choice in choices}
    found = get_close_matches(word[:_LONGEST_GUESS].casefold(), by_folded, n=1)
    return by_folded[found[0]] if found else None


def duration(seconds: float) -> str:
    """Return a length of time for people in at most two units: `350 ms`, `3.2 s`, `1 min 3 s`."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if round(seconds * 1000) < 1000:  # noqa: PLR2004  (milliseconds of a second)
        return f"{round(seconds * 1000)} ms" if seconds else "0 s"
    if seconds < 10:  # noqa: PLR2004  (from here on tenths tell nobody anything)
        return f"{round(seconds, 1):g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    parts = ((days, "d"), (rest_h, "h"), (rest_min, "min"), (rest_s, "s"))
    first = next(place for place, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)


def count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: `1 endpoint`, `3 endpoints`, `2 retries`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def fold_list(names: Iterable[str], limit: int = 5) -> str:
    """Return names for a sentence: `a, b and c`, or `a, b and 17 more` beyond `limit` names."""
    listed = list(names)
    if len(listed) > limit:
        hidden = len(listed) - limit
        return f"{', '.join(listed[:limit])} and {hidden} more" if limit else f"{hidden}"
    if len(listed) < 2:  # noqa: PLR2004  (one name needs no "and")
        return "".join(listed)
    return f"{', '.join(listed[:-1])} and {listed[-1]}"
