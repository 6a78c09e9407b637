"""The arithmetic of a gate: limits become numbers, and numbers become a judgement. Pure.

A percentage is of the wave; most is rounded down and least is rounded up, so that rounding never
lets more through. A plain number is of the run: of everybody who was in a wave so far.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from outagekit.events import GateCount, GateLimit, GateSum
from outagekit.plan.waves import rounded_down, rounded_up
from outagekit.playbook.model import Gate


@dataclass(frozen=True, slots=True)
class Standing:
    """How many of some endpoints are in which condition; one may be answered and failed."""

    endpoints: int = 0
    answered: int = 0
    """A command of ours ran on them."""
    failed: int = 0
    unreachable: int = 0
    unknown: int = 0
    silent: int = 0
    """Have not answered and will not any more, as far as this wave is concerned."""

    def found(self, what: GateCount) -> int:
        """Return the number a line of a gate is about."""
        return int(getattr(self, what))


def limits_of(gate: Gate, wave: int, run: int) -> tuple[GateLimit, ...]:
    """Return a gate as numbers, for a wave of so many in a run with so many in waves so far.

    The run's number includes the wave. At least is never more than there are.
    """
    return (
        _limit("answered", gate.min_answered, wave, run),
        _limit("failed", gate.max_failed, wave, run),
        _limit("unreachable", gate.max_unreachable, wave, run),
        _limit("unknown", gate.max_unknown, wave, run),
    )


def sums_of(limits: Iterable[GateLimit], wave: Standing, run: Standing) -> tuple[GateSum, ...]:
    """Return the judgement of a wave that is over, line by line."""
    return tuple(_sum(limit, wave if limit.scope == "wave" else run) for limit in limits)


def certain_sums(limits: Iterable[GateLimit], wave: Standing, run: Standing) -> tuple[GateSum, ...]:
    """Return what can already be said of a wave that still runs.

    A line holds as long as it could still hold at the end: those that may yet answer count as
    answered, and only what has definitely gone wrong counts against it.
    """
    return tuple(_certain(limit, wave if limit.scope == "wave" else run) for limit in limits)


def holds(sums: Iterable[GateSum]) -> bool:
    """Return whether every line of a gate holds."""
    return all(each.holds for each in sums)


def _limit(what: GateCount, text: str, wave: int, run: int) -> GateLimit:
    percent = text.endswith("%")
    of = wave if percent else run
    least = what == "answered"
    number = rounded_up(text, of) if least else rounded_down(text, of)
    return GateLimit(
        what=what,
        limit=min(number, of) if least else number,
        of=of,
        scope="wave" if percent else "run",
    )


def _sum(limit: GateLimit, standing: Standing) -> GateSum:
    return _judged(limit, standing.found(limit.what))


def _certain(limit: GateLimit, standing: Standing) -> GateSum:
    if limit.what == "answered":
        return _judged(limit, standing.endpoints - standing.silent)
    return _judged(limit, standing.found(limit.what))


def _judged(limit: GateLimit, found: int) -> GateSum:
    good = found >= limit.limit if limit.what == "answered" else found <= limit.limit
    return GateSum(limit.what, limit.limit, limit.of, limit.scope, found, good)
