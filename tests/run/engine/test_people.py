"""People: what only they can decide, how they are asked, and what their word leads to."""

from __future__ import annotations

import msgspec
import pytest

from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndState,
    InboxRefused,
    Note,
    OnceFinished,
    RunPaused,
    StepFinished,
    StepStarted,
    WaveJudged,
    WaveOpened,
)
from outagekit.playbook.model import Approve, Gate, Manual, Retry, Rollout
from outagekit.run.opening import Beginning, Resumption
from outagekit.run.wishes import Answer, NoteWish
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")


def ask(name="ask", **fields):
    given = {"action": Approve("May we?"), "timeout_s": 3600.0, "phase": "fix", **fields}
    return read(name, **given)


def call(name="call", **fields):
    given = {"action": Manual("Ring {{ client }}."), "timeout_s": 3600.0, "phase": "fix", **fields}
    return read(name, **given)


def saying(**words):
    """Have somebody say this whenever the run waits; `__` stands for `@`, `_` for `-`."""
    said = {name.replace("__", "@").replace("_", "-"): word for name, word in words.items()}

    def prepare(ran):
        ran.driver.while_idle = lambda: [ran.say(name, word) for name, word in said.items()]

    return prepare


def given(question, answer="yes"):
    return ApprovalGiven(
        question=question, answer=answer, who="Jo Weber", os_user="kim", how="beforehand"
    )


def run(plan, tmp_path, answer=succeed, **around):
    around.setdefault("clock", FakeClock())
    return Ran(plan, tmp_path, answer, **around)


def two_clients():
    return [*endpoints(2), *endpoints(1, client="borealis")]


def test_nothing_after_an_approval_begins_before_somebody_said_yes(tmp_path):
    plan = plan_of([read("look"), ask(once="run"), step("mend")], on=2)
    ran = run(plan, tmp_path, prepare=saying(ask="yes"))
    kinds = [type(e) for e in ran.events]
    assert kinds.index(ApprovalAsked) < kinds.index(ApprovalGiven) < kinds.index(OnceFinished)
    assert ran.handed_out == ["pos-01 look", "pos-02 look", "pos-01 mend", "pos-02 mend"]
    assert ran.of(OnceFinished)[0].detail == "Kim said yes"
    assert ran.ending.exit_code == 0


def test_a_no_ends_the_run_for_those_it_concerns_and_its_code_says_refused(tmp_path):
    plan = plan_of([ask(once="client"), step("mend")], on=two_clients())
    ran = run(plan, tmp_path, prepare=saying(ask__acme="no", ask__borealis="yes"))
    assert {o.target.endpoint.client for o in ran.driver.orders} == {"borealis"}
    assert ran.ending.exit_code == 6
    assert ran.ending.state.counts() == {EndState.CHANGED: 1, EndState.SKIPPED: 2}


def test_nobody_is_asked_about_a_client_that_has_refused_except_for_what_always_is(tmp_path):
    later = call("bye", once="client", always=True, phase="close")
    plan = plan_of([ask(once="client"), call(once="client"), later], on=two_clients())
    words = {"ask__acme": "no", "ask__borealis": "yes", "call__borealis": "yes"}
    ran = run(plan, tmp_path, prepare=saying(**words, bye__acme="yes", bye__borealis="yes"))
    ends = {(e.step, e.client): e.detail for e in ran.of(OnceFinished)}
    assert ends["call", "acme"] == "refused before"
    assert ends["bye", "acme"] == "Kim said yes"


def test_a_refusal_outweighs_a_failure_and_a_failure_what_is_silent(tmp_path):
    plan = plan_of([ask(once="client"), step("mend")], on=two_clients())
    ran = run(plan, tmp_path, fail, prepare=saying(ask__acme="no", ask__borealis="yes"))
    assert ran.ending.state.counts()[EndState.FAILED] == 1
    assert ran.ending.exit_code == 6


def test_a_manual_step_can_be_done_skipped_or_refused(tmp_path):
    for word, state, code in (("yes", "ok", 0), ("skip", "skipped", 0), ("no", "skipped", 6)):
        plan = plan_of([call(once="run"), step("mend")], on=1)
        ran = run(plan, tmp_path / word, prepare=saying(call=word))
        assert ran.of(OnceFinished)[0].state.value == state
        assert ran.ending.exit_code == code
        assert bool(ran.handed_out) == (word != "no")


