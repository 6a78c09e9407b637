"""Knocking at endpoints that cannot be connected to straight from here: a call that blocks each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

K = TypeVar("K")

_MOST_THREADS: Final = 32


class Knocks(Generic[K]):
    """Knocks in a few daemon threads, which end when there is nowhere left to knock."""

    def __init__(self, knock: Callable[[K], bool], done: Callable[[K, bool], None]) -> None:
        """`knock` says whether somebody answers; `done` is told so, in a thread of ours."""
        self._knock = knock
        self._done = done
        self._guard = threading.Lock()
        self._waiting: deque[K] = deque()
        self._threads = 0
        self._closed = False

    def ask(self, key: K) -> None:
        """Have somebody knocked at; `done` is told once, whatever comes of it."""
        with self._guard:
            self._waiting.append(key)
            if self._threads >= _MOST_THREADS:
                return
            self._threads += 1
        thread = threading.Thread(target=self._work, daemon=True, name="outagekit-knock")
        try:
            thread.start()
        except RuntimeError:  # this machine has no room for a thread now
            self._retire()

    def close(self) -> None:
        """Knock nowhere else."""
        with self._guard:
            self._closed = True
            self._waiting.clear()

    def _retire(self) -> None:
        with self._guard:
            self._threads -= 1
            stranded = list(self._waiting) if not self._threads else []
            if stranded:
                self._waiting.clear()
        for key in stranded:
            self._done(key, False)  # noqa: FBT003  (nobody has answered)

    def _work(self) -> None:
        while (key := self._next()) is not None:
            answered = False
            try:
                answered = self._knock(key)
            except Exception:  # noqa: BLE001  (a place that cannot be worked out answers nobody)
                answered = False
            if not self._closed:
                self._done(key, answered)

    def _next(self) -> K | None:
        with self._guard:
            if not self._waiting:
                self._threads -= 1
                return None
            return self._waiting.popleft()
