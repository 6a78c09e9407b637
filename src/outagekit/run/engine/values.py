"""What expressions and scripts get to see on an endpoint: parameters, earlier ends, facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from outagekit.events import EndState, StepId
from outagekit.playbook.expressions import ExpressionProblem, NoValue, evaluate, render
from outagekit.playbook.model import RESERVED_NAMES, Step
from outagekit.run.engine.state import Progress, State, StepEnd

_OFFERED = (
    EndState.CHANGED,
    EndState.OK,
    EndState.FAILED,
    EndState.SKIPPED,
    EndState.UNKNOWN,
)


def namespace(state: State, progress: Progress) -> dict[str, Any]:
    """Return what expressions may refer to on this endpoint."""
    endpoint = progress.endpoint
    names = _common(state, endpoint.client)
    names["endpoint"] = endpoint.name
    for step, end in progress.ends.items():
        names[step] = _fields(end)
    return names


def client_namespace(state: State, client: str) -> dict[str, Any]:
    """Return what expressions of a step that happens once may refer to; `client` may be empty."""
    return _common(state, client)


def _common(state: State, client: str) -> dict[str, Any]:
    names: dict[str, Any] = {**state.plan.params, "run": state.run}
    if client:
        names["client"] = client
    for (step, scope), end in state.once.items():
        if scope in {"", client}:
            names[step] = _fields(end)
    return names


def _fields(end: StepEnd) -> dict[str, Any]:
    foreseen = {"changed": True} if end.would_change else {}
    return {
        **{state.value: end.state is state for state in _OFFERED},
        **foreseen,
        "state": end.state.value,
        **(end.result or {}),
    }


def step_values(state: State, progress: Progress, step: Step) -> dict[str, Any]:
    """Return the values the step's scripts get: parameters, `with` values, and facts.

    Raises `NoValue` if a `with` expression refers to something that does not exist here, and
    `ExpressionProblem` if it fails on what does.
    """
    names = namespace(state, progress)
    handed = (state.plan.handed or {}).get(step.id)
    if handed is not None:
        own = handed[progress.endpoint.id]
    else:
        own = {
            name: evaluate(value, names) if isinstance(value, str) else value
            for name, value in step.with_.items()
        }
    facts = {name: names[name] for name in sorted(RESERVED_NAMES)}
    # An undo is handed facts of the run it takes back: they go before this run's own.
    return {**state.plan.params, **facts, **own}


def is_handed(state: State, progress: Progress, step: Step) -> bool:
    """Return whether a step of an undo is for this endpoint; every other step is for all."""
    handed = (state.plan.handed or {}).get(step.id)
    return handed is None or progress.endpoint.id in handed


def applies(state: State, progress: Progress, step: Step) -> bool:
    """Return what `when` says. Raises `NoValue` and `ExpressionProblem`."""
    return step.when is None or bool(evaluate(step.when, namespace(state, progress)))


def needs_change(state: State, progress: Progress, steps: tuple[StepId, ...]) -> bool:
    """Return whether a changing step of a stage may still be done on an endpoint.

    A `when` rules it out if it is false already, or if it asks for what does not exist and will
    not: only a step of the same stage that may still be done can make it true.
    """
    foreseen = replace(progress, ends=dict(progress.ends))
    for step in (state.index.step[name] for name in steps):
        if not state.takes(progress, step):
            continue
        if _ruled_out(state, foreseen, step, steps):
            foreseen.ends[step.id] = StepEnd(EndState.SKIPPED)
        elif step.changes:
            return True
    return False


def _ruled_out(state: State, progress: Progress, step: Step, steps: tuple[StepId, ...]) -> bool:
    if not is_handed(state, progress, step):
        return True
    try:
        return not applies(state, progress, step)
    except NoValue as missing:
        name = StepId(missing.name.partition(".")[0])
        return name not in steps or name in progress.ends
    except ExpressionProblem:
        return False


def text_for_people(text: str, names: Mapping[str, Any]) -> str:
    """Return a text with its expressions filled in; one that cannot be is shown as written."""
    try:
        return render(text, names)
    except (NoValue, ExpressionProblem):
        return text
