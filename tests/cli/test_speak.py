from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime

import msgspec
import pytest

from outagekit.cli.people import hearing
from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndState,
    InboxRefused,
    Note,
    RunClosed,
    RunOpened,
    RunPaused,
    RunStopping,
)
from outagekit.log.folder import RunFolder, new_run_id
from outagekit.log.reader import read_records
from outagekit.log.writer import LogWriter
from outagekit.run.inbox import Inbox, put, user_name
from outagekit.run.wishes import Answer, NoteWish, Refused, StopWish

ME = user_name()
OF_DOUBT = ("done", "rerun", "failed", "unknown")


def asked(question, kind="manual", answers=("yes", "skip", "no"), **fields):
    return ApprovalAsked(
        question=question, kind=kind, text=f"What about {question}?", answers=answers, **fields
    )


CALL = asked("call@acme", step="call", client="acme")
RELEASE = asked("release", "approve", ("yes", "no"), step="release")
PAUSE = asked("pause-2.1", "pause", ("yes", "no"))
DOUBTS = [
    asked(f"doubt-fix@acme/{name}", "doubt", OF_DOUBT, step="fix", endpoint=f"acme/{name}")
    for name in ("pos-01", "pos-02")
]


class LiveRun:
    """A run of this process: a log, an inbox, and somebody who obeys what is heard."""

    def __init__(self, state):
        self.state = state
        self.folder = RunFolder.create(state, new_run_id("demo", datetime.now(UTC)))
        self.log = LogWriter.create(self.folder)
        self.deaf = False
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._listen)
        self.happen(
            RunOpened(
                playbook="demo",
                title="Demo",
                plan="7f",
                clients=("acme",),
                endpoints=2,
                os_user="ops",
                machine="m",
                version="0",
            )
        )
        endpoints = [{"client": "acme", "name": name} for name in ("pos-01", "pos-02")]
        self.folder.freeze("inventory.json", json.dumps({"endpoints": endpoints}).encode())
        self.thread.start()

    @property
    def name(self):
        return self.folder.run

    def happen(self, *events):
        for event in events:
            self.log.append(event).wait()

    def _listen(self):
        inbox = Inbox(self.folder.path, self.folder.owner.nonce)
        while not self.over.wait(0.01):
            for heard in [] if self.deaf else inbox.take():
                self.happen(self._fact(heard))

    def _fact(self, heard):
        match heard:
            case Answer(question="call@beta"):
                return InboxRefused(name=heard.letter, why="this question is not open")
            case Answer():
                return ApprovalGiven(
                    question=heard.question,
                    answer=heard.answer,
                    who=heard.who,
                    os_user=heard.os_user,
                    because=heard.because,
                    how="inbox",
                )
            case NoteWish():
                return Note(text=heard.text, who=heard.who, endpoint=heard.endpoint)
            case StopWish():
                return RunStopping(why=heard.why or "stop", running=3, who=heard.who)
            case Refused():
                return InboxRefused(name=heard.name, why=heard.why)

    def events(self, kind):
        found = [record.event for record in read_records(self.folder.path)]
        return [event for event in found if isinstance(event, kind)]

    def end(self):
        self.over.set()
        self.thread.join()
        self.log.close()
        self.folder.close()


@pytest.fixture
def run(empty, tmp_path):
    run = LiveRun(tmp_path / "state")
    yield run
    run.end()


@pytest.fixture
def say(call, run):
    """Call a command on the run."""

    def say(name, *words):
        return call(name, "last", *words, "--state-dir", str(run.state))

    return say


def test_the_only_open_question_needs_no_name(run, say):
    run.happen(CALL)
    called = say("approve", "--because", "they rang back")
    assert called.code == 0, called.err
    assert f"call@acme: yes, said {ME}; the run has heard it" in called.err
    assert run.events(ApprovalGiven) == [
        ApprovalGiven(
            question="call@acme",
            answer="yes",
            who=ME,
            os_user=ME,
            because="they rang back",
            how="inbox",
        )
    ]


def test_several_open_questions_are_listed_with_what_to_paste(run, say):
    run.happen(CALL, PAUSE, *DOUBTS)
    called = say("approve")
    assert called.code == 2
    assert "What about pause-2.1?" in called.out
    assert "done, rerun, failed, unknown" in called.out
    assert "4 questions are open: say which" in called.err
    assert f"outagekit approve {run.name} call@acme --state-dir " in called.err
    # A word that stood there already would be pasted unread.
    assert f"outagekit approve {run.name} doubt-fix@acme/pos-01 --answer WORD" in called.err
    assert run.events(ApprovalGiven) == []


