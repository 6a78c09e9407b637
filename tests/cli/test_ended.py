"""How runs of the real engine are told when they are over, or were left."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.text import Text

from outagekit.cli.end.document import counts_document
from outagekit.cli.end.onward import next_commands
from outagekit.cli.end.summary import summary
from outagekit.cli.fitting import fold_line
from outagekit.cli.render import json_text
from outagekit.events import ApprovalGiven, EndState, FailureKind, StepId
from outagekit.inventory.select import parse
from outagekit.playbook.model import Approve, Gate, Manual, Reboot, Rollout, Step, WaitTcp
from outagekit.run.engine.situation import Bounds
from outagekit.run.opening import Beginning, Resumption
from outagekit.run.orders import Finished
from outagekit.run.replay import recorded
from outagekit.run.surroundings import Ending
from outagekit.run.traces import traces_of
from outagekit.run.undoing import undo_plan
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, refuse, scripted

ANY = Gate("0", "100%", "100%", "100%")
LOG = Path("/state/log.jsonl")


def undoable(name, **fields):
    return step(name, check=f"is {name}", verify=f"is {name}", undo=f"undo {name}", **fields)


def is_at(order, step_id, *names):
    return order.step == step_id and order.target.endpoint.name in names


def told(ran):
    plan = ran.ending.state.plan
    lines = summary(ran.ending, plan, ran.folder.name, log_path=LOG)
    return [line.plain for line in lines]


def shown(ran):
    return "\n".join(told(ran))


def document(ran):
    plan = ran.ending.state.plan
    made = counts_document(ran.ending, plan, ran.folder.name, log_path=LOG)
    return json.loads(json_text(made))


def onward(ran):
    """Return what to do next, with the run's id as RUN."""
    commands = next_commands(ran.ending, ran.ending.state.plan)
    return [command.replace(ran.folder.name, "RUN") for command in commands]


def person_step(name, action, *, phase="contain", **fields):
    given = {"risk": "read", "needs": (), "once": "client", **fields}
    return Step(id=StepId(name), title=name, phase=phase, action=action, **given)


def said(question, answer, because="agreed by phone"):
    return ApprovalGiven(
        question=question, answer=answer, who="Jo Weber", os_user="ops", because=because
    )


def stop_at(step_id, name):
    """Have a run stopped when an endpoint is handed a step."""

    def prepare(ran):
        submit = ran.driver.submit

        def spy(order):
            submit(order)
            if is_at(order, step_id, name):
                ran.coordinator.stop("Ctrl-C")

        ran.driver.submit = spy

    return prepare


@pytest.fixture
def gated(tmp_path):
    def answer(order):
        if is_at(order, "mend", "pos-05", "pos-07"):
            return fail(order)
        return lose(order) if is_at(order, "mend", "pos-06") else succeed(order)

    steps = [read("look"), undoable("mend"), undoable("restart")]
    rollout = Rollout(waves=("1", "25%", "100%"), gate=Gate())
    return Ran(plan_of(steps, on=40, rollout=rollout), tmp_path, answer)


def test_a_closed_gate_is_told_with_its_arithmetic_and_who_closed_it(gated):
    lines = told(gated)
    assert lines[1].startswith("Stopped by a gate. ")
    at = lines.index("The gate of wave 2 of 3 in fix is closed:")
    assert lines[at + 1 : at + 3] == [
        "  2  failed       at most 0 of 9 in the wave: too many",
        "     acme/pos-05 and pos-07",
    ]
    assert "  -> resume tries those again; --past-gate goes past them, with a reason" in lines
    assert "30 not changed yet" in shown(gated)
    assert "skipped (earlier): restart on 3 endpoints" in lines


def test_after_a_closed_gate_one_goes_on_past_it_or_back(gated):
    assert gated.ending.exit_code == 5
    assert onward(gated) == [
        "outagekit resume RUN",
        'outagekit resume RUN --past-gate --because "WHY"',
        "outagekit undo RUN",
    ]


def test_the_document_holds_the_gate_that_closed(gated):
    found = document(gated)
    gate = found["gate"]
    assert found["paused"]
    assert found["why"] == found["stopped_by"] == gated.ending.why
    assert (gate["stage"], gate["phase"], gate["wave"], gate["waves"]) == (2, "fix", 2, 3)
    failed = next(each for each in gate["sums"] if each["what"] == "failed")
    assert failed == {
        "what": "failed",
        "found": 2,
        "limit": 0,
        "of": 9,
        "scope": "wave",
        "holds": False,
        "endpoints": ["acme/pos-05", "acme/pos-07"],
    }
    assert {each["waiting"] for each in found["endpoints"]} >= {"not changed", ""}


