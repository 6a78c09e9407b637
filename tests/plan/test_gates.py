"""Gate arithmetic, held against every way a wave can still end."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outagekit.events import GateLimit
from outagekit.plan.gates import Standing, certain_sums, holds, limits_of, sums_of
from outagekit.playbook.model import Gate

NUMBERS = st.sampled_from((0, 1, 2, 19, 20, 21, 1_000)) | st.integers(0, 300)
PERCENTS = st.integers(0, 1_000).map(lambda tenths: f"{tenths / 10:g}%")
SHARES = st.integers(0, 30).map(str) | PERCENTS
GATES = st.builds(Gate, SHARES, SHARES, SHARES, SHARES)
BAD = ("failed", "unreachable", "unknown")


def allowed(text, count, wave, run, *, least):
    """Whether so many are allowed, by the meaning of the words alone: no rounding is needed."""
    whole, wanted = run, Fraction(text.rstrip("%"))
    if text.endswith("%"):
        whole, wanted = wave, wanted * wave / 100
    return count >= min(wanted, whole) if least else count <= wanted


# --- limits ------------------------------------------------------------------------------------


@given(gate=GATES, wave=NUMBERS, before=NUMBERS, found=st.integers(0, 1_400))
@example(gate=Gate(), wave=1, before=0, found=1)
@example(gate=Gate(min_answered="5"), wave=1, before=0, found=1)
def test_a_number_is_let_through_exactly_if_the_words_allow_it(gate, wave, before, found):
    run = wave + before
    texts = {
        "answered": gate.min_answered,
        "failed": gate.max_failed,
        "unreachable": gate.max_unreachable,
        "unknown": gate.max_unknown,
    }
    standing = Standing(endpoints=wave, **dict.fromkeys(texts, found))
    for each in sums_of(limits_of(gate, wave, run), standing, standing):
        text = texts[each.what]
        least = each.what == "answered"
        assert each.holds == allowed(text, found, wave, run, least=least)
        assert (each.scope, each.of) == (("wave", wave) if text.endswith("%") else ("run", run))
        assert each.found == found


@given(gate=GATES, wave=NUMBERS, before=NUMBERS)
def test_at_least_is_never_more_than_there_are(gate, wave, before):
    answered, *_ = limits_of(gate, wave, wave + before)
    assert answered.limit <= answered.of


@given(gate=GATES, wave=NUMBERS, before=NUMBERS)
def test_a_wave_in_which_all_is_well_passes_every_gate(gate, wave, before):
    run = wave + before
    limits = limits_of(gate, wave, run)
    assert holds(sums_of(limits, Standing(wave, wave), Standing(run, run)))


@pytest.mark.parametrize(
    ("wave", "run", "expected"),
    [
        (0, 0, (0, 0, 0, 0)),
        (1, 1, (1, 0, 0, 0)),
        (2, 3, (2, 0, 0, 0)),
        (19, 20, (16, 0, 3, 0)),
        (20, 40, (16, 1, 4, 0)),
        (21, 61, (17, 1, 4, 0)),
        (1_000, 1_061, (800, 50, 200, 0)),
    ],
)
def test_the_default_gate_in_numbers(wave, run, expected):
    assert tuple(limit.limit for limit in limits_of(Gate(), wave, run)) == expected


def test_a_plain_number_is_of_the_run_and_a_percentage_of_the_wave():
    gate = Gate("80%", "3", "10%", "1")
    limits = limits_of(gate, 10, 25)
    assert [(each.what, each.limit, each.of, each.scope) for each in limits] == [
        ("answered", 8, 10, "wave"),
        ("failed", 3, 25, "run"),
        ("unreachable", 1, 10, "wave"),
        ("unknown", 1, 25, "run"),
    ]
    wave, run = Standing(10, 10, failed=2), Standing(25, 24, failed=4)
    assert [each.holds for each in sums_of(limits, wave, run)] == [True, False, True, True]


def test_everything_unreachable_closes_the_gate():
    limits = limits_of(Gate(), 5, 6)
    wave = Standing(5, answered=0, unreachable=5, silent=5)
    run = Standing(6, answered=1, unreachable=5, silent=5)
    closed = [each.what for each in sums_of(limits, wave, run) if not each.holds]
    assert closed == ["answered", "unreachable"]
    assert not holds(certain_sums(limits, wave, run))


# --- while a wave runs -------------------------------------------------------------------------

# What an endpoint can be: (has answered, what is wrong with it, may it still become anything).
ENDS = [(answered, bad) for answered in (True, False) for bad in (None, *BAD)]
OPEN = [(True, None), (False, None)]


def standing(ends, pending):
    """A partial standing: `ends` are over, `pending` have answered or not and may end anyhow."""
    members = [*ends, *pending]
    return Standing(
        endpoints=len(members),
        answered=sum(answered for answered, _ in members),
        **{bad: sum(what == bad for _, what in ends) for bad in BAD},
        silent=sum(not answered for answered, _ in ends),
    )


def completions(ends, pending):
    """Every standing a partial one can end as; who has answered stays one who has."""
    choices = [[end for end in ENDS if end[0] or not answered] for answered, _ in pending]
    for chosen in product(*choices):
        yield standing([*ends, *chosen], [])


def partial_waves(size):
    for over in range(size + 1):
        for ends in combinations_with_replacement(ENDS, over):
            for pending in combinations_with_replacement(OPEN, size - over):
                yield ends, pending


SMALL_GATES = [
    Gate(),
    Gate("0", "0", "0", "0"),
    Gate("100%", "0", "0", "0"),
    Gate("50%", "50%", "34%", "1"),
    Gate("2", "1", "1", "2"),
    Gate("0%", "100%", "100%", "100%"),
]


def added(one, other):
    fields = ("endpoints", "answered", "failed", "unreachable", "unknown", "silent")
    return Standing(**{name: getattr(one, name) + getattr(other, name) for name in fields})


BEFORE = [
    Standing(),
    Standing(2, answered=2, failed=1),
    Standing(2, answered=1, unreachable=1, unknown=1, silent=1),
]


@pytest.mark.parametrize("gate", SMALL_GATES, ids=str)
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_a_gate_closes_during_a_wave_exactly_when_no_end_could_hold_it(gate, size):
    for before in BEFORE:
        limits = limits_of(gate, size, size + before.endpoints)
        for ends, pending in partial_waves(size):
            now = standing(ends, pending)
            certain = certain_sums(limits, now, added(before, now))
            could = any(
                holds(sums_of(limits, end, added(before, end)))
                for end in completions(ends, pending)
            )
            assert holds(certain) == could, (before, ends, pending)


@given(
    gate=GATES,
    ends=st.lists(st.sampled_from(ENDS), max_size=60),
    before=st.sampled_from(BEFORE),
)
def test_when_all_have_ended_both_judgements_agree(gate, ends, before):
    over = standing(ends, [])
    run = added(before, over)
    limits = limits_of(gate, over.endpoints, run.endpoints)
    last, during = sums_of(limits, over, run), certain_sums(limits, over, run)
    assert [each.holds for each in last] == [each.holds for each in during]


@given(
    gate=GATES,
    ends=st.lists(st.sampled_from(ENDS), min_size=1, max_size=30),
    pending=st.lists(st.sampled_from(OPEN), max_size=30),
)
def test_a_gate_that_has_closed_never_opens_by_more_endpoints_ending(gate, ends, pending):
    size = len(ends) + len(pending)
    limits = limits_of(gate, size, size)
    open_before = True
    for over in range(len(ends) + 1):
        still = [(answered, None) for answered, _ in ends[over:]]
        now = standing(ends[:over], [*still, *pending])
        open_now = holds(certain_sums(limits, now, now))
        assert open_before or not open_now
        open_before = open_now


def test_sums_say_the_limit_they_were_judged_by():
    limit = GateLimit("failed", 1, 20, "wave")
    (found,) = sums_of([limit], Standing(20, failed=2), Standing())
    assert (found.what, found.limit, found.of, found.scope) == ("failed", 1, 20, "wave")
    assert (found.found, found.holds) == (2, False)
