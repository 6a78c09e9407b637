"""Input in pieces that fit into messages."""

from __future__ import annotations

import base64

import pytest

from outagekit.transports.winrm.feeding import MOST_BYTES, Feed


def pieces(feed: Feed) -> list[bytes]:
    found = []
    while not feed.is_over:
        found.append(feed.take())
    return found


def test_a_short_input_is_one_piece() -> None:
    assert pieces(Feed(b"script\r\n")) == [b"script\r\n"]


def test_no_input_is_no_piece() -> None:
    feed = Feed(b"")
    assert feed.is_over
    assert feed.take() == b""


@pytest.mark.parametrize("size", [MOST_BYTES - 1, MOST_BYTES, MOST_BYTES + 1, 3 * MOST_BYTES])
def test_pieces_are_bounded_and_whole_together(size: int) -> None:
    text = bytes(n % 251 for n in range(size))
    found = pieces(Feed(text))
    assert b"".join(found) == text
    assert max(map(len, found)) <= MOST_BYTES


@pytest.mark.parametrize("size", [1, 48 * 1024, 48 * 1024 + 1, 500_000])
def test_content_follows_as_lines_of_base64(size: int) -> None:
    content = bytes(n * 7 % 256 for n in range(size))
    found = pieces(Feed(b"nonce\r\n", content))
    lines = b"".join(found).splitlines()
    assert lines[0] == b"nonce"
    assert b"".join(base64.b64decode(line, validate=True) for line in lines[1:]) == content
    assert max(map(len, found)) <= MOST_BYTES


def test_a_piece_that_was_too_large_is_halved() -> None:
    text = b"0123456789" * 10_000
    feed = Feed(text)
    first = feed.take()
    assert feed.refused(first)
    found = pieces(feed)
    assert b"".join(found) == text
    assert max(map(len, found)) == MOST_BYTES // 2


def test_a_server_that_takes_nothing_is_not_asked_for_ever() -> None:
    feed = Feed(b"x" * 200_000)
    for _ in range(20):
        if not feed.refused(feed.take()):
            return
    pytest.fail("it goes on for ever")
