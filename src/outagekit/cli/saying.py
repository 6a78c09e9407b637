"""What endpoints said, in a line: the last words of an output, a result, a reason. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from outagekit.cli.render import json_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outagekit.inventory.model import Endpoint

LONGEST: Final = 200
"""Characters of what is said that anybody looks at."""


def last_line(text: str) -> str:
    """Return the last line of some output that says anything, or an empty text."""
    lines = text[-4 * LONGEST :].rstrip().splitlines()
    return lines[-1].strip() if lines else ""


def result_line(result: Mapping[str, Any] | None) -> str:
    """Return a step's result in one line: `impacted true, newest 2024-07-19T04:09:00Z`."""
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json_text(value)}"
        for name, value in (result or {}).items()
    )


def without_place(text: str, endpoint: Endpoint) -> str:
    """Return what was said with the endpoint's own name, address and port as `it`.

    So the same thing said by many reads the same. Port 22 is everybody's and stays.
    """
    names = (endpoint.id, endpoint.address)
    if not any(name in text for name in names):
        return text
    either = "|".join(map(re.escape, names))
    port = rf"(?::\d+| port {endpoint.port}\b)?"
    return re.sub(rf"(?<![\w.-])\[?(?:{either})\]?{port}(?![\w-])", "it", text)
