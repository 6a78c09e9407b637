"""PowerShell's own XML on standard error, made into the lines a person would have seen. Pure.

Where PowerShell takes whoever reads its errors for another PowerShell it writes `#< CLIXML` and
then documents `<Objs …>…</Objs>`, with plain text of other programs before, between and after
them. Errors and warnings become text, progress is dropped, everything else stays as it came. XML is
read by hand: no entity but the five of XML itself is known, and nothing is ever expanded.
"""

from __future__ import annotations

import re
from typing import Final

_MARK: Final = "#< CLIXML"
_DOCUMENT: Final = "<Objs"
_SPACE: Final = " \t\r\n"
_LONGEST_TAG: Final = 1024
_LONGEST_TEXT: Final = 64 * 1024
_DEEPEST: Final = 64
_AT_ONCE: Final = 4096
"""What is left of a piece is copied with every tag: short ones keep that cheap."""
_TAG: Final = re.compile(
    r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9]*)"
    r"(?P<said>(?:\s+[A-Za-z][A-Za-z0-9:]*\s*=\s*(?:\"[^\"<]*\"|'[^'<]*'))*)\s*(?P<empty>/?)>"
)
_STREAM: Final = re.compile(r"\sS\s*=\s*[\"']([^\"'<]*)")
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_ENTITY: Final = re.compile(r"&(?:#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}))|(lt|gt|amp|quot|apos));")
_ENTITIES: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_LAST_CHARACTER: Final = 0x10FFFF
_PREFIXES: Final = {"warning": "WARNING: ", "verbose": "VERBOSE: ", "debug": "DEBUG: "}
_HIDDEN: Final = "progress"


