"""Stages and waves as a run goes through them: barriers, the survey, the cut, who is where."""

from __future__ import annotations

import msgspec

from outagekit.events import (
    EndState,
    OnceFinished,
    RunClosed,
    StageOpened,
    StepFinished,
    StepStarted,
    WaveJudged,
    WaveOpened,
    WavesCut,
)
from outagekit.inventory.model import Site
from outagekit.plan.waves import digest_of_waves
from outagekit.playbook.model import Approve, Gate, Rollout, WaitTcp
from outagekit.run.engine.situation import Bounds
from outagekit.run.orders import Finished
from outagekit.run.replay import replay
from outagekit.testing.builders import endpoints, plan_of, read, step
from outagekit.testing.driver import succeed
from outagekit.testing.runs import Ran, fail, refuse, scripted

OPEN = Gate("0", "100%", "100%", "100%")
RESULT = {"sick": "bool"}


def waves_of(ran, stage):
    """Return who began a changing step in which wave of a stage, from the records alone."""
    found, here = [], False
    for event in ran.events:
        if isinstance(event, WaveOpened):
            here = event.stage == stage
            if here:
                found.append([])
        elif isinstance(event, StepStarted) and here:
            name = event.endpoint.partition("/")[2]
            if name not in found[-1]:
                found[-1].append(name)
    return found


def sick(*names):
    def answer(order):
        if order.result:
            found = order.target.endpoint.name in names
            return Finished(attempt=order.attempt, state=EndState.OK, result={"sick": found})
        return succeed(order)

    return answer


def tagged(number, **tags):
    found = endpoints(number)
    return [
        msgspec.structs.replace(each, tags=tuple(tags.get(each.name.replace("-", "_"), ())))
        for each in found
    ]


def test_consecutive_steps_of_a_phase_are_a_stage_and_stages_follow_in_order(tmp_path):
    steps = [
        read("look"),
        read("count"),
        step("mend"),
        read("prove", phase="verify"),
        read("again", phase="assess"),
    ]
    ran = Ran(plan_of(steps, on=2), tmp_path)
    opened = [(each.stage, each.phase, each.steps) for each in ran.of(StageOpened)]
    assert opened == [
        (1, "assess", ("look", "count")),
        (2, "fix", ("mend",)),
        (3, "verify", ("prove",)),
        (4, "assess", ("again",)),
    ]


def test_a_stage_is_a_barrier_over_all_endpoints_but_not_for_who_came_to_an_early_end(tmp_path):
    steps = [read("look"), step("mend"), read("prove", phase="verify")]
    ran = Ran(plan_of(steps, on=3), tmp_path, scripted({"pos-02 look": fail}))
    names = [o.rpartition(" ")[2] for o in ran.handed_out]
    assert names == ["look"] * 3 + ["mend"] * 2 + ["prove"] * 2


def test_a_step_that_happens_once_is_a_stage_of_its_own_at_its_place_never_per_wave(tmp_path):
    ask = read("ask", action=Approve("May we?"), once="run", phase="fix", timeout_s=600.0)
    steps = [read("look"), step("mend"), ask, step("harden")]
    rollout = Rollout(waves=("1", "100%"), gate=OPEN)
    ran = Ran(
        plan_of(steps, on=3, rollout=rollout),
        tmp_path,
        prepare=lambda r: setattr(r.driver, "while_idle", lambda: r.say("ask", "yes")),
    )
    assert [each.steps for each in ran.of(StageOpened)] == [
        ("look",),
        ("mend",),
        ("ask",),
        ("harden",),
    ]
    assert len(ran.of(OnceFinished)) == 1
    order = [type(e).__name__ for e in ran.events if isinstance(e, WaveJudged | OnceFinished)]
    assert order == ["WaveJudged"] * 2 + ["OnceFinished"] + ["WaveJudged"] * 2


def test_a_step_once_per_client_happens_for_each_client(tmp_path):
    both = [*endpoints(1), *endpoints(2, client="borealis")]
    ask = read("ask", action=Approve("May we?"), once="client", timeout_s=600.0)

    def people(ran):
        ran.driver.while_idle = lambda: [ran.say(f"ask@{c}", "yes") for c in ("acme", "borealis")]

    ran = Ran(plan_of([ask, step("mend")], on=both), tmp_path, prepare=people)
    assert sorted(each.client for each in ran.of(OnceFinished)) == ["acme", "borealis"]
    assert ran.ending.exit_code == 0


def test_a_stage_of_reads_runs_on_everybody_at_once(tmp_path):
    plan = plan_of([read("look"), step("mend")], on=20, rollout=Rollout())
    ran = Ran(plan, tmp_path)
    assert ran.driver.most_at_once == 20
    assert [each.stage for each in ran.of(WavesCut)] == [2]


def test_a_plan_that_begins_with_a_change_asks_everybody_first_who_answers(tmp_path):
    plan = plan_of([step("mend")], on=4, rollout=Rollout(), survey=True)
    ran = Ran(plan, tmp_path, scripted({"pos-01 survey": refuse}))
    assert [o for o in ran.handed_out if "survey" in o] == [f"pos-0{n} survey" for n in range(1, 5)]
    assert ran.of(WavesCut)[0].sizes == (1, 2)
    assert ran.handed_out[4] == "pos-02 mend"
    assert ran.ending.exit_code == 4


