"""Chance that can be repeated: every draw is a hash of the seed and the names it is about.

Nothing here has a state, so a draw does not depend on the order in which draws are made, and the
same seed gives the same fleet on every machine and in every version of Python.
"""

from __future__ import annotations

import hashlib
from typing import Final

_DIGITS: Final = 8


def unit(seed: int, *names: str) -> float:
    """Return a number from 0 up to, but not including, 1 that belongs to `seed` and `names`."""
    digest = hashlib.sha256("\0".join((str(seed), *names)).encode()).digest()
    # 53 bits are what a float holds exactly, so that the quotient is always below 1.
    return (int.from_bytes(digest[:_DIGITS], "big") >> 11) / (1 << 53)


def token(seed: int, *names: str) -> str:
    """Return 32 hexadecimal digits that belong to `seed` and `names`, as a machine id has them."""
    return hashlib.sha256("\0".join((str(seed), *names)).encode()).hexdigest()[:32]
