from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.cli.end.advice import ADVICE, ASKED, IN_DOUBT, UNKNOWN, advice_for, jump_of
from outagekit.cli.end.document import counts_document
from outagekit.cli.end.onward import next_commands
from outagekit.cli.end.summary import summary
from outagekit.cli.saying import without_place
from outagekit.cli.verdict import verdict_lines
from outagekit.events import (
    ApprovalAsked,
    EndState,
    FailureKind,
    RunClosed,
    RunPaused,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepStarted,
)
from outagekit.inventory.model import Endpoint
from outagekit.log.verify import Verdict
from outagekit.playbook.model import Param
from outagekit.run.engine.fold import fold
from outagekit.run.engine.state import begin
from outagekit.run.surroundings import Ending
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.records import RUN, records

LOG = Path("/state/runs") / RUN / "log.jsonl"
STEPS = (read("detect"), step("mend", verify="true"))


def finished(endpoint, of="mend", state=EndState.CHANGED, failure=None, detail=""):
    return StepFinished(endpoint=endpoint, step=of, state=state, failure=failure, detail=detail)


def ended(plan, *events, code=0, why=""):
    state = begin(plan)
    for record in records(*events, RunPaused(why=why) if why else RunClosed({}, exit_code=code)):
        state = fold(state, record)
    return Ending(code, state, why)


def plan_on(on=3, steps=STEPS, origin="shipped", **book):
    plan = plan_of(steps, on=on)
    playbook = msgspec.structs.replace(plan.playbook, name="demo", origin=origin, **book)
    return msgspec.structs.replace(plan, playbook=playbook)


def whole(plan, **special):
    """Every endpoint detected and mended, but those that are `special`: name -> its event."""
    events = []
    for endpoint in plan.endpoints:
        events.append(finished(endpoint.id, "detect", EndState.OK))
        name = endpoint.name.replace("-", "_")
        events.append(special.get(name) or finished(endpoint.id))
    return events


def failed(endpoint, kind=FailureKind.VERIFY, detail="its goal is not reached"):
    return finished(endpoint, "mend", EndState.FAILED, kind, detail)


def text_of(ending, plan, **more):
    return [line.plain for line in summary(ending, plan, RUN, log_path=LOG, **more)]


def test_when_all_is_well_the_ending_is_short():
    plan = plan_on()
    assert text_of(ended(plan, *whole(plan)), plan, verdict="verified: 9 records") == [
        "",
        "All 3 endpoints are as wanted.",
        "  3  changed  fixed: changed by this run and verified",
        "",
        f"run  {RUN}",
        f"log  {LOG}",
        "     verified: 9 records",
    ]
    assert next_commands(ended(plan, *whole(plan)), plan) == ("outagekit log verify last",)


def test_the_first_line_says_how_many_are_as_wanted():
    plan = plan_on(40)
    bad = {f"pos_{n:02}": failed(f"acme/pos-{n:02}") for n in (3, 7, 9)}
    assert text_of(ended(plan, *whole(plan, **bad), code=3), plan)[1] == (
        "37 of 40 endpoints are as wanted."
    )
    one = plan_on(1)
    assert text_of(ended(one, *whole(one)), one)[1] == "The endpoint is as wanted."


def test_where_nothing_was_to_be_changed_endpoints_answered():
    plan = plan_on(2, steps=[read("detect")])
    events = [finished(e.id, "detect", EndState.OK) for e in plan.endpoints]
    assert text_of(ended(plan, *events), plan)[1] == "All 2 endpoints answered."


def test_identical_failures_are_told_once_with_their_endpoints():
    plan = plan_on(20)
    bad = {f"pos_{n:02}": failed(f"acme/pos-{n:02}") for n in range(1, 9)}
    lines = text_of(ended(plan, *whole(plan, **bad), code=3), plan)
    at = lines.index("failed in mend (verify): 8 endpoints")
    assert lines[at + 1 : at + 4] == [
        "  its goal is not reached",
        "    acme/pos-01, pos-02, pos-03, pos-04, pos-05 and 3 more",
        f"  -> {ADVICE[FailureKind.VERIFY]}",
    ]


