"""The score of a drill: how many were judged as they deserved, and who was changed wrongly.

Pure, and independent of the engine: it compares the end states a run came to with the simulated
machines themselves, with what they were told to do, and with what ought to have happened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from outagekit.events import EndpointId, EndState, FailureKind, StepId
from outagekit.lab.answers import Received
from outagekit.lab.faults import FAULTS, RIGHT, Fault, Right
from outagekit.lab.machine import Machine
from outagekit.lab.truth import Truth


@dataclass(frozen=True, slots=True)
class Judged:
    """The end state a run gave to an endpoint, why if it is a bad one, and that of its steps."""

    state: EndState
    failure: FailureKind | None = None
    steps: Mapping[StepId, EndState] = field(default_factory=dict)


_UNDISTURBED = frozenset({EndState.OK, EndState.SKIPPED})
_FIXED = frozenset({EndState.CHANGED, EndState.OK})
_LOOKS = frozenset({"check", "verify"})


@dataclass(frozen=True, slots=True)
class Case:
    """One endpoint of a drill: what is wrong with it, and what its machine calls for."""

    fault: Fault | None
    truth: Truth


@dataclass(frozen=True, slots=True)
class Misjudged:
    """An endpoint whose end state is not the right one, or whose state does not bear it out."""

    endpoint: EndpointId
    fault: Fault | None
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many endpoints with one fault (None: healthy ones) were judged rightly."""

    fault: Fault | None
    total: int
    right: int
    fixed: int = 0
    """How many of the right ones are as wanted now: those that were caught, of restless ones."""


@dataclass(frozen=True, slots=True)
class Score:
    """What a drill proved."""

    total: int
    right: int
    wrong_targets: tuple[EndpointId, ...]
    """Machines on which a change was executed that they did not call for, or not chosen at all."""
    repeated: tuple[EndpointId, ...]
    """Machines on which a change that may have succeeded was executed again, although nobody had
    looked and found that it was not so."""
    misjudged: tuple[Misjudged, ...]
    tallies: tuple[Tally, ...]
    """Healthy ones first, then by fault; only what the drill had."""
    unfinished: tuple[EndpointId, ...] = ()
    """Those the run has not come to the end with, because it stopped; they are not judged."""

    @property
    def passed(self) -> bool:
        """Whether nothing at all was wrong."""
        return not (self.wrong_targets or self.repeated or self.misjudged)


def score(
    cases: Mapping[EndpointId, Case],
    judged: Mapping[EndpointId, Judged],
    machines: Mapping[EndpointId, Machine],
    *,
    unfinished: Collection[EndpointId] = (),
) -> Score:
    """Return the score of a run over the endpoints of `cases`, the ones that were chosen.

    Those in `unfinished` are not judged. Any other endpoint without a judgement is misjudged.
    `machines` may hold more than was chosen: a change on one of those is a wrong target. Whom a
    change was made on wrongly, or twice, is told of all of them, also of the unfinished.
    """
    ended = {endpoint: case for endpoint, case in cases.items() if endpoint not in unfinished}
    misjudged = tuple(
        Misjudged(endpoint, case.fault, _wanted(case), fault)
        for endpoint, case in ended.items()
        if (fault := _fault_in(case, judged.get(endpoint), machines[endpoint]))
    )
    wrong = {entry.endpoint for entry in misjudged}
    fixed = {e for e in ended.keys() & judged.keys() - wrong if judged[e].state in _FIXED}
    return Score(
        total=len(ended),
        right=len(ended) - len(wrong),
        wrong_targets=tuple(e for e, m in machines.items() if _is_wrong_target(m, cases.get(e))),
        repeated=tuple(e for e, m in machines.items() if _is_repeated(m)),
        misjudged=misjudged,
        tallies=_tallies(ended, wrong, fixed),
        unfinished=tuple(endpoint for endpoint in cases if endpoint in unfinished),
    )


def _tallies(
    cases: Mapping[EndpointId, Case],
    wrong: Collection[EndpointId],
    fixed: Collection[EndpointId],
) -> tuple[Tally, ...]:
    tallies = []
    for fault in (None, *FAULTS):
        those = {endpoint for endpoint, case in cases.items() if case.fault == fault}
        if those:
            right = len(those.difference(wrong))
            tallies.append(Tally(fault, len(those), right, len(those.intersection(fixed))))
    return tuple(tallies)


