"""One simulated machine: a few facts, and answers to the steps of one playbook.

Pure: no socket, no clock, no thread. The same endpoint name and seed give the same machine. What
the machine answers is said by the playbook's `drill` block; what it was told to do, it records.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from outagekit.errors import OutagekitError
from outagekit.events import EndpointId, StepId
from outagekit.lab.chance import token, unit
from outagekit.lab.faults import Fault
from outagekit.lab.files import Files
from outagekit.lab.script import is_whole, values_in
from outagekit.playbook import units
from outagekit.playbook.expressions import evaluate, render
from outagekit.playbook.model import (
    DrillStep,
    Fetch,
    Playbook,
    Push,
    Step,
    ValueType,
    WaitHttp,
    WaitScript,
)

Ending = Literal["exit", "hang", "reset"]

IDENTITY: Final = "identity"
_UNDO: Final = "undo"
_VERDICTS: Final = frozenset({"check", "verify"})
_ONE_EXPRESSION: Final = re.compile(r"\s*\{\{(?P<text>(?:(?!\{\{|\}\}).)*)\}\}\s*", re.DOTALL)
_SAMPLES: Final[Mapping[ValueType, Any]] = {
    "text": "",
    "bool": False,
    "int": 0,
    "number": 0,
    "datetime": "2026-01-01T00:00:00Z",
    "list": [],
}

SYNTAX_ERROR: Final = 2
NOT_FOUND: Final = 127
UNUSABLE_DRILL: Final = 70


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back from a command. With another ending than `exit`, nothing comes back."""

    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""
    takes_s: float = 0.0
    ending: Ending = "exit"


@dataclass(frozen=True, slots=True)
class Received:
    """A command that reached the machine."""

    step: StepId
    part: str
    number: int
    """From 1: how often this part of this step was received."""
    sha256: str
    """Hash of the script, or of the file that was pushed."""
    ran: bool
    """False: nothing of it was executed."""
    exit_code: int | None = None
    """None if no answer was given."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast simulated machines are."""

    speed: float = 1.0
    """By how much `takes_s` of the drill block is divided."""
    slow_s: float = 1.0
    """How much later a machine with the fault `slow` answers each command."""


