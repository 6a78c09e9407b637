"""Values as PowerShell literals, read back by a small reader of PowerShell's own rules."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.transports.windows.quoting import assignments, environment, literal, quoted

QUOTES = "'\u2018\u2019\u201a\u201b"
HOSTILE = [
    "",
    "'",
    "''",
    "'; Remove-Item C:\\ -Recurse; '",
    "\u2018; Stop-Computer; \u2019",
    "\u201a\u201b\u2019\u2018'",
    '"$(Stop-Computer)"',
    "$env:PATH `n ${x} @{} $OK",
    "line one\r\nline two\n'@\n\"@\n",
    "tab\tbell\x07escape\x1b[2J",
    "#> <# #requires -version 9",
    "äöü 漢字 🎉 \u202e\u2028",
    "--% & | ; , ( ) { }",
    "2024-13-41T99:00:00Z",
    "2024-07-19T05:27:00",
]
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
MOMENT = re.compile(
    r"\[DateTime\]::SpecifyKind\(\(New-Object DateTime (\d+)\),\[DateTimeKind\]::Utc\)"
)


class Reader:
    """Reads what PowerShell reads in an expression made of literals, and nothing else."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def value(self) -> Any:
        rest = self.text[self.at :]
        if rest[0] in QUOTES:
            return self.string()
        for word, value in (("$null", None), ("$true", True), ("$false", False)):
            if rest.startswith(word):
                self.at += len(word)
                return value
        if found := MOMENT.match(rest):
            self.at += found.end()
            return datetime(1, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(found[1]) / 10)
        if found := re.match(r"-?\d+(\.\d+)?(e[+-]\d+)?(d?)", rest):
            self.at += found.end()
            number = found[0].removesuffix("d")
            if found[3]:
                return Decimal(number)
            return float(number) if found[1] or found[2] else int(number)
        return self.many("@(", ",", ")", self.value) if rest.startswith("@(") else self.mapping()

    def string(self) -> str:
        made, self.at = "", self.at + 1
        while True:
            one = self.text[self.at]
            self.at += 1
            if one in QUOTES:
                if self.at >= len(self.text) or self.text[self.at] not in QUOTES:
                    return made
                one = self.text[self.at]
                self.at += 1
            made += one

    def many(self, opening: str, between: str, closing: str, read: Any) -> list[Any]:
        self.expect(opening)
        alone = self.text.startswith(",", self.at)
        self.at += alone
        items = []
        while not self.text.startswith(closing, self.at):
            if items:
                self.expect(between)
            items.append(read())
        self.expect(closing)
        nested = len(items) == 1 and isinstance(items[0], list) and between == ","
        assert alone == nested, "a lone list in a list would be unrolled"
        return items

    def mapping(self) -> dict[str, Any]:
        def entry() -> tuple[str, Any]:
            key = self.string()
            self.expect("=")
            return key, self.value()

        return dict(self.many("@{", ";", "}", entry))

    def expect(self, text: str) -> None:
        assert self.text.startswith(text, self.at), self.text[self.at :][:50]
        self.at += len(text)


def read(text: str) -> Any:
    reader = Reader(text)
    value = reader.value()
    assert reader.at == len(text), text[reader.at :]
    return value


def same(value: Any) -> Any:
    return [same(item) for item in value] if isinstance(value, tuple) else value


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_is_one_literal(value: str) -> None:
    assert read(literal("x", value)) == value