def test_the_unreachable_are_one_group_whatever_step_they_were_at():
    plan = plan_on(4)
    kind = FailureKind.CONNECT_TIMEOUT
    events = [
        finished(e.id, of, EndState.UNREACHABLE, kind, f"{e.address} port 22 did not answer")
        for e, of in zip(plan.endpoints, ("detect", "detect", "mend", "mend"), strict=True)
    ]
    lines = text_of(ended(plan, *events, code=4), plan)
    at = lines.index("unreachable (connect_timeout): 4 endpoints")
    assert lines[at + 1 : at + 3] == [
        "  it did not answer",
        "    acme/pos-01, pos-02, pos-03 and pos-04",
    ]


def test_the_worst_group_comes_first():
    plan = plan_on(3)
    events = whole(
        plan,
        pos_01=finished("acme/pos-01", "mend", EndState.UNREACHABLE, FailureKind.REFUSED),
        pos_02=finished("acme/pos-02", "mend", EndState.UNKNOWN, FailureKind.LOST),
        pos_03=failed("acme/pos-03"),
    )
    lines = text_of(ended(plan, *events, code=3), plan)
    heads = [line.split()[0] for line in lines if line.endswith(": 1 endpoint")]
    assert heads == ["failed", "unknown", "unreachable"]


def test_of_a_reading_step_nobody_is_told_to_look_whether_it_happened():
    plan = plan_on(1)
    gone = finished("acme/pos-01", "detect", EndState.UNKNOWN, FailureKind.TIMEOUT, "late")
    lines = text_of(ended(plan, gone, code=4), plan)
    assert f"  -> {ADVICE[FailureKind.TIMEOUT]}" in lines
    assert f"  -> {UNKNOWN}" not in lines


def test_a_doubt_a_run_was_left_with_is_settled_by_resume_unless_it_was_a_drill():
    plan = plan_on(1)
    attempt = "acme/pos-01:detect:1"
    left = ended(
        plan,
        StepStarted(endpoint="acme/pos-01", step="detect", attempt=attempt, number=1),
        StepInDoubt(
            endpoint="acme/pos-01",
            step="detect",
            attempt=attempt,
            failure=FailureKind.ABANDONED,
            why="Ctrl-C twice",
        ),
        code=130,
        why="Ctrl-C twice",
    )
    assert f"  -> {IN_DOUBT}" in text_of(left, plan)
    assert f"  -> {IN_DOUBT}" not in text_of(left, plan, drill=True)


def test_of_a_doubt_that_waits_for_a_person_it_is_said_to_look_and_answer():
    plan = plan_on(1)
    attempt = "acme/pos-01:mend:1"
    lost = FailureKind.LOST
    left = ended(
        plan,
        StepStarted(endpoint="acme/pos-01", step="mend", attempt=attempt, number=1),
        StepInDoubt(endpoint="acme/pos-01", step="mend", attempt=attempt, failure=lost, why="cut"),
        ApprovalAsked(
            question="doubt-mend@acme/pos-01",
            kind="doubt",
            text="Was it done?",
            answers=("done", "rerun", "failed", "unknown"),
            step="mend",
            endpoint="acme/pos-01",
        ),
        code=6,
        why="a question waits for a person",
    )
    assert f"  -> {ASKED}" in text_of(left, plan)


def test_of_an_unknown_end_nobody_says_to_try_again():
    plan = plan_on(2)
    events = whole(
        plan, pos_01=finished("acme/pos-01", "mend", EndState.UNKNOWN, FailureKind.TIMEOUT, "late")
    )
    ending = ended(plan, *events, code=4)
    lines = text_of(ending, plan)
    assert "  -> nobody knows whether it happened: look before you run it again" in lines
    assert not any("outagekit run" in command for command in next_commands(ending, plan))


def test_a_stopped_run_calls_nothing_done_that_is_not():
    plan = plan_on(3)
    began = StepStarted(endpoint="acme/pos-02", step="detect", attempt="a")
    done = finished("acme/pos-02", "detect", EndState.OK)
    events = [*whole(plan)[:2], began, done]
    ending = ended(plan, *events, code=6, why="Ctrl-C")
    lines = text_of(ending, plan)
    assert lines[1] == "Stopped by Ctrl-C. 1 of 3 endpoints is as wanted so far."
    assert "  2  not finished  1 not begun, 1 not changed yet" in lines
    document = counts_document(ending, plan, RUN, log_path=LOG)
    assert document["unfinished"] == 2
    assert [each["finished"] for each in document["endpoints"]] == [True, False, False]


