"""The last line of a framed command: found wherever it is cut, and never shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.transports.protocol import Told
from outagekit.transports.winrm.unframing import Unframer

NONCE = "0f" * 16
END = {
    "how": "end",
    "rc": 0,
    "native": 3010,
    "ps": "5.1.17763.1",
    "mode": "FullLanguage",
    "boot": "2026-11-22T07:01:02Z",
}


def trailer(**changes: object) -> bytes:
    return f"{NONCE} {json.dumps({**END, **changes})}\r\n".encode()


def fed(*pieces: bytes) -> tuple[Unframer, bytes]:
    unframer = Unframer(NONCE)
    output = b"".join(unframer.feed(piece) for piece in pieces)
    return unframer, output + unframer.finish()


def test_the_line_is_read_and_taken_out() -> None:
    unframer, output = fed(b"hello\r\n" + trailer())
    assert output == b"hello\r\n"
    assert unframer.trailer is not None
    assert unframer.trailer.exit_code == 0
    assert unframer.trailer.told == Told(
        "end", 3010, "5.1.17763.1", "FullLanguage", "2026-11-22T07:01:02Z"
    )


@pytest.mark.parametrize("cut", range(len(b"ab\r\n" + trailer()) + 1))
def test_the_line_is_found_wherever_it_is_cut(cut: int) -> None:
    whole = b"ab\r\n" + trailer()
    unframer, output = fed(whole[:cut], whole[cut:])
    assert output == b"ab\r\n"
    assert unframer.trailer is not None


@given(st.binary(max_size=80), st.lists(st.integers(0, 300), max_size=6))
def test_output_comes_out_as_it_went_in(output: bytes, cuts: list[int]) -> None:
    whole = output + trailer()
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[a:b] for a, b in zip(places, places[1:], strict=False)]
    unframer, found = fed(*pieces)
    assert found == output
    assert unframer.trailer is not None


def test_nothing_of_the_line_is_shown_before_it_is_whole() -> None:
    unframer = Unframer(NONCE)
    shown = b"".join(unframer.feed(bytes([byte])) for byte in b"x\n" + trailer()[:-1])
    assert shown == b"x\n"


def test_output_is_not_held_back_longer_than_it_may_be_ours() -> None:
    unframer = Unframer(NONCE)
    assert unframer.feed(b"one 0f0f") == b"one "
    assert unframer.feed(b"? two") == b"0f0f? two"


def test_a_program_without_a_last_line_break_does_not_hide_it() -> None:
    unframer, output = fed(b"no newline" + trailer())
    assert output == b"no newline"
    assert unframer.trailer is not None


def test_a_line_without_its_end_counts_when_the_stream_ends() -> None:
    unframer, output = fed(trailer().rstrip())
    assert output == b""
    assert unframer.trailer is not None


def test_what_is_written_after_the_line_is_output() -> None:
    _, output = fed(trailer() + b"a child that lived on\r\n")
    assert output == b"a child that lived on\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b" {}",
        b" []",
        b" not json",
        b"",
        b' {"how":"end"}',
        b' {"how":"end","rc":true}',
        b' {"how":"killed","rc":0}',
        b' {"how":"end","rc":"0"}',
        b' {"how":"end","rc":0,"x":"\xff"}',
        b" " + b"[" * 3000,
    ],
)
def test_a_line_that_says_nothing_is_output_and_no_end(line: bytes) -> None:
    whole = NONCE.encode() + line + b"\n"
    unframer, output = fed(whole)
    assert unframer.trailer is None
    assert output == whole


def test_a_line_without_end_is_not_collected_for_ever() -> None:
    unframer = Unframer(NONCE)
    shown = sum(len(unframer.feed(b"x" * 1000)) for _ in range(3))
    shown += len(unframer.feed(NONCE.encode() + b" {"))
    shown += sum(len(unframer.feed(b"y" * 1000)) for _ in range(20))
    assert shown > 20_000


def test_the_last_of_several_lines_counts() -> None:
    unframer, output = fed(trailer(rc=1), b"more\n", trailer(rc=7))
    assert output == b"more\n"
    assert unframer.trailer is not None
    assert unframer.trailer.exit_code == 7


@pytest.mark.parametrize(("said", "code"), [(3221225786, -1073741510), (-1, -1), (3010, 3010)])
def test_exit_codes_have_a_sign(said: int, code: int) -> None:
    unframer, _ = fed(trailer(rc=said))
    assert unframer.trailer is not None
    assert unframer.trailer.exit_code == code


def test_words_of_the_endpoint_are_made_safe() -> None:
    unframer, _ = fed(trailer(ps="\x1b[31m" + "5" * 500))
    assert unframer.trailer is not None
    assert unframer.trailer.told.version.startswith("\\x1b[31m5")
    assert len(unframer.trailer.told.version) == 64