def test_waves_are_cut_when_the_stage_begins_over_who_answered_and_needs_the_change(tmp_path):
    steps = [read("look", result=RESULT), step("mend", when="look.sick")]
    rollout = Rollout(waves=("1", "50%", "100%"), gate=OPEN)
    answer = sick("pos-02", "pos-05", "pos-07", "pos-08")

    def unwell(order):
        return refuse(order) if order.target.endpoint.name == "pos-08" else answer(order)

    ran = Ran(plan_of(steps, on=8, rollout=rollout), tmp_path, unwell)
    cut = ran.of(WavesCut)[0]
    assert (cut.sizes, cut.outside) == ((1, 1, 1), 4)
    assert waves_of(ran, 2) == [["pos-02"], ["pos-05"], ["pos-07"]]


def test_a_change_that_depends_on_one_that_is_ruled_out_puts_nobody_into_a_wave(tmp_path):
    steps = [
        read("look", result=RESULT),
        step("mend", when="look.sick"),
        step("restart", when="mend.changed"),
        step("tidy", with_={"n": 1}, when="restart.changed or mend.failed"),
    ]
    ran = Ran(plan_of(steps, on=6, rollout=Rollout()), tmp_path, sick("pos-06"))
    assert (ran.of(WavesCut)[0].sizes, ran.of(WavesCut)[0].outside) == ((1,), 5)
    assert ran.handed_out[6:] == ["pos-06 mend", "pos-06 restart", "pos-06 tidy"]
    assert ran.ending.exit_code == 0


def test_a_change_whose_when_is_told_by_a_read_of_its_own_stage_is_in_a_wave(tmp_path):
    steps = [
        read("hello"),
        read("look", phase="fix", result=RESULT),
        step("mend", when="look.sick"),
    ]
    ran = Ran(plan_of(steps, on=4, rollout=Rollout()), tmp_path, sick("pos-04"))
    assert ran.of(WavesCut)[0].sizes == (1, 3)
    assert ran.state_of("acme/pos-01") is EndState.OK


def test_a_stage_whose_change_nobody_needs_is_gone_through_without_a_wave(tmp_path):
    steps = [
        read("look", result=RESULT),
        step("mend", when="look.sick"),
        read("note", phase="fix"),
        read("prove", phase="verify"),
    ]
    ran = Ran(plan_of(steps, on=3, rollout=Rollout()), tmp_path, sick())
    assert (ran.of(WavesCut)[0].sizes, ran.of(WavesCut)[0].outside) == ((), 3)
    assert not ran.of(WaveOpened)
    assert [o.rpartition(" ")[2] for o in ran.handed_out] == ["look"] * 3 + ["note"] * 3 + [
        "prove"
    ] * 3
    assert ran.ending.exit_code == 0


def test_the_cut_follows_from_plan_and_log_alone(tmp_path):
    steps = [read("look", result=RESULT), step("mend", when="look.sick")]
    ran = Ran(plan_of(steps, on=9, rollout=Rollout()), tmp_path, sick("pos-01", "pos-03", "pos-09"))
    waves = replay(ran.folder).spreads[2].waves
    assert ran.of(WavesCut)[0].sha256 == digest_of_waves(waves)
    assert [list(wave) for wave in waves] == [["acme/pos-01"], ["acme/pos-03", "acme/pos-09"]]


def test_waves_round_up_empty_ones_vanish_and_the_last_is_everybody(tmp_path):
    rollout = Rollout(waves=("1", "10%", "30%", "50%"), gate=OPEN)
    ran = Ran(plan_of([step("mend")], on=7, rollout=rollout), tmp_path)
    assert ran.of(WavesCut)[0].sizes == (1, 2, 1, 3)
    assert [each.waves for each in ran.of(WaveOpened)] == [4, 4, 4, 4]


def test_who_is_named_first_goes_first_if_the_change_is_needed_there(tmp_path):
    chosen = tagged(6, pos_05=["canary"], pos_06=["canary"])
    steps = [read("look", result=RESULT), step("mend", when="look.sick")]
    rollout = Rollout(first="tag:canary", waves=("1", "100%"), gate=OPEN)
    plan = plan_of(steps, on=chosen, rollout=rollout)
    everybody = sick(*(f"pos-0{n}" for n in range(1, 7)))
    assert waves_of(Ran(plan, tmp_path, everybody), 2)[0] == ["pos-05"]
    assert waves_of(Ran(plan, tmp_path, sick("pos-02", "pos-06")), 2)[0] == ["pos-06"]
    assert waves_of(Ran(plan, tmp_path, sick("pos-02", "pos-03")), 2)[0] == ["pos-02"]


