"""A driver whose endpoints answer as a script says: no threads, no network, no time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from outagekit.events import AttemptId, EndpointId, EndState
from outagekit.run.orders import Answers, Finished, Order, Report, Settled, Tidied
from outagekit.testing.clock import FakeClock
from outagekit.transports.protocol import Target

Answer = Callable[[Order], Finished | None]
"""What an endpoint reports for an order; None: nothing, it hangs."""
_IDLE_S = 10.0
"""How far a clock is moved on when there is nothing to answer."""
_MOST_IDLE = 20_000
"""A run that waits so often in a row, and nothing comes of it, does not end."""


def succeed(order: Order) -> Finished:
    """Answer that the step did what it is for."""
    state = EndState.CHANGED if order.changes else EndState.OK
    return Finished(attempt=order.attempt, state=state)


class ScriptedDriver:
    """Keeps every order it was given; answers one of them at each call of `reports`.

    Orders and reports make a round trip through JSON, as they would to another process.
    """

    def __init__(self, answer: Answer = succeed, clock: FakeClock | None = None) -> None:
        """`clock` is moved on whenever nothing is to be answered."""
        self.orders: list[Order] = []
        self.cancelled: list[AttemptId] = []
        self.watched: dict[EndpointId, float] = {}
        """Whose port is probed, and the delay that was asked for."""
        self.released: list[Order] = []
        self.known: dict[AttemptId, Settled] = {}
        """What is told of attempts of an earlier life."""
        self.while_idle: Callable[[], None] = lambda: None
        """Is called whenever nothing is to be answered: the place for people, and for returns."""
        self._aside: list[Report] = []
        self.most_at_once = 0
        self.closed = False
        self._answer = answer
        self._clock = clock
        self._idle = 0
        self._waiting: deque[Order] = deque()

    def submit(self, order: Order) -> None:
        """Take an order."""
        received = msgspec.json.decode(msgspec.json.encode(order), type=Order)
        if received != order:
            message = f"{order} does not survive JSON"
            raise ValueError(message)
        self.orders.append(received)
        self._waiting.append(received)
        self.most_at_once = max(self.most_at_once, len(self._waiting))

    def cancel(self, attempt: AttemptId) -> None:
        """Remember the wish."""
        self.cancelled.append(attempt)

    def reports(self, timeout_s: float) -> Sequence[Report]:
        """Answer the order that waits longest; what came otherwise is told before."""
        if self._aside:
            aside, self._aside = tuple(self._aside), []
            return aside
        if not self._waiting:
            return self._wait()
        self._idle = 0
        order = self._waiting.popleft()
        finished = self._answer(order)
        if finished is None:
            self._waiting.append(order)
            return ()
        return (msgspec.json.decode(msgspec.json.encode(finished), type=Finished),)

    def _wait(self) -> Sequence[Report]:
        self._idle += 1
        if self._idle > _MOST_IDLE:
            message = "the run waits for something that does not come"
            raise RuntimeError(message)
        if self._clock is not None:
            self._clock.advance(_IDLE_S)
        self.while_idle()
        aside, self._aside = tuple(self._aside), []
        return aside

    def settle(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Settled]:
        """Tell what `known` says; of all others there is no record."""
        nothing = Settled(kind="no_record")
        return {attempt: self.known.get(attempt, nothing) for attempt in attempts}

    def watch(self, target: Target, after_s: float) -> None:
        """Remember who is watched."""
        self.watched[target.endpoint.id] = after_s

    def unwatch(self, endpoint: EndpointId) -> None:
        """Forget it."""
        self.watched.pop(endpoint, None)

    def come_back(self, endpoint: EndpointId) -> None:
        """Have a watched endpoint's port answer."""
        if self.watched.pop(endpoint, None) is not None:
            self._aside.append(Answers(endpoint=endpoint))

    def report(self, report: Report) -> None:
        """Have something told that answers no order of this life."""
        self._aside.append(report)

    def pending(self, attempt: AttemptId) -> bool:
        """Return whether an order has not been answered yet."""
        return any(order.attempt == attempt for order in self._waiting)

    def release(self, order: Order) -> None:
        """Tidy up at once."""
        self.released.append(order)
        tidied = Tidied(endpoint=order.target.endpoint.id, step=order.step, detach=order.detach)
        self._aside.append(tidied)

    def close(self, grace_s: float) -> None:
        """Remember that it was closed."""
        self.closed = True
