from __future__ import annotations

import errno
import io
import json
import re
import threading
from datetime import UTC, timedelta, timezone
from typing import get_args

import msgspec
import pytest

from outagekit.cli.live import lines
from outagekit.cli.live.lines import EventsView, Narrator, PlainView
from outagekit.cli.live.tally import Tally
from outagekit.cli.render import Screen
from outagekit.errors import OutagekitError
from outagekit.events import (
    AgreementOverridden,
    AnyEvent,
    ApprovalAsked,
    ApprovalGiven,
    Checkpoint,
    ClockJumped,
    EndpointExpired,
    EndpointKeyTrusted,
    EndpointParked,
    EndpointReturned,
    EndState,
    EventUnencodable,
    EvidenceSaved,
    FailureKind,
    GateLimit,
    GateSum,
    InboxRefused,
    LogRepaired,
    LogWriteFailed,
    Note,
    OnceFinished,
    Output,
    PlanFrozen,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepTidied,
    StepUndone,
    StepVerified,
    TrustAdded,
    TrustPinned,
    TrustRemoved,
    TrustReplaced,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.log.record import decode_event, encode_event, encode_line, read_header
from outagekit.playbook.model import Manual
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.records import records
from outagekit.testing.terminal import Pipe

HOSTILE = "\x1b[2J\nforged 08:14:03 acme/pos-02 ok\u202e"
WHERE = {"endpoint": "acme/pos-01", "step": "detect"}
ATTEMPT = {**WHERE, "attempt": "acme/pos-01:detect:1"}

OPENED = RunOpened(
    playbook="demo",
    title="Demo",
    plan="00",
    clients=("acme",),
    endpoints=3,
    os_user="ops",
    machine="desk",
    version="1",
)
STAGE = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=3)
FINE = StepFinished(**ATTEMPT, state=EndState.OK, duration_ms=1200)
BAD = StepFinished(
    **ATTEMPT,
    state=EndState.FAILED,
    failure=FailureKind.EXIT_CODE,
    detail="exit code 3: no space left",
    duration_ms=350,
)
AGAIN = msgspec.structs.replace(BAD, retry_in_ms=10_000)
SKIPPED = StepFinished(**WHERE, state=EndState.SKIPPED, detail="not when detect.sick")
DOUBT = StepInDoubt(**ATTEMPT, why="nobody waited")
PART = StepPart(
    **ATTEMPT,
    part="script",
    command="00",
    exit_code=0,
    duration_ms=900,
    stdout=Output(text="one\ntwo\n"),
)
CUT = WavesCut(stage=2, sizes=(1, 10, 29), outside=4, sha256="00")
GOOD = (
    GateSum("answered", 8, 10, "wave", 10, holds=True),
    GateSum("failed", 0, 10, "wave", 0, holds=True),
    GateSum("unknown", 2, 11, "run", 1, holds=True),
)
EXCEEDED = (
    GateSum("answered", 8, 10, "wave", 7, holds=False),
    GateSum("failed", 0, 10, "wave", 3, holds=False),
    GateSum("unknown", 2, 11, "run", 1, holds=True),
)
WAVE = WaveOpened(
    stage=2,
    wave=2,
    waves=3,
    endpoints=10,
    limits=(GateLimit("answered", 8, 10, "wave"), GateLimit("unknown", 2, 11, "run")),
)
QUESTION = ApprovalAsked(
    question="call@acme",
    kind="manual",
    text="Ring the contact",
    answers=("yes", "skip", "no"),
    step="call",
    client="acme",
    for_ms=3_600_000,
)
GIVEN = ApprovalGiven(
    question="call@acme", answer="yes", who="Jo", os_user="ops", because="done", how="inbox"
)
EVERY = (
    OPENED,
    PlanFrozen(files={"plan.json": "00"}),
    RunResumed(os_user="ops", version="1"),
    RunStopping(why="Ctrl-C", running=3),
    RunPaused(why="Ctrl-C"),
    RunClosed(counts={EndState.OK: 2, EndState.FAILED: 1}, exit_code=3),
    STAGE,
    CUT,
    WAVE,
    WaveBaking(stage=2, wave=2, endpoints=10, for_ms=900_000),
    WaveJudged(stage=2, wave=2, passed=True, sums=GOOD),
    WaveStopped(stage=2, wave=2, sums=EXCEEDED),
    WaveReopened(stage=2, wave=2, sums=GOOD),
    StepStarted(**ATTEMPT, number=2),
    PART,
    FINE,
    DOUBT,
    StepResolved(**ATTEMPT, how="probed", state=EndState.CHANGED),
    StepVerified(**ATTEMPT, state=EndState.CHANGED, duration_ms=80),
    StepUndone(**ATTEMPT, state=EndState.CHANGED, duration_ms=80),
    StepTidied(**WHERE),
    OnceFinished(step="call", client="acme", state=EndState.OK),
    EndpointParked(endpoint="acme/pos-01", for_ms=14_400_000),
    EndpointReturned(endpoint="acme/pos-01"),
    EndpointExpired(endpoint="acme/pos-01"),
    QUESTION,
    GIVEN,
    InboxRefused(name="x.json", why="it belongs to somebody else"),
    EndpointKeyTrusted(endpoint="acme/pos-01", machine_id="ab12", key="SHA256:x"),
    TrustAdded(server="acme/pos-01", name="10.1.4.11", key="ssh-rsa SHA256:x", os_user="jo"),
    TrustReplaced(
        server="acme/pos-01", name="10.1.4.11", old=("a", "b"), new=("c",), because="set up anew"
    ),
    TrustRemoved(server="acme/pos-01", name="10.1.4.11", old=("a",), because="gone"),
    TrustPinned(endpoint="acme/pos-01", machine_id="ab12"),
    EvidenceSaved(**ATTEMPT, source="/etc/x", path="evidence/x", size_bytes=1, sha256="00"),
    Note(text="seen", who="jo", endpoint="acme/pos-01"),
    AgreementOverridden(
        allow="reboot", clients=("acme",), approved_by="Jo", because="down", listed=False
    ),
    Checkpoint(head_seq=40, head_sha="ab" * 32),
    ClockJumped(by_ms=-3000),
    LogRepaired(offset=9, removed_bytes=4, removed_sha256="00", kept_as="log.torn-1"),
    LogWriteFailed(why="disk full"),
    EventUnencodable(kind="note", text="?"),
)