class Machine:
    """A simulated machine. One thread at a time: the server in front of it holds a lock.

    `fault` is what is wrong with it, set by the fleet. `strikes_late` puts a `hang` or `reset` at
    the worst place there is: after a changing action was done, instead of its answer.
    """

    def __init__(
        self, endpoint: EndpointId, playbook: Playbook, *, seed: int = 0, pace: Pace | None = None
    ) -> None:
        drill = playbook.drill
        self.endpoint = endpoint
        self.machine_id = token(seed, "machine-id", endpoint)
        self.boot_id = token(seed, "boot-id", endpoint)
        self.state = draw_state(drill.state if drill else {}, seed, endpoint)
        self.fault: Fault | None = None
        self.strikes_late = False
        self.received: list[Received] = []
        self.changing = frozenset(step.id for step in playbook.steps if step.changes)
        self._steps: dict[str, Step] = {step.id: step for step in playbook.steps}
        self._answers = drill.steps if drill else {}
        self._pace = pace or Pace()
        self._struck = False
        self._before: dict[StepId, dict[str, Any]] = {}
        self._pushes: dict[str, StepId] = {}
        self.files = self._make_files()

    def _make_files(self) -> Files:
        files = Files()
        for step in self._steps.values():
            if isinstance(step.action, Push):
                # The folder must be there before; the file must not.
                files.add(step.action.to, b"")
                files.remove(step.action.to)
                self._pushes.setdefault(step.action.to, step.id)
            if isinstance(step.action, Fetch):
                for path in step.action.paths:
                    content = f"{path} of {self.endpoint}\n".encode()
                    files.add(re.sub(r"[*?]|\[[^]]*\]", "1", path), content)
        return files

    @property
    def ran(self) -> tuple[Received, ...]:
        """Every command that was executed, in order: nothing here twice is nothing done twice."""
        return tuple(entry for entry in self.received if entry.ran)

    def answer(self, step: str, part: str, script: bytes) -> Answer:
        """Return the answer to one command, whatever was sent. Never raises.

        A cut script is a syntax error (exit code 2) and runs nothing. A step the playbook does
        not have succeeds and says that nothing was run. A drill block that cannot be evaluated
        over this machine's state is exit code 70.
        """
        if part == IDENTITY:
            text = f"machine-id={self.machine_id}\nboot-id={self.boot_id}\n"
            return self._paced(Answer(stdout=text))
        known = self._steps.get(step)
        if known is None:
            return self._paced(Answer(stdout=f"lab: simulated, {step} was not run\n"))
        digest = hashlib.sha256(script).hexdigest()
        if not is_whole(script):
            self._record(known, part, digest, ran=False, exit_code=SYNTAX_ERROR)
            return Answer(SYNTAX_ERROR, stderr="sh: Syntax error: end of file unexpected\n")
        ending = self.strike()
        if ending is not None:
            self._record(known, part, digest, ran=False, exit_code=None)
            return Answer(ending=ending)
        answer = self._respond(known, part, values_in(script))
        ending = self.strike(after=known) if part not in _VERDICTS else None
        answer = Answer(ending=ending) if ending else self._paced(answer)
        code = answer.exit_code if answer.ending == "exit" else None
        self._record(known, part, digest, ran=True, exit_code=code)
        return answer

    def strike(self, *, after: Step | None = None) -> Ending | None:
        """Return how the connection goes wrong now, or None. Once struck, it stays so.

        `after` is the step whose action was just done, None before a command is executed.
        """
        if self.fault != "hang" and self.fault != "reset":  # noqa: PLR1714  (narrows the type)
            return None
        due = after is not None and after.changes if self.strikes_late else after is None
        self._struck = self._struck or due
        return self.fault if self._struck else None

    def pushed(self, path: str, content: bytes) -> None:
        """Hear that a file now stands at its place; the step that sent it is done by that."""
        step = self._steps.get(self._pushes.get(path, ""))
        if step is not None:
            self._apply(self._goals(step, {}), step)
            digest = hashlib.sha256(content).hexdigest()
            self._record(step, "script", digest, ran=True, exit_code=0)

    def verdict(self, step: Step, part: str, values: Mapping[str, Any]) -> bool:
        """Return whether `check` or `verify` of a step is true. Raises what expressions raise.

        The drill block's expression decides; without one, whether everything in `set` is so; with
        nothing in `set`, verify is true and check is false.
        """
        drill = self.drill(step)
        text = drill.verify if part == "verify" and drill.verify else drill.check
        if text:
            return bool(evaluate(text, self._names(values)))
        if not drill.set:
            return part == "verify"
        return all(self.state.get(name) == goal for name, goal in self._goals(step, values).items())

    def act(self, step: Step, values: Mapping[str, Any]) -> Answer:
        """Do a step's action and return its answer. Raises what expressions raise.

        Texts are rendered over the state as it is when the action ended; a liar's too.
        """
        drill = self.drill(step)
        if isinstance(step.action, WaitScript | WaitHttp) and drill.check:
            return Answer(0 if self.verdict(step, "check", values) else 1)
        goals = self._goals(step, values) if drill.exit_code == 0 else {}
        names = {**self._names(values), **goals}
        stdout = render(drill.stdout, names) if drill.stdout else _sample(step)
        stderr = render(drill.stderr, names) if drill.stderr else ""
        self._apply(goals, step)
        return Answer(drill.exit_code, stdout, stderr, drill.takes_s / self._pace.speed)

    def _respond(self, step: Step, part: str, values: Mapping[str, Any]) -> Answer:
        try:
            if part in _VERDICTS:
                return Answer(0 if self.verdict(step, part, values) else 1)
            if part == _UNDO:
                self.state.update(self._before.pop(step.id, {}))
                return Answer()
            return self.act(step, values)
        except OutagekitError as error:
            return Answer(UNUSABLE_DRILL, stderr=f"lab: {error.message}\n")

    def _apply(self, goals: Mapping[str, Any], step: Step) -> None:
        if self.fault == "lie" and step.verify is not None:
            return
        self._before.setdefault(step.id, {name: self.state.get(name) for name in goals})
        self.state.update(goals)

    def _goals(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names(values)
        return {name: _worth(value, names) for name, value in self.drill(step).set.items()}

    def _names(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**values, **self.state}

    def drill(self, step: Step) -> DrillStep:
        """Return what the playbook's drill block says about a step; empty if it says nothing."""
        return self._answers.get(step.id) or DrillStep()

    def _paced(self, answer: Answer) -> Answer:
        late_s = self._pace.slow_s if self.fault == "slow" else 0.0
        takes_s = answer.takes_s + late_s
        return Answer(answer.exit_code, answer.stdout, answer.stderr, takes_s, answer.ending)

    def _record(
        self, step: Step, part: str, sha256: str, *, ran: bool, exit_code: int | None
    ) -> None:
        same = sum(1 for entry in self.received if (entry.step, entry.part) == (step.id, part))
        self.received.append(Received(step.id, part, same + 1, sha256, ran, exit_code))


def draw_state(spec: Mapping[str, Any], seed: int, endpoint: EndpointId) -> dict[str, Any]:
    """Return the facts of one machine, drawn from the drill block's `state` by seed and name.

    `60%` is true for that share of the machines; {value: `40%`, …} chooses, the last value takes
    what is left of 100%; anything else is the same for all.
    """
    return {
        name: _drawn(value, unit(seed, "state", endpoint, name)) for name, value in spec.items()
    }


def _drawn(value: Any, at: float) -> Any:
    share = _share(value)
    if share is not None:
        return at < share
    if not isinstance(value, Mapping) or not value:
        return value
    shares = {choice: _share(text) for choice, text in value.items()}
    reached = 0.0
    for choice, part in shares.items():
        if part is None:
            return value
        reached += part
        if at < reached:
            return choice
    return next(reversed(shares))


def _share(value: Any) -> float | None:
    try:
        return units.percent(value) / 100.0
    except ValueError:
        return None


def _worth(value: Any, names: Mapping[str, Any]) -> Any:
    """Return a value of `set`: a lone `{{ expression }}` keeps its type, another text is text."""
    if not isinstance(value, str) or "{{" not in value:
        return value
    alone = _ONE_EXPRESSION.fullmatch(value)
    return evaluate(alone["text"], names) if alone else render(value, names)


def _sample(step: Step) -> str:
    """Return a result of the declared types for a step whose drill says nothing about it."""
    if not step.result:
        return ""
    return json.dumps({name: _SAMPLES[kind] for name, kind in step.result.items()}) + "\n"