def test_a_gate_that_counts_the_whole_run_names_those_of_every_wave(tmp_path):
    def answer(order):
        return fail(order) if is_at(order, "mend", "pos-01", "pos-04") else succeed(order)

    rollout = Rollout(waves=("2", "4", "100%"), gate=Gate("0", "1", "100%", "100%"))
    ran = Ran(plan_of([read("look"), undoable("mend")], on=9, rollout=rollout), tmp_path, answer)
    lines = told(ran)
    at = lines.index("The gate of wave 2 of 3 in fix is closed:")
    assert lines[at + 1 : at + 3] == [
        "  2  failed       at most 1 in the run: too many",
        "     acme/pos-01 and pos-04",
    ]


def test_a_gate_tried_again_in_vain_is_told_as_it_is_now(gated, tmp_path):
    def answer(order):
        return fail(order) if is_at(order, "mend", "pos-07") else succeed(order)

    again = Ran(gated.folder, tmp_path, answer)
    assert again.ending.exit_code == 5
    lines = told(again)
    at = lines.index("The gate of wave 2 of 3 in fix is closed:")
    assert lines[at + 2] == "     acme/pos-07"
    beyond = Ran(gated.folder, tmp_path, how=Resumption(past_gate="one is broken anyway"))
    assert beyond.ending.exit_code == 3
    assert document(beyond)["gate"] is None


def test_a_question_that_waits_is_told_and_resume_asks_it(tmp_path):
    def answer(order):
        return lose(order) if is_at(order, "mend", "pos-02", "pos-03") else succeed(order)

    ran = Ran(plan_of([read("look"), step("mend", undo="x")], on=5), tmp_path, answer)
    lines = told(ran)
    assert lines[1] == "2 questions wait for a person. 3 of 5 endpoints came to the end so far."
    assert "  2  not finished  2 waiting for a person" in lines
    at = lines.index("Waiting for a person: 2 questions")
    assert lines[at + 1].startswith("  doubt-mend@acme/pos-02: mend on acme/pos-02: ")
    assert onward(ran)[0] == "outagekit resume RUN"
    found = document(ran)
    assert [each["question"] for each in found["questions"]] == [
        "doubt-mend@acme/pos-02",
        "doubt-mend@acme/pos-03",
    ]
    assert found["questions"][0]["answers"] == ["done", "rerun", "failed", "unknown"]
    asked = [e for e in found["endpoints"] if e["question"]]
    assert {(e["waiting"], e["finished"]) for e in asked} == {("for a person", False)}


def test_of_very_many_questions_some_are_told_and_all_are_in_the_document(tmp_path):
    plan = plan_of([step("mend")], on=20)
    ran = Ran(plan, tmp_path, lose)
    assert "  and 15 more" in told(ran)
    assert len(document(ran)["questions"]) == 20


def test_a_stopped_run_says_who_was_not_changed_and_offers_the_way_back(tmp_path):
    plan = plan_of([read("look"), undoable("mend")], on=8)
    ran = Ran(plan, tmp_path, prepare=stop_at("mend", "pos-03"), bounds=Bounds(running=1))
    lines = told(ran)
    assert lines[1].startswith("Stopped by Ctrl-C. ")
    assert re.search(r"^  \d  not finished  \d not changed yet$", shown(ran), re.MULTILINE)
    assert onward(ran) == ["outagekit resume RUN", "outagekit undo RUN"]
    first = Ran(plan, tmp_path, prepare=stop_at("look", "pos-01"), bounds=Bounds(running=1))
    assert "not begun" in shown(first)
    assert onward(first) == ["outagekit resume RUN", "outagekit log show RUN"]
    waiting = [e for e in document(first)["endpoints"] if e["waiting"] == "not begun"]
    assert waiting[0]["not_taken"] == {"look": "not started", "mend": "not started"}


@pytest.mark.parametrize(
    ("why", "sentence"),
    [
        ("Ctrl-C", "Stopped by Ctrl-C."),
        ("SIGTERM twice", "Stopped by SIGTERM twice."),
        ("stopped by Jo: wrong wave", "Stopped by Jo: wrong wave."),
        ("nobody answered in time: call", "Nobody answered in time: call."),
        ("after wave 1 of stage fix jo said no", "After wave 1 of stage fix jo said no."),
    ],
)
def test_why_a_run_stopped_is_a_sentence(tmp_path, why, sentence):
    ran = Ran(plan_of([read("look")], on=1), tmp_path)
    ending = Ending(6, ran.ending.state, why)
    lines = summary(ending, ending.state.plan, ran.folder.name, log_path=LOG)
    assert lines[1].plain.startswith(f"{sentence} ")


