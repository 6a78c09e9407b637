"""Typed values and the units people write."""

from __future__ import annotations

import pytest

from outagekit.playbook import units
from outagekit.playbook.model import Param
from outagekit.playbook.values import Unfit, fit, fit_param, read_param


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("15m", 900),
        ("4h", 14400),
        ("2d", 172800),
        ("1.5h", 5400),
        (0, 0),
        (0.25, 0.25),
    ],
)
def test_durations(text, seconds):
    assert units.seconds(text) == seconds


@pytest.mark.parametrize("value", ["5", "5 m", "-5s", "m", "", "1w", "31d", "9" * 400 + "s", True])
def test_what_is_no_duration(value):
    with pytest.raises(ValueError):
        units.seconds(value)


def test_durations_that_are_no_numbers_are_none():
    for value in (float("nan"), float("inf"), None, [1], -1):
        with pytest.raises(ValueError):
            units.seconds(value)


def test_sizes_and_shares():
    assert [units.size_bytes(v) for v in ("20MiB", "512KiB", "1GiB", "3B", 7)] == [
        20 * 2**20,
        512 * 1024,
        2**30,
        3,
        7,
    ]
    assert [units.share(v) for v in (3, "5%", "100%", "0.5%")] == ["3", "5%", "100%", "0.5%"]
    for value in ("5MB", "MiB", -1, True, None, "1.5MiB"):
        with pytest.raises(ValueError):
            units.size_bytes(value)
    for value in ("101%", "100.5%", "%", "5", -1, True, "5 %"):
        with pytest.raises(ValueError):
            units.share(value)


@pytest.mark.parametrize(
    ("kind", "value", "fitted"),
    [
        ("text", "a", "a"),
        ("bool", False, False),
        ("int", 5, 5),
        ("number", 5, 5),
        ("number", 0.5, 0.5),
        ("list", ["a", 1, True], ["a", 1, True]),
        ("datetime", "2024-07-19T05:27:00Z", "2024-07-19T05:27:00Z"),
        ("datetime", "2024-07-19T07:27:00+02:00", "2024-07-19T05:27:00Z"),
        ("datetime", "2024-07-19T05:27:00.500000Z", "2024-07-19T05:27:00.500000Z"),
    ],
)
def test_a_value_of_its_type_fits(kind, value, fitted):
    assert fit(kind, value) == fitted


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("text", 5),
        ("bool", 1),
        ("bool", "true"),
        ("int", True),
        ("int", 1.0),
        ("int", 2**63),
        ("number", float("nan")),
        ("number", "1"),
        ("list", "a"),
        ("list", [["a"]]),
        ("list", [None]),
        ("datetime", "2024-07-19T05:27:00"),
        ("datetime", "2024-07-19"),
        ("datetime", "soon"),
        ("datetime", 5),
        ("datetime", "0001-01-01T00:00:00+10:00"),
    ],
)
def test_a_value_of_another_type_does_not(kind, value):
    with pytest.raises(Unfit, match=r"^must be"):
        fit(kind, value)


@pytest.mark.parametrize(
    ("param", "typed", "value"),
    [
        (Param(type="text"), " a ", " a "),
        (Param(type="bool"), "Yes", True),
        (Param(type="int"), "-5", -5),
        (Param(type="number"), "2.5", 2.5),
        (Param(type="list"), "a, b", ["a", "b"]),
        (Param(type="list"), "", []),
        (Param(type="datetime"), "2024-07-19T07:27:00+02:00", "2024-07-19T05:27:00Z"),
        (Param(choices=("fast", "slow")), "slow", "slow"),
        (Param(pattern="KB[0-9]+"), "KB5", "KB5"),
    ],
)
def test_what_a_person_types_is_read_by_type(param, typed, value):
    assert read_param(param, typed) == value


@pytest.mark.parametrize(
    ("param", "typed", "message"),
    [
        (Param(type="bool"), "maybe", "must be true or false"),
        (Param(type="int"), "5.0", "must be a whole number"),
        (Param(type="int"), "9" * 5000, "must be a whole number"),
        (Param(choices=("fast", "slow")), "slwo", "did you mean `slow`"),
        (Param(pattern="KB[0-9]+"), "KB5 ; rm", "must match the pattern"),
    ],
)
def test_what_does_not_fit_is_said(param, typed, message):
    with pytest.raises(Unfit, match=message):
        read_param(param, typed)


def test_choices_are_compared_after_the_type():
    param = Param(type="datetime", choices=("2024-07-19T05:27:00Z",))
    assert fit_param(param, "2024-07-19T07:27:00+02:00") == "2024-07-19T05:27:00Z"
