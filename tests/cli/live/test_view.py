# ruff: noqa: RUF001  (the sign of multiplication is what the screen shows)
from __future__ import annotations

import re
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.cli.live.frame import frame, room_for
from outagekit.cli.live.tally import Tally, last_line, result_line, without_place
from outagekit.cli.live.view import LiveView
from outagekit.cli.render import Screen
from outagekit.events import (
    EndState,
    FailureKind,
    Output,
    RunClosed,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepStarted,
)
from outagekit.inventory.model import Endpoint, Site
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.records import RUN, records
from outagekit.testing.terminal import Terminal

STEPS = (read("detect"), step("remove"), step("restart"), read("confirm", phase="verify"))
ASSESS = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=3)


def started(name, of="detect", number=1):
    return StepStarted(endpoint=name, step=of, attempt=f"{name}:{of}:{number}", number=number)


def said(name, text, of="detect"):
    return StepPart(
        endpoint=name,
        step=of,
        attempt=f"{name}:{of}:1",
        part="script",
        command="",
        exit_code=0,
        stdout=Output(text=text),
    )


def ended(name, state=EndState.OK, failure=None, detail="", of="detect", **more):
    return StepFinished(
        endpoint=name,
        step=of,
        state=state,
        attempt=f"{name}:{of}:{more.pop('number', 1)}",
        failure=failure,
        detail=detail,
        **more,
    )


def tally_of(*events, on=3, steps=STEPS):
    tally = Tally(plan_of(steps, on=on))
    for record in records(*events):
        tally.take(record)
    return tally


def picture(tally, *, now_s=0.0, width=80, height=23):
    return [line.plain for line in frame(tally, now_s, width, height)]


def test_identical_answers_are_one_line_with_their_number():
    names = [f"acme/pos-0{number}" for number in (1, 2, 3)]
    events = [ASSESS, *map(started, names)]
    for name in names:
        events += [said(name, "reading\ninstalled 1.0\n"), ended(name)]
    assert "3 × detect ok · installed 1.0" in picture(tally_of(*events))


def test_a_failure_that_differs_only_in_the_address_is_one_line():
    kind = FailureKind.CONNECT_TIMEOUT
    plan = plan_of(STEPS)
    events = [
        ended(e.id, EndState.UNREACHABLE, kind, f"{e.address} port 22 did not answer")
        for e in plan.endpoints[:2]
    ]
    lines = picture(tally_of(ASSESS, *events))
    at = lines.index("2 × detect unreachable connect_timeout: acme/pos-01, pos-02")
    assert lines[at + 1] == "    it did not answer"


def test_what_is_said_once_is_shown_with_its_address():
    detail = "127.0.0.2 port 22 did not answer"
    gone = ended("acme/pos-01", EndState.UNREACHABLE, FailureKind.CONNECT_TIMEOUT, detail)
    assert any(detail in line for line in picture(tally_of(ASSESS, gone)))


def test_only_the_endpoints_own_names_are_left_out():
    endpoint = Endpoint(client="acme", name="a", address="10.1.4.1", os="linux")
    text = "10.1.4.1:22 is not 10.1.4.11, acme/a is not acme/ab, [10.1.4.1]:22"
    expected = "it is not 10.1.4.11, it is not acme/ab, it"
    assert without_place(text, endpoint) == expected


def test_a_port_of_ones_own_is_left_out_and_port_22_stays():
    forwarded = Endpoint(client="acme", name="a", address="10.1.4.1", os="linux", port=4022)
    assert without_place("10.1.4.1 port 4022 refused", forwarded) == "it refused"
    plain = Endpoint(client="acme", name="a", address="10.1.4.1", os="linux")
    assert without_place("10.1.4.1 port 22 refused", plain) == "it refused"


