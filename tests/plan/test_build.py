from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from outagekit.errors import InvalidInput, NothingMatched, UsageError
from outagekit.plan.build import Mode, build_plan, fair_order, stages_of, used_clients
from outagekit.plan.spread import is_probe, survey_of
from outagekit.playbook.model import (
    Fetch,
    Gate,
    Manual,
    Rollout,
    WaitHttp,
    WaitScript,
    WaitTcp,
)

NAMES = st.text("ab019-", min_size=1, max_size=5)


def names(endpoints):
    return [endpoint.id for endpoint in endpoints]


def test_stages_are_cut_where_the_phase_changes_and_nowhere_else(a):
    steps = [
        a.step("one", phase="assess"),
        a.step("two", phase="assess"),
        a.step("three", "change"),
        a.step("four", phase="assess"),
    ]
    stages = stages_of(steps)
    assert [(s.number, s.phase, s.steps, s.changes) for s in stages] == [
        (1, "assess", ("one", "two"), False),
        (2, "fix", ("three",), True),
        (3, "assess", ("four",), False),
    ]


def test_a_step_done_once_is_a_stage_of_its_own(a):
    steps = [a.step("one"), a.step("call", once="client"), a.step("two")]
    assert [stage.steps for stage in stages_of(steps)] == [("one",), ("call",), ("two",)]


def test_clients_take_turns_and_then_their_sites(a):
    big = [a.endpoint(f"acme/a{n}", site="berlin" if n < 4 else "leeds") for n in range(6)]
    small = [a.endpoint("zeta/z1"), a.endpoint("zeta/z2")]
    assert names(fair_order([*big, *small])) == [
        "acme/a0",
        "zeta/z1",
        "acme/a4",
        "zeta/z2",
        "acme/a1",
        "acme/a5",
        "acme/a2",
        "acme/a3",
    ]


def test_numbers_in_names_count_as_numbers(a):
    chosen = [a.endpoint(f"acme/{name}") for name in ("pos-10", "pos-2", "10.0.0.9", "10.0.0.10")]
    assert names(fair_order(chosen)) == [
        "acme/10.0.0.9",
        "acme/10.0.0.10",
        "acme/pos-2",
        "acme/pos-10",
    ]


def test_an_endpoint_chosen_twice_is_planned_once(a):
    assert names(fair_order([a.endpoint("acme/x"), a.endpoint("acme/x")])) == ["acme/x"]


@given(data=st.data(), chosen=st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=25))
def test_the_order_is_fair_complete_and_the_same_for_every_order_of_input(a, data, chosen):
    sites = {}
    endpoints = [
        a.endpoint(f"{client}/{name}", site=sites.setdefault((client, name), site))
        for client, name, site in chosen
    ]
    order = fair_order(endpoints)
    assert order == fair_order(data.draw(st.permutations(endpoints)))
    assert sorted(names(order)) == sorted(set(names(endpoints)))
    seen: dict[str, int] = {}
    total = {e.client: sum(o.client == e.client for o in order) for e in order}
    for endpoint in order:
        # Nobody gets a second turn while somebody who still has endpoints waits for the first.
        mine = seen.get(endpoint.client, 0)
        waiting = [c for c, all_of in total.items() if seen.get(c, 0) < all_of]
        assert mine == min(seen.get(c, 0) for c in waiting)
        seen[endpoint.client] = mine + 1


@given(data=st.data())
def test_the_digest_does_not_depend_on_any_order_of_files_or_keys(a, data):
    shuffled = lambda mapping: dict(data.draw(st.permutations(list(mapping.items()))))  # noqa: E731
    endpoints = [
        a.endpoint(f"{client}/{name}", credential=key, site=site)
        for client in ("acme", "beta")
        for name, key, site in (("x", "k1", "s1"), ("y", "k2", "s2"), ("z", "k1", None))
    ]
    clients = {
        name: a.everything(name, credentials=a.credentials("k1", "k2"), sites=a.sites("s1", "s2"))
        for name in ("acme", "beta")
    }
    step = a.step("look", with_={"a": 1, "b": [1, 2], "c": {"x": 1, "y": 2}})
    params = {"one": "1", "two": 2, "three": [1.5, True]}
    here = build_plan(a.playbook(step), params=params, endpoints=endpoints, clients=clients)
    there = build_plan(
        a.playbook(replace(step, with_=shuffled(step.with_))),
        params=shuffled(params),
        endpoints=data.draw(st.permutations(endpoints)),
        clients={
            name: replace(c, credentials=shuffled(c.credentials), sites=shuffled(c.sites))
            for name, c in shuffled(clients).items()
        },
    )
    assert there.digest == here.digest
    assert there == here


