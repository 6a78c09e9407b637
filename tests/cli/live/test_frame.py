# ruff: noqa: RUF001  (the sign of multiplication is what the screen shows)
"""What a person sees of waves, gates, questions, doubts and the waiting room, at every size."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.cli.live.frame import frame
from outagekit.cli.live.tally import Tally
from outagekit.events import (
    ApprovalAsked,
    EndpointParked,
    EndpointReturned,
    EndState,
    GateLimit,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepStarted,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WavesCut,
    WaveStopped,
)
from outagekit.plan.gates import limits_of, sums_of
from outagekit.playbook.model import Gate, Manual, Rollout
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.records import Story, records

STEPS = (read("detect"), step("remove"), step("restart"), read("confirm", phase="verify"))
SIZES = [(80, 24), (60, 24), (80, 12), (60, 12)]
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202e]")
HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold]x[/nope]\u202e\r\nnext"


def plan(on=40, *, steps=STEPS, **rollout):
    given = {"waves": ("1", "25%", "100%"), "gate": Gate("80%", "5%", "20%", "0"), **rollout}
    dry_run = given.pop("dry_run", False)
    return plan_of(steps, on=on, rollout=Rollout(**given), dry_run=dry_run)


def tally_of(of, *events):
    tally = Tally(of)
    for record in records(*events):
        tally.take(record)
    return tally


def picture(tally, *, now_s=0.0, width=80, height=24):
    """Return the rows of a terminal of that size; one column and one row of it stay free."""
    return [line.plain for line in frame(tally, now_s, width - 1, height - 1)]


def spread(of, *, upto, bad=None, seed=0):
    story = Story(of, bad=bad, seed=seed)
    story.survey(1)
    waves = story.spread(2, upto=upto)
    return story, waves


def cut_at(story, seconds):
    return [(at_s, event) for at_s, event in story.told if at_s <= seconds]


def test_a_wave_at_80_by_24():
    of = plan(pause="first", bake_s=900)
    names = [each.id for each in of.endpoints]
    story, _ = spread(of, upto=2, bad={names[4]: EndState.FAILED})
    ends = [at_s for at_s, event in story.told if isinstance(event, StepFinished)]
    tally = tally_of(of, *cut_at(story, ends[-2]))
    lines = picture(tally, now_s=ends[-2] + 4)
    assert len(lines) == 23
    assert lines[2:] == [
        "",
        "all 40       ▓▓▓x░░░░░░░░░░░░  changed 9 · failed 1 · to come 30",
        "assess       ████████████████  40/40  ok 40",
        "fix          ▓▓▓x░░░░░░░░░░░░   9/40  changed 8 · failed 1",
        "verify       ░░░░░░░░░░░░░░░░      -",
        "",
        "wave 1 of 3  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓    1/1  changed 1  passed",
        "wave 2 of 3  ▓▓▓▓▓▓▓▓▓▓▓▓xx░░    8/9  changed 7 · failed 1",
        "wave 3 of 3  ░░░░░░░░░░░░░░░░   0/30",
        "gate  answered 9 ≥8 · failed 1 ≤0 TOO MANY · unreachable 0 ≤1 · unknown 0 ≤0",
        "running 1 · queued 0",
        lines[13],
        "",
        " 1 × remove failed exit_code: acme/pos-05",
        "     exit code 3: no space left",
        " 8 × restart changed · installed 1.0",
        " 9 × remove changed · installed 1.0",
        "",
        "",
        "next: bake 15 min, the gate, wave 3 of 3 (30 endpoints)",
        "Ctrl-C: running steps end, nothing new begins",
    ]


def test_before_any_wave_the_picture_says_how_they_will_be_cut():
    of = plan()
    survey = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=40)
    lines = picture(tally_of(of, survey))
    assert lines[8:12] == [
        "wave 1       ░░░░░░░░░░░░░░░░  1 of those who need fix",
        "wave 2       ░░░░░░░░░░░░░░░░  up to 25%",
        "wave 3       ░░░░░░░░░░░░░░░░  up to 100%",
        "gate  answered ≥80% · failed ≤5% · unreachable ≤20% · unknown ≤0",
    ]
    small = picture(tally_of(of, survey), height=12)
    assert "waves  1, 25%, 100% of those who need fix" in small
    then = "next: stage fix in waves of 1, 25%, 100%: remove and restart on up to 40 endpoints"
    assert then[:79] not in lines
    assert lines[-2] == "next: stage fix in waves of 1, 25%, 100%"


def test_when_the_waves_are_over_the_last_gate_stays_to_be_read():
    of = plan()
    story, _ = spread(of, upto=None)
    story.survey(3)
    lines = picture(tally_of(of, *story.told), now_s=story.at_s)
    assert lines[10] == "wave 3 of 3  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓  30/30  changed 30  passed"
    assert lines[11].startswith("gate passed  answered 30 ")
    assert lines[-2] == "next: the run is over"


def test_nobody_needs_the_change():
    of = plan()
    fix = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=40)
    cut = WavesCut(stage=2, sizes=(), outside=40, sha256="")
    lines = picture(tally_of(of, fix, cut))
    assert "no waves: nobody needs fix" in lines
    assert "running 0 · queued 40" in lines


def closed(of):
    names = [each.id for each in of.endpoints]
    story, waves = spread(of, upto=2, bad=dict.fromkeys(names[4:6], EndState.FAILED))
    told = story.told[:-16]
    limits = limits_of(of.rollout.gate, 9, 10)
    sums = sums_of(limits, story.standing(waves[1]), story.standing(names[:10]))
    return tally_of(of, *told, (story.at_s, WaveStopped(stage=2, wave=2, sums=sums)))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_closed_gate_is_said_in_words_with_the_line_that_does_not_hold(width, height):
    lines = picture(closed(plan()), width=width, height=height)
    assert "GATE CLOSED  failed 2 (at most 0) TOO MANY" in lines
    assert lines[-2].startswith("nothing new begins; ")
    assert "the run pauses" in lines[-2] or "it pauses" in lines[-2]
    assert "queued 0" in "".join(lines)


def test_after_a_resume_a_closed_gate_says_that_it_is_tried_again():
    tally = closed(plan())
    for record in records(RunPaused(why="the gate", exit_code=5)):
        tally.take(record)
    assert picture(tally)[-1] == "the run is paused; its log is being closed"
    for record in records(RunResumed(os_user="ops", version="1"), life="b"):
        tally.take(record)
    lines = picture(tally, now_s=3.0)
    assert lines[0].endswith("resumed 3 s ago")
    assert "wave 2 of 3: who closed the gate is tried again; then: the gate once more" in lines


def test_a_bake_counts_down_and_then_looks_again():
    of = plan(bake_s=900)
    story, _ = spread(of, upto=1)
    story.tell(WaveBaking(stage=2, wave=1, endpoints=1, for_ms=900_000))
    tally = tally_of(of, *story.told)
    lines = picture(tally, now_s=story.at_s + 60)
    assert "running 0 · queued 0 · baking, 14 min left" in lines
    assert lines[-2] == "next: verify again, the gate, wave 2 of 3 (9 endpoints)"
    name = of.endpoints[0].id
    again = StepStarted(endpoint=name, step="remove", attempt="x", number=2, purpose="recheck")
    tally.take(records((story.at_s + 900, again))[0])
    lines = picture(tally, now_s=story.at_s + 905)
    assert "running 1 · queued 0 · baked, verifying again" in lines
    assert any(line.startswith(f"  {name}") and line.endswith("5 s  verify") for line in lines)


PAUSE = ApprovalAsked(
    question="pause-2.1",
    kind="pause",
    text="Wave 1 of 3 is over.\nLook at what it changed, ring the duty manager of the shop, and"
    " say whether wave 2 with 9 endpoints may begin",
    answers=("yes", "no"),
    for_ms=3_600_000,
)


def doubt(name):
    return ApprovalAsked(
        question=f"doubt-remove@{name}",
        kind="doubt",
        text="Was it done?",
        answers=("done", "rerun", "failed", "unknown"),
        step="remove",
        endpoint=name,
    )


def waiting(of, *questions):
    story, _ = spread(of, upto=1)
    story.tell(WaveJudged(stage=2, wave=1, passed=True, sums=()))
    for question in questions:
        story.tell(question)
    return tally_of(of, *story.told), story.at_s


def test_a_question_stands_there_with_the_command_that_answers_it():
    tally, at_s = waiting(plan(pause="first"), PAUSE)
    lines = picture(tally, now_s=at_s + 60)
    assert lines[-5:] == [
        "asked: Wave 1 of 3 is over. Look at what it changed, ring the duty manager of",
        "  the shop, and say whether wave 2 with 9 endpoints may begin",
        "  outagekit approve 20261122T081403Z pause-2.1  waits 59 min more",
        "after the answer: wave 2 of 3 (9 endpoints)",
        "Ctrl-C: running steps end, nothing new begins",
    ]
    assert "running 0 · queued 0 · waits for 1 answer" in lines


def test_what_comes_next_waits_for_every_answer_that_holds_up_the_run():
    call = msgspec.structs.replace(PAUSE, question="call@acme", kind="manual", client="acme")
    tally, at_s = waiting(plan(), PAUSE, call, doubt("acme/pos-01"))
    assert picture(tally, now_s=at_s)[-2] == "after the answers: wave 2 of 3 (9 endpoints)"
    tally, at_s = waiting(plan(), doubt("acme/pos-01"))
    assert picture(tally, now_s=at_s)[-2].startswith("next: ")
    at_the_end = msgspec.structs.replace(doubt("acme/pos-01"), for_ms=3_600_000)
    tally, at_s = waiting(plan(), at_the_end)
    assert picture(tally, now_s=at_s)[-2].startswith("after the answer: ")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("number", [0, 1, 4, 1000])
def test_whatever_waits_the_command_of_the_oldest_question_is_whole(width, height, number):
    of = plan(1001, pause="first")
    others = [doubt(each.id) for each in of.endpoints[:number]]
    tally, at_s = waiting(of, PAUSE, *others)
    text = "\n".join(picture(tally, now_s=at_s, width=width, height=height))
    assert re.search(r"outagekit approve (20261122T081403Z|last) pause-2\.1(?!\S)", text)
    if number:
        assert re.search(rf"\b({number} more|asked {number + 1}\b)", text)
    assert f"waits for {number + 1} answer" in text


def test_who_a_question_is_about_is_said():
    of = plan()
    tally, at_s = waiting(of, doubt("acme/pos-01"))
    lines = picture(tally, now_s=at_s)
    assert "asked for acme/pos-01: Was it done?" in lines
    assert "  outagekit approve 20261122T081403Z doubt-remove@acme/pos-01 --answer WORD" in lines


def test_a_hostile_question_is_shown_and_obeyed_by_nobody():
    nasty = msgspec.structs.replace(PAUSE, question=HOSTILE, text=HOSTILE, client=HOSTILE)
    tally, at_s = waiting(plan(), nasty, nasty, doubt("acme/pos-01"))
    for width, height in SIZES:
        text = "".join(picture(tally, now_s=at_s, width=width, height=height))
        assert not UNSAFE.search(text)


def test_the_waiting_room_says_how_many_and_until_when():
    of = plan(waiting_room_s=14_400)
    names = [each.id for each in of.endpoints]
    lost = dict.fromkeys(names[10:13], EndState.UNREACHABLE)
    story, _ = spread(of, upto=1, bad=lost)
    story.tell(EndpointReturned(endpoint=names[10]))
    lines = picture(tally_of(of, *story.told), now_s=story.at_s)
    (room,) = [line for line in lines if line.startswith("waiting room")]
    assert room == "waiting room 2 · given up in 3 h 59 min · came back 1"


def late(of, *events):
    """Tell of one who came back when all waves were over, and what followed."""
    name = of.endpoints[12].id
    story, _ = spread(of, upto=None, bad={name: EndState.UNREACHABLE})
    story.survey(3)
    story.tell(EndpointReturned(endpoint=name))
    story.tell(StepStarted(endpoint=name, step="detect", attempt=f"{name}:detect:2", number=2))
    story.tell(
        StepFinished(endpoint=name, step="detect", state=EndState.OK, attempt=f"{name}:detect:2")
    )
    story.tell(StepStarted(endpoint=name, step="remove", attempt=f"{name}:remove:1", number=1))
    for event in events:
        story.tell(event)
    return picture(tally_of(of, *story.told), now_s=story.at_s)


def test_those_who_came_back_have_a_bake_and_a_gate_before_the_run_is_over():
    of = plan(waiting_room_s=14_400, bake_s=900)
    assert late(of)[-2] == "next: bake 15 min for those who came back, their gate, the run is over"
    bakes = WaveBaking(stage=2, wave=0, endpoints=1, for_ms=900_000)
    lines = late(of, bakes)
    assert lines[-2] == "next: verify again who came back, their gate, the run is over"
    assert any("baking, 15 min left" in line for line in lines)
    judged = WaveJudged(stage=2, wave=0, passed=True, sums=())
    assert late(of, bakes, judged)[-2] == "next: the run is over"


def test_at_the_end_a_run_that_only_waits_says_so():
    of = plan(waiting_room_s=14_400)
    lost = {of.endpoints[12].id: EndState.UNREACHABLE}
    story, _ = spread(of, upto=None, bad=lost)
    story.survey(3)
    lines = picture(tally_of(of, *story.told), now_s=story.at_s)
    assert "running 0 · queued 0 · waits for those in the waiting room" in lines
    assert lines[-2:] == [
        "next: the run is over",
        "Ctrl-C: wait no longer; a resume waits for them again",
    ]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_dry_run_is_marked_and_has_no_waves(width, height):
    of = plan(dry_run=True)
    fix = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=40)
    foreseen = [
        StepFinished(
            endpoint=each.id,
            step=name,
            state=EndState.SKIPPED,
            attempt="x",
            would_change=name == "remove",
        )
        for each in of.endpoints[:3]
        for name in ("remove", "restart")
    ]
    lines = picture(tally_of(of, fix, *foreseen), width=width, height=height)
    assert lines[0].startswith("DRY RUN  ")
    assert any(line.startswith("fix") and line.endswith("3/40  would change 3") for line in lines)
    assert not any("wave" in line for line in lines)


def test_a_drill_is_marked():
    opened = RunOpened(
        playbook="x",
        title="x",
        plan="00",
        clients=("acme",),
        endpoints=40,
        os_user="ops",
        machine="desk",
        version="1",
        drill=True,
    )
    assert picture(tally_of(plan(), opened))[0].startswith("DRILL  ")


def test_a_person_who_is_asked_next_is_announced():
    call = step("call", phase="contain", action=Manual("Ring them"), once="client", risk="read")
    of = plan(steps=(STEPS[0], call, *STEPS[1:]))
    survey = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=40)
    lines = picture(tally_of(of, survey))
    assert lines[-2] == "next: a person is asked once per client: call"
    once = StageOpened(stage=2, phase="contain", steps=("call",), endpoints=40)
    assert any(
        line.startswith("contain") and line.endswith("0/1  once per client")
        for line in picture(tally_of(of, survey, once))
    )


def test_the_limits_of_the_whole_run_are_told_from_those_of_a_wave():
    of = plan(gate=Gate("0", "3", "100%", "100%"))
    wave = WaveOpened(
        stage=2,
        wave=2,
        waves=3,
        endpoints=9,
        limits=(GateLimit("failed", 3, 10, "run"), GateLimit("unknown", 9, 9, "wave")),
    )
    fix = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=40)
    lines = picture(tally_of(of, fix, wave))
    assert "gate  failed 0 (at most 3 in the run) · unknown 0 (at most 9)" in lines


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("number", [1, 40, 1000])
def test_at_every_size_wave_gate_activity_next_and_the_way_out_are_there(number, width, height):
    of = plan(number)
    story, waves = spread(of, upto=min(2, number))
    at = len(waves[:2])
    end_s = story.at_s - 1.0
    tally = tally_of(of, *cut_at(story, end_s))
    lines = picture(tally, now_s=end_s, width=width, height=height)
    text = "\n".join(lines)
    assert len(lines) == height - 1 or (number == 1 and len(lines) < height)
    assert re.search(
        rf"^wave {at} of {len(waves)} .*\d+/{len(waves[at - 1])}\b", text, re.MULTILINE
    )
    assert re.search(r"^gate  (answered|answ) \d+ \(?(≥|at least )\d+", text, re.MULTILINE)
    assert not re.search(r"^gate .*…$", text, re.MULTILINE)
    assert re.search(r"^running \d+ · queued \d+", text, re.MULTILINE)
    assert re.search(r"^next: the gate, \S", text, re.MULTILINE)
    assert lines[-1].startswith("Ctrl-C: ")


PLAN = plan(30, pause="each", bake_s=60, waiting_room_s=60)
NAMES = [each.id for each in PLAN.endpoints]
WORDS = st.one_of(st.text(max_size=60), st.just(HOSTILE), st.just("世界" * 30))
NAME = st.sampled_from(NAMES)
STEP = st.sampled_from([each.id for each in STEPS])
LIMITS = limits_of(Gate(), 9, 10)
EVENTS = st.one_of(
    st.sampled_from(
        [
            StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=30),
            StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=30),
            StageOpened(stage=3, phase="verify", steps=("confirm",), endpoints=29),
            WavesCut(stage=2, sizes=(1, 9, 20), outside=0, sha256=""),
            WaveOpened(stage=2, wave=2, waves=3, endpoints=9, limits=LIMITS),
            WaveBaking(stage=2, wave=2, endpoints=9, for_ms=1000),
            WaveBaking(stage=2, wave=0, endpoints=9, for_ms=1000),
            WaveJudged(stage=2, wave=2, passed=False, sums=()),
            RunStopping(why="Ctrl-C", running=1),
            RunPaused(why="Ctrl-C"),
            RunResumed(os_user="ops", version="1"),
        ]
    ),
    st.builds(StepStarted, endpoint=NAME, step=STEP, attempt=WORDS),
    st.builds(
        StepFinished,
        endpoint=NAME,
        step=STEP,
        attempt=WORDS,
        state=st.sampled_from(EndState),
        detail=WORDS,
    ),
    st.builds(EndpointParked, endpoint=NAME, for_ms=st.integers(0, 10**9)),
    st.builds(EndpointReturned, endpoint=NAME),
    st.builds(
        ApprovalAsked,
        question=WORDS,
        kind=st.sampled_from(["approve", "manual", "pause", "doubt"]),
        text=WORDS,
        answers=st.just(("yes", "no")),
        step=STEP,
        endpoint=st.none() | NAME,
        for_ms=st.integers(0, 10**9),
    ),
)


@given(
    events=st.lists(EVENTS, max_size=40),
    more=st.lists(EVENTS, max_size=20),
    width=st.integers(2, 140),
    height=st.integers(1, 60),
)
def test_whatever_happens_a_picture_keeps_its_bounds_and_its_height(events, more, width, height):
    first = frame(tally_of(PLAN, *events), 3.0, width, height)
    second = frame(tally_of(PLAN, *events, *more), 9.0, width, height)
    assert len(first) == len(second) <= height
    for line in [*first, *second]:
        assert line.cell_len <= width
        assert line.no_wrap
        assert not UNSAFE.search(line.plain)
