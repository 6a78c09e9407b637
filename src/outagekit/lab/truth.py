"""What ought to happen on a simulated machine: the playbook walked through by hand, honestly.

This is the judge's own small reading of what a playbook means. It shares no code with the engine,
so that a mistake of the engine is not repeated here. It needs neither clock nor connection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outagekit.events import EndState, FailureKind, StepId
from outagekit.lab.machine import Machine
from outagekit.playbook.expressions import NoValue, as_text, evaluate
from outagekit.playbook.model import Playbook, Reboot, Step, WaitHttp, WaitScript


@dataclass(frozen=True, slots=True)
class Truth:
    """How a run of the playbook on one machine ends if nothing is wrong with the connection."""

    state: EndState
    """`changed`, `ok` or `failed`; steps that are skipped on purpose count as `ok`."""
    failure: FailureKind | None
    needs: frozenset[StepId]
    """The changing steps whose action the machine calls for. Any other one is a wrong target."""
    facts: Mapping[str, Any]
    """The machine's state when all is done."""


def truth_of(playbook: Playbook, twin: Machine, params: Mapping[str, Any]) -> Truth:
    """Return what ought to happen, by doing it to `twin`, a machine nobody else uses.

    `params` are the playbook's typed values. A twin with the fault `lie` lies here as well.
    """
    return _Walk(twin, params).through(playbook)


class _Walk:
    def __init__(self, twin: Machine, params: Mapping[str, Any]) -> None:
        client, _, _ = twin.endpoint.partition("/")
        self._twin = twin
        self._names: dict[str, Any] = {
            **params,
            "client": client,
            "endpoint": twin.endpoint.partition("/")[2],
            "run": "",
        }
        self._params = dict(params)
        self._needs: set[StepId] = set()
        self._changed = False

    def through(self, playbook: Playbook) -> Truth:
        failure: FailureKind | None = None
        for step in playbook.steps:
            if failure is not None and not step.always:
                continue
            if step.once is not None or not self._wanted(step):
                self._names[step.id] = _fields(EndState.SKIPPED)
                continue
            ended = self._step(step)
            failure = failure or ended
        if failure is not None:
            state = EndState.FAILED
        else:
            state = EndState.CHANGED if self._changed else EndState.OK
        return Truth(state, failure, frozenset(self._needs), dict(self._twin.state))

    def _wanted(self, step: Step) -> bool:
        if step.when is None:
            return True
        try:
            return bool(evaluate(step.when, self._names))
        except NoValue:
            # It does not exist on this endpoint: the step is skipped.
            return False

    def _step(self, step: Step) -> FailureKind | None:
        values = self._values(step)
        if step.check is not None and self._twin.verdict(step, "check", values):
            self._names[step.id] = _fields(EndState.OK)
            return None
        if step.changes:
            self._needs.add(step.id)
        answer = self._twin.act(step, values)
        if answer.exit_code not in step.success:
            self._names[step.id] = _fields(EndState.FAILED)
            waited = isinstance(step.action, WaitScript | WaitHttp)
            return FailureKind.TIMEOUT if waited else FailureKind.EXIT_CODE
        if isinstance(step.action, Reboot) and self._twin.down_s(step) > step.action.within_s:
            self._names[step.id] = _fields(EndState.FAILED)
            return FailureKind.NOT_BACK
        result = _result(step, answer.stdout)
        if result is None:
            return FailureKind.BAD_RESULT
        if step.verify is not None and not self._twin.verdict(step, "verify", values):
            return FailureKind.VERIFY
        self._changed = self._changed or step.changes
        done = EndState.CHANGED if step.changes else EndState.OK
        self._names[step.id] = {**result, **_fields(done)}
        return None

    def _values(self, step: Step) -> dict[str, str]:
        """Return what the step's scripts receive, as the texts they receive it in."""
        values = dict(self._params)
        for name, given in step.with_.items():
            values[name] = evaluate(given, self._names) if isinstance(given, str) else given
        facts = {name: self._names[name] for name in ("client", "endpoint", "run")}
        return {name: as_text(value) for name, value in {**values, **facts}.items()}


def _fields(state: EndState) -> dict[str, Any]:
    """Return what a step offers to later expressions, besides its result."""
    flags = ("changed", "ok", "failed", "skipped", "unknown")
    return {"state": state.value, **{flag: state.value == flag for flag in flags}}


def _result(step: Step, stdout: str) -> dict[str, Any] | None:
    """Return the step's result, empty without a declared one; None if it is not what it must be."""
    if not step.result:
        return {}
    lines = [line for line in stdout.splitlines() if line.strip()]
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    if not isinstance(found, dict) or not step.result.keys() <= found.keys():
        return None
    return {name: found[name] for name in step.result}