def test_the_digest_does_not_depend_on_where_files_lie_or_how_they_are_laid_out(a):
    here = a.playbook(a.step("look", line=4), path="here/p.yaml", origin="workspace", digest="aa")
    there = a.playbook(a.step("look", line=9), path="there/p.yaml", origin="outside", digest="bb")
    acme = {"acme": a.everything("acme")}
    plans = [
        build_plan(book, params={}, endpoints=[a.endpoint("acme/x")], clients=acme)
        for book in (here, there)
    ]
    assert plans[0].digest == plans[1].digest
    assert len(plans[0].digest) == 64


def test_the_digest_changes_with_everything_that_would_happen(a):
    one = a.plan(a.step("look"))
    others = [
        a.plan(a.step("look", timeout_s=1)),
        a.plan(a.step("look", verify=a.script())),
        a.plan(a.step("look"), params={"line": 4}),
        a.plan(a.step("look", with_={"line": 4})),
        a.plan(a.step("look"), endpoints=[a.endpoint("acme/web-02")]),
        a.plan(a.step("look"), clients=[a.everything("acme", timezone="UTC")]),
        a.plan(a.step("look"), selection="os:linux"),
        a.plan(a.step("look"), mode=Mode(dry_run=True)),
        a.plan(a.step("look"), mode=Mode(undo_on_failure=True)),
        a.plan(a.step("look"), mode=Mode(undoes="20261122T081403Z-fix-x7q2")),
        a.plan(a.step("look"), mode=Mode(handed={"look": {"acme/web-01": {}}})),
    ]
    assert len({plan.digest for plan in (one, *others)}) == len(others) + 1


def test_names_of_parameters_that_look_like_places_are_part_of_the_digest(a):
    digests = {
        a.plan(params=params).digest
        for params in ({}, {"path": "a"}, {"path": "b"}, {"line": 1}, {"digest": "x"})
    }
    assert len(digests) == 5


def test_only_what_is_used_stays_in_the_plan(a):
    endpoints = [a.endpoint("acme/x", credential="used", site="berlin")]
    acme = a.everything(
        "acme",
        credentials=a.credentials("used", "other"),
        sites=a.sites("berlin", "leeds"),
        endpoints={"x": endpoints[0], "y": a.endpoint("acme/y")},
    )
    (kept,) = a.plan(endpoints=endpoints, clients=[acme, a.everything("beta")]).clients
    assert (list(kept.credentials), list(kept.sites)) == (["used"], ["berlin"])
    assert kept.endpoints == {}
    assert kept.agreement == acme.agreement


def test_the_credential_of_a_jump_host_stays_in_the_plan(a):
    endpoints = [a.endpoint("acme/x", credential="used", site="berlin")]
    sites = a.sites("berlin", jump="bastion", jump_credential="door")
    acme = a.everything("acme", credentials=a.credentials("used", "other", "door"), sites=sites)
    made = a.plan(endpoints=endpoints, clients=[acme])
    assert list(made.clients[0].credentials) == ["door", "used"]
    assert made.jump_credential_of(endpoints[0]) == acme.credentials["door"]
    gone = a.everything("acme", credentials=a.credentials("used"), sites=sites)
    with pytest.raises(InvalidInput, match="site berlin of acme names credential door"):
        used_clients(endpoints, {"acme": gone})


@pytest.mark.parametrize("field", ["credential", "site"])
def test_a_dangling_name_is_an_error_and_no_crash(a, field):
    endpoints = [a.endpoint("acme/x", **{field: "gone"})]
    with pytest.raises(InvalidInput, match=f"acme/x names {field} gone"):
        used_clients(endpoints, {"acme": a.client("acme")})


