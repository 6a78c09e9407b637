"""What the output of a command means, whatever system it came from. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from outagekit.playbook.model import SUCCESS_NAMES, ValueType
from outagekit.text import visible_line
from outagekit.transports.protocol import Outcome
from outagekit.transports.values import utc_text

STILL_RUNS: Final = 75
"""Exit code of a look that waited in vain for an earlier try: EX_TEMPFAIL of sysexits.h."""
STILL_RUNS_SAID: Final = "outagekit: an earlier try of this step still runs here"
"""What it says on standard error."""
_LONGEST_RESULT: Final = 48 * 1024
"""So that it fits into a record of the log with everything around it; all escaped as JSON."""
_INSTALLERS: Final[Mapping[int, str]] = {
    SUCCESS_NAMES["reboot_needed"]: "done, and a restart is needed",
    SUCCESS_NAMES["reboot_started"]: "done, and a restart has begun",
    SUCCESS_NAMES["busy"]: "not begun: another installation runs",
}
_TOO_LONG: Final = f"the result is longer than {_LONGEST_RESULT // 1024} KiB"


def verdict(outcome: Outcome) -> bool | None:
    """Return what a check or verify says; None if it says neither true nor false.

    Exit code 0 is true unless the last non-empty line of the output is `false`; 1 is false. Where
    PowerShell came to its end without an `exit`, that line must be `True` or `False`; where it
    ended with a terminating error nothing was said. What may be missing was not said either.
    """
    if outcome.failure is not None:
        return None
    if outcome.told is not None and outcome.told.how != "exit":
        known = outcome.told.how == "end" and not outcome.missing
        said = _last_line(outcome.stdout.text).casefold() if known else ""
        return {"true": True, "false": False}.get(said)
    if outcome.exit_code not in {0, 1}:
        return None
    if outcome.exit_code == 1:
        return False
    if outcome.missing:
        return None
    return _last_line(outcome.stdout.text).casefold() != "false"


def named_code(code: int | None) -> str:
    """Return what an exit code of a Windows installer means to a person; empty for all others."""
    return _INSTALLERS.get(code, "") if code is not None else ""


def still_runs(outcome: Outcome) -> bool:
    """Return whether the wait for an earlier try was in vain."""
    return outcome.exit_code == STILL_RUNS and STILL_RUNS_SAID in outcome.stderr.text


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
        return None if moment.tzinfo is None else utc_text("", moment)
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
