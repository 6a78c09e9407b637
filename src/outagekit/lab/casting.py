"""Who plays what in a drill: each endpoint's machine, its fault, and how it is to be judged.

Pure: nothing here opens a socket or reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from outagekit.errors import InvalidInput, OutagekitError, UsageError
from outagekit.events import EndpointId, FailureKind, OperatingSystem
from outagekit.lab.chance import unit
from outagekit.lab.faults import Fault, draw_faults
from outagekit.lab.machine import Machine, Pace, cure_of
from outagekit.lab.score import Case
from outagekit.lab.truth import Truth, truth_of
from outagekit.playbook.model import Param, Playbook, RunScript, ValueType

DEFAULT_SHARES: Final[Mapping[Fault, float]] = {
    "unreachable": 0.05,
    "hang": 0.02,
    "slow": 0.05,
    "reset": 0.02,
    "auth": 0.02,
    "lie": 0.02,
}
"""What a drill has unless it is told otherwise; without `lie` where a lie could not show."""
RESTLESS_SHARES: Final[Mapping[Fault, float]] = {"flap": 0.02, "bootloop": 0.01}
"""What it has besides where the playbook waits for those that went away."""

_LATE_SHARE: Final = 0.5
_SAMPLES: Final[Mapping[ValueType, Any]] = {
    "text": "drill",
    "bool": False,
    "int": 1,
    "number": 1,
    "datetime": "2026-01-01T00:00:00Z",
    "list": [],
}


@dataclass(frozen=True, slots=True)
class Cast:
    """The machines of a fleet with what is wrong with them, and what each deserves."""

    machines: Mapping[EndpointId, Machine]
    cases: Mapping[EndpointId, Case]


@dataclass(frozen=True, slots=True)
class _Casting:
    playbook: Playbook
    systems: Mapping[EndpointId, OperatingSystem]
    seed: int
    params: Mapping[str, Any]
    pace: Pace

    def machine(self, endpoint: EndpointId) -> Machine:
        system = self.systems[endpoint]
        return Machine(endpoint, self.playbook, system=system, seed=self.seed, pace=self.pace)

    def truth(self, endpoint: EndpointId, *, lies: bool = False) -> Truth:
        twin = self.machine(endpoint)
        twin.fault = "lie" if lies else None
        return truth_of(self.playbook, twin, self.params)

    def can_lie(self, endpoint: EndpointId) -> bool:
        return self.truth(endpoint, lies=True).failure is FailureKind.VERIFY


def cast(
    playbook: Playbook,
    systems: Mapping[EndpointId, OperatingSystem],
    *,
    seed: int,
    faults: Mapping[Fault, float] | None,
    params: Mapping[str, Any],
    pace: Pace,
) -> Cast:
    """Return machine and case of every endpoint, each with its system.

    `faults` are shares from 0 to 1; None: `default_shares`. A `hang` or `reset` strikes at the
    first command, or, for about half of the machines that call for a change, right after the
    changing action was done. Only a machine that calls for what would end its boot loop has one.
    Raises `UsageError` for `lie` with a playbook that has no lie to find, or `bootloop` with one
    that changes nothing, and `InvalidInput` for a drill block that cannot be evaluated.
    """
    names = tuple(systems)
    casting = _Casting(playbook, systems, seed, params, pace)
    try:
        truths = {name: casting.truth(name) for name in names}
        liars = [name for name in names if truths[name].needs and casting.can_lie(name)]
        cure = cure_of(playbook)
        loopers = [name for name in names if cure in truths[name].needs]
    except OutagekitError as error:
        message = f"the drill block of {playbook.name} cannot be rehearsed: {error.message}"
        raise InvalidInput(message, hint=error.hint) from error
    _refuse_what_would_not_show(playbook, faults or {})
    shares = default_shares(playbook) if faults is None else faults
    able: Mapping[Fault, list[EndpointId]] = {"lie": liars, "bootloop": loopers}
    drawn = draw_faults(shares, names, seed=seed, able=able)
    machines = {name: casting.machine(name) for name in names}
    scripted = {step.id for step in playbook.steps if isinstance(step.action, RunScript)}
    for name, fault in drawn.items():
        machines[name].fault = fault
        late = unit(seed, "late", name) < _LATE_SHARE
        machines[name].strikes_late = late and not scripted.isdisjoint(truths[name].needs)
    return Cast(machines, {name: Case(drawn.get(name), truths[name]) for name in names})


def default_shares(playbook: Playbook) -> Mapping[Fault, float]:
    """Return what a drill of the playbook has unless it is told otherwise."""
    waits = playbook.rollout is not None and playbook.rollout.waiting_room_s > 0
    return {**DEFAULT_SHARES, **RESTLESS_SHARES} if waits else DEFAULT_SHARES


def _refuse_what_would_not_show(playbook: Playbook, faults: Mapping[Fault, float]) -> None:
    if "lie" in faults and not _has_lie(playbook):
        message = f"no lie would show in {playbook.name}: no changing step has a verify"
        raise UsageError(message, hint="leave out lie, or give the step a verify and a drill `set`")
    if "bootloop" in faults and cure_of(playbook) is None:
        message = f"nothing would end a boot loop in {playbook.name}: no step changes anything"
        raise UsageError(message, hint="leave out bootloop")


def _has_lie(playbook: Playbook) -> bool:
    answers = playbook.drill.steps if playbook.drill else {}
    return any(
        step.changes and step.verify is not None and step.id in answers and answers[step.id].set
        for step in playbook.steps
    )


def sample_params(playbook: Playbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every parameter: what was given, else its default, else a made-up one.

    A required parameter is made up from the fact of the same name in the drill's `state`, from its
    first choice, or from its type. A rehearsal must not need real values.
    """
    facts = playbook.drill.state if playbook.drill else {}
    return {
        name: given[name] if name in given else _sample(param, facts.get(name))
        for name, param in playbook.params.items()
    }


def _sample(param: Param, fact: Any) -> Any:
    if not param.required:
        return param.default
    if fact is not None:
        return fact
    return param.choices[0] if param.choices else _SAMPLES[param.type]