def test_the_worst_stands_first_and_stays_when_its_stage_is_over():
    fix = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=2)
    tally = tally_of(
        ASSESS,
        ended("acme/pos-01"),
        ended("acme/pos-02"),
        ended("acme/pos-03", EndState.FAILED, FailureKind.EXIT_CODE, "exit code 1"),
        fix,
        ended("acme/pos-01", EndState.CHANGED, of="remove"),
        ended("acme/pos-02", EndState.UNKNOWN, FailureKind.LOST, "gone", of="remove"),
    )
    folds = [line for line in picture(tally) if "×" in line]
    assert [line.split(" × ")[1].split(" · ")[0] for line in folds] == [
        "detect failed exit_code: acme/pos-03",
        "remove unknown lost: acme/pos-02",
        "remove changed",
    ]


def test_a_stage_counts_endpoints_not_steps():
    fix = StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=3)
    tally = tally_of(
        fix,
        ended("acme/pos-01", EndState.CHANGED, of="remove"),
        ended("acme/pos-01", EndState.OK, of="restart"),
        ended("acme/pos-02", EndState.OK, of="remove"),
        ended("acme/pos-03", EndState.FAILED, FailureKind.VERIFY, of="remove"),
    )
    (line,) = [line for line in picture(tally) if line.startswith("fix")]
    assert line.endswith("2/3  changed 1 · failed 1")


def test_running_queued_and_retried_endpoints_are_told_apart():
    tally = tally_of(
        ASSESS,
        started("acme/pos-01"),
        started("acme/pos-02"),
        (1.0, ended("acme/pos-02", EndState.FAILED, FailureKind.EXIT_CODE, retry_in_ms=10_000)),
    )
    assert "running 1 · queued 1 · retrying 1 (next in 7 s)" in picture(tally, now_s=4.0)
    assert not any("×" in line for line in picture(tally))
    again = records((11.0, started("acme/pos-02", number=2)))[0]
    tally.take(again)
    lines = picture(tally, now_s=15.0)
    assert "running 2 · queued 1" in lines
    assert any("acme/pos-02" in line and line.endswith("4 s  try 2") for line in lines)


def test_the_oldest_are_named_and_the_quick_ones_are_not():
    many = [f"acme/pos-{number:02}" for number in range(1, 41)]
    events = [(number / 2, started(name)) for number, name in enumerate(many)]
    tally = tally_of(
        StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=40), *events, on=40
    )
    shown = [line.split()[0] for line in picture(tally, now_s=20.0) if line.startswith("  acme")]
    assert shown == many[: room_for(tally, 23).stragglers]
    assert not [line for line in picture(tally, now_s=1.0) if line.startswith("  acme")]


def test_a_doubt_is_named_and_runs_no_more():
    doubt = StepInDoubt(
        endpoint="acme/pos-01", step="detect", attempt="acme/pos-01:detect:1", why="left alone"
    )
    tally = tally_of(ASSESS, started("acme/pos-01"), doubt)
    assert not tally.running
    lines = picture(tally)
    at = lines.index("1 × detect in doubt abandoned: acme/pos-01")
    assert lines[at + 1] == "    left alone"
    assert "running 0 · queued 2 · in doubt 1" in lines


def test_the_footer_says_what_comes_next_and_to_how_many():
    gone = ended("acme/pos-01", EndState.FAILED, FailureKind.VERIFY)
    lines = picture(tally_of(ASSESS, gone))
    fix = "stage fix in one wave: remove and restart on up to 2 endpoints"
    assert lines[-2] == f"next: {fix}"
    assert lines[-1] == "Ctrl-C: running steps end, nothing new begins"


def test_after_ctrl_c_the_footer_promises_nothing_any_more():
    stopping = RunStopping(why="Ctrl-C", running=1)
    lines = picture(tally_of(ASSESS, started("acme/pos-01"), stopping))
    assert lines[-2] == "stopping (Ctrl-C): 1 running step may end, nothing new begins"
    assert lines[-1] == "Ctrl-C again: leave running steps in doubt"


def test_time_stands_still_when_the_run_is_over():
    tally = tally_of(ASSESS, (61.0, RunClosed(counts={}, exit_code=0)))
    assert picture(tally, now_s=500.0)[0].endswith("1 min 1 s")


