"""Names looked up aside: who asks never waits, and a resolver that hangs holds up no other name."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from outagekit.transports.sockets import Place, look_up

K = TypeVar("K", bound=Hashable)

_AT_ONCE: Final = 4
_LATE_S: Final = 5.0
"""After so long a lookup counts as hanging, and another thread takes its place."""
_MOST_THREADS: Final = 32


@dataclass(frozen=True, slots=True)
class _Question(Generic[K]):
    key: K
    address: str
    port: int


class Lookups(Generic[K]):
    """Looks up names in a few daemon threads, which end when nothing is left to look up."""

    def __init__(self, done: Callable[[K, list[Place]], None]) -> None:
        """`done` is called in a thread of ours, without any place if there is no answer."""
        self._done = done
        self._guard = threading.Lock()
        self._waiting: deque[_Question[K]] = deque()
        self._open: set[K] = set()
        self._began: dict[int, float] = {}
        """When each thread began its present lookup."""

    def ask(self, key: K, address: str, port: int) -> None:
        """Have a name looked up; nothing if that is under way already."""
        with self._guard:
            if key not in self._open:
                self._open.add(key)
                self._waiting.append(_Question(key, address, port))
            self._staff()

    def close(self) -> None:
        """Look up nothing more."""
        with self._guard:
            self._waiting.clear()

    def _staff(self) -> None:
        now_s = time.monotonic()
        lively = sum(now_s - began_s < _LATE_S for began_s in self._began.values())
        room = min(_AT_ONCE - lively, _MOST_THREADS - len(self._began), len(self._waiting))
        for _ in range(room):
            thread = threading.Thread(target=self._work, daemon=True, name="outagekit-resolve")
            try:
                thread.start()
            except RuntimeError:  # this machine has no room for a thread now; asked again later
                return
            # Counted by its own name as soon as it exists, or the next call starts another.
            self._began[thread.ident or 0] = now_s

    def _work(self) -> None:
        me = threading.get_ident()
        while (question := self._next(me)) is not None:
            try:
                places = look_up(question.address, question.port)
            except (OSError, UnicodeError):
                places = []
            with self._guard:
                self._open.discard(question.key)
            self._done(question.key, places)

    def _next(self, me: int) -> _Question[K] | None:
        with self._guard:
            if not self._waiting:
                self._began.pop(me, None)
                return None
            self._began[me] = time.monotonic()
            return self._waiting.popleft()
