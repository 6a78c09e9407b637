"""How far a stage's change has spread: its waves, and a running count for every gate.

A value of the state that only `fold` changes. Counting is incremental, so that a judgement costs
the same for ten endpoints as for ten thousand.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from outagekit.events import EndpointId, GateLimit, GateSum
from outagekit.plan.gates import Standing, certain_sums, limits_of, sums_of
from outagekit.plan.waves import Waves
from outagekit.playbook.model import Gate

STRAGGLERS = 0
"""Number that stands for those who came too late for any wave."""

Condition = Literal["waiting", "good", "failed", "unreachable", "unknown"]
Excused = tuple[int, int, str]
"""(stage, wave, what): what of a gate a person went past. Stage 0 is the run, for what adds up
over its stages; wave -1 is the stage."""
_Keys = tuple[str, ...]
_NOBODY: Counter[str] = Counter()


@dataclass(frozen=True, slots=True)
class InWave:
    """What an endpoint counts as."""

    condition: Condition
    busy: bool
    """It is waited for."""


@dataclass(slots=True)
class Spread:
    """The waves of one stage."""

    waves: Waves
    wave_of: dict[EndpointId, int]
    outside: frozenset[EndpointId] = frozenset()
    """Who needs no change here, and takes the stage's other steps without a wave."""
    open: int = 0
    """Number of the open wave, 0 for none."""
    judged: int = 0
    """How many waves have passed their gate."""
    baked: set[int] = field(default_factory=set)
    """Waves whose bake has begun."""
    stragglers: dict[EndpointId, None] = field(default_factory=dict)
    added: int = 0
    """How many of them were in no wave at all."""
    stragglers_judged: int = 0
    """How many stragglers there were when they were last judged."""
    answered: set[EndpointId] = field(default_factory=set)
    """On these a command of ours ran in this stage."""
    tallies: dict[int, Counter[str]] = field(default_factory=dict)
    """Wave -> how many of it are in which condition; `answered`, `silent`, `busy` besides."""
    total: Counter[str] = field(default_factory=Counter)
    """The same over everybody who was in an opened wave, or is a straggler."""
    counted: dict[EndpointId, tuple[_Keys, _Keys]] = field(default_factory=dict)
    """What each endpoint is counted as at the moment: in its wave, and among the stragglers."""

    def tally(self, wave: int) -> Counter[str]:
        """Return the counts of a wave, to be read."""
        return self.tallies.get(wave, _NOBODY)

    def size(self, wave: int) -> int:
        """Return how many endpoints a wave has."""
        return len(self.waves[wave - 1]) if wave else len(self.stragglers)

    def members(self, wave: int) -> tuple[EndpointId, ...]:
        """Return the endpoints of a wave."""
        return self.waves[wave - 1] if wave else tuple(self.stragglers)

    def limits_for(self, gate: Gate, wave: int, so_far: int) -> tuple[GateLimit, ...]:
        """Return a gate as numbers for a wave; stragglers are judged by what went wrong only.

        `so_far` is how many endpoints were in a wave of any stage, this wave included.
        """
        limits = limits_of(gate, self.size(wave), self._stage_size(wave))
        if not wave:
            limits = tuple(each for each in limits if each.what in _HARM)
        return tuple(
            msgspec.structs.replace(each, of=so_far)
            if each.scope == "run" and each.what in _BAD
            else each
            for each in limits
        )

    def judgement(
        self, limits: tuple[GateLimit, ...], wave: int, before: Counter[str], *, certain: bool
    ) -> tuple[GateSum, ...]:
        """Return the sums of a wave that is over, or, if `certain`, of one that still runs.

        `before` counts what went wrong in other stages.
        """
        judge = certain_sums if certain else sums_of
        counts = self.total + Counter({key: before[key] for key in _BAD})
        run = _standing(self._stage_size(wave), counts)
        return judge(limits, _standing(self.size(wave), self.tally(wave)), run)

    def _stage_size(self, wave: int) -> int:
        return sum(map(len, self.waves[: max(wave, self.open, self.judged)])) + self.added

    def count(self, identity: EndpointId, in_wave: InWave, late: InWave) -> None:
        """Count an endpoint from now on as what it is in its wave and among the stragglers."""
        answered = identity in self.answered
        keys = (_keys(in_wave, answered=answered), _keys(late, answered=answered))
        before = self.counted.get(identity)
        if keys == before:
            return
        self.counted[identity] = keys
        for tally, side in self._tallies_of(identity):
            if before:
                tally.subtract(before[side])
            tally.update(keys[side])

    def join(self, identity: EndpointId) -> None:
        """Take a straggler in."""
        if identity in self.stragglers:
            return
        self.stragglers[identity] = None
        self.added += identity not in self.wave_of
        if identity in self.counted:
            self._counts(STRAGGLERS).update(self.counted[identity][1])

    def _counts(self, wave: int) -> Counter[str]:
        return self.tallies.setdefault(wave, Counter())

    def _tallies_of(self, identity: EndpointId) -> list[tuple[Counter[str], int]]:
        """Return where an endpoint is counted, each with which of its two ways counts there."""
        in_wave = identity in self.wave_of
        found = [(self.total, 0 if in_wave else 1)]
        if in_wave:
            found.append((self._counts(self.wave_of[identity]), 0))
        if identity in self.stragglers:
            found.append((self._counts(STRAGGLERS), 1))
        return found


def excused_by(stage: int, wave: int, limit: GateLimit) -> Excused:
    """Return which line of which gate it is that a person goes past."""
    if limit.scope == "wave":
        return (stage, wave, limit.what)
    return (0, -1, limit.what) if limit.what in _BAD else (stage, -1, limit.what)


def borne(limit: GateLimit, found: int | None) -> GateLimit:
    """Return a line of a gate that bears what was found when a person went past it."""
    if found is None:
        return limit
    least = limit.what == "answered"
    number = min(limit.limit, found) if least else max(limit.limit, found)
    return msgspec.structs.replace(limit, limit=number)


def _keys(what: InWave, *, answered: bool) -> _Keys:
    keys: _Keys = (what.condition,)
    if answered or what.condition == "good":  # good without a command: nothing had to be done
        keys += ("answered",)
    elif what.condition != "waiting":
        keys += ("silent",)
    return (*keys, "busy") if what.busy else keys


_BAD = ("failed", "unreachable", "unknown")
_HARM = ("failed", "unknown")


def _standing(size: int, counts: Counter[str]) -> Standing:
    return Standing(
        endpoints=size,
        answered=counts["answered"],
        failed=counts["failed"],
        unreachable=counts["unreachable"],
        unknown=counts["unknown"],
        silent=counts["silent"],
    )
