from __future__ import annotations

import shlex
from datetime import UTC, datetime

import msgspec
import pytest

from outagekit.errors import Refused, UsageError
from outagekit.inventory.model import Site
from outagekit.plan.allowed import permissions
from outagekit.plan.build import Mode, build_plan
from outagekit.plan.summary import (
    confirmation,
    local_time,
    matches,
    next_command,
    override_confirmations,
    require_same,
    summarise,
)
from outagekit.playbook.model import Gate, Manual, Retry, Rollout

NOW = datetime(2026, 11, 27, 2, 12, tzinfo=UTC)


def fleet(a, number, client="acme"):
    return [a.endpoint(f"{client}/pos-{n}") for n in range(number)]


def test_nothing_is_asked_of_a_plan_that_only_reads(a):
    assert confirmation(a.plan(a.step("look")), now=NOW) is None


def test_a_change_is_confirmed_with_y(a):
    plan = a.plan(a.step("fix", "change"), endpoints=fleet(a, 1))
    asked = confirmation(plan, now=NOW)
    assert asked is not None
    assert asked.text == (
        "This CHANGES up to 1 endpoint of acme (their time Fri 03:12 CET). First: acme/pos-0."
        " Stops there at: 1 failed, 1 unreachable or 1 unknown. Type y to start:"
    )
    assert asked.expected == "y"


def test_something_destructive_is_confirmed_with_the_number_of_endpoints(a):
    steps = [a.step("remove", "destructive"), a.step("wipe", "destructive", undo=a.script())]
    asked = confirmation(a.plan(*steps, endpoints=fleet(a, 212)), now=NOW)
    assert asked is not None
    assert asked.text == (
        "This CHANGES up to 212 endpoints of acme (their time Fri 03:12 CET)."
        " Destructive, no undo: remove. Destructive, with undo: wipe. First: acme/pos-0."
        " Stops there at: 1 failed, 1 unreachable or 1 unknown. Type 212 to start:"
    )
    assert asked.expected == "212"


def rolled(a, rollout, *steps, on=40):
    return build_plan(
        a.playbook(*steps or [a.step("fix", "change")], rollout=rollout),
        params={},
        endpoints=fleet(a, on),
        clients={"acme": a.everything("acme")},
    )


@pytest.mark.parametrize(
    ("rollout", "told"),
    [
        (Rollout(first="pos-7"), "First: acme/pos-7. Stops there at: 1 failed,"),
        (
            Rollout(waves=("3", "100%")),
            "First: acme/pos-0, acme/pos-1 and acme/pos-2. Stops there at: 1 failed,",
        ),
        (
            Rollout(waves=("100%",)),
            (
                "First: acme/pos-0 and 39 more. Stops there at: 3 failed, 9 unreachable, 1 unknown"
                " or 9 not answered. Type"
            ),
        ),
        (
            Rollout(gate=Gate("0", "100%", "100%", "100%")),
            "First: acme/pos-0. Nothing stops it there. Type",
        ),
    ],
)
def test_the_question_says_who_is_first_and_what_stops_it(a, rollout, told):
    asked = confirmation(rolled(a, rollout), now=NOW)
    assert told in asked.text


def test_a_change_that_is_only_done_by_a_person_once_has_no_first_endpoint(a):
    ring = a.step("ring", "change", action=Manual("Ring"), once="client", needs=())
    asked = confirmation(rolled(a, None, ring), now=NOW)
    assert "First" not in asked.text
    assert asked.expected == "y"


def test_undo_on_failure_is_named_in_the_question(a):
    steps = [a.step("fix", "change", undo=a.script()), a.step("wipe", "destructive")]
    plan = a.plan(*steps, mode=Mode(undo_on_failure=True))
    asked = confirmation(plan, now=NOW)
    assert "Taken back at once on an endpoint that fails: fix." in asked.text


def test_a_dry_run_asks_nothing(a):
    plan = a.plan(a.step("wipe", "destructive"), mode=Mode(dry_run=True))
    assert confirmation(plan, now=NOW) is None


def test_clients_with_the_same_clock_share_their_time(a):
    clients = [
        a.everything("acme"),
        a.everything("beta", timezone="Europe/Paris"),
        a.everything("zeta", timezone="Asia/Tokyo"),
    ]
    endpoints = [e for c in clients for e in fleet(a, 1, c.client)]
    asked = confirmation(
        a.plan(a.step("fix", "change"), endpoints=endpoints, clients=clients), now=NOW
    )
    assert asked is not None
    assert (
        "of acme and beta (their time Fri 03:12 CET); of zeta (their time Fri 11:12 JST)."
        in asked.text
    )


def test_no_time_is_claimed_that_is_not_known(a):
    assert local_time(a.client("adhoc"), now=NOW) is None
    assert local_time(a.client("acme", timezone="Mars/Base"), now=NOW) is None
    assert local_time(a.client("acme", timezone="../../etc"), now=NOW) is None
    assert local_time(a.client("acme", timezone="UTC"), now=NOW) == "Fri 02:12 UTC"


