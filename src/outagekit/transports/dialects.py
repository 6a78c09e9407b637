"""Which dialect an endpoint is spoken to in."""

from __future__ import annotations

from typing import Final

from outagekit.events import OperatingSystem
from outagekit.transports.dialect import Dialect
from outagekit.transports.posix.dialect import PosixDialect
from outagekit.transports.windows.dialect import WindowsDialect

_POSIX: Final = PosixDialect()
_WINDOWS: Final = WindowsDialect()


def dialect_of(system: OperatingSystem) -> Dialect:
    """Return how endpoints with this operating system are spoken to."""
    return _WINDOWS if system == "windows" else _POSIX