def _wanted(case: Case) -> str:
    right = RIGHT[case.fault] if case.fault else None
    if right and right.state:
        return f"{right.state.value} ({', '.join(sorted(right.kinds))})"
    truth = case.truth
    healthy = "ok or skipped" if truth.state is EndState.OK else _said(truth.state, truth.failure)
    also = sorted(state.value for state in right.also) if right else []
    return " or ".join((healthy, *also))


def _said(state: EndState, kind: FailureKind | None) -> str:
    return f"{state.value} ({kind.value})" if kind else state.value


def _fault_in(case: Case, judged: Judged | None, machine: Machine) -> str:
    """Return what was found instead of the right judgement, or an empty text."""
    if judged is None:
        return "no judgement"
    said = _said(judged.state, judged.failure)
    right = RIGHT[case.fault] if case.fault else None
    if right and right.state:
        state = right.state
        if state is EndState.UNKNOWN and not machine.received:
            # No command of a step reached the machine, so nothing is unknown about it.
            state = EndState.UNREACHABLE
        kinds = right.kinds | (right.outlived if machine.system == "windows" else frozenset())
        return "" if judged.state is state and judged.failure in kinds else said
    if right and right.also:
        agreed = _is_fair(right, judged, machine) or _is_restless_end(case.truth, judged, machine)
    else:
        agreed = _is_healthy_end(case.truth, judged)
    return _untrue(case.truth, judged, machine) if agreed else said


def _is_healthy_end(truth: Truth, judged: Judged) -> bool:
    if truth.state is EndState.OK:
        return judged.state in _UNDISTURBED
    return judged.state is truth.state and judged.failure is truth.failure


def _is_fair(right: Right, judged: Judged, machine: Machine) -> bool:
    """Say whether a restless machine may have been out of reach when it mattered.

    After a restart was asked for, being out of reach is a failure by its own name, also where the
    machine went away before it did what it was asked.
    """
    if judged.failure is FailureKind.NOT_BACK:
        asked = [entry for entry in machine.received if entry.part == "script"]
        return any(entry.step in machine.restarting for entry in asked)
    return judged.state in right.also and judged.failure in right.kinds and machine.downs > 0


def _is_restless_end(truth: Truth, judged: Judged, machine: Machine) -> bool:
    """Say whether a restless machine ended like a healthy one.

    It may be `ok` although it was changed: the answer was lost, and the next check was true.
    """
    if truth.state is EndState.CHANGED and judged.state is EndState.OK:
        return machine.downs > 0 and bool(_done(machine))
    return _is_healthy_end(truth, judged)


def _untrue(truth: Truth, judged: Judged, machine: Machine) -> str:
    """Return what a judgement claims that is not so on the machine, or an empty text."""
    said = _said(judged.state, judged.failure)
    if judged.state in _FIXED | {truth.state} and machine.state != truth.facts:
        names = sorted(n for n in truth.facts if machine.state.get(n) != truth.facts[n])
        return f"{said}, but on the machine it is not so: {', '.join(names)}"
    done = {entry.step for entry in _done(machine)}
    for step in sorted(machine.changing.intersection(judged.steps)):
        if judged.steps[step] is EndState.CHANGED and step not in done:
            return f"{said}, but {step} was never done"
        if judged.steps[step] in {EndState.UNREACHABLE, EndState.SKIPPED} and step in done:
            return f"{said}, but {step} was done"
    return ""


def _done(machine: Machine) -> list[Received]:
    """Return every changing action that succeeded, or may have: it was not answered."""
    return [entry for entry in machine.ran if _is_change(machine, entry)]


def _is_action(machine: Machine, entry: Received) -> bool:
    return entry.part == "script" and entry.step in machine.changing


def _is_change(machine: Machine, entry: Received) -> bool:
    if not _is_action(machine, entry):
        return False
    return entry.exit_code is None or entry.exit_code in machine.success[entry.step]


def _is_wrong_target(machine: Machine, case: Case | None) -> bool:
    needs = case.truth.needs if case else frozenset()
    return any(_is_action(machine, e) and e.step not in needs for e in machine.ran)


def _is_repeated(machine: Machine) -> bool:
    """Say whether a change was made again that nobody had found missing meanwhile.

    A look at the machine that says "not so", or an undo, makes room for another try; so does the
    step's own word that it may be repeated.
    """
    there: set[StepId] = set()
    for entry in machine.ran:
        if entry.part == "undo" or (entry.part in _LOOKS and entry.exit_code == 1):
            there.discard(entry.step)
        if not _is_change(machine, entry):
            continue
        if entry.step in there and entry.step not in machine.repeatable:
            return True
        there.add(entry.step)
    return False
