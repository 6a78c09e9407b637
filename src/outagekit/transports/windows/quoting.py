"""Values of a playbook as PowerShell literals, and as environment variables of cmd.exe. Pure.

A literal is data by construction: PowerShell knows no special character inside single quotes but
the single quotes themselves, of which it takes five characters for one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from outagekit.errors import OutagekitError
from outagekit.text import visible_line
from outagekit.transports.values import as_text, utc_text

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTES: Final = re.compile("['\u2018\u2019\u201a\u201b]")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_OBEYED: Final = re.compile(r'["%!^&|<>\r\n]|\)\s*else\b', re.IGNORECASE)
"""The last one ends the block of an `if` that it is used in, and begins another."""
_MOST_INT: Final = 2**63 - 1
_MOST_DECIMAL: Final = Decimal(2**96 - 1)
_MOST_DEPTH: Final = 32
_LONGEST_VARIABLE: Final = 8000
"""cmd.exe takes no longer line, and the value must fit into one."""
_EPOCH: Final = datetime(1, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_TICKS: Final = 10
"""Of 100 ns in a microsecond: the unit of a .NET DateTime, counted from the year 1."""


def assignments(values: Mapping[str, Any]) -> str:
    """Return PowerShell text, one line for each value, after which `$OK.<name>` holds them.

    A moment in UTC, as text or not, is a `[datetime]` of kind Utc: PowerShell would turn text into
    local time when it compares it with a file's `LastWriteTimeUtc`. Raises `OutagekitError`, naming
    the value, for what is not data, and for NUL characters and halves of characters.
    """
    lines = (
        f"$global:OK[{quoted(_named(name))}]={literal(name, value)}"
        for name, value in values.items()
    )
    return "\n".join(("$global:OK=@{}", *lines))


def literal(name: str, value: Any) -> str:
    """Return a value as a PowerShell expression; `name` is for the error."""
    return _literal(name, value, _MOST_DEPTH)


def quoted(text: str) -> str:
    """Return text in single quotes, with those in it doubled."""
    return "'" + _QUOTES.sub(lambda found: found[0] * 2, text) + "'"


def environment(values: Mapping[str, Any]) -> str:
    """Return PowerShell text that puts values into the environment, as `OK_<NAME>`.

    Raises `OutagekitError` for a value that cmd.exe could obey where a script uses it.
    """
    return "\n".join(
        f"[Environment]::SetEnvironmentVariable({quoted('OK_' + _named(name).upper())},"
        f"{quoted(_harmless(name, value))},'Process')"
        for name, value in values.items()
    )


def whole(text: str, what: str) -> str:
    """Return the text; raises `OutagekitError` for one that no program can be given."""
    if "\0" in text:
        raise OutagekitError(f"{what} holds a NUL character, which PowerShell cannot take")
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise OutagekitError(f"{what} holds half a character, which cannot be sent") from fault
    return text


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise OutagekitError(f"'{visible_line(name)}' cannot name a value")
    return name


def _literal(name: str, value: Any, depth: int) -> str:
    if depth == 0:
        raise OutagekitError(f"the value of '{name}' is nested too deeply")
    match value:
        case list() | tuple():
            # One list in a list would be unrolled into it without the comma.
            alone = "," if len(value) == 1 and isinstance(value[0], list | tuple) else ""
            items = ",".join(_literal(name, item, depth - 1) for item in value)
            return f"@({alone}{items})"
        case dict():
            return _mapping(name, value, depth)
    return _scalar(name, value)


def _scalar(name: str, value: Any) -> str:
    match value:
        case None | bool():
            return {None: "$null", True: "$true", False: "$false"}[value]
        case int() | float() | Decimal():
            return _number(name, value)
        case datetime():
            return _text(name, utc_text(name, value))
        case str():
            return _text(name, value)
    raise OutagekitError(f"the value of '{name}' is of a kind no script can be given")


def _text(name: str, text: str) -> str:
    if _MOMENT.fullmatch(text):
        try:
            return _moment(datetime.fromisoformat(text))
        except ValueError:
            pass  # no such day: it is text that only looks like a moment
    return quoted(whole(text, f"the value of '{name}'"))


def _moment(moment: datetime) -> str:
    ticks = (moment - _EPOCH) // _TICK * _TICKS
    return f"[DateTime]::SpecifyKind((New-Object DateTime {ticks}),[DateTimeKind]::Utc)"


def _number(name: str, number: float | Decimal) -> str:
    if isinstance(number, int):
        if abs(number) > _MOST_INT:
            raise OutagekitError(f"the value of '{name}' is too large a number for PowerShell")
        return str(number)
    if not math.isfinite(number):
        raise OutagekitError(f"the value of '{name}' is no finite number")
    if isinstance(number, float):
        return repr(number)
    if abs(number) > _MOST_DECIMAL:
        raise OutagekitError(f"the value of '{name}' is too large a number for PowerShell")
    return format(number, "f") + "d"


def _mapping(name: str, mapping: Mapping[Any, Any], depth: int) -> str:
    entries: dict[str, str] = {}
    for key, value in mapping.items():
        if not isinstance(key, str) or key.casefold() in entries:
            raise OutagekitError(
                f"the value of '{name}' has keys that PowerShell cannot tell apart"
            )
        entry = quoted(whole(key, f"a key of '{name}'"))
        entries[key.casefold()] = f"{entry}={_literal(name, value, depth - 1)}"
    return "@{" + ";".join(entries.values()) + "}"


def _harmless(name: str, value: Any) -> str:
    text = whole(as_text(name, value), f"the value of '{name}'")
    found = _OBEYED.search(text)
    if found is not None:
        what = "a line break" if found[0] in "\r\n" else f"'{visible_line(found[0])}'"
        raise OutagekitError(
            f"the value of '{name}' holds {what}, which cmd.exe could obey: use powershell for it"
        )
    if len(text) > _LONGEST_VARIABLE:
        raise OutagekitError(f"the value of '{name}' is too long for cmd.exe: use powershell")
    return text