def test_who_is_in_the_waiting_room_came_back_or_did_not_is_told(tmp_path):
    def answer(order):
        away = is_at(order, "look", "pos-02", "pos-03") and order.attempt.endswith(":1")
        return refuse(order) if away else succeed(order)

    def prepare(ran):
        submit = ran.driver.submit

        def spy(order):
            submit(order)
            if is_at(order, "mend", "pos-05"):
                ran.driver.come_back("acme/pos-02")
            if is_at(order, "mend", "pos-02"):
                ran.coordinator.stop("Ctrl-C")

        ran.driver.submit = spy

    rollout = Rollout(waves=("100%",), waiting_room_s=600, gate=ANY)
    plan = plan_of([read("look"), undoable("mend")], on=5, rollout=rollout)
    ran = Ran(plan, tmp_path, answer, prepare=prepare)
    lines = told(ran)
    at = lines.index("In the waiting room: 1 endpoint")
    assert lines[at + 1 : at + 3] == ["    acme/pos-03", "  -> resume opens it again, for 10 min"]
    assert "Came back from the waiting room: 1 endpoint, 1 of them to a good end so far" in lines
    assert "  1  not finished  1 in the waiting room" in lines
    found = document(ran)
    assert found["parked"] == ["acme/pos-03"]
    assert {e["endpoint"]: e["returned"] for e in found["endpoints"]}["acme/pos-02"] == 1


def test_a_gate_names_those_it_has_counted_and_nobody_else(tmp_path):
    """Who came back too late for a wave and went away in doubt is in no count of its gate."""
    answer = scripted(
        {
            "pos-06 look": [refuse, succeed],
            "pos-06 mend": lose,
            "pos-06 mend probe": refuse,
            "pos-02 mend": lose,
            "pos-02 mend probe": refuse,
        }
    )

    def prepare(ran):
        submit = ran.driver.submit

        def spy(order):
            submit(order)
            if is_at(order, "mend", "pos-01"):
                ran.driver.come_back("acme/pos-06")

        ran.driver.submit = spy

    gate = Gate("0", "100%", "100%", "0")
    rollout = Rollout(waves=("1", "50%", "100%"), waiting_room_s=600, gate=gate)
    plan = plan_of([read("look"), undoable("mend")], on=6, rollout=rollout)
    ran = Ran(plan, tmp_path, answer, prepare=prepare)
    doubtful = {e for e, p in ran.ending.state.progress.items() if p.doubt is not None}
    assert doubtful == {"acme/pos-02", "acme/pos-06"}
    lines = told(ran)
    at = next(i for i, line in enumerate(lines) if line.startswith("  1  unknown      at most 0"))
    assert lines[at + 1] == "     acme/pos-02"
    assert "  -> once the gate is open, resume opens it again, for 10 min" in lines


def test_who_did_not_come_back_in_time_is_named(tmp_path):
    def answer(order):
        return refuse(order) if is_at(order, "look", "pos-02") else succeed(order)

    rollout = Rollout(waves=("100%",), waiting_room_s=0.01, gate=ANY)
    plan = plan_of([read("look"), undoable("mend")], on=2, rollout=rollout)
    lines = told(Ran(plan, tmp_path, answer))
    at = lines.index("Did not come back in time: 1 endpoint")
    assert lines[at + 1] == "    acme/pos-02"


def test_a_doubt_that_a_look_settled_is_told_as_such(tmp_path):
    def answer(order):
        lost = is_at(order, "mend", "pos-02") and order.purpose == "do"
        return lose(order) if lost else succeed(order)

    ran = Ran(plan_of([undoable("mend")], on=3), tmp_path, answer)
    assert "in doubt, then looked at and found done: mend on 1 endpoint" in told(ran)
    assert ran.ending.exit_code == 0


def test_a_doubt_settled_by_a_persons_word_is_not_called_proven(tmp_path):
    plan = plan_of([step("mend")], on=2)
    first = Ran(plan, tmp_path, lambda o: lose(o) if is_at(o, "mend", "pos-02") else succeed(o))
    given = said("doubt-mend@acme/pos-02", "done", because="")
    ran = Ran(first.folder, tmp_path, how=Resumption(given=(given,)))
    line = "in doubt, done by a person's word: mend on 1 endpoint: Jo Weber says done"
    assert line in told(ran)


