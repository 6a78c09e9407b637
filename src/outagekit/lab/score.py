"""The score of a drill: how many were judged as they deserved, and who was changed wrongly.

Pure, and independent of the engine: it compares the end states a run came to with the simulated
machines themselves, with what they were told to do, and with what ought to have happened.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from outagekit.events import EndpointId, EndState, FailureKind
from outagekit.lab.faults import FAULTS, RIGHT, Fault
from outagekit.lab.machine import Machine, Received
from outagekit.lab.truth import Truth

Judged = tuple[EndState, FailureKind | None]
"""The end state a run gave to an endpoint, and why if it is a bad one."""

_UNDISTURBED = frozenset({EndState.OK, EndState.SKIPPED})


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


@dataclass(frozen=True, slots=True)
class Score:
    """What a drill proved."""

    total: int
    right: int
    wrong_targets: tuple[EndpointId, ...]
    """Machines on which a change was executed that they did not call for, or not chosen at all."""
    repeated: tuple[EndpointId, ...]
    """Machines on which a change that had succeeded was executed again."""
    misjudged: tuple[Misjudged, ...]
    tallies: tuple[Tally, ...]
    """Healthy ones first, then by fault; only what the drill had."""

    @property
    def passed(self) -> bool:
        """Whether nothing at all was wrong."""
        return not (self.wrong_targets or self.repeated or self.misjudged)


def score(
    cases: Mapping[EndpointId, Case],
    judged: Mapping[EndpointId, Judged],
    machines: Mapping[EndpointId, Machine],
) -> Score:
    """Return the score of a run over the endpoints of `cases`, the ones that were chosen.

    An endpoint without a judgement is misjudged. `machines` may hold more than was chosen: a
    change on one of those is a wrong target.
    """
    misjudged = tuple(
        Misjudged(endpoint, case.fault, _wanted(case), fault)
        for endpoint, case in cases.items()
        if (fault := _fault_in(case, judged.get(endpoint), machines[endpoint]))
    )
    wrong = {entry.endpoint for entry in misjudged}
    return Score(
        total=len(cases),
        right=len(cases) - len(wrong),
        wrong_targets=tuple(e for e, m in machines.items() if _is_wrong_target(m, cases.get(e))),
        repeated=tuple(e for e, m in machines.items() if _is_repeated(m)),
        misjudged=misjudged,
        tallies=_tallies(cases, wrong),
    )


def _tallies(cases: Mapping[EndpointId, Case], wrong: Collection[EndpointId]) -> tuple[Tally, ...]:
    tallies = []
    for fault in (None, *FAULTS):
        those = [endpoint for endpoint, case in cases.items() if case.fault == fault]
        if those:
            right = sum(1 for endpoint in those if endpoint not in wrong)
            tallies.append(Tally(fault, len(those), right))
    return tuple(tallies)


def _wanted(case: Case) -> str:
    right = RIGHT[case.fault] if case.fault else None
    if right and right.state:
        return f"{right.state.value} ({', '.join(sorted(right.kinds))})"
    if case.truth.state is EndState.OK:
        return "ok or skipped"
    return _said((case.truth.state, case.truth.failure))


def _said(judgement: Judged) -> str:
    state, kind = judgement
    return f"{state.value} ({kind.value})" if kind else state.value


def _fault_in(case: Case, judgement: Judged | None, machine: Machine) -> str:
    """Return what was found instead of the right judgement, or an empty text."""
    if judgement is None:
        return "no judgement"
    right = RIGHT[case.fault] if case.fault else None
    if right and right.state:
        state = right.state
        if state is EndState.UNKNOWN and not machine.received:
            # No command of a step reached the machine, so nothing is unknown about it.
            state = EndState.UNREACHABLE
        return "" if judgement[0] is state and judgement[1] in right.kinds else _said(judgement)
    return _fault_in_honest(case.truth, judgement, machine)


def _fault_in_honest(truth: Truth, judgement: Judged, machine: Machine) -> str:
    state, kind = judgement
    if truth.state is EndState.OK:
        agreed = state in _UNDISTURBED
    else:
        agreed = state is truth.state and kind is truth.failure
    if not agreed:
        return _said(judgement)
    if machine.state != truth.facts:
        names = sorted(n for n in truth.facts if machine.state.get(n) != truth.facts[n])
        return f"{_said(judgement)}, but on the machine it is not so: {', '.join(names)}"
    return ""


def _done(machine: Machine) -> list[Received]:
    """Return every execution of a changing action on the machine."""
    return [e for e in machine.ran if e.part == "script" and e.step in machine.changing]


def _is_wrong_target(machine: Machine, case: Case | None) -> bool:
    needs = case.truth.needs if case else frozenset()
    return any(entry.step not in needs for entry in _done(machine))


def _is_repeated(machine: Machine) -> bool:
    # No exit code: it was done, and the answer was lost.
    done = [entry.step for entry in _done(machine) if entry.exit_code in {0, None}]
    return len(done) != len(set(done))
