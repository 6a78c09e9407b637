from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import InvalidInput, UsageError
from outagekit.plan.params import MAX_MATCHED, from_file, from_words, typed_params
from outagekit.playbook.model import Param


def typed(a, value, **param):
    book = a.playbook(params={"it": Param(**{"type": "text", **param})})
    return typed_params(book, {"it": value})["it"]


def refusal(a, value, **param):
    with pytest.raises(UsageError) as caught:
        typed(a, value, **param)
    return caught.value.message


@pytest.mark.parametrize(
    ("sort", "written", "value"),
    [
        ("text", "a=b, {{ c }}\n", "a=b, {{ c }}\n"),
        ("text", "", ""),
        ("bool", "true", True),
        ("bool", "No", False),
        ("bool", False, False),
        ("int", "-042", -42),
        ("int", 9223372036854775807, 9223372036854775807),
        ("number", "1.5", 1.5),
        ("number", "7", 7),
        ("number", 0.25, 0.25),
        ("list", "a, b,c", ["a", "b", "c"]),
        ("list", "", []),
        ("list", ["a,b", 1, True, 0.5], ["a,b", 1, True, 0.5]),
        ("datetime", "2024-07-19T05:27:00Z", "2024-07-19T05:27:00Z"),
        ("datetime", "2024-07-19T07:27:00+02:00", "2024-07-19T05:27:00Z"),
        ("datetime", "2024-07-19 05:27:00.5+00:00", "2024-07-19T05:27:00.500000Z"),
    ],
)
def test_a_value_becomes_its_type(a, sort, written, value):
    got = typed(a, written, type=sort)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("sort", "written", "words"),
    [
        ("text", 1.1, "'1.1' must be text"),
        ("text", True, "must be text"),
        ("text", "a\0b", "NUL"),
        ("text", "\udc80", "no text"),
        ("text", "x" * 65_537, "longer than 65536"),
        ("bool", "1", "must be true or false"),
        ("bool", 1, "must be true or false"),
        ("int", "1.0", "'1.0' must be a whole number"),
        ("int", 1.0, "must be a whole number"),
        ("int", True, "must be a whole number"),
        ("int", "9223372036854775808", "must be a whole number"),
        ("int", "9" * 5000, "must be a whole number"),
        ("int", "٣", "must be a whole number"),
        ("number", "nan", "must be a number"),
        ("number", "1e999", "must be a number"),
        ("number", float("inf"), "must be a number"),
        ("list", "a,,b", "empty item"),
        ("list", {"a": 1}, "must be a list"),
        ("list", [["a"]], "must be a list"),
        ("list", ["a\0"], "NUL"),
        ("list", ["x"] * 10_001, "more than 10000"),
        ("datetime", "yesterday", "'yesterday' must be a date and time with a zone, like 2024-"),
        ("datetime", "2024-07-19T05:27:00", "with a zone, like 2024-07-19T05:27:00Z"),
        ("datetime", "2024-07-19", "with a zone"),
        ("datetime", "0001-01-01T00:00:00+14:00", "must be a date and time"),
        ("datetime", 1721366820, "must be a date and time"),
        ("text", None, "has no value"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(a, sort, written, words):
    assert words in refusal(a, written, type=sort)


def test_all_faults_are_told_at_once_with_the_help_of_the_parameter(a):
    book = a.playbook(
        params={
            "good_from": Param(type="datetime", help="Files from this moment on are good"),
            "package": Param(help="Its name"),
            "count": Param(type="int", default=3, required=False),
        }
    )
    with pytest.raises(UsageError) as caught:
        typed_params(book, {"good_from": "now", "packge": "x", "count": "many"})
    assert caught.value.exit_code == 2
    first, *lines = caught.value.message.splitlines()
    assert first == "4 parameters cannot be used:"
    assert lines[0] == "  packge: no such parameter, did you mean package?"
    assert lines[1].startswith("  good_from: 'now' must be a date and time")
    assert lines[1].endswith("(Files from this moment on are good)")
    assert lines[2] == ("  package: is missing, give it with -p NAME=VALUE; it is text (Its name)")
    assert lines[3] == "  count: 'many' must be a whole number"
    assert "playbooks show spooler" in caught.value.hint


def test_an_unknown_name_near_nothing_lists_what_there_is(a):
    with pytest.raises(UsageError, match="no such parameter, this playbook has none"):
        typed_params(a.playbook(), {"x": "1"})


def test_defaults_stand_in_as_they_are(a):
    book = a.playbook(
        params={
            "since": Param(type="datetime", default="2024-07-19T05:27:00Z", required=False),
            "note": Param(required=False),
            "on": Param(type="bool", default=False, required=False),
        }
    )
    assert typed_params(book, {}) == {"since": "2024-07-19T05:27:00Z", "note": None, "on": False}


def test_a_choice_is_enforced_and_the_nearest_is_offered(a):
    choices = ("stable", "beta")
    assert typed(a, "beta", choices=choices) == "beta"
    message = refusal(a, "stabel", choices=choices)
    assert "'stabel' must be one of `stable`, `beta` (did you mean `stable`?)" in message


def test_choices_of_numbers_and_times_are_compared_as_such(a):
    assert typed(a, "2", type="int", choices=(1, 2)) == 2
    assert typed(a, "2024-01-01T01:00:00+01:00", type="datetime", choices=("2024-01-01T00:00:00Z",))


def test_a_pattern_must_match_the_whole_text(a):
    assert typed(a, "kb123", pattern="kb[0-9]+") == "kb123"
    assert "must match the pattern" in refusal(a, "kb123; rm", pattern="kb[0-9]+")
    assert "must match the pattern" in refusal(a, "kb123\n", pattern="kb[0-9]+")


def test_a_long_text_is_never_given_to_a_pattern(a):
    # It would match; with a pattern that tries every way to match it could take for ever.
    assert typed(a, "a" * MAX_MATCHED, pattern="a+")
    assert "longer than" in refusal(a, "a" * (MAX_MATCHED + 1), pattern="a+")


def test_hostile_values_are_made_visible_in_messages(a):
    message = refusal(a, "\x1b[2J\u202e", type="int")
    assert "\x1b" not in message
    assert "\u202e" not in message


@given(st.text(max_size=60))
def test_any_text_is_typed_or_refused_and_can_be_stored(a, text):
    for sort in ("text", "bool", "int", "number", "datetime", "list"):
        book = a.playbook(params={"it": Param(type=sort)})
        try:
            value = typed_params(book, {"it": text})
        except UsageError:
            continue
        assert msgspec.json.decode(msgspec.json.encode(value)) == value


def test_pairs_are_parted_at_the_first_equals_sign():
    assert from_words(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}


def test_all_bad_pairs_are_named():
    with pytest.raises(UsageError) as caught:
        from_words(["a", "=b", "c=1", "c=2"])
    assert caught.value.message == "'a' is not NAME=VALUE; '=b' is not NAME=VALUE; c is given twice"


def test_a_file_gives_plain_values(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("version: '1.10'\nhosts: [a, b]\n", encoding="utf-8")
    assert from_file(path) == {"version": "1.10", "hosts": ["a", "b"]}
    path.write_text(json.dumps(["a"]), encoding="utf-8")
    with pytest.raises(InvalidInput) as caught:
        from_file(path)
    assert caught.value.problems[0].line == 1