def test_an_override_by_a_stranger_asks_for_the_name_again(a):
    step = a.step("fix", "change")
    given = permissions(["remediate"], approved_by="Al Roth", because="vendor")
    acme = a.client("acme", "diagnose", approvers=("Jo Weber",))
    (asked,) = override_confirmations(a.plan(step, clients=[acme], overrides=given))
    assert asked.expected == "Al Roth"
    assert "Al Roth is no approver of acme for remediate" in asked.text
    acme = a.client("acme", "diagnose", approvers=("Al Roth",))
    assert override_confirmations(a.plan(step, clients=[acme], overrides=given)) == ()


def test_the_summary_says_what_a_person_wants_to_know(a):
    steps = [
        a.step("look", phase="assess"),
        a.step("call", action=Manual("Ring"), once="client", needs=(), phase="assess"),
        a.step("fix", "change", check=a.script(), verify=a.script(), retry=Retry(3)),
        a.step("wipe", "destructive", undo=a.script(), when="fix.changed"),
    ]
    endpoints = [*fleet(a, 3), *fleet(a, 2, "beta")]
    clients = [a.everything("acme"), a.client("beta")]
    told = summarise(a.plan(*steps, endpoints=endpoints, clients=clients))
    assert told.endpoints == {"acme": 3, "beta": 2}
    assert told.first == "acme/pos-0"
    assert [(r.id, r.phase, r.risk, r.endpoints) for r in told.steps] == [
        ("look", "assess", "read", 5),
        ("call", "assess", "read", 2),
        ("fix", "fix", "change", 5),
        ("wipe", "fix", "destructive", 5),
    ]
    assert [(r.check, r.verify, r.undo) for r in told.steps] == [
        (False, False, False),
        (False, False, False),
        (True, True, False),
        (False, False, True),
    ]
    assert told.steps[1].once == "client"
    assert told.steps[2].retry.attempts == 3
    assert told.no_undo == ("fix",)
    assert told.no_check == ("wipe",)
    assert told.survey == ("look",)
    assert (told.dry_run, told.undo_on_failure) == (False, False)
    assert told.rollout == Rollout()
    (stage,) = told.waves
    assert [wave.endpoints for wave in stage.waves] == [1, 1, 3]
    assert [(r.client, r.allow) for r in told.refusals] == [("beta", "remediate")]
    assert msgspec.json.decode(msgspec.json.encode(told))["title"] == "Restart the spooler"


def test_the_first_of_the_summary_is_who_is_changed_first(a):
    rollout = Rollout(first="pos-7", apart="pos-[12]")
    told = summarise(rolled(a, rollout))
    assert (told.first, told.leading) == ("acme/pos-7", ("acme/pos-7",))
    assert told.apart == ("acme/pos-1", "acme/pos-2")
    reading = summarise(rolled(a, rollout, a.step("look")))
    assert (reading.first, reading.waves, reading.rollout) == ("acme/pos-0", (), None)


def test_the_next_command_can_be_pasted(a):
    plan = a.plan()
    words = ["my book.yaml", "--limit", "os:linux and not tag:x", "-p", "a=it's $HOME"]
    command = next_command(words, plan)
    assert shlex.split(command) == ["outagekit", "run", *words, "--plan", plan.digest[:12]]
    assert next_command(["p"], plan, powershell=True).startswith("outagekit run p --plan ")
    assert "'a=it''s $HOME'" in next_command(words, plan, powershell=True)


def test_a_plan_is_known_by_the_beginning_of_its_digest(a):
    plan = a.plan()
    for length in (6, 12, 64):
        assert matches(plan, plan.digest[:length])
        require_same(plan, plan.digest[:length].upper())


def test_another_plan_is_refused(a):
    plan = a.plan()
    others = [
        a.plan(params={"x": 1}),
        a.plan(mode=Mode(dry_run=True)),
        a.plan(mode=Mode(undo_on_failure=True)),
    ]
    for other in others:
        told = f"this plan is {plan.digest[:12]}, not {other.digest[:12]}"
        with pytest.raises(Refused, match=told):
            require_same(plan, other.digest)


@pytest.mark.parametrize("prefix", ["", "7f3a9", "xyzxyz", "7f3a91 7f3a91", "0" * 65])
def test_a_prefix_that_is_none_is_a_usage_error(a, prefix):
    with pytest.raises(UsageError):
        matches(a.plan(), prefix)


def on_the_way(a):
    shop = Site(name="shop", jump="ops@198.51.100.1")
    one, two, three = (a.endpoint(f"acme/pos-{n}") for n in range(1, 4))
    plan = a.plan(a.step("fix", "change"), endpoints=[one, two, three])
    endpoints = (
        msgspec.structs.replace(one, site="shop", become="sudo"),
        msgspec.structs.replace(two, site="shop"),
        three,
    )
    clients = tuple(msgspec.structs.replace(c, sites={"shop": shop}) for c in plan.clients)
    return msgspec.structs.replace(plan, clients=clients, endpoints=endpoints)


def test_who_decides_is_told_of_root_and_of_jump_hosts(a):
    plan = on_the_way(a)
    assert summarise(plan).by_jump == {"ops@198.51.100.1": 2}
    asked = confirmation(plan, now=NOW)
    assert asked is not None
    assert (
        " As root by sudo on 1. Through 1 jump host: ops@198.51.100.1 (2). Type y to start:"
        in asked.text
    )


def test_who_decides_is_told_how_long_each_wave_is_watched(a):
    asked = confirmation(rolled(a, Rollout(bake_s=900)), now=NOW)
    assert asked is not None
    assert "After each wave it waits 15 min and verifies again." in asked.text
