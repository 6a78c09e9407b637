"""What a run looks like from outside: a count of its records, for the live view.

Pure and cheap: no clock, no terminal, and nothing of the engine's state is read. A record that
does not fit the plan is passed over; a screen is never a reason for a run to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len

from outagekit.cli.live.counting import Counts
from outagekit.cli.live.standing import (
    ENDING,
    Mark,
    Question,
    Running,
    Said,
    Seat,
    StageCount,
    WaveCount,
    proves_contact,
)
from outagekit.cli.saying import foreseen, last_line, result_line, without_place
from outagekit.events import (
    ApprovalAsked,
    ApprovalGiven,
    EndpointExpired,
    EndpointId,
    EndpointParked,
    EndpointReturned,
    EndState,
    Event,
    OnceFinished,
    Purpose,
    Record,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    StepFinished,
    StepId,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepUndone,
    StepVerified,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.log.clock import moment_ns
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from outagekit.plan.model import Plan

__all__ = ["ENDING", "Tally", "last_line", "result_line", "without_place"]

_MS_NS: Final = 1_000_000


class Tally(Counts):
    """Counts the records of one run of `plan`, in their order, over all its process lives."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.run = ""
        self.drill = False
        self.resumed = False
        self.parked: dict[EndpointId, int] = {}
        """Endpoint in the waiting room -> monotonic ns at which it is given up."""
        self.returned = self.expired = 0
        self.questions: dict[str, Question] = {}
        """Open ones, oldest first."""
        self.since_ns: int | None = None
        self.until_ns: int | None = None
        """When the run was paused or closed."""
        self.over: RunPaused | RunClosed | None = None
        self.stopping = ""
        """Who or what asked the run to stop."""
        self.longest_name = max((cell_len(visible_line(e.id)) for e in plan.endpoints), default=0)
        self.longest_step = max((cell_len(visible_line(s.id)) for s in plan.steps), default=0)
        self.step_order = {step.id: number for number, step in enumerate(plan.steps)}
        self._asked: dict[tuple[StepId | None, EndpointId], str] = {}
        self._said: dict[str, str] = {}
        self._left: dict[str, Purpose] = {}
        """Attempt of an earlier life whose end is not known -> what it was for."""
        self._life = ""
        self._epoch_ns = self._latest_ns = 0
        self._takers = self._all_takers()

    def _all_takers(self) -> dict[type[Event], Callable[[Any, Record], None]]:
        return {
            RunOpened: self._open_run,
            RunResumed: self._resume,
            RunStopping: self._stop,
            RunPaused: self._over,
            RunClosed: self._over,
            StageOpened: self._open_stage,
            WavesCut: self._cut,
            WaveOpened: self._open_wave,
            WaveBaking: self._bake,
            WaveJudged: self._judge,
            WaveStopped: self._judge,
            WaveReopened: self._reopen,
            StepStarted: self._start,
            StepPart: self._part,
            StepFinished: self._finish,
            StepInDoubt: self._doubt,
            StepResolved: self._resolve,
            StepVerified: self._verify,
            StepUndone: self._undo,
            OnceFinished: self._finish_once,
            EndpointParked: self._park,
            EndpointReturned: self._return,
            EndpointExpired: self._expire,
            ApprovalAsked: self._ask,
            ApprovalGiven: self._answer,
        }

    @property
    def is_waiting_only(self) -> bool:
        """Whether nothing is left to do but to wait for those in the waiting room."""
        stage = self.open
        if stage is None or self.following is not None or not self.parked:
            return False
        if self.running or self.waiting or self.queued or self.stuck:
            return False
        return all(wave.phase == "passed" for wave in (stage.wave, *self.late) if wave)

    def take(self, record: Record) -> None:
        """Count one record."""
        if record.life != self._life or isinstance(record.event, RunResumed):
            self._begin_life(record)
        self._latest_ns = record.mono + self._epoch_ns
        self.run = record.run
        taker = self._takers.get(type(record.event))
        if taker is not None:
            taker(record.event, record)

    def _begin_life(self, record: Record) -> None:
        """Carry deadlines over to another clock; what ran when the last life ended is in doubt."""
        # As for the run: time stands still over a wall clock that was set back.
        epoch_ns = max(moment_ns(record.at), self._latest_ns) - record.mono
        later_ns = self._epoch_ns - epoch_ns if self._life else 0
        self._life, self._epoch_ns = record.life, epoch_ns
        self.since_ns, self.until_ns, self.over, self.stopping = record.mono, None, None, ""
        for attempt, left in list(self.running.items()):
            seat = self.seats[left.endpoint]
            self.leave(seat)
            self._left[attempt] = left.purpose
            self.weigh(seat)
        self._said.clear()
        self.forget_voices()
        self.waiting = {name: at_ns + later_ns for name, at_ns in self.waiting.items()}
        self.parked = {name: until_ns + later_ns for name, until_ns in self.parked.items()}
        for wave in self._waves():
            wave.until_ns = None if wave.until_ns is None else wave.until_ns + later_ns

    def _waves(self) -> list[WaveCount]:
        found = [wave for stage in self.stages for wave in (*stage.waves, stage.late)]
        return [wave for wave in found if wave is not None]

    # The run and its waves.

    def _open_run(self, event: RunOpened, _record: Record) -> None:
        self.drill = event.drill

    def _resume(self, event: RunResumed, record: Record) -> None:
        self.resumed = True
        # Whatever still waits for a person is asked again.
        for question in list(self.questions.values()):
            self._withdraw(question)
        room_ns = int(self.plan.rollout.waiting_room_s * 1_000_000_000)
        self.parked = dict.fromkeys(self.parked, record.mono + room_ns)
        stuck = self.stuck
        if stuck is not None and event.retry:
            stuck.phase = "retried"
            self.try_again(stuck)

    def _stop(self, event: RunStopping, _record: Record) -> None:
        self.stopping = event.who or event.why or "a person"

    def _over(self, event: RunPaused | RunClosed, record: Record) -> None:
        self.until_ns, self.over = record.mono, event

    def _stage(self, number: int) -> StageCount | None:
        return self.stages[number - 1] if 0 < number <= len(self.stages) else None

    def _open_stage(self, event: StageOpened, _record: Record) -> None:
        stage = self._stage(event.stage)
        if stage is None:
            return
        self.open = stage
        stage.total = event.endpoints
        if stage.stage.once is not None:
            stage.total = len(self.plan.clients) if stage.stage.once == "client" else 1
        self.catch_up(stage)

    def _cut(self, event: WavesCut, _record: Record) -> None:
        stage = self._stage(event.stage)
        if stage is not None:
            stage.is_cut, stage.sizes, stage.outside = True, event.sizes, event.outside

    def _open_wave(self, event: WaveOpened, _record: Record) -> None:
        stage = self._stage(event.stage)
        if stage is not None:
            size, limits = event.endpoints, event.limits
            stage.open_wave(WaveCount(event.stage, event.wave, event.waves, size, limits))

    def _wave(self, stage_number: int, number: int) -> WaveCount | None:
        stage = self._stage(stage_number)
        if stage is None:
            return None
        if number:
            return stage.wave
        if stage.late is None:
            stage.late = WaveCount(stage_number, 0, len(stage.sizes), 0)
        return stage.late

    def _bake(self, event: WaveBaking, record: Record) -> None:
        wave = self._wave(event.stage, event.wave)
        if wave is not None:
            wave.phase, wave.until_ns = "baking", record.mono + event.for_ms * _MS_NS

    def _judge(self, event: WaveJudged | WaveStopped, _record: Record) -> None:
        wave, stuck = self._wave(event.stage, event.wave), self.stuck
        if stuck is not None and stuck is not wave:  # others are why now
            stuck.phase = "passed" if stuck.ends.done >= stuck.size else "open"
        if wave is not None:
            passed = isinstance(event, WaveJudged) and event.passed
            wave.phase = "passed" if passed else "closed"
            wave.until_ns, wave.sums = None, event.sums

    def _reopen(self, event: WaveReopened, _record: Record) -> None:
        wave = self._wave(event.stage, event.wave)
        if wave is not None:
            over = wave.ends.done >= wave.size
            wave.phase, wave.because = "passed" if over else "open", event.because
            wave.sums = event.sums if over else ()

    # What happens on endpoints.

    def _seat(self, event: Any) -> Seat | None:
        """Return where the endpoint of an event stands; None if it or the step is not known."""
        return self.seats.get(event.endpoint) if event.step in self.stage_of else None

    def _start(self, event: StepStarted, record: Record) -> None:
        seat = self._seat(event)
        if seat is not None:
            at = (event.endpoint, event.step, event.number, record.mono)
            self.begin(seat, Running(*at, event.purpose), event.attempt)

    def _part(self, event: StepPart, _record: Record) -> None:
        seat = self._seat(event)
        if seat is None:
            return
        if event.part == "script":
            self._said[event.attempt] = last_line(event.stdout.tail or event.stdout.text)
        self.note_answer(seat, self.stage_of[event.step])

    def _finish(self, event: StepFinished, record: Record) -> None:
        seat = self._seat(event)
        if seat is None:
            return
        self.leave(seat)
        said = self._said.pop(event.attempt or "", "")
        self._left.pop(event.attempt or "", None)
        self._forget_question(event.step, event.endpoint)
        if event.attempt is not None and proves_contact(event.state, event.failure):
            self.note_answer(seat, self.stage_of[event.step])
        if event.retry_in_ms is not None:
            self.waiting[event.endpoint] = record.mono + event.retry_in_ms * _MS_NS
            self.weigh(seat)
            return
        self.waiting.pop(event.endpoint, None)
        self.doubts.pop(event.endpoint, None)
        self.end(seat, _said_of(event, said))

    def _doubt(self, event: StepInDoubt, _record: Record) -> None:
        seat = self._seat(event)
        if seat is None:
            return
        running = self.leave(seat)
        self._said.pop(event.attempt, None)
        purpose = self._left.pop(event.attempt, running.purpose if running else "do")
        if purpose == "do":
            self.doubts[event.endpoint] = event.step
            said = Said(event.step, EndState.UNKNOWN, event.failure, event.why, "doubt")
            self.end(seat, said)
        self.weigh(seat)

    def _resolve(self, event: StepResolved, _record: Record) -> None:
        seat = self._seat(event)
        if seat is None:
            return
        self.leave(seat)
        self.doubts.pop(event.endpoint, None)
        self._forget_question(event.step, event.endpoint)
        if event.how == "probed" and event.state is not EndState.UNKNOWN:
            self.note_answer(seat, self.stage_of[event.step])
        self.put_aside(seat, aside=event.endpoint in self.parked)
        said = self._said.pop(event.attempt, "")
        self.retract(seat, event.step)
        if event.state is not None:
            mark: Mark = "passed_over" if event.how == "skipped" else ""
            text = event.detail or said
            self.end(seat, Said(event.step, event.state, event.failure, text, mark))
        self.fall_behind(seat, event.step)
        self.weigh(seat)

    def _verify(self, event: StepVerified, _record: Record) -> None:
        seat = self._seat(event)
        if seat is None:
            return
        self.leave(seat)
        self._left.pop(event.attempt, None)
        if event.state in ENDING or event.step not in seat.ends:
            mark: Mark = "stood" if event.state in ENDING else ""
            self.end(seat, Said(event.step, event.state, event.failure, event.detail, mark))
        self.weigh(seat)

    def _undo(self, event: StepUndone, _record: Record) -> None:
        seat = self._seat(event)
        if seat is None:
            return
        self.leave(seat)
        self._left.pop(event.attempt, None)
        said = Said(event.step, event.state, event.failure, event.detail, "undo")
        self.add_fold(seat.endpoint, said)
        self.weigh(seat)

    def _finish_once(self, event: OnceFinished, _record: Record) -> None:
        if event.step in self.stage_of:
            self.end_once(event)

    # Who is waited for.

    def _park(self, event: EndpointParked, record: Record) -> None:
        seat = self.seats.get(event.endpoint)
        if seat is not None:
            self.parked[event.endpoint] = record.mono + event.for_ms * _MS_NS
            self.put_aside(seat, aside=True)

    def _return(self, event: EndpointReturned, _record: Record) -> None:
        if self.parked.pop(event.endpoint, None) is not None:
            self.returned += 1
            self.come_back(self.seats[event.endpoint])

    def _expire(self, event: EndpointExpired, _record: Record) -> None:
        if self.parked.pop(event.endpoint, None) is None:
            return
        self.expired += 1
        self.give_up(self.seats[event.endpoint])

    def _ask(self, event: ApprovalAsked, record: Record) -> None:
        self.questions[event.question] = Question(event, record.mono)
        seat = None if event.endpoint is None else self.seats.get(event.endpoint)
        if seat is not None and event.endpoint is not None:
            self._asked[event.step, event.endpoint] = event.question
            if event.kind == "doubt":
                self.put_aside(seat, aside=True)

    def _answer(self, event: ApprovalGiven, _record: Record) -> None:
        question = self.questions.get(event.question)
        if question is not None:
            self._withdraw(question)

    def _withdraw(self, question: Question) -> None:
        event = question.event
        self.questions.pop(event.question, None)
        if event.endpoint is not None:
            self._asked.pop((event.step, event.endpoint), None)
            if event.kind == "doubt" and event.endpoint in self.seats:
                parked = event.endpoint in self.parked
                self.put_aside(self.seats[event.endpoint], aside=parked)

    def _forget_question(self, step: StepId, endpoint: EndpointId) -> None:
        question = self.questions.get(self._asked.get((step, endpoint), ""))
        if question is not None:
            self._withdraw(question)


def _said_of(event: StepFinished, last: str) -> Said:
    sure, text = foreseen(event)
    if event.state in {EndState.OK, EndState.CHANGED}:
        text = result_line(event.result) or last or event.detail
    mark: Mark = "refused" if event.refused else "would" if sure else ""
    return Said(event.step, event.state, event.failure, text, mark)
