"""Every endpoint is counted once, as what it is now; and as the engine counts it."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from outagekit.cli.live.standing import proves_contact
from outagekit.cli.live.tally import Tally
from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndpointExpired,
    EndpointParked,
    EndpointReturned,
    EndState,
    FailureKind,
    OnceFinished,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepUndone,
    StepVerified,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.playbook.model import Gate, Manual, Rollout
from outagekit.run.engine import mending
from outagekit.run.engine.fold import fold
from outagekit.run.engine.state import begin
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.records import RUN, Story, records

ONE, TWO, THREE = (f"acme/pos-0{number}" for number in (1, 2, 3))
STEPS = (read("detect"), step("remove"), step("restart"), read("confirm", phase="verify"))
ROLLOUT = Rollout(waves=("1", "100%"), waiting_room_s=3600)
SURVEY = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=3)
FIX = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=3)
CUT = WavesCut(stage=2, sizes=(1, 2), outside=0, sha256="")
FIRST = WaveOpened(stage=2, wave=1, waves=2, endpoints=1, limits=())
SECOND = WaveOpened(stage=2, wave=2, waves=2, endpoints=2, limits=())
PASSED = WaveJudged(stage=2, wave=1, passed=True, sums=())
RESUMED = RunResumed(os_user="ops", version="1")


def started(name, of="remove", number=1, purpose="do"):
    return StepStarted(
        endpoint=name, step=of, attempt=f"{name}:{of}:{number}", number=number, purpose=purpose
    )


def ended(name, state=EndState.CHANGED, failure=None, of="remove", number=1, **more):
    attempt = f"{name}:{of}:{number}"
    return StepFinished(
        endpoint=name, step=of, state=state, attempt=attempt, failure=failure, **more
    )


def doubted(name, of="remove", number=1):
    return StepInDoubt(
        endpoint=name,
        step=of,
        attempt=f"{name}:{of}:{number}",
        why="the line was cut",
        failure=FailureKind.LOST,
    )


def resolved(name, how, state=None, of="remove", number=1, **more):
    attempt = f"{name}:{of}:{number}"
    return StepResolved(endpoint=name, step=of, attempt=attempt, how=how, state=state, **more)


def plan(on=3, steps=STEPS, rollout=ROLLOUT, **more):
    return plan_of(steps, on=on, rollout=rollout, **more)


def tally_of(*events, of=None):
    tally = Tally(of or plan())
    return told(tally, *events)


def told(tally, *events, life="a"):
    for record in records(*events, life=life):
        tally.take(record)
    return tally


def in_stage(tally, number):
    stage = tally.stages[number - 1]
    return f"{stage.done}/{stage.total}", {str(k): n for k, n in stage.ends.by_word.items() if n}


def in_wave(tally):
    wave = tally.wave
    return f"{wave.ends.done}/{wave.size}", {str(k): n for k, n in wave.ends.by_word.items() if n}


def folds(tally):
    return sorted((f.count, s.step, s.mark or s.state.value) for s, f in tally.folds.items())


FAILED = ended(ONE, EndState.FAILED, FailureKind.EXIT_CODE)


def test_a_failed_step_that_is_done_again_is_not_counted_twice():
    tally = tally_of(FIX, CUT, FIRST, started(ONE), FAILED)
    assert (in_stage(tally, 2), tally.alive) == (("1/3", {"failed": 1}), 2)
    told(tally, started(ONE, number=2))
    assert (in_stage(tally, 2), tally.alive, folds(tally)) == (("0/3", {}), 3, [])
    told(tally, ended(ONE, number=2), started(ONE, "restart"), ended(ONE, of="restart"))
    assert in_stage(tally, 2) == ("1/3", {"changed": 1})
    assert in_wave(tally) == ("1/1", {"changed": 1})
    assert tally.wave.ends.answered == 1


def test_who_closed_a_gate_is_tried_again_after_a_resume():
    stop = WaveStopped(stage=2, wave=1, sums=())
    tally = tally_of(FIX, CUT, FIRST, started(ONE), FAILED, stop, RunPaused(why="gate"))
    assert tally.wave.phase == "closed"
    told(tally, RESUMED, life="b")
    assert (tally.wave.phase, in_wave(tally), tally.alive) == ("retried", ("0/1", {}), 3)
    told(tally, started(ONE, number=2), ended(ONE, number=2), life="b")
    told(tally, ended(ONE, EndState.OK, of="restart"), life="b")
    told(tally, WaveReopened(stage=2, wave=1, sums=()), life="b")
    assert (tally.wave.phase, in_wave(tally)) == ("passed", ("1/1", {"changed": 1}))


def test_a_gate_that_closes_in_the_place_of_another_is_the_only_closed_one():
    stop = WaveStopped(stage=2, wave=1, sums=())
    tally = tally_of(FIX, CUT, FIRST, started(ONE), FAILED, stop, RunPaused(why="gate"))
    told(tally, RESUMED, WaveStopped(stage=2, wave=0, sums=()), life="b")
    assert tally.stages[1].wave.phase != "closed"
    assert tally.stages[1].late is None or tally.stuck is tally.stages[1].late


def test_what_was_unknown_is_in_doubt_again_when_its_gate_is_tried_again():
    lost = resolved(ONE, "probed", EndState.UNKNOWN)
    closed = WaveJudged(stage=2, wave=1, passed=False, sums=())
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), lost, closed)
    assert (in_wave(tally), tally.doubts) == (("1/1", {"unknown": 1}), {})
    told(tally, RESUMED, life="b")
    assert (in_wave(tally), tally.doubts) == (("0/1", {}), {ONE: "remove"})


def test_going_past_a_gate_takes_nothing_back():
    closed = WaveJudged(stage=2, wave=1, passed=False, sums=())
    tally = tally_of(FIX, CUT, FIRST, started(ONE), FAILED, closed)
    past = WaveReopened(stage=2, wave=1, sums=(), because="it is an old till")
    told(tally, msgspec.structs.replace(RESUMED, retry=False), past, life="b")
    assert (tally.wave.phase, in_wave(tally)) == ("passed", ("1/1", {"failed": 1}))


def test_a_doubt_is_not_done_until_it_is_settled():
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE))
    assert (in_wave(tally), tally.doubts, tally.queued) == (("0/1", {}), {ONE: "remove"}, 0)
    told(tally, started(ONE, number=2, purpose="probe"))
    assert (len(tally.running), tally.doubts) == (1, {ONE: "remove"})
    told(tally, resolved(ONE, "probed", EndState.CHANGED, number=2))
    assert (tally.running, tally.doubts) == ({}, {})
    assert folds(tally) == [(1, "remove", "changed")]
    assert tally.queued == 1


def test_a_doubt_that_leads_to_another_try_leaves_no_trace():
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), resolved(ONE, "rerun"))
    assert (folds(tally), tally.doubts, tally.alive) == ([], {}, 3)


def test_a_probe_without_an_end_is_no_new_doubt():
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE))
    told(tally, started(ONE, number=2, purpose="probe"), doubted(ONE, number=2))
    assert (tally.running, folds(tally)) == ({}, [(1, "remove", "doubt")])


def test_an_endpoint_goes_on_with_a_doubt_that_is_left_as_it_is():
    passed_over = resolved(ONE, "skipped", EndState.UNKNOWN)
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), passed_over)
    # Nothing makes it known any more, so the gate counts it at once.
    assert (in_wave(tally)[1], tally.alive) == ({"unknown": 1}, 3)
    assert in_stage(tally, 2) == ("0/3", {})
    told(tally, started(ONE, "restart"), ended(ONE, of="restart"))
    assert in_wave(tally) == ("1/1", {"unknown": 1})


ASKED = ApprovalAsked(
    question=f"doubt-remove@{ONE}",
    kind="doubt",
    text="Was it done?",
    answers=("done", "rerun", "failed", "unknown"),
    step="remove",
    endpoint=ONE,
)


def test_a_doubt_a_person_is_asked_about_holds_no_wave():
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), ASKED)
    assert in_wave(tally) == ("1/1", {"unknown": 1})
    assert list(tally.questions) == [ASKED.question]
    told(tally, resolved(ONE, "answered", EndState.CHANGED, who="Jo"))
    assert (in_wave(tally), tally.questions) == (("0/1", {}), {})


def test_an_answer_ends_a_question():
    given = ApprovalGiven(question=ASKED.question, answer="rerun", who="Jo", os_user="ops")
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), ASKED, given)
    assert tally.questions == {}
    assert in_wave(tally) == ("0/1", {})


LOST = ended(TWO, EndState.UNREACHABLE, FailureKind.REFUSED, of="detect")
PARKED = EndpointParked(endpoint=TWO, for_ms=3_600_000)
BACK = EndpointReturned(endpoint=TWO)


def survey(*names):
    return [ended(name, EndState.OK, of="detect") for name in names]


def test_an_endpoint_that_was_waited_for_is_counted_where_it_is_now():
    cut = WavesCut(stage=2, sizes=(1, 1), outside=0, sha256="")
    tally = tally_of(SURVEY, *survey(ONE, THREE), LOST, PARKED, FIX, cut, FIRST)
    assert in_stage(tally, 1) == ("3/3", {"ok": 2, "unreachable": 1})
    assert (len(tally.parked), tally.alive) == (1, 3)
    told(tally, BACK)
    assert in_stage(tally, 1) == ("2/3", {"ok": 2})
    assert (in_stage(tally, 2)[0], tally.alive, tally.returned) == ("0/3", 3, 1)
    told(tally, started(TWO, "detect", 2), ended(TWO, EndState.OK, of="detect", number=2))
    assert in_stage(tally, 1) == ("3/3", {"ok": 3})
    told(tally, started(TWO), ended(TWO), ended(TWO, of="restart"))
    assert in_stage(tally, 2) == ("1/3", {"changed": 1})
    # It is in no wave, so the open one is not further than it was.
    assert in_wave(tally) == ("0/1", {})
    assert tally.open.late.ends.done == tally.open.late.size == 1


def test_who_came_to_an_end_behind_the_others_is_no_longer_counted_ahead():
    tally = tally_of(SURVEY, *survey(ONE, THREE), LOST, PARKED, FIX)
    assert in_stage(tally, 2)[0] == "0/3"
    told(tally, EndpointExpired(endpoint=TWO))
    assert (in_stage(tally, 2)[0], tally.alive) == ("0/2", 2)


def test_an_endpoint_that_is_lost_again_may_still_come_back():
    tally = tally_of(SURVEY, *survey(ONE, THREE), LOST, PARKED, FIX, BACK)
    told(tally, started(TWO, "detect", 2), msgspec.structs.replace(LOST, attempt="x"), PARKED)
    assert in_stage(tally, 1) == ("3/3", {"ok": 2, "unreachable": 1})
    assert (in_stage(tally, 2)[0], tally.alive) == ("0/3", 3)


def test_a_doubt_that_is_settled_late_is_counted_where_the_others_have_gone():
    others = [ended(each, of=of) for each in (TWO, THREE) for of in ("remove", "restart")]
    doubt = [started(ONE), doubted(ONE), ASKED]
    verify = StageOpened(stage=3, phase="verify", steps=("confirm",), endpoints=2)
    tally = tally_of(SURVEY, *survey(ONE, TWO, THREE), FIX, *doubt, *others, verify)
    assert (in_stage(tally, 3), tally.queued) == (("0/2", {}), 2)
    told(tally, resolved(ONE, "answered", EndState.CHANGED))
    told(tally, ended(ONE, of="restart"), ended(ONE, EndState.OK, of="confirm"))
    assert in_stage(tally, 3) == ("1/3", {"ok": 1})


def test_who_is_waited_for_is_not_queued():
    tally = tally_of(SURVEY, *survey(ONE, THREE), LOST, PARKED)
    assert tally.queued == 0
    told(tally, StageOpened(stage=3, phase="verify", steps=("confirm",), endpoints=3))
    assert (in_stage(tally, 3)[0], tally.queued) == ("0/3", 2)


def test_who_does_not_come_back_stays_unreachable():
    tally = tally_of(SURVEY, LOST, PARKED, EndpointExpired(endpoint=TWO))
    assert (tally.parked, tally.expired) == ({}, 1)
    assert in_stage(tally, 1) == ("1/3", {"unreachable": 1})


def test_a_doubt_of_an_endpoint_that_stays_away_is_unknown_for_good():
    parked = EndpointParked(endpoint=ONE, for_ms=1000)
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), parked)
    assert in_wave(tally) == ("1/1", {"unknown": 1})
    told(tally, EndpointExpired(endpoint=ONE))
    assert (in_wave(tally), tally.doubts) == (("1/1", {"unknown": 1}), {})
    assert folds(tally) == [(1, "remove", "unknown")]


def test_a_member_that_went_away_and_comes_back_late_is_judged_apart():
    gone = ended(ONE, EndState.UNREACHABLE, FailureKind.REFUSED)
    parked = EndpointParked(endpoint=ONE, for_ms=1000)
    tally = tally_of(FIX, CUT, FIRST, started(ONE), gone, parked, PASSED, SECOND)
    told(tally, EndpointReturned(endpoint=ONE), started(ONE, number=2))
    assert in_wave(tally) == ("0/2", {})
    # Its wave was judged without it, and so it counts until it is done.
    assert tally.open.among.by_word["unreachable"] == 1
    told(tally, ended(ONE, number=2), ended(ONE, of="restart"))
    assert in_wave(tally) == ("0/2", {})
    assert tally.open.late.ends.done == 1
    assert +tally.open.among.by_word == {"changed": 1}


def test_looking_again_can_only_make_it_worse():
    events = [FIX, CUT, FIRST, started(ONE), ended(ONE), ended(ONE, of="restart")]
    bakes = WaveBaking(stage=2, wave=1, endpoints=1, for_ms=60_000)
    tally = tally_of(*events, bakes, started(ONE, number=2, purpose="recheck"))
    assert in_wave(tally) == ("1/1", {"changed": 1})
    fine = StepVerified(endpoint=ONE, step="remove", attempt="x", state=EndState.CHANGED)
    told(tally, fine)
    assert (in_wave(tally), folds(tally)[0][0]) == (("1/1", {"changed": 1}), 1)
    told(tally, msgspec.structs.replace(fine, state=EndState.FAILED))
    assert in_wave(tally) == ("1/1", {"failed": 1})
    assert tally.alive == 2


def test_what_was_taken_back_is_told_beside_the_failure():
    bad = ended(ONE, EndState.FAILED, FailureKind.EXIT_CODE, of="restart")
    undone = StepUndone(endpoint=ONE, step="remove", attempt="u", state=EndState.CHANGED)
    undo = started(ONE, number=2, purpose="undo")
    tally = tally_of(FIX, CUT, FIRST, started(ONE), ended(ONE), bad, undo, undone)
    assert in_wave(tally) == ("1/1", {"failed": 1})
    assert (1, "remove", "undo") in folds(tally)


def test_the_queue_is_that_of_the_open_wave():
    tally = tally_of(FIX, CUT)
    assert tally.queued == 0
    told(tally, FIRST)
    assert tally.queued == 1
    told(tally, started(ONE))
    assert tally.queued == 0
    told(tally, ended(ONE), ended(ONE, of="restart"), PASSED, SECOND, started(TWO))
    assert tally.queued == 1
    retried = ended(TWO, EndState.FAILED, FailureKind.EXIT_CODE, retry_in_ms=10_000)
    told(tally, retried)
    assert tally.queued == 1


def test_a_closed_gate_of_latecomers_of_an_earlier_stage_is_not_overlooked():
    verify = StageOpened(stage=3, phase="verify", steps=("confirm",), endpoints=3)
    late = WaveStopped(stage=2, wave=0, sums=())
    tally = tally_of(FIX, CUT, FIRST, PASSED, SECOND, verify, late)
    assert (tally.wave.number, tally.wave.phase, tally.queued) == (0, "closed", 0)


def test_nothing_is_queued_behind_a_closed_gate():
    tally = tally_of(FIX, CUT, FIRST, PASSED, SECOND, WaveStopped(stage=2, wave=2, sums=()))
    assert tally.queued == 0


def test_who_needs_no_change_is_in_no_wave():
    cut = WavesCut(stage=2, sizes=(1, 1), outside=1, sha256="")
    skipped = [
        StepFinished(endpoint=TWO, step=name, state=EndState.SKIPPED)
        for name in ("remove", "restart")
    ]
    tally = tally_of(FIX, cut, FIRST, *skipped)
    assert in_stage(tally, 2) == ("1/3", {"skipped": 1})
    assert (in_wave(tally), tally.queued) == (("0/1", {}), 1)


def test_a_stage_that_happens_once_counts_clients():
    call = step("call", phase="communicate", action=Manual("Ring them"), once="client", risk="read")
    tally = Tally(plan(steps=(*STEPS, call)))
    opened = StageOpened(stage=4, phase="communicate", steps=("call",), endpoints=3)
    told(tally, opened)
    assert (in_stage(tally, 4), tally.queued) == (("0/1", {}), 0)
    once = OnceFinished(step="call", client="acme", state=EndState.OK, detail="done")
    told(tally, once, once)
    assert in_stage(tally, 4) == ("1/1", {"ok": 1})
    assert folds(tally) == [(1, "call", "ok")]
    refused = msgspec.structs.replace(once, state=EndState.FAILED, refused=True)
    told(tally, refused)
    assert (in_stage(tally, 4), tally.alive) == (("1/1", {"failed": 1}), 0)


def test_a_dry_run_counts_what_would_change():
    foreseen = [
        ended(ONE, EndState.SKIPPED, would_change=True),
        ended(ONE, EndState.SKIPPED, of="restart", detail="a dry run cannot check it"),
    ]
    tally = tally_of(FIX, *foreseen, of=plan(dry_run=True))
    assert in_stage(tally, 2) == ("1/3", {"would change": 1})


def test_a_refusal_ends_an_endpoint():
    refused = StepFinished(endpoint=ONE, step="remove", state=EndState.SKIPPED, refused=True)
    tally = tally_of(FIX, refused)
    assert (in_stage(tally, 2), tally.alive) == (("1/3", {"skipped": 1}), 2)


def test_what_ran_when_a_process_died_runs_no_more():
    tally = tally_of(FIX, CUT, FIRST, started(ONE))
    told(tally, RESUMED, life="b")
    assert (tally.running, tally.queued) == ({}, 1)
    told(tally, doubted(ONE), life="b")
    assert (tally.doubts, tally.queued) == ({ONE: "remove"}, 0)


def test_a_second_look_that_was_cut_off_is_no_doubt():
    events = [FIX, CUT, FIRST, started(ONE), ended(ONE), ended(ONE, of="restart")]
    tally = tally_of(*events, started(ONE, number=2, purpose="recheck"))
    told(tally, RESUMED, doubted(ONE, number=2), life="b")
    assert (in_wave(tally), tally.doubts) == (("1/1", {"changed": 1}), {})


def test_deadlines_move_to_the_clock_of_the_next_life():
    retried = ended(ONE, EndState.FAILED, FailureKind.EXIT_CODE, retry_in_ms=10_000, of="detect")
    bakes = WaveBaking(stage=2, wave=1, endpoints=1, for_ms=60_000)
    tally = tally_of((500.0, SURVEY), (500.0, retried), (500.0, LOST), (500.0, PARKED))
    told(tally, (500.0, FIX), (500.0, CUT), (500.0, FIRST), (500.0, bakes))
    # Another machine's clock, 30 seconds of wall time later.
    first, *_ = records((7.0, RESUMED), life="b")
    tally.take(msgspec.structs.replace(first, at="2026-11-22T08:14:33.120411Z"))
    assert tally.waiting == {ONE: -13_000_000_000}
    assert tally.wave.until_ns == 37_000_000_000
    # Who is in the waiting room has all of its time again.
    assert tally.parked == {TWO: 3607_000_000_000}


def test_a_wall_clock_that_was_set_back_makes_no_deadline_later():
    bakes = WaveBaking(stage=2, wave=1, endpoints=1, for_ms=60_000)
    tally = tally_of((500.0, SURVEY), (500.0, FIX), (500.0, CUT), (500.0, FIRST), (510.0, bakes))
    first, *_ = records((7.0, RESUMED), life="b")
    tally.take(msgspec.structs.replace(first, at="2006-11-22T08:14:33.120411Z"))
    assert tally.wave.until_ns == 67_000_000_000


def test_questions_of_an_earlier_life_are_asked_again():
    tally = tally_of(FIX, CUT, FIRST, started(ONE), doubted(ONE), ASKED, RunPaused(why="asked"))
    told(tally, RESUMED, life="b")
    assert (tally.questions, in_wave(tally)) == ({}, ("0/1", {}))
    told(tally, ASKED, life="b")
    assert (list(tally.questions), in_wave(tally)[0]) == ([ASKED.question], "1/1")


def test_a_stop_belongs_to_its_life():
    tally = tally_of(FIX, RunStopping(why="SIGTERM", running=1), RunPaused(why="SIGTERM"))
    assert tally.stopping == "SIGTERM"
    assert tally.over == RunPaused(why="SIGTERM")
    told(tally, RESUMED, life="b")
    assert (tally.stopping, tally.over, tally.resumed) == ("", None, True)


def test_so_many_different_answers_are_told_apart_and_no_more():
    many = plan(on=700)
    ends = [
        ended(each.id, EndState.FAILED, FailureKind.EXIT_CODE, detail=f"code {n}")
        for n, each in enumerate(many.endpoints)
    ]
    tally = tally_of(FIX, *ends, of=many)
    assert len(tally.folds) == 501
    assert sum(fold.count for fold in tally.folds.values()) == 700


def test_records_that_fit_no_plan_are_passed_over():
    strange = [
        started("other/one"),
        started(ONE, "nothing"),
        StepPart(endpoint="other/one", step="remove", attempt="x", part="script", command=""),
        doubted("other/one"),
        resolved("other/one", "probed", EndState.OK),
        EndpointParked(endpoint="other/one", for_ms=1),
        EndpointReturned(endpoint="other/one"),
        EndpointExpired(endpoint="other/one"),
        StepVerified(endpoint="other/one", step="remove", attempt="x", state=EndState.FAILED),
        StepUndone(endpoint="other/one", step="remove", attempt="x", state=EndState.FAILED),
        WaveOpened(stage=9, wave=1, waves=1, endpoints=1, limits=()),
        WaveJudged(stage=9, wave=0, passed=True, sums=()),
        WaveBaking(stage=2, wave=7, endpoints=1, for_ms=1),
        OnceFinished(step="nothing", client="", state=EndState.OK),
        ApprovalGiven(question="nothing", answer="yes", who="", os_user=""),
        msgspec.structs.replace(ASKED, endpoint="other/one"),
    ]
    tally = tally_of(SURVEY, *strange)
    assert (tally.running, tally.folds, tally.waiting, tally.doubts) == ({}, {}, {}, {})


GATES = (Gate(), Gate("50%", "20%", "50%", "1"), Gate("0", "100%", "100%", "100%"))


@pytest.mark.parametrize("seed", range(12))
def test_the_screen_finds_for_a_gate_what_the_engine_finds(seed):
    chance = Random(seed)
    rollout = Rollout(waves=("1", "10%", "50%"), gate=GATES[seed % 3], waiting_room_s=60)
    of = plan(on=(1, 3, 19, 40)[seed % 4], rollout=rollout)
    worst = list(EndState)[:3]
    bad = {each.id: chance.choice(worst) for each in of.endpoints if chance.random() < 0.2}
    story = Story(of, bad=bad, seed=seed)
    story.survey(1)
    story.spread(2)
    state, tally = begin(of, RUN), Tally(of)
    for record in records(*story.told):
        state = fold(state, record)
        tally.take(record)
        spread = state.spreads.get(2)
        if spread is not None and tally.wave is not None:
            counts = spread.tally(tally.wave.number)
            for what in ("answered", "failed", "unreachable", "unknown"):
                assert tally.wave.ends.found(what) == counts[what]
                assert tally.open.among.found(what) == spread.total[what]
    assert tally.wave is not None or bad


@pytest.mark.parametrize("state", EndState)
@pytest.mark.parametrize("failure", [None, *FailureKind])
def test_what_counts_as_an_answer_is_what_the_engine_says(state, failure):
    assert proves_contact(state, failure) == mending.proves_contact(state, failure)
