from __future__ import annotations

from pathlib import Path

import pytest

from outagekit.errors import NotYet
from outagekit.plan.not_yet import refuse_not_yet
from outagekit.playbook.model import (
    Approve,
    Fetch,
    Later,
    Manual,
    Push,
    Reboot,
    Rollout,
    RunScript,
    WaitHttp,
    WaitTcp,
)


def problems(a, *steps, endpoints=(), **fields):
    with pytest.raises(NotYet) as caught:
        refuse_not_yet(a.playbook(*steps, **fields), endpoints)
    assert caught.value.exit_code == 8
    return caught.value.problems


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"action": Later("http")}, "http"),
        ({"action": Later("vendor_status")}, "vendor_status"),
        ({"action": Later("notify")}, "notify"),
        ({"account": "system"}, "as: system"),
    ],
)
def test_each_thing_that_is_not_executed_is_named_at_its_step(a, fields, named):
    (problem,) = problems(a, a.step("look"), a.step("later", line=12, **fields))
    assert problem.message == f"step later: `{named}` is not executed yet"
    assert (problem.path, problem.line, problem.column) == (Path("playbooks/spooler.yaml"), 12, 1)


def test_everything_is_listed_at_once(a):
    step = a.step("later", line=3, action=Later("http"), account="system")
    found = problems(a, step, a.step("x", line=9, account="system"))
    assert [problem.line for problem in found] == [3, 3, 9]


def test_what_is_executed_passes(a):
    steps = [
        a.step("one", undo=a.script(), account="login", when="True", always=True),
        a.step("all", account="root"),
        a.step("port", action=WaitTcp(80)),
        a.step("web", action=WaitHttp(80)),
        a.step("get", action=Fetch(("/a",), 10)),
        a.step("put", action=Push("f", "/f", b"x"), on_doubt="probe"),
        a.step("again", action=Reboot(60), detach=True),
        a.step("ring", action=Manual("Ring"), once="client"),
        a.step("go", action=Approve("Go?"), once="run"),
    ]
    endpoints = [
        a.endpoint("acme/x", site="berlin"),
        a.endpoint("acme/y", os="macos"),
        a.endpoint("acme/z", become="sudo"),
    ]
    book = a.playbook(*steps, rollout=Rollout(waves=("1", "100%"), waiting_room_s=60))
    refuse_not_yet(book, endpoints)


def test_a_detached_step_is_refused_where_an_endpoint_runs_windows(a):
    script = a.script("sh", "powershell")
    step = a.step("long", "change", action=RunScript(script), detach=True)
    assert a.plan(step)
    with pytest.raises(NotYet, match="WinRM"):
        a.plan(step, endpoints=[a.endpoint("acme/w1", os="windows")])


def test_endpoints_are_named_with_how_to_leave_them_out(a):
    endpoints = [
        a.endpoint("acme/w1", os="windows"),
        a.endpoint("acme/w2", os="windows", site="berlin"),
        a.endpoint("acme/s1", become="sudo"),
    ]
    (windows,) = problems(a, endpoints=endpoints)
    assert windows.message.endswith("of 2 endpoints is not executed yet: acme/w1 and acme/w2")
    assert windows.hint == "leave them out with --limit 'not os:windows'"


def test_a_plan_with_something_of_the_kind_is_not_built(a):
    with pytest.raises(NotYet, match="step later: `as: system` is not executed yet"):
        a.plan(a.step("later", account="system"))
    with pytest.raises(NotYet, match="WinRM"):
        a.plan(endpoints=[a.endpoint("acme/w1", os="windows")])