def test_events_that_fit_no_plan_are_passed_over():
    stage = StageOpened(stage=9, phase="fix", steps=("x",), endpoints=1)
    tally = tally_of(stage, ended("other/one"), ASSESS, ended("other/one", of="nothing"))
    assert tally.stages[0].done == 0


def test_the_last_line_with_words_is_what_counts():
    assert last_line("one\n  two  \n\n \n") == "two"
    assert last_line("") == ""
    assert result_line({"sick": True, "size": 3}) == "sick true, size 3"
    assert result_line({"units": ["a", "b"]}) == 'units ["a","b"]'
    assert result_line(None) == ""


HOSTILE = "\x1b[2J\x1b]0;owned\x07[bold]x[/nope]\u202e\r\nnext"
WORDS = st.one_of(st.text(max_size=60), st.just(HOSTILE), st.just("世界" * 30))
NAMES = st.sampled_from([f"acme/pos-{number:02}" for number in range(1, 31)])
STAGES = st.sampled_from(
    [
        ASSESS,
        StageOpened(stage=2, phase="fix", steps=("remove", "restart"), endpoints=30),
        StageOpened(stage=3, phase="verify", steps=("confirm",), endpoints=29),
    ]
)
STEP_NAMES = st.sampled_from([each.id for each in STEPS])
EVENTS = st.one_of(
    STAGES,
    st.builds(started, NAMES, STEP_NAMES),
    st.builds(said, NAMES, WORDS, STEP_NAMES),
    st.builds(
        ended,
        NAMES,
        st.sampled_from(EndState),
        st.none() | st.sampled_from(FailureKind),
        WORDS,
        STEP_NAMES,
        retry_in_ms=st.none() | st.just(5000),
    ),
)
SIZES = {"width": st.integers(1, 200), "height": st.integers(0, 60)}


@given(events=st.lists(EVENTS, max_size=60), now_s=st.floats(0, 1e6), **SIZES)
def test_a_picture_never_leaves_its_bounds_and_is_always_safe(events, now_s, width, height):
    tally = tally_of(*events, on=30)
    lines = frame(tally, now_s, width, height)
    assert len(lines) <= height
    assert all(line.cell_len <= width and line.no_wrap for line in lines)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", "".join(line.plain for line in lines))


@given(first=st.lists(EVENTS, max_size=30), second=st.lists(EVENTS, max_size=30), **SIZES)
def test_a_picture_keeps_its_height_so_that_nothing_jumps(first, second, width, height):
    before = frame(tally_of(*first, on=30), 0, width, height)
    after = frame(tally_of(*first, *second, on=30), 9, width, height)
    assert len(before) == len(after)


@pytest.mark.parametrize(("width", "height"), [(80, 23), (60, 19), (40, 12), (30, 8)])
@pytest.mark.parametrize("number", [1, 40, 1000])
def test_at_every_size_the_stage_the_activity_and_the_way_out_are_there(number, width, height):
    opened = StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=number)
    tally = tally_of(opened, started("acme/pos-01"), on=number)
    text = "\n".join(picture(tally, width=width, height=height))
    assert re.search(rf"assess.* 0/{number}\b", text)
    assert f"running 1 · queued {number - 1}" in text
    assert "Ctrl-C" in text


def test_all_end_states_at_once_keep_the_bad_ones_readable():
    events = [StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=1000)]
    for number, state in enumerate(EndState, 1):
        events += [ended(f"acme/pos-{100 * number + i:02}", state) for i in range(100)]
    tally = tally_of(*events, on=1000)
    (wide,) = [line for line in picture(tally) if line.startswith("assess")]
    assert wide.endswith("  good 300 fail 100 unkn 100 unre 100")
    (narrow,) = [line for line in picture(tally, width=60) if line.startswith("assess")]
    assert narrow.endswith("  fail 100 unkn 100 unre 100")


