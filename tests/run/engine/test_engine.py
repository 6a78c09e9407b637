"""The engine on scripted endpoints with a real log: what is begun, when, and how it ends."""

from __future__ import annotations

import threading

import msgspec
import pytest

from outagekit.errors import LogDamaged, LogUnwritable
from outagekit.events import (
    EndpointId,
    EndState,
    FailureKind,
    RunClosed,
    RunId,
    RunPaused,
    StageOpened,
    StepFinished,
    StepInDoubt,
    StepStarted,
)
from outagekit.inventory.model import Site
from outagekit.log.folder import RunFolder
from outagekit.log.reader import read_records
from outagekit.log.writer import LogWriter
from outagekit.playbook.model import Retry
from outagekit.run.coordinator import Coordinator
from outagekit.run.engine.decide import Bounds
from outagekit.run.engine.state import begin
from outagekit.run.opening import open_run
from outagekit.run.orders import Finished
from outagekit.run.replay import EarlierRuns, replay
from outagekit.run.surroundings import Surroundings
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.driver import ScriptedDriver, succeed
from outagekit.testing.log_file import FakeDisk
from outagekit.testing.runs import Ran, fail


def test_every_endpoint_runs_every_step_and_the_run_ends_with_0(tmp_path):
    ran = Ran(plan_of([read("look"), step("mend")], on=3), tmp_path)
    assert ran.ending.exit_code == 0
    assert ran.ending.state.counts() == {EndState.CHANGED: 3}
    assert [order.step for order in ran.driver.orders].count("mend") == 3
    assert ran.of(RunClosed)[0].counts == {EndState.CHANGED: 3}


def test_a_stage_begins_only_after_all_endpoints_passed_the_one_before(tmp_path):
    plan = plan_of([read("look"), step("mend"), read("prove", phase="verify")], on=5)
    ran = Ran(plan, tmp_path)
    phases = [event.phase for event in ran.of(StageOpened)]
    assert phases == ["assess", "fix", "verify"]
    assert [order.step for order in ran.driver.orders] == ["look"] * 5 + ["mend"] * 5 + [
        "prove"
    ] * 5


def test_nothing_is_handed_out_before_its_record_is_durable(tmp_path):
    plan = plan_of([step("mend")], on=20)
    seen = []

    def spy(ran):
        submit = ran.driver.submit

        def check(order):
            on_disk = [
                record.event.attempt
                for record in read_records(ran.folder)
                if isinstance(record.event, StepStarted)
            ]
            seen.append(order.attempt in on_disk)
            submit(order)

        ran.driver.submit = check

    Ran(plan, tmp_path, prepare=spy)
    assert seen == [True] * 20


def test_a_failed_step_ends_that_endpoint_only(tmp_path):
    def answer(order):
        if order.target.endpoint.name == "pos-02" and order.step == "one":
            return fail(order)
        return succeed(order)

    ran = Ran(plan_of([step("one"), step("two")], on=3), tmp_path, answer)
    assert ran.ending.exit_code == 3
    assert ran.state_of("acme/pos-02") is EndState.FAILED
    assert "acme/pos-02:two:1" not in {order.attempt for order in ran.driver.orders}
    assert ran.state_of("acme/pos-03") is EndState.CHANGED


@pytest.mark.parametrize(
    ("state", "kind", "code"),
    [
        (EndState.UNKNOWN, FailureKind.LOST, 4),
        (EndState.UNREACHABLE, FailureKind.REFUSED, 4),
        (EndState.FAILED, FailureKind.VERIFY, 3),
    ],
)
def test_the_exit_code_says_the_worst_that_happened(tmp_path, state, kind, code):
    def answer(order):
        first = order.target.endpoint.name == "pos-01"
        return fail(order, kind, state) if first else succeed(order)

    assert Ran(plan_of([read("one")], on=2), tmp_path, answer).ending.exit_code == code


def test_a_failure_outweighs_silence_in_the_exit_code(tmp_path):
    def answer(order):
        if order.target.endpoint.name == "pos-01":
            return fail(order)
        return fail(order, FailureKind.LOST, EndState.UNKNOWN)

    assert Ran(plan_of([read("one")], on=2), tmp_path, answer).ending.exit_code == 3