def told(*events, verbose=0, quiet=False):
    narrator = Narrator(verbose=verbose, quiet=quiet, zone=UTC)
    return [line for record in records(*events) for line in narrator.lines(record)][1:]


def test_every_kind_of_event_has_words():
    assert {type(event) for event in EVERY} == set(get_args(AnyEvent))
    assert len(told(*EVERY, verbose=2)) == len(EVERY)


def test_a_step_is_one_line_with_time_endpoint_step_state_and_duration():
    assert told(FINE) == ["08:14:03 acme/pos-01 detect ok 1.2 s"]


def test_a_failure_names_its_kind_and_why():
    line = "08:14:03 acme/pos-01 detect failed exit_code 350 ms · exit code 3: no space left"
    assert told(BAD) == [line]
    assert told(AGAIN) == [f"{line} · again in 10 s"]


def test_a_step_that_was_skipped_took_no_time():
    assert told(SKIPPED) == ["08:14:03 acme/pos-01 detect skipped · not when detect.sick"]


def test_a_result_is_told_where_there_is_nothing_else_to_say():
    result = msgspec.structs.replace(FINE, result={"sick": True})
    assert told(result) == ["08:14:03 acme/pos-01 detect ok 1.2 s · sick true"]


def test_quiet_tells_failures_only_and_none_that_is_tried_again():
    lines = told(OPENED, STAGE, FINE, SKIPPED, AGAIN, BAD, DOUBT, quiet=True)
    assert [line.split()[3] for line in lines] == ["failed", "in"]


def test_quiet_also_tells_what_a_person_has_to_know():
    resolved = StepResolved(**ATTEMPT, how="answered", who="Jo", state=EndState.CHANGED)
    stopped = WaveStopped(stage=2, wave=2, sums=EXCEEDED)
    closed = WaveJudged(stage=2, wave=2, passed=False, sums=EXCEEDED)
    passed = WaveJudged(stage=2, wave=2, passed=True, sums=GOOD)
    lines = told(WAVE, passed, DOUBT, resolved, QUESTION, GIVEN, stopped, closed, quiet=True)
    begins = [line[9:].partition(":")[0] for line in lines[1:]]
    assert begins == [
        "acme/pos-01 detect no longer in doubt",
        "asked call@acme for acme",
        "GATE CLOSED during wave 2 of 3",
        "GATE CLOSED after wave 2 of 3",
    ]


