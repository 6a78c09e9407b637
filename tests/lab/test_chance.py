from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outagekit.lab.chance import token, unit


@given(st.integers(), st.lists(st.text(), max_size=3))
def test_a_draw_lies_between_nothing_and_one_and_can_be_repeated(seed, names):
    assert 0.0 <= unit(seed, *names) < 1.0
    assert unit(seed, *names) == unit(seed, *names)


def test_the_same_draw_in_every_version_of_python():
    assert unit(1, "state", "acme/srv-001", "impacted") == 0.216167532500243
    assert token(1, "machine-id", "acme/srv-001") == "46f3e2f7bb3bd7260215b2849452818a"


def test_shares_of_many_draws_are_what_they_should_be():
    drawn = [unit(7, f"srv-{number}") < 0.6 for number in range(2000)]
    assert 0.56 < sum(drawn) / len(drawn) < 0.64


def test_names_are_kept_apart():
    assert unit(1, "ab", "c") != unit(1, "a", "bc")