def test_one_endpoint_of_each_site_goes_before_the_second_of_any(tmp_path):
    sites = [Site(name="leeds"), Site(name="york")]
    chosen = [
        msgspec.structs.replace(each, name=f"{site}-{each.name}")
        for site in ("leeds", "york")
        for each in endpoints(3, site=site)
    ]
    rollout = Rollout(waves=("2", "100%"), gate=OPEN)
    ran = Ran(plan_of([step("mend")], on=chosen, sites=sites, rollout=rollout), tmp_path)
    assert {name.partition("-")[0] for name in waves_of(ran, 1)[0]} == {"leeds", "york"}


def test_those_kept_apart_of_one_client_are_never_in_one_wave(tmp_path):
    tags = {f"pos_0{n}": ["domain-controller"] for n in range(1, 5)}
    rollout = Rollout(waves=("1", "100%"), apart="tag:domain-controller", gate=OPEN)
    ran = Ran(plan_of([step("mend")], on=tagged(6, **tags), rollout=rollout), tmp_path)
    assert waves_of(ran, 1) == [
        ["pos-01"],
        ["pos-02", "pos-05", "pos-06"],
        ["pos-03"],
        ["pos-04"],
    ]
    assert ran.of(WavesCut)[0].sizes == (1, 3, 1, 1)


def test_those_kept_apart_of_two_clients_may_share_a_wave(tmp_path):
    both = [*endpoints(2), *endpoints(2, client="borealis")]
    rollout = Rollout(waves=("100%",), apart="os:linux", gate=OPEN)
    ran = Ran(plan_of([step("mend")], on=both, rollout=rollout), tmp_path)
    assert ran.of(WavesCut)[0].sizes == (2, 2)


def test_the_next_wave_opens_only_after_the_one_before_was_judged_and_passed(tmp_path):
    plan = plan_of([read("look"), step("mend")], on=9, rollout=Rollout(waves=("1", "4", "100%")))
    ran = Ran(plan, tmp_path)
    marks = [
        (type(e).__name__, e.wave) for e in ran.events if isinstance(e, WaveOpened | WaveJudged)
    ]
    assert marks == [(kind, wave) for wave in (1, 2, 3) for kind in ("WaveOpened", "WaveJudged")]
    assert [len(wave) for wave in waves_of(ran, 2)] == [1, 3, 5]


def test_two_stages_that_change_something_each_have_waves_of_their_own(tmp_path):
    steps = [read("look"), step("contain", phase="contain"), step("mend")]
    gate = Gate(max_failed="100%")
    plan = plan_of(steps, on=5, rollout=Rollout(waves=("2", "100%"), gate=gate))
    ran = Ran(plan, tmp_path, scripted({"pos-02 contain": fail}))
    assert [(each.stage, each.sizes) for each in ran.of(WavesCut)] == [(2, (2, 3)), (3, (2, 2))]
    assert waves_of(ran, 3) == [["pos-01", "pos-03"], ["pos-04", "pos-05"]]
    assert ran.ending.exit_code == 3


def test_an_endpoint_begun_in_a_wave_is_continued_before_another_begins(tmp_path):
    steps = [step("one"), step("two"), step("three")]
    ran = Ran(plan_of(steps, on=3), tmp_path, bounds=Bounds(running=1))
    assert ran.handed_out == [f"pos-0{n} {s}" for n in (1, 2, 3) for s in ("one", "two", "three")]


def test_clients_and_their_sites_take_turns(tmp_path):
    sites = [Site(name="leeds"), Site(name="york")]
    chosen = [
        msgspec.structs.replace(each, name=f"{site}-{each.name}")
        for site, number in (("leeds", 4), ("york", 2))
        for each in endpoints(number, site=site)
    ]
    chosen += [
        msgspec.structs.replace(each, name=f"b-{each.name}")
        for each in endpoints(2, client="borealis")
    ]
    ran = Ran(plan_of([read("look")], on=chosen, sites=sites), tmp_path, bounds=Bounds(running=1))
    assert ran.handed_out == [
        "leeds-pos-01 look",
        "b-pos-01 look",
        "york-pos-01 look",
        "b-pos-02 look",
        "leeds-pos-02 look",
        "york-pos-02 look",
        "leeds-pos-03 look",
        "leeds-pos-04 look",
    ]


def test_a_port_that_was_seen_from_here_is_no_answer_of_an_endpoint(tmp_path):
    steps = [read("port", phase="fix", action=WaitTcp(22)), step("mend")]
    gate = Gate("0", "100%", "100%", "100%")
    plan = plan_of(steps, on=1, rollout=Rollout(waves=("100%",), gate=gate))
    ran = Ran(plan, tmp_path, scripted({"pos-01 mend": refuse}))
    found = {each.what: each.found for each in ran.of(WaveJudged)[0].sums}
    assert (found["answered"], found["unreachable"]) == (0, 1)


def test_every_endpoint_has_one_end_state_and_the_counts_add_up(tmp_path):
    answer = scripted({"pos-01 look": fail, "pos-02 look": refuse})
    ran = Ran(plan_of([read("look"), step("mend")], on=5), tmp_path, answer)
    assert ran.of(RunClosed)[0].counts == {
        EndState.FAILED: 1,
        EndState.UNREACHABLE: 1,
        EndState.CHANGED: 3,
    }
    assert not [e for e in ran.of(StepFinished) if e.step == "mend" and e.endpoint[-1] in "12"]
