"""The selectors that stand in a playbook, judged at their place in its file.

Playbooks are read without knowing the selector language; whoever checks a file adds this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput
from outagekit.inventory.selector import SelectorError, parse_targets
from outagekit.source import parse_document

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from outagekit.errors import Problem
    from outagekit.source import Document, Location

_PLACES: Final = (("targets",), ("rollout", "first"), ("rollout", "apart"))


def check_targets(path: Path) -> tuple[Problem, ...]:
    """Return a problem for each bad selector of a playbook's file, at its very character.

    A file that cannot be read, and a value that is no text, are left to the playbook's own check.
    """
    try:
        document = parse_document(path)
    except InvalidInput:
        return ()
    return tuple(_problems(document))


def _problems(document: Document) -> Iterator[Problem]:
    rungs = _value_at(document, ("hands_on",))
    number = len(rungs) if isinstance(rungs, list) else 0
    for place in (*_PLACES, *(("hands_on", index, "for") for index in range(number))):
        text = _value_at(document, place)
        if not isinstance(text, str):
            continue
        try:
            parse_targets(text)
        except SelectorError as error:
            message = f"the selector is wrong here: {error.reason}"
            yield document.problem(place, message, error.advice, offset=error.column - 1)


def _value_at(document: Document, place: Location) -> object:
    value = document.root.value
    for key in place:
        if isinstance(value, list) and isinstance(key, int):
            value = value[key]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
