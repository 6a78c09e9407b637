"""From a decision to an order: what an executing side needs, taken from the plan. Pure."""

from __future__ import annotations

import msgspec

from outagekit.inventory.model import Endpoint
from outagekit.plan.model import Plan
from outagekit.playbook.model import AnyAction, Code, RunScript, Script, WaitScript
from outagekit.run.engine.commands import Start
from outagekit.run.orders import Order
from outagekit.transports.protocol import Target


def make_order(plan: Plan, endpoint: Endpoint, start: Start) -> Order:
    """Return the order for a step that begins on an endpoint of the plan.

    Of every script only the variant for the endpoint's system goes into the order; a plan holds
    one for each of its endpoints.
    """
    step = start.step

    def variant(script: Script | None) -> Code | None:
        return script.for_os(endpoint.os) if script else None

    action: AnyAction = step.action
    if isinstance(action, RunScript | WaitScript):
        chosen = variant(action.script)
        action = msgspec.structs.replace(action, script=Script((chosen,) if chosen else ()))
    return Order(
        attempt=start.attempt,
        target=target_of(plan, endpoint),
        purpose=start.purpose,
        step=step.id,
        action=action,
        check=variant(step.check),
        verify=variant(step.verify),
        verify_wants=step.verify_wants,
        undo=variant(step.undo),
        account=plan.account_of(step, endpoint),
        detach=start.detach,
        changes=step.changes,
        values=dict(start.values),
        result=step.result,
        success=step.success,
        timeout_s=step.timeout_s,
    )


def target_of(plan: Plan, endpoint: Endpoint) -> Target:
    """Return an endpoint of the plan with what is needed to reach it."""
    return Target(
        endpoint=endpoint,
        credential=plan.credential_of(endpoint),
        site=plan.site_of(endpoint),
        jump_credential=plan.jump_credential_of(endpoint),
        winrm=plan.winrm_of(endpoint),
    )
