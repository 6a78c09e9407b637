"""How endpoints are counted while a run goes on: each once, as what it is now. Pure.

A step that is done again, a doubt that is settled, an endpoint that comes back are taken out of
the counts before they are put in anew. What an event costs does not depend on how many endpoints
there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from outagekit.cli.live.standing import (
    ENDING,
    Counted,
    Ends,
    Fold,
    Running,
    Said,
    Seat,
    StageCount,
    WaveCount,
    rank_of,
)
from outagekit.cli.saying import LONGEST, without_place
from outagekit.events import EndpointId, EndState, GateLimit, OnceFinished, StepId
from outagekit.text import visible_line

if TYPE_CHECKING:
    from outagekit.inventory.model import Endpoint
    from outagekit.plan.model import Plan, Stage

_MOST_FOLDS: Final = 500
"""So many different answers are told apart; nobody reads more, and drawing stays cheap."""
_NOTHING_DONE: Final = frozenset({EndState.OK, EndState.SKIPPED})
_OTHERWISE: Final = "said otherwise"


class Counts:
    """Endpoints by stage, by wave and by what was said of them; what runs and what waits."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.stages = tuple(StageCount(stage) for stage in plan.stages)
        self.open: StageCount | None = None
        self.running: dict[str, Running] = {}
        """Attempt -> what runs, oldest first."""
        self.waiting: dict[EndpointId, int] = {}
        """Endpoint -> monotonic ns at which its next try begins."""
        self.doubts: dict[EndpointId, StepId] = {}
        """Endpoint -> the step of which nobody knows yet whether it happened."""
        self.folds: dict[Said, Fold] = {}
        self.ends = Ends()
        """Every endpoint as what it would be called if the run ended now.

        Not yet those that are well so far, and may still have something to be changed on them.
        """
        self.dead = 0
        """Endpoints that came to an early end."""
        self.seats = {endpoint.id: Seat(endpoint) for endpoint in plan.endpoints}
        self.stage_of = {step: each for each in self.stages for step in each.stage.steps}
        changes = [each for each in plan.stages if each.changes and not each.once]
        self._mends = changes[-1] if changes else None
        """The last stage in which endpoints are changed."""
        self._changing = frozenset(step.id for step in plan.steps if step.changes)
        self._once: dict[tuple[StepId, str], Said] = {}
        self._busy = 0

    @property
    def queued(self) -> int:
        """Endpoints that could begin a step as soon as there is room: of the open wave, if any."""
        stage = self.open
        if stage is None or stage.total is None or stage.stage.once or self.stuck:
            return 0
        if stage.sizes:
            return stage.wave.queued if stage.wave is not None else 0
        return max(stage.total - stage.done - self._busy, 0)

    @property
    def stuck(self) -> WaveCount | None:
        """The wave whose gate is closed, or None."""
        return next((stage.stuck for stage in self.stages if stage.stuck), None)

    @property
    def alive(self) -> int:
        """Endpoints that have not come to an early end."""
        return len(self.seats) - self.dead

    @property
    def wave(self) -> WaveCount | None:
        """The wave that matters: that of a closed gate, else the last of the open stage.

        After the last stage that runs in waves it is that stage's.
        """
        if self.stuck is not None:
            return self.stuck
        number = self.open.number if self.open else 0
        for stage in reversed(self.stages[:number]):
            if stage.wave is not None:
                return stage.wave
            if any(each.changes and not each.once for each in self.plan.stages[stage.number - 1 :]):
                return None
        return None

    @property
    def late(self) -> list[WaveCount]:
        """Those who came back too late for any wave, a group for each stage they were late in."""
        return [each.late for each in self.stages if each.late is not None and each.late.size]

    @property
    def following(self) -> Stage | None:
        """The stage after the open one, or None."""
        number = self.open.number if self.open else 0
        return self.plan.stages[number] if number < len(self.plan.stages) else None

    def found(self, wave: WaveCount, limit: GateLimit) -> int:
        """Return the number that a line of a wave's gate is about, as far as it is known."""
        if limit.scope == "wave":
            return wave.ends.found(limit.what)
        if limit.what == "answered":
            return self.stages[wave.stage - 1].among.answered
        return sum(stage.among.found(limit.what) for stage in self.stages)

    def begin(self, seat: Seat, running: Running, attempt: str) -> None:
        """Let an attempt run on an endpoint."""
        stage = self.stage_of[running.step]
        self.leave(seat)
        self.waiting.pop(running.endpoint, None)
        if running.purpose in {"do", "foresee"}:
            self.doubts.pop(running.endpoint, None)
            self.retract(seat, running.step)
            self._join(seat, stage, running.step)
        seat.attempt = attempt
        self.running[attempt] = running
        self.weigh(seat)

    def leave(self, seat: Seat) -> Running | None:
        """Let what runs on an endpoint be over, and return what that was."""
        attempt, seat.attempt = seat.attempt, ""
        return self.running.pop(attempt, None)

    def weigh(self, seat: Seat) -> None:
        """Count an endpoint as busy or away, so that it is not counted as queued, or no longer."""
        name = seat.endpoint.id
        busy = bool(seat.attempt) or seat.aside or name in self.waiting or name in self.doubts
        if self.open is not None:
            number = self.open.number
            busy = busy and not seat.is_done_in(number) and number not in seat.dismissed
        change = busy - seat.busy
        if not change:
            return
        seat.busy = busy
        self._busy += change
        wave = seat.waves.get(self.open.number) if self.open is not None else None
        if wave is not None:
            wave.busy += change

    def note_answer(self, seat: Seat, stage: StageCount) -> None:
        """Remember that a command of ours ran on an endpoint in a stage."""
        seat.heard = True
        if stage.number in seat.answered:
            return
        seat.answered.add(stage.number)
        for group in seat.groups_in(stage):
            group.answered += 1

    def forget_voices(self) -> None:
        """Let every endpoint be one that no command of ours has run on since a process began."""
        for seat in self.seats.values():
            seat.heard = False

    def end(self, seat: Seat, said: Said) -> None:
        """Count a step's end on an endpoint, instead of what that step was counted as."""
        stage = self.stage_of[said.step]
        self.retract(seat, said.step)
        if said.state is not EndState.SKIPPED or stage.outside == 0:
            self._join(seat, stage, said.step)
        said = self.add_fold(seat.endpoint, said)
        seat.ends[said.step] = said
        self._stand(seat)
        self._mark_bad(seat, said.ending)
        self.recount(seat, stage)
        if said.ending:
            self._dismiss(seat, stage.number)
        self.weigh(seat)

    def retract(self, seat: Seat, step: StepId) -> None:
        """Take a step's end out of all counts: it is done again, or ended otherwise."""
        said = seat.ends.pop(step, None)
        if said is None:
            return
        self._stand(seat)
        self.drop_fold(said, seat.endpoint.id)
        self._mark_bad(seat, -said.ending)
        self.recount(seat, self.stage_of[step])
        if not seat.bad:
            self._readmit(seat)

    def _stand(self, seat: Seat) -> None:
        """Count an endpoint among all as the worst of its ends."""
        worst = min((said.word for said in seat.ends.values()), key=rank_of, default=None)
        if worst in _NOTHING_DONE and self._mends is not None and not seat.word_in(self._mends):
            worst = None  # nothing is wrong so far, but what it may need is still to come
        if worst != seat.worst:
            self.ends.move(seat.worst, worst)
            seat.worst = worst

    def recount(self, seat: Seat, stage: StageCount) -> None:
        """Count an endpoint in a stage as what it is now."""
        before, after = seat.counted.get(stage.number, Counted()), seat.counts_in(stage.stage)
        if before != after and stage.stage.once is None:
            seat.move(stage, before, after)
            seat.counted[stage.number] = after
            if after.word is not None and stage.number in seat.dismissed:
                seat.dismissed.remove(stage.number)
                stage.total = (stage.total or 0) + 1

    def put_aside(self, seat: Seat, *, aside: bool) -> None:
        """Let nobody wait for an endpoint any more, or count on it again."""
        if aside == seat.aside:
            return
        seat.aside = aside
        self._mark_bad(seat, 0)
        if aside:
            self._readmit(seat)
        for step in list(seat.ends):
            self.recount(seat, self.stage_of[step])
        self.weigh(seat)

    def give_up(self, seat: Seat) -> None:
        """Wait no longer for an endpoint in the waiting room; what was in doubt stays unknown."""
        step = self.doubts.pop(seat.endpoint.id, None)
        said = seat.ends.get(step) if step is not None else None
        self.put_aside(seat, aside=False)
        if said is not None:
            self.end(seat, said._replace(mark=""))
        for step in [s for s, said in seat.ends.items() if said.ending]:
            self._dismiss(seat, self.stage_of[step].number)

    def come_back(self, seat: Seat) -> None:
        """Let an endpoint go on where it was when it could not be reached."""
        seat.behind = True
        for step in [s for s, said in seat.ends.items() if said.state is EndState.UNREACHABLE]:
            self.retract(seat, step)
        self.put_aside(seat, aside=False)
        self._recount_waves(seat)
        self.weigh(seat)

    def fall_behind(self, seat: Seat, step: StepId) -> None:
        """Let an endpoint go on after a doubt, behind the others if they have gone on."""
        stage = self.stage_of[step]
        passed = self.open is not None and stage.number < self.open.number
        if not seat.bad and (passed or self._is_passed(seat, stage)):
            seat.behind = True
            self._recount_waves(seat)

    def _recount_waves(self, seat: Seat) -> None:
        for number in seat.waves:
            self.recount(seat, self.stages[number - 1])

    def catch_up(self, stage: StageCount) -> None:
        """Let who came back, and is through with all before a new stage, go with the others."""
        for seat in self.seats.values():
            if seat.behind and not seat.aside:
                seat.behind = stage.number > 1 and not seat.is_done_in(stage.number - 1)
        missing = [s for s in self.seats.values() if s.dead or not self._has_reached(s, stage)]
        if len(self.seats) - len(missing) != stage.total:
            missing = [seat for seat in self.seats.values() if seat.dead]
        for seat in missing:
            seat.dismissed.add(stage.number)
        for seat in self.seats.values():
            self.weigh(seat)

    def try_again(self, wave: WaveCount) -> None:
        """Take back what closed a gate; what is unknown is in doubt again."""
        stage = self.stages[wave.stage - 1]
        for seat in self.seats.values():
            member = seat.late if wave.number == 0 else seat.waves.get(wave.stage)
            if member is not wave or not seat.bad or seat.aside:
                continue
            for step in [s for s in stage.stage.steps if s in seat.ends]:
                said = seat.ends[step]
                if not said.ending or said.mark == "refused":
                    continue
                self.retract(seat, step)
                if said.state is EndState.UNKNOWN and said.mark != "stood":
                    self.doubts[seat.endpoint.id] = step
                    self.end(seat, said._replace(mark="doubt"))
            self.weigh(seat)

    def end_once(self, event: OnceFinished) -> None:
        """Count the end of a step that happens once per client or run."""
        stage = self.stage_of[event.step]
        text = ": ".join(filter(None, (event.client, event.detail)))
        shown = visible_line(text[:LONGEST])
        said = Said(event.step, event.state, None, shown)
        before = self._once.get((event.step, event.client))
        if before is not None:
            self.drop_fold(before)
        self._once[event.step, event.client] = said
        self.folds.setdefault(said, Fold(0, shown)).count += 1
        stage.ends.move(before.word if before else None, said.word)
        if event.refused:
            for seat in self.seats.values():
                if event.client in {"", seat.endpoint.client}:
                    self._mark_bad(seat, 1)

    def add_fold(self, endpoint: Endpoint, said: Said) -> Said:
        """Count what was said of an endpoint; return it as it is counted."""
        shown = visible_line(said.text[:LONGEST])
        key = said._replace(text=without_place(shown, endpoint))
        if len(self.folds) >= _MOST_FOLDS and key not in self.folds:
            shown = _OTHERWISE
            key = said._replace(text=shown)
        fold = self.folds.setdefault(key, Fold(0, shown))
        fold.count += 1
        if key.state in ENDING:
            fold.names[endpoint.id] = None
        return key

    def drop_fold(self, said: Said, endpoint: EndpointId | None = None) -> None:
        """Count it no more."""
        fold = self.folds.get(said)
        if fold is not None:
            fold.count -= 1
            if endpoint is not None:
                fold.names.pop(endpoint, None)
            if not fold.count:
                del self.folds[said]

    def _join(self, seat: Seat, stage: StageCount, step: StepId) -> None:
        """Count an endpoint in the open wave of its stage from its first sign there.

        The log does not say who is in a wave. Who stays outside all waves changes nothing, so
        the first changing step tells them apart.
        """
        number = stage.number
        if not stage.sizes:
            return
        if seat.behind or self._is_passed(seat, stage):
            self._join_late(seat, stage)
            return
        wave = stage.wave
        if wave is None or number in seat.waves or wave.begun >= wave.size:
            return
        if step not in self._changing and stage.outside:
            return
        wave.begun += 1
        wave.busy += seat.busy
        self._enter(seat, stage, wave)
        seat.waves[number] = wave

    def _is_passed(self, seat: Seat, stage: StageCount) -> bool:
        """Return whether the wave an endpoint is in has been passed by the others."""
        wave = seat.waves.get(stage.number)
        if wave is None:
            return False
        return wave.phase == "passed" or wave is not stage.wave

    def _join_late(self, seat: Seat, stage: StageCount) -> None:
        if stage.late is None:
            stage.late = WaveCount(stage.number, 0, len(stage.sizes), 0)
        if seat.late is not stage.late:
            stage.late.size += 1
            self._enter(seat, stage, stage.late)
            seat.late = stage.late

    def _enter(self, seat: Seat, stage: StageCount, wave: WaveCount) -> None:
        """Count an endpoint in a wave as what it is counted as in the stage."""
        counted = seat.counted.get(stage.number, Counted())
        groups = [wave.ends] if seat.groups_in(stage) else [wave.ends, stage.among]
        for group in groups:
            group.move(None, counted.word)
            group.answered += stage.number in seat.answered

    def _has_reached(self, seat: Seat, to: StageCount) -> bool:
        """Return whether an endpoint is through with everything before a stage."""
        earlier = (each.stage for each in self.stages[: to.number - 1] if not each.stage.once)
        return all(step in seat.ends for stage in earlier for step in stage.steps)

    def _dismiss(self, seat: Seat, ended_in: int) -> None:
        """Count an endpoint no longer in stages that have begun and that it will not get to."""
        upto = self.open.number if self.open is not None else 0
        for stage in self.stages[ended_in:upto]:
            counted = stage.number not in seat.dismissed and not seat.is_done_in(stage.number)
            if stage.total and counted and not stage.stage.once:
                stage.total -= 1
                seat.dismissed.add(stage.number)

    def _readmit(self, seat: Seat) -> None:
        """Count it there again, since it may go on."""
        for number in seat.dismissed:
            stage = self.stages[number - 1]
            stage.total = (stage.total or 0) + 1
        seat.dismissed.clear()

    def _mark_bad(self, seat: Seat, change: int) -> None:
        seat.bad += change
        dead = seat.bad > 0 and not seat.aside
        self.dead += dead - seat.dead
        seat.dead = dead
