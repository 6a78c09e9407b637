"""Signals ask a run to stop; they never interrupt it in the middle of a thought."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_WORDS = {"SIGINT": "Ctrl-C", "SIGBREAK": "Ctrl-Break"}
_BY_HAND = frozenset(_WORDS.values())
_ONE_WISH_NS = 1_000_000_000


class StopRequests:
    """Wishes to stop, kept until there is somebody to hear them.

    Ctrl-C counts every time. What the system sends within a second of an earlier wish is the same
    wish: whoever closes a terminal, or ends a whole group of processes, sends it more than once.
    """

    def __init__(self, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._asked: list[str] = []
        self._hear: Callable[[str], None] | None = None
        self._now_ns = now_ns
        self._last_ns: int | None = None

    def ask(self, why: str) -> None:
        """Take a wish; safe to call from a signal handler."""
        before_ns, self._last_ns = self._last_ns, self._now_ns()
        echoes = before_ns is not None and self._last_ns - before_ns < _ONE_WISH_NS
        if echoes and why not in _BY_HAND:
            return
        self._asked.append(why)
        self._pass_on()

    def heard_by(self, hear: Callable[[str], None]) -> None:
        """Tell `hear` every wish, also those from before, each once."""
        self._hear = hear
        self._pass_on()

    def _pass_on(self) -> None:
        while self._hear is not None and self._asked:
            self._hear(self._asked.pop(0))


@contextmanager
def signals_to(stop: Callable[[str], None]) -> Iterator[None]:
    """Send Ctrl-C and the system's requests to end to `stop`, with a word for people.

    A signal this process was started to ignore (`nohup`) stays ignored. Only the main thread can
    do this (a rule of Python's `signal`); elsewhere nothing is changed.
    """
    former: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        stop(_WORDS.get(name, name))

    try:
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                former[number] = signal.signal(number, handle)
    except ValueError:
        pass
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
