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
    assert draw_faults(shares, ENDPOINTS, seed=4, able={}) == draw_faults(
        shares, shuffled, seed=4, able={}
    )


def test_each_fault_has_its_share_and_at_least_one():
    shares = parse_faults("unreachable=5%,hang=2%,slow=0.1%,auth=0%")
    drawn = list(draw_faults(shares, ENDPOINTS, seed=1, able={}).values())
    assert {fault: drawn.count(fault) for fault in FAULTS} == {
        "unreachable": 5,
        "hang": 2,
        "slow": 1,
        "reset": 0,
        "auth": 0,
        "flap": 0,
        "bootloop": 0,
        "lie": 0,
    }


def test_another_seed_gives_other_endpoints():
    shares = parse_faults("hang=5%")
    first = draw_faults(shares, ENDPOINTS, seed=1, able={})
    assert first != draw_faults(shares, ENDPOINTS, seed=2, able={})


def test_only_those_lie_whose_lie_would_show():
    drawn = draw_faults({"lie": 0.5, "hang": 0.5}, ENDPOINTS, seed=1, able={"lie": ENDPOINTS[:3]})
    assert {e for e, fault in drawn.items() if fault == "lie"} == set(ENDPOINTS[:3])


def test_what_is_right_agrees_with_the_table_of_failures():
    for right in RIGHT.values():
        for kind in right.kinds:
            states = {end_state_of(kind, sent=sent) for sent in (True, False)}
            assert states & {right.state, *right.also}


def test_a_lost_answer_is_never_judged_as_success_or_failure():
    assert RIGHT["hang"].state is RIGHT["reset"].state is EndState.UNKNOWN
    assert RIGHT["lie"].kinds == {FailureKind.VERIFY}


@pytest.mark.parametrize("fault", ["flap", "bootloop"])
def test_a_machine_that_comes_and_goes_is_never_judged_as_failed(fault):
    assert RIGHT[fault].state is None
    assert RIGHT[fault].also == {EndState.UNREACHABLE, EndState.UNKNOWN}


def test_only_those_able_to_are_given_a_fault_and_before_others_take_them():
    shares = {"flap": 0.97, "bootloop": 0.03}
    drawn = draw_faults(shares, ENDPOINTS, seed=1, able={"bootloop": ENDPOINTS[:3]})
    assert {e for e, fault in drawn.items() if fault == "bootloop"} == set(ENDPOINTS[:3])
    assert len(drawn) == 100
