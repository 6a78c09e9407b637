"""Finds every spelling of every secret in a text or a stream, and puts its name in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from outagekit.redaction.spellings import MIN_HIDDEN, spellings_of, words_of
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DEEPEST: Final = 64
_NAMELESS: Final = ("[secret]", "[hidden]", "[***]", "[...]")


@dataclass(frozen=True, slots=True, order=True)
class Secret:
    """A secret with the name that takes its place; neither `repr` nor `str` shows its value."""

    label: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Span:
    """Where a spelling of a secret stands: `text[start:end]`, and what takes its place."""

    start: int
    end: int
    shown: str


class Redactor:
    """Replaces secrets by `[secret LABEL]`; immutable, thread-safe, quick where there is no secret.

    Where spellings of several secrets overlap, one placeholder takes the place of all of them, so
    that no piece is left over. A secret under 6 characters is only found where it stands as a
    word of its own; `warnings` names these. Empty secrets are ignored.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._secrets = tuple(sorted({secret for secret in secrets if secret.value}))
        parts: dict[str, str] = {}
        words: dict[str, str] = {}
        for secret in self._secrets:
            short = len(secret.value) < MIN_HIDDEN
            for spelling in words_of(secret.value) if short else spellings_of(secret.value):
                (words if short else parts).setdefault(spelling, secret.label)
        self._parts = {part: _placeholder(label, parts, words) for part, label in parts.items()}
        self._words = [
            # Looks ahead without consuming, so that overlapping finds are all found.
            (re.compile(rf"(?<!\w)(?={re.escape(word)}(?!\w))"), len(word), shown)
            for word, label in words.items()
            for shown in (_placeholder(label, parts, words),)
        ]
        lengths = (*map(len, self._parts), *(length + 1 for _, length, _ in self._words))
        self.longest = max(lengths, default=1)
        """Characters in the longest spelling; a short secret counts its right neighbour too."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One sentence for each secret too short to be hidden everywhere."""
        return tuple(
            f"the secret '{visible_line(secret.label)}' has fewer than {MIN_HIDDEN} characters:"
            " it is hidden only where it stands as a word of its own"
            for secret in self._secrets
            if len(secret.value) < MIN_HIDDEN
        )

    def clean(self, text: str) -> str:
        """Return `text` without any spelling of any secret."""
        spans = merged(self.find(text))
        if not spans:
            return text
        pieces: list[str] = []
        done = 0
        for span in spans:
            pieces += (text[done : span.start], span.shown)
            done = span.end
        return "".join((*pieces, text[done:]))

    def clean_value(self, value: Any) -> Any:
        """Return a JSON-like value with all its strings cleaned, the keys of mappings included.

        Lists, tuples and mappings are copied, anything else is returned as it is. What is nested
        deeper than 64 levels is replaced whole.
        """
        return self._clean_value(value, 0)

    def _clean_value(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.clean(value)
        if not isinstance(value, dict | list | tuple):
            return value
        if depth >= _DEEPEST:
            return "[nested too deep]"
        if isinstance(value, dict):
            return {
                self._clean_value(key, depth + 1): self._clean_value(item, depth + 1)
                for key, item in value.items()
            }
        items = [self._clean_value(item, depth + 1) for item in value]
        return tuple(items) if isinstance(value, tuple) else items

    def stream(self) -> RedactingStream:
        """Return a cleaner for text that arrives in pieces."""
        return RedactingStream(self)

    def find(self, text: str) -> list[Span]:
        """Return where spellings stand, overlapping ones included, in no order."""
        found = [
            Span(start, start + len(part), shown)
            for part, shown in self._parts.items()
            if part in text
            for start in _occurrences(part, text)
        ]
        for pattern, length, shown in self._words:
            found += (Span(m.start(), m.start() + length, shown) for m in pattern.finditer(text))
        return found

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"


class RedactingStream:
    """Cleans text that arrives in pieces; all it returns, joined, is `Redactor.clean` of it all.

    The last characters are held back as long as they may be the beginning of a secret.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""
        self._before = ""
        """The character left of what is held: a word's boundary may be there."""
        self._covered = 0
        """So many held characters belong to a secret whose placeholder was already returned."""

    def feed(self, text: str) -> str:
        """Return what is certain after `text` arrived."""
        self._held += text
        # A spelling not yet complete begins at the cut or later.
        cut = len(self._held) - self._redactor.longest + 1
        return self._release(cut) if cut > 0 else ""

    def finish(self) -> str:
        """Return what was held back; the stream is as new afterwards."""
        rest = self._release(len(self._held))
        self._before = ""
        return rest

    def _release(self, cut: int) -> str:
        pieces: list[str] = []
        done = self._covered
        for span in merged(self._known(cut)):
            if span.start >= done:
                pieces += (self._held[done : span.start], span.shown)
            done = max(done, span.end)
        pieces.append(self._held[done:cut])
        self._before = self._held[cut - 1 : cut] or self._before
        self._covered = max(done - cut, 0)
        self._held = self._held[cut:]
        return "".join(pieces)

    def _known(self, cut: int) -> list[Span]:
        shift = len(self._before)
        return [
            Span(span.start - shift, span.end - shift, span.shown)
            for span in self._redactor.find(self._before + self._held)
            if 0 <= span.start - shift < cut
        ]


def _placeholder(label: str, parts: Iterable[str], words: Iterable[str]) -> str:
    """Return the first name for a secret that does not itself hold a secret."""
    spellings = (*parts, *words)
    names = (f"[secret {visible_line(label)}]", *_NAMELESS)
    return next((name for name in names if not any(s in name for s in spellings)), "")


def _occurrences(part: str, text: str) -> Iterator[int]:
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + 1)


def merged(spans: list[Span]) -> list[Span]:
    """Return spans in order, those that overlap joined under the name of the first and longest."""
    joined: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start, -s.end, s.shown)):
        if joined and span.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Span(last.start, max(last.end, span.end), last.shown)
        else:
            joined.append(span)
    return joined
