from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.inventory.model import Endpoint
from outagekit.inventory.select import matches
from outagekit.inventory.selector import (
    MAX_DEPTH,
    MAX_LENGTH,
    AllOf,
    AnyOf,
    Everything,
    Not,
    Selector,
    SelectorError,
    Word,
    parse,
    parse_targets,
)
from outagekit.text import visible_line

POS = Endpoint(
    client="acme", name="POS-01", address="10.1.4.11", os="windows", site="leeds", tags=("pos",)
)


def tree(text: str) -> str:
    """Return the meaning of a selector fully in parentheses."""

    def of(expression) -> str:
        match expression:
            case Word(key, value):
                return f"{key}:{value}"
            case Everything():
                return "all"
            case Not(part):
                return f"!{of(part)}"
            case AllOf(parts):
                return "(" + " & ".join(map(of, parts)) + ")"
            case AnyOf(parts):
                return "(" + " | ".join(map(of, parts)) + ")"

    return of(parse(text).root)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("pos-01", "name:pos-01"),
        ("acme/pos-*", "name:acme/pos-*"),
        ("os:windows and site:leeds and not tag:x", "(os:windows & site:leeds & !tag:x)"),
        ("a or b and c", "(name:a | (name:b & name:c))"),
        ("a, b and c", "(name:a | (name:b & name:c))"),
        ("a,b,c", "(name:a | name:b | name:c)"),
        ("(a or b) and c", "((name:a | name:b) & name:c)"),
        ("not a and b", "(!name:a & name:b)"),
        ("not (a, b)", "!(name:a | name:b)"),
        ("not not a", "!!name:a"),
        ("ALL", "all"),
        ("A AND NOT B", "(name:a & !name:b)"),
        ("all and not tag:X", "(all & !tag:x)"),
        ("address:2001:db8::*", "address:2001:db8::*"),
        ('file:"My Hosts (1).txt"', "file:My Hosts (1).txt"),
        ("file:C:\\hosts.txt", "file:C:\\hosts.txt"),
        ("run:last:failed", "run:last:failed"),
        ("run:20261122T081403Z-x:7q2:unknown", "run:20261122T081403Z-x:7q2:unknown"),
        ("name:and", "name:and"),
        ("'and'", "name:and"),
        ("  a\t,\nb  ", "(name:a | name:b)"),
    ],
)
def test_a_selector_means(text, meaning):
    assert tree(text) == meaning


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", 1, "it is empty"),
        ("   ", 1, "it is empty"),
        ("a b", 3, "is missing before this word"),
        ("a not b", 3, "is missing before this word"),
        ("a or", 5, "is missing here"),
        ("and a", 1, "is missing here"),
        ("a,,b", 3, "is missing here"),
        ("a and (b", 7, "this ( is never closed"),
        ("(a b)", 4, "a comma or ) is missing"),
        ("a)", 2, "there is no ( for this )"),
        ("()", 2, "is missing here"),
        ("a and tga:x", 7, "there is no tga:"),
        ("os:windws", 1, "there is no os:windws"),
        ("tag:", 1, "a value is missing after tag:"),
        ("tag:a/b", 1, "no tag has a / in it"),
        ("a/b/c", 1, "this is no name"),
        ("acme/", 1, "this is no name"),
        ("run:last", 1, "run: needs a run and an end state"),
        ("run:last:faild", 1, "there is no end state faild"),
        ('a, file:"b', 9, "this quote is never closed"),
        ("tag:\x1b[31m", 1, "a character cannot be printed after tag:"),
        ("\x1b:x", 1, r"there is no \x1b:"),
    ],
)
def test_a_bad_selector_says_where_and_why(text, column, reason):
    with pytest.raises(SelectorError) as caught:
        parse(text)
    assert caught.value.column == column
    assert reason in caught.value.reason
    assert caught.value.exit_code == 2
    assert "\x1b" not in caught.value.message + caught.value.hint


def test_the_hint_shows_the_selector_with_a_caret_and_what_was_meant():
    with pytest.raises(SelectorError) as caught:
        parse("os:windows and tga:pos")
    assert caught.value.hint.splitlines() == [
        "os:windows and tga:pos",
        "               ^",
        "did you mean tag:?",
    ]


def test_the_hint_of_a_long_selector_shows_the_piece_that_matters():
    with pytest.raises(SelectorError) as caught:
        parse(", ".join(["pos-01"] * 200) + " tag:x")
    shown, caret, *_ = caught.value.hint.splitlines()
    assert len(shown) <= 80
    assert shown[caret.index("^") :].startswith("tag:x")


def test_length_and_depth_are_limited():
    assert parse("a," * (MAX_LENGTH // 2 - 1) + "a")
    with pytest.raises(SelectorError, match="longer than 4000 characters"):
        parse("a" * (MAX_LENGTH + 1))
    assert parse("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH)
    for opening in ("(", "not ", "not ("):
        with pytest.raises(SelectorError, match="nested deeper"):
            parse(opening * (MAX_DEPTH + 1) + "a")


@pytest.mark.parametrize("word", ["client:acme", "address:10.*", "file:x", "run:last:ok", "acme/a"])
def test_targets_of_a_playbook_name_no_client_and_nothing_of_one_person(word):
    assert parse(f"tag:x or {word}")
    with pytest.raises(SelectorError) as caught:
        parse_targets(f"tag:x or {word}")
    assert caught.value.column == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pos-01", True),
        ("acme/pos-01", True),
        ("globex/pos-01", False),
        ("*/pos-0?", True),
        ("pos-0[23]", False),
        ("acme", False),
        ("client:acme", True),
        ("client:ac*", True),
        ("site:LEEDS", True),
        ("tag:pos", True),
        ("tag:po", False),
        ("os:windows", True),
        ("os:linux", False),
        ("address:10.1.*", True),
        ("not tag:pos or os:windows", True),
        ("pos-0[z-a]", False),
        ("pos-0[", False),
        ("*[*", False),
        ("*p" * 1000, False),
        ("all", True),
        ("not all", False),
    ],
)
def test_an_endpoint_matches(text, expected):
    assert matches(parse(text), POS) is expected


def test_an_endpoint_without_a_site_matches_no_site():
    nowhere = Endpoint(client="acme", name="a", address="192.0.2.1", os="linux")
    assert not matches(parse("site:*"), nowhere)
    assert not matches(parse("tag:*"), nowhere)


def parsed(text: str) -> Selector | SelectorError:
    try:
        return parse(text)
    except SelectorError as error:
        return error


@given(st.text(max_size=200))
def test_only_own_errors_come_from_any_text(text):
    selector = parsed(text)
    if isinstance(selector, SelectorError):
        assert 1 <= selector.column <= len(text) + 1
        assert visible_line(selector.message) == selector.message
        return
    for word in selector.words():
        assert parse(word.written).words()[0].value == word.value


PIECES = st.sampled_from(
    ["and", "or", "not", ",", "(", ")", "all", "tag:pos", "os:windows", "a*", "acme/pos-01", "x:"]
)


@given(st.lists(PIECES, max_size=40))
def test_only_own_errors_come_from_any_words(pieces):
    text = " ".join(pieces)
    try:
        found = matches(parse(text), POS)
    except SelectorError:
        return
    assert matches(parse(f"not ({text})"), POS) is not found
    assert matches(parse(f"({text}) and ({text})"), POS) is found
