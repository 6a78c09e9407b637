"""Durations, sizes and shares as people write them in a playbook.

Pure; a text that is none of these is a ValueError, which the loader turns into a problem.
"""

from __future__ import annotations

import re
from typing import Any, Final

DURATION_PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)$"
SIZE_PATTERN: Final = r"^[0-9]+(B|KiB|MiB|GiB)$"
PERCENT_PATTERN: Final = r"^(100|[0-9]{1,2})(\.[0-9]+)?%$"

LONGEST_S: Final = 30 * 86_400.0

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_BYTES = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_LONGEST_TEXT = 20
_ALL = 100


def seconds(value: Any) -> float:
    """Return a duration, `500ms 10s 15m 4h 2d` or plain seconds, in seconds (0 to 30 days)."""
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT and re.match(DURATION_PATTERN, value):
        digits = value.rstrip("msdh")
        length = float(digits) * _SECONDS[value[len(digits) :]]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        length = float(value)
    else:
        raise ValueError
    if not 0 <= length <= LONGEST_S:
        raise ValueError
    return length


def size_bytes(value: Any) -> int:
    """Return a size, `20MiB`, `512KiB` or plain bytes, in bytes."""
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT and re.match(SIZE_PATTERN, value):
        digits = value.rstrip("KMGiB")
        return int(digits) * _BYTES[value[len(digits) :]]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError


def percent(value: Any) -> float:
    """Return the number of a text like `5%`, at most 100."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise ValueError
    if not re.match(PERCENT_PATTERN, value) or float(value[:-1]) > _ALL:
        raise ValueError
    return float(value[:-1])


def share(value: Any) -> str:
    """Return a number of endpoints, plain or percent, as text: `3` or `5%`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    percent(value)
    return str(value)