def test_a_change_without_a_verify_is_called_unproved():
    plan = plan_on(1, steps=[step("mend")])
    lines = text_of(ended(plan, finished("acme/pos-01")), plan)
    assert "not proved: mend has no verify, only an exit code" in lines
    assert lines[1] == "The endpoint came to the end."
    proven = plan_on(1, steps=[step("mend", verify="true")])
    assert (
        text_of(ended(proven, finished("acme/pos-01")), proven)[1] == "The endpoint is as wanted."
    )


def test_endpoints_that_were_left_alone_are_told_with_the_reason():
    plan = plan_on(2)
    events = [
        finished(endpoint.id, of, EndState.SKIPPED, detail="not when detect.sick")
        for endpoint in plan.endpoints
        for of in ("detect", "mend")
    ]
    lines = text_of(ended(plan, *events), plan)
    assert lines[1] == "All 2 endpoints are as wanted."
    assert "skipped mend on 2 endpoints: not when detect.sick" in lines


def test_endpoints_of_several_clients_stand_under_their_client():
    plan = plan_on([*endpoints(2), *endpoints(1, client="beta")])
    bad = [failed(endpoint.id) for endpoint in plan.endpoints]
    lines = text_of(ended(plan, *bad, code=3), plan)
    assert "    acme/pos-01 and pos-02; beta/pos-01" in lines


def test_of_very_many_clients_only_some_are_named():
    plan = plan_on([e for n in range(6) for e in endpoints(1, client=f"c{n}")])
    bad = [failed(endpoint.id) for endpoint in plan.endpoints]
    ending = ended(plan, *bad, code=3)
    assert "    c0/pos-01; c1/pos-01; c2/pos-01; and those of 3 more clients" in text_of(
        ending, plan
    )
    assert "--all-clients" in next_commands(ending, plan)[1]


def test_many_different_failures_are_cut_off_but_counted():
    plan = plan_on(9)
    bad = [failed(e.id, detail=f"reason {n}") for n, e in enumerate(plan.endpoints)]
    lines = text_of(ended(plan, *bad, code=3), plan)
    assert sum(line.startswith("  reason") for line in lines) == 3
    assert "  said otherwise by acme/pos-04, pos-05, pos-06, pos-07, pos-08 and 1 more" in lines


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_has_advice(kind):
    assert ADVICE[kind]
    assert "\n" not in ADVICE[kind]


@given(st.text(max_size=80), st.sampled_from(FailureKind), st.sampled_from(EndState))
def test_nothing_an_endpoint_says_reaches_the_ending_raw(words, kind, state):
    plan = plan_on(2)
    events = [finished(e.id, "detect", state, kind, words) for e in plan.endpoints]
    for line in text_of(ended(plan, *events, code=3, why=words), plan, verdict=words):
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e]", line)


def next_of(plan, *events, code=3):
    return next_commands(ended(plan, *events, code=code), plan)


def test_what_failed_can_be_run_again_by_pasting():
    plan = plan_on()
    assert next_of(plan, *whole(plan, pos_01=failed("acme/pos-01"))) == (
        "outagekit log show last -q",
        "outagekit run demo --limit run:last:failed",
        "outagekit log verify last",
    )
    gone = finished("acme/pos-02", "mend", EndState.UNREACHABLE, FailureKind.REFUSED)
    both = next_of(plan, *whole(plan, pos_01=failed("acme/pos-01"), pos_02=gone))
    assert both[1] == 'outagekit run demo --limit "run:last:failed or run:last:unreachable"'


def test_running_again_keeps_clients_and_parameters():
    plan = plan_on([*endpoints(1), *endpoints(1, client="beta")])
    params = {"good": Param(), "fast": Param(type="bool", default=False, required=False)}
    book = msgspec.structs.replace(plan.playbook, params=params)
    plan = msgspec.structs.replace(plan, playbook=book, params={"good": "1.2", "fast": True})
    again = next_of(plan, *[failed(e.id) for e in plan.endpoints])[1]
    clients = sorted(f"--client {client.client}" for client in plan.clients)
    assert sorted(re.findall(r"--client \S+", again)) == clients
    assert "-p good=1.2 -p fast=true" in again


@pytest.mark.parametrize("value", ["two words", "$(reboot)", "a;b", "'", ["list"], "ü"])
def test_what_cannot_be_pasted_safely_is_not_offered(value):
    plan = plan_on()
    book = msgspec.structs.replace(plan.playbook, params={"good": Param()})
    plan = msgspec.structs.replace(plan, playbook=book, params={"good": value})
    commands = next_of(plan, failed("acme/pos-01"))
    assert commands == ("outagekit log show last -q", "outagekit log verify last")


