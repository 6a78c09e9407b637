"""Records of a run in a few words, for tests of whoever reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

from outagekit.events import (
    AnyEvent,
    AttemptId,
    EndpointId,
    EndpointParked,
    EndState,
    FailureKind,
    GateLimit,
    Output,
    Record,
    RunId,
    StageOpened,
    StepFinished,
    StepId,
    StepInDoubt,
    StepPart,
    StepStarted,
    WaveJudged,
    WaveOpened,
    WavesCut,
)
from outagekit.plan.gates import Standing, holds, limits_of, sums_of
from outagekit.plan.model import Plan
from outagekit.plan.waves import cut_waves, digest_of_waves

RUN = RunId("20261122T081403Z-demo-x7q2")


def records(*events: AnyEvent | tuple[float, AnyEvent], life: str = "k3f9") -> tuple[Record, ...]:
    """Return the events as records of one process life.

    An event may come with the monotonic second at which it happens; else that is 0.
    """
    timed = [each if isinstance(each, tuple) else (0.0, each) for each in events]
    return tuple(
        Record(
            seq=seq,
            at="2026-11-22T08:14:03.120411Z",
            mono=int(at_s * 1e9),
            life=life,
            run=RUN,
            event=event,
            sha="ab" * 32,
        )
        for seq, (at_s, event) in enumerate(timed)
    )


class Story:
    """Writes what a run of `plan` would record, stage by stage and wave by wave, with times.

    For tests of whoever reads records: nothing is executed, and `bad` says beforehand who ends
    otherwise than well. The same seed tells the same story.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        bad: Mapping[EndpointId, EndState] | None = None,
        lanes: int = 16,
        takes_s: float = 2.0,
        seed: int = 0,
    ) -> None:
        self.plan = plan
        self.told: list[tuple[float, AnyEvent]] = []
        """Monotonic second and event, in order."""
        self.at_s = 0.0
        self.alive = [endpoint.id for endpoint in plan.endpoints]
        self._bad = dict(bad or {})
        self._parked = 0
        self._lanes = lanes
        self._takes_s = takes_s
        self._chance = Random(seed)  # noqa: S311  (nobody is to be kept from guessing it)
        self._in_waves: list[EndpointId] = []
        self._ends: dict[EndpointId, EndState] = {}
        self._numbers: Counter[tuple[EndpointId, StepId]] = Counter()

    def tell(self, event: AnyEvent, *, after_s: float = 0.0) -> None:
        """Let an event happen so long after what was told last."""
        self.at_s += after_s
        self.told.append((self.at_s, event))

    def open_stage(self, number: int) -> None:
        """Open a stage for everybody who is left."""
        stage = self.plan.stages[number - 1]
        self.tell(
            StageOpened(
                stage=number,
                phase=stage.phase,
                steps=stage.steps,
                endpoints=len(self.alive) + self._parked,
            )
        )

    def survey(self, number: int) -> None:
        """Let everybody take a stage that only reads; only the unreachable end badly in it."""
        self.open_stage(number)
        lost = {e: s for e, s in self._bad.items() if s is EndState.UNREACHABLE}
        for step in self.plan.stages[number - 1].steps:
            self.steps(list(self.alive), step, lost, EndState.OK)

    def spread(self, number: int, *, upto: int | None = None) -> tuple[tuple[EndpointId, ...], ...]:
        """Let a changing stage's waves follow each other until a gate closes; return the waves.

        With `upto` only so many of them begin, and the last one is not judged.
        """
        self.open_stage(number)
        living = set(self.alive)
        waves = cut_waves(
            (each for each in self.plan.endpoints if each.id in living), self.plan.rollout.waves
        )
        sizes = tuple(map(len, waves))
        self.tell(WavesCut(stage=number, sizes=sizes, outside=0, sha256=digest_of_waves(waves)))
        for at, wave in enumerate(waves[:upto], 1):
            limits = self.open_wave(number, at, waves)
            for step in self.plan.stages[number - 1].steps:
                members = [each for each in wave if each in self.alive]
                self.steps(members, step, self._bad, EndState.CHANGED)
            if at != upto and not self.judge(number, at, wave, limits):
                break
        return waves

    def open_wave(
        self, number: int, at: int, waves: Sequence[tuple[EndpointId, ...]]
    ) -> tuple[GateLimit, ...]:
        """Open a wave and return its gate's limits."""
        wave = waves[at - 1]
        self._in_waves += wave
        limits = limits_of(self.plan.rollout.gate, len(wave), len(self._in_waves))
        self.tell(
            WaveOpened(stage=number, wave=at, waves=len(waves), endpoints=len(wave), limits=limits),
            after_s=0.1,
        )
        return limits

    def judge(
        self, number: int, at: int, wave: Sequence[EndpointId], limits: tuple[GateLimit, ...]
    ) -> bool:
        """Judge a wave and return whether it passed."""
        sums = sums_of(limits, self.standing(wave), self.standing(self._in_waves))
        passed = holds(sums)
        self.tell(WaveJudged(stage=number, wave=at, passed=passed, sums=sums), after_s=0.5)
        return passed

    def standing(self, names: Sequence[EndpointId]) -> Standing:
        """Return how some endpoints stand, counted by what was told of each."""
        ends = Counter(self._ends.get(name) for name in names)
        silent = ends[EndState.UNREACHABLE] + ends[EndState.UNKNOWN] + ends[None]
        return Standing(
            endpoints=len(names),
            answered=len(names) - silent,
            failed=ends[EndState.FAILED],
            unreachable=ends[EndState.UNREACHABLE],
            unknown=ends[EndState.UNKNOWN],
        )

    def steps(
        self,
        names: Sequence[EndpointId],
        step: StepId,
        bad: Mapping[EndpointId, EndState],
        good: EndState,
    ) -> None:
        """Let endpoints take a step, as many at once as there are lanes."""
        free = [self.at_s] * self._lanes
        told: list[tuple[float, int, AnyEvent]] = []
        for name in names:
            begin_s = heappop(free)
            end_s = begin_s + self._takes_s * self._chance.uniform(0.5, 1.5)
            heappush(free, end_s)
            end = bad.get(name, good)
            for event in self._attempt(name, step, end):
                at_s = begin_s if isinstance(event, StepStarted) else end_s
                told.append((at_s, len(told), event))
            self._ends[name] = end
            if end not in {EndState.OK, EndState.CHANGED}:
                self.alive.remove(name)
        for at_s, _, event in sorted(told, key=lambda each: each[:2]):
            self.at_s = max(self.at_s, at_s)
            self.told.append((at_s, event))

    def _attempt(self, name: EndpointId, step: StepId, end: EndState) -> Iterator[AnyEvent]:
        self._numbers[name, step] += 1
        number = self._numbers[name, step]
        attempt = AttemptId(f"{name}:{step}:{number}")
        yield StepStarted(endpoint=name, step=step, attempt=attempt, number=number)
        kind, detail = _REASONS.get(end, (None, ""))
        if end in {EndState.OK, EndState.CHANGED, EndState.FAILED}:
            said = Output(text="installed 1.0\n" if kind is None else "no space left\n")
            code = 0 if kind is None else 3
            yield StepPart(
                endpoint=name,
                step=step,
                attempt=attempt,
                part="script",
                command="0" * 64,
                exit_code=code,
                duration_ms=900,
                stdout=said,
            )
        if end is EndState.UNKNOWN:
            why = FailureKind.LOST
            yield StepInDoubt(endpoint=name, step=step, attempt=attempt, why=detail, failure=why)
        else:
            yield StepFinished(
                endpoint=name,
                step=step,
                state=end,
                attempt=attempt,
                failure=kind,
                detail=detail,
                duration_ms=1200,
            )
        room_ms = int(self.plan.rollout.waiting_room_s * 1000)
        if end is EndState.UNREACHABLE and room_ms:
            self._parked += 1
            yield EndpointParked(endpoint=name, for_ms=room_ms)


_REASONS: Final[Mapping[EndState, tuple[FailureKind, str]]] = {
    EndState.FAILED: (FailureKind.EXIT_CODE, "exit code 3: no space left"),
    EndState.UNREACHABLE: (FailureKind.CONNECT_TIMEOUT, "did not answer"),
    EndState.UNKNOWN: (FailureKind.LOST, "the connection was lost"),
}