def test_an_unknown_client_is_an_error_and_no_crash(a):
    with pytest.raises(InvalidInput, match="beta/x belongs to a client"):
        used_clients([a.endpoint("beta/x")], {"acme": a.client("acme")})


def test_nothing_chosen_is_nothing_matched(a):
    with pytest.raises(NothingMatched):
        build_plan(a.playbook(), params={}, endpoints=[], clients={})


def test_every_part_without_a_script_for_a_system_is_named_at_once(a):
    linux_only = a.step("look", line=7, verify=a.script("powershell"))
    wait = a.step("wait", line=9, action=WaitScript(a.script("cmd")))
    fine = a.step("port", action=WaitTcp(80))
    endpoints = [a.endpoint("acme/x"), a.endpoint("acme/m", os="macos"), a.endpoint("acme/y")]
    with pytest.raises(InvalidInput) as caught:
        a.plan(linux_only, wait, fine, endpoints=endpoints)
    problems = caught.value.problems
    assert [(p.line, p.column) for p in problems] == [(7, 1), (7, 1), (9, 1), (9, 1)]
    assert problems[0].path == Path("playbooks/spooler.yaml")
    assert problems[0].message == (
        "step look: `verify` has no variant for linux, but 2 endpoints of the plan run it"
    )
    assert problems[0].hint == "leave them out with --limit os:macos"
    assert "step wait: its script has no variant for macos, but 1 endpoint" in problems[3].message
    assert caught.value.message == "4 scripts cannot run on every chosen endpoint"


def test_one_missing_script_is_the_message_and_names_what_to_write(a):
    with pytest.raises(InvalidInput, match="step look: its script has no variant") as caught:
        a.plan(a.step("look", action=WaitScript(a.script("cmd"))))
    assert caught.value.hint == "add a script in sh or bash, or choose other endpoints"


# --- survey ------------------------------------------------------------------------------------


def shape(plan):
    return [(stage.phase, stage.steps, stage.changes) for stage in plan.stages]


def test_before_the_first_change_every_endpoint_is_asked_something(a):
    plan = a.plan(a.step("fix", "change"), a.step("more", "change", phase="contain"))
    assert shape(plan) == [
        ("assess", ("survey",), False),
        ("fix", ("fix",), True),
        ("contain", ("more",), True),
    ]
    (survey,) = (step for step in plan.steps if step.id == "survey")
    assert is_probe(survey)
    assert (survey.risk, survey.needs) == ("read", ("diagnose",))
    assert {code.text for code in survey.action.script.variants} == {"true", "$true"}
    assert survey_of(plan.playbook) == ("survey",)


@pytest.mark.parametrize(
    ("accounts", "asked"), [(("login",), "login"), (("login", None), None), (("root",), None)]
)
def test_a_survey_becomes_root_only_where_a_change_does(a, accounts, asked):
    steps = [a.step(f"fix_{n}", "change", account=account) for n, account in enumerate(accounts)]
    plan = a.plan(*steps, endpoints=[a.endpoint("acme/one", become="sudo")])
    assert [step.account for step in plan.steps if step.id == "survey"] == [asked]


def test_a_step_that_reads_on_everybody_is_the_survey(a):
    plan = a.plan(a.step("look", phase="assess"), a.step("fix", "change"))
    assert shape(plan) == [("assess", ("look",), False), ("fix", ("fix",), True)]
    assert survey_of(plan.playbook) == ("look",)


def test_reading_in_the_stage_that_changes_is_no_survey_since_it_runs_in_waves(a):
    plan = a.plan(a.step("look"), a.step("fix", "change"))
    assert shape(plan) == [("assess", ("survey",), False), ("fix", ("look", "fix"), True)]


@pytest.mark.parametrize(
    "fields",
    [
        {"when": "client == 'acme'"},
        {"action": Manual("Look at it")},
        {"action": Manual("Look at it"), "once": "client"},
        {"action": WaitTcp(80)},
        {"action": WaitHttp(80)},
    ],
)
def test_what_may_not_reach_every_endpoint_is_no_survey(a, fields):
    plan = a.plan(a.step("look", phase="assess", **fields), a.step("fix", "change"))
    assert [stage.steps for stage in plan.stages] == [("look",), ("survey",), ("fix",)]