def test_what_was_verified_again_after_the_bake_is_told(tmp_path):
    def answer(order):
        bad = order.purpose == "recheck" and is_at(order, "mend", "pos-02")
        return fail(order, FailureKind.VERIFY) if bad else succeed(order)

    rollout = Rollout(waves=("100%",), bake_s=0.001, gate=ANY)
    plan = plan_of([undoable("mend")], on=5, rollout=rollout)
    bad = told(Ran(plan, tmp_path, answer))
    assert "verified again after the bake: 5 endpoints, 1 not seen to hold" in bad
    good = told(Ran(plan, tmp_path))
    assert "verified again after the bake: 5 endpoints, all still as wanted" in good


def test_what_was_taken_back_after_a_failure_is_told_and_what_was_not(tmp_path):
    def answer(order):
        return fail(order) if is_at(order, "two", "pos-02") else succeed(order)

    steps = [undoable("one"), step("bare"), undoable("two"), read("prove", phase="verify")]
    ran = Ran(plan_of(steps, undo_on_failure=True), tmp_path, answer)
    lines = told(ran)
    assert "taken back after a later step failed: one on 1 endpoint" in lines
    assert "NOT taken back although a later step failed: bare on 1 endpoint" in lines
    assert "skipped (earlier): prove on 1 endpoint" in lines
    found = document(ran)
    assert found["undone"] == [{"endpoint": "acme/pos-02", "step": "one"}]
    ends = {e["endpoint"]: e for e in found["endpoints"]}
    assert ends["acme/pos-02"]["not_taken"] == {"prove": "earlier"}
    assert ends["acme/pos-01"]["not_taken"] == {}


def test_a_dry_run_says_what_would_be_changed_and_what_it_could_not_check(tmp_path):
    def answer(order):
        if order.purpose == "foresee":
            wanted = order.target.endpoint.name < "pos-04"
            state = EndState.SKIPPED if wanted else EndState.OK
            return Finished(attempt=order.attempt, state=state, detail="would change")
        return succeed(order)

    steps = [read("look"), undoable("mend", when="not look.failed"), step("bare", when="false")]
    ran = Ran(plan_of(steps, on=9, dry_run=True), tmp_path, answer)
    lines = told(ran)
    assert lines[1] == "Dry run: would change 3 of 9 endpoints; nothing was changed."
    assert "  3  would change  its check is not true" in lines
    assert "  6  ok            fine: nothing had to be changed" in lines
    blind = Ran(plan_of([read("look"), step("bare")], on=4, dry_run=True), tmp_path, answer)
    assert told(blind)[1] == (
        "Dry run: would change 0 of 4 endpoints, cannot check 4; nothing was changed."
    )
    assert "skipped bare on 4 endpoints: a dry run cannot check it" in told(blind)
    assert {e["foreseen"] for e in document(blind)["endpoints"]} == {"cannot check"}
    assert document(ran)["dry_run"]


def test_a_dry_run_names_every_step_it_could_not_tell_however_many(tmp_path):
    def answer(order):
        if order.purpose == "foresee":
            return Finished(attempt=order.attempt, state=EndState.SKIPPED, detail="would change")
        return fail(order) if order.step == "prove" else succeed(order)

    steps = [
        read("look"),
        undoable("mend", result={"v": "text"}),
        *(step(f"bare_{n}") for n in range(5)),
        undoable("tune", when="mend.v == 'x'"),
        read("up", phase="fix", action=WaitTcp(80)),
        read("prove", phase="verify"),
        person_step("call", Manual("Ring them."), phase="communicate", once=None),
    ]
    ran = Ran(plan_of(steps, on=2, dry_run=True), tmp_path, answer)
    lines = told(ran)
    cannot = "a dry run cannot check it"
    assert "  2  would change  its check is not true" in lines
    assert f"skipped bare_4 on 2 endpoints: {cannot}" in lines
    assert f"skipped tune on 2 endpoints: {cannot}: no value: mend.v" in lines
    assert f"skipped up on 2 endpoints: {cannot}: it waits for what mend may bring" in lines
    assert f"skipped prove on 2 endpoints: {cannot} before mend: no" in lines
    assert "skipped call on 2 endpoints: a dry run asks nobody" in lines
    assert not [line for line in lines if "other reason" in line]
    assert ran.ending.exit_code == 0


