"""Streams of Windows become text, whichever encoding they are in and wherever they are cut."""

from __future__ import annotations

import pytest

from outagekit.transports.winrm.decoding import TextDecoder

TEXTS = ["Grüße, 世界 🛠\r\n", "plain\r\n", "", "x", "ab", "é"]


def decoded(data: bytes, size: int = 1) -> str:
    decoder = TextDecoder()
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return "".join(decoder.feed(piece) for piece in pieces) + decoder.finish()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_utf8_is_utf8_with_and_without_a_mark(text: str, size: int, mark: bytes) -> None:
    assert decoded(mark + text.encode(), size) == text


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("text", ["Grüße, 世界 🛠\r\n", "plain\r\n"])
def test_utf16_is_known_by_its_mark(text: str, size: int) -> None:
    assert decoded(b"\xff\xfe" + text.encode("utf-16-le"), size) == text


@pytest.mark.parametrize("size", [4, 9, 1000])
def test_utf16_is_known_by_its_nuls(size: int) -> None:
    text = "Windows Subsystem for Linux\r\nDefault: Ubuntu\r\n"
    assert decoded(text.encode("utf-16-le"), size) == text


def test_a_few_nuls_make_no_utf16() -> None:
    assert decoded(b"a\0bcdefgh\0i", 1000) == "a\0bcdefgh\0i"
    assert decoded(bytes(20), 1000) == "\0" * 20


def test_bytes_that_are_no_text_are_spelt_out() -> None:
    assert decoded(b"ab\xff\xfecd", 2) == "ab\\xff\\xfecd"


def test_text_is_not_held_back() -> None:
    decoder = TextDecoder()
    assert decoder.feed(b"tick") == "tick"
    assert decoder.feed(b"\xc3") == ""
    assert decoder.feed(b"\xa9") == "é"