def test_what_does_not_fit_is_counted():
    many = [f"acme/pos-{number:02}" for number in range(1, 31)]
    events = [event for name in many for event in (said(name, f"answer {name[-2:]}"), ended(name))]
    lines = picture(tally_of(ASSESS, *events, on=30))
    folds = room_for(tally_of(ASSESS, on=30), 23).folds
    assert f" …   {30 - folds + 1} other answers: ok {30 - folds + 1}" in lines


def test_the_picture_of_a_run_at_80_by_24():
    names = [endpoint.id for endpoint in endpoints(8)]
    events = [
        StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=8),
        *map(started, names),
    ]
    for name in names[:5]:
        events += [said(name, "installed 1.0"), ended(name)]
    events.append(ended(names[5], EndState.UNKNOWN, FailureKind.LOST, "the connection was lost"))
    assert picture(tally_of(*events, on=8), now_s=72.0) == [
        "Test" + " " * 66 + "1 min 12 s",
        f"acme · 8 endpoints · {RUN}",
        "",
        "all 8        ??░░░░░░░░░░░░░░  unknown 1 · to come 7",
        "assess       ██████████??░░░░  6/8  ok 5 · unknown 1",
        "fix          ░░░░░░░░░░░░░░░░    -",
        "verify       ░░░░░░░░░░░░░░░░    -",
        "",
        "wave 1       ░░░░░░░░░░░░░░░░  100% of those who need fix",
        "gate  answered ≥0 · failed ≤100% · unreachable ≤100% · unknown ≤100%",
        "running 2 · queued 0",
        "  acme/pos-07  detect   1 min 12 s  no answer yet",
        "  acme/pos-08  detect   1 min 12 s  no answer yet",
        "",
        "1 × detect unknown lost: acme/pos-06",
        "    the connection was lost",
        "5 × detect ok · installed 1.0",
        "",
        "",
        "",
        "",
        "next: stage fix in one wave: remove and restart on up to 7 endpoints",
        "Ctrl-C: running steps end, nothing new begins",
    ]


@pytest.fixture
def terminal(monkeypatch):
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    return Terminal()


def until(condition, within_s=5.0):
    deadline_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_the_picture_is_drawn_and_then_gives_way_to_the_ending(terminal):
    screen = Screen(stderr=terminal)
    screen.say("before")
    with LiveView(plan_of(STEPS), screen, now_s=lambda: 0.0) as view:
        view.on_records(records(ASSESS, started("acme/pos-01")))
        until(lambda: any("running 1" in row for row in terminal.rows))
        screen.note("in between")
        view.on_records(records(ended("acme/pos-01")))
        until(lambda: any("1 × detect ok" in row for row in terminal.rows))
        before, between, *drawn = terminal.rows
        assert (before, between, drawn[0]) == ("before", "in between", f"Test{' ' * 72}0 s")
        assert len(drawn) <= 23
    screen.say("after")
    assert [row for row in terminal.rows if row] == ["before", "in between", "after"]
    assert terminal.getvalue().rindex("\x1b[?25h") > terminal.getvalue().rindex("\x1b[?25l")


def test_if_the_run_breaks_the_last_picture_stays(terminal):
    screen = Screen(stderr=terminal)

    def breaking():
        with LiveView(plan_of(STEPS), screen, now_s=lambda: 0.0) as view:
            view.on_records(records(ASSESS, started("acme/pos-01")))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        breaking()
    screen.say("after")
    assert "running 1 · queued 2" in terminal.rows
    assert terminal.rows[-2:] == ["after", ""]


def test_what_has_not_changed_is_not_drawn_again(terminal):
    with LiveView(plan_of(STEPS), Screen(stderr=terminal), now_s=lambda: 0.0):
        until(lambda: "Ctrl-C" in terminal.getvalue())
        time.sleep(0.05)
        drawn = terminal.getvalue().count("Ctrl-C")
        until(lambda: True)
    assert drawn == 1


def test_a_terminal_that_goes_away_stops_the_drawing_only(terminal):
    class Gone(Terminal):
        def write(self, _text):
            raise OSError(5, "Input/output error")

    with LiveView(plan_of(STEPS), Screen(stderr=Gone())) as view:
        view.on_records(records(ASSESS))
        until(lambda: not view._thread.is_alive())
        view.on_records(records(started("acme/pos-01")))


