"""The facts of a simulated machine: how they are drawn, and what a drill's `set` makes of them.

Pure: the same seed and name give the same facts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from outagekit.events import EndpointId
from outagekit.lab.chance import unit
from outagekit.playbook import units
from outagekit.playbook.expressions import evaluate, render

_ONE_EXPRESSION: Final = re.compile(r"\s*\{\{(?P<text>(?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)


def draw_state(spec: Mapping[str, Any], seed: int, endpoint: EndpointId) -> dict[str, Any]:
    """Return the facts of one machine, drawn from the drill block's `state` by seed and name.

    `60%` is true for that share of the machines; {value: `40%`, …} chooses, the last value takes
    what is left of 100%; anything else is the same for all.
    """
    return {
        name: _drawn(value, unit(seed, "state", endpoint, name)) for name, value in spec.items()
    }


def worth(value: Any, names: Mapping[str, Any]) -> Any:
    """Return a value of `set`: a lone `{{ expression }}` keeps its type, another text is text.

    Raises what expressions raise.
    """
    if not isinstance(value, str) or "{{" not in value:
        return value
    alone = _ONE_EXPRESSION.fullmatch(value)
    return evaluate(alone["text"], names) if alone else render(value, names)


def _drawn(value: Any, at: float) -> Any:
    share = _share(value)
    if share is not None:
        return at < share
    if not isinstance(value, Mapping) or not value:
        return value
    shares = {choice: _share(text) for choice, text in value.items()}
    reached = 0.0
    for choice, part in shares.items():
        if part is None:
            return value
        reached += part
        if at < reached:
            return choice
    return next(reversed(shares))


def _share(value: Any) -> float | None:
    try:
        return units.percent(value) / 100.0
    except ValueError:
        return None
