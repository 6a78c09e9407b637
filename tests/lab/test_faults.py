from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import UsageError
from outagekit.events import EndpointId, EndState, FailureKind, end_state_of
from outagekit.lab.faults import FAULTS, RIGHT, draw_faults, parse_faults

ENDPOINTS = [EndpointId(f"acme/srv-{number:03d}") for number in range(100)]


def test_shares_are_read():
    assert parse_faults(" unreachable=5%, HANG = 2.5% ") == {"unreachable": 0.05, "hang": 0.025}


@pytest.mark.parametrize("text", ["", "none", " None "])
def test_no_faults(text):
    assert parse_faults(text) == {}


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("hangs=5%", "there is no fault 'hangs'", "did you mean hang?"),
        ("fire=5%", "there is no fault 'fire'", "known faults: unreachable, hang"),
        ("hang", "cannot read 'hang'", "write it like"),
        ("hang=5", "must be a percentage, not '5'", "write it like"),
        ("hang=101%", "must be a percentage, not '101%'", "write it like"),
        ("hang=-1%", "must be a percentage", "write it like"),
        ("hang=1%,hang=2%", "names hang twice", "write it like"),
        ("hang=60%,slow=60%", "more than 100%", "write it like"),
        ("hang=1%,", "cannot read ''", "write it like"),
        ("\x1b[2J=1%", r"there is no fault '\x1b[2j'", "known faults"),
    ],
)
def test_a_wrong_share_says_which_and_how_it_is_written(text, said, hint):
    with pytest.raises(UsageError) as caught:
        parse_faults(text)
    assert said.casefold() in caught.value.message.casefold()
    assert hint in caught.value.hint


@given(st.text())
def test_any_text_is_shares_or_a_usage_error(text):
    try:
        shares = parse_faults(text)
    except UsageError:
        return
    assert set(shares) <= set(FAULTS)


def test_the_draw_does_not_depend_on_the_order_of_the_endpoints():
    shuffled = list(ENDPOINTS)
    random.Random(3).shuffle(shuffled)
    shares = parse_faults("unreachable=5%,hang=2%,lie=3%")
    assert draw_faults(shares, ENDPOINTS, seed=4, liars=ENDPOINTS) == draw_faults(
        shares, shuffled, seed=4, liars=shuffled
    )


def test_each_fault_has_its_share_and_at_least_one():
    shares = parse_faults("unreachable=5%,hang=2%,slow=0.1%,auth=0%")
    drawn = list(draw_faults(shares, ENDPOINTS, seed=1, liars=[]).values())
    assert {fault: drawn.count(fault) for fault in FAULTS} == {
        "unreachable": 5,
        "hang": 2,
        "slow": 1,
        "reset": 0,
        "auth": 0,
        "lie": 0,
    }


def test_another_seed_gives_other_endpoints():
    shares = parse_faults("hang=5%")
    first = draw_faults(shares, ENDPOINTS, seed=1, liars=[])
    assert first != draw_faults(shares, ENDPOINTS, seed=2, liars=[])


def test_only_those_lie_whose_lie_would_show():
    drawn = draw_faults({"lie": 0.5, "hang": 0.5}, ENDPOINTS, seed=1, liars=ENDPOINTS[:3])
    assert {e for e, fault in drawn.items() if fault == "lie"} == set(ENDPOINTS[:3])


def test_what_is_right_agrees_with_the_table_of_failures():
    for right in RIGHT.values():
        for kind in right.kinds:
            assert end_state_of(kind, sent=True) is right.state


def test_a_lost_answer_is_never_judged_as_success_or_failure():
    assert RIGHT["hang"].state is RIGHT["reset"].state is EndState.UNKNOWN
    assert RIGHT["lie"].kinds == {FailureKind.VERIFY}
