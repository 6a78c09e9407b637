"""Parameters: what a person gives a playbook, judged before anything is planned.

Every fault is found in one go. Values come as text from the command line or as plain values from
a file; types, choices and patterns are judged where the playbook's own defaults are, and what
leaves here can be stored, sent and handed to a script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from outagekit.errors import InvalidInput, UsageError
from outagekit.playbook.model import Param, Playbook, ValueType
from outagekit.playbook.values import Unfit, fit_param, read_param
from outagekit.source import read_document
from outagekit.text import closest, count, fold_list, visible_line

MAX_TEXT: Final = 65_536
"""Characters of one text."""
MAX_MATCHED: Final = 1_024
"""Characters of a text that has to match a pattern: bounds what a slow pattern can cost."""
MAX_ITEMS: Final = 10_000
"""Items of one list."""

_SORTS: Final[Mapping[ValueType, str]] = {
    "text": "text",
    "bool": "true or false",
    "int": "a whole number",
    "number": "a number",
    "datetime": "a point in time like 2024-07-19T05:27:00Z",
    "list": "a list like a,b,c",
}
_SHOWN = 60


def from_words(words: Sequence[str]) -> dict[str, str]:
    """Return `NAME=VALUE` words of the command line as a mapping.

    Only the first `=` parts name and value; a value may be empty. Raises `UsageError` naming
    every word without a name or `=`, and every name given twice.
    """
    given: dict[str, str] = {}
    faults: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            faults.append(f"{_shown(word)} is not NAME=VALUE")
        elif name in given:
            faults.append(f"{visible_line(name)} is given twice")
        given[name] = value
    if faults:
        raise UsageError("; ".join(faults), hint="write -p NAME=VALUE, once for each parameter")
    return given


def from_file(path: Path) -> dict[str, Any]:
    """Return the mapping of names and values in a YAML file.

    Raises `InvalidInput` with every problem of the file, also if it holds no mapping.
    """
    document = read_document(path)
    values = document.root.value
    if not isinstance(values, dict):
        message = "a file of parameters is a mapping of names and values"
        problem = document.problem((), message, "write one `name: value` a line")
        raise InvalidInput(message, (problem,))
    return {str(name): value for name, value in values.items()}


def typed_params(playbook: Playbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every parameter of the playbook, typed as it declares.

    `given` holds text from the command line or plain values from a file. A datetime becomes
    ISO 8601 text in UTC ending in `Z`; a list given as text is split at commas; a parameter that
    is neither given nor required has its default. Raises one `UsageError` that names all
    parameters which are unknown, missing or do not fit, with their help text.
    """
    faults = [_unknown(name, playbook) for name in given if name not in playbook.params]
    values: dict[str, Any] = {}
    for name, param in playbook.params.items():
        try:
            values[name] = _value(param, given[name]) if name in given else _default(param)
        except Unfit as unfit:
            about = f" ({visible_line(param.help)})" if param.help else ""
            faults.append(f"{name}: {unfit}{about}")
    if not faults:
        return values
    hint = f"'outagekit playbooks show {playbook.name}' lists every parameter"
    if len(faults) == 1:
        raise UsageError(f"parameter {faults[0]}", hint=hint)
    lines = "".join(f"\n  {fault}" for fault in faults)
    raise UsageError(f"{count(len(faults), 'parameter')} cannot be used:{lines}", hint=hint)


def _unknown(name: str, playbook: Playbook) -> str:
    meant = closest(name, playbook.params)
    if meant:
        return f"{visible_line(name)}: no such parameter, did you mean {meant}?"
    known = fold_list(sorted(playbook.params), 10)
    known = f"known are {known}" if known else "this playbook has none"
    return f"{visible_line(name)}: no such parameter, {known}"


def _default(param: Param) -> Any:
    if param.required:
        raise Unfit(f"is missing, give it with -p NAME=VALUE; it is {_SORTS[param.type]}")
    return param.default


def _value(param: Param, given: object) -> Any:
    if given is None:
        raise Unfit("has no value")
    for text in _texts(given):
        _require_sendable(text, MAX_MATCHED if param.pattern else MAX_TEXT)
    try:
        value = read_param(param, given) if isinstance(given, str) else fit_param(param, given)
    except Unfit as unfit:
        raise Unfit(f"{_shown(given)} {unfit}") from unfit
    if isinstance(value, list):
        _require_good_list(value)
    return value


def _texts(given: object) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, list):
        yield from (item for item in given if isinstance(item, str))


def _require_sendable(text: str, limit: int) -> None:
    if len(text) > limit:
        raise Unfit(f"is longer than {limit} characters")
    # A NUL byte ends a text for half of all programs; a lone surrogate cannot be sent at all.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Unfit("holds a NUL or bytes that are no text")


def _require_good_list(items: Sequence[object]) -> None:
    if len(items) > MAX_ITEMS:
        raise Unfit(f"has more than {MAX_ITEMS} items")
    if "" in items:
        raise Unfit("has an empty item")


def _shown(given: object) -> str:
    text = visible_line(str(given))
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"