def test_a_command_that_was_typed_and_endpoints_without_inventory_are_not_run_again():
    typed = plan_on(origin="typed")
    assert len(next_of(typed, failed("acme/pos-01"))) == 2
    adhoc = plan_on([Endpoint(client="adhoc", name="one", address="127.0.0.1", os="linux")])
    assert len(next_of(adhoc, failed("adhoc/one"))) == 2


def test_an_untrusted_key_leads_to_trust_and_a_changed_one_does_not():
    plan = plan_on()
    kind = FailureKind.HOST_KEY
    new = failed("acme/pos-01", kind, "not trusted yet; then: outagekit trust add acme/pos-01")
    changed = failed("acme/pos-01", kind, "another key (then: outagekit trust replace acme/pos-01)")
    assert next_of(plan, new)[0] == "outagekit trust add acme/pos-01"
    assert not any("trust" in command for command in next_of(plan, changed))
    more = failed("acme/pos-02", kind, "not trusted yet; then: outagekit trust add acme/pos-02")
    assert next_of(plan, new, more)[0] == "outagekit trust add run:last:failed"


def test_the_document_holds_every_count_and_every_endpoint():
    plan = plan_on(2)
    events = whole(plan, pos_01=failed("acme/pos-01"))
    document = counts_document(ended(plan, *events, code=3), plan, RUN, log_path=LOG)
    assert document["counts"] == {
        "failed": 1,
        "unknown": 0,
        "unreachable": 0,
        "changed": 1,
        "ok": 0,
        "skipped": 0,
    }
    assert document["exit_code"] == 3
    assert document["log"] == str(LOG)
    first = document["endpoints"][0]
    assert (first["endpoint"], first["state"], first["failure"]) == (
        "acme/pos-01",
        "failed",
        "verify",
    )
    assert first["steps"]["detect"]["state"] == "ok"


GOOD = Verdict(
    ok=True,
    run=RUN,
    records=9,
    head_seq=8,
    head_sha="ab" * 32,
    torn_bytes=0,
    bad_seq=None,
    bad_offset=None,
    faults=(),
    warnings=(),
    anchors=1,
    files=2,
)


def test_a_good_verdict_says_what_was_compared_and_the_head():
    assert verdict_lines(GOOD, LOG.parent) == (
        f"verified: 9 records of {RUN} are as they were written",
        "  compared: 2 files and 1 anchor",
        f"  head: 8:{'ab' * 32}",
    )


def test_a_bad_verdict_names_the_first_bad_record_and_its_byte():
    bad = msgspec.structs.replace(
        GOOD, ok=False, bad_seq=4, bad_offset=812, faults=("record 4: \x1b[2J",), warnings=("odd",)
    )
    lines = verdict_lines(bad, LOG.parent)
    assert lines[0].startswith("NOT VERIFIED")
    assert r"  record 4: \x1b[2J" in lines
    assert "  first bad record: 4, at byte 812 of the log" in lines
    assert "  warning: odd" in lines
    torn = verdict_lines(msgspec.structs.replace(GOOD, torn_bytes=3), LOG.parent)
    assert any("torn: 3 bytes" in line for line in torn)


JUMP = "the jump host 203.0.113.7 port 22"


def test_many_behind_one_dead_jump_host_are_one_group_that_names_it():
    plan = plan_on(60)
    kind = FailureKind.CONNECT_TIMEOUT
    events = []
    for number, e in enumerate(plan.endpoints):
        detail = f"{JUMP} cannot be reached: there is no way to 203.0.113.7 port 22 from here"
        if number >= 50:
            detail = f"{JUMP} cannot connect to {e.address} port 22: No route to host"
        of = "detect" if number % 2 else "mend"
        events.append(finished(e.id, of, EndState.UNREACHABLE, kind, detail))
    lines = text_of(ended(plan, *events, code=4), plan)
    at = lines.index(
        "unreachable (connect_timeout): 50 endpoints behind the jump host 203.0.113.7 port 22"
    )
    assert lines[at + 1 : at + 4] == [
        f"  {JUMP} cannot be reached: there is no way to 203.0.113.7 port 22 from here",
        "    acme/pos-01, pos-02, pos-03, pos-04, pos-05 and 45 more",
        "  -> the way to all of them leads through it: mend that first",
    ]
    at = lines.index("unreachable (connect_timeout): 10 endpoints")
    assert lines[at + 1] == f"  {JUMP} cannot connect to it: No route to host"
    assert lines[at + 3] == f"  -> {ADVICE[kind]}"
    assert "See to the jump host 203.0.113.7 port 22 first: 50 endpoints are behind it." in lines
    assert "10 endpoints could not be reached: try again when they answer." in lines