def test_the_text_of_a_question_has_its_values_filled_in(tmp_path):
    plan = plan_of([call(once="client")], on=two_clients())
    ran = run(plan, tmp_path, prepare=saying(call__acme="yes", call__borealis="yes"))
    texts = {each.question: each.text for each in ran.of(ApprovalAsked)}
    assert texts == {"call@acme": "Ring acme.", "call@borealis": "Ring borealis."}


def test_a_persons_step_per_endpoint_is_asked_when_its_wave_is_open_and_holds_it(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=OPEN)
    plan = plan_of([step("mend"), call(), step("tidy")], on=3, rollout=rollout)
    words = {f"call__acme/pos_0{n}": "yes" for n in (1, 2, 3)}
    ran = run(plan, tmp_path, prepare=saying(**words))
    marks = [
        e.question if isinstance(e, ApprovalAsked) else f"{type(e).__name__} {e.wave}"
        for e in ran.events
        if isinstance(e, ApprovalAsked | WaveOpened | WaveJudged)
    ]
    assert marks == [
        "WaveOpened 1",
        "call@acme/pos-01",
        "WaveJudged 1",
        "WaveOpened 2",
        "call@acme/pos-02",
        "call@acme/pos-03",
        "WaveJudged 2",
    ]
    assert ran.handed_out[1] == "pos-01 tidy"
    assert ran.ending.exit_code == 0


def test_a_no_for_one_endpoint_leaves_the_others_alone(tmp_path):
    plan = plan_of([ask(), step("mend")], on=2)
    words = {"ask__acme/pos_01": "no", "ask__acme/pos_02": "yes"}
    ran = run(plan, tmp_path, prepare=saying(**words))
    assert ran.handed_out == ["pos-02 mend"]
    refused = next(e for e in ran.of(StepFinished) if e.refused)
    assert (refused.endpoint, refused.state) == ("acme/pos-01", EndState.SKIPPED)
    assert ran.ending.exit_code == 6


def test_a_question_nobody_answers_in_its_time_pauses_the_run(tmp_path):
    clock = FakeClock()
    plan = plan_of([ask(once="run", timeout_s=1800.0), step("mend")], on=1)
    ran = run(plan, tmp_path, clock=clock)
    assert ran.ending.exit_code == 6
    assert ran.of(RunPaused)[0].why == "nobody answered in time: ask"
    assert 1_800 <= clock.monotonic() < 1_900
    assert not ran.handed_out


def test_a_question_that_ran_out_is_asked_again_by_a_resume(tmp_path):
    clock = FakeClock()
    plan = plan_of([ask(once="run"), step("mend")], on=1)
    ran = run(plan, tmp_path, clock=clock)
    again = Ran(ran.folder, tmp_path, clock=clock, prepare=saying(ask="yes"))
    assert again.ending.exit_code == 0
    assert [each.question for each in again.of(ApprovalAsked)] == ["ask", "ask"]


def test_what_others_still_do_is_not_cut_short_by_a_question_that_ran_out(tmp_path):
    clock = FakeClock()
    busy = []

    def answer(order):
        if order.target.endpoint.name == "pos-02" and len(busy) < 5:
            busy.append(1)
            clock.advance(600.0)
            return fail(order)
        return succeed(order)

    steps = [ask(when="endpoint == 'pos-01'", timeout_s=60.0), step("mend", retry=Retry(9, 0.0))]
    ran = run(plan_of(steps, on=2), tmp_path, answer, clock=clock)
    assert ran.state_of("acme/pos-02") is EndState.CHANGED
    assert ran.ending.exit_code == 6


def test_a_late_comers_question_that_runs_out_pauses_the_run_as_well(tmp_path):
    """Two came back; the first waits for a person, the second for the first."""
    away = {"pos-01", "pos-02"}
    clock = FakeClock()

    def answer(order):
        return refuse(order) if order.target.endpoint.name in away else succeed(order)

    def come_back(ran):
        for name in sorted(away):
            away.discard(name)
            ran.driver.come_back(f"acme/{name}")

    rollout = Rollout(waves=("100%",), gate=OPEN, waiting_room_s=60.0)
    plan = plan_of([read("look"), step("mend"), call()], on=2, rollout=rollout)
    ran = run(
        plan,
        tmp_path,
        answer,
        clock=clock,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: come_back(r)),
    )
    assert ran.ending.exit_code == 6
    assert clock.monotonic() < 4_000


