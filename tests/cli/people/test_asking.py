from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time

import pytest

from outagekit.cli.live.view import LiveView
from outagekit.cli.people.asking import Asker
from outagekit.cli.people.keys import TerminalKeys, Typing
from outagekit.cli.people.questions import Questions, answer_word, required_answer
from outagekit.cli.render import Screen
from outagekit.errors import NothingMatched, UsageError
from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndState,
    GateSum,
    OnceFinished,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StepFinished,
    StepResolved,
    WaveJudged,
)
from outagekit.run.inbox import user_name
from outagekit.testing.builders import plan_of, read
from outagekit.testing.records import records
from outagekit.testing.terminal import Keyboard, Pipe, Terminal

POSIX = os.name == "posix"


def asked(question, kind="manual", *, text="Ring them.", **fields):
    words = {
        "manual": ("yes", "skip", "no"),
        "doubt": ("done", "rerun", "failed", "unknown"),
    }
    return ApprovalAsked(
        question=question, kind=kind, text=text, answers=words.get(kind, ("yes", "no")), **fields
    )


CALL = asked("call@acme", step="call", client="acme", for_ms=3_600_000)
RELEASE = asked("release", "approve", step="release", text="May it go out?")
PAUSE = asked("pause-2.1", "pause", text="Go on with wave 2?")
DOUBT = asked("doubt-fix@acme/a", "doubt", step="fix", endpoint="acme/a", client="acme")
DOUBT_AT_THE_END = asked("doubt-fix@acme/a", "doubt", step="fix", endpoint="acme/a", for_ms=9000)


def given(question, answer="yes", who="Jo Weber"):
    return ApprovalGiven(question=question, answer=answer, who=who, os_user="jo", how="inbox")


class Fingers:
    """A keyboard: lines come when a test types them; `None` is an end of input."""

    def __init__(self):
        self.typed = queue.Queue()
        self.forgotten = 0

    def begin(self):
        pass

    def forget(self):
        self.forgotten += 1

    def line(self, wait_s):
        try:
            line = self.typed.get(timeout=min(wait_s, 0.01))
        except queue.Empty:
            return None
        if line is None:
            raise EOFError
        return line


class Picture:
    """A live view that only remembers what it was told to do."""

    def __init__(self):
        self.told = []

    def pause(self, *, typed=False):
        self.told.append("pause typed" if typed else "pause")

    def resume(self, notice=""):
        self.told.append(f"resume {notice}".strip())


class Desk:
    """A terminal with a run behind it that asks what it is told to ask."""

    def __init__(self, keys=None, *, stdin=None, view=None):
        self.terminal = Terminal()
        self.fingers = keys or Fingers()
        self.heard = queue.Queue()
        self.seq = 0
        screen = Screen(stderr=self.terminal, stdout=Pipe(), stdin=stdin or Keyboard())
        self.view = view or Picture()
        self.asker = Asker(screen, view=self.view, keys=self.fingers)
        self.asker.heard_by(self.heard.put)

    def happen(self, *events):
        import msgspec

        for record in records(*events):
            self.asker.on_records((msgspec.structs.replace(record, seq=self.seq),))
            self.seq += 1

    def type(self, *lines):
        for line in lines:
            self.fingers.typed.put(line)

    def says(self, text, within_s=3.0):
        until_s = time.monotonic() + within_s
        while text not in self.terminal.getvalue():
            assert time.monotonic() < until_s, self.terminal.getvalue()
            time.sleep(0.005)

    def hears(self):
        return self.heard.get(timeout=3)

    def stays_quiet(self, text):
        time.sleep(0.05)
        assert text not in self.terminal.getvalue()


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def desk():
    desk = Desk()
    with desk.asker:
        yield desk
    assert not desk.asker._thread.is_alive()


def test_a_question_is_shown_with_its_words_and_answered_by_typing(desk):
    desk.happen(CALL)
    desk.says("? call@acme: somebody has to do this")
    desk.says("waits 1 h")
    desk.says("  Ring them.")
    desk.says("  no     it could not be done: acme goes no further")
    desk.type("skip")
    answer = desk.hears()
    assert (answer.question, answer.answer) == ("call@acme", "skip")
    assert answer.who == answer.os_user == user_name()
    assert answer.letter == ""
    desk.says("said skip")


