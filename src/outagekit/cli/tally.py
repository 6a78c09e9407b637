"""What a run looks like from outside: a count of its records, for the live view.

Pure and cheap: no clock, no terminal, and nothing of the engine's state is read. A record that
does not fit the plan is passed over; a screen is never a reason for a run to stop.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.cells import cell_len

from outagekit.cli.render import json_text
from outagekit.events import (
    WORST_FIRST,
    EndpointId,
    EndState,
    Event,
    FailureKind,
    Note,
    Record,
    RunClosed,
    RunPaused,
    StageOpened,
    StepFinished,
    StepId,
    StepInDoubt,
    StepPart,
    StepStarted,
)
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from outagekit.inventory.model import Endpoint
    from outagekit.plan.model import Plan, Stage

ENDING: Final = frozenset({EndState.FAILED, EndState.UNKNOWN, EndState.UNREACHABLE})
"""After these no later step begins on an endpoint."""

_RANK = {state: rank for rank, state in enumerate(WORST_FIRST)}
_LONGEST = 200
_STOPPING = "nothing else begins"
"""How the note of a run that was asked to stop ends."""


class Said(NamedTuple):
    """What makes step ends identical: these are shown as one line with their number."""

    step: StepId
    state: EndState
    failure: FailureKind | None
    text: str
    """The last line of output, the result, or why it failed; without the endpoint's address."""


@dataclass(slots=True)
class Fold:
    """Identical step ends."""

    count: int
    text: str
    """What the first of them said, with everything in it."""


class Running(NamedTuple):
    """A step that runs now."""

    endpoint: EndpointId
    step: StepId
    number: int
    since_ns: int


@dataclass(slots=True)
class StageCount:
    """One stage: how many endpoints entered it, and how those that left it ended in it."""

    stage: Stage
    total: int | None = None
    """None before it is open."""
    ends: Counter[EndState] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        """How many endpoints have nothing left to do in this stage."""
        return self.ends.total()


