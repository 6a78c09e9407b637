from __future__ import annotations

from datetime import UTC, datetime

import pytest

from outagekit.log.clock import Drift, stamp
from outagekit.testing.clock import FakeClock


def test_time_stands_still_until_it_is_moved():
    clock = FakeClock(datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert clock.now() == datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert stamp(clock.wall_ns()) == "2026-01-02T03:04:05.000006Z"
    clock.advance(1.5)
    clock.sleep(0.5)
    assert clock.monotonic() == 2.0
    assert clock.mono_ns() == 2_000_000_000
    assert clock.now() == datetime(2026, 1, 2, 3, 4, 7, 6, tzinfo=UTC)


def test_a_jump_moves_the_wall_clock_alone():
    clock = FakeClock()
    drift = Drift(clock.wall_ns(), clock.mono_ns())
    clock.advance(10)
    assert drift.jump_ms(clock.wall_ns(), clock.mono_ns()) == 0
    clock.jump(-3600)
    assert clock.monotonic() == 10
    assert drift.jump_ms(clock.wall_ns(), clock.mono_ns()) == -3_600_000


def test_time_does_not_pass_backwards():
    with pytest.raises(ValueError, match="never goes back"):
        FakeClock().advance(-1)
