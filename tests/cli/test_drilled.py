"""What a drill says at its end, and what its help tells."""

from __future__ import annotations

import pytest

from outagekit.cli.drilled import score_document, tell_score
from outagekit.events import EndpointId
from outagekit.lab.faults import FAULTS
from outagekit.lab.score import Misjudged, Score, Tally

ONE = EndpointId("acme/srv-001")


class Desk:
    """A desk whose screen keeps what it is told."""

    def __init__(self):
        self.screen = self
        self.said = []

    def say(self, text):
        self.said.append(text)

    note = warn = say


def score(**given):
    fields = {
        "total": 9,
        "right": 9,
        "wrong_targets": (),
        "repeated": (),
        "misjudged": (),
        "tallies": (Tally(None, 5, 5, 5), Tally("hang", 1, 1), Tally("flap", 3, 3, 2)),
    }
    return Score(**{**fields, **given})


def told(found):
    desk = Desk()
    tell_score(desk, found)
    return desk.said


def test_a_drill_that_passed_tells_what_it_met():
    assert told(score()) == [
        "drill passed: 9 of 9 endpoints judged rightly",
        "faults put in and caught: hang 1/1, flap 3/3 (2 as wanted in the end)",
    ]


def test_those_a_gate_kept_back_are_said_not_to_be_judged():
    said = told(score(unfinished=(ONE,)))
    assert said[-1] == "not judged, because the run did not come to an end with them: 1 endpoint"


def test_a_drill_that_failed_names_each_endpoint():
    wrong = Misjudged(ONE, "flap", "changed or unknown or unreachable", "failed (exit_code)")
    said = told(score(right=8, misjudged=(wrong,), repeated=(ONE,), wrong_targets=(ONE,)))
    assert said[0] == "drill FAILED: 8 of 9 endpoints judged rightly"
    assert said[2:] == [
        "acme/srv-001 (flap): expected changed or unknown or unreachable, found failed (exit_code)",
        "acme/srv-001: changed although nothing called for it",
        "acme/srv-001: a change that had succeeded was made again",
    ]


def test_the_document_has_the_same_and_who_was_not_judged():
    document = score_document(score(unfinished=(ONE,)))
    assert document["passed"]
    assert document["unfinished"] == [ONE]
    assert document["faults"]["flap"] == {"total": 3, "right": 3, "fixed": 2}


@pytest.mark.parametrize("command", ["drill", "lab"])
def test_the_help_names_every_fault_and_the_speed(call, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    said = " ".join(call(command, "--help").out.split())
    for fault in (*FAULTS, "--speed"):
        assert fault in said


@pytest.mark.parametrize(("fault", "late"), [(None, True), ("slow", True), ("hang", False)])
def test_healthy_endpoints_that_timed_out_are_said_to_be_this_computers_fault(fault, late):
    wrong = Misjudged(ONE, fault, "ok or skipped", "unknown (timeout)")
    said = told(score(right=8, misjudged=(wrong,)))
    assert any("not waited for, although they answer: 1 endpoint" in line for line in said) is late
