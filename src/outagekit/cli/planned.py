"""A plan as people read it, or as one document."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.cli.render import Screen
    from outagekit.plan.model import Plan
    from outagekit.plan.summary import StepRow

_SHOWN_ENDPOINTS = 20


def show_plan(screen: Screen, plan: Plan, *, words: Sequence[str]) -> None:
    """Print the plan: clients, endpoints, steps, refusals, what has no undo, the command to run."""
    from outagekit.cli.render import json_text
    from outagekit.plan.allowed import flags
    from outagekit.plan.summary import SHORT, next_command, summarise
    from outagekit.text import count, fold_list

    if screen.json:
        screen.document(plan_document(plan))
        return
    summary = summarise(plan)
    clients = ", ".join(f"{client} {number}" for client, number in summary.endpoints.items())
    screen.print(f"{plan.playbook.title}  ({plan.playbook.name}, {plan.playbook.origin})")
    screen.print(f"{count(len(plan.endpoints), 'endpoint')}: {clients}")
    names = [endpoint.id for endpoint in plan.endpoints]
    screen.print(f"  {fold_list(names, _SHOWN_ENDPOINTS)}")
    for name, value in plan.params.items():
        screen.print(f"  {name} = {value if isinstance(value, str) else json_text(value)}")
    screen.print("")
    rows = [_row(row) for row in summary.steps]
    screen.table(("stage", "step", "risk", "needs", "at most", "check", "verify", "undo"), rows)
    screen.print("")
    if summary.no_undo:
        screen.print(f"no undo: {fold_list(summary.no_undo, 10)}")
    for refusal in plan.refusals:
        steps = fold_list(refusal.steps, 10)
        screen.print(f"REFUSED by the agreement of {refusal.client}: {refusal.allow} ({steps})")
    if plan.refusals:
        screen.print(f"  goes on only with {flags(plan.refusals)}")
    screen.print(f"plan {plan.digest[:SHORT]}")
    if not plan.refusals:
        screen.next([next_command(words, plan, powershell=os.name == "nt")])


def _row(row: StepRow) -> tuple[str, ...]:
    def mark(has: bool) -> str:
        return "yes" if has else "-"

    return (
        row.phase,
        row.id,
        row.risk,
        ", ".join(row.needs),
        str(row.endpoints),
        mark(row.check),
        mark(row.verify),
        mark(row.undo),
    )


def plan_document(plan: Plan) -> dict[str, object]:
    """Return the plan as `plan --json` prints it: stable for the same inputs."""
    import msgspec

    from outagekit.plan.summary import summarise

    document = msgspec.to_builtins(summarise(plan))
    document["endpoints"] = [endpoint.id for endpoint in plan.endpoints]
    document["stages"] = msgspec.to_builtins(plan.stages)
    document["refusals"] = msgspec.to_builtins(plan.refusals)
    document["overrides"] = msgspec.to_builtins(plan.overrides)
    document["params"] = plan.params
    return dict(document)
