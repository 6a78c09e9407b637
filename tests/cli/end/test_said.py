"""What endpoints said for people is told at the end of a run, folded, capped, and never obeyed."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from outagekit.cli.end.document import counts_document
from outagekit.cli.end.said import said_in, said_lines, speaking
from outagekit.cli.end.summary import summary
from outagekit.cli.render import json_text
from outagekit.events import EndState, FailureKind, Output, RunClosed, StepFinished, StepPart
from outagekit.run.engine.fold import fold
from outagekit.run.engine.state import begin
from outagekit.run.surroundings import Ending
from outagekit.testing.builders import plan_of, read, step
from outagekit.testing.records import RUN, records

REMIND = read("remind", phase="communicate", result={"held": "bool", "lift": "text"})
HELD = (
    'openssl is held and gets no updates.\nLift it with: apt-mark unhold openssl\n{"held": true}\n'
)


def part(endpoint, text, of="remind", *, tail="", stderr="", number=1, name="script"):
    return StepPart(
        endpoint=endpoint,
        step=of,
        attempt=f"{endpoint}:{of}:{number}",
        part=name,
        command="",
        stdout=Output(text=text, tail=tail),
        stderr=Output(text=stderr),
    )


def end(endpoint, of="remind", state=EndState.OK, failure=None):
    return StepFinished(endpoint=endpoint, step=of, state=state, failure=failure)


def told(plan, *events):
    """Return what was said, and the lines that tell it."""
    taken = records(*events, RunClosed({}, exit_code=0))
    state = begin(plan)
    for record in taken:
        state = fold(state, record)
    said = said_in(taken, state)
    return said, [line.plain for line in said_lines(said, plan)], state


def typed(on=2, phase="assess"):
    plan = plan_of([read("command", phase=phase)], on=on)
    return msgspec.structs.replace(
        plan, playbook=msgspec.structs.replace(plan.playbook, origin="typed")
    )


def test_what_many_said_alike_is_told_once_without_the_line_that_is_the_result():
    plan = plan_of([REMIND], on=34)
    events = [each for e in plan.endpoints for each in (part(e.id, HELD), end(e.id))]
    said, lines, state = told(plan, *events)
    assert lines == [
        "",
        "said by remind on 34 endpoints:",
        "  openssl is held and gets no updates.",
        "  Lift it with: apt-mark unhold openssl",
        "    acme/pos-01, pos-02, pos-03, pos-04, pos-05 and 29 more",
    ]
    log = Path("/state/runs/r/log.jsonl")
    whole = [
        line.plain for line in summary(Ending(0, state, ""), plan, RUN, log_path=log, said=said)
    ]
    assert "said by remind on 34 endpoints:" in whole
    document = counts_document(Ending(0, state, ""), plan, RUN, log_path=log, said=said)
    (one,) = json.loads(json_text(document))["said"]
    assert one["step"] == "remind"
    assert one["text"].endswith("unhold openssl")
    assert len(one["endpoints"]) == 34


def test_a_step_that_only_gives_a_result_says_its_result():
    plan = plan_of([REMIND], on=1)
    _, lines, _ = told(
        plan, part("acme/pos-01", '{"held": true, "lift": "x"}\n'), end("acme/pos-01")
    )
    assert lines == ["", "said by remind:", "  acme/pos-01  held true, lift x"]


def test_an_endpoints_own_name_does_not_keep_words_apart():
    plan = plan_of([REMIND], on=2)
    events = [
        each
        for e in plan.endpoints
        for each in (part(e.id, f"{e.id} at {e.address} is held\n"), end(e.id))
    ]
    said, _, _ = told(plan, *events)
    assert [each.text for each in said] == ["it at it is held"]


def test_only_scripts_of_phase_communicate_speak_to_people():
    plan = plan_of([read("look"), step("mend"), REMIND], on=1)
    assert speaking(plan) == {"remind"}
    assert speaking(typed()) == {"command"}


def test_the_last_try_counts_and_what_went_wrong_is_told_elsewhere():
    plan = plan_of([REMIND], on=2)
    one, two = (e.id for e in plan.endpoints)
    said, _, _ = told(
        plan,
        part(one, "first\n"),
        part(one, "second\n", number=2),
        part(one, "a look\n", number=2, name="verify"),
        end(one),
        part(two, "half a word\n"),
        end(two, state=EndState.FAILED, failure=FailureKind.EXIT_CODE),
    )
    assert [(each.text, each.endpoints) for each in said] == [("second", (one,))]


def test_the_answers_to_a_typed_command_are_told_also_of_those_that_failed():
    plan = typed()
    one, two = (e.id for e in plan.endpoints)
    _, lines, _ = told(
        plan,
        part(one, "up 3 days\n", "command"),
        end(one, "command"),
        part(two, "", "command", stderr="no such file\n"),
        end(two, "command", EndState.FAILED, FailureKind.EXIT_CODE),
    )
    assert lines == ["", "said by command:", f"  {one}  up 3 days", f"  {two}  no such file"]


@pytest.mark.parametrize("of", ["remind", "command"])
def test_however_much_is_said_a_person_gets_a_few_lines_and_the_number_of_the_rest(of):
    plan = plan_of([REMIND], on=300) if of == "remind" else typed(on=300)
    events = []
    for number, e in enumerate(plan.endpoints):
        text = "\n".join(f"line {n} of {number}" for n in range(200))
        events += [part(e.id, text, of), end(e.id, of)]
    said, lines, _ = told(plan, *events)
    assert len(said) == 300
    assert len(lines) <= 70
    assert any("more lines: in the log" in line for line in lines)
    shown = sum(line.startswith("said by") for line in lines)
    assert lines[-1] == f"{300 - shown} other texts said by {300 - shown} endpoints: in the log"


def test_hostile_words_are_shown_and_obeyed_by_nobody():
    plan = plan_of([REMIND], on=1)
    evil = "\x1b[2J\x1b]0;owned\x07[bold]x[/]\u202e\r" + "x" * 5000
    _, lines, _ = told(plan, part("acme/pos-01", evil), end("acme/pos-01"))
    assert not any("\x1b" in line or "\u202e" in line or "\r" in line for line in lines)
    assert max(map(len, lines)) < 500


def test_the_end_of_what_was_too_long_for_the_log_is_said_too():
    plan = plan_of([REMIND], on=1)
    _, lines, _ = told(plan, part("acme/pos-01", "head\n", tail="tail\n"), end("acme/pos-01"))
    assert lines[2:] == ["  head", "  tail"]


def test_a_run_whose_steps_say_nothing_for_people_has_no_such_lines():
    plan = plan_of([read("look")], on=1)
    assert told(plan, part("acme/pos-01", "x\n", "look"), end("acme/pos-01", "look"))[:2] == (
        (),
        [],
    )
