"""Errors that PowerShell writes as XML, and all the text around them."""

from __future__ import annotations

import itertools
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.transports.windows.clixml import CliXmlStream

HEAD = "#< CLIXML\r\n"
OPENING = '<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
PROGRESS = (
    '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T>'
    '<T>System.Object</T></TN><MS><I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for'
    " first use.</AV><AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC><T>Completed</T><SR>-1</SR><SD> </SD>"
    "</PR></MS></Obj>"
)


def document(*elements: str) -> str:
    return f"{OPENING}{''.join(elements)}</Objs>"


def error(text: str, stream: str = "Error") -> str:
    return f'<S S="{stream}">{text}</S>'


def read(text: str, *cuts: int) -> str:
    stream = CliXmlStream()
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [stream.feed(text[begin:end]) for begin, end in itertools.pairwise(places)]
    return "".join(pieces) + stream.finish()


def test_an_error_becomes_the_text_the_console_would_show() -> None:
    text = HEAD + document(
        error("Get-Item : Cannot find path_x000D__x000A_"),
        error("    + CategoryInfo_x000D__x000A_"),
    )
    assert read(text) == "Get-Item : Cannot find path\r\n    + CategoryInfo\r\n"


def test_progress_is_dropped() -> None:
    assert read(HEAD + document(PROGRESS, PROGRESS)) == ""
    assert read(HEAD + document(PROGRESS, error("bad_x000A_"), PROGRESS)) == "bad\n"


def test_each_stream_is_told_by_its_word() -> None:
    text = HEAD + document(
        error("careful", "warning"), error("more", "verbose"), error("most", "debug"), error("e")
    )
    assert read(text) == "WARNING: careful\nVERBOSE: more\nDEBUG: most\ne"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("a_x005F_b", "a_b"),
        ("_x005F_x000A_", "_x000A_"),
        ("_x001B_[31mred", "\x1b[31mred"),
        ("_xD83C__xDF89_", "🎉"),
        ("_xD83C_ alone", "\ufffd alone"),
        ("_xdf89_", "\ufffd"),
        ("_x12_ _xZZZZ_ _x0041", "_x12_ _xZZZZ_ _x0041"),
        ("&lt;tag&gt; &amp;amp; &quot;&apos;", "<tag> &amp; \"'"),
        ("&#228;&#xE4;", "ää"),
        ("&#x110000; &#9999999; &unknown; &", "&#x110000; &#9999999; &unknown; &"),
        ("äöü 漢字", "äöü 漢字"),
    ],
)
def test_what_is_escaped_is_undone_once(sent: str, shown: str) -> None:
    assert read(HEAD + document(error(sent))) == shown


def test_documents_stand_anywhere_in_the_text() -> None:
    text = (
        f"native one\n{HEAD}{document(error('e1_x000A_'))}native two\n"
        f"{document(PROGRESS)}\r\n{document(error('e2_x000A_'))}\n{HEAD}{document(error('e3'))} end"
    )
    assert read(text) == "native one\ne1\nnative two\ne2\ne3 end"


def test_text_without_xml_stays_as_it_is() -> None:
    for text in ("", "\n", "plain\r\ntext", "#< CLI", "<Objs>", "a <b> & </c>", "#<", "#< CLIXM\n"):
        assert read(text) == text


def test_the_mark_alone_is_no_text() -> None:
    assert read(HEAD).strip() == ""
    assert read(HEAD + "not xml at all") == "\r\nnot xml at all"


SCRAPS = st.sampled_from(
    [
        HEAD,
        OPENING,
        "</Objs>",
        document(PROGRESS),
        document(error("e_x000A_")),
        error("x"),
        '<S S="Error">',
        "</S>",
        "<Nil />",
        "#< CLI",
        "<Obj",
        "text\n",
        " \r\n",
        "<",
        ">",
        "&amp;",
        "<!DOCTYPE x>",
    ]
)


@given(
    st.lists(SCRAPS | st.text(max_size=8), max_size=10).map("".join),
    st.lists(st.integers(0, 4000), max_size=10),
)
def test_it_is_the_same_wherever_the_pieces_are_cut(text: str, cuts: list[int]) -> None:
    assert read(text, *cuts) == read(text)


@given(st.text("#<CLIXMLObjsS/>&; =\"'\r\n", max_size=60))
def test_text_that_never_was_marked_is_not_touched(text: str) -> None:
    if "#< CLIXML" not in text:
        assert read(text, 3, 9, 20) == text


@pytest.mark.parametrize(
    "bad",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaa">]>',
        "<?xml version='1.0'?>",
        "<![CDATA[hidden]]>",
        "<!-- hidden -->",
        "< S>",
        '<S S="Error" <',
        "plain words",
        "<" + "x" * 2000,
    ],
)
def test_what_is_not_powershells_xml_passes_as_it_came(bad: str) -> None:
    text = HEAD + OPENING + error("first_x000A_") + bad + " after"
    shown = read(text)
    assert shown.startswith("first\n")
    assert shown.endswith(bad + " after")


def test_an_entity_is_never_expanded() -> None:
    bomb = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]>'
    shown = read(HEAD + bomb + document(error("&b;_x000A_")))
    assert "haha" not in shown
    assert shown.endswith("&b;\n")


def test_an_element_that_was_cut_is_told_as_far_as_it_came() -> None:
    assert read(HEAD + OPENING + '<S S="Error">half of it_x000A_ and') == "half of it\n and"
    assert read(HEAD + OPENING + '<Obj S="progress"><AV>half') == ""


def test_elements_without_end_are_not_kept() -> None:
    stream = CliXmlStream()
    stream.feed(HEAD + OPENING)
    tracemalloc.start()
    shown = 0
    for piece in ("<S S='Error'>", *("x" * 4096 for _ in range(500))):
        shown += len(stream.feed(piece))
    for _ in range(500):
        stream.feed("<Obj>" * 100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert shown > 500 * 4096 - 80 * 1024
    assert most < 2_000_000


def test_much_progress_and_text_take_time_in_proportion() -> None:
    begin = time.perf_counter()
    read(HEAD + document(*[PROGRESS] * 1000, *[error("e_x000A_")] * 3000) + "<" * 50_000)
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("length", [64 * 1024 + 1, 70_000, 300_000])
@pytest.mark.parametrize("end", ["", "</S></Objs>"])
def test_text_that_is_too_long_for_an_element_is_told_once(length: int, end: str) -> None:
    long = "".join(map(str, range(length)))[:length]
    assert read(HEAD + OPENING + '<S S="Error">' + long + end).removesuffix(end) == long