@given(
    st.recursive(
        TEXTS
        | st.none()
        | st.booleans()
        | st.integers(-(2**63) + 1, 2**63 - 1)
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.text("abcdef'\u2019 ", max_size=5), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_data_arrives_as_it_is(value: Any) -> None:
    assert read(literal("x", value)) == value


@pytest.mark.parametrize("quote", QUOTES)
def test_each_character_that_powershell_takes_for_a_single_quote_is_doubled(quote: str) -> None:
    assert quoted(f"a{quote}b") == f"'a{quote}{quote}b'"


@pytest.mark.parametrize(
    "value",
    [
        datetime(2024, 7, 19, 5, 27, tzinfo=UTC),
        datetime(2024, 7, 19, 7, 27, tzinfo=timezone(timedelta(hours=2))),
        "2024-07-19T05:27:00Z",
        "2024-07-19T05:27:00.000000Z",
    ],
)
def test_a_moment_is_a_datetime_in_utc_and_never_text(value: object) -> None:
    # 638569636200000000 ticks: what [DateTime]::Parse(...).ToUniversalTime().Ticks says of it.
    made = literal("good_from", value)
    assert made.startswith("[DateTime]::SpecifyKind((New-Object DateTime 638569636200000000),")
    assert read(made) == datetime(2024, 7, 19, 5, 27, tzinfo=UTC)


def test_a_moment_keeps_its_microseconds() -> None:
    assert "DateTime 638569636201234560)" in literal("x", "2024-07-19T05:27:00.123456Z")


def test_numbers_keep_their_kind() -> None:
    assert literal("x", 7) == "7"
    assert literal("x", 0.1) == "0.1"
    assert literal("x", Decimal("1.50")) == "1.50d"
    assert literal("x", True) == "$true"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("a\0b", "NUL"),
        ("\ud800", "half a character"),
        (["\udfff"], "half a character"),
        ({"\0": 1}, "NUL"),
        ({"a": 1, "A": 2}, "tell apart"),
        ({1: 2}, "tell apart"),
        (float("nan"), "finite"),
        (Decimal("Infinity"), "finite"),
        (2**63, "too large"),
        (Decimal(2**96), "too large"),
        (datetime(2024, 1, 1), "without a zone"),  # noqa: DTZ001
        (object(), "of a kind"),
        ({1, 2}, "of a kind"),
        (b"bytes", "of a kind"),
    ],
)
def test_what_is_no_data_is_refused_by_name(value: object, reason: str) -> None:
    with pytest.raises(OutagekitError, match=reason) as raised:
        literal("colour", value)
    assert "colour" in raised.value.message


def test_what_is_nested_without_end_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(OutagekitError, match="nested"):
        literal("x", value)


def test_values_are_entries_of_one_hashtable() -> None:
    lines = assignments({"client": "acme", "count": 3}).split("\n")
    assert lines == ["$global:OK=@{}", "$global:OK['client']='acme'", "$global:OK['count']=3"]


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(OutagekitError, match="cannot name"):
        assignments({"x']=1;#": 1})


@pytest.mark.parametrize("one", list('"%!^&|<>\r\n'))
def test_what_cmd_could_obey_is_refused(one: str) -> None:
    with pytest.raises(OutagekitError, match=r"'path' holds .*cmd\.exe could obey"):
        environment({"path": f"a{one}b"})


def test_what_cmd_cannot_obey_is_an_environment_variable() -> None:
    assert environment({"good_from": "2024-07-19T05:27:00Z", "it": "it's (so)"}).split("\n") == [
        "[Environment]::SetEnvironmentVariable('OK_GOOD_FROM','2024-07-19T05:27:00Z','Process')",
        "[Environment]::SetEnvironmentVariable('OK_IT','it''s (so)','Process')",
    ]


def test_a_variable_longer_than_a_line_of_cmd_is_refused() -> None:
    with pytest.raises(OutagekitError, match="too long"):
        environment({"x": "x" * 9000})


@pytest.mark.parametrize("value", ["a) else (del x", "a)ELSE(b", "a )\t else b"])
def test_what_could_change_which_block_cmd_runs_is_refused(value: str) -> None:
    with pytest.raises(OutagekitError, match=r"(?i)else.*, which cmd\.exe could obey"):
        environment({"path": value})


@pytest.mark.parametrize("value", ["C:\\Program Files (x86)\\a", "(a) elsewhere", "or else"])
def test_brackets_alone_are_only_text(value: str) -> None:
    assert value in environment({"path": value})
