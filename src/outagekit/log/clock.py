"""The clock seam: wall time for people, monotonic time for durations, and their drift."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOLERATED_NS: Final = 2_000_000_000


class Clock(Protocol):
    """Where the log takes its two times from."""

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970 in UTC; it may jump."""
        ...

    def mono_ns(self) -> int:
        """Return nanoseconds since some moment; never goes back within one process."""
        ...


class SystemClock:
    """The clocks of this machine."""

    def wall_ns(self) -> int:
        """Return the wall clock's time."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """Return the monotonic clock's time."""
        return time.monotonic_ns()


def stamp(wall_ns: int) -> str:
    """Return a wall time as the log writes it: `2026-11-22T08:14:03.120411Z`."""
    moment = _EPOCH + timedelta(microseconds=wall_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment_ns(at: str) -> int:
    """Return the nanoseconds since 1970 of a time in the log; 0 for a text that is none."""
    try:
        moment = datetime.fromisoformat(at)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, TypeError, OverflowError):  # no date, or one without its zone
        return 0


class Drift:
    """Notices when the wall clock moved against the monotonic one by more than two seconds."""

    def __init__(self, wall_ns: int, mono_ns: int) -> None:
        self._apart_ns = wall_ns - mono_ns

    def jump_ms(self, wall_ns: int, mono_ns: int) -> int:
        """Return by how much the wall clock jumped since the last jump, 0 if it did not."""
        moved_ns = wall_ns - mono_ns - self._apart_ns
        if abs(moved_ns) <= _TOLERATED_NS:
            return 0
        self._apart_ns += moved_ns
        return round(moved_ns / 1_000_000)
