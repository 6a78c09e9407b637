from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import OutagekitError, UsageError
from outagekit.plan.beforehand import beforehand, questions, said_beforehand
from outagekit.plan.build import Mode, build_plan
from outagekit.playbook.model import Approve, Manual, Rollout


@pytest.fixture
def plan(a):
    return planned(a)


def planned(a, *, pause="first", mode=None):
    steps = [
        a.step("look", phase="assess"),
        a.step("go", action=Approve("Go?"), once="run", needs=()),
        a.step("call", action=Manual("Ring"), once="client", needs=()),
        a.step("fix", "change"),
        a.step("plug", action=Manual("Plug it in"), phase="close", needs=()),
    ]
    return build_plan(
        a.playbook(*steps, rollout=Rollout(pause=pause)),
        params={},
        endpoints=[a.endpoint("acme/x"), a.endpoint("beta/y")],
        clients={name: a.everything(name) for name in ("acme", "beta")},
        mode=mode or Mode(),
    )


def test_what_can_be_answered_beforehand(plan):
    assert questions(plan) == (
        "go",
        "call",
        "call@acme",
        "call@beta",
        "plug",
        "plug@acme",
        "plug@beta",
        "pause",
    )


def test_an_answer_is_a_yes_with_a_name_and_a_reason(plan):
    words = ["go=Jo Weber: agreed by phone: ticket 7", "call@acme= Al  Roth :done at 03:10 "]
    first, second = beforehand(words, plan, os_user="ops")
    assert (first.question, first.answer, first.how) == ("go", "yes", "beforehand")
    assert (first.who, first.because) == ("Jo Weber", "agreed by phone: ticket 7")
    assert first.os_user == "ops"
    assert (second.question, second.who, second.because) == (
        "call@acme",
        "Al Roth",
        "done at 03:10",
    )
    assert beforehand([], plan) == ()


def test_a_pause_can_be_answered_only_where_the_plan_pauses(a):
    (given,) = beforehand(["pause=Jo: watched it"], planned(a, pause="each"))
    assert given.question == "pause"
    with pytest.raises(UsageError, match="this plan has no pause after a wave"):
        beforehand(["pause=Jo: watched it"], planned(a, pause="none"))
    reading = a.plan(a.step("look"))
    with pytest.raises(UsageError) as caught:
        beforehand(["pause=Jo: watched it"], reading)
    assert "asks nothing" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "why", "hint"),
    [
        ("xyzzy", "there is no such question", ""),
        ("cal", "there is no such question", "did you mean call?"),
        ("look", "this step asks nobody", ""),
        ("fix", "this step asks nobody", ""),
        ("go@acme", "it is asked once per run, for all clients", ""),
        ("call@zeta", "no such client is in this plan", ""),
        ("call@acme/x", "no such client is in this plan", "call@acme"),
    ],
)
def test_an_answer_to_nothing_is_an_error_that_says_why(plan, key, why, hint):
    with pytest.raises(UsageError) as caught:
        beforehand([f"{key}=Jo: because"], plan)
    assert caught.value.message.endswith(f"answers nothing: {why}")
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "word",
    ["", "go", "go=", "go=Jo", "go=Jo:", "go=: because", "=Jo: because", "go= : ", "go: Jo = x"],
)
def test_a_word_of_another_form_is_an_error_that_shows_the_form(plan, word):
    with pytest.raises(UsageError, match="is not STEP='NAME: REASON'") as caught:
        beforehand([word], plan)
    assert "--approve STEP=" in caught.value.hint


def test_every_fault_is_named_at_once(plan):
    with pytest.raises(UsageError) as caught:
        beforehand(["look=Jo: x", "nope=Jo: x"], plan)
    assert "'look'" in caught.value.message
    assert "'nope'" in caught.value.message
    with pytest.raises(UsageError, match="given twice") as caught:
        said_beforehand(["go=Jo: x", "go=Al: y", "call"])
    assert "'call' is not" in caught.value.message
    with pytest.raises(UsageError, match="at most 200 characters"):
        said_beforehand([f"go={'J' * 201}: x"])


def test_what_is_logged_holds_nothing_a_terminal_obeys():
    (said,) = said_beforehand(["go=Jo\x1b[2J: a\nb\u202e"]).values()
    assert all(word.isprintable() for word in said)


def test_a_dry_run_asks_nothing_but_still_knows_what_the_run_would_ask(a):
    dry = planned(a, mode=Mode(dry_run=True))
    assert beforehand(["go=Jo: x", "pause=Jo: y"], dry) == ()
    with pytest.raises(UsageError):
        beforehand(["nope=Jo: x"], dry)


@given(words=st.lists(st.text(max_size=30) | st.text("gocal@me=: ", max_size=20), max_size=4))
def test_no_words_are_a_crash(a, words):
    try:
        given = said_beforehand(words)
    except OutagekitError:
        return
    assert len(given) == len(words)
    assert all(who and because for who, because in given.values())