class Tally:
    """Counts the records of one run of `plan`, in their order."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.run = ""
        self.stages = tuple(StageCount(stage) for stage in plan.stages)
        self.open: StageCount | None = None
        self.running: dict[str, Running] = {}
        """Attempt -> what runs, oldest first."""
        self.waiting: dict[EndpointId, int] = {}
        """Endpoint -> monotonic ns at which its next try begins."""
        self.folds: dict[Said, Fold] = {}
        self.dead = 0
        """Endpoints that came to an early end."""
        self.since_ns: int | None = None
        self.until_ns: int | None = None
        """When the run was paused or closed."""
        self.stopping = False
        self.longest_name = max((cell_len(visible_line(e.id)) for e in plan.endpoints), default=0)
        self.longest_step = max((cell_len(visible_line(s.id)) for s in plan.steps), default=0)
        self._endpoints = {endpoint.id: endpoint for endpoint in plan.endpoints}
        self._worst: dict[EndpointId, EndState] = {}
        self._said: dict[str, str] = {}
        self._life = ""
        self._takers: dict[type[Event], Callable[[Any, Record], None]] = {
            StageOpened: self._open_stage,
            StepStarted: self._start,
            StepPart: self._part,
            StepFinished: self._finish,
            StepInDoubt: self._doubt,
            Note: self._note,
            RunPaused: self._over,
            RunClosed: self._over,
        }

    @property
    def queued(self) -> int:
        """Endpoints of the open stage that could begin a step as soon as there is room."""
        if self.open is None or self.open.total is None:
            return 0
        busy = len(self.running) + len(self.waiting)
        return max(self.open.total - self.open.done - busy, 0)

    @property
    def alive(self) -> int:
        """Endpoints that have not come to an early end."""
        return len(self._endpoints) - self.dead

    @property
    def following(self) -> Stage | None:
        """The stage after the open one, or None."""
        number = self.open.stage.number if self.open else 0
        return self.plan.stages[number] if number < len(self.plan.stages) else None

    def take(self, record: Record) -> None:
        """Count one record."""
        self.run = record.run
        if record.life != self._life:
            self._life = record.life
            self.since_ns, self.until_ns, self.stopping = record.mono, None, False
        taker = self._takers.get(type(record.event))
        if taker is not None:
            taker(record.event, record)

    def _open_stage(self, event: StageOpened, _record: Record) -> None:
        if 0 < event.stage <= len(self.stages):
            self.open = self.stages[event.stage - 1]
            self.open.total = event.endpoints
            self._worst.clear()

    def _start(self, event: StepStarted, record: Record) -> None:
        self.waiting.pop(event.endpoint, None)
        entry = Running(event.endpoint, event.step, event.number, record.mono)
        self.running[event.attempt] = entry

    def _part(self, event: StepPart, _record: Record) -> None:
        if event.part == "script":
            self._said[event.attempt] = last_line(event.stdout.tail or event.stdout.text)

    def _finish(self, event: StepFinished, record: Record) -> None:
        said = self._leave(event.attempt)
        if event.retry_in_ms is not None:
            self.waiting[event.endpoint] = record.mono + event.retry_in_ms * 1_000_000
            return
        self.waiting.pop(event.endpoint, None)
        if event.state in {EndState.OK, EndState.CHANGED}:
            text = result_line(event.result) or said or event.detail
        else:
            text = event.detail
        self._end(event.endpoint, event.step, event.state, event.failure, text)

    def _doubt(self, event: StepInDoubt, _record: Record) -> None:
        self._leave(event.attempt)
        self._end(event.endpoint, event.step, EndState.UNKNOWN, FailureKind.ABANDONED, event.why)

    def _note(self, event: Note, _record: Record) -> None:
        self.stopping = self.stopping or event.text.endswith(_STOPPING)

    def _over(self, _event: Event, record: Record) -> None:
        self.until_ns = record.mono

    def _leave(self, attempt: str | None) -> str:
        if attempt is None:
            return ""
        self.running.pop(attempt, None)
        return self._said.pop(attempt, "")

    def _end(
        self,
        identity: EndpointId,
        step: StepId,
        state: EndState,
        failure: FailureKind | None,
        text: str,
    ) -> None:
        endpoint = self._endpoints.get(identity)
        if endpoint is None or self.open is None:
            return
        shown = visible_line(text[:_LONGEST])
        key = Said(step, state, failure, without_place(shown, endpoint))
        self.folds.setdefault(key, Fold(0, shown)).count += 1
        worst = min(state, self._worst.get(identity, state), key=_RANK.__getitem__)
        self._worst[identity] = worst
        self.dead += state in ENDING
        if state in ENDING or step == self.open.stage.steps[-1]:
            self.open.ends[worst] += 1


def last_line(text: str) -> str:
    """Return the last line of some output that says anything, or an empty text."""
    lines = text[-4 * _LONGEST :].rstrip().splitlines()
    return lines[-1].strip() if lines else ""


def result_line(result: Mapping[str, Any] | None) -> str:
    """Return a step's result in one line: `impacted true, newest 2024-07-19T04:09:00Z`."""
    return ", ".join(
        f"{name} {value if isinstance(value, str) else json_text(value)}"
        for name, value in (result or {}).items()
    )


def without_place(text: str, endpoint: Endpoint) -> str:
    """Return what was said with the endpoint's own name, address and port as `it`.

    So the same thing said by many reads the same. Port 22 is everybody's and stays.
    """
    names = (endpoint.id, endpoint.address)
    if not any(name in text for name in names):
        return text
    either = "|".join(map(re.escape, names))
    port = rf"(?::\d+| port {endpoint.port}\b)?"
    return re.sub(rf"(?<![\w.-])\[?(?:{either})\]?{port}(?![\w-])", "it", text)
