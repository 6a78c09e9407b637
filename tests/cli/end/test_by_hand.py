from __future__ import annotations

import csv
import io
import re
from datetime import UTC
from pathlib import Path

import msgspec
import pytest

from outagekit.cli.end.by_hand import by_hand, hand_lines, table
from outagekit.cli.end.document import counts_document
from outagekit.cli.end.summary import summary
from outagekit.events import (
    EndpointParked,
    EndpointReturned,
    EndState,
    FailureKind,
    Output,
    RunClosed,
    StepFinished,
    StepPart,
    StepStarted,
)
from outagekit.playbook.model import HandsOn
from outagekit.run.engine.fold import fold
from outagekit.run.engine.state import begin
from outagekit.run.surroundings import Ending
from outagekit.testing.builders import plan_of, step
from outagekit.testing.records import RUN, records

LADDER = (
    HandsOn(rung="R6", for_="tag:vm", do="repair its disk offline"),
    HandsOn(rung="R2", seen=True, do="restart it again and again, on a wire"),
    HandsOn(rung="R3", seen=False, do="Safe Mode, by somebody at its keyboard"),
)


def plan_on(on, ladder=LADDER, tags=()):
    plan = plan_of((step("mend", verify="true"),), on=on)
    playbook = msgspec.structs.replace(plan.playbook, hands_on=ladder)
    endpoints = tuple(msgspec.structs.replace(each, tags=tags) for each in plan.endpoints)
    return msgspec.structs.replace(plan, playbook=playbook, endpoints=endpoints)


def state_after(plan, *events):
    state = begin(plan)
    for record in records(*events, RunClosed({}, exit_code=4)):
        state = fold(state, record)
    return state


def away(endpoint):
    refused = FailureKind.REFUSED
    return StepFinished(
        endpoint=endpoint.id, step="mend", state=EndState.UNREACHABLE, failure=refused
    )


def mended(endpoint):
    return StepFinished(endpoint=endpoint.id, step="mend", state=EndState.CHANGED)


def test_who_never_answered_is_listed_with_the_next_rung_and_others_are_not():
    plan = plan_on(3)
    first, second, third = plan.endpoints
    found = by_hand(state_after(plan, away(first), mended(second), away(third)))
    assert [each.endpoint for each in found] == [first, third]
    assert {each.rung.rung for each in found} == {"R3"}
    assert all(each.seen_at is None for each in found)


def test_who_was_seen_for_a_moment_stands_on_another_rung_with_its_time():
    plan = plan_on(1)
    (one,) = plan.endpoints
    parked = EndpointParked(endpoint=one.id, for_ms=60_000)
    back = EndpointReturned(endpoint=one.id)
    (found,) = by_hand(state_after(plan, away(one), parked, back, away(one)))
    assert found.rung.rung == "R2"
    assert found.seen_at.tzinfo is UTC
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found.row["last_seen"])


def test_a_command_that_ended_there_is_a_sign_of_life():
    plan = plan_on(1)
    (one,) = plan.endpoints
    part = StepPart(
        endpoint=one.id,
        attempt="a1",
        step="mend",
        part="check",
        command="",
        exit_code=1,
        duration_ms=1,
        stdout=Output(),
        stderr=Output(),
    )
    started = StepStarted(endpoint=one.id, attempt="a1", step="mend", number=1)
    (found,) = by_hand(state_after(plan, started, part, away(one)))
    assert found.seen_at is not None


def test_a_rung_for_some_endpoints_is_not_taken_by_others():
    virtual = plan_on(1, tags=("vm",))
    (found,) = by_hand(state_after(virtual, away(virtual.endpoints[0])))
    assert found.rung.rung == "R6"


def test_where_no_rung_fits_that_is_said():
    plan = plan_on(1, LADDER[:1])
    state = state_after(plan, away(plan.endpoints[0]))
    text = "\n".join(line.plain for line in hand_lines(state))
    assert "the playbook does not say what to do here" in text


def test_without_a_ladder_nothing_is_shown():
    plan = plan_on(1, ())
    assert list(hand_lines(state_after(plan, away(plan.endpoints[0])))) == []


def test_the_end_of_a_run_shows_it_and_the_document_has_every_row():
    plan = plan_on(12)
    state = state_after(plan, *map(away, plan.endpoints))
    ending = Ending(4, state, "")
    shown = [line.plain for line in summary(ending, plan, RUN, log_path=Path("log.jsonl"))]
    at = shown.index(
        "By hand: 12 endpoints out of reach; the whole list is hands-on.csv, beside the log"
    )
    assert shown[at + 1] == "  R3  12 endpoints: Safe Mode, by somebody at its keyboard"
    rows = counts_document(ending, plan, RUN, log_path=Path("log.jsonl"))["hands_on"]
    assert [row["endpoint"] for row in rows] == [each.name for each in plan.endpoints]
    assert {row["rung"] for row in rows} == {"R3"}


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t"])
def test_no_cell_of_the_list_is_a_formula(sign):
    plan = plan_on(1, (HandsOn(rung="R", do=f"{sign}cmd|' /C calc'!A0"),))
    found = by_hand(state_after(plan, away(plan.endpoints[0])))
    (row,) = csv.DictReader(io.StringIO(table(found)))
    assert not row["do"].startswith(("=", "+", "-", "@", "\t"))
    assert "cmd" in row["do"]


def test_the_list_has_a_row_for_each_endpoint():
    plan = plan_on(3)
    found = by_hand(state_after(plan, *map(away, plan.endpoints)))
    rows = list(csv.DictReader(io.StringIO(table(found))))
    assert [(row["client"], row["endpoint"]) for row in rows] == [
        (each.client, each.name) for each in plan.endpoints
    ]
