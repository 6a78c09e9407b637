"""Which shell a simulated machine has."""

from __future__ import annotations

from typing import Final

from outagekit.events import OperatingSystem
from outagekit.lab.powershell import WindowsShell
from outagekit.lab.script import PosixShell
from outagekit.lab.shell import Shell

_POSIX: Final = PosixShell()
_WINDOWS: Final = WindowsShell()


def shell_of(system: OperatingSystem) -> Shell:
    """Return how machines with this system read and answer."""
    return _WINDOWS if system == "windows" else _POSIX