class CliXmlStream:
    """Makes plain text of a stream that arrives in pieces, the same wherever they are cut.

    Keeps at most about 64 KiB back. What is not the XML that PowerShell writes passes through as
    it came, from where it stops being that. Never raises.
    """

    def __init__(self) -> None:
        self._held = ""
        self._known = False
        """The mark was seen: a further document may come without it."""
        self._gap: str | None = None
        """What stood after the mark or a document, as long as it is only space; else None."""
        self._open: list[str] = []
        """Streams of the elements that are open, the document itself first."""
        self._said = ""

    def feed(self, text: str) -> str:
        """Return the text that is certain after `text` arrived."""
        shown: list[str] = []
        for at in range(0, len(text), _AT_ONCE):
            self._held += text[at : at + _AT_ONCE]
            shown.append(self._read(final=False))
        return "".join(shown)

    def finish(self) -> str:
        """Return the rest; an element that was not closed is told as far as it came."""
        shown = self._read(final=True)
        if self._open:
            shown += self._told() + ("" if len(self._open) > 1 else self._held)
        else:
            shown += (self._gap or "") + self._held
        self._held, self._gap, self._open, self._said = "", None, [], ""
        return shown

    def _read(self, *, final: bool) -> str:
        shown: list[str] = []
        while True:
            step = self._element if self._open else self._plain
            piece = step(final=final)
            if piece is None:
                return "".join(shown)
            shown.append(piece)

    # Each step returns what is to be shown and leaves less held; None: it needs more text.

    def _plain(self, *, final: bool) -> str | None:
        if self._gap is not None:
            return self._after_mark(final=final)
        at = self._held.find(_MARK)
        other = self._held.find(_DOCUMENT) if self._known else -1
        if other >= 0 and (at < 0 or other < at):
            self._gap = ""
            return self._taken(other)
        if at >= 0:
            self._known, self._gap = True, ""
            shown = self._taken(at)
            self._taken(len(_MARK))
            return shown
        marks = (_MARK, _DOCUMENT) if self._known else (_MARK,)
        back = 0 if final else max(_begun(self._held, mark) for mark in marks)
        return self._taken(len(self._held) - back) or None

    def _after_mark(self, *, final: bool) -> str | None:
        rest = self._held.lstrip(_SPACE)
        gap = (self._gap or "") + self._held[: len(self._held) - len(rest)]
        self._held = rest
        if rest.startswith(_MARK):
            self._gap = ""
            self._taken(len(_MARK))
            return ""
        if rest.startswith(_DOCUMENT):
            return self._begun_document(gap, final=final)
        may_come = _DOCUMENT.startswith(rest) or _MARK.startswith(rest)
        waits = may_come and len(gap) <= _LONGEST_TAG and not final
        self._gap = gap if waits else None
        return None if waits else (gap or None if not rest else gap + self._taken(1))

    def _begun_document(self, gap: str, *, final: bool) -> str | None:
        found = self._tag()
        if found is not None and not found["empty"] and found["name"] == "Objs":
            self._gap, self._open, self._said = None, [""], ""
            self._taken(found.end())
            return ""
        if (
            found is None
            and len(self._held) <= _LONGEST_TAG
            and ">" not in self._held
            and not final
        ):
            self._gap = gap
            return None
        self._gap = None
        return gap + self._taken(len(_DOCUMENT))

    def _element(self, *, final: bool) -> str | None:
        at = self._held.find("<")
        inside = len(self._open) > 1
        if at < 0:
            return None if self._kept(len(self._held), inside=inside) else self._given_up()
        if not self._kept(at, inside=inside):
            return self._given_up()
        found = self._tag()
        if found is not None:
            return self._passed(found)
        if ">" in self._held or len(self._held) > _LONGEST_TAG or final:
            return self._given_up()
        return None

    def _kept(self, count: int, *, inside: bool) -> bool:
        """Take so much text of the open element; return False for text that cannot be there."""
        if not inside and self._held[:count].strip(_SPACE):
            return False
        text = self._taken(count)
        if len(self._open) == 2 and self._open[1] != _HIDDEN:  # noqa: PLR2004  (document, element)
            self._said += text
        return len(self._said) <= _LONGEST_TEXT

    def _passed(self, found: re.Match[str]) -> str | None:
        if found["end"]:
            self._taken(found.end())
            shown = self._told() if len(self._open) == 2 else ""  # noqa: PLR2004
            self._open.pop()
            if not self._open:
                self._gap = ""
            return shown
        if len(self._open) >= _DEEPEST:
            return self._given_up()
        self._taken(found.end())
        if not found["empty"]:
            self._open.append(self._stream(found))
        return ""

    def _stream(self, found: re.Match[str]) -> str:
        """Return which stream an element in the document belongs to; objects are not shown."""
        if len(self._open) > 1:
            return self._open[-1]
        stream = _STREAM.search(found["said"])
        return stream[1].casefold() if stream and found["name"] == "S" else _HIDDEN

    def _told(self) -> str:
        """Return the text of the element that ends, as the console would have shown it."""
        said, self._said = self._said, ""
        stream = self._open[1] if len(self._open) > 1 else _HIDDEN
        if stream == _HIDDEN:
            return ""
        text = _decoded(said)
        if stream == "error":
            return text
        return _PREFIXES.get(stream, "") + text + ("" if text.endswith("\n") else "\n")

    def _given_up(self) -> str:
        """Return to plain text: what was not told of the document passes as it came."""
        shown = self._said
        self._open, self._said, self._gap = [], "", None
        return shown + self._taken(1)

    def _tag(self) -> re.Match[str] | None:
        return _TAG.match(self._held, 0, _LONGEST_TAG)

    def _taken(self, count: int) -> str:
        text, self._held = self._held[:count], self._held[count:]
        return text


def _begun(text: str, mark: str) -> int:
    """Return how many of the last characters may be the beginning of a mark."""
    longest = min(len(mark) - 1, len(text))
    return next((n for n in range(longest, 0, -1) if text.endswith(mark[:n])), 0)


def _decoded(text: str) -> str:
    """Return what XML text means: entities, then UTF-16 units, of which two may be one."""
    units = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), _ENTITY.sub(_entity, text))
    return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _entity(found: re.Match[str]) -> str:
    if found[3]:
        return _ENTITIES[found[3]]
    number = int(found[1], 16) if found[1] else int(found[2])
    return chr(number) if number <= _LAST_CHARACTER else found[0]
