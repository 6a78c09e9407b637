"""A clock that only moves when it is told to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_FIRST: Final = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_NS: Final = 1_000_000_000


class FakeClock:
    """Wall clock and monotonic clock that move together, or apart with `jump`. Not thread-safe.

    Has the shape of `outagekit.log.clock.Clock`; `monotonic` and `sleep` stand in for `time`'s.
    """

    def __init__(self, start: datetime = _FIRST) -> None:
        self._wall_ns = (start - _EPOCH) // timedelta(microseconds=1) * 1000
        self._mono_ns = 0

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970 in UTC."""
        return self._wall_ns

    def mono_ns(self) -> int:
        """Return nanoseconds since the clock was made; `jump` does not touch them."""
        return self._mono_ns

    def now(self) -> datetime:
        """Return the wall time, UTC, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self._wall_ns // 1000)

    def monotonic(self) -> float:
        """Return seconds since the clock was made."""
        return self._mono_ns / _SECOND_NS

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks. Raises `ValueError` for a negative length of time."""
        if seconds < 0:
            raise ValueError("a monotonic clock never goes back: use jump")
        self._mono_ns += round(seconds * _SECOND_NS)
        self.jump(seconds)

    def sleep(self, seconds: float) -> None:
        """Return at once, that much later."""
        self.advance(seconds)

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, forwards or back, as a correction by NTP does."""
        self._wall_ns += round(seconds * _SECOND_NS)
