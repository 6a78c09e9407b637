"""The last line of a command's output, taken out of a stream that is cut anywhere."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.events import FailureKind
from outagekit.transports.protocol import Told
from outagekit.transports.windows.trailer import (
    LONGEST_BYTES,
    Trailer,
    Unframer,
    parse_trailer,
)

NONCE = "0123456789abcdef" * 2


def trailer_line(nonce: str, told: Told, rc: int | None) -> bytes:
    said = {
        "how": told.how,
        "rc": rc,
        "native": told.native_code,
        "ps": told.version,
        "mode": told.language_mode,
        "boot": told.boot_time,
    }
    return f"\n{nonce} {json.dumps(said, separators=(',', ':'))}\n".encode("ascii")


TOLD = Told("end", 0, "5.1.19041.1", "FullLanguage", "2026-11-20T03:04:05Z")
LINE = trailer_line(NONCE, TOLD, 0)
SCRAPS = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b" ",
        b"some output",
        NONCE.encode(),
        NONCE[:7].encode(),
        f"\n{NONCE}".encode(),
        f"\n{NONCE} ".encode(),
        f'\n{NONCE} {{"how":"end","rc":1}}'.encode(),
        LINE,
        LINE.replace(b"0123", b"3210"),
        b"\xc3\xa4\xff\x00",
    ]
)


def unframed(data: bytes, cuts: list[int]) -> tuple[bytes, Trailer | None]:
    unframer = Unframer(NONCE)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    shown = b"".join(unframer.feed(data[begin:end]) for begin, end in itertools.pairwise(places))
    rest, trailer = unframer.finish()
    return shown + rest, trailer


@given(
    st.lists(SCRAPS | st.binary(max_size=20), max_size=8).map(b"".join),
    st.lists(st.integers(0, 5000), max_size=12),
)
def test_the_output_before_the_trailer_is_the_scripts_own(output: bytes, cuts: list[int]) -> None:
    shown, trailer = unframed(output + LINE, cuts)
    assert shown == output
    assert trailer == Trailer(TOLD, 0)


@given(
    st.lists(SCRAPS | st.binary(max_size=20), max_size=8).map(b"".join),
    st.lists(st.integers(0, 5000), max_size=12),
)
def test_without_a_trailer_nothing_is_lost(output: bytes, cuts: list[int]) -> None:
    data = output + b"."  # what comes last is no trailer then
    shown, trailer = unframed(data, cuts)
    assert (shown, trailer) == (data, None)


@pytest.mark.parametrize("cut", range(len(LINE) + 6))
def test_it_is_found_wherever_the_pieces_are_cut(cut: int) -> None:
    assert unframed(b"True\r\n" + LINE, [cut]) == (b"True\r\n", Trailer(TOLD, 0))


def test_it_is_found_byte_by_byte() -> None:
    data = b"no line break" + LINE
    assert unframed(data, list(range(len(data)))) == (b"no line break", Trailer(TOLD, 0))


def test_it_may_be_all_there_is() -> None:
    assert unframed(LINE, []) == (b"", Trailer(TOLD, 0))
    assert unframed(LINE[1:], [3]) == (b"", Trailer(TOLD, 0))


def test_output_is_given_at_once() -> None:
    unframer = Unframer(NONCE)
    assert unframer.feed(b"line one\nline two\n") == b"line one\nline two"
    assert unframer.feed(b"three") == b"\nthree"
    assert unframer.feed(LINE[:20]) == b""
    assert unframer.feed(LINE[20:]) == b""
    assert unframer.finish() == (b"", Trailer(TOLD, 0))


def test_a_line_with_another_nonce_is_output() -> None:
    other = trailer_line("f" * 32, TOLD, 0)
    assert unframed(other, []) == (other, None)


def test_only_what_comes_last_is_the_trailer() -> None:
    false = trailer_line(NONCE, Told("exit"), 7)
    assert unframed(false + LINE, [5, 50]) == (false, Trailer(TOLD, 0))
    assert unframed(LINE + b"after", [5, 50]) == (LINE + b"after", None)


def test_what_never_ends_is_not_held_back() -> None:
    unframer = Unframer(NONCE)
    flood = f"\n{NONCE} ".encode() + b"x" * 100_000
    shown = unframer.feed(flood)
    assert len(flood) - len(shown) <= LONGEST_BYTES


def test_blanks_without_end_are_not_held_back() -> None:
    unframer = Unframer(NONCE)
    shown = unframer.feed(LINE) + unframer.feed(b"\r\n" * 100_000)
    assert len(shown) > 190_000
    rest, trailer = unframer.finish()
    assert (shown + rest, trailer) == (LINE + b"\r\n" * 100_000, None)


@pytest.mark.parametrize(
    ("rc", "code"),
    [(0, 0), (3010, 3010), (-1073741510, -1073741510), (0xC000013A, -1073741510), (-1, -1)],
)
def test_an_exit_code_is_signed_whichever_way_it_was_said(rc: int, code: int) -> None:
    trailer = parse_trailer(trailer_line(NONCE, TOLD, rc), NONCE)
    assert trailer is not None
    assert trailer.rc == code


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "null",
        "{}",
        "{",
        '{"how":"end"}',
        '{"how":"end","rc":null}',
        '{"how":"exit"}',
        '{"how":"exit","rc":true}',
        '{"how":"exit","rc":"0"}',
        '{"how":"END","rc":0}',
        '{"how":["end"],"rc":0}',
        '{"how":"end","rc":0.5}',
        '{"how":"end","rc":0,"ps":7}',
        '{"how":"end","rc":0,"boot":"\\u001b[2J"}',
        '{"how":"end","rc":0,"mode":"' + "x" * 50 + '"}',
        '{"how":"end","rc":0} {}',
        '{"how":"end","rc":0,"x":' + "[" * 400,
        '{"how":"end","rc":0,"x":"ä"}',
        '{"how":"end","rc":0,"x":"' + "y" * LONGEST_BYTES + '"}',
    ],
)
def test_what_the_bootstrap_does_not_write_is_no_trailer(said: str) -> None:
    assert parse_trailer(f"{NONCE} {said}".encode(), NONCE) is None


@given(st.binary(max_size=60))
def test_no_line_breaks_the_reader(line: bytes) -> None:
    assert parse_trailer(line, NONCE) is None
    parse_trailer(f"{NONCE} ".encode() + line, NONCE)


@pytest.mark.parametrize("how", ["cut", "constrained"])
def test_a_refusal_says_that_nothing_ran(how: str) -> None:
    said: dict[str, Any] = {"how": how, "rc": 1, "mode": "ConstrainedLanguage"}
    trailer = parse_trailer(f"{NONCE} {json.dumps(said)}".encode(), NONCE)
    assert trailer is not None
    assert trailer.told is None
    assert trailer.failure is not None
    assert trailer.failure.kind is FailureKind.PROTOCOL
    assert not trailer.failure.sent


def test_a_constrained_language_is_explained() -> None:
    line = f'{NONCE} {{"how":"constrained","rc":78,"mode":"ConstrainedLanguage"}}'.encode()
    trailer = parse_trailer(line, NONCE)
    assert trailer is not None
    assert trailer.failure is not None
    for word in ("ConstrainedLanguage", "WDAC", "AppLocker", "cmd"):
        assert word in trailer.failure.detail