def test_a_restart_proves_itself_and_is_not_called_unproved(tmp_path):
    steps = [read("look"), undoable("mend"), step("restart", action=Reboot(60.0))]
    assert "not proved" not in shown(Ran(plan_of(steps, on=2), tmp_path))
    bare = [read("look"), step("mend"), step("restart", action=Reboot(60.0))]
    assert "not proved: mend has no verify, only an exit code" in shown(
        Ran(plan_of(bare, on=2), tmp_path)
    )


def test_who_decided_what_happens_once_is_told_and_whom_a_no_concerns(tmp_path):
    steps = [
        read("look"),
        person_step("contain", Approve("May we?")),
        undoable("mend"),
        person_step("call", Manual("Ring them."), phase="communicate"),
    ]
    given = (
        said("contain@acme", "yes"),
        said("contain@beta", "no", because="they are open until nine"),
        said("call", "yes", because="reached"),
    )
    machines = [*endpoints(2), *endpoints(3, client="beta")]
    ran = Ran(plan_of(steps, on=machines), tmp_path, beginning=Beginning(given=given))
    assert ran.ending.exit_code == 6
    lines = told(ran)
    assert lines[1] == "2 of 5 endpoints are as wanted."
    assert "  3  refused  a person said no" in lines
    assert "ok contain for acme: Jo Weber said yes: agreed by phone" in lines
    no = "refused contain: Jo Weber said no: they are open until nine"
    at = lines.index(f"{no}; 3 endpoints go no further")
    assert lines[at + 1] == "    beta/pos-01, pos-02 and pos-03"
    assert onward(ran) == ["outagekit log show RUN", "outagekit log verify RUN"]
    found = document(ran)
    assert {"step": "contain", "client": "beta", "state": "skipped"}.items() <= next(
        each for each in found["once"] if each["client"] == "beta"
    ).items()
    assert sum(each["refused"] for each in found["endpoints"]) == 3


def test_a_refusal_on_one_endpoint_is_told_with_its_words(tmp_path):
    steps = [person_step("ask", Approve("May we?"), once=None), undoable("mend")]
    given = (said("ask@acme", "no", because="not now"),)
    ran = Ran(plan_of(steps, on=2), tmp_path, beginning=Beginning(given=given))
    assert "refused ask: Jo Weber said no: not now; 2 endpoints go no further" in told(ran)


def test_an_undo_says_what_it_undoes_and_is_begun_again_by_its_own_command(tmp_path):
    ran = Ran(plan_of([undoable("mend")]), tmp_path)
    plan = undo_plan(traces_of(recorded(ran.folder)))
    back = Ran(plan, tmp_path)
    assert told(back)[1] == f"Undo of {ran.folder.name}: done on all 3 endpoints."
    assert "  3  changed  taken back by this run" in told(back)
    assert document(back)["undoes"] == ran.folder.name
    bad = Ran(plan, tmp_path, lambda o: succeed(o) if o.step == "survey" else fail(o))
    state = bad.ending.state
    over = next_commands(Ending(3, state), plan)
    assert f"outagekit undo {ran.folder.name}" in over


def test_a_command_to_paste_names_this_run_and_fits_a_line(tmp_path):
    ran = Ran(plan_of([undoable("mend")], on=2), tmp_path, fail)
    state = ran.ending.state
    state.run = "20261122T081403Z-remove-the-faulty-channel-file-and-restart-x7q2"
    state.closed_gate = (1, 1)
    commands = next_commands(Ending(5, state, "the gate of wave 1 is closed"), state.plan)
    assert commands[1] == 'outagekit resume 20261122T081403Z --past-gate --because "WHY"'
    assert all(len(f"next: {command}") <= 80 for command in commands)
    assert parse(f"run:{state.run}:failed").words()[0].value == f"{state.run}:failed"


def test_nobody_is_told_to_resume_a_drill(gated):
    plan = gated.ending.state.plan
    lines = summary(gated.ending, plan, gated.folder.name, log_path=LOG, drill=True)
    assert not [line for line in lines if "resume" in line.plain]


@pytest.mark.parametrize("width", [60, 80])
def test_every_line_fits_a_narrow_terminal(gated, width):
    plan = gated.ending.state.plan
    lines = summary(gated.ending, plan, gated.folder.name, log_path=LOG)
    pieces: list[Text] = [p for line in lines if not line.no_wrap for p in fold_line(line, width)]
    assert max(len(piece.plain) for piece in pieces) <= width
