"""What a rollout means for the chosen endpoints: who is first, who apart, what is looked at before.

Selectors are resolved here, once, so that a run follows from its plan alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from outagekit.events import EndpointId, StepId
from outagekit.inventory.model import Endpoint
from outagekit.inventory.select import matches, parse_targets
from outagekit.playbook.expressions import ExpressionProblem, parse_expression
from outagekit.playbook.model import (
    Account,
    Code,
    Playbook,
    RunScript,
    Script,
    Step,
    WaitHttp,
    WaitTcp,
)

SURVEY: Final = "survey"
SURVEY_TIMEOUT_S: Final = 30.0
_PROBE: Final = Script((Code("sh", "true"), Code("powershell", "$true")))


def endpoints_of(selector: str | None, endpoints: Sequence[Endpoint]) -> tuple[EndpointId, ...]:
    """Return who a rollout's selector matches; nobody if there is none, or nobody bears it.

    Raises `UsageError` for a selector that is none.
    """
    if selector is None:
        return ()
    wanted = parse_targets(selector)
    return tuple(each.id for each in endpoints if matches(wanted, each))


def with_survey(playbook: Playbook) -> tuple[Playbook, tuple[StepId, ...]]:
    """Return the playbook so that every endpoint is asked something before any is changed.

    Where nothing is read on every endpoint before the first change, a step that runs `true` is
    put before it; its id is returned as well, since it is a stage of its own.
    """
    begin = _first_changing_stage(playbook.steps)
    if begin is None or survey_of(playbook):
        return playbook, ()
    probe = _survey(playbook)
    steps = (*playbook.steps[:begin], probe, *playbook.steps[begin:])
    return msgspec.structs.replace(playbook, steps=steps), (probe.id,)


def survey_of(playbook: Playbook) -> tuple[StepId, ...]:
    """Return the steps that are asked of every endpoint before anything is changed."""
    begin = _first_changing_stage(playbook.steps)
    return tuple(step.id for step in playbook.steps[: begin or 0] if _asks_everybody(step))


def is_probe(step: Step) -> bool:
    """Return whether a step is the survey that was put into a playbook, not one of its own."""
    return step.action == RunScript(_PROBE) and not step.line


def pounce_chain(playbook: Playbook, wanted: StepId | None) -> tuple[StepId, ...]:
    """Return the step a boot-looping endpoint gets first, after the steps whose values it needs."""
    by_id = {step.id: step for step in playbook.steps}
    needed: set[StepId] = set()
    waiting = [wanted] if wanted in by_id else []
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [other for other in _named_in(by_id[name]) if other in by_id]
    return tuple(step.id for step in playbook.steps if step.id in needed and not step.once)


def _first_changing_stage(steps: Sequence[Step]) -> int | None:
    """Return the index of the first step of the first stage that changes endpoints, or None."""
    begin = 0
    for index, step in enumerate(steps):
        before = steps[index - 1] if index else None
        if before is None or before.once or step.once or before.phase != step.phase:
            begin = index
        if step.changes and not step.once:
            return begin
    return None


def _asks_everybody(step: Step) -> bool:
    # A port or a web page that is looked at from here says nothing of whether one can log in.
    seen_from_here = isinstance(step.action, WaitTcp | WaitHttp)
    return not (step.once or step.local or step.when is not None or seen_from_here)


def _account_of(playbook: Playbook) -> Account | None:
    """Return as whom the survey asks: who changes nothing as root need not become root for it."""
    changing = [step for step in playbook.steps if step.changes and not step.local]
    return "login" if all(step.account == "login" for step in changing) else None


def _survey(playbook: Playbook) -> Step:
    taken = {step.id for step in playbook.steps} | playbook.params.keys()
    name = SURVEY
    while name in taken:
        name += "_"
    return Step(
        id=StepId(name),
        title="See who answers",
        phase="assess",
        action=RunScript(_PROBE),
        risk="read",
        account=_account_of(playbook),
        needs=("diagnose",),
        timeout_s=SURVEY_TIMEOUT_S,
    )


def _named_in(step: Step) -> Iterable[StepId]:
    texts = [step.when, *step.with_.values()]
    for text in texts:
        if isinstance(text, str):
            try:
                names = parse_expression(text).names
            except ExpressionProblem:  # it fails where it is evaluated, with its reason
                continue
            yield from (StepId(name.partition(".")[0]) for name in names)
