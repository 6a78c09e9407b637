"""Bars and counts: told apart without colour, and adding up whatever happens."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.cli.live.bars import (
    GLYPH,
    SHOWN_ORDER,
    STYLE,
    TO_COME,
    bar,
    ends_text,
    joined,
    shares,
)
from outagekit.cli.live.frame import frame
from outagekit.cli.live.standing import ENDING, WOULD, Ends
from outagekit.cli.live.tally import Tally
from outagekit.events import (
    EndpointExpired,
    EndpointParked,
    EndpointReturned,
    EndState,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepResolved,
    StepStarted,
    WaveOpened,
    WavesCut,
)
from outagekit.playbook.model import Rollout
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.records import records

STEPS = (read("detect"), step("remove"), step("restart"))


def tally_of(plan, *events):
    tally = Tally(plan)
    for each in records(*events):
        tally.take(each)
    return tally


@given(
    numbers=st.lists(st.integers(0, 5000), min_size=1, max_size=8),
    cells=st.integers(0, 40),
)
def test_a_bar_is_shared_out_whole_and_nobody_is_left_out_who_has_room(numbers, cells):
    first = tuple(range(0, len(numbers), 2))
    given_cells = shares(numbers, cells, first)
    assert sum(given_cells) == (cells if sum(numbers) else 0)
    assert all(cell >= 0 for cell in given_cells)
    assert not any(cell for cell, number in zip(given_cells, numbers, strict=True) if not number)
    if cells >= sum(number > 0 for number in numbers):
        assert all(cell for cell, number in zip(given_cells, numbers, strict=True) if number)
    elif cells >= sum(numbers[at] > 0 for at in first):
        assert all(given_cells[at] for at in first if numbers[at])


def test_every_end_state_has_a_sign_of_its_own():
    assert set(GLYPH) == set(SHOWN_ORDER) == set(EndState) | {WOULD}
    assert len({*GLYPH.values(), TO_COME}) == len(GLYPH) + 1


def test_one_failure_among_a_thousand_is_seen_in_the_bar_without_any_colour():
    tally = Tally(plan_of(STEPS, on=1000))
    ends = Ends()
    ends.by_word.update({EndState.CHANGED: 997, EndState.FAILED: 1, EndState.UNKNOWN: 1})
    shown = bar(tally, ends, 1000, 80).plain.strip()
    assert re.fullmatch(r"▓+x\?░", shown)


def test_a_bar_says_in_colour_what_it_says_in_signs():
    tally = Tally(plan_of(STEPS, on=4))
    ends = Ends()
    ends.by_word.update(dict.fromkeys((EndState.OK, EndState.FAILED), 2))
    shown = bar(tally, ends, 4, 80)
    by_style = {str(span.style): shown.plain[span.start : span.end] for span in shown.spans}
    assert set(by_style[STYLE[EndState.OK]]) == {"█"}
    assert set(by_style[STYLE[EndState.FAILED]]) == {"x"}


@given(
    counts=st.dictionaries(st.sampled_from(SHOWN_ORDER), st.integers(1, 1000), min_size=1),
    to_come=st.integers(0, 500),
    room=st.integers(0, 120),
)
def test_what_is_said_beside_a_bar_adds_up_or_is_only_what_went_wrong(counts, to_come, room):
    ends = Ends()
    ends.by_word.update(counts)
    text = ends_text(ends, room, to_come=to_come).plain
    assert len(text) <= room
    said = [int(number) for number in re.findall(r"\d+", text)]
    bad = sum(number for word, number in counts.items() if word in ENDING)
    whole = sum(counts.values())
    assert sum(said) in {whole + to_come, bad or whole, 0}


def test_parts_keep_their_own_style_beside_what_stands_between_them():
    text = joined([ends_text(Ends(), 9), *[ends_text(_ends(ok=1, failed=2), 60)]], " · ")
    assert not text.style
    assert {str(span.style) for span in text.spans} >= {"bold red", "green", "dim"}


def _ends(**counts):
    ends = Ends()
    ends.by_word.update({EndState(word): number for word, number in counts.items()})
    return ends


PLAN = plan_of(STEPS, on=12, rollout=Rollout(waves=("1", "50%", "100%"), waiting_room_s=60))
NAME = st.sampled_from([each.id for each in PLAN.endpoints])
STEP = st.sampled_from([each.id for each in STEPS])
ATTEMPT = st.sampled_from(["a", "b", "c"])
EVENTS = st.one_of(
    st.sampled_from(
        [
            StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=12),
            StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=11),
            WavesCut(stage=2, sizes=(1, 5, 6), outside=0, sha256=""),
            WaveOpened(stage=2, wave=1, waves=3, endpoints=1, limits=()),
            WaveOpened(stage=2, wave=2, waves=3, endpoints=5, limits=()),
        ]
    ),
    st.builds(StepStarted, endpoint=NAME, step=STEP, attempt=ATTEMPT),
    st.builds(
        StepFinished,
        endpoint=NAME,
        step=STEP,
        attempt=ATTEMPT,
        state=st.sampled_from(EndState),
        retry_in_ms=st.none() | st.just(1000),
    ),
    st.builds(StepInDoubt, endpoint=NAME, step=STEP, attempt=ATTEMPT, why=st.just("gone")),
    st.builds(
        StepResolved,
        endpoint=NAME,
        step=STEP,
        attempt=ATTEMPT,
        how=st.just("probed"),
        state=st.none() | st.sampled_from(EndState),
    ),
    st.builds(EndpointParked, endpoint=NAME, for_ms=st.just(1000)),
    st.builds(EndpointReturned, endpoint=NAME),
    st.builds(EndpointExpired, endpoint=NAME),
)


@given(events=st.lists(EVENTS, max_size=60))
def test_every_endpoint_is_counted_once_whatever_happens(events):
    tally = tally_of(PLAN, *events)
    assert all(number >= 0 for number in tally.ends.by_word.values())
    assert tally.ends.done <= sum(bool(seat.ends) for seat in tally.seats.values())
    (line,) = [line.plain for line in frame(tally, 0.0, 119, 40) if line.plain.startswith("all ")]
    total, *said = map(int, re.findall(r"\d+", line))
    assert total == len(PLAN.endpoints) == sum(said)


def test_who_is_well_so_far_is_not_called_ok_before_it_is_known_to_need_no_change():
    of = plan_of(STEPS, on=3)
    first, second, third = (each.id for each in of.endpoints)
    survey = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=3)
    looked = [
        StepFinished(endpoint=name, step="detect", state=EndState.OK)
        for name in (first, second, third)
    ]
    assert _all(of, survey, *looked).endswith("  to come 3")
    fix = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=3)
    none = [
        StepFinished(endpoint=first, step=each, state=EndState.SKIPPED)
        for each in ("remove", "restart")
    ]
    done = StepFinished(endpoint=second, step="remove", state=EndState.CHANGED)
    line = _all(of, survey, *looked, fix, *none, done)
    assert line.endswith("  ok 1 · changed 1 · to come 1")


def _all(of, *events):
    lines = [line.plain for line in frame(tally_of(of, *events), 0.0, 79, 23)]
    return next(line for line in lines if line.startswith("all "))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_all_bars_of_a_picture_are_equally_long(width):
    of = plan_of(STEPS, on=40, rollout=Rollout(waves=("1", "50%", "100%")))
    cut = WavesCut(stage=2, sizes=(1, 19, 20), outside=0, sha256="")
    events = [
        StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=40),
        cut,
        WaveOpened(stage=2, wave=1, waves=3, endpoints=1, limits=()),
    ]
    lines = [line.plain for line in frame(tally_of(of, *events), 0.0, width - 1, 30)]
    bars = [match[0] for line in lines if (match := re.search(r"[█▓▒░x?!]{5,}", line))]
    assert len(bars) == 1 + 2 + 3
    assert len(set(map(len, bars))) == 1
