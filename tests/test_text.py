from __future__ import annotations

import re
import sys
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from outagekit.text import (
    StreamDecoder,
    closest,
    count,
    decode_remote,
    duration,
    fold_list,
    head_and_tail,
    identifier,
    slug,
    visible,
    visible_line,
)

NEVER_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
ANY_TEXT = st.text(st.characters(codec=None), max_size=60)
HOSTILE = [
    ("\x1b[2J", r"\x1b[2J"),
    ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
    ("\x9b31m", r"\x9b31m"),
    ("ok\rfailed", r"ok\rfailed"),
    ("a\x00b\x7f", r"a\x00b\x7f"),
    ("user\u202egnp.exe", r"user\u202egnp.exe"),
    ("\u2066x\u2069", r"\u2066x\u2069"),
    ("pay\u200bpal\ufeff", r"pay\u200bpal\ufeff"),
    ("a\u2028b\u2029", r"a\u2028b\u2029"),
    ("\ud800", r"\ud800"),
    ("\U000e0041", r"\U000e0041"),
]


def shown_only(text: str, allowed: str) -> bool:
    return all(unicodedata.category(c) not in NEVER_SHOWN or c in allowed for c in text)


@pytest.mark.parametrize(("text", "shown"), HOSTILE)
def test_what_a_terminal_would_obey_is_spelt_out(text, shown):
    assert visible(text) == shown
    assert visible_line(text) == shown


def test_printable_text_newlines_and_tabs_stay_as_they_are():
    text = "Müller, 東京\tok\n[/red] ✓\n"
    assert visible(text) == text
    assert visible_line(text) == r"Müller, 東京\tok\n[/red] ✓\n"


def test_a_windows_line_end_becomes_a_newline_but_a_lone_return_is_shown():
    assert visible("a\r\nb\r\r\nc\r") == "a\nb\\r\nc\\r"
    assert visible_line("a\r\nb") == r"a\r\nb"


def test_no_character_of_unicode_slips_through():
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert shown_only(visible(everything), "\n\t")
    assert shown_only(visible_line(everything), "")


@given(ANY_TEXT)
def test_visible_text_is_printable_and_stays_the_same(text):
    assert shown_only(visible(text), "\n\t")
    assert visible(visible(text)) == visible(text)
    assert visible_line(visible_line(text)) == visible_line(text)


def test_bytes_that_are_no_text_are_spelt_out():
    assert decode_remote(b"ok \xff\xed\xa0\x80") == r"ok \xff\xed\xa0\x80"


