"""Files of a Windows endpoint: paths, commands and answers."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.transports.protocol import Captured, Failure, Outcome
from outagekit.transports.windows import files
from outagekit.transports.windows.bootstrap import BOOTSTRAP, MOST_CHARACTERS, PROGRAM
from outagekit.transports.windows.files_asked import (
    FileRequest,
    answer_refused,
    answer_told,
    request_in,
)
from outagekit.transports.windows.files_texts import CONTENT_APART
from outagekit.transports.windows.render import sent_in

PATH = r"C:\Users\Public\report.txt"
SHA = hashlib.sha256(b"content").hexdigest()


def said(*lines, code=0):
    text = "\n".join(lines) + "\n"
    return Outcome(code, Captured(text, len(text)))


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "C:/Windows/win.ini",
        r"%ProgramData%\outagekit.txt",
        r"%ProgramFiles(x86)%\a\b.txt",
        r"d:\with space\[brackets]\it's.txt",
        r"C:\a\..\b.txt",
        r"C:\console.txt",
        r"C:\com10.txt",
    ],
)
def test_a_path_of_the_endpoint_is_taken(path):
    assert files.path_fault(path) == ""
    assert files.stat_command(path).framed


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (r"\\server\share\a.txt", "another machine"),
        ("//server/share/a.txt", "another machine"),
        (r"\\?\C:\a.txt", "whole path|another machine|stand in no"),
        (r"C:\logs\*.txt", "one path names one file"),
        (r"C:\logs\?.txt", "one path names one file"),
        ("", "whole path"),
        ("a.txt", "whole path"),
        (r"\a.txt", "whole path"),
        ("C:a.txt", "whole path"),
        ("C:\\", "whole path"),
        ("C:\\folder\\", "whole path"),
        ("C:\\a\nb", "whole path"),
        ("C:\\a\0b", "whole path"),
        ('C:\\a"b', "whole path"),
        (r"C:\a.txt:hidden", "stream"),
        (r"C:\a\NUL", "device"),
        (r"C:\con.txt", "device"),
        ("C:\\COM\u00b9", "device"),
        (r"C:\a\lpt1.log", "device"),
        (r"C:\a. ", "dot or space"),
        (r"C:\a.\b", "dot or space"),
        ("C:\\" + "a" * 260, "longer than"),
    ],
)
def test_any_other_path_is_refused_with_its_reason(path, why):
    for make in (
        lambda: files.put_command(path, 7, SHA),
        lambda: files.stat_command(path),
        lambda: files.chunk_command(path, 0),
    ):
        with pytest.raises(OutagekitError, match=why):
            make()


@given(st.text(max_size=40))
def test_a_path_never_leaves_its_quotes(name):
    path = f"C:\\{name}x"
    if files.path_fault(path):
        return
    try:
        text = sent_in(files.stat_command(path).stdin).text
    except OutagekitError:
        return
    first = text.partition("\n")[0]
    inner = first.removeprefix("$okName = '").removesuffix("'")
    for quote in "'\u2018\u2019\u201a\u201b":
        inner = inner.replace(quote * 2, "")
        assert quote not in inner


def test_content_comes_after_an_empty_line_that_ends_the_script():
    command = files.put_command(PATH, 7, SHA)
    script, _, rest = command.stdin.partition(b"\n\n")
    assert rest == b""
    assert sent_in(script).text.count(SHA) == 1
    lines = command.stdin.split(b"\n")
    assert all(lines[:-2])


def test_what_reads_the_content_differs_in_one_place_only():
    line = files.put_command(PATH, 7, SHA).line
    assert PROGRAM not in line
    assert len(line) < MOST_CHARACTERS - 1000
    encoded = line.rpartition(" ")[2]
    text = base64.b64decode(encoded).decode("utf-16-le")
    assert text == BOOTSTRAP.replace("$ok_in=@($input)", CONTENT_APART)
    assert text != BOOTSTRAP
    assert text.count("$input") == 1


def test_every_put_has_a_temporary_name_of_its_own_beside_the_target():
    texts = {sent_in(files.put_command(PATH, 7, SHA).stdin).text for _ in range(2)}
    assert len(texts) == 2
    assert all("$okPart = '.report.txt." in text for text in texts)


def test_a_long_name_leaves_room_for_the_temporary_one():
    text = sent_in(files.put_command("C:\\" + "n" * 200, 7, SHA).stdin).text
    assert f"$okPart = '.{'n' * 100}." in text


@pytest.mark.parametrize(("size", "sha"), [(-1, SHA), (7, ""), (7, SHA.upper()), (7, SHA + "0")])
def test_a_put_without_its_proof_is_refused(size, sha):
    with pytest.raises(OutagekitError, match="SHA-256"):
        files.put_command(PATH, size, sha)


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, 1), (0, 0), (0, files.CHUNK_BYTES + 1), (0, -5)]
)
def test_no_piece_is_larger_than_a_stream_that_is_kept(offset, length):
    with pytest.raises(OutagekitError, match="pieces"):
        files.chunk_command(PATH, offset, length)


def test_a_piece_comes_in_lines_that_each_stand_for_themselves():
    data = bytes(range(256)) * 300
    cut = [data[at : at + 49152] for at in range(0, len(data), 49152)]
    end = json.dumps({"size": 10**6, "written": "2026-11-22T08:14:03.1234567Z", "sent": len(data)})

    told = files.parse_told(said(*(base64.b64encode(piece).decode() for piece in cut), end))

    assert told == files.Told(10**6, "", "2026-11-22T08:14:03.1234567Z", data)


def test_a_piece_that_lost_a_line_is_no_piece():
    end = json.dumps({"size": 6, "written": "", "sent": 6})
    assert files.parse_told(said(base64.b64encode(b"abc").decode(), end)) is None
    assert files.parse_told(said("no base64!", end)) is None


def test_size_and_digest_are_told():
    told = files.parse_told(said(json.dumps({"size": 7, "written": "w", "sha256": SHA})))
    assert told == files.Told(7, SHA, "w")


@pytest.mark.parametrize("code", ["missing", "denied", "locked", "folder", "share", "cut"])
def test_a_refusal_is_said_in_our_words(code):
    told = files.parse_told(said(json.dumps({"refused": code, "said": "anything"})))
    assert isinstance(told, files.Refused)
    assert told.code == code
    assert told.said != "anything"


def test_what_only_windows_knows_is_said_in_its_words():
    told = files.parse_told(said(json.dumps({"refused": "other", "said": "odd\u001b[2J"})))
    assert isinstance(told, files.Refused)
    assert told.said.startswith("odd")
    assert "\x1b" not in told.said


@pytest.mark.parametrize(
    "outcome",
    [
        said(""),
        said("hello"),
        said("[]"),
        said('{"size":"7"}'),
        said('{"size":-7}'),
        said('{"size":true}'),
        said('{"refused":5}'),
        said('{"size":7}', code=1),
        Outcome(None, failure=Failure("lost", "gone")),
        Outcome(0, Captured('{"size":7}', 7, truncated=True)),
        said("[" * 100_000),
    ],
)
def test_what_is_no_answer_is_none(outcome):
    assert files.parse_told(outcome) is None


def test_a_simulated_machine_finds_what_it_is_asked_for():
    command = files.chunk_command("C:\\it's \u2019s.txt", 512, 1024)
    asked = request_in(command.line, command.stdin)
    assert asked == FileRequest("chunk", "C:\\it's \u2019s.txt", offset=512, length=1024)
    stat = files.stat_command(PATH, digest=True)
    assert request_in(stat.line, stat.stdin) == FileRequest("stat", PATH, digest=True)


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_a_simulated_machine_finds_the_content_behind_its_input(ends):
    command = files.put_command(PATH, 7, SHA)
    lines = b"".join(base64.b64encode(piece) + ends for piece in (b"con", b"tent"))
    asked = request_in(command.line, command.stdin + lines)
    assert asked == FileRequest("put", PATH, size_bytes=7, sha256=SHA, content=b"content")
    cut = request_in(command.line, command.stdin + b"!\n")
    assert cut is not None
    assert cut.content is None


def test_what_a_simulated_machine_answers_is_understood():
    data = bytes(100_000)
    said_ = said(answer_told(200_000, written="w", data=data))
    assert files.parse_told(said_) == files.Told(200_000, "", "w", data)
    assert files.parse_told(said(answer_told(7, sha256=SHA))) == files.Told(7, SHA)
    refused = files.parse_told(said(answer_refused("locked")))
    assert refused == files.Refused("locked", "another program keeps it locked")


def test_no_other_command_asks_for_a_file():
    command = files.stat_command(PATH)
    assert request_in("ver", command.stdin) is None
    assert request_in(command.line, b"") is None
    assert request_in(command.line.replace("OK_FILE=stat", "OK_FILE=burn"), command.stdin) is None