def test_open_questions_as_a_document(run, say):
    run.happen(CALL, PAUSE)
    called = say("approve", "--json")
    assert called.code == 2
    assert [each["question"] for each in called.document["questions"]] == ["call@acme", "pause-2.1"]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--no",), "no"),
        (("--answer", "skip"), "skip"),
        (("--answer", "S"), "skip"),
        ((), "yes"),
    ],
    ids=str,
)
def test_the_answer_is_yes_unless_said_otherwise(run, say, words, answer):
    run.happen(CALL, PAUSE)
    called = say("approve", "call@acme", *words, "--name", "Jo Weber", "--json")
    assert called.code == 0, called.err
    (heard,) = called.document["answers"]
    assert (heard["answer"], heard["who"], heard["came"]) == (answer, "Jo Weber", "given")
    assert heard["os_user"] == ME


def test_a_step_stands_for_all_its_questions(run, say):
    run.happen(*DOUBTS, PAUSE)
    assert say("approve", "fix", "--answer", "failed").code == 0
    given = run.events(ApprovalGiven)
    assert [each.question for each in given] == [each.question for each in DOUBTS]
    assert {each.answer for each in given} == {"failed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("call@acme", "--answer", "maybe"), "not answered by maybe"),
        (("call@acme", "--answer", "done"), "not answered by done"),
        (("doubt",), "has no plain yes"),
        (("doubt", "--no"), "not answered by no"),
        (("call@acme", "--no", "--answer", "yes"), "give one of them"),
        (("call@acme", "--name", " "), "--name is empty"),
        (("call@acme", "--name", "x" * 300), "too long"),
        (("call@acme", "--because", "x" * 2000), "too long"),
        (("release",), "--name"),
    ],
    ids=str,
)
def test_wrong_words_are_usage_errors_and_nothing_is_put(run, say, words, said):
    run.happen(CALL, RELEASE, *DOUBTS)
    called = say("approve", *words)
    assert called.code == 2
    assert said in called.err
    assert run.events(ApprovalGiven) == []


def test_who_approves_needs_a_name(run, say):
    run.happen(RELEASE)
    assert say("approve", "--name", "Jo\x1b[31m Weber").code == 0
    (given,) = run.events(ApprovalGiven)
    assert (given.who, given.os_user) == ("Jo\\x1b[31m Weber", ME)


def test_a_wrong_question_gets_the_nearest(run, say):
    run.happen(CALL, PAUSE)
    called = say("approve", "cal@acme")
    assert called.code == 7
    assert "did you mean call@acme?" in called.err


def test_a_question_answered_before_says_by_whom(run, say):
    run.happen(
        CALL, ApprovalGiven(question="call@acme", answer="skip", who="Kim \x1b[2J", os_user="kim")
    )
    for words in (("call@acme",), ("call",)):
        called = say("approve", *words)
        assert called.code == 7
        assert "answered already: skip, by Kim \\x1b[2J" in called.err
    assert "no question of" in say("approve").err


def test_without_an_open_question_nothing_matches(run, say):
    called = say("approve")
    assert called.code == 7
    assert "no question" in called.err


def test_an_answer_the_run_refuses_is_exit_10_with_its_reason(run, say):
    run.happen(asked("call@beta", step="call", client="beta"))
    called = say("approve")
    assert called.code == 10
    assert "the run did not take it: this question is not open" in called.err


def test_an_answer_that_came_second_is_not_called_a_success(run, say, monkeypatch):
    run.happen(CALL)
    run.deaf = True

    def lay(folder, wish):
        run.happen(
            ApprovalGiven(
                question=wish.question, answer="no", who="Kim", os_user="kim", how="inbox"
            )
        )
        return put(folder, wish)

    monkeypatch.setattr(hearing, "put", lay)
    called = say("approve")
    assert called.code == 10
    assert "Kim answered no before you" in called.err


def test_a_run_that_does_not_listen_is_exit_6(run, say, monkeypatch):
    monkeypatch.setattr(hearing, "PATIENCE_S", 0.05)
    run.deaf = True
    run.happen(CALL)
    called = say("approve", "--json")
    assert called.code == 6
    assert called.document["answers"][0]["came"] == "unheard"
    assert "it lies in its inbox" in called.err
    assert f"outagekit log show {run.name}" in called.err
    assert say("note", "hello").code == 6
    assert say("stop").code == 6


def test_the_questions_of_a_run_that_nobody_holds_wait_for_a_resume(run, say):
    run.happen(CALL, RunPaused(why="Ctrl-C"))
    run.end()
    called = say("approve")
    assert called.code == 6
    assert "nobody hears an answer" in called.err
    assert f"outagekit resume {run.name}" in called.err
    assert list(run.folder.inbox.iterdir()) == []
    stopped = say("stop")
    assert stopped.code == 7
    assert "there is nothing to stop" in stopped.err
    assert say("note", "x").code == 7
    assert list(run.folder.inbox.iterdir()) == []