def test_a_survey_takes_no_name_that_is_taken(a):
    steps = [a.step("fix", "change"), a.step("survey", phase="close")]
    plan = a.plan(*steps, params={"survey_": 1})
    assert plan.steps[0].id == "survey_"
    assert [stage.steps for stage in plan.stages][1:] == [("fix",), ("survey",)]


def test_nothing_is_asked_before_a_plan_that_only_reads_or_a_dry_run(a):
    assert [stage.steps for stage in a.plan(a.step("look")).stages] == [("look",)]
    dry = a.plan(a.step("fix", "change"), mode=Mode(dry_run=True))
    assert [stage.steps for stage in dry.stages] == [("fix",)]


def test_a_survey_stands_before_the_stage_even_if_a_step_done_once_parts_it(a):
    steps = [
        a.step("look"),
        a.step("ring", action=Manual("Ring"), once="client"),
        a.step("fix", "change"),
    ]
    plan = a.plan(*steps)
    assert [stage.steps for stage in plan.stages] == [("look",), ("ring",), ("fix",)]


# --- a dry run, first, apart, pounce -----------------------------------------------------------


def test_a_dry_run_needs_the_client_to_allow_no_change(a):
    acme = a.client("acme", "diagnose")
    steps = [a.step("look"), a.step("fix", "change")]
    assert a.plan(*steps, clients=[acme]).refusals
    dry = a.plan(*steps, clients=[acme], mode=Mode(dry_run=True))
    assert dry.refusals == ()
    assert dry.dry_run
    none = a.client("acme", "collect")
    (refusal,) = a.plan(*steps, clients=[none], mode=Mode(dry_run=True)).refusals
    assert (refusal.allow, refusal.steps) == ("diagnose", ("look", "fix"))


def test_a_dry_run_still_takes_files_only_where_that_is_allowed(a):
    get = a.step("get", action=Fetch(("/a",), 10), needs=("collect",))
    plan = a.plan(get, clients=[a.client("acme", "diagnose")], mode=Mode(dry_run=True))
    assert [refusal.allow for refusal in plan.refusals] == ["collect"]


def rolled(a, rollout, *steps, endpoints):
    return build_plan(
        a.playbook(*steps, rollout=rollout),
        params={},
        endpoints=endpoints,
        clients={"acme": a.everything("acme")},
    )


def test_who_is_first_and_who_apart_is_settled_by_the_plan(a):
    endpoints = [
        a.endpoint("acme/dc-1", tags=("dc",)),
        a.endpoint("acme/dc-2", tags=("dc", "canary")),
        a.endpoint("acme/web", tags=("canary",)),
    ]
    rollout = Rollout(first="tag:canary", apart="tag:dc")
    plan = rolled(a, rollout, a.step("fix", "change"), endpoints=endpoints)
    assert (plan.first, plan.apart) == (("acme/dc-2", "acme/web"), ("acme/dc-1", "acme/dc-2"))
    nobody = rolled(a, Rollout(first="tag:none"), a.step("fix", "change"), endpoints=endpoints)
    assert (nobody.first, nobody.apart) == ((), ())


def test_a_selector_of_a_rollout_that_is_none_is_a_usage_error(a):
    with pytest.raises(UsageError):
        rolled(a, Rollout(first="tag:"), a.step("fix"), endpoints=[a.endpoint("acme/x")])


def test_what_pounces_comes_with_the_steps_whose_values_it_needs(a):
    steps = [
        a.step("look", phase="assess"),
        a.step("newest", phase="assess", when="look.bad"),
        a.step("other", phase="assess"),
        a.step("fix", "change", with_={"at": "newest.time", "n": 4}),
    ]
    rollout = Rollout(pounce="fix", waiting_room_s=60)
    plan = rolled(a, rollout, *steps, endpoints=[a.endpoint("acme/x")])
    assert plan.pounce == ("look", "newest", "fix")


def test_without_a_rollout_the_careful_default_counts(a):
    rollout = a.plan(a.step("fix", "change")).rollout
    assert rollout.waves == ("1", "25%", "100%")
    assert rollout.gate == Gate("80%", "5%", "20%", "0")
    assert (rollout.pause, rollout.bake_s, rollout.waiting_room_s) == ("none", 0, 0)
