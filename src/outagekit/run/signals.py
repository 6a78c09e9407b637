"""Signals ask a run to stop; they never interrupt it in the middle of a thought."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
_WORDS = {"SIGINT": "Ctrl-C", "SIGBREAK": "Ctrl-Break"}


class StopRequests:
    """Wishes to stop, kept until there is somebody to hear them."""

    def __init__(self) -> None:
        self._asked: list[str] = []
        self._hear: Callable[[str], None] | None = None

    def ask(self, why: str) -> None:
        """Take a wish; safe to call from a signal handler."""
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
