from __future__ import annotations

from collections import Counter

import pytest

from outagekit.errors import NotYet, UsageError
from outagekit.inventory.model import Endpoint
from outagekit.inventory.select import matches
from outagekit.inventory.selector import parse_targets
from outagekit.lab.population import places_for
from outagekit.playbook.model import Code, Rollout, RunScript, Script


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
        "os:macos",
        None,
    ],
)
def test_every_endpoint_matches_the_playbooks_targets(book, targets):
    selector = parse_targets(targets or "all")
    for p in places_for(book(targets=targets), 12):
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


def test_a_playbook_for_windows_is_refused_with_its_line(book, step):
    only = RunScript(Script((Code("powershell", "x"),)))
    with pytest.raises(NotYet) as caught:
        places_for(book(steps=(step("fix", action=only, line=7),), path="p.yaml"), 1)
    assert str(caught.value.problems[0]).startswith("p.yaml:7:1: ")
    with pytest.raises(NotYet, match="targets"):
        places_for(book(targets="os:windows"), 1)


def test_a_check_only_for_windows_is_refused_too(book, step):
    check = Script((Code("powershell", "x"),))
    with pytest.raises(NotYet):
        places_for(book(steps=(step("fix", check=check),)), 1)
