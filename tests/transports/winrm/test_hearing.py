"""What is known of the last line of a stream of which something may be missing."""

from __future__ import annotations

import pytest

from outagekit.redaction import Redactor
from outagekit.transports.windows.trailer import Unframer
from outagekit.transports.winrm.hearing import Hearing

GAP = "[a gap]"


@pytest.mark.parametrize(
    ("pieces", "missing"),
    [
        (["one\r\n", "two\r\n"], False),
        (["True\r\n", GAP], True),
        ([GAP], True),
        ([GAP, "rue"], True),
        ([GAP, "rue\r\n"], True),
        ([GAP, "rue\r\n", "\r\n"], True),
        ([GAP, "rue\r\n", "Fal", "se\r\n"], False),
        ([GAP, "rue\r\nFalse\r\n"], False),
        (["one\r\n", GAP, "x\r\ntwo\r\n", GAP], True),
        (["one\r\n", GAP, "x\r\ntwo\r\n", GAP, "y\nthree\n"], False),
    ],
)
def test_the_last_line_is_known_once_a_whole_one_follows_the_gap(
    pieces: list[str], missing: bool
) -> None:
    hearing = Hearing(Redactor(), 1000, show=lambda text: None)
    for piece in pieces:
        if piece == GAP:
            hearing.miss(piece)
        else:
            hearing.take(piece.encode())
    hearing.finish()
    assert hearing.is_missing is missing


def test_a_line_break_that_was_held_back_before_the_gap_ends_no_line_behind_it() -> None:
    hearing = Hearing(Redactor(), 1000, show=lambda text: None, unframer=Unframer("5eed"))
    hearing.take(b"True\r\n")
    hearing.miss(GAP)
    hearing.take(b'False\r\n\n5eed {"how":"end","rc":0}\n')
    hearing.finish()
    assert hearing.trailer is not None
    assert hearing.is_missing


def test_one_gap_is_told_once_and_another_place_again() -> None:
    hearing = Hearing(Redactor(), 1000, show=lambda text: None)
    for _ in range(3):
        hearing.miss(GAP)
    hearing.take(b"between\n")
    hearing.miss(GAP)
    hearing.miss(GAP)
    hearing.finish()
    assert hearing.captured().text.split() == [*GAP.split(), "between", *GAP.split()]
    assert hearing.captured().size_bytes == len("between\n")
