"""Parameters: what a person gives a playbook, typed and judged before anything is planned.

Every fault is found in one go. Values come as text from the command line or as plain values from
a file; what leaves here is what scripts get, so nothing in it can be unprintable for a machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from outagekit.errors import InvalidInput, UsageError
from outagekit.playbook.model import Param, Playbook, ValueType
from outagekit.source import read_document
from outagekit.text import closest, count, fold_list, visible_line

MAX_TEXT: Final = 65_536
"""Characters of one text."""
MAX_MATCHED: Final = 1_024
"""Characters of a text that has to match a pattern: bounds what a slow pattern can cost."""
MAX_ITEMS: Final = 10_000
"""Items of one list."""

_INT = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_INT64 = range(-(2**63), 2**63)
_BOOLS: Final = {"true": True, "yes": True, "false": False, "no": False}
_SHOWN = 60


class _Misfit(ValueError):  # noqa: N818  (never leaves this module)
    """A value does not fit; its text is the rest of a sentence."""


def from_pairs(words: Sequence[str]) -> dict[str, str]:
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
    parameters which are unknown, missing or do not fit.
    """
    faults = [_unknown(name, playbook) for name in given if name not in playbook.params]
    values: dict[str, Any] = {}
    for name, param in playbook.params.items():
        try:
            values[name] = _value(param, given[name]) if name in given else _default(param)
        except _Misfit as misfit:
            about = f" ({visible_line(param.help)})" if param.help else ""
            faults.append(f"{name}: {misfit}{about}")
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
        raise _Misfit(f"is missing, give it with -p NAME=VALUE; it is {_SORTS[param.type]}")
    return None if param.default is None else _TYPED[param.type](param.default)


def _value(param: Param, given: object) -> Any:
    if given is None:
        raise _Misfit("has no value")
    value = _TYPED[param.type](given)
    for item in value if isinstance(value, list) else (value,):
        _judge(param, item)
    return value


def _judge(param: Param, item: Any) -> None:
    """Raise `_Misfit` for a value, or item of a list, that is typed well but not wanted."""
    item_type: ValueType = "text" if param.type == "list" else param.type
    choices = [c if param.type == "list" else _TYPED[item_type](c) for c in param.choices]
    if choices and item not in choices:
        meant = closest(str(item), map(str, choices))
        more = f", did you mean {meant}?" if meant else ""
        listed = fold_list((visible_line(str(choice)) for choice in choices), 10)
        raise _Misfit(f"{_shown(item)} is none of its choices {listed}{more}")
    if not param.pattern or not isinstance(item, str):
        return
    if len(item) > MAX_MATCHED:
        raise _Misfit(f"is longer than {MAX_MATCHED} characters")
    if not re.fullmatch(param.pattern, item):
        raise _Misfit(f"{_shown(item)} does not match {visible_line(param.pattern)}")


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise _Misfit(f"{_shown(given)} is not text, write it in quotes")
    if len(given) > MAX_TEXT:
        raise _Misfit(f"is longer than {MAX_TEXT} characters")
    # A NUL byte ends a text for half of all programs; a lone surrogate cannot be sent at all.
    if "\0" in given or any("\ud800" <= character <= "\udfff" for character in given):
        raise _Misfit("holds a NUL or bytes that are no text")
    return given


def _bool(given: object) -> bool:
    if isinstance(given, bool):
        return given
    found = _BOOLS.get(given.casefold()) if isinstance(given, str) else None
    if found is None:
        raise _Misfit(f"{_shown(given)} is neither true nor false")
    return found


def _int(given: object) -> int:
    if isinstance(given, str) and _INT.fullmatch(given):
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int):
        raise _Misfit(f"{_shown(given)} is not a whole number")
    if given not in _INT64:
        raise _Misfit(f"{_shown(given)} does not fit in 64 bits")
    return given


def _number(given: object) -> int | float:
    if isinstance(given, str) and _NUMBER.fullmatch(given):
        given = int(given) if _INT.fullmatch(given) else float(given)
    if isinstance(given, float) and math.isfinite(given):
        return given
    if isinstance(given, bool) or not isinstance(given, int):
        raise _Misfit(f"{_shown(given)} is not a number")
    return _int(given)


def _datetime(given: object) -> str:
    no_time = f"{_shown(given)} is no point in time, {_WRITE_TIME}"
    if not isinstance(given, str):
        raise _Misfit(no_time)
    try:
        moment = datetime.fromisoformat(given.strip())
        utc = moment.astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise _Misfit(no_time) from error
    if moment.utcoffset() is None:
        raise _Misfit(f"{_shown(given)} has no time zone, {_WRITE_TIME}")
    return utc.replace("+00:00", "Z")


def _list(given: object) -> list[Any]:
    if isinstance(given, str):
        given = [item.strip() for item in _text(given).split(",")] if given.strip() else []
        if "" in given:
            raise _Misfit("has an empty item")
    if not isinstance(given, list | tuple):
        raise _Misfit(f"{_shown(given)} is not a list, write a,b,c")
    if len(given) > MAX_ITEMS:
        raise _Misfit(f"has more than {MAX_ITEMS} items")
    return [_item(item) for item in given]


def _item(given: object) -> Any:
    if isinstance(given, str):
        return _text(given)
    return given if isinstance(given, bool) else _number(given)


def _shown(given: object) -> str:
    text = visible_line(str(given))
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


_WRITE_TIME: Final = "write it like 2024-07-19T05:27:00Z or 2024-07-19T07:27:00+02:00"
_TYPED: Final[Mapping[ValueType, Callable[[object], Any]]] = {
    "text": _text,
    "bool": _bool,
    "int": _int,
    "number": _number,
    "datetime": _datetime,
    "list": _list,
}
_SORTS: Final[Mapping[ValueType, str]] = {
    "text": "text",
    "bool": "true or false",
    "int": "a whole number",
    "number": "a number",
    "datetime": "a point in time like 2024-07-19T05:27:00Z",
    "list": "a list like a,b,c",
}
