"""What one simulated WS-Man service allows: ways to log in, sizes and quotas. Pure values.

The figures are Windows' own where Windows has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Way = Literal["basic", "negotiate", "certificate"]

EVERY_WAY: Final[frozenset[Way]] = frozenset({"basic", "negotiate", "certificate"})


@dataclass(frozen=True, slots=True)
class Rules:
    """How one service behaves. The defaults are those of a Windows with its listener enabled."""

    ways: frozenset[Way] = EVERY_WAY
    """How a client may log in. Basic and certificates need https, whatever stands here."""
    allows_clear: bool = False
    """`AllowUnencrypted`, which also lets Basic in over http: to prove that clients refuse it."""
    refuses: bool = False
    """Every login is refused, whatever it brings."""
    wants_binding: bool = False
    """A login over https must be bound to this server's certificate (`CbtHardeningLevel`)."""
    seals_https: bool = True
    """Sealed bodies are understood inside https as well."""
    most_body_bytes: int = 500 * 1024
    """`MaxEnvelopeSizekb`: a longer message is answered with 413 and not read."""
    shells_per_user: int = 30
    operations_per_user: int = 1500
    """Commands in all open shells of a user. As on Windows, Terminate gives none back."""
    commands_per_shell: int = 25
    """Commands of one shell that were not terminated, whether they still run or not."""
    idle_timeout_s: float = 7200.0
    """For a shell that asked for none."""
    idle_connection_s: float = 120.0
    """After so long without a request a connection is closed."""
