"""Under which account steps run: what a plan refuses, and what it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from outagekit.errors import InvalidInput
from outagekit.inventory.model import Credential
from outagekit.plan.summary import summarise
from outagekit.playbook.model import Manual


def acme(a, **users):
    known = {name: Credential(name=name, user=user) for name, user in users.items()}
    return a.everything("acme", credentials=known)


def test_root_nobody_can_become_is_refused_once_for_each_step_with_all_endpoints(a):
    endpoints = [
        a.endpoint("acme/one", credential="ops"),
        a.endpoint("acme/two", credential="ops"),
        a.endpoint("acme/able", credential="ops", become="sudo"),
        a.endpoint("acme/root", credential="root"),
        a.endpoint("acme/agent"),
    ]
    steps = [
        a.step("first", account="root", line=7),
        a.step("mine", account="login", line=9),
        a.step("usual", line=11),
        a.step("second", account="root", line=13),
    ]
    with pytest.raises(InvalidInput) as caught:
        a.plan(*steps, endpoints=endpoints, clients=[acme(a, ops="ops", root="root")])
    assert [(p.path, p.line) for p in caught.value.problems] == [
        (Path("playbooks/spooler.yaml"), 7),
        (Path("playbooks/spooler.yaml"), 13),
    ]
    first, second = caught.value.problems
    assert first.message == (
        "step first: `as: root` cannot be had on 2 endpoints: acme/one and acme/two"
    )
    assert "add `become: sudo` to the endpoint" in second.hint


@pytest.mark.parametrize(
    "fields", [{"become": "sudo", "credential": "ops"}, {"credential": "root"}, {}]
)
def test_root_that_can_be_had_or_may_be_is_planned(a, fields):
    endpoints = [a.endpoint("acme/one", **fields)]
    clients = [acme(a, ops="ops", root="root")]
    assert a.plan(a.step("fix", account="root"), endpoints=endpoints, clients=clients)


def test_the_account_of_a_step_is_its_own_else_that_of_the_endpoint(a):
    sudo, plain = a.endpoint("acme/one", become="sudo"), a.endpoint("acme/two")
    plan = a.plan(endpoints=[sudo, plain])
    expected = {None: ("root", "login"), "root": ("root", "root"), "login": ("login", "login")}
    for account, accounts in expected.items():
        step = a.step("fix", account=account)
        assert (plan.account_of(step, sudo), plan.account_of(step, plain)) == accounts


@pytest.mark.parametrize(
    ("fields", "number"),
    [
        ({"risk": "change"}, 2),
        ({"risk": "change", "account": "root"}, 2),
        ({"risk": "change", "account": "login"}, 0),
        ({"risk": "read"}, 0),
        ({"risk": "change", "action": Manual("Ring"), "once": "run"}, 0),
    ],
)
def test_a_plan_tells_on_how_many_endpoints_a_change_becomes_root(a, fields, number):
    endpoints = [
        a.endpoint("acme/one", become="sudo"),
        a.endpoint("acme/two", become="sudo"),
        a.endpoint("acme/three"),
    ]
    assert summarise(a.plan(a.step("fix", **fields), endpoints=endpoints)).by_sudo == number
