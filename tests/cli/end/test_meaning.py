"""What a tired person is told to do first, and what they need not read."""

from __future__ import annotations

from outagekit.cli.end.meaning import what_to_do
from outagekit.events import EndState, FailureKind, RunClosed, RunPaused, StepFinished
from outagekit.run.engine.fold import fold
from outagekit.run.engine.state import begin
from outagekit.run.surroundings import Ending
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.records import records

STEPS = (read("detect"), step("mend", verify="true"))


def told(bad, *, on=6, why="", resumable=True, steps=STEPS):
    """Return what is said of endpoints of which the first ended as in `bad`."""
    plan = plan_of(steps, on=on)
    events = []
    for number, each in enumerate(plan.endpoints):
        if why and number >= len(bad):
            break
        events.append(StepFinished(endpoint=each.id, step="detect", state=EndState.OK))
        state = bad[number] if number < len(bad) else EndState.CHANGED
        kind = FailureKind.LOST if number < len(bad) else None
        events.append(StepFinished(endpoint=each.id, step="mend", state=state, failure=kind))
    state = begin(plan)
    for record in records(*events, RunPaused(why=why) if why else RunClosed({}, exit_code=0)):
        state = fold(state, record)
    return what_to_do(Ending(0, state, why), plan, resumable=resumable)


def test_of_a_good_run_nothing_is_to_be_done():
    assert told([]) == ()


def test_what_nobody_knows_comes_before_what_is_certain():
    assert told([EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE]) == (
        "First look at acme/pos-02 by hand: the change may be there or not.",
        "acme/pos-01 needs a person: why, and what to try, stands below.",
    )


def test_one_and_two_are_named_and_more_are_counted():
    unknown = [EndState.UNKNOWN] * 3
    assert told(unknown)[0].startswith("First look at the 3 whose change ended unknown by hand: ")
    failed = [EndState.FAILED]
    assert told(failed * 2)[0].startswith("acme/pos-01 and acme/pos-02 need a person: ")
    assert told(failed * 3)[0].startswith("The 3 failed ones need a person: ")
    away = [EndState.UNREACHABLE]
    assert told(away) == ("acme/pos-01 could not be reached: try again when it answers.",)
    assert told(away * 3) == ("3 endpoints could not be reached: try again when they answer.",)


def test_a_run_that_was_left_goes_on_where_it_stopped_unless_it_was_a_drill():
    (said,) = told([EndState.CHANGED] * 2, why="Ctrl-C")
    assert said == "4 endpoints were left alone. Nothing is lost: resume goes on where it stopped."
    assert told([EndState.CHANGED] * 2, why="Ctrl-C", resumable=False) == ()


def test_a_reading_step_that_ended_unknown_changed_nothing():
    plan = plan_of((read("detect"),), on=1)
    gone = StepFinished(
        endpoint=plan.endpoints[0].id,
        step="detect",
        state=EndState.UNKNOWN,
        failure=FailureKind.TIMEOUT,
    )
    state = begin(plan)
    for record in records(gone, RunClosed({}, exit_code=4)):
        state = fold(state, record)
    assert what_to_do(Ending(4, state), plan) == ()