def test_an_exit_code_is_tried_again_and_each_try_has_an_id_of_its_own(tmp_path):
    def answer(order):
        return succeed(order) if order.attempt.endswith(":3") else fail(order)

    plan = plan_of([step("one", retry=Retry(attempts=3, delay_s=0.0))], on=1)
    ran = Ran(plan, tmp_path, answer)
    assert [o.attempt for o in ran.driver.orders] == [f"acme/pos-01:one:{n}" for n in (1, 2, 3)]
    assert ran.ending.exit_code == 0
    assert [e.retry_in_ms for e in ran.of(StepFinished)] == [0, 0, None]


def test_tries_wait_for_their_delay_with_its_backoff(tmp_path):
    plan = plan_of([step("one", retry=Retry(attempts=3, delay_s=0.02, backoff=2))], on=1)
    ran = Ran(plan, tmp_path, fail)
    assert [e.retry_in_ms for e in ran.of(StepFinished)] == [20, 40, None]
    starts = [r.mono for r in ran.records if isinstance(r.event, StepStarted)]
    assert starts[1] - starts[0] >= 20_000_000
    assert starts[2] - starts[1] >= 40_000_000


@pytest.mark.parametrize("kind", [FailureKind.LOST, FailureKind.TIMEOUT, FailureKind.AUTH])
def test_doubt_and_a_refused_login_are_never_tried_again(tmp_path, kind):
    plan = plan_of([step("one", retry=Retry(attempts=5, delay_s=0.0))], on=1)
    ran = Ran(plan, tmp_path, lambda order: fail(order, kind, EndState.UNKNOWN))
    assert len(ran.driver.orders) == 1


def test_a_step_whose_when_is_false_is_skipped_and_said_to_be(tmp_path):
    def answer(order):
        if order.step == "look":
            sick = order.target.endpoint.name == "pos-01"
            return Finished(attempt=order.attempt, state=EndState.OK, result={"sick": sick})
        return succeed(order)

    plan = plan_of([read("look", result={"sick": "bool"}), step("mend", when="look.sick")], on=2)
    ran = Ran(plan, tmp_path, answer)
    assert [o.attempt for o in ran.driver.orders if o.step == "mend"] == ["acme/pos-01:mend:1"]
    skipped = [e for e in ran.of(StepFinished) if e.state is EndState.SKIPPED]
    assert [(e.endpoint, e.detail) for e in skipped] == [("acme/pos-02", "not when look.sick")]
    assert ran.state_of("acme/pos-02") is EndState.OK


def test_a_when_whose_value_does_not_exist_skips_the_step_and_names_the_value(tmp_path):
    plan = plan_of(
        [
            read("look", result={"sick": "bool"}),
            step("mend", when="look.sick"),
            step("after", when="mend.changed"),
        ],
        on=1,
    )
    ran = Ran(plan, tmp_path)
    assert [e.detail for e in ran.of(StepFinished)] == [
        "",
        "no value: look.sick",
        "not when mend.changed",
    ]


def test_an_expression_that_fails_on_the_values_of_an_endpoint_fails_that_endpoint(tmp_path):
    def answer(order):
        return Finished(attempt=order.attempt, state=EndState.OK, result={"name": "x"})

    plan = plan_of(
        [read("look", result={"name": "text"}), step("mend", when="look.name > 3")], on=1
    )
    ran = Ran(plan, tmp_path, answer)
    assert ran.ending.exit_code == 3
    assert ran.of(StepFinished)[-1].failure is FailureKind.BAD_RESULT


def test_facts_are_text_in_expressions_as_in_scripts(tmp_path):
    plan = plan_of([read("look", when="client == 'acme' and endpoint == 'pos-02'")], on=3)
    ran = Ran(plan, tmp_path)
    assert [order.target.endpoint.name for order in ran.driver.orders] == ["pos-02"]


def test_with_hands_values_of_earlier_steps_to_the_script(tmp_path):
    def answer(order):
        result = {"newest": "v2"} if order.step == "look" else None
        return Finished(attempt=order.attempt, state=EndState.OK, result=result)

    plan = plan_of(
        [
            read("look", result={"newest": "text"}),
            step("mend", with_={"newest": "look.newest", "n": 3}),
        ],
        on=1,
    )
    ran = Ran(plan, tmp_path, answer)
    values = ran.driver.orders[-1].values
    assert (values["newest"], values["n"], values["client"], values["endpoint"]) == (
        "v2",
        3,
        "acme",
        "pos-01",
    )


