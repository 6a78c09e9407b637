"""PowerShell literals read back: the values that stand before a script, as the texts they were.

Pure, and no PowerShell: it reads what is quoted by construction, and nothing else.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

_STRING: Final = re.compile(
    "'((?:[^'\u2018\u2019\u201a\u201b]|(['\u2018\u2019\u201a\u201b])\\2)*)'"
)
_DOUBLED: Final = re.compile("(['\u2018\u2019\u201a\u201b])\\1")
_NAME: Final = re.compile(r"\$global:OK\['(\w+)'\]=")
_VARIABLE: Final = re.compile(r"\[Environment\]::SetEnvironmentVariable\('OK_(\w+)',")
_MOMENT: Final = re.compile(
    r"\[DateTime\]::SpecifyKind\(\(New-Object DateTime (\d+)\),\[DateTimeKind\]::Utc\)"
)
_NUMBER: Final = re.compile(r"(-?[0-9][0-9.eE+-]*)d?")
_WORDS: Final = {"$true": True, "$false": False, "$null": None}
_EPOCH: Final = datetime(1, 1, 1, tzinfo=UTC)
_TICKS: Final = 10
"""Of 100 ns in a microsecond."""


class _NoLiteralError(ValueError):
    pass


def assigned(text: str) -> dict[str, str]:
    """Return what `$global:OK['name']=…` assigns: name in lower case -> text. Never raises."""
    return _values(text, _NAME)


def environment_in(text: str) -> dict[str, str]:
    """Return what is put into the environment as `OK_NAME`, likewise."""
    return _values(text, _VARIABLE)


def _values(text: str, name: re.Pattern[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    at = 0
    while found := name.search(text, at):
        try:
            value, at = _literal(text, found.end())
        except (_NoLiteralError, RecursionError, OverflowError, ArithmeticError):
            return values
        values[found[1].lower()] = _as_text(value)
    return values


def _literal(text: str, at: int) -> tuple[Any, int]:
    """Return the value that begins there, and where it ends."""
    if found := _STRING.match(text, at):
        return _DOUBLED.sub(r"\1", found[1]), found.end()
    for word, value in _WORDS.items():
        if text.startswith(word, at):
            return value, at + len(word)
    if found := _MOMENT.match(text, at):
        return _EPOCH + timedelta(microseconds=int(found[1]) // _TICKS), found.end()
    if text.startswith("@(", at):
        return _list(text, at + 2)
    if text.startswith("@{", at):
        return _mapping(text, at + 2)
    if found := _NUMBER.match(text, at):
        return Decimal(found[1]), found.end()
    raise _NoLiteralError


def _list(text: str, at: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at += text.startswith(",", at)
    while not text.startswith(")", at):
        item, at = _literal(text, at)
        items.append(item)
        at += text.startswith(",", at)
    return items, at + 1


def _mapping(text: str, at: int) -> tuple[dict[str, Any], int]:
    entries: dict[str, Any] = {}
    while not text.startswith("}", at):
        key, at = _literal(text, at)
        if not isinstance(key, str) or not text.startswith("=", at):
            raise _NoLiteralError
        entries[key], at = _literal(text, at + 1)
        at += text.startswith(";", at)
    return entries, at + 1


def _as_text(value: Any) -> str:
    """Return a value as a POSIX endpoint would have been given it."""
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case datetime():
            return _moment(value)
        case _:
            return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    match value:
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case Decimal():
            whole = value == value.to_integral_value()
            return int(value) if whole and "E" not in str(value) else float(value)
        case datetime():
            return _moment(value)
        case _:
            return value


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
