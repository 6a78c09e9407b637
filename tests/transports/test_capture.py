"""What is kept of a stream."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from outagekit.redaction import Redactor, Secret
from outagekit.transports.capture import Capture


def kept(pieces: list[bytes], keep: int, redactor: Redactor | None = None) -> tuple[Capture, str]:
    capture = Capture(redactor or Redactor(), keep)
    shown = "".join(capture.feed(piece) for piece in pieces) + capture.finish()
    return capture, shown


def test_a_short_stream_is_kept_whole() -> None:
    capture, shown = kept([b"one ", b"two"], 7)
    assert capture.captured().text == shown == "one two"
    assert not capture.captured().truncated


def test_of_a_long_stream_both_ends_are_kept() -> None:
    capture, shown = kept([b"%06d\n" % n for n in range(1000)], 70)
    found = capture.captured()
    assert found.truncated
    assert found.size_bytes == len(shown) == 7000
    assert found.text.startswith("000000\n000001\n")
    assert found.text.endswith("\n000999\n")
    assert "\n[6930 bytes left out]\n" in found.text


@given(
    data=st.binary(max_size=300),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    keep=st.integers(0, 400),
)
def test_any_stream_in_any_pieces_is_kept_within_its_limit(
    data: bytes, cuts: list[int], keep: int
) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    capture, shown = kept(pieces, keep)
    found = capture.captured()
    assert found.size_bytes == len(data)
    assert shown == data.decode("utf-8", "backslashreplace")
    assert found.truncated is (len(shown.encode()) > keep)
    assert found.truncated or found.text == shown
    assert len(found.text.encode()) <= keep + 40


def test_a_secret_at_the_edge_of_what_is_kept_does_not_show() -> None:
    redactor = Redactor([Secret("password", "hunter2-hunter2")])
    for keep in range(4, 60):
        text = b"aaaaaaaa hunter2-hunter2 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb hunter2-hunter2 c"
        capture, _ = kept([text[:12], text[12:70], text[70:]], keep, redactor)
        assert "unter2" not in capture.captured().text
