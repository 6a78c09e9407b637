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


def problems(a, *steps, **fields):
    with pytest.raises(NotYet) as caught:
        refuse_not_yet(a.playbook(*steps, **fields))
    assert caught.value.exit_code == 8
    return caught.value.problems


@pytest.mark.parametrize("name", ["http", "vendor_status", "notify"])
def test_each_thing_that_is_not_executed_is_named_at_its_step(a, name):
    (problem,) = problems(a, a.step("look"), a.step("later", line=12, action=Later(name)))
    assert problem.message == f"step later: `{name}` is not executed yet"
    assert (problem.path, problem.line, problem.column) == (Path("playbooks/spooler.yaml"), 12, 1)


def test_everything_is_listed_at_once(a):
    step = a.step("later", line=3, action=Later("http"))
    found = problems(a, step, a.step("x", line=9, action=Later("notify")))
    assert [problem.line for problem in found] == [3, 9]


def test_what_is_executed_passes(a):
    steps = [
        a.step("one", undo=a.script(), account="login", when="True", always=True),
        a.step("all", account="root"),
        a.step("system", account="system", detach=True),
        a.step("port", action=WaitTcp(80)),
        a.step("web", action=WaitHttp(80)),
        a.step("get", action=Fetch(("/a",), 10)),
        a.step("put", action=Push("f", "/f", b"x"), on_doubt="probe"),
        a.step("again", action=Reboot(60), detach=True),
        a.step("ring", action=Manual("Ring"), once="client"),
        a.step("go", action=Approve("Go?"), once="run"),
    ]
    refuse_not_yet(a.playbook(*steps, rollout=Rollout(waves=("1", "100%"), waiting_room_s=60)))


def test_windows_and_its_detached_steps_are_planned(a):
    script = RunScript(a.script("sh", "powershell"))
    step = a.step("long", "change", action=script, detach=True)
    endpoints = [a.endpoint("acme/w1", os="windows", credential="admin"), a.endpoint("acme/l1")]
    plan = a.plan(step, endpoints=endpoints, clients=[a.windows()])
    assert [endpoint.id for endpoint in plan.endpoints] == ["acme/l1", "acme/w1"]


def test_a_plan_with_something_of_the_kind_is_not_built(a):
    with pytest.raises(NotYet, match="step later: `http` is not executed yet"):
        a.plan(a.step("later", action=Later("http")))
