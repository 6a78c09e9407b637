"""One simulated machine: a few facts, and answers to the steps of one playbook.

No socket and no thread; the only clock is the one it is given. The same endpoint name and seed
give the same machine. What the machine answers is said by the playbook's `drill` block; what it
was told to do, it records. Whoever puts it behind a port tells it when it goes down and comes up.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from outagekit.errors import OutagekitError
from outagekit.events import EndpointId, OperatingSystem, StepId
from outagekit.lab.answers import UNUSABLE_DRILL, Answer, Ending, Received, not_run
from outagekit.lab.chance import unit
from outagekit.lab.detached import DetachedScripts
from outagekit.lab.facts import draw_state, worth
from outagekit.lab.faults import Fault
from outagekit.lab.files import Files
from outagekit.lab.power import Spell, flapping, looping
from outagekit.lab.shell import Myself
from outagekit.lab.shells import shell_of
from outagekit.playbook.expressions import evaluate, render
from outagekit.playbook.model import (
    DrillStep,
    Fetch,
    Playbook,
    Push,
    Reboot,
    RunScript,
    Script,
    Step,
    ValueType,
    WaitHttp,
    WaitScript,
)

IDENTITY: Final = "identity"
_SCRIPT: Final = "script"
_UNDO: Final = "undo"
_TAKES_BACK: Final = "undo_"
_PARTS_OF_UNDO: Final = {_SCRIPT: _UNDO, "verify": "check"}
_VERDICTS: Final = frozenset({"check", "verify"})
_ACTIONS: Final = frozenset({_SCRIPT, _UNDO})
_DETACHED: Final = frozenset({"collect", "release"})
_SAMPLES: Final[Mapping[ValueType, Any]] = {
    "text": "",
    "bool": False,
    "int": 0,
    "number": 0,
    "datetime": "2026-01-01T00:00:00Z",
    "list": [],
}

_SECOND_NS: Final = 1_000_000_000
REBOOT_S: Final = 20.0
"""How long a machine is down when it restarts, unless its drill says `takes_s`."""
_UNTIL_DOWN_S: Final = 2.0
_LEAST_UNTIL_DOWN_S: Final = 0.05
_PROMPT_SHARE: Final = 0.5
_RESTLESS: Final = frozenset({"flap", "bootloop"})


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast simulated machines are."""

    speed: float = 1.0
    """By how much `takes_s` of the drill block and the time a restart takes are divided."""
    slow_s: float = 1.0
    """How much later a machine with the fault `slow` answers each command."""
    swing: float = 1.0
    """What the times of `flap` and `bootloop` are multiplied by; they are in real seconds."""
    dawdle_s: float = 0.2
    """What each command takes on a machine that flaps or boot-loops, times `swing`: long enough
    to be caught in the middle now and then."""


