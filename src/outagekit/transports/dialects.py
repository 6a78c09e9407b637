"""Which dialect an endpoint is spoken to in."""

from __future__ import annotations

from typing import Final

from outagekit.events import OperatingSystem
from outagekit.transports.dialect import Dialect
from outagekit.transports.posix.dialect import PosixDialect

_POSIX: Final = PosixDialect()


def dialect_of(system: OperatingSystem) -> Dialect:
    """Return how endpoints with this operating system are spoken to."""
    del system
    return _POSIX
