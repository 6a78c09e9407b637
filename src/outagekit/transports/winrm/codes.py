"""Exit codes of Windows: 32 bits, said with or without a sign. Pure."""

from __future__ import annotations

from typing import Final

_BITS: Final = 32
_SHUT_DOWN: Final = frozenset({0xC000013A, 0x40010004})
"""STATUS_CONTROL_C_EXIT and DBG_TERMINATE_PROCESS: what a shutdown leaves of a console program."""


def as_signed(code: int) -> int:
    """Return an exit code as Windows itself shows it: signed, of 32 bits."""
    low = code & (1 << _BITS) - 1
    return low - (1 << _BITS) if low >> _BITS - 1 else low


def is_shut_down(code: int) -> bool:
    """Return whether a program with this exit code was ended from outside, as by a shutdown."""
    return code & (1 << _BITS) - 1 in _SHUT_DOWN