def test_an_answer_beforehand_is_given_for_the_step_or_for_one_client_of_it(tmp_path):
    plan = plan_of([ask(once="run"), call(), step("mend")], on=two_clients())
    said = (given("ask"), given("call@acme"), given("call@borealis"))
    ran = run(plan, tmp_path, beginning=Beginning(given=said))
    assert ran.ending.exit_code == 0
    assert not ran.of(ApprovalAsked)
    assert len(ran.of(ApprovalGiven)) == 3
    assert ran.of(OnceFinished)[0].detail == "Jo Weber said yes"


def test_a_resume_can_bring_the_answer_along(tmp_path):
    plan = plan_of([ask(once="run"), step("mend")], on=1)
    clock = FakeClock()
    ran = run(plan, tmp_path, clock=clock)
    again = Ran(ran.folder, tmp_path, clock=clock, how=Resumption(given=(given("ask"),)))
    assert again.ending.exit_code == 0
    assert len(again.of(ApprovalAsked)) == 1


@pytest.mark.parametrize(("pause", "asked"), [("none", 0), ("first", 1), ("each", 2)])
def test_a_pause_asks_after_the_first_or_after_each_wave_but_not_after_the_last(
    tmp_path, pause, asked
):
    rollout = Rollout(waves=("1", "2", "100%"), pause=pause, gate=OPEN)
    ran = run(
        plan_of([step("mend")], on=4, rollout=rollout),
        tmp_path,
        prepare=saying(pause_1_1="yes", **{"pause_1.1": "yes", "pause_1.2": "yes"}),
    )
    names = [each.question for each in ran.of(ApprovalAsked)]
    assert names == [f"pause-1.{n}" for n in range(1, asked + 1)]
    assert ran.ending.exit_code == 0


def test_the_next_wave_waits_for_a_pauses_yes_and_a_no_pauses_the_run(tmp_path):
    rollout = Rollout(waves=("1", "100%"), pause="first", gate=OPEN)
    plan = plan_of([step("mend")], on=3, rollout=rollout)
    clock = FakeClock()
    ran = run(plan, tmp_path, clock=clock, prepare=saying(**{"pause_1.1": "no"}))
    assert ran.ending.exit_code == 6
    assert ran.ending.why == "after wave 1 of stage fix Kim said no"
    assert ran.handed_out == ["pos-01 mend"]
    again = Ran(ran.folder, tmp_path, clock=clock, prepare=saying(**{"pause_1.1": "yes"}))
    assert again.ending.exit_code == 0
    assert len(again.of(ApprovalAsked)) == 2


def test_pauses_can_be_answered_beforehand_all_at_once(tmp_path):
    rollout = Rollout(waves=("1", "2", "100%"), pause="each", gate=OPEN)
    plan = plan_of([step("mend")], on=4, rollout=rollout)
    ran = run(plan, tmp_path, beginning=Beginning(given=(given("pause"),)))
    assert ran.ending.exit_code == 0
    assert not ran.of(ApprovalAsked)


def test_a_pause_nobody_answers_ends_the_waiting_after_an_hour(tmp_path):
    clock = FakeClock()
    rollout = Rollout(waves=("1", "100%"), pause="first", gate=OPEN)
    ran = run(plan_of([step("mend")], on=3, rollout=rollout), tmp_path, clock=clock)
    assert ran.ending.exit_code == 6
    assert 3_600 <= clock.monotonic() < 3_700


def test_an_answer_through_the_inbox_names_who_the_system_knows_and_who_they_say_they_are(tmp_path):
    letter = Answer(question="ask", answer="yes", who="Jo Weber", os_user="kim", letter="a.json")
    plan = plan_of([ask(once="run"), step("mend")], on=1)
    ran = run(plan, tmp_path, look=lambda: [letter])
    said = ran.of(ApprovalGiven)[0]
    assert (said.who, said.os_user, said.how) == ("Jo Weber", "kim", "inbox")
    assert ran.ending.exit_code == 0


