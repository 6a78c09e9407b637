"""From code and values to a command for a POSIX endpoint, and from its output to a verdict.

Pure. Values become quoted assignments, never part of the script's text. The text travels as
standard input inside two pairs of braces, so that a shell that got only a part of it finds an
unclosed brace and runs nothing, and children of the script find an empty standard input.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code, ValueType
from outagekit.text import visible_line
from outagekit.transports.protocol import Command, Outcome

PARTS: Final = ("check", "script", "verify", "undo", "probe", "identity")
_STEP: Final = re.compile(r"-|[a-z][a-z0-9_]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INTERPRETERS: Final = {"sh": "sh -s", "bash": "bash -s"}
_LONGEST_RESULT: Final = 48 * 1024
"""So that it fits into a record of the log with everything around it; all escaped as JSON."""
_TOO_LONG: Final = f"the result is longer than {_LONGEST_RESULT // 1024} KiB"


def render(code: Code, values: Mapping[str, Any], *, step: str, part: str) -> Command:
    """Return the command that runs `code` with `values` as variables `OK_<NAME>`.

    Raises `OutagekitError` for what no POSIX shell can be given: another language, a NUL
    character, a value that is not data.
    """
    interpreter = _INTERPRETERS.get(code.language)
    if interpreter is None:
        raise OutagekitError(f"{code.language} does not run on this endpoint")
    if not _STEP.fullmatch(step) or part not in PARTS:
        raise OutagekitError(f"'{visible_line(step)}' and '{visible_line(part)}' name no command")
    lines = [f"OK_{_variable(name)}={_quoted(name, value)}" for name, value in values.items()]
    text = code.text.replace("\r\n", "\n")
    # Nothing may follow the last brace: it is what makes the script whole.
    # LANGUAGE would win over LC_ALL for whatever is translated.
    script = "\n".join(("{ {", "set -eu", "unset LANGUAGE", *lines, text, "} </dev/null", "}"))
    line = f"exec env LC_ALL=C.UTF-8 OK_STEP={step} OK_PART={part} {interpreter}"
    return Command(line, _encoded(script, "the script"))


def verdict(outcome: Outcome) -> bool | None:
    """Return what a check or verify says; None if it says neither true nor false.

    Exit code 0 is true unless the last non-empty line of the output is `false`; 1 is false.
    """
    if outcome.failure is not None or outcome.exit_code not in {0, 1}:
        return None
    if outcome.exit_code == 1:
        return False
    return _last_line(outcome.stdout.text).casefold() != "false"


def parse_result(
    text: str,
    declared: Mapping[str, ValueType],
    *,
    clean: Callable[[Any], Any] = lambda value: value,
) -> dict[str, Any] | str:
    """Return the declared fields of the JSON object in the last non-empty line of `text`.

    A datetime comes back as ISO 8601 text in UTC. What is missing or of another type gives the
    reason as a sentence instead. Fields nobody declared are dropped. `clean` takes secrets out of
    the values: JSON has escapes that hide one from whoever looked at the text.
    """
    found = _json_object(_last_line(text))
    if isinstance(found, str):
        return found
    found = clean(found)
    result: dict[str, Any] = {}
    for name, kind in declared.items():
        if name not in found:
            return f"the result has no field '{name}'"
        value = _READERS[kind](found[name])
        if value is None:
            shown = visible_line(json.dumps(found[name]))[:60]
            return f"the field '{name}' of the result is no {_NAMES.get(kind, kind)}: {shown}"
        result[name] = value
    if len(json.dumps(result)) > _LONGEST_RESULT:
        return _TOO_LONG
    return result


def _json_object(line: str) -> dict[str, Any] | str:
    if not line:
        return "the step printed no result: its last line must be a JSON object"
    if len(line) > _LONGEST_RESULT:
        return _TOO_LONG
    try:
        found = json.loads(line, parse_constant=_no_number)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return f"the last line is no JSON object: {visible_line(line)[:100]}"
    return found


def _variable(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise OutagekitError(f"'{visible_line(name)}' cannot name a shell variable")
    return name.upper()


def _quoted(name: str, value: Any) -> str:
    """Return the value in single quotes, within which a shell knows no special character."""
    text = _as_text(name, value)
    if "\0" in text:
        raise OutagekitError(
            f"the value of '{name}' holds a NUL character, which no shell can take"
        )
    _encoded(text, f"the value of '{name}'")
    return "'" + text.replace("'", "'\\''") + "'"


def _as_text(name: str, value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return _decimal(name, value)
        case datetime():
            return _utc(name, value)
        case list() | tuple() | dict():
            return _as_json(name, value)
    raise OutagekitError(f"the value of '{name}' is of a kind no script can be given")


def _decimal(name: str, number: float | Decimal) -> str:
    if not isinstance(number, int) and not math.isfinite(number):
        raise OutagekitError(f"the value of '{name}' is no finite number")
    return format(Decimal(str(number)), "f")


def _utc(name: str, moment: datetime) -> str:
    if moment.tzinfo is None:
        raise OutagekitError(f"the value of '{name}' is a time without a zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _as_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as fault:
        raise OutagekitError(f"the value of '{name}' cannot be written as JSON") from fault


def _encoded(text: str, what: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as fault:
        raise OutagekitError(f"{what} holds half a character, which no shell can take") from fault
    if b"\0" in data:
        raise OutagekitError(f"{what} holds a NUL character, which no shell can take")
    return data


def _last_line(text: str) -> str:
    lines = (line.strip() for line in reversed(text.split("\n")))
    return next((line for line in lines if line), "")


def _no_number(name: str) -> None:
    raise ValueError(name)


def _as_moment(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    try:
        return None if moment.tzinfo is None else _utc("", moment)
    except OverflowError:
        return None


def _is_sound(value: Any) -> bool:
    """Return whether the value can be stored: no infinity, no half a character."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and _is_sound(value)


_NAMES: Final = {
    "datetime": "ISO 8601 time with a zone",
    "int": "whole number",
    "bool": "true or false",
}
_READERS: Final[Mapping[ValueType, Callable[[Any], Any]]] = {
    "text": lambda v: v if isinstance(v, str) and _is_sound(v) else None,
    "bool": lambda v: v if isinstance(v, bool) else None,
    "int": lambda v: v if isinstance(v, int) and not isinstance(v, bool) else None,
    "number": lambda v: v if _is_number(v) else None,
    "datetime": _as_moment,
    "list": lambda v: v if isinstance(v, list) and _is_sound(v) else None,
}
