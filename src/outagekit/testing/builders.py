"""Plans in a few words, for tests of the engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from outagekit.events import StepId
from outagekit.inventory.model import Agreement, Client, Credential, Endpoint, Site
from outagekit.plan.build import Mode, build_plan, stages_of
from outagekit.plan.model import Plan
from outagekit.plan.store import digest_of
from outagekit.playbook.model import (
    Code,
    Gate,
    Phase,
    Playbook,
    Rollout,
    RunScript,
    Script,
    Step,
)

ALL_AT_ONCE: Final = Rollout(waves=("100%",), gate=Gate("0", "100%", "100%", "100%"))
"""One wave and a gate that never closes: for tests of what happens on an endpoint."""


def script(text: str) -> Script:
    """Return a script for sh."""
    return Script((Code("sh", text),))


def step(name: str, *, phase: Phase = "fix", **fields: Any) -> Step:
    """Return a changing step whose script is its name; `check` and `verify` may be text."""
    for part in ("check", "verify", "undo"):
        if isinstance(fields.get(part), str):
            fields[part] = script(fields[part])
    given: dict[str, Any] = {
        "title": name,
        "phase": phase,
        "action": RunScript(script(f"run {name}")),
        "risk": "change",
        "needs": (),
        **fields,
    }
    return Step(id=StepId(name), **given)


def read(name: str, *, phase: Phase = "assess", **fields: Any) -> Step:
    """Return a step that only reads."""
    return step(name, phase=phase, **{"risk": "read", **fields})


def endpoints(number: int, *, client: str = "acme", site: str | None = None) -> list[Endpoint]:
    """Return Linux endpoints `pos-01`, `pos-02`, ... on loopback addresses."""
    return [
        Endpoint(
            client=client,
            name=f"pos-{i:02d}",
            address=f"127.0.{i // 250}.{i % 250 + 1}",
            os="linux",
            credential="ops",
            site=site,
        )
        for i in range(1, number + 1)
    ]


def plan_of(
    steps: Iterable[Step],
    *,
    on: int | list[Endpoint] = 3,
    sites: Iterable[Site] = (),
    rollout: Rollout | None = None,
    survey: bool = False,
    dry_run: bool = False,
    undo_on_failure: bool = False,
) -> Plan:
    """Return a plan of these steps over that many endpoints, or over these.

    Unless said otherwise everybody is in one wave, no gate ever closes, and nothing is asked
    before the first change: only the steps given are executed.
    """
    chosen = endpoints(on) if isinstance(on, int) else on
    clients = {
        name: Client(
            client=name,
            name=name.title(),
            agreement=Agreement(id="MSA-1", allows=("diagnose", "collect", "remediate", "reboot")),
            credentials={"ops": Credential(name="ops", user="ops", agent=True)},
            sites={site.name: site for site in sites},
        )
        for name in {endpoint.client for endpoint in chosen}
    }
    playbook = Playbook(
        name="test",
        title="Test",
        steps=tuple(steps),
        rollout=rollout or ALL_AT_ONCE,
        digest="0" * 64,
    )
    mode = Mode(dry_run=dry_run, undo_on_failure=undo_on_failure)
    plan = build_plan(
        playbook, params={}, endpoints=chosen, clients=clients, selection="all", mode=mode
    )
    return plan if survey else _without_survey(plan, playbook)


def _without_survey(plan: Plan, playbook: Playbook) -> Plan:
    stages = stages_of(playbook.steps)
    bare = msgspec.structs.replace(plan, playbook=playbook, stages=stages)
    return msgspec.structs.replace(bare, digest=digest_of(bare))
