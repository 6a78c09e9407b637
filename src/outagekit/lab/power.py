"""When a restless machine is up and when it is down: spells that follow from seed and name. Pure.

All of a machine's spells together are its timetable, counted from when its fleet starts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Final

from outagekit.lab.chance import unit

FLAP_UP_S: Final = (4.0, 10.0)
FLAP_DOWN_S: Final = (2.0, 6.0)
LOOP_UP_S: Final = 3.0
LOOP_S: Final = 12.0
"""How long one turn of a boot loop takes, from one start to the next."""


@dataclass(frozen=True, slots=True)
class Spell:
    """So long up, and then so long down. Up for 0 seconds: it is down from the beginning."""

    up_s: float
    down_s: float


def flapping(seed: int, name: str, *, swing: float = 1.0) -> Iterator[Spell]:
    """Return the spells of a line that comes and goes: without end, none like the other.

    `swing` stretches or shortens all of them. The first begins somewhere in its middle, so that
    machines of one fleet are not down together.
    """
    for number in count():
        up_s = _between(FLAP_UP_S, unit(seed, "flap", name, str(number), "up"))
        down_s = _between(FLAP_DOWN_S, unit(seed, "flap", name, str(number), "down"))
        part = unit(seed, "flap", name, "begin") if number == 0 else 1.0
        yield Spell(up_s * part * swing, down_s * swing)


def looping(seed: int, name: str, *, swing: float = 1.0) -> Iterator[Spell]:
    """Return the spells of a machine that starts, crashes soon, and starts again, without end.

    It begins anywhere in its loop, most likely down.
    """
    passed_s = unit(seed, "bootloop", name) * LOOP_S
    up_s = max(0.0, LOOP_UP_S - passed_s)
    yield Spell(up_s * swing, (LOOP_S - passed_s - up_s) * swing)
    while True:
        yield Spell(LOOP_UP_S * swing, (LOOP_S - LOOP_UP_S) * swing)


def _between(bounds: tuple[float, float], at: float) -> float:
    least, most = bounds
    return least + (most - least) * at