def test_no_more_than_the_bound_runs_at_once(tmp_path):
    ran = Ran(plan_of([step("one"), step("two")], on=30), tmp_path, bounds=Bounds(running=4))
    assert ran.driver.most_at_once == 4
    assert ran.ending.exit_code == 0


def test_a_site_bears_no_more_than_its_concurrency(tmp_path):
    plan = plan_of(
        [step("one")],
        on=endpoints(9, site="leeds"),
        sites=[Site(name="leeds", concurrency=2)],
    )
    assert Ran(plan, tmp_path).driver.most_at_once == 2


def test_an_endpoint_begun_is_continued_before_a_new_one_begins(tmp_path):
    plan = plan_of([step("one"), step("two")], on=3)
    ran = Ran(plan, tmp_path, bounds=Bounds(running=1))
    assert [order.attempt for order in ran.driver.orders] == [
        f"acme/pos-0{n}:{name}:1" for n in (1, 2, 3) for name in ("one", "two")
    ]


def test_a_stop_lets_running_steps_end_and_begins_nothing_else(tmp_path):
    holder = {}

    def answer(order):
        holder["ran"].coordinator.stop("Ctrl-C")
        return succeed(order)

    plan = plan_of([step("one"), step("two")], on=4)
    ran = Ran(
        plan,
        tmp_path,
        answer,
        bounds=Bounds(running=1),
        prepare=lambda each: holder.update(ran=each),
    )
    assert ran.ending.exit_code == 6
    assert len(ran.driver.orders) == 1
    assert isinstance(ran.events[-2], RunPaused)
    assert ran.ending.state.progress[EndpointId("acme/pos-04")].begun is False


def test_a_stop_that_comes_when_nothing_is_left_to_begin_closes_the_run(tmp_path):
    holder = {}

    def answer(order):
        if order.attempt == "acme/pos-02:two:1":
            holder["ran"].coordinator.stop("Ctrl-C")
        return succeed(order)

    plan = plan_of([step("one"), step("two")], on=2)
    ran = Ran(plan, tmp_path, answer, prepare=lambda each: holder.update(ran=each))
    assert (ran.ending.exit_code, ran.ending.why) == (0, "")
    assert isinstance(ran.events[-2], RunClosed)


def test_reports_that_came_together_with_the_one_the_log_refused_are_not_waited_for(tmp_path):
    class FullLog:
        def __init__(self, log):
            self._log = log
            self.failed = None

        def append(self, event):
            if isinstance(event, StepFinished):
                self.failed = LogUnwritable("the disk is full")
                raise self.failed
            return self._log.append(event)

    warned = []
    plan = plan_of([step("one")], on=3)
    with open_run(plan, tmp_path) as opened:
        driver = ScriptedDriver()
        reports = driver.reports
        driver.reports = lambda timeout_s: [r for _ in range(3) for r in reports(timeout_s)]
        coordinator = Coordinator(
            opened.state,
            log=FullLog(opened.log),
            driver=driver,
            around=Surroundings(spool=opened.folder.spool, warn=warned.append),
        )
        stuck = threading.Timer(5.0, lambda: (coordinator.stop("late"), coordinator.stop("late")))
        stuck.start()
        with pytest.raises(LogUnwritable) as caught:
            coordinator.run()
        stuck.cancel()
    lost = ", ".join(f"acme/pos-0{n} one: changed" for n in (1, 2, 3))
    assert caught.value.message == f"the disk is full; not in the log: {lost}"
    assert warned == ["the disk is full: 3 running steps may end, nothing else begins"]


def test_ends_that_were_taken_by_the_log_but_never_reached_the_disk_are_named(tmp_path):
    plan = plan_of([step("one"), step("two")], on=1)
    with RunFolder.create(tmp_path, RunId("one")) as folder:
        log = LogWriter.create(folder, opener=FakeDisk(fail_at=4).open, lag_s=60)
        coordinator = Coordinator(
            begin(plan, folder.run),
            log=log,
            driver=ScriptedDriver(),
            around=Surroundings(spool=folder.spool),
        )
        with pytest.raises(LogUnwritable, match="perhaps not in the log: acme/pos-01 one: changed"):
            coordinator.run()
        log.close()