def test_a_wave_is_told_with_its_gate_and_judged_with_the_arithmetic():
    closed = WaveJudged(stage=2, wave=2, passed=False, sums=EXCEEDED)
    passed = WaveJudged(stage=2, wave=2, passed=True, sums=GOOD)
    assert told(CUT, WAVE, passed, closed) == [
        "08:14:03 cut into 3 waves of 1, 10 and 29 endpoints; 4 others need no change here",
        (
            "08:14:03 wave 2 of 3 begins: 10 endpoints;"
            " its gate: answered at least 8, unknown at most 2 in the run"
        ),
        (
            "08:14:03 wave 2 of 3 passed: 10 of 10 answered (at least 8), 0 failed (at most 0),"
            " 1 unknown (at most 2 in the run)"
        ),
        (
            "08:14:03 GATE CLOSED after wave 2 of 3: 7 of 10 answered (at least 8: too few),"
            " 3 failed (at most 0: too many), 1 unknown (at most 2 in the run)"
        ),
    ]


def test_a_gate_gone_past_names_who_and_why():
    past = WaveReopened(stage=2, wave=2, sums=EXCEEDED[1:2], because="the till is old", who="Jo")
    assert told(WAVE, past)[1:] == [
        (
            "08:14:03 Jo goes past the closed gate of wave 2 of 3, because the till is old:"
            " 3 failed (at most 0: too many)"
        )
    ]


def test_those_who_came_back_late_are_no_wave_with_a_number():
    late = WaveJudged(stage=2, wave=0, passed=True, sums=GOOD[1:2])
    assert told(late) == ["08:14:03 those who came back late passed: 0 failed (at most 0)"]


def test_a_doubt_and_how_it_was_settled():
    again = StepResolved(**ATTEMPT, how="rerun", detail="it may be done twice")
    probed = StepResolved(**ATTEMPT, how="probed", state=EndState.CHANGED, detail="verify is true")
    assert told(DOUBT, again, probed) == [
        "08:14:03 acme/pos-01 detect in doubt abandoned · nobody waited",
        "08:14:03 acme/pos-01 detect no longer in doubt: begins again · it may be done twice",
        (
            "08:14:03 acme/pos-01 detect no longer in doubt: changed"
            " · it was looked at · verify is true"
        ),
    ]


def test_a_question_is_told_with_its_answers_and_the_command_that_answers_it():
    assert told(QUESTION, GIVEN) == [
        (
            "08:14:03 asked call@acme for acme: Ring the contact · answers: yes, skip, no"
            " · waits 1 h · outagekit approve 20261122T081403Z call@acme"
        ),
        "08:14:03 Jo (user ops) answers call@acme: yes · from another terminal · done",
    ]


def test_a_stop_says_what_may_still_end():
    assert told(
        RunStopping(why="Ctrl-C", running=3), RunStopping(why="late", running=1, who="Jo")
    ) == [
        "08:14:03 Ctrl-C: 3 running steps may end, nothing else begins",
        "08:14:03 Jo: late: 1 running step may end, nothing else begins",
    ]


def test_what_a_dry_run_foresees_is_no_skip():
    foreseen = StepFinished(
        **ATTEMPT, state=EndState.SKIPPED, would_change=True, detail="the check is false"
    )
    assert told(foreseen) == ["08:14:03 acme/pos-01 detect would change 0 s · the check is false"]


def test_what_a_dry_run_cannot_check_is_no_change_it_foresees():
    blind = StepFinished(
        endpoint="acme/pos-01",
        step="detect",
        state=EndState.SKIPPED,
        would_change=True,
        detail="a dry run cannot check it",
    )
    assert told(blind) == ["08:14:03 acme/pos-01 detect skipped · a dry run cannot check it"]
    sure = msgspec.structs.replace(blind, detail="would change: its check is not true")
    assert told(sure) == ["08:14:03 acme/pos-01 detect would change · its check is not true"]
    tally = Tally(plan_of([step("detect")]))
    for record in records(blind, msgspec.structs.replace(sure, endpoint="acme/pos-02")):
        tally.take(record)
    assert sorted((said.word, said.text) for said in tally.folds) == [
        ("skipped", "a dry run cannot check it"),
        ("would change", "its check is not true"),
    ]


def test_a_doubt_that_nobody_can_settle_stays_unknown():
    event = StepResolved(
        endpoint="acme/pos-01",
        step="detect",
        attempt="acme/pos-01:detect:1",
        how="probed",
        state=EndState.UNKNOWN,
        failure=FailureKind.LOST,
    )
    (line,) = told(event)
    assert "detect stays unknown lost" in line
    assert "no longer in doubt" not in line


