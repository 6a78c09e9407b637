from __future__ import annotations

from itertools import islice

import pytest

from outagekit.lab.power import (
    FLAP_DOWN_S,
    FLAP_UP_S,
    LOOP_S,
    LOOP_UP_S,
    Spell,
    flapping,
    looping,
)


def first(spells, number=50):
    return list(islice(spells, number))


@pytest.mark.parametrize("timetable", [flapping, looping])
def test_the_same_seed_and_name_have_the_same_timetable(timetable):
    assert first(timetable(1, "acme/a")) == first(timetable(1, "acme/a"))
    assert first(timetable(1, "acme/a")) != first(timetable(2, "acme/a"))
    assert first(timetable(1, "acme/a")) != first(timetable(1, "acme/b"))


def test_a_line_flaps_without_end_and_without_a_pattern():
    begin, *spells = first(flapping(1, "acme/a"))
    assert 0 <= begin.up_s <= FLAP_UP_S[1]
    assert len(set(spells)) == len(spells)
    for spell in spells:
        assert FLAP_UP_S[0] <= spell.up_s <= FLAP_UP_S[1]
        assert FLAP_DOWN_S[0] <= spell.down_s <= FLAP_DOWN_S[1]


def test_a_minute_sees_several_turns():
    for number in range(100):
        name = f"acme/{number}"
        for timetable in (flapping, looping):
            assert sum(s.up_s + s.down_s for s in first(timetable(1, name), 4)) < 60


def test_a_boot_loop_is_the_same_again_and_again():
    for number in range(100):
        begin, *spells = first(looping(1, f"acme/{number}"), 10)
        assert set(spells) == {Spell(LOOP_UP_S, LOOP_S - LOOP_UP_S)}
        assert 0 <= begin.up_s <= LOOP_UP_S
        assert 0 < begin.down_s <= LOOP_S - LOOP_UP_S + 1e-9


def test_most_begin_their_boot_loop_down_and_a_fleet_not_all_at_once():
    begins = [next(looping(1, f"acme/{number}")) for number in range(200)]
    assert 25 < sum(begin.up_s > 0 for begin in begins) < 75
    assert len(set(begins)) == 200


def test_all_times_swing_together():
    for timetable in (flapping, looping):
        slow, fast = first(timetable(1, "a")), first(timetable(1, "a", swing=0.1))
        assert [s.up_s for s in fast] == pytest.approx([s.up_s * 0.1 for s in slow])
        assert [s.down_s for s in fast] == pytest.approx([s.down_s * 0.1 for s in slow])
