"""Expressions: what they can say, what they cannot, and that nothing in them can hurt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagekit.playbook.expressions import (
    ExpressionProblem,
    NoValue,
    evaluate,
    parse_expression,
    parse_template,
    render,
)

VALUES = {
    "detect": {"impacted": True, "newest": "2024-07-19T04:09:00Z", "items": 3, "state": "ok"},
    "good_from": "2024-07-19T05:27:00Z",
    "n": 3,
    "share": 0.5,
    "names": ["b", "a"],
    "client": "acme",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("detect.impacted", True),
        ("not detect.impacted or n > 2", True),
        ("detect.items", 3),
        ("n * 2 + 1 - 4 / 2", 5.0),
        ("7 // 2 + 7 % 2", 4),
        ("-n", -3),
        ("'a' + \"b\"", "ab"),
        ("'yes' if detect.impacted else 'no'", "yes"),
        ("n in [1, 3]", True),
        ("'x' not in names", True),
        ("{'a': n, 'b': [1, true, none]}", {"a": 3, "b": [1, True, None]}),
        ("(1, 2)", [1, 2]),
        ("1 < n <= 3", True),
        ("names | sort | join(', ')", "a, b"),
        ("names | first | upper", "B"),
        ("names | last | length", 1),
        ("detect | length", 4),
        ("'7' | int", 7),
        ("2.567 | round(1)", 2.6),
        ("2.5 | round", 2),
        ("detect.nothing | default('none')", "none"),
        ("nobody.at.all | default(0)", 0),
        ("' a ' | trim | lower", "a"),
        ("names | tojson", '["b","a"]'),
        ("client == 'acme' and share < 1", True),
        ("nobody.ok if false else n", 3),
        ("true or nobody", True),
    ],
)
def test_an_expression_has_a_value(text, value):
    assert evaluate(text, VALUES) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("detect.newest < good_from", True),
        ("detect.newest >= good_from", False),
        ("good_from == '2024-07-19T07:27:00+02:00'", True),
        ("good_from == '2024-07-19T05:27:00.000Z'", True),
        ("good_from < '2024-07-19T05:27:00.5Z'", True),
        ("'2024-07-19T23:00:00-05:00' > '2024-07-20T03:00:00Z'", True),
        ("good_from in [good_from]", True),
        ("'2024-99-19T05:27:00Z' == '2024-99-19T05:27:00Z'", True),
        ("'9999-12-31T23:59:59-01:00' == 'x'", False),
    ],
)
def test_dates_compare_as_moments(text, value):
    assert evaluate(text, VALUES) is value


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("nobody", "nobody"),
        ("detect.nothing", "detect.nothing"),
        ("not detect.nothing", "detect.nothing"),
        ("n > 1 and nobody.x", "nobody.x"),
        ("[n, detect.nothing]", "detect.nothing"),
        ("{'a': nobody}", "nobody"),
        ("nobody | tojson", "nobody"),
        ("nobody | upper", "nobody"),
        ("nobody + 1", "nobody"),
        ("client.upper", "client.upper"),
        ("names.append", "names.append"),
        ("n.__class__.__mro__", "n.__class__.__mro__"),
        ("detect.keys", "detect.keys"),
        ("good_from < detect.nothing", "detect.nothing"),
    ],
)
def test_a_value_that_does_not_exist_is_named(text, name):
    with pytest.raises(NoValue) as caught:
        evaluate(text, VALUES)
    assert caught.value.name == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("client.upper()", "calls are not allowed"),
        ("names[0]", "`[ ]` after a value is not allowed"),
        ("names[0:1]", "`[ ]` after a value is not allowed"),
        ("2 ** 9", "`**` is not allowed"),
        ("client ~ n", "`~` is not allowed"),
        ("n is defined", "`is` is not allowed"),
        ("n if n", "`if` needs its `else`"),
        ("n | default(value=1)", "named arguments are not allowed"),
        ("n | attr('x')", "unknown filter `attr`"),
        ("n | comparable", "unknown filter `comparable`"),
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        ("n +", "the expression ends too early"),
        ("n n", "this is no expression: unexpected 'n'"),
        ("n }}", "this is no expression: unexpected '}}'"),
        ("n }} {{ n", "this is no expression: unexpected '}}'"),
        ("{% if n %}", "this is no expression"),
        ("n; n", "this is no expression"),
        ("x" * 1001, "longer than 1000 characters"),
        ("(" * 500, "this is no expression"),
        ("not " * 200 + "n", "nested too deeply"),
        ("1+" * 200 + "1", "nested too deeply"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_refused_when_it_is_read(text, message):
    with pytest.raises(ExpressionProblem) as caught:
        parse_expression(text)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("'a' * 1000000000", "`*` needs numbers on both sides"),
        ("names * 1000000", "`*` needs numbers on both sides"),
        ("'%99999999d' % 1", "`%` needs numbers on both sides"),
        ("9999999999 * 9999999999", "the number grows too large"),
        ("n / 0", "division by zero"),
        ("client < n", "these values do not fit together"),
        ("2.5 | round(100000)", "`round` needs a number"),
        ("n | join", "this filter needs a list"),
        ("n | length", "`length` needs"),
        ("client | int", "`int` needs"),
        ("n | upper(1)", "these values do not fit together"),
        ("self", "the value is neither"),
    ],
)
def test_what_cannot_be_evaluated_is_a_problem_and_not_a_crash(text, message):
    with pytest.raises(ExpressionProblem) as caught:
        evaluate(text, VALUES)
    assert message in caught.value.message


def test_a_value_cannot_grow_beyond_its_cap():
    long = {"a": "x" * 40_000}
    with pytest.raises(ExpressionProblem, match="too long"):
        evaluate("a + a", long)
    with pytest.raises(ExpressionProblem, match="longer than"):
        evaluate("[a, a]", long)
    with pytest.raises(ExpressionProblem, match="grows beyond"):
        render("{{ a }}{{ a }}", long)
    with pytest.raises(ExpressionProblem, match="too long"):
        evaluate("[a, a] | join", long)


def test_references_are_found_as_they_are_written():
    expression = parse_expression("detect . newest < good_from and not remove.changed")
    assert expression.names == {"detect.newest", "good_from", "remove.changed"}
    assert expression.offset_of("detect.newest") == 0
    assert expression.offset_of("remove.changed") == 36


def test_a_fault_has_its_place_in_the_text():
    with pytest.raises(ExpressionProblem) as caught:
        parse_template("Say {{ client | lowr }}")
    assert caught.value.offset == 16
    assert caught.value.hint == "did you mean `lower`?"


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("{{ client }} has {{ n }}\n", "acme has 3\n"),
        ('{"a": {{ detect.impacted | tojson }}, "b": {"c":{}}}', '{"a": true, "b": {"c":{}}}'),
        ("{{ detect.impacted }} {{ none }}|{{ names }}", 'true |["b","a"]'),
        ("{{ '}}' }}{{ {'a': {'b': n}} }}", '}}{"a":{"b":3}}'),
        ("{ { not one } }", "{ { not one } }"),
    ],
)
def test_a_text_is_filled_with_values(text, rendered):
    assert render(text, VALUES) == rendered


@pytest.mark.parametrize(
    ("text", "offset"),
    [("a {% if n %}", 2), ("a {# c #}", 2), ("ab {{ n", 3), ("{{ n }", 0), ("a {{- n }}", 4)],
)
def test_a_text_holds_expressions_and_nothing_else(text, offset):
    with pytest.raises(ExpressionProblem) as caught:
        parse_template(text)
    assert caught.value.offset == offset


def test_values_are_never_read_as_expressions():
    assert render("{{ client }}", {"client": "{{ secret }}", "secret": 1}) == "{{ secret }}"


PIECES = ["n", "detect", ".", "impacted", "(", ")", "[", "]", "{", "}", "'", "|", "tojson", "not "]
PIECES += [" and ", " if ", " else ", "*", "**", "+", "-", "1", "9999999", ",", ":", "<", "==", " "]
PIECES += ["{{", "}}", "{%", "\\", '"', "in ", "is ", "~", "%", "__class__", "default", "\n", "é"]


def answer(judge, text):
    try:
        judge(text, VALUES)
    except (ExpressionProblem, NoValue) as error:
        return error
    return None


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_text_has_a_value_or_one_of_two_answers(text):
    for judge in (evaluate, render):
        error = answer(judge, text)
        assert 0 <= getattr(error, "offset", 0) <= len(text)