def test_a_second_stop_leaves_what_runs_in_doubt_and_waits_for_nothing(tmp_path):
    holder = {}

    def answer(order):
        holder["ran"].coordinator.stop("Ctrl-C")
        holder["ran"].coordinator.stop("Ctrl-C")

    ran = Ran(
        plan_of([step("one")], on=2),
        tmp_path,
        answer,
        prepare=lambda each: holder.update(ran=each),
    )
    assert ran.ending.exit_code == 130
    assert {e.endpoint for e in ran.of(StepInDoubt)} == {"acme/pos-01", "acme/pos-02"}
    assert ran.driver.cancelled == ["acme/pos-01:one:1", "acme/pos-02:one:1"]
    assert ran.state_of("acme/pos-01") is EndState.UNKNOWN


def test_when_the_log_fails_nothing_new_begins_and_what_ran_is_named(tmp_path):
    class FailingLog:
        def __init__(self, log, after):
            self._log, self._left = log, after
            self.failed = None

        def append(self, event):
            self._left -= 1
            if self._left < 0:
                self.failed = LogUnwritable("the disk is full")
                raise self.failed
            return self._log.append(event)

    plan = plan_of([step("one"), step("two")], on=3)
    driver = ScriptedDriver()
    with open_run(plan, tmp_path) as opened:
        coordinator = Coordinator(
            opened.state,
            log=FailingLog(opened.log, after=6),
            driver=driver,
            around=Surroundings(spool=opened.folder.spool),
        )
        with pytest.raises(LogUnwritable, match=r"not in the log: .*acme/pos-03 one: changed"):
            coordinator.run()
    assert {order.step for order in driver.orders} == {"one"}


def test_replaying_the_log_gives_the_state_the_run_ended_with(tmp_path):
    def answer(order):
        if order.target.endpoint.name == "pos-02":
            return fail(order)
        return succeed(order)

    ran = Ran(plan_of([read("look"), step("mend")], on=4), tmp_path, answer)
    again = replay(ran.folder)
    assert again.counts() == ran.ending.state.counts()
    assert again.progress == ran.ending.state.progress
    assert again == replay(ran.folder)


def test_the_plan_of_another_run_is_not_replayed(tmp_path):
    one = Ran(plan_of([step("mend")], on=3), tmp_path)
    other = Ran(plan_of([step("mend")], on=4), tmp_path)
    for name in ("plan.json", "inventory.json"):
        (one.folder / name).write_bytes((other.folder / name).read_bytes())
    with pytest.raises(LogDamaged, match=r"plan.json is not the one this run was opened with"):
        replay(one.folder)


def test_a_selector_finds_the_endpoints_that_failed_in_an_earlier_run(tmp_path):
    def answer(order):
        return fail(order) if order.target.endpoint.name == "pos-02" else succeed(order)

    Ran(plan_of([step("mend")], on=3), tmp_path, answer)
    assert EarlierRuns(tmp_path).endpoints_of("last", "failed") == ("acme/pos-02",)


def test_a_report_for_an_attempt_nobody_waits_for_is_dropped(tmp_path):
    def stray(ran):
        reports = ran.driver.reports

        def more(timeout_s):
            late = Finished(attempt="acme/pos-01:old:9", state=EndState.CHANGED)
            return (late, *reports(timeout_s))

        ran.driver.reports = more

    ran = Ran(plan_of([step("mend")], on=1), tmp_path, prepare=stray)
    assert [e.attempt for e in ran.of(StepFinished)] == ["acme/pos-01:mend:1"]


def test_an_order_holds_no_secret_and_one_script_variant(tmp_path):
    ran = Ran(plan_of([step("mend", check="true")], on=1), tmp_path)
    order = ran.driver.orders[0]
    assert msgspec.json.decode(msgspec.json.encode(order), type=type(order)) == order
    assert order.check.text == "true"
    assert len(order.action.script.variants) == 1