def test_a_narrower_terminal_leaves_no_folded_rows_behind(terminal):
    screen = Screen(stderr=terminal)
    with LiveView(plan_of(STEPS), screen, now_s=lambda: 0.0) as view:
        view.on_records(records(ASSESS))
        until(lambda: "Ctrl-C" in terminal.getvalue())
        terminal.truncate(0)
        terminal.seek(0)
        screen.people.size = (50, 24)
        until(lambda: "Ctrl-C" in terminal.getvalue())
    # Lines longer than 50 cells took two rows.
    folded = [line for line in picture(tally_of(ASSESS), width=79) if len(line) > 50]
    assert folded
    upwards = terminal.getvalue().split("Test")[0].count("\x1b[1A")
    assert upwards == 22 + len(folded)


def test_a_live_view_draws_no_colour_with_no_color(terminal, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with LiveView(plan_of(STEPS), Screen(stderr=terminal)) as view:
        view.on_records(records(ASSESS))
        until(lambda: "Ctrl-C" in terminal.getvalue())
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.getvalue())


def test_what_runs_on_an_endpoint_that_never_answered_says_so_and_through_which_jump_host():
    plan = plan_of(STEPS, on=3)
    far, heard, quick = plan.endpoints
    far = msgspec.structs.replace(far, site="shop")
    sites = {"shop": Site(name="shop", jump="ops@198.51.100.1")}
    clients = tuple(msgspec.structs.replace(c, sites=sites) for c in plan.clients)
    plan = msgspec.structs.replace(plan, endpoints=(far, heard, quick), clients=clients)
    tally = Tally(plan)
    events = [
        StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=3),
        started(far.id),
        started(heard.id),
        said(heard.id, "here"),
        (4.5, ended(quick.id)),
    ]
    for record in records(*events):
        tally.take(record)
    lines = [line for line in picture(tally, now_s=5.0, width=100) if line.startswith("  acme")]
    assert lines[0].endswith("5 s  no answer yet through the jump host ops@198.51.100.1")
    assert lines[1].endswith("5 s")
    narrow = [line for line in picture(tally, now_s=5.0, width=70) if line.startswith("  acme")]
    assert narrow[0].endswith("no answer yet through a jump host")


def test_after_a_resume_nobody_has_been_heard_yet():
    first = [
        StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=1),
        started("acme/pos-01"),
        said("acme/pos-01", "here"),
    ]
    tally = tally_of(*first, on=1)
    for record in records(
        RunResumed(os_user="ops", version="1"), started("acme/pos-01"), life="second"
    ):
        tally.take(record)
    assert any("no answer yet" in line for line in picture(tally, now_s=9.0))


def test_a_thousand_endpoints_have_bars_at_60_columns():
    events = [StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=1000)]
    events += [ended(f"acme/pos-{number:02}") for number in range(1, 990)]
    events += [ended(f"acme/pos-{number}", EndState.FAILED) for number in range(990, 996)]
    lines = picture(tally_of(*events, on=1000), width=59)
    bars = [match[0] for line in lines if (match := re.search(r"[█▓▒░x?!]{5,}", line))]
    assert len(bars) >= 5
    assert {len(bar) for bar in bars} == {5}
    assert any(line.endswith("995/1000  ok 989 · failed 6") for line in lines)


def test_the_numbers_of_the_other_answers_are_never_cut():
    events = [StageOpened(stage=1, phase="assess", steps=("detect",), endpoints=400)]
    for number in range(1, 401):
        state = (EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE, EndState.OK)[number % 4]
        events.append(ended(f"acme/pos-{number:02}", state, detail=f"why {number}"))
    tally = tally_of(*events, on=400)
    for width in range(40, 100):
        (rest,) = [line for line in picture(tally, width=width) if "other answers" in line]
        assert "…" not in rest.partition("other answers")[2], rest