def test_a_letter_that_answers_nothing_or_with_a_word_that_does_not_fit_is_refused(tmp_path):
    letters = [
        Answer(question="other", answer="yes", who="Kim", letter="a.json"),
        Answer(question="ask", answer="done", who="Kim", letter="b.json"),
    ]
    plan = plan_of([ask(once="run", timeout_s=60.0), step("mend")], on=1)
    ran = run(plan, tmp_path, look=lambda: [letters.pop()] if letters else [])
    assert sorted(each.name for each in ran.of(InboxRefused)) == ["a.json", "b.json"]
    assert not ran.of(ApprovalGiven)
    assert ran.ending.exit_code == 6


def test_a_note_is_kept_and_changes_nothing(tmp_path):
    notes = [NoteWish(text="customer called", who="Kim", endpoint="acme/pos-01")]
    plan = plan_of([ask(once="run"), step("mend")], on=1)
    ran = run(
        plan,
        tmp_path,
        look=lambda: [notes.pop()] if notes else [],
        prepare=saying(ask="yes"),
    )
    kept = ran.of(Note)[0]
    assert (kept.text, kept.who, kept.endpoint) == ("customer called", "Kim", "acme/pos-01")
    assert ran.ending.exit_code == 0


def test_a_persons_step_whose_when_is_false_asks_nobody(tmp_path):
    steps = [read("look"), ask(when="look.failed"), call(once="run", when="run == 'x'")]
    ran = run(plan_of(steps, on=1), tmp_path)
    assert not ran.of(ApprovalAsked)
    assert ran.ending.exit_code == 0


def test_an_approval_that_cannot_be_asked_is_never_passed_over(tmp_path):
    steps = [read("look"), ask(once="run", when="client_count > 'x'"), step("mend")]
    ran = run(plan_with_param(steps), tmp_path)
    assert "pos-01 mend" not in ran.handed_out
    assert ran.ending.exit_code == 3


def plan_with_param(steps):
    plan = plan_of(steps, on=1)
    return msgspec.structs.replace(plan, params={"client_count": 3})


def test_a_timed_question_is_not_cut_short_by_a_doubt_that_waits(tmp_path):
    clock = FakeClock()
    rollout = Rollout(waves=("100%",), gate=OPEN, waiting_room_s=60.0)
    plan = plan_of([step("mend"), call()], on=2, rollout=rollout)
    words = {"call__acme/pos_02": "yes"}
    ran = run(plan, tmp_path, scripted({"pos-01 mend": lose}), clock=clock, prepare=saying(**words))
    assert ran.state_of("acme/pos-02") is EndState.CHANGED
    assert ran.ending.exit_code == 6


def paused_with_a_late_comer(tmp_path, word):
    """The second endpoint is away at first and back while somebody is asked whether to go on."""
    holder = {"away": True}
    clock = FakeClock()

    def answer(order):
        away = holder["away"] and order.target.endpoint.name == "pos-02"
        return refuse(order) if away else succeed(order)

    def people(ran):
        holder["away"] = False
        ran.driver.come_back("acme/pos-02")
        if clock.monotonic() > 300:
            ran.say("pause-2.1", word)

    rollout = Rollout(waves=("1", "100%"), pause="first", gate=OPEN, waiting_room_s=9_000.0)
    plan = plan_of([read("look"), step("mend")], on=4, rollout=rollout)
    return run(
        plan,
        tmp_path,
        answer,
        clock=clock,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: people(r)),
    )


def test_while_a_person_is_asked_whether_to_go_on_nobody_who_came_back_is_changed(tmp_path):
    ran = paused_with_a_late_comer(tmp_path, "yes")
    kinds = [
        e.attempt if isinstance(e, StepStarted) else type(e).__name__
        for e in ran.events
        if isinstance(e, ApprovalGiven) or (isinstance(e, StepStarted) and e.step == "mend")
    ]
    assert kinds[:2] == ["acme/pos-01:mend:1", "ApprovalGiven"]
    assert "acme/pos-02:mend:1" in kinds
    assert ran.ending.exit_code == 0


def test_after_a_no_between_two_waves_nobody_who_came_back_is_changed_either(tmp_path):
    ran = paused_with_a_late_comer(tmp_path, "no")
    assert ran.ending.exit_code == 6
    assert [o for o in ran.handed_out if "mend" in o] == ["pos-01 mend"]