def test_a_login_the_jump_host_refused_is_no_matter_of_the_endpoints_credential():
    plan = plan_on(3)
    detail = f"the login at {JUMP} failed: there is nothing to log in with as ops"
    events = [
        finished(e.id, "detect", EndState.FAILED, FailureKind.AUTH, detail) for e in plan.endpoints
    ]
    lines = text_of(ended(plan, *events, code=3), plan)
    assert "failed (auth): 3 endpoints behind the jump host 203.0.113.7 port 22" in lines
    assert f"  -> {advice_for(FailureKind.AUTH, jump='x')}" in lines
    assert "jump_credential" in advice_for(FailureKind.AUTH, jump="x")


@pytest.mark.parametrize(
    ("detail", "jump"),
    [
        (f"{JUMP} cannot be reached: 203.0.113.7 port 22 refused", "203.0.113.7 port 22"),
        (f"the login at {JUMP} failed: no key", "203.0.113.7 port 22"),
        (f"the host key of {JUMP} is ssh-ed25519 x, but trusted is y", "203.0.113.7 port 22"),
        (f"the connection to {JUMP} was lost", "203.0.113.7 port 22"),
        (f"{JUMP} answers no more", "203.0.113.7 port 22"),
        (f"{JUMP} cannot connect to 10.0.0.1 port 22: No route to host", ""),
        (f"10.0.0.1 port 22 did not answer {JUMP} within 10 s", ""),
        ("the jump host said nothing", ""),
        ("", ""),
    ],
)
def test_what_is_wrong_with_a_jump_host_is_told_from_what_it_says_of_others(detail, jump):
    assert jump_of(detail) == jump


def test_a_command_to_paste_keeps_the_endpoint_it_names():
    endpoint = Endpoint(client="acme", name="lamp-00", address="10.0.0.9", os="linux")
    for command in ("trust replace --jump", "trust replace", "trust add"):
        text = f"acme/lamp-00 has another key (then: outagekit {command} acme/lamp-00)"
        expected = f"it has another key (then: outagekit {command} acme/lamp-00)"
        assert without_place(text, endpoint) == expected


def test_a_windows_endpoint_is_it_with_the_port_of_its_winrm():
    for facts, port in (({}, 5986), ({"scheme": "http"}, 5985), ({"ports": {5986: 15986}}, 15986)):
        endpoint = Endpoint(client="acme", name="p", address="10.0.0.9", os="windows", **facts)
        said = f"10.0.0.9 port {port} refused the connection"
        assert without_place(said, endpoint) == "it refused the connection"


def test_a_run_stopped_before_anybody_is_through_says_what_is_done_and_what_is_to_come():
    steps = [*STEPS, read("prove", phase="verify"), read("tell", phase="communicate")]
    plan = plan_on(3, steps=steps)
    fix = plan.stages[1]
    events = [
        *(finished(e.id, "detect", EndState.OK) for e in plan.endpoints),
        StageOpened(stage=fix.number, phase=fix.phase, steps=fix.steps, endpoints=3),
        StepStarted(endpoint="acme/pos-01", step="mend", attempt="a"),
        finished("acme/pos-01"),
    ]
    lines = text_of(ended(plan, *events, code=6, why="Ctrl-C"), plan)
    assert lines[1] == (
        "Stopped by Ctrl-C. None of 3 endpoints is at its end yet; to come: the rest of fix,"
        " verify and communicate."
    )
    assert "  3  not finished  2 not begun, 1 changed, with steps to come" in lines


def test_an_undo_that_was_stopped_says_that_it_is_not_through():
    plan = msgspec.structs.replace(plan_on(1), undoes="r-1")
    began = StepStarted(endpoint="acme/pos-01", step="detect", attempt="a")
    lines = text_of(ended(plan, began, code=6, why="Ctrl-C"), plan)
    assert lines[1] == "Stopped by Ctrl-C. Undo of r-1: the endpoint is not at its end yet."