BYTES = st.lists(
    st.one_of(
        st.binary(max_size=4),
        st.text(max_size=3).map(lambda text: text.encode()),
        st.sampled_from([b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xf0\x9f\x98"]),
    ),
    max_size=8,
).map(b"".join)


@given(BYTES, st.lists(st.integers(0, 40)))
def test_a_stream_decodes_the_same_however_it_is_cut(data, cuts):
    decoder = StreamDecoder()
    places = sorted({0, len(data), *(cut for cut in cuts if cut <= len(data))})
    pieces = [decoder.feed(data[a:b]) for a, b in pairwise(places)]
    text = "".join((*pieces, decoder.finish()))
    assert text == decode_remote(data)
    assert not re.search("[\ud800-\udfff]", text)


def test_every_cut_through_a_character_is_healed():
    data = "a😀é€b".encode()
    for cut in range(len(data) + 1):
        decoder = StreamDecoder()
        assert decoder.feed(data[:cut]) + decoder.feed(data[cut:]) == "a😀é€b"
        assert decoder.finish() == ""


def test_a_decoder_is_new_after_its_end():
    decoder = StreamDecoder()
    assert decoder.feed(b"x\xe2\x82") == "x"
    assert decoder.finish() == r"\xe2\x82"
    assert decoder.feed(b"\xacy") == r"\xacy"


def test_text_at_the_limit_is_whole_and_beyond_it_cut_in_two():
    assert head_and_tail("x" * 10, 10) == ("x" * 10, "")
    assert head_and_tail("0123456789a", 10) == ("01234", "6789a")
    assert head_and_tail("é" * 6, 11) == ("éé", "éé")
    assert head_and_tail("abc", 0) == ("", "")
    assert head_and_tail("", 0) == ("", "")


@example("0" + "\u0800" * 6, 18)
@example("00" + "\u0800" * 5, 16)
@example("\u6f22" * 4000, 8192)  # fewer characters than half the limit, more bytes than all of it
@given(ANY_TEXT, st.integers(0, 80))
def test_head_and_tail_are_the_ends_of_the_text_within_their_halves(text, limit):
    head, tail = head_and_tail(text, limit)
    size = len(text.encode("utf-8", "surrogatepass"))
    if size <= limit:
        assert (head, tail) == (text, "")
        return
    assert text.startswith(head)
    assert text.endswith(tail)
    for part in (head, tail):
        length = len(part.encode("utf-8", "surrogatepass"))
        assert length <= limit // 2
        assert length > limit // 2 - 4


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Remove the faulty file", "remove-the-faulty-file"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Windows\\System32\\x.evtx", "c-windows-system32-x.evtx"),
        ("CON", "x-con"),
        ("nul.txt", "x-nul.txt"),
        ("COM¹.log", "x-com1.log"),
        ("console", "console"),
        ("file. . ", "file"),
        ("a:b", "a-b"),
        ("Müller Straße", "muller-strasse"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("東京", "unnamed"),
        ("", "unnamed"),
        ("x" * 70 + ".evtx", "x" * 55 + ".evtx"),
    ],
)
def test_a_slug_is_a_safe_file_name(text, name):
    assert slug(text) == name


def test_composed_and_decomposed_names_share_a_slug():
    assert slug(unicodedata.normalize("NFC", "Café")) == slug(unicodedata.normalize("NFD", "Café"))


@given(st.one_of(ANY_TEXT, st.text("con.-_ 1COMlpt", max_size=20)), st.integers(8, 60))
def test_any_text_gives_a_safe_slug(text, length):
    name = slug(text, length)
    assert re.fullmatch(r"[a-z0-9_][a-z0-9._-]*", name)
    assert len(name) <= length
    assert not name.endswith(".")
    assert not re.match(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", name)
    assert slug(name, length) == name


@pytest.mark.parametrize(
    ("title", "step"),
    [
        ("Read the UTC timestamps", "read_the_utc_timestamps"),
        ("2nd reboot!", "step_2nd_reboot"),
        ("  Über-prüfung ", "uber_prufung"),
        ("東京", "step"),
    ],
)
def test_a_title_becomes_a_step_id(title, step):
    assert identifier(title) == step


@given(ANY_TEXT)
def test_any_title_becomes_a_step_id(title):
    assert re.fullmatch("[a-z][a-z0-9_]*", identifier(title))


def test_the_nearest_word_is_suggested():
    assert closest("targts", ["title", "targets", "steps"]) == "targets"
    assert closest("TARGETS", ["Targets"]) == "Targets"
    assert closest("zebra", ["title", "targets"]) is None
    assert closest("x" * 100_000, ["title"]) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0123, "12 ms"),
        (0.9999, "1 s"),
        (3.21, "3.2 s"),
        (9.99, "10 s"),
        (59.6, "1 min"),
        (63, "1 min 3 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_400 + 60, "1 d"),
        (-5, "-5 s"),
    ],
)
def test_a_length_of_time_is_said_in_at_most_two_units(seconds, words):
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (1, "endpoint", "1 endpoint"),
        (0, "endpoint", "0 endpoints"),
        (2, "retry", "2 retries"),
        (2, "day", "2 days"),
        (3, "match", "3 matches"),
    ],
)
def test_a_number_bends_its_noun(number, noun, words):
    assert count(number, noun) == words


def test_long_lists_are_folded():
    assert fold_list([]) == ""
    assert fold_list(["a"]) == "a"
    assert fold_list(["a", "b", "c"]) == "a, b and c"
    assert fold_list(list("abcdefg"), 3) == "a, b, c and 4 more"
    assert fold_list(["a", "b"], 0) == "2"
