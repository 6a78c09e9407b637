from __future__ import annotations

import shlex
from datetime import UTC, datetime

import msgspec
import pytest

from outagekit.errors import Refused, UsageError
from outagekit.plan.allowed import permissions
from outagekit.plan.summary import (
    confirmation,
    local_time,
    matches,
    next_command,
    override_confirmations,
    require_same,
    summarise,
)
from outagekit.playbook.model import Retry

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
        "This CHANGES up to 1 endpoint of acme (their time Fri 03:12 CET). Type y to start:"
    )
    assert asked.expected == "y"


def test_something_destructive_is_confirmed_with_the_number_of_endpoints(a):
    steps = [a.step("remove", "destructive"), a.step("wipe", "destructive", undo=a.script())]
    asked = confirmation(a.plan(*steps, endpoints=fleet(a, 212)), now=NOW)
    assert asked is not None
    assert asked.text == (
        "This CHANGES up to 212 endpoints of acme (their time Fri 03:12 CET)."
        " Destructive, no undo: remove. Destructive, with undo: wipe. Type 212 to start:"
    )
    assert asked.expected == "212"


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
        ("fix", "fix", "change", 5),
        ("wipe", "fix", "destructive", 5),
    ]
    assert [(r.check, r.verify, r.undo) for r in told.steps] == [
        (False, False, False),
        (True, True, False),
        (False, False, True),
    ]
    assert told.steps[1].retry.attempts == 3
    assert told.no_undo == ("fix",)
    assert [(r.client, r.allow) for r in told.refusals] == [("beta", "remediate")]
    assert msgspec.json.decode(msgspec.json.encode(told))["title"] == "Restart the spooler"


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
    plan, other = a.plan(), a.plan(params={"x": 1})
    with pytest.raises(Refused, match=f"this plan is {plan.digest[:12]}, not {other.digest[:12]}"):
        require_same(plan, other.digest)


@pytest.mark.parametrize("prefix", ["", "7f3a9", "xyzxyz", "7f3a91 7f3a91", "0" * 65])
def test_a_prefix_that_is_none_is_a_usage_error(a, prefix):
    with pytest.raises(UsageError):
        matches(a.plan(), prefix)
