"""Values of a playbook as text, the same for every language a script can be in. Pure."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from outagekit.errors import OutagekitError


def as_text(name: str, value: Any) -> str:
    """Return a value as text: datetimes ISO 8601 in UTC, lists and mappings as compact JSON.

    Raises `OutagekitError`, naming the value, for what is not data.
    """
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
            return utc_text(name, value)
        case list() | tuple() | dict():
            return _as_json(name, value)
    raise OutagekitError(f"the value of '{name}' is of a kind no script can be given")


def _decimal(name: str, number: float | Decimal) -> str:
    if not isinstance(number, int) and not math.isfinite(number):
        raise OutagekitError(f"the value of '{name}' is no finite number")
    return format(Decimal(str(number)), "f")


def utc_text(name: str, moment: datetime) -> str:
    """Return a moment as ISO 8601 text in UTC; raises `OutagekitError` for one without a zone."""
    if moment.tzinfo is None:
        raise OutagekitError(f"the value of '{name}' is a time without a zone")
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _as_json(name: str, value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as fault:
        raise OutagekitError(f"the value of '{name}' cannot be written as JSON") from fault
