"""What a plan refuses and tells of Windows endpoints."""

from __future__ import annotations

import msgspec
import pytest

from outagekit.credentials import SecretRef
from outagekit.errors import InvalidInput
from outagekit.inventory.model import Credential, Winrm
from outagekit.plan.store import freeze, thaw
from outagekit.plan.summary import summarise
from outagekit.playbook.model import RunScript

KEY = Credential(name="key", user="ops", key="~/.ssh/acme")
AGENT = Credential(name="agent", user="ops", agent=True)
PLAIN = Credential(name="plain", user="ops", password=SecretRef("prompt"), auth="basic")
TICKET = Credential(name="ticket", user="ops@ACME.EXAMPLE", auth="kerberos")
CARD = Credential(name="card", user="ops", key="~/k", certificate="~/c", auth="certificate")
ALL = {each.name: each for each in (KEY, AGENT, PLAIN, TICKET, CARD)}


def planned(a, *endpoints, winrm=None, **fields):
    step = a.step("look", action=RunScript(a.script("sh", "powershell")), **fields)
    client = a.windows(more=ALL, winrm=winrm or Winrm())
    return a.plan(step, endpoints=endpoints, clients=[client])


def endpoint(a, name, credential="admin", **fields):
    return a.endpoint(f"acme/{name}", os="windows", credential=credential, **fields)


def test_who_cannot_be_logged_in_to_is_refused_with_all_endpoints_and_a_hint(a):
    endpoints = [
        endpoint(a, "w1", "key"),
        endpoint(a, "w2", "key"),
        endpoint(a, "w3", "agent"),
        endpoint(a, "w4", None),
        endpoint(a, "w5"),
        a.endpoint("acme/l1", credential="key"),
    ]
    with pytest.raises(InvalidInput) as caught:
        planned(a, *endpoints)
    assert caught.value.exit_code == 8
    assert [(problem.message, problem.hint[:26]) for problem in caught.value.problems] == [
        (
            (
                "credential `key` cannot log in to windows: keys are for SSH"
                " (2 endpoints: acme/w1 and acme/w2)"
            ),
            "add password: keyring:NAME",
        ),
        (
            "credential `agent` cannot log in to windows: keys are for SSH (1 endpoint: acme/w3)",
            "add password: keyring:NAME",
        ),
        (
            "no credential says how to log in to windows (1 endpoint: acme/w4)",
            "add one with a password to",
        ),
    ]


@pytest.mark.parametrize("fields", [{"scheme": "http"}, {"port": 5985}])
@pytest.mark.parametrize("credential", ["plain", "card"])
def test_a_login_that_http_cannot_keep_is_refused(a, credential, fields):
    with pytest.raises(InvalidInput, match="over http"):
        planned(a, endpoint(a, "w1", credential, **fields))


@pytest.mark.parametrize("credential", ["admin", "plain", "ticket", "card"])
def test_a_login_that_can_be_used_is_planned(a, credential):
    assert planned(a, endpoint(a, "w1", credential))
    if credential in {"admin", "ticket"}:
        assert planned(a, endpoint(a, "w1", credential, scheme="http"))


def test_a_plan_tells_how_windows_is_spoken_to(a):
    endpoints = [
        endpoint(a, "w1"),
        endpoint(a, "w2", port=5985),
        endpoint(a, "w3", scheme="http"),
        endpoint(a, "w4", port=5985, scheme="https"),
        a.endpoint("acme/l1"),
    ]
    assert summarise(planned(a, *endpoints)).by_winrm == {
        "http, sealed by the login": 2,
        "https": 2,
    }
    winrm = Winrm(proxy="http://192.0.2.9:3128")
    found = summarise(planned(a, endpoint(a, "w1"), winrm=winrm)).by_winrm
    assert found == {"https, by the proxy http://192.0.2.9:3128": 1}
    assert summarise(planned(a, a.endpoint("acme/l1"))).by_winrm == {}


def test_where_authorities_lie_is_no_part_of_the_digest_but_their_name_is(a):
    digests = [
        planned(a, endpoint(a, "w1"), winrm=Winrm(ca=ca)).digest
        for ca in (
            "/home/jo/acme/ca.pem",
            "~/ca.pem",
            r"C:\\acme\\ca.pem",
            "/home/jo/other.pem",
            None,
        )
    ]
    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests)) == 3


def test_a_plan_with_windows_survives_storage_and_keeps_where_authorities_lie(a):
    plan = planned(a, endpoint(a, "w1"), winrm=Winrm(ca="/home/jo/ca.pem"))
    assert thaw(freeze(plan)) == plan
    assert plan.winrm_of(plan.endpoints[0]).ca == "/home/jo/ca.pem"


def test_a_plan_without_windows_says_nothing_of_the_way_to_it(a):
    assert planned(a, a.endpoint("acme/l1"), winrm=Winrm(ca="/ca.pem")) == planned(
        a, a.endpoint("acme/l1")
    )


def test_the_system_is_refused_where_there_is_none_at_its_step(a):
    endpoints = [endpoint(a, "w1"), a.endpoint("acme/l1"), a.endpoint("acme/m1", os="macos")]
    with pytest.raises(InvalidInput) as caught:
        planned(a, *endpoints, account="system", line=7)
    (problem,) = caught.value.problems
    assert problem.message == (
        "step look: `as: system` cannot be had on 2 endpoints: acme/l1 and acme/m1"
    )
    assert (problem.line, problem.column) == (7, 1)
    assert "--limit os:windows" in problem.hint
    assert planned(a, endpoint(a, "w1"), account="system")


def test_root_is_who_logs_in_where_it_is_windows(a):
    windows, linux = endpoint(a, "w1"), a.endpoint("acme/l1", become="sudo")
    plan = planned(a, windows, linux, account="root")
    (step,) = plan.steps
    assert (plan.account_of(step, windows), plan.account_of(step, linux)) == ("login", "root")
    system = msgspec.structs.replace(step, account="system")
    assert plan.account_of(system, windows) == "system"
