"""Time limits for calls that have none of their own.

One daemon thread calls back when time is up, so that a blocked call can be freed from outside. It
may end nothing by itself and must never be handed a callback that blocks.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Alarm:
    """A callback that waits for its time."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        """Forget the callback, so that what it holds is free at once."""
        self._callback = None

    def ring(self) -> None:
        """Call back once, unless cancelled. Exceptions end here: the thread serves all."""
        callback, self._callback = self._callback, None
        if callback is not None:
            with contextlib.suppress(Exception):
                callback()


class Watchdog:
    """Rings alarms in time order from one daemon thread, begun with the first alarm."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Alarm]] = []
        self._numbers = itertools.count()
        self._running = False

    def after(self, seconds: float, callback: Callable[[], object]) -> Alarm:
        """Return an alarm that calls back after so many seconds, unless it is cancelled."""
        alarm = Alarm(callback)
        entry = (time.monotonic() + seconds, next(self._numbers), alarm)
        with self._changed:
            heapq.heappush(self._waiting, entry)
            if not self._running:
                self._running = True
                threading.Thread(target=self._watch, daemon=True, name="outagekit-watch").start()
            elif self._waiting[0] is entry:
                self._changed.notify()
        return alarm

    @contextlib.contextmanager
    def limit(self, seconds: float, callback: Callable[[], object]) -> Iterator[None]:
        """Call back if the block takes longer than so many seconds."""
        alarm = self.after(seconds, callback)
        try:
            yield
        finally:
            alarm.cancel()

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._due():
                    left_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
                    self._changed.wait(left_s)
                _, _, alarm = heapq.heappop(self._waiting)
            alarm.ring()

    def _due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= time.monotonic()


WATCHDOG = Watchdog()
"""The one of this process."""


def in_time(call: Callable[[], T], seconds: float) -> T:
    """Return what `call` returns or raise what it raises, or `TimeoutError` when time is up.

    It runs in a daemon thread, which is left behind if it does not end.
    """
    answers: queue.SimpleQueue[tuple[T, None] | tuple[None, Exception]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((call(), None))
        except Exception as fault:  # noqa: BLE001  (raised again in the caller's thread)
            answers.put((None, fault))

    threading.Thread(target=work, daemon=True, name="outagekit-in-time").start()
    try:
        value, fault = answers.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise TimeoutError from None
    if fault is not None:
        raise fault
    return value  # type: ignore[return-value]  # a value whenever there is no fault
