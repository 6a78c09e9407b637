"""What a decision depends on besides the state: the time, the bounds, and who is there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may run at once."""

    running: int = 64
    per_site: int | None = None
    """For sites that name no `concurrency` of their own."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The moment a decision is made in."""

    now_ns: int
    """Run time."""
    bounds: Bounds = Bounds()
    stopping: str = ""
    """Who asked to stop, if anybody did."""
    attended: bool = False
    """Whether somebody sits at the run's own terminal."""