def test_the_picture_makes_room_and_comes_back(desk):
    desk.happen(CALL)
    desk.type("yes")
    desk.hears()
    desk.happen(given("call@acme"))
    until_s = time.monotonic() + 3
    while desk.view.told[-1:] != ["resume"]:
        assert time.monotonic() < until_s
        time.sleep(0.005)
    assert desk.view.told == ["pause", "resume"]


def test_who_approves_answers_first_then_says_their_name_and_may_say_why(desk):
    desk.happen(RELEASE)
    desk.says("answer: ")
    desk.stays_quiet("your name: ")
    desk.type("yes", "Jo Weber", "the shop is closed")
    answer = desk.hears()
    assert (answer.who, answer.answer, answer.because) == ("Jo Weber", "yes", "the shop is closed")
    assert answer.os_user == user_name()


def test_the_reason_of_an_approval_may_be_left_out(desk):
    desk.happen(RELEASE)
    desk.type("no", "Jo Weber", "")
    answer = desk.hears()
    assert (answer.answer, answer.because) == ("no", "")


def test_who_decided_before_need_not_type_their_name_again(desk):
    desk.happen(RELEASE)
    desk.type("yes", "Jo Weber", "")
    assert desk.hears().who == "Jo Weber"
    desk.happen(given("release"), asked("pay", "approve", step="pay"))
    desk.type("no")
    desk.says("your name (Enter: Jo Weber): ")
    desk.type("", "")
    assert desk.hears().who == "Jo Weber"
    desk.happen(given("pay"), asked("ship", "approve", step="ship"))
    desk.type("no", "Kim", "")
    assert desk.hears().who == "Kim"


def test_without_a_name_nothing_is_decided(desk):
    desk.happen(RELEASE)
    desk.type("yes", "")
    until_s = time.monotonic() + 3
    while not any("waits" in told for told in desk.view.told):
        assert time.monotonic() < until_s
        time.sleep(0.005)
    assert desk.heard.empty()


def test_in_a_drill_a_question_says_that_it_is_one(desk):
    opened = RunOpened(
        playbook="demo",
        title="Demo",
        plan="00",
        clients=("acme",),
        endpoints=1,
        os_user="ops",
        machine="desk",
        version="1",
        drill=True,
    )
    desk.happen(opened, RunPaused(why="a gate"), RunResumed(os_user="jo", version="1"), CALL)
    desk.says("? DRILL  call@acme: somebody has to do this")


def test_a_wrong_word_is_asked_again(desk):
    desk.happen(CALL)
    desk.type("perhaps", "\x1b[2Jyes", "yes")
    assert desk.hears().answer == "yes"
    desk.says("'perhaps' is no answer here: yes, skip or no")
    desk.says("\\x1b[2Jyes' is no answer here")


def test_several_questions_come_one_after_another(desk):
    desk.happen(CALL, RELEASE, PAUSE)
    desk.says("2 more questions after it")
    desk.stays_quiet("release:")
    desk.type("y", "n", "Jo", "", "y")
    assert [desk.hears().question for _ in range(3)] == ["call@acme", "release", "pause-2.1"]


