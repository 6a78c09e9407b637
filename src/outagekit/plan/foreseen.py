"""What a rollout comes to at most: waves and gates in numbers, and words for them. Pure.

A plan cannot know whom a `when` rules out or who will answer, so these numbers are a maximum:
everybody who is chosen. A run cuts its waves by the same arithmetic over those who are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import msgspec

from outagekit.events import EndpointId, GateLimit
from outagekit.plan.gates import limits_of
from outagekit.plan.model import Plan, Stage
from outagekit.plan.waves import cut_waves
from outagekit.text import fold_list

_NOT_ANSWERED: Final = "not answered"


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the values of this room."""


class ForeseenWave(Value, frozen=True):
    """A wave as large as it can become, and its gate in numbers."""

    wave: int
    """From 1."""
    endpoints: int
    so_far: int
    """Everybody in this wave and those before it."""
    gate: tuple[GateLimit, ...]


class ForeseenStage(Value, frozen=True):
    """How a changing stage spreads at most."""

    stage: int
    phase: str
    first: tuple[EndpointId, ...]
    """Who is in its first wave."""
    waves: tuple[ForeseenWave, ...]

    @property
    def endpoints(self) -> int:
        """How many endpoints it reaches at most."""
        return self.waves[-1].so_far


def foreseen_stages(plan: Plan) -> tuple[ForeseenStage, ...]:
    """Return each stage that runs in waves, at its maximum; none in a dry run."""
    if plan.dry_run:
        return ()
    spreading = [stage for stage in plan.stages if stage.changes and not stage.once]
    return tuple(_foreseen(plan, stage) for stage in spreading)


def gate_words(limits: Iterable[GateLimit]) -> str:
    """Return a gate for a sentence that begins `goes on with`.

    `at least 8 answered, at most 0 failed, 1 unreachable, 0 unknown`. A plain number above zero
    is said to be of the run: `3 failed in all so far`.
    """
    found = list(limits)
    least = [f"at least {_numbered(each)}" for each in found if each.what == "answered"]
    most = ", ".join(_numbered(each) for each in found if each.what != "answered")
    return ", ".join([*least, *([f"at most {most}"] if most else [])])


def stop_words(limits: Iterable[GateLimit]) -> str:
    """Return the numbers at which a gate stops a first wave: `1 failed or 2 unreachable`.

    Each is one more than the gate allows, so the number named is the number that stops. Left out
    is what cannot happen in so small a wave, and how many may not answer where the other numbers
    say it already. Empty if nothing can stop it.
    """
    by_what = {limit.what: limit for limit in limits}
    answered = by_what.pop("answered")
    words = [f"{most.limit + 1} {most.what}" for most in by_what.values() if most.limit < most.of]
    missing = answered.of - answered.limit
    if missing < min(answered.of, sum(most.limit for most in by_what.values())):
        words.append(f"{missing + 1} {_NOT_ANSWERED}")
    return listed(words, "or")


def listed(words: Sequence[str], last: str) -> str:
    """Return words for a sentence: `a, b or c`."""
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def sizes_words(waves: Sequence[ForeseenWave], limit: int) -> str:
    """Return the sizes of waves for a sentence: `waves of 1, 9 and 30`, `one wave of 1`."""
    sizes = fold_list((str(wave.endpoints) for wave in waves), limit)
    return f"waves of {sizes}" if len(waves) > 1 else f"one wave of {sizes}"


def _foreseen(plan: Plan, stage: Stage) -> ForeseenStage:
    rollout = plan.rollout
    waves = cut_waves(plan.endpoints, rollout.waves, first=plan.first, apart=plan.apart)
    reached = accumulate(map(len, waves))
    rows = tuple(
        ForeseenWave(
            wave=number,
            endpoints=len(wave),
            so_far=so_far,
            gate=limits_of(rollout.gate, len(wave), so_far),
        )
        for number, (wave, so_far) in enumerate(zip(waves, reached, strict=True), 1)
    )
    return ForeseenStage(stage=stage.number, phase=stage.phase, first=waves[0], waves=rows)


def _numbered(limit: GateLimit) -> str:
    in_all = " in all so far" if limit.scope == "run" and limit.limit else ""
    return f"{limit.limit} {limit.what}{in_all}"
