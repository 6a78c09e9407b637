"""Taking a run back: what its records say it left, and the plan that undoes exactly that."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from outagekit.errors import NothingMatched
from outagekit.events import EndState, FailureKind, StepUndone
from outagekit.inventory.model import Agreement
from outagekit.plan.store import digest_of, freeze, thaw
from outagekit.playbook.model import Gate, Param, Retry, Rollout
from outagekit.run.opening import Resumption
from outagekit.run.orders import Finished
from outagekit.run.replay import recorded
from outagekit.run.traces import traces_of
from outagekit.run.undoing import undo_plan
from outagekit.run.undone import earlier_undos
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, lose, scripted

ONE, TWO, THREE = "acme/pos-01", "acme/pos-02", "acme/pos-03"


def undoable(name, **fields):
    return step(name, check=f"is {name}", verify=f"is {name}", undo=f"undo {name}", **fields)


def of(order, endpoint, name):
    return order.target.endpoint.id == endpoint and order.step == name


def given(plan, params, **values):
    book = msgspec.structs.replace(plan.playbook, params=params)
    plan = msgspec.structs.replace(plan, playbook=book, params=values)
    return msgspec.structs.replace(plan, digest=digest_of(plan))


def left(ran, *earlier):
    return traces_of(recorded(ran.folder), [recorded(each.folder) for each in earlier])


def test_changed_steps_are_undone_in_reverse_and_only_where_they_changed_something(tmp_path):
    def answer(order):
        if of(order, TWO, "one"):
            return Finished(attempt=order.attempt, state=EndState.OK)
        if of(order, THREE, "two"):
            return fail(order, FailureKind.AUTH)
        return succeed(order)

    ran = Ran(plan_of([read("look"), undoable("one"), undoable("two")]), tmp_path, answer)
    plan = undo_plan(left(ran))
    assert [each.id for each in plan.steps if each.changes] == ["undo_two", "undo_one"]
    assert list(plan.handed["undo_two"]) == [ONE, TWO]
    assert list(plan.handed["undo_one"]) == [ONE, THREE]
    assert plan.undoes == ran.folder.name

    undone = Ran(plan, tmp_path)
    assert undone.ending.exit_code == 0
    assert undone.orders_of(ONE)[1:] == [("undo_two", "do"), ("undo_one", "do")]
    assert undone.orders_of(THREE)[1:] == [("undo_one", "do")]


def test_an_undo_is_proven_by_the_check_of_what_it_took_back_being_false(tmp_path):
    ran = Ran(plan_of([undoable("mend", risk="destructive", timeout_s=7.0)]), tmp_path)
    plan = undo_plan(left(ran))
    taken = plan.steps[-1]
    assert taken.action.script.variants[0].text == "undo mend"
    assert (taken.check, taken.verify.variants[0].text) == (None, "is mend")
    assert not taken.verify_wants
    assert (taken.risk, taken.phase, taken.timeout_s) == ("destructive", "fix", 7.0)
    bare = Ran(plan_of([step("mend", undo="undo it", verify="is it")]), tmp_path)
    assert undo_plan(left(bare)).steps[-1].verify is None


def test_the_undo_has_the_rollout_clients_and_survey_of_a_careful_run(tmp_path):
    rollout = Rollout(
        waves=("1", "100%"), gate=Gate(max_failed="1"), first="tag:x", pounce="mend", bake_s=0.0
    )
    ran = Ran(plan_of([undoable("mend")], rollout=rollout, survey=True), tmp_path)
    plan = undo_plan(left(ran))
    assert plan.rollout == msgspec.structs.replace(rollout, pounce=None)
    assert plan.pounce == ()
    assert plan.steps[0].id == "survey"
    assert plan.clients == ran.ending.state.plan.clients
    assert thaw(freeze(plan)) == plan
    assert undo_plan(left(ran)).digest == plan.digest


def test_an_undo_gets_the_values_its_step_had_there_and_the_name_of_the_run(tmp_path):
    def answer(order):
        if order.step == "look":
            found = {"path": f"/srv/{order.target.endpoint.name}"}
            return Finished(attempt=order.attempt, state=EndState.OK, result=found)
        return succeed(order)

    steps = [
        read("look", result={"path": "text"}),
        undoable("mend", with_={"path": "look.path", "depth": 2}),
    ]
    plan = given(plan_of(steps, on=2), {"good": Param()}, good="1.2")
    ran = Ran(plan, tmp_path, answer)
    undone = Ran(undo_plan(left(ran)), tmp_path)
    values = {o.target.endpoint.name: o.values for o in undone.driver.orders if "undo" in o.step}
    assert values["pos-02"] == {
        "good": "1.2",
        "path": "/srv/pos-02",
        "depth": 2,
        "client": "acme",
        "endpoint": "pos-02",
        "run": ran.folder.name,
    }


def test_a_changed_step_without_undo_is_named(tmp_path):
    ran = Ran(plan_of([undoable("one"), step("two")]), tmp_path)
    traces = left(ran)
    assert dict(traces.found("changed", undo=False)) == {"two": (ONE, TWO, THREE)}
    assert [each.id for each in undo_plan(traces).steps if each.changes] == ["undo_one"]
    only = Ran(plan_of([step("two")]), tmp_path)
    with pytest.raises(NothingMatched, match="two has no undo"):
        undo_plan(left(only))


def test_what_is_unknown_is_undone_only_if_somebody_says_so(tmp_path):
    def answer(order):
        return lose(order) if of(order, TWO, "mend") else succeed(order)

    ran = Ran(plan_of([undoable("mend")]), tmp_path, answer)
    traces = left(ran)
    assert dict(traces.found("unknown", undo=True)) == {"mend": (TWO,)}
    assert [each.id for each in undo_plan(traces).endpoints] == [ONE, THREE]
    assert [e.id for e in undo_plan(traces, doubtful=["mend"]).endpoints] == [ONE, TWO, THREE]


def test_what_ran_when_the_process_died_is_unknown(tmp_path):
    def prepare(ran):
        submit = ran.driver.submit

        def die(order):
            if of(order, TWO, "mend"):
                raise KeyboardInterrupt
            submit(order)

        ran.driver.submit = die

    with pytest.raises(KeyboardInterrupt):
        Ran(
            plan_of([undoable("mend")], rollout=Rollout(waves=("1", "2", "100%"))),
            tmp_path,
            prepare=prepare,
        )
    (folder,) = (tmp_path / "runs").iterdir()
    traces = traces_of(recorded(folder))
    assert dict(traces.found("changed")) == {"mend": (ONE,)}
    assert dict(traces.found("unknown")) == {"mend": (TWO,)}


def test_a_step_begun_again_without_a_look_may_have_been_done_before(tmp_path):
    def answer(order):
        if order.attempt == f"{ONE}:mend:1":
            return lose(order)
        if order.attempt == f"{ONE}:mend:2":
            return fail(order, FailureKind.REFUSED, EndState.UNREACHABLE)
        return succeed(order)

    ran = Ran(plan_of([undoable("mend", on_doubt="rerun")], on=1), tmp_path, answer)
    assert dict(left(ran).found("unknown")) == {"mend": (ONE,)}


def test_a_step_that_failed_after_its_script_ran_is_told_and_not_undone(tmp_path):
    def answer(order):
        return fail(order) if of(order, ONE, "mend") else succeed(order)

    # A push has no script: whether anything was executed is told by its failure alone.
    steps = [undoable("mend", detach=True, retry=Retry(attempts=1))]
    traces = left(Ran(plan_of(steps, on=2), tmp_path, answer))
    assert dict(traces.found("failed")) == {"mend": (ONE,)}
    assert [each.id for each in undo_plan(traces).endpoints] == [TWO]


def test_a_run_whose_only_change_failed_half_way_is_not_said_to_have_changed_nothing(tmp_path):
    steps = [undoable("mend", detach=True, retry=Retry(attempts=1))]
    traces = left(Ran(plan_of(steps, on=1), tmp_path, fail))
    with pytest.raises(NothingMatched, match=r"finished no change.*failed: mend$"):
        undo_plan(traces)


def test_what_undo_on_failure_took_back_is_not_undone_again(tmp_path):
    def answer(order):
        failing = {ONE, TWO} if order.step == "two" else ()
        if order.purpose == "undo" and order.target.endpoint.id == TWO:
            return lose(order)
        return fail(order) if order.target.endpoint.id in failing else succeed(order)

    plan = plan_of([undoable("one"), undoable("two")], undo_on_failure=True)
    ran = Ran(plan, tmp_path, answer)
    assert {event.endpoint for event in ran.of(StepUndone)} == {ONE, TWO}
    traces = left(ran)
    assert dict(traces.found("taken_back")) == {"one": (ONE,)}
    assert dict(traces.found("unknown")) == {"one": (TWO,)}
    assert dict(traces.found("changed")) == {"two": (THREE,), "one": (THREE,)}


def test_a_second_undo_takes_back_only_what_the_first_did_not(tmp_path):
    def answer(order):
        if order.target.endpoint.id == TWO and "undo" in order.step:
            return fail(order)
        if order.target.endpoint.id == THREE and "undo" in order.step:
            return lose(order)
        return succeed(order)

    ran = Ran(plan_of([undoable("mend")]), tmp_path)
    first = Ran(undo_plan(left(ran)), tmp_path, answer)
    Ran(plan_of([undoable("mend")], on=1), tmp_path)
    found = earlier_undos(tmp_path, ran.folder.name)
    assert [each.folder for each in found.runs] == [first.folder]
    traces = traces_of(recorded(ran.folder), found.runs)
    assert dict(traces.found("taken_back")) == {"mend": (ONE,)}
    assert dict(traces.found("changed")) == {"mend": (TWO,)}
    assert dict(traces.found("unknown")) == {"mend": (THREE,)}
    second = Ran(undo_plan(traces, doubtful=["mend"]), tmp_path)
    with pytest.raises(NothingMatched, match="taken back already"):
        undo_plan(left(ran, first, second))


def test_an_undo_whose_plan_cannot_be_read_is_named(tmp_path):
    ran = Ran(plan_of([undoable("mend")]), tmp_path)
    undone = Ran(undo_plan(left(ran)), tmp_path)
    (undone.folder / "plan.json").write_bytes(b"{")
    found = earlier_undos(tmp_path, ran.folder.name)
    assert (found.runs, found.unread) == ((), (undone.folder.name,))


def test_there_is_nothing_to_undo_where_nothing_was_changed(tmp_path):
    def answer(order):
        return Finished(attempt=order.attempt, state=EndState.OK)

    calm = Ran(plan_of([undoable("mend")]), tmp_path, answer)
    with pytest.raises(NothingMatched, match="changed nothing"):
        undo_plan(left(calm))
    dry = Ran(plan_of([undoable("mend")], dry_run=True), tmp_path, answer)
    with pytest.raises(NothingMatched, match="dry run"):
        undo_plan(left(dry))
    ran = Ran(plan_of([undoable("mend")]), tmp_path)
    undone = Ran(undo_plan(left(ran)), tmp_path)
    with pytest.raises(NothingMatched, match="is an undo itself"):
        undo_plan(left(undone))


def test_the_name_of_an_undo_step_is_free_and_always_the_same(tmp_path):
    plan = plan_of([undoable("mend"), undoable("undo_mend")], on=1)
    ran = Ran(given(plan, {"undo_mend": Param(required=False)}), tmp_path)
    names = [each.id for each in undo_plan(left(ran)).steps if each.changes]
    assert names == ["undo_undo_mend", "undo_mend_"]


def test_an_undo_narrowed_to_some_endpoints_leaves_the_others_alone(tmp_path):
    machines = [*endpoints(2), *endpoints(1, client="beta")]
    ran = Ran(plan_of([undoable("mend")], on=machines), tmp_path)
    plan = undo_plan(left(ran).among({"beta/pos-01"}))
    assert [each.id for each in plan.endpoints] == ["beta/pos-01"]
    assert [client.client for client in plan.clients] == ["beta"]


def test_a_step_that_did_not_hold_after_the_bake_is_there_to_be_undone(tmp_path):
    def answer(order):
        bad = order.purpose == "recheck" and order.target.endpoint.id == ONE
        return fail(order, FailureKind.VERIFY) if bad else succeed(order)

    rollout = Rollout(waves=("100%",), gate=Gate("0", "100%", "100%", "100%"), bake_s=0.001)
    ran = Ran(plan_of([undoable("mend")], rollout=rollout), tmp_path, answer)
    assert ran.state_of(ONE) is EndState.FAILED
    assert dict(left(ran).found("changed")) == {"mend": (ONE, TWO, THREE)}


def test_an_undo_needs_what_the_step_it_takes_back_needed_and_is_refused_like_it(tmp_path):
    steps = [undoable("mend", needs=("remediate", "collect")), undoable("tune", needs=("reboot",))]
    traces = left(Ran(plan_of(steps), tmp_path))
    assert [each.needs for each in undo_plan(traces).steps if each.changes] == [
        ("reboot",),
        ("remediate", "collect"),
    ]
    little = Agreement(id="MSA-1", allows=("diagnose", "remediate", "collect"))
    clients = tuple(
        msgspec.structs.replace(client, agreement=little) for client in traces.plan.clients
    )
    refused = undo_plan(replace(traces, plan=msgspec.structs.replace(traces.plan, clients=clients)))
    assert [(each.allow, each.steps) for each in refused.refusals] == [("reboot", ("undo_tune",))]


def test_an_undo_goes_in_waves_and_stops_at_its_gate(tmp_path):
    rollout = Rollout(waves=("1", "100%"), gate=Gate())
    ran = Ran(plan_of([read("look"), undoable("mend")], on=4, rollout=rollout), tmp_path)
    bad = scripted({"pos-01 undo_mend": lambda order: fail(order, FailureKind.VERIFY)})
    undone = Ran(undo_plan(left(ran)), tmp_path, bad)
    assert undone.ending.exit_code == 5
    assert [each for each in undone.handed_out if "undo" in each] == ["pos-01 undo_mend"]
    past = Ran(undone.folder, tmp_path, how=Resumption(past_gate="it is the disk"))
    assert past.ending.exit_code == 3
    assert [each.rpartition(" ")[2] for each in past.handed_out] == ["undo_mend"] * 3