def test_who_stopped_a_run_is_said_once():
    said = told(RunStopping(why="stopped by Kim", running=0, who="Kim"))
    assert said == ["08:14:03 stopped by Kim: 0 running steps may end, nothing else begins"]
    (said,) = told(RunStopping(why="wrong client", running=1, who="Kim"))
    assert "Kim: wrong client: 1 running step" in said


def test_a_dry_run_is_opened_as_one():
    opened = msgspec.structs.replace(OPENED, dry_run=True)
    assert "dry run opened: Demo" in told(opened)[-1]


def test_looking_again_is_told_only_if_asked_for_unless_it_is_bad():
    good = StepVerified(**ATTEMPT, state=EndState.CHANGED, duration_ms=80)
    bad = StepVerified(**ATTEMPT, state=EndState.FAILED, failure=FailureKind.VERIFY, duration_ms=80)
    assert told(good) == []
    assert told(good, verbose=1) == ["08:14:03 acme/pos-01 detect still as wanted 80 ms"]
    line = "08:14:03 acme/pos-01 detect not as wanted any more: failed verify 80 ms"
    assert told(bad, quiet=True) == [line]
    undone = StepUndone(**ATTEMPT, state=EndState.UNKNOWN, failure=FailureKind.LOST, duration_ms=80)
    assert told(undone, quiet=True) == [
        "08:14:03 acme/pos-01 detect could not be taken back: unknown lost 80 ms"
    ]


def test_more_verbose_tells_steps_and_then_commands():
    began = StepStarted(**ATTEMPT)
    assert told(began, PART) == []
    assert told(began, PART, verbose=1) == ["08:14:03 acme/pos-01 detect begins"]
    assert told(PART, verbose=2) == [
        "08:14:03 acme/pos-01 detect script exit code 0 900 ms · two",
    ]


def test_the_day_and_the_zone_are_named_once_and_when_the_day_changes():
    narrator = Narrator(zone=timezone(timedelta(hours=5, minutes=30), "IST"))
    first, second = records(FINE, FINE)
    assert narrator.lines(first) == [
        "2026-11-22, times are IST (UTC+05:30)",
        "13:44:03 acme/pos-01 detect ok 1.2 s",
    ]
    assert len(narrator.lines(second)) == 1
    tomorrow = msgspec.structs.replace(second, at="2026-11-22T20:00:00.000000Z")
    assert narrator.lines(tomorrow)[0].startswith("2026-11-23, ")


def test_nothing_hostile_makes_a_second_line_or_an_escape():
    bad = msgspec.structs.replace(BAD, detail=HOSTILE)
    note = Note(text=HOSTILE, who=HOSTILE)
    for line in told(bad, note, msgspec.structs.replace(DOUBT, why=HOSTILE)):
        assert line.isprintable()


def view_on(events, **options):
    err = Pipe()
    screen = Screen(stdout=Pipe(), stderr=err, stdin=io.StringIO(), **options)
    view = PlainView(plan_of([read("detect"), step("mend")]), screen, zone=UTC)
    for record in records(*events):
        view.on_records((record,))
    return err.getvalue().splitlines()


def test_a_plain_view_says_how_each_stage_ended():
    fix = StageOpened(stage=2, phase="fix", steps=("mend",), endpoints=2)
    closed = RunClosed(counts={EndState.FAILED: 1}, exit_code=3)
    bad = msgspec.structs.replace(BAD, endpoint="acme/pos-02")
    assert view_on([OPENED, STAGE, FINE, bad, fix, closed]) == [
        "2026-11-22, times are UTC (UTC+00:00)",
        "08:14:03 run opened: Demo · acme · 3 endpoints",
        "08:14:03 stage assess: detect on 3 endpoints",
        "08:14:03 acme/pos-01 detect ok 1.2 s",
        "08:14:03 acme/pos-02 detect failed exit_code 350 ms · exit code 3: no space left",
        "         stage assess ended for 2 of 3 endpoints: failed 1 · ok 1",
        "08:14:03 stage fix: mend on 2 endpoints",
        "         stage fix ended for 0 of 2 endpoints",
        "08:14:03 run closed · failed 1 · exit code 3",
    ]


