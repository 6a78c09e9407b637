"""Subscribers: told about records once they are on disk, each in a thread of its own.

A subscriber can be slow, block for ever or raise; the log and the other subscribers do not notice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from outagekit.events import Record

OnRecords = Callable[[tuple["Record", ...]], None]
"""Called with records that are on disk, in order, none left out, one call at a time."""

_MAX_BACKLOG: Final = 100_000


class Subscription:
    """Delivers records to one callback from a daemon thread."""

    def __init__(self, callback: OnRecords, on_removed: Callable[[str], None]) -> None:
        self._callback = callback
        self._on_removed = on_removed
        self._backlog: deque[tuple[Record, ...]] = deque()
        self._waiting = 0
        self._open = True
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._deliver, name="log-subscriber", daemon=True)
        self._thread.start()

    def offer(self, records: tuple[Record, ...]) -> None:
        """Queue records for delivery; never blocks. A hopeless backlog ends the subscription."""
        with self._more:
            if not self._open:
                return
            self._backlog.append(records)
            self._waiting += len(records)
            overrun = self._waiting > _MAX_BACKLOG
            self._open = not overrun
            if overrun:
                self._backlog.clear()
            self._more.notify()
        if overrun:
            self._on_removed("it did not take what it was told")

    def stop(self) -> None:
        """Accept nothing more; what is queued is still delivered."""
        with self._more:
            self._open = False
            self._more.notify()

    def join(self, timeout_s: float) -> None:
        """Wait until the last delivery has returned, at most `timeout_s`."""
        if threading.current_thread() is not self._thread:
            self._thread.join(max(timeout_s, 0))

    def cancel(self) -> None:
        """Deliver nothing more."""
        with self._more:
            self._open = False
            self._backlog.clear()
            self._more.notify()

    def _deliver(self) -> None:
        while (records := self._next()) is not None:
            try:
                self._callback(records)
            except Exception as error:  # noqa: BLE001  (whatever it raises must not hurt the run)
                self.cancel()
                self._on_removed(f"it raised {type(error).__name__}")
                return

    def _next(self) -> tuple[Record, ...] | None:
        with self._more:
            while self._open and not self._backlog:
                self._more.wait()
            if not self._backlog:
                return None
            records = self._backlog.popleft()
            self._waiting -= len(records)
            return records