def test_of_a_doubt_in_a_run_that_was_left_nobody_is_asked_for_the_right_word_first(run, say):
    run.happen(DOUBTS[0], RunPaused(why="a question waits for a person"))
    run.end()
    called = say("approve")
    assert called.code == 6
    assert "outagekit resume" in called.err


def test_a_closed_run_has_no_question_left(run, say):
    run.happen(CALL, RunClosed(counts={EndState.OK: 1}, exit_code=0))
    run.end()
    assert say("approve").code == 7


def test_stop_says_how_many_steps_may_end(run, say):
    called = say("stop", "--because", "wrong client", "--name", "Jo")
    assert called.code == 0, called.err
    assert "heard: 3 running steps may end, nothing else begins" in called.err
    assert f"next: outagekit resume {run.name}" in called.err
    assert run.events(RunStopping) == [RunStopping(why="wrong client", running=3, who="Jo")]


def test_stop_as_a_document(run, say):
    assert say("stop", "--json").document == {"run": run.name, "heard": True, "running": 3}


def test_a_second_stop_is_heard_even_if_the_log_says_nothing_new(run, say, monkeypatch):
    monkeypatch.setattr(hearing, "PATIENCE_S", 0.1)
    monkeypatch.setattr(run, "_fact", lambda _: Note(text="again"))
    called = say("stop")
    assert called.code == 0
    assert "stopping, or has stopped" in called.err


def test_a_damaged_log_does_not_keep_anybody_from_stopping(run, say):
    lines = run.folder.log.read_bytes().splitlines(keepends=True)
    run.folder.log.write_bytes(lines[0].replace(b"Demo", b"Dema") + b"".join(lines[1:]))
    called = say("stop")
    assert called.code == 0, called.err
    assert "3 running steps" in called.err


def test_a_note_is_kept_with_its_endpoint(run, say):
    called = say("note", "rang  the\nclient \x1b[2J", "--endpoint", "acme/pos-01")
    assert called.code == 0, called.err
    (note,) = run.events(Note)
    assert note == Note(text="rang the client \\x1b[2J", who=ME, endpoint="acme/pos-01")
    assert "noted as record" in called.err
    assert say("note", "again", "--json").document["heard"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("x", "--endpoint", "acme/pos-1"), "did you mean acme/pos-01?"),
        (("x", "--endpoint", "zzzz\x1b[2J"), "write CLIENT/NAME"),
        ((" ",), "an empty note"),
        (("x" * 3000,), "too long"),
        (("漢" * 1900,), "too long"),
    ],
)
def test_notes_that_say_nothing_or_too_much_are_usage_errors(run, say, words, said):
    called = say("note", *words)
    assert called.code == 2
    assert said in called.err
    assert "\x1b" not in called.err
    assert run.events(Note) == []


def test_nobody_is_told_to_resume_a_closed_run_for_a_note(run, say):
    run.happen(RunClosed(counts={}, exit_code=0))
    run.end()
    called = say("note", "too late")
    assert called.code == 7
    assert "is closed" in called.err
    assert "resume" not in called.err


def test_an_unknown_run_is_exit_7(run, call):
    for name, *rest in (("approve",), ("stop",), ("note", "x")):
        assert call(name, "nothing", *rest, "--state-dir", str(run.state)).code == 7


def test_hostile_texts_of_questions_are_shown_but_not_obeyed(run, say, monkeypatch):
    monkeypatch.setattr(hearing, "PATIENCE_S", 0.05)
    evil = "q\x1b]0;x\x07\u202e[red]"
    run.happen(msgspec.structs.replace(CALL, question=evil, text=f"{evil}\nline two"), PAUSE)
    for words in ((), ("--json",), (evil,)):
        called = say("approve", *words)
        for character in "\x1b\x07\u202e":
            assert character not in called.out + called.err


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can")
def test_the_run_of_another_user_is_refused_by_name(run, say):
    run.happen(CALL)
    os.chown(run.folder.owner_file, 65534, 65534)
    for words in (("approve",), ("stop",), ("note", "x")):
        called = say(*words)
        assert called.code == 10
        assert f"belongs to {user_name(65534)}" in called.err


def test_a_busy_log_does_not_hide_the_answer(run, say):
    run.happen(CALL)
    over = threading.Event()

    def chatter():
        while not over.is_set():
            for _ in range(200):
                last = run.log.append(Note(text="x" * 2000))
            last.wait()

    thread = threading.Thread(target=chatter)
    thread.start()
    try:
        called = say("approve")
    finally:
        over.set()
        thread.join()
    assert called.code == 0, called.err