def test_a_stage_that_happens_once_per_client_counts_clients_and_is_on_no_endpoint():
    call = step("call", phase="communicate", action=Manual(text="Ring."), once="client")
    err = Pipe()
    plan = plan_of([step("mend"), call])
    view = PlainView(plan, Screen(stdout=Pipe(), stderr=err), zone=UTC)
    opened = StageOpened(stage=2, phase="communicate", steps=("call",), endpoints=0)
    done = OnceFinished(step="call", client="acme", state=EndState.OK)
    for record in records(opened, done, RunClosed(counts={}, exit_code=0)):
        view.on_records((record,))
    assert err.getvalue().splitlines()[1:4] == [
        "08:14:03 stage communicate: call",
        "08:14:03 call for acme ok",
        "         stage communicate ended for 1 of 1 client: ok 1",
    ]


def test_a_plain_view_counts_earlier_lives_without_telling_them_again():
    err = Pipe()
    view = PlainView(
        plan_of([read("detect"), step("mend")]), Screen(stdout=Pipe(), stderr=err), zone=UTC
    )
    view.catch_up(records(OPENED, STAGE, CUT, BAD, life="a"))
    judged = WaveJudged(stage=2, wave=1, passed=True, sums=GOOD[1:2])
    resumed = RunResumed(os_user="ops", version="1")
    view.on_records(records(resumed, judged, RunPaused(why="Ctrl-C"), life="b"))
    assert err.getvalue().splitlines()[1:] == [
        "08:14:03 run resumed by ops, outagekit 1",
        "08:14:03 wave 1 of 3 passed: 0 failed (at most 0)",
        "         stage assess ended for 1 of 3 endpoints: failed 1",
        "08:14:03 run paused: Ctrl-C",
    ]


def test_a_quiet_plain_view_of_a_good_run_says_nothing():
    closed = RunClosed(counts={EndState.OK: 1}, exit_code=0)
    assert view_on([OPENED, STAGE, FINE, closed], quiet=True) == []


@pytest.mark.parametrize("event", EVERY, ids=lambda event: type(event).__name__)
def test_a_streamed_event_has_the_fields_of_the_log_without_dur_and_prev(event):
    out = Pipe()
    (record,) = records(event)
    EventsView(Screen(stdout=out, stderr=Pipe())).on_records((record,))
    line, sha = encode_line(record, encode_event(event).body, dur=-1, prev="00" * 32)
    in_log = json.loads(line)
    assert sha == in_log["sha"]
    streamed = json.loads(out.getvalue())
    assert list(streamed) == [key for key in in_log if key not in {"dur", "prev"}]
    assert {**streamed, "sha": sha} == {k: v for k, v in in_log.items() if k in streamed}
    assert decode_event(line, read_header(line)).event == event


def test_streamed_records_are_one_printable_line_each():
    out = Pipe()
    view = EventsView(Screen(stdout=out, stderr=Pipe()))
    view.on_records(records(Note(text=HOSTILE), FINE))
    lines = out.getvalue().split("\n")
    assert len(lines) == 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out.getvalue())
    assert json.loads(lines[0])["text"] == HOSTILE


def test_a_reader_that_leaves_the_stream_hurts_nobody():
    class Gone(Pipe):
        def write(self, _text):
            raise BrokenPipeError

    view = EventsView(Screen(stdout=Gone(), stderr=Pipe()))
    view.on_records(records(FINE))
    view.on_records(records(BAD))


def stream_to(pipe):
    return EventsView(Screen(stdout=pipe, stderr=Pipe()))


def test_the_end_of_a_stream_waits_for_a_slow_reader():
    free = threading.Event()

    class Slow(Pipe):
        def write(self, text):
            free.wait(5)
            return super().write(text)

    pipe = Slow()
    view = stream_to(pipe)
    told = records(FINE, BAD)
    teller = threading.Thread(target=view.on_records, args=(told,))
    teller.start()
    waiting = threading.Timer(0.03, free.set)
    waiting.start()
    assert view.finish(told[-1].seq) == ""
    assert pipe.getvalue().count("\n") == 2
    teller.join()
    waiting.join()


def test_the_end_of_a_stream_says_why_it_is_not_complete():
    class Full(Pipe):
        def write(self, _text):
            raise OSError(errno.ENOSPC, "No space left on device")

    view = stream_to(Full())
    with pytest.raises(OutagekitError):
        view.on_records(records(FINE))
    assert view.finish(7) == "stdout cannot be written: No space left on device"


def test_a_stream_the_log_gave_up_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(lines, "_IDLE_TICKS", 2)
    view = stream_to(Pipe())
    view.on_records(records(FINE))
    assert view.finish(7) == "its reader was too far behind"
