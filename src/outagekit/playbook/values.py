"""Typed values: what a parameter is given and what a step's result reports.

A value of type `datetime` is ISO 8601 text in UTC that ends in `Z`, so that it can be stored,
handed to a script and compared without loss.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from outagekit.text import closest, visible_line

if TYPE_CHECKING:
    from outagekit.playbook.model import Param, ValueType

_SHOULD_BE: dict[ValueType, str] = {
    "text": "must be text",
    "bool": "must be true or false",
    "int": "must be a whole number",
    "number": "must be a number",
    "datetime": "must be a date and time with a zone, like 2024-07-19T05:27:00Z",
    "list": "must be a list of plain values",
}
_LARGEST_INT = 2**63 - 1


class Unfit(ValueError):  # noqa: N818  (a verdict on a value, worded for a sentence)
    """A value is not of its type; the text continues a sentence that names it."""


def fit(kind: ValueType, value: Any) -> Any:
    """Return `value` as the type wants it; raises Unfit. Nothing is converted but the time zone."""
    if kind == "datetime":
        return _utc_text(value)
    if kind == "list":
        good = isinstance(value, list) and all(_is_scalar(entry) for entry in value)
    elif kind == "text":
        good = isinstance(value, str)
    elif kind == "bool":
        good = isinstance(value, bool)
    else:
        good = _is_number(value, whole=kind == "int")
    if not good:
        raise Unfit(_SHOULD_BE[kind])
    return value


def fit_param(param: Param, value: Any) -> Any:
    """Return a value given for a parameter, checked against its type, choices and pattern."""
    fitted = fit(param.type, value)
    if param.choices and fitted not in param.choices:
        texts = [str(choice) for choice in param.choices]
        near = closest(str(fitted), texts)
        guess = f" (did you mean `{near}`?)" if near else ""
        raise Unfit(f"must be one of {', '.join(f'`{visible_line(t)}`' for t in texts)}{guess}")
    if param.pattern and isinstance(fitted, str) and not re.fullmatch(param.pattern, fitted):
        raise Unfit(f"must match the pattern `{visible_line(param.pattern)}`")
    return fitted


def read_param(param: Param, text: str) -> Any:
    """Return what a person typed for a parameter; raises Unfit.

    `true`, `false`, `yes`, `no` are Booleans; a list is written with commas.
    """
    return fit_param(param, _read(param.type, text))


def _read(kind: ValueType, text: str) -> Any:
    word = text.strip()
    if kind == "bool":
        return {"true": True, "yes": True, "false": False, "no": False}.get(word.lower(), word)
    if kind == "list":
        return [entry.strip() for entry in text.split(",")] if word else []
    if kind in {"int", "number"} and re.fullmatch(r"[-+]?[0-9]{1,19}", word):
        return int(word)
    if kind == "number" and re.fullmatch(r"[-+]?[0-9]{0,19}\.[0-9]{1,19}", word):
        return float(word)
    return text


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool) or _is_number(value, whole=False)


def _is_number(value: Any, *, whole: bool) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) <= _LARGEST_INT
    return not whole and isinstance(value, float) and math.isfinite(value)


def _utc_text(value: Any) -> str:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise Unfit(_SHOULD_BE["datetime"])
        text = moment.astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError) as error:
        raise Unfit(_SHOULD_BE["datetime"]) from error
    return text.replace("+00:00", "Z")
