"""Which rung of the repair ladder who never answered stands on."""

from __future__ import annotations

import pytest

from outagekit.errors import UsageError
from outagekit.plan.build import build_plan
from outagekit.plan.hands_on import next_rung
from outagekit.plan.store import freeze, thaw
from outagekit.playbook.model import HandsOn

RUNGS = (
    HandsOn(rung="R2", do="Restart it", seen=True, for_="os:linux"),
    HandsOn(rung="R6", do="Attach its disk", for_="tag:vm"),
    HandsOn(rung="R3", do="By hand", seen=False),
)


@pytest.mark.parametrize(
    ("fields", "seen", "rung"),
    [
        ({}, True, "R2"),
        ({"tags": ("vm",)}, True, "R2"),
        ({"tags": ("vm",)}, False, "R6"),
        ({}, False, "R3"),
        ({"os": "macos"}, True, None),
    ],
)
def test_the_first_rung_that_fits_counts(a, fields, seen, rung):
    found = next_rung(a.playbook(hands_on=RUNGS), a.endpoint("acme/x", **fields), seen=seen)
    assert (found.rung if found else None) == rung


def test_a_playbook_without_a_ladder_says_nothing(a):
    assert next_rung(a.playbook(), a.endpoint("acme/x"), seen=False) is None


def test_a_plan_keeps_the_ladder_and_refuses_a_selector_that_is_none(a):
    def plan(*rungs):
        return build_plan(
            a.playbook(hands_on=rungs),
            params={},
            endpoints=[a.endpoint("acme/x")],
            clients={"acme": a.everything("acme")},
        )

    assert thaw(freeze(plan(*RUNGS))).playbook.hands_on == RUNGS
    assert plan(*RUNGS).digest != plan().digest
    with pytest.raises(UsageError):
        plan(HandsOn(rung="R1", do="x", for_="tag:a tag:b"))