class Machine:
    """A simulated machine. One thread at a time: the server in front of it holds a lock.

    `fault` is what is wrong with it, set by the fleet. `strikes_late` puts a `hang` or `reset` at
    the worst place there is: after a changing action was done, instead of its answer.
    `downs` is how often it went down so far; `is_cured` says that its boot loop is over, because
    the step `cure` was done on it. `on_received` hears of every command, before its answer.
    """

    def __init__(
        self,
        endpoint: EndpointId,
        playbook: Playbook,
        *,
        system: OperatingSystem = "linux",
        seed: int = 0,
        pace: Pace | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        drill = playbook.drill
        self.endpoint = endpoint
        self.system = system
        self.shell = shell_of(system)
        self.machine_id = self.shell.machine_id(seed, endpoint)
        self.boot_id = self.shell.boot_id(seed, endpoint, 0)
        self.downs = 0
        self.is_cured = False
        self.cure = cure_of(playbook)
        self.on_received: Callable[[Received], None] | None = None
        self.state = draw_state(drill.state if drill else {}, seed, endpoint)
        self.fault: Fault | None = None
        self.strikes_late = False
        self.received: list[Received] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self.changing = frozenset(step.id for step in playbook.steps if step.changes)
        self.restarting = frozenset(
            step.id for step in playbook.steps if isinstance(step.action, Reboot)
        )
        self.success = {step.id: frozenset(step.success) for step in playbook.steps}
        self.repeatable = frozenset(s.id for s in playbook.steps if s.on_doubt == "rerun")
        self._steps: dict[str, Step] = {step.id: step for step in playbook.steps}
        self._answers = drill.steps if drill else {}
        self._seed = seed
        self._pace = pace or Pace()
        self._clock = clock
        self._booted_ns = self._down_ns = clock()
        self._boots = 0
        self._detached = DetachedScripts(clock)
        self._struck = False
        self._before: dict[StepId, dict[str, Any]] = {}
        self._done: set[StepId] = set()
        self._undone: set[StepId] = set()
        self._pushes: dict[str, StepId] = {}
        self.files = self._make_files()

    def _make_files(self) -> Files:
        files = self.shell.files()
        for step in self._steps.values():
            if isinstance(step.action, Push):
                # The folder must be there before; the file must not.
                files.add(step.action.to, b"")
                files.remove(step.action.to)
                self._pushes.setdefault(files.place(step.action.to), step.id)
            if isinstance(step.action, Fetch):
                for path in step.action.paths:
                    content = f"{path} of {self.endpoint}\n".encode()
                    files.add(re.sub(r"[*?]|\[[^]]*\]", "1", path), content)
        return files

    @property
    def ran(self) -> tuple[Received, ...]:
        """Every command that was executed, in order: nothing here twice is nothing done twice."""
        return tuple(entry for entry in self.received if entry.ran)

    def answer(self, step: str, part: str, script: bytes, *, detached: str = "") -> Answer:
        """Return the answer to one command, whatever was sent. Never raises.

        A cut script runs nothing: a syntax error, exit code 2, of a POSIX shell. A step the
        playbook does not have succeeds and says that nothing was run. A drill block that cannot
        be evaluated over this machine's state is exit code 70. `detached` names the folder of a
        script that goes on without its connection: started once, asked for with `collect`, gone
        by `release`.
        """
        name = StepId(step)
        digest = hashlib.sha256(script).hexdigest()
        answer, ran = self._answered(name, part, script, detached)
        code = answer.exit_code if answer.ending == "exit" else None
        if part == _SCRIPT and detached and ran and answer.ending == "exit":
            self._detached.begin(detached, answer)
            answer = self._detached.tell(detached, self.shell.asks_in(script))
        self._record(name, part, digest, ran=ran, exit_code=code)
        asked = ran and answer.ending == "exit" and self._is_question(name, part)
        return self.shell.verdict(script, answer) if asked else answer

    def _is_question(self, name: StepId, part: str) -> bool:
        """Say whether a command wants a yes or no: a wait's own script does as well."""
        step = self._steps.get(name)
        waits = step is not None and isinstance(step.action, WaitScript)
        return part in _VERDICTS or (waits and part == _SCRIPT)

    def _answered(
        self, name: StepId, part: str, script: bytes, detached: str
    ) -> tuple[Answer, bool]:
        """Return the answer, and whether anything of the command was executed."""
        if part == IDENTITY:
            return self._paced(self.shell.identity(script, self._myself)), True
        if not self.shell.is_whole(script):
            return self.shell.cut, False
        ending = self.strike()
        if ending is not None:
            return Answer(ending=ending), False
        known = self._steps.get(name)
        if known is None:
            known, part = self._undone_by(name, part)
        if known is None:
            return self._paced(not_run(name)), False
        if part in _DETACHED or self._detached.has(detached):
            return self._told(part, script, detached), False
        inner = self.shell.started_in(script) if detached else script
        answer = self._respond(known, part, inner)
        ending = self.strike(after=known) if part in _ACTIONS else None
        return (Answer(ending=ending) if ending else self._paced(answer)), True

    def _undone_by(self, name: StepId, part: str) -> tuple[Step | None, str]:
        """Return the step that a run which takes an earlier one back means, and the part of it."""
        known = self._steps.get(name.removeprefix(_TAKES_BACK).rstrip("_"))
        if known is None or known.undo is None:
            return None, part
        return known, _PARTS_OF_UNDO.get(part, part)

    def _told(self, part: str, script: bytes, detached: str) -> Answer:
        if part == "release":
            return self._detached.release(detached)
        return self._detached.tell(detached, self.shell.asks_in(script))

    def missed(self, step: str, part: str, script: bytes) -> None:
        """Record a command that reached the machine, which went down before it was executed."""
        digest = hashlib.sha256(script).hexdigest()
        self._record(StepId(step), part, digest, ran=False, exit_code=None)

    @property
    def up_s(self) -> float:
        """How long the machine is up since it was started last, in seconds."""
        return (self._clock() - self._booted_ns) / _SECOND_NS

    def before_s(self, step: str, part: str) -> float:
        """Return how long the machine hesitates before it executes a command.

        0 unless it is restless: such a machine goes down in the middle of a command as well, and
        then all of the command may have happened, or nothing.
        """
        return 0.0 if self._is_prompt(step, part) else self._dawdle_s

    def spells(self) -> Iterator[Spell]:
        """Return when the machine is up and down by itself; nothing for one that always is up."""
        if self.fault == "flap":
            return flapping(self._seed, self.endpoint, swing=self._pace.swing)
        if self.fault == "bootloop":
            return looping(self._seed, self.endpoint, swing=self._pace.swing)
        return iter(())

    def went_down(self) -> None:
        """Hear that nobody reaches the machine any more."""
        self.downs += 1
        self._down_ns = self._clock()

    def came_up(self, *, boots: bool) -> None:
        """Hear that it can be reached again; with `boots` it was restarted meanwhile."""
        if boots:
            self._boots += 1
            self.boot_id = self.shell.boot_id(self._seed, self.endpoint, self._boots)
            # A machine has been up for a while when it can be reached.
            self._booted_ns = self._down_ns
            self._detached.crash()

    def down_s(self, step: Step) -> float:
        """Return how long the machine is down when a step restarts it."""
        return (self.drill(step).takes_s or REBOOT_S) / self._pace.speed

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
        step = self._steps.get(self._pushes.get(self.files.place(path), ""))
        if step is not None:
            self._apply(self._goals(step, {}), step)
            digest = hashlib.sha256(content).hexdigest()
            self._record(step.id, "script", digest, ran=True, exit_code=0)

    def verdict(self, step: Step, part: str, values: Mapping[str, Any]) -> bool:
        """Return whether `check` or `verify` of a step is true. Raises what expressions raise.

        The drill block's expression decides; without one, whether everything in `set` is so. With
        nothing in `set`, check is true once the step was done, and verify unless it was undone.
        """
        drill = self.drill(step)
        text = drill.verify if part == "verify" and drill.verify else drill.check
        if text:
            return bool(evaluate(text, self._names(values)))
        if not drill.set:
            return step.id not in self._undone if part == "verify" else step.id in self._done
        return all(self.state.get(name) == goal for name, goal in self._goals(step, values).items())

    def act(self, step: Step, values: Mapping[str, Any]) -> Answer:
        """Do a step's action and return its answer. Raises what expressions raise.

        Texts are rendered over the state as it is when the action ended; a liar's too.
        """
        drill = self.drill(step)
        if isinstance(step.action, WaitScript | WaitHttp) and drill.check:
            return Answer(0 if self.verdict(step, "check", values) else 1)
        done = drill.exit_code in step.success
        goals = self._goals(step, values) if done else {}
        names = {**self._names(values), **goals}
        stdout = render(drill.stdout, names) if drill.stdout else _sample(step)
        stderr = render(drill.stderr, names) if drill.stderr else ""
        if done:
            self._apply(goals, step)
        if isinstance(step.action, Reboot):
            until_s = max(_UNTIL_DOWN_S / self._pace.speed, _LEAST_UNTIL_DOWN_S)
            down_s = self.down_s(step) if done else None
            return Answer(drill.exit_code, stdout, stderr, down_s=down_s, until_down_s=until_s)
        return Answer(drill.exit_code, stdout, stderr, drill.takes_s / self._pace.speed)

    def _respond(self, step: Step, part: str, script: bytes) -> Answer:
        values, holds = self.shell.values_in(script), self.shell.holds
        # A run that takes an earlier one back sends a step's undo as its action.
        is_undo = holds(script, step.undo) and not holds(script, _script_of(step))
        try:
            if part in _VERDICTS:
                return Answer(0 if self.verdict(step, part, values) else 1)
            if part == _UNDO or (part == _SCRIPT and is_undo):
                self.state.update(self._before.pop(step.id, {}))
                self._done.discard(step.id)
                self._undone.add(step.id)
                return Answer()
            # A probe only shows that the machine answers.
            return self.act(step, values) if part == _SCRIPT else Answer()
        except OutagekitError as error:
            return Answer(UNUSABLE_DRILL, stderr=f"lab: {error.message}\n")

    def _apply(self, goals: Mapping[str, Any], step: Step) -> None:
        self._done.add(step.id)
        self._undone.discard(step.id)
        if self.fault == "lie" and step.verify is not None:
            return
        self._before.setdefault(step.id, {name: self.state.get(name) for name in goals})
        self.state.update(goals)
        self.is_cured = self.is_cured or (self.fault == "bootloop" and step.id == self.cure)

    def _goals(self, step: Step, values: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names(values)
        return {name: worth(value, names) for name, value in self.drill(step).set.items()}

    def _names(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {**values, **self.state}

    def drill(self, step: Step) -> DrillStep:
        """Return what the playbook's drill block says about a step; empty if it says nothing."""
        return self._answers.get(step.id) or DrillStep()

    @property
    def _myself(self) -> Myself:
        return Myself(self.machine_id, self.boot_id, self.up_s)

    @property
    def _dawdle_s(self) -> float:
        return self._pace.dawdle_s * self._pace.swing if self.fault in _RESTLESS else 0.0

    def _is_prompt(self, step: str, part: str) -> bool:
        """Say whether the machine does not hesitate with this command."""
        names = ("prompt", self.endpoint, step, part, str(len(self.received)))
        return unit(self._seed, *names) < _PROMPT_SHARE

    def _paced(self, answer: Answer) -> Answer:
        late_s = self._pace.slow_s if self.fault == "slow" else self._dawdle_s
        return dataclasses.replace(answer, takes_s=answer.takes_s + late_s)

    def _record(
        self, step: StepId, part: str, sha256: str, *, ran: bool, exit_code: int | None
    ) -> None:
        counted = self._counts[step, part] = self._counts[step, part] + 1
        entry = Received(step, part, counted, sha256, ran, exit_code, self._clock())
        if part != IDENTITY:
            self.received.append(entry)
        if self.on_received is not None:
            self.on_received(entry)


def cure_of(playbook: Playbook) -> StepId | None:
    """Return the step that ends a boot loop: the one to pounce with, else the first change."""
    if playbook.rollout is not None and playbook.rollout.pounce is not None:
        return playbook.rollout.pounce
    return next((step.id for step in playbook.steps if step.changes and not step.once), None)


def _script_of(step: Step) -> Script | None:
    return step.action.script if isinstance(step.action, RunScript) else None


def _sample(step: Step) -> str:
    """Return a result of the declared types for a step whose drill says nothing about it."""
    if not step.result:
        return ""
    return json.dumps({name: _SAMPLES[kind] for name, kind in step.result.items()}) + "\n"
