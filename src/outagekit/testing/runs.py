"""A run of the real engine on scripted endpoints, with a real folder and a real log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from outagekit.events import AnswerWord, AnyEvent, EndpointId, EndState, FailureKind
from outagekit.log import writer
from outagekit.log.reader import read_records
from outagekit.plan.model import Plan
from outagekit.run.coordinator import Coordinator
from outagekit.run.engine.situation import Bounds
from outagekit.run.opening import Beginning, OpenRun, Resumption, open_run, resume_run
from outagekit.run.orders import Finished, Order
from outagekit.run.surroundings import Surroundings
from outagekit.run.wishes import Answer as Wish
from outagekit.testing.clock import FakeClock
from outagekit.testing.driver import Answer, ScriptedDriver, succeed

_E = TypeVar("_E")


def fail(
    order: Order, kind: FailureKind = FailureKind.EXIT_CODE, state: EndState = EndState.FAILED
) -> Finished:
    """Answer that the step did not do what it is for."""
    return Finished(attempt=order.attempt, state=state, failure=kind, detail="no")


def lose(order: Order) -> Finished:
    """Answer that the connection was lost after the command was sent."""
    return fail(order, FailureKind.LOST, EndState.UNKNOWN)


def refuse(order: Order) -> Finished:
    """Answer that nobody listens there."""
    return fail(order, FailureKind.REFUSED, EndState.UNREACHABLE)


def scripted(ends: Mapping[str, Answer | Sequence[Answer]], otherwise: Answer = succeed) -> Answer:
    """Return an answer that follows a script: `NAME STEP` or `NAME STEP PURPOSE` -> what comes.

    Of several the last one stays. Whatever is not in the script is answered by `otherwise`.
    """
    left = {key: [end] if callable(end) else list(end) for key, end in ends.items()}

    def answer(order: Order) -> Finished | None:
        key = f"{order.target.endpoint.name} {order.step}"
        script = left.get(f"{key} {order.purpose}") or left.get(key)
        if script is None:
            return otherwise(order)
        return (script.pop(0) if len(script) > 1 else script[0])(order)

    return answer


class Ran:
    """One life of a run that is over: its ending, its records, its driver."""

    def __init__(
        self,
        plan: Plan | Path,
        state_dir: Path,
        answer: Answer = succeed,
        *,
        prepare: Callable[[Ran], None] = lambda _ran: None,
        beginning: Beginning | None = None,
        how: Resumption | None = None,
        clock: FakeClock | None = None,
        **around: Any,
    ) -> None:
        """Run a plan, or take up the run in a folder. `around`: fields of `Surroundings`, `bounds`.

        `prepare` is called before anything runs. With a `clock` no real time passes: whenever
        nothing is to be answered, it moves on.
        """
        bounds: Bounds | None = around.pop("bounds", None)
        self.driver = ScriptedDriver(answer, clock)
        self.clock = clock
        if clock is not None:
            around.setdefault("now_ns", clock.mono_ns)
        opening: AbstractContextManager[OpenRun] = (
            resume_run(plan, how or Resumption())
            if isinstance(plan, Path)
            else open_run(plan, state_dir, beginning=beginning)
        )
        with _times_of(clock), opening as opened:
            self.folder = opened.folder.path
            self.coordinator = Coordinator(
                opened.state,
                log=opened.log,
                driver=self.driver,
                around=Surroundings(spool=opened.folder.spool, **around),
                bounds=bounds,
            )
            prepare(self)
            self.ending = self.coordinator.run()
        self.records = list(read_records(self.folder))
        self.events: list[AnyEvent] = [record.event for record in self.records]

    def of(self, kind: type[_E]) -> list[_E]:
        """Return the events of one kind, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    def state_of(self, name: str) -> EndState:
        """Return how an endpoint ended."""
        return self.ending.state.progress[EndpointId(name)].state

    def say(self, question: str, answer: AnswerWord, because: str = "") -> None:
        """Have Kim answer a question at the run's terminal; to be called while it runs."""
        self.coordinator.hear(
            Wish(question=question, answer=answer, who="Kim", os_user="kim", because=because)
        )

    @property
    def handed_out(self) -> list[str]:
        """What endpoints were given, in order: `pos-01 mend`, and the purpose if it is not `do`."""
        return [
            f"{o.target.endpoint.name} {o.step}{'' if o.purpose == 'do' else ' ' + o.purpose}"
            for o in self.driver.orders
        ]

    def orders_of(self, name: str) -> list[tuple[str, str]]:
        """Return the steps an endpoint was given, each with its purpose."""
        orders = (o for o in self.driver.orders if o.target.endpoint.id == name)
        return [(order.step, order.purpose) for order in orders]


def _times_of(clock: FakeClock | None) -> AbstractContextManager[object]:
    """Have the log take its times from a clock."""
    if clock is None:
        return nullcontext()
    return patch.object(writer, "SystemClock", lambda: clock)
