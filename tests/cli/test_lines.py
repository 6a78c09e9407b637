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

from outagekit.cli import lines
from outagekit.cli.lines import EventsView, Narrator, PlainView
from outagekit.cli.render import Screen
from outagekit.errors import OutagekitError
from outagekit.events import (
    AgreementOverridden,
    AnyEvent,
    Checkpoint,
    ClockJumped,
    EndpointKeyTrusted,
    EndState,
    EventUnencodable,
    EvidenceSaved,
    FailureKind,
    LogRepaired,
    LogWriteFailed,
    Note,
    Output,
    PlanFrozen,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepStarted,
)
from outagekit.log.record import decode_event, encode_event, encode_line, read_header
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
EVERY = (
    OPENED,
    PlanFrozen(files={"plan.json": "00"}),
    RunResumed(os_user="ops", version="1"),
    RunPaused(why="Ctrl-C"),
    RunClosed(counts={EndState.OK: 2, EndState.FAILED: 1}, exit_code=3),
    STAGE,
    StepStarted(**ATTEMPT, number=2),
    PART,
    FINE,
    DOUBT,
    EndpointKeyTrusted(endpoint="acme/pos-01", machine_id="ab12", key="SHA256:x"),
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
    assert [line.split()[3] for line in lines] == ["failed", "unknown"]


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
    assert view_on([OPENED, STAGE, FINE, BAD, fix, closed]) == [
        "2026-11-22, times are UTC (UTC+00:00)",
        "08:14:03 run opened: Demo · acme · 3 endpoints",
        "08:14:03 stage assess: detect on 3 endpoints",
        "08:14:03 acme/pos-01 detect ok 1.2 s",
        "08:14:03 acme/pos-01 detect failed exit_code 350 ms · exit code 3: no space left",
        "         stage assess ended for 2 of 3 endpoints: failed 1 · ok 1",
        "08:14:03 stage fix: mend on 2 endpoints",
        "         stage fix ended for 0 of 2 endpoints: ",
        "08:14:03 run closed · failed 1 · exit code 3",
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
