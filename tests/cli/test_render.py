from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from outagekit.cli.fitting import fold_line, shorten
from outagekit.cli.render import Screen, as_called, json_text, named_state
from outagekit.errors import (
    InvalidInput,
    OutagekitError,
    Problem,
    Refused,
    StoppedByPerson,
    UsageError,
)
from outagekit.events import EndState
from outagekit.testing.terminal import Keyboard, Pipe, Terminal

HOSTILE = "\x1b[2J\x1b]52;c;AAAA\x07 [bold]loud[/x] \u202egnp.exe"


@pytest.fixture
def terminal(monkeypatch):
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def screen(**options):
    out, err = Pipe(), Pipe()
    return Screen(stdout=out, stderr=err, stdin=io.StringIO(), **options), out, err


def test_hostile_text_is_shown_spelt_out_and_never_read_as_markup():
    shown, out, err = screen()
    shown.say(HOSTILE)
    shown.warn(HOSTILE)
    shown.lines([HOSTILE])
    shown.print(HOSTILE)
    shown.table([HOSTILE], [[HOSTILE]])
    shown.next([HOSTILE])
    shown.error(OutagekitError(HOSTILE, hint=HOSTILE))
    for written in (out.getvalue(), err.getvalue()):
        assert not re.search(r"[\x1b\x07\u202e]", written)
        assert r"\x1b[2J\x1b]52;c;AAAA\x07 [bold]loud[/x] \u202egnp.exe" in written


def test_a_terminal_gets_colour(terminal):
    Screen(stderr=terminal).warn("careful")
    assert "\x1b[" in terminal.getvalue()


