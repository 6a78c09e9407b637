from __future__ import annotations

from collections import Counter

import pytest

from outagekit.errors import InvalidInput, UsageError
from outagekit.inventory.model import Endpoint
from outagekit.inventory.select import matches
from outagekit.inventory.selector import parse_targets
from outagekit.lab.population import places_for
from outagekit.playbook.model import Code, Fetch, Push, Rollout, RunScript, Script, WaitTcp


@pytest.fixture
def both(step):
    """Steps with a script for every system."""
    script = Script((Code("sh", "x"), Code("powershell", "x")))
    return (step("fix", action=RunScript(script)),)


def test_endpoints_are_spread_over_clients_and_sites(book):
    places = places_for(book(), 40)
    assert Counter(p.client for p in places) == {"acme": 14, "borealis": 13, "corvus": 13}
    assert set(Counter((p.client, p.site) for p in places).values()) <= {6, 7}
    assert len({(p.client, p.name) for p in places}) == 40
    assert {p.os for p in places} == {"linux"}


@pytest.mark.parametrize("number", [0, -1, 501])
def test_a_number_out_of_bounds_is_refused(book, number):
    with pytest.raises(UsageError, match="from 1 to 500"):
        places_for(book(), number)


@pytest.mark.parametrize(
    "targets",
    [
        "os:linux",
        "all",
        "tag:falcon and tag:pos-* and not tag:fragile",
        "os:linux and (site:leeds or tag:web) and not (tag:x or name:old-*)",
        "web-* and os:linux",
        "os:windows or os:linux",
        "not os:windows",
        "not os:linux",
        "os:windows",
        "os:windows and name:pc-* and tag:a",
        "os:macos",
        None,
    ],
)
def test_every_endpoint_matches_the_playbooks_targets(book, both, targets):
    selector = parse_targets(targets or "all")
    for p in places_for(book(targets=targets, steps=both), 12):
        endpoint = Endpoint(
            client=p.client, name=p.name, address="h", os=p.os, site=p.site, tags=p.tags
        )
        assert matches(selector, endpoint)


def test_a_tag_of_the_rollout_stands_on_each_clients_first(book):
    rollout = Rollout(first="tag:canary", apart="tag:domain-controller")
    places = places_for(book(targets="tag:pos", rollout=rollout), 9)
    tagged = [p.client for p in places if "canary" in p.tags]
    assert tagged == ["acme", "borealis", "corvus"]
    assert all("pos" in p.tags for p in places)


def test_half_of_a_playbook_for_both_systems_is_windows_everywhere(book, both):
    places = places_for(book(targets="all", steps=both), 40)
    found = Counter((p.client, p.site, p.os) for p in places)
    assert {(client, site) for client, site, _ in found} == {(p.client, p.site) for p in places}
    assert len(found) == 12, "each system at each site of each client"
    assert Counter(p.os for p in places) == {"linux": 20, "windows": 20}
    assert len({(p.client, p.name) for p in places}) == 40
    assert {p.name[:4] for p in places if p.os == "windows"} == {"win-"}


@pytest.mark.parametrize(
    ("action", "systems"),
    [
        (RunScript(Script((Code("powershell", "x"),))), {"windows"}),
        (RunScript(Script((Code("cmd", "x"),))), {"windows"}),
        (RunScript(Script((Code("sh", "x"),))), {"linux"}),
        (WaitTcp(3389), {"linux", "windows"}),
        (Push("a", "C:\\ProgramData\\a.txt", b""), {"windows"}),
        (Push("a", "/etc/a", b""), {"linux"}),
        (Fetch(("%windir%\\a.log", "c:/x"), 9), {"windows"}),
        (Fetch(("a.log",), 9), {"linux"}),
    ],
)
def test_the_systems_are_those_that_can_run_every_step(book, step, action, systems):
    places = places_for(book(targets="all", steps=(step("fix", action=action),)), 4)
    assert {p.os for p in places} == systems


def test_a_playbook_nobody_can_run_is_refused_with_its_line(book, step):
    only = RunScript(Script((Code("powershell", "x"),)))
    with pytest.raises(InvalidInput, match="step fix has nothing for linux") as caught:
        places_for(book(steps=(step("fix", action=only, line=7),), path="p.yaml"), 1)
    assert str(caught.value.problems[0]).startswith("p.yaml:7:1: ")
    with pytest.raises(InvalidInput, match="nothing for windows"):
        places_for(book(targets="os:windows"), 1)


def test_a_check_in_another_language_than_its_script_is_refused_too(book, step):
    check = Script((Code("powershell", "x"),))
    with pytest.raises(InvalidInput):
        places_for(book(steps=(step("fix", check=check),), targets="all"), 1)


def test_targets_nobody_can_be_made_up_for_are_refused(book):
    with pytest.raises(InvalidInput, match="no endpoint a drill could make up"):
        places_for(book(targets="os:linux and os:windows"), 1)