def test_a_question_answered_elsewhere_is_taken_back_at_once(desk):
    desk.happen(RELEASE)
    desk.says("answer: ")
    desk.type("yes")
    desk.says("your name: ")
    desk.happen(given("release", "no", "Kim \x1b[31m"))
    desk.says("release: no, said Kim \\x1b[31m")
    assert desk.heard.empty()
    assert desk.fingers.forgotten >= 2


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (OnceFinished(step="call", client="acme", state=EndState.SKIPPED), "needs no answer"),
        (RunStopping(why="Ctrl-C", running=1), "not answered, the run is stopping"),
        (RunPaused(why="nobody"), "not answered, the run is paused"),
        (RunClosed(counts={}, exit_code=0), "needs no answer"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_question_that_waits_for_nobody_any_more_is_taken_back(desk, event, words):
    desk.happen(CALL)
    desk.says("answer: ")
    desk.happen(event)
    desk.says(words)
    assert desk.heard.empty()


def test_after_a_stop_nothing_is_asked(desk):
    desk.happen(RunStopping(why="Ctrl-C", running=1), CALL)
    desk.stays_quiet("call@acme")


def test_a_doubt_is_asked_about_only_when_the_run_waits_for_it(desk):
    desk.happen(DOUBT)
    desk.stays_quiet("doubt-fix")
    desk.happen(DOUBT_AT_THE_END)
    desk.says("nobody knows what happened here")
    desk.says("  unknown  nobody can tell: acme/a stays unknown")
    desk.type("d")
    assert desk.hears().answer == "done"


def test_enter_alone_shows_the_run_and_enter_again_the_question(desk):
    desk.happen(CALL)
    desk.says("answer: ")
    desk.type("")
    until_s = time.monotonic() + 3
    while desk.view.told[-1:] != ["resume call@acme waits for an answer: press Enter"]:
        assert time.monotonic() < until_s, desk.view.told
        time.sleep(0.005)
    desk.type("", "yes")
    assert desk.hears().answer == "yes"
    assert desk.view.told[2] == "pause typed"
    assert desk.terminal.getvalue().count("? call@acme") == 2


def test_a_question_that_goes_while_one_looks_at_the_run_leaves_no_notice(desk):
    desk.happen(CALL)
    desk.type("")
    until_s = time.monotonic() + 3
    while not any("waits" in told for told in desk.view.told):
        assert time.monotonic() < until_s
        time.sleep(0.005)
    desk.happen(given("call@acme"))
    while desk.view.told[-1] != "resume":
        assert time.monotonic() < until_s
        time.sleep(0.005)
    assert desk.heard.empty()


def test_after_an_end_of_input_a_question_is_not_asked_again_until_it_is_asked_anew(desk):
    desk.happen(CALL)
    desk.type(None)
    desk.says("not answered here")
    desk.happen(PAUSE)
    desk.says("? pause-2.1")
    desk.happen(given("pause-2.1"))
    desk.says("pause-2.1: yes, said Jo Weber")
    assert desk.terminal.getvalue().count("? call@acme") == 1
    desk.happen(CALL)
    desk.type("yes")
    assert desk.hears().question == "call@acme"


def test_a_line_typed_in_the_moment_of_another_answer_counts_for_nothing():
    class Late(Fingers):
        def line(self, wait_s):
            line = super().line(wait_s)
            if line is not None:
                desk.happen(given("call@acme", "no"))
            return line

    desk = Desk(Late())
    with desk.asker:
        desk.happen(CALL)
        desk.type("yes")
        desk.says("call@acme: no, said Jo Weber")
        assert desk.heard.empty()


def test_what_an_answer_does_not_settle_is_asked_again(desk):
    desk.happen(RELEASE)
    desk.type("yes", "Jo", "")
    desk.hears()
    desk.happen(RELEASE)
    desk.type("yes", "Kim", "")
    assert desk.hears().who == "Kim"


def test_text_from_the_log_cannot_command_the_terminal(desk):
    evil = "\x1b[2J\x1b]0;x\x07\u202e[red]x[/]\r"
    desk.happen(asked(f"q{evil}", text=f"{evil}\nsecond line", client=evil))
    desk.says("second line")
    desk.says("it could not be done")
    shown = desk.terminal.getvalue()
    for character in "\x07\u202e\r":
        assert character not in shown.replace("\r\n", "\n")
    assert "\x1b[2J" not in shown
    assert "\x1b]" not in shown


def test_a_pause_shows_what_its_gate_said(desk):
    sums = (
        GateSum(what="answered", limit=1, of=2, scope="wave", found=2, holds=True),
        GateSum(what="failed", limit=0, of=2, scope="wave", found=0, holds=True),
    )
    desk.happen(WaveJudged(stage=2, wave=1, passed=True, sums=sums), PAUSE)
    desk.says("answered 2 (at least 1) · failed 0 (at most 0)")


def test_a_question_of_yesterday_is_asked_when_the_run_asks_it_again(desk):
    desk.happen(CALL, RunPaused(why="Ctrl-C"), RunResumed(os_user="ops", version="1"))
    desk.stays_quiet("? call@acme")
    desk.happen(CALL)
    desk.says("? call@acme")


def test_nothing_is_asked_before_somebody_hears_the_answer():
    desk = Desk()
    desk.asker._hear = None
    with desk.asker:
        desk.happen(CALL)
        desk.stays_quiet("? call@acme")
        desk.asker.heard_by(desk.heard.put)
        desk.type("yes")
        assert desk.hears().answer == "yes"


def test_without_a_terminal_on_stdin_nothing_is_asked():
    desk = Desk(stdin=Pipe("yes\n"))
    with desk.asker:
        assert not desk.asker.attended
        desk.happen(CALL)
        desk.stays_quiet("call@acme")
    assert desk.view.told == []


def test_the_end_of_the_run_does_not_wait_for_an_answer():
    desk = Desk()
    with desk.asker:
        desk.happen(CALL)
        desk.says("answer: ")
        begun_s = time.monotonic()
    assert time.monotonic() - begun_s < 0.9
    assert desk.view.told[-1] == "resume"
    assert "not answered, the run is over" in desk.terminal.getvalue()


def test_taking_records_never_waits_for_the_person(desk):
    desk.happen(CALL)
    desk.says("answer: ")
    begun_s = time.monotonic()
    for _ in range(1000):
        desk.happen(given("another"))
    assert time.monotonic() - begun_s < 1


def test_a_terminal_that_goes_away_ends_the_asking_only():
    class Gone(Fingers):
        def line(self, wait_s):
            raise OSError(5, "gone")

    desk = Desk(Gone())
    with desk.asker:
        desk.happen(CALL)
        desk.asker._thread.join(3)
        assert not desk.asker._thread.is_alive()
        desk.happen(PAUSE)
    assert desk.view.told[-1] == "resume"


def test_the_live_view_leaves_the_terminal_to_a_question_and_draws_below_it():
    terminal = Terminal()
    screen = Screen(stderr=terminal, stdout=Pipe())
    with LiveView(plan_of([read("detect")]), screen) as view:
        _until(lambda: any("assess" in row for row in terminal.rows))
        view.pause()
        view.pause()
        assert not any("assess" in row for row in terminal.rows)
        assert terminal.getvalue().rfind("\x1b[?25h") > terminal.getvalue().rfind("\x1b[?25l")
        screen.say("a question")
        length = len(terminal.getvalue())
        time.sleep(0.05)
        assert len(terminal.getvalue()) == length
        view.resume("press \x1b[2JEnter")
        _until(lambda: any("press \\x1b[2JEnter" in row for row in terminal.rows))
        rows = terminal.rows
        assert rows.index("a question") < next(i for i, row in enumerate(rows) if "assess" in row)
        assert len(rows) - rows.index("a question") <= 24
        view.resume()
        _until(lambda: not any("press" in row for row in terminal.rows))
    assert [row for row in terminal.rows if row] == ["a question"]


def _until(true, within_s=3.0):
    until_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until_s
        time.sleep(0.01)


@pytest.fixture
def pty():
    if not POSIX:
        pytest.skip("there are no pseudo terminals")
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_lines_of_a_terminal_are_read_whole(pty):
    master, slave = pty
    keys = TerminalKeys(slave)
    os.write(master, b"ye")
    assert keys.line(0.01) is None
    os.write(master, "s größer\n".encode())
    assert keys.line(1) == "yes größer"


def test_what_was_typed_before_the_question_answers_nothing(pty):
    master, slave = pty
    desk = Desk(TerminalKeys(slave))
    os.write(master, b"yes\nno\nhalf a li")
    with desk.asker:
        desk.happen(CALL)
        desk.says("answer: ")
        assert desk.heard.empty()
        os.write(master, b"skip\n")
        assert desk.hears().answer == "skip"


def test_half_a_line_left_at_a_question_taken_back_goes_nowhere(pty):
    master, slave = pty
    desk = Desk(TerminalKeys(slave))
    with desk.asker:
        desk.happen(CALL, PAUSE)
        desk.says("answer: ")
        os.write(master, b"ye")
        time.sleep(0.02)
        desk.happen(given("call@acme"))
        desk.says("? pause-2.1")
        os.write(master, b"no\n")
        assert desk.hears().answer == "no"


def test_ctrl_d_puts_a_question_aside(pty):
    master, slave = pty
    desk = Desk(TerminalKeys(slave))
    with desk.asker:
        desk.happen(CALL)
        desk.says("answer: ")
        os.write(master, b"\x04")
        desk.says("not answered here")


@pytest.mark.skipif(not POSIX, reason="there are no pseudo terminals")
def test_a_terminal_that_hangs_up_is_an_end():
    master, slave = os.openpty()
    keys = TerminalKeys(slave)
    os.close(master)
    with pytest.raises((EOFError, OSError)):
        keys.line(1)
    os.close(slave)
    with pytest.raises(OSError):
        keys.forget()


BACKGROUND = """\
import os, subprocess, sys
terminal = os.open(sys.argv[1], os.O_RDWR)  # the first one opened controls this session
words = '''
import sys, time
from outagekit.cli.people.keys import TerminalKeys
keys = TerminalKeys(int(sys.argv[1]))
keys.begin()
keys._is_ours = {ours}
try:
    keys.forget()
    said = keys.line(0.05)
except OSError as error:
    said = type(error).__name__
print("alive", said, flush=True)
'''
for ours in ("keys._is_ours", "lambda: True"):
    ran = subprocess.Popen(
        [sys.executable, "-c", words.replace("{ours}", ours), str(terminal)],
        process_group=0, pass_fds=[terminal],
    )
    _, status = os.waitpid(ran.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        print("stopped", flush=True)
        ran.kill()
"""


def test_in_the_background_of_a_shell_the_run_is_not_stopped_by_asking(pty):
    master, slave = pty
    os.write(master, b"meant for the shell\n")
    ran = subprocess.run(
        [sys.executable, "-c", BACKGROUND, os.ttyname(slave)],
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    first, second = ran.stdout.splitlines()
    assert first == "alive None", ran.stderr
    # Even if it comes to the background between the look and the reading.
    assert second.startswith("alive"), ran.stderr


def test_keys_become_a_line_where_the_terminal_does_not_edit():
    shown = []
    typing = Typing(shown.append)
    keys = ["n", "o", "\b", "\b", "\b", "\x00", "H", "\xe0", "K", "\x1b", "y", "ä", "\r"]
    assert [typing.press(key) for key in keys] == [None] * 12 + ["yä"]
    assert "".join(shown) == "no\b \b\b \byä\n"
    assert typing.press("x") is None
    typing.clear()
    assert typing.press("\r") == ""
    with pytest.raises(EOFError):
        typing.press("\x1a")


def fold(*events):
    questions = Questions()
    for record in records(*events):
        questions.take(record)
    return questions


def test_a_step_stands_for_all_its_open_questions():
    both = [asked(f"fix@acme/{name}", step="fix", endpoint=f"acme/{name}") for name in "ab"]
    questions = fold(*both, CALL, DOUBT)
    assert [each.name for each in questions.named("fix")] == ["fix@acme/a", "fix@acme/b"]
    assert [each.name for each in questions.named("fix@acme/b")] == ["fix@acme/b"]
    assert [each.name for each in questions.named("doubt-fix")] == ["doubt-fix@acme/a"]
    assert [each.name for each in questions.named("doubt")] == ["doubt-fix@acme/a"]
    assert [each.name for each in fold(PAUSE).named("pause")] == ["pause-2.1"]


def test_a_wrong_name_gets_the_nearest_and_an_old_one_its_answer():
    questions = fold(CALL, PAUSE, given("pause-2.1", "no"))
    with pytest.raises(NothingMatched) as caught:
        questions.named("cal@acme")
    assert caught.value.hint == "did you mean call@acme?"
    with pytest.raises(NothingMatched) as caught:
        questions.named("\x1b[2J")
    assert caught.value.message.isprintable()
    with pytest.raises(NothingMatched) as caught:
        questions.named("pause-2.1")
    assert "answered already: no, by Jo Weber" in caught.value.message


@pytest.mark.parametrize(
    ("question", "event"),
    [
        (DOUBT, StepResolved(endpoint="acme/a", step="fix", attempt="x", how="settled")),
        (
            asked("fix@acme/a", step="fix", endpoint="acme/a"),
            StepFinished(endpoint="acme/a", step="fix", state=EndState.OK),
        ),
        (CALL, OnceFinished(step="call", client="acme", state=EndState.OK)),
        (CALL, given("call@acme")),
        (CALL, RunClosed(counts={}, exit_code=0)),
        (CALL, RunResumed(os_user="ops", version="1")),
    ],
    ids=["doubt", "endpoint", "once", "answered", "closed", "resumed"],
)
def test_what_has_its_end_asks_nobody(question, event):
    assert fold(question).open
    assert not fold(question, event).open


@pytest.mark.parametrize(
    "event",
    [
        OnceFinished(step="call", client="beta", state=EndState.OK),
        OnceFinished(step="other", client="acme", state=EndState.OK),
        StepFinished(endpoint="acme/a", step="call", state=EndState.OK),
        given("call@beta"),
        RunPaused(why="Ctrl-C"),
    ],
    ids=["client", "step", "endpoint", "name", "paused"],
)
def test_what_is_about_something_else_leaves_a_question_open(event):
    assert fold(CALL, event).open


def test_an_answer_is_a_word_of_the_question_or_its_beginning():
    assert answer_word(" YES ", CALL) == "yes"
    assert answer_word("s", CALL) == "skip"
    assert answer_word("unk", DOUBT) == "unknown"
    for wrong in ("", "x", "yess", "done", "ye s"):
        assert answer_word(wrong, CALL) is None
    with pytest.raises(UsageError) as caught:
        required_answer(None, list(fold(DOUBT).open.values()))
    assert caught.value.hint == "--answer done, rerun, failed or unknown"
    with pytest.raises(UsageError) as caught:
        required_answer("done", list(fold(DOUBT, CALL).open.values()))
    assert "call@acme" in caught.value.message


def test_no_thread_is_left_behind():
    desk = Desk()
    with desk.asker:
        desk.happen(CALL)
        desk.says("answer: ")
    assert "asker" not in {thread.name for thread in threading.enumerate()}


def test_what_is_typed_while_the_picture_stands_moves_nothing_on_the_terminal(pty, monkeypatch):
    import termios

    master, slave = pty

    def echoes():
        return bool(termios.tcgetattr(slave)[3] & termios.ECHO)

    terminal = Terminal()
    monkeypatch.setattr(terminal, "fileno", lambda: slave, raising=False)
    screen = Screen(stderr=terminal, stdout=Pipe())
    with LiveView(plan_of([read("detect")]), screen) as view:
        assert not echoes()
        view.pause()
        assert echoes()
        view.resume("press Enter")
        assert not echoes()
        os.write(master, b"\n")
        _until(lambda: any("press" in row for row in terminal.rows))
        view.pause(typed=True)
        assert not any(row for row in terminal.rows)
        view.resume()
        os.write(master, b"rm -r important\n")
    assert echoes()
    assert TerminalKeys(slave).line(0.02) is None  # nor is it left for the shell to run


def test_a_terminal_that_showed_nothing_before_shows_nothing_after(pty, monkeypatch):
    import termios

    _, slave = pty
    modes = termios.tcgetattr(slave)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    terminal = Terminal()
    monkeypatch.setattr(terminal, "fileno", lambda: slave, raising=False)
    with LiveView(plan_of([read("detect")]), Screen(stderr=terminal, stdout=Pipe())):
        pass
    assert not termios.tcgetattr(slave)[3] & termios.ECHO