def test_no_color_leaves_no_escape_on_a_terminal(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    Screen(stderr=terminal).warn("careful")
    Screen(stderr=terminal).error(Refused("no", hint="ask"))
    assert terminal.getvalue() == "warning: careful\nrefused: no\nhint: ask\n"


def test_plain_leaves_no_escape_on_a_terminal_and_allows_no_live_view(terminal):
    plain = Screen(plain=True, stderr=terminal)
    plain.warn("careful")
    assert terminal.getvalue() == "warning: careful\n"
    assert not plain.live


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"])
def test_a_pipe_is_never_taken_for_a_terminal(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    shown, _, err = screen()
    shown.warn("careful")
    assert err.getvalue() == "warning: careful\n"
    assert not shown.live


def test_a_live_view_needs_a_terminal_that_can_draw(terminal, monkeypatch):
    assert Screen(stderr=terminal).live
    assert not Screen(stderr=terminal, json=True).live
    assert not Screen(stderr=terminal, quiet=True).live
    monkeypatch.setattr(type(terminal), "encoding", "iso-8859-1")
    assert not Screen(stderr=terminal).live
    monkeypatch.setattr(type(terminal), "encoding", "UTF-8")
    monkeypatch.setenv("TERM", "dumb")
    assert not Screen(stderr=terminal).live


def test_without_a_terminal_a_long_line_stays_one_line():
    shown, _, err = screen()
    shown.say("word " * 100)
    assert err.getvalue().count("\n") == 1


def test_on_a_terminal_lines_are_folded_between_words_with_their_indentation(terminal):
    Screen(stderr=terminal).say(Text("  " + "endpoint " * 12))
    first, second, *_ = terminal.rows
    assert len(first) <= 80
    assert second.startswith("    endpoint")


def test_a_line_to_copy_is_never_folded(terminal):
    command = f"outagekit run demo --limit {'x' * 40} --client {'y' * 40}"
    Screen(stderr=terminal).next([command])
    assert f"next: {command}" in terminal.rows


def test_a_path_longer_than_the_terminal_stays_behind_its_word(terminal):
    Screen(stderr=terminal).say(f"log /{'x' * 100}/log.jsonl")
    assert terminal.rows[0].startswith("log /xxx")


@given(st.lists(st.text("ab  c世é", max_size=30), max_size=12), st.integers(4, 60))
def test_folding_loses_no_word_and_keeps_to_the_width(parts, width):
    line = " ".join(parts).strip()
    pieces = fold_line(Text(line), width)
    assert " ".join(piece.plain for piece in pieces).split() == line.split()
    for piece in pieces:
        words = piece.plain.split()
        longest = max(map(cell_len, words), default=0)
        assert cell_len(piece.plain.rstrip()) <= width or longest > width // 2


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_shortened_name_fits_and_keeps_both_ends(name, width):
    short = shorten(name, width)
    assert cell_len(short) <= max(width, 0) or short == name
    if cell_len(name) > width >= 3 and name.isascii():
        assert short[0] == name[0]
        assert short[-1] == name[-1]


def test_a_narrow_table_keeps_the_names_of_its_rows_whole(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    page = Terminal()
    name = "20261122T163120Z-restart-with-care-24gm"
    Screen(stdout=page).table(("run", "title", "standing"), [(name, "t" * 60, "s" * 60)])
    *_, row = page.rows[:3]
    assert row.startswith(f"{name}  t")
    assert len(row) <= 60
    monkeypatch.setenv("COLUMNS", "30")
    Screen(stdout=(narrow := Terminal())).table(("run", "title"), [(name, "t" * 60)])
    assert max(map(len, narrow.rows)) <= 30


def test_quiet_keeps_what_matters_and_drops_the_rest():
    shown, _, err = screen(quiet=True)
    shown.note("a note")
    shown.next(["outagekit log show last"])
    shown.warn("careful")
    assert err.getvalue() == "warning: careful\n"


def test_at_most_three_commands_are_offered():
    shown, _, err = screen()
    shown.next([f"outagekit {number}" for number in range(5)])
    assert err.getvalue() == "".join(f"next: outagekit {number}\n" for number in range(3))


def test_an_error_shows_every_problem_before_its_sentence():
    shown, _, err = screen()
    problem = Problem(Path("/else/x.yaml"), 2, 3, "unknown key `scirpt`", source="- scirpt: a")
    shown.error(InvalidInput("x.yaml has 1 problem", (problem,), hint="see the reference"))
    text = err.getvalue()
    assert text.index("x.yaml:2:3: unknown key") < text.index("error: x.yaml has 1 problem")
    assert text.endswith("hint: see the reference\n")


def test_a_persons_no_is_not_called_an_error():
    shown, _, err = screen()
    shown.error(StoppedByPerson("nothing begins"))
    assert err.getvalue() == "stopped: nothing begins\n"


def asked(terminal, answer, **options):
    return Screen(stderr=terminal, stdin=Keyboard(answer)).ask("Type 212 to start:", **options)


def test_a_question_longer_than_a_line_is_folded_between_words(terminal):
    question = (
        "This CHANGES up to 8 endpoints of acme, borealis and corvus (Sun 16:13 UTC). Type 8:"
    )
    Screen(stderr=terminal, stdin=Keyboard("8\n")).ask(question, flag="--yes", expected="8")
    first, *others = terminal.rows
    assert others
    assert max(map(len, terminal.rows)) <= 80
    assert " ".join([first, *map(str.strip, others)]) == question
    assert terminal.getvalue().endswith("Type 8: ")


def test_after_an_end_of_input_or_ctrl_c_a_new_line_begins(terminal):
    class Interrupted(Keyboard):
        def readline(self, *_):
            raise KeyboardInterrupt

    for keyboard, ends in ((Keyboard(""), StoppedByPerson), (Interrupted(), KeyboardInterrupt)):
        with pytest.raises(ends):
            Screen(stderr=terminal, stdin=keyboard).ask("Type 8:", flag="--yes")
        assert terminal.getvalue().endswith("Type 8: \n")


def test_asking_without_a_terminal_names_the_flag_and_shows_the_question(terminal):
    for shown in (screen()[0], Screen(stderr=terminal, stdin=io.StringIO("y\n"))):
        assert not shown.interactive
        with pytest.raises(UsageError, match="--yes") as caught:
            shown.ask("Type 212 to start:", flag="--yes")
        assert "Type 212" in caught.value.hint


def test_the_expected_answer_is_a_yes(terminal):
    assert asked(terminal, "212\n", flag="--yes", expected="212") == "212"
    assert asked(terminal, " YES \n", flag="--yes", expected="y") == "YES"
    assert "Type 212 to start: " in terminal.getvalue()


@pytest.mark.parametrize("answer", ["", "\n", "  \n", "21\n", "\x1b[A\n"])
def test_any_other_answer_and_none_at_all_is_a_no(terminal, answer):
    with pytest.raises(StoppedByPerson) as caught:
        asked(terminal, answer, flag="--yes", expected="212")
    assert "\x1b" not in caught.value.message


class Thing(msgspec.Struct, frozen=True):
    where: Path
    ends: dict[EndState, int]


@dataclass(frozen=True)
class Plain:
    things: tuple[Thing, ...]


def test_a_document_is_one_json_value_in_which_nothing_unprintable_is_left():
    shown, out, _ = screen()
    shown.document(Plain((Thing(Path("a") / HOSTILE, {EndState.OK: 2}),)))
    assert not re.search(r"[\x1b\x07\x7f\u202e]", out.getvalue())
    where = str(Path("a") / HOSTILE)
    assert json.loads(out.getvalue()) == {"things": [{"where": where, "ends": {"ok": 2}}]}


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_escaped_json_is_the_same_value(value):
    text = json_text(value)
    assert json.loads(text) == value
    assert text.isprintable()


def test_with_json_only_the_document_is_on_stdout():
    shown, out, err = screen(json=True)
    shown.print("a line")
    shown.table(["name"], [["pos-01"]])
    assert out.getvalue() == ""
    assert "a line" in err.getvalue()
    assert "pos-01" in err.getvalue()


def test_a_table_leaves_figures_as_they_are():
    shown, out, _ = screen()
    shown.table(["id", "size"], [["007", "1e5"], ["12", None]])
    assert out.getvalue().splitlines()[2:] == ["007   1e5", "12    None"]


def test_a_table_that_is_too_wide_for_a_terminal_is_shortened_there_only(terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    rows = [["pos-01", "x" * 100]]
    Screen(stdout=terminal, stderr=Pipe()).table(["endpoint", "detail"], rows)
    assert max(map(len, terminal.rows)) <= 40
    shown, out, _ = screen()
    shown.table(["endpoint", "detail"], rows)
    assert "x" * 100 in out.getvalue()


def test_a_table_without_rows_still_has_its_headers():
    shown, out, _ = screen()
    shown.table(["endpoint", "detail"], [])
    assert out.getvalue().startswith("endpoint")


def test_text_that_stdout_cannot_encode_is_spelt_out():
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    Screen(stdout=out, stderr=Pipe()).print("Zürich")
    assert raw.getvalue().replace(b"\r", b"") == b"Z\\xfcrich\n"


def test_a_reader_that_leaves_ends_nothing_and_leaves_no_trace():
    program = """
import sys
from outagekit.cli.render import Screen
screen = Screen()
screen.print("first")
sys.stdin.readline()
for number in range(2000):
    screen.print("x" * 100)
    screen.say("")
raise SystemExit(5)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "first\n"
    process.stdout.close()
    process.stdin.write("\n")
    process.stdin.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 5
    assert said.strip() == ""


def test_people_who_are_gone_are_told_nothing_more():
    reading, writing = os.pipe()
    os.close(reading)
    out = Pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as gone:
        shown = Screen(stdout=out, stderr=gone)
        shown.say("hello?")
        shown.say("hello?")
        shown.print("data")
    assert out.getvalue() == "data\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_stdout_is_an_error():
    with Path("/dev/full").open("w") as full:
        shown = Screen(stdout=full, stderr=Pipe())
        with pytest.raises(OutagekitError, match="stdout cannot be written"):
            shown.print("data")


def test_commands_to_paste_name_the_program_as_it_was_called(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "outagekit"
    program.parent.mkdir()
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bin/outagekit", "drill"])
    monkeypatch.setenv("PATH", "")
    assert as_called("outagekit log show x") == "bin/outagekit log show x"
    assert as_called("cd ws && outagekit check") == f"cd ws && {program} check"
    monkeypatch.setenv("PATH", str(program.parent))
    assert as_called("outagekit log show x") == "outagekit log show x"


def test_commands_to_paste_name_the_state_folder_that_was_named():
    named = named_state.set(Path("my state"))
    try:
        assert as_called("outagekit resume x") == "outagekit resume x --state-dir 'my state'"
        assert as_called("outagekit init my-workspace") == "outagekit init my-workspace"
        there = shlex.quote(str(Path("my state").absolute()))
        assert as_called("cd ws && outagekit run p").endswith(f" run p --state-dir {there}")
    finally:
        named_state.reset(named)


def test_a_caret_in_a_hint_stands_below_what_it_means():
    shown, _, err = screen()
    shown.error(UsageError("the selector is wrong", hint="pos-1 adn pos-2\n      ^"))
    _, line, caret = err.getvalue().splitlines()
    assert line[caret.index("^")] == "a"


def test_an_error_that_is_its_one_problem_is_said_once():
    shown, _, err = screen()
    only = Problem(Path("p.yaml"), 3, 1, "this is wrong", "write it better")
    shown.error(InvalidInput("this is wrong", (only,), hint="write it better"))
    assert err.getvalue().count("this is wrong") == err.getvalue().count("write it better") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")
def test_what_was_typed_before_a_question_stood_there_does_not_answer_it():
    import pty
    import tty

    mine, its = pty.openpty()
    try:
        tty.setcbreak(its)
        os.write(mine, b"yes\n")
        stdin = os.fdopen(os.dup(its), encoding="utf-8")
        screen = Screen(stderr=Terminal(), stdout=Pipe(), stdin=stdin)
        threading.Timer(0.04, os.write, (mine, b"no\n")).start()
        with stdin, pytest.raises(StoppedByPerson, match='the answer was "no"'):
            screen.ask("Believe these?", flag="--yes", expected="yes")
    finally:
        os.close(mine)
        os.close(its)
