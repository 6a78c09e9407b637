"""The plan that takes a run back: its changed steps undone, in reverse order. Pure.

Only what is known to have been changed is taken back. What is unknown is taken back where a
person says so, and what has no undo is named, so that nobody believes it is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec

from outagekit.errors import LogDamaged, NothingMatched
from outagekit.events import EndpointId, StepId
from outagekit.plan.allowed import Permission
from outagekit.plan.build import Mode, build_plan
from outagekit.plan.model import Plan
from outagekit.playbook.model import Playbook, Retry, Rollout, RunScript, Step
from outagekit.run.traces import Place, Traces, undo_ids
from outagekit.text import fold_list

UNDO: Final = "undo"
"""Name of the playbook that takes a run back."""


def undo_plan(
    traces: Traces,
    *,
    doubtful: Collection[StepId] = (),
    overrides: Sequence[Permission] = (),
    selection: str = "",
) -> Plan:
    """Return the plan that takes back what was changed, in reverse order, and only where it was.

    Of the steps in `doubtful` also what is unknown is taken back. Clients, agreements and the
    rollout are the run's own; each endpoint gets the values it had there. Raises `NothingMatched`
    if nothing can be taken back, besides what `build_plan` raises.
    """
    plan = traces.plan
    names = undo_ids(plan)
    places = _places(traces, frozenset(doubtful))
    if not places:
        raise _nothing(traces)
    handed = {
        names[step]: {endpoint: _handed(traces, (step, endpoint)) for endpoint in there}
        for step, there in places.items()
    }
    concerned = {endpoint for there in places.values() for endpoint in there}
    steps = {step.id: step for step in plan.steps}
    playbook = Playbook(
        name=UNDO,
        title=f"Undo: {plan.playbook.title}",
        kind=plan.playbook.kind,
        params=plan.playbook.params,
        rollout=_without_pounce(plan.playbook.rollout),
        steps=tuple(_undo_step(steps[step], names[step]) for step in places),
        refs=plan.playbook.refs,
        digest=plan.playbook.digest,
        origin="typed",
    )
    return build_plan(
        playbook,
        params=plan.params,
        endpoints=(each for each in plan.endpoints if each.id in concerned),
        clients={client.client: client for client in plan.clients},
        selection=selection or f"changed by {traces.run}",
        overrides=overrides,
        mode=Mode(undoes=traces.run, handed=handed),
    )


def _places(traces: Traces, doubtful: Collection[StepId]) -> dict[StepId, tuple[EndpointId, ...]]:
    known, unknown = traces.found("changed", undo=True), traces.found("unknown", undo=True)
    places: dict[StepId, tuple[EndpointId, ...]] = {}
    for step in traces.found("changed", "unknown", undo=True):
        there = {*known.get(step, ()), *(unknown.get(step, ()) if step in doubtful else ())}
        if there:
            places[step] = tuple(e.id for e in traces.plan.endpoints if e.id in there)
    return places


def _handed(traces: Traces, place: Place) -> dict[str, Any]:
    """Return what the step was handed there, and the name of the run it belonged to.

    A script that kept something under the run's name looks for it under the same name.
    """
    step = next(step for step in traces.plan.steps if step.id == place[0])
    values = traces.values.get(place)
    if values is None:
        raise LogDamaged(f"nothing says what {place[0]} was begun with on {place[1]}")
    return {name: values[name] for name in (*step.with_, "run")}


def _undo_step(step: Step, name: StepId) -> Step:
    """Return the step that takes a step back, proven by its check being false again."""
    if step.undo is None:
        message = f"{step.id} has no undo"
        raise NothingMatched(message)
    return msgspec.structs.replace(
        step,
        id=name,
        title=f"Take back: {step.title}",
        phase="fix",
        action=RunScript(step.undo),
        check=None,
        verify=step.check,
        undo=None,
        verify_wants=False,
        when=None,
        with_={},
        result={},
        retry=Retry(),
        always=False,
        detach=False,
        on_doubt=None,
    )


def _without_pounce(rollout: Rollout | None) -> Rollout | None:
    return msgspec.structs.replace(rollout, pounce=None) if rollout is not None else None


def _nothing(traces: Traces) -> NothingMatched:
    """Return the error that says why there is nothing to undo."""
    run = traces.run
    if traces.plan.undoes:
        hint = "what it took back is done again by running the playbook again"
        return NothingMatched(f"{run} is an undo itself: nothing undoes it", hint=hint)
    if traces.plan.dry_run:
        return NothingMatched(f"{run} was a dry run: it changed nothing, so nothing is undone")
    lasting = traces.found("changed", "unknown", undo=False)
    if lasting:
        names = fold_list(lasting)
        has = "has" if len(lasting) == 1 else "have"
        return NothingMatched(f"nothing of {run} can be taken back: {names} {has} no undo")
    if traces.found("unknown"):
        names = fold_list(traces.found("unknown"))
        message = f"nothing of {run} is known to be changed; unknown: {names}"
        return NothingMatched(message, hint="--unknown undo takes that back where it was done")
    if traces.found("taken_back"):
        return NothingMatched(f"everything {run} changed is taken back already")
    did, hint = "changed nothing, so there is nothing to undo", ""
    if failed := traces.found("failed"):
        did = f"finished no change, so there is nothing to undo; failed: {fold_list(failed)}"
        hint = "what failed half way may have left traces: see there"
    return NothingMatched(f"{run} {did}", hint=hint)
