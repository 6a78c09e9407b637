"""Names of other tools made valid here, and what two of them may not share."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.input import CLIENT_PATTERN, NAME_PATTERN
from outagekit.inventory.selector import KEYWORDS
from outagekit.source import shown
from outagekit.text import slug

if TYPE_CHECKING:
    from pathlib import Path

    from outagekit.inventory.foreign.findings import Findings, Place

_LONGEST: Final = 63
_LONGEST_CLIENT: Final = 60
_GENERAL: Final = frozenset(["hosts", "host", "inventory", "inventories", "endpoints", "devices"])
"""File names that say nothing about whose machines they hold."""


def valid_name(text: str) -> str:
    """Return the nearest name of an endpoint, tag, site or credential; empty if there is none."""
    if re.fullmatch(NAME_PATTERN[1:-1], text):
        return text
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain)
    return re.sub(r"^[^A-Za-z0-9]+", "", name)[:_LONGEST].rstrip("-")


def valid_client(text: str) -> str:
    """Return the nearest short name of a client; empty if there is none."""
    if not re.search(r"\w", text):
        return ""
    name = re.sub(r"[^a-z0-9]+", "-", slug(text)).strip("-")[:_LONGEST_CLIENT].strip("-")
    usable = re.fullmatch(CLIENT_PATTERN[1:-1], name) and slug(name) == name
    return name if usable and name not in {ADHOC, "unnamed"} else ""


def client_of(path: Path) -> str:
    """Return the client a file is named after; its folder's name where its own says nothing."""
    whole = path.absolute()
    names = [whole.name if whole.is_dir() else whole.stem, *(each.name for each in whole.parents)]
    for name in names:
        found = valid_client(name)
        if found and found not in _GENERAL:
            return found
    return ""


class Register:
    """Gives each name of one kind its valid form; what two would share is a fault.

    Names that differ in case only are one to a selector, so they may not stand side by side.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._taken: dict[str, str] = {}
        """Case-folded valid name -> the name it was made of."""
        self.changed: dict[str, str] = {}
        """Name as written -> valid name, where they differ."""

    def name(self, written: str, place: Place, findings: Findings) -> str | None:
        """Return the valid form of a name; None, with a fault, if it has none of its own."""
        name = valid_name(written)
        if not name or (self._kind == "endpoint" and name.casefold() in KEYWORDS):
            why = "is a word of the selector language" if name else "cannot be made a name"
            findings.fault(place, f"{self._kind} {shown(written)} {why}", "rename it there")
            return None
        other = self._taken.setdefault(name.casefold(), written)
        if other != written:
            message = f"{self._kind}s {shown(other)} and {shown(written)} would both be {name}"
            findings.fault(place, message, "rename one of them there")
            return None
        if name != written:
            self.changed[written] = name
        return name
