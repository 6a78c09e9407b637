"""Calls that nothing can interrupt: other programs, and libraries that wait for a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, Literal, TypeVar

from outagekit.events import FailureKind
from outagekit.transports.winrm.faults import Fault, WireError

T = TypeVar("T")
Ended = Callable[[], Literal["", "late", "cut"]]
"""Says whether, and why, a connection was ended while something was waited for."""

_SLICE_S: Final = 0.1


def not_ended() -> Literal[""]:
    """Return that there is no connection to end."""
    return ""


class Errand(Generic[T]):
    """A call in a daemon thread of its own; any number of threads may wait for its end.

    Who has waited for long enough leaves it behind. It runs in no other thread's context, so that
    what a library keeps for each thread is its own.
    """

    def __init__(self, call: Callable[[], T], what: str) -> None:
        """Begin. `what` is what it is for, for a sentence."""
        self._call = call
        self._what = what
        self._done = threading.Event()
        self._value: T | None = None
        self._fault: Exception | None = None
        self.ended_s = 0.0
        """When it ended, by the monotonic clock; 0 while it runs."""
        threading.Thread(target=self._run, daemon=True, name="outagekit-errand").start()

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    @property
    def failed(self) -> bool:
        """Whether it ended with an error."""
        return self._fault is not None

    def result(self, timeout_s: float, ended: Ended = not_ended) -> T:
        """Return what the call returns, or raise what it raises.

        Raises `WireError`, `unsent`: `timeout` when time is up, `lost` if the connection was cut.
        """
        until_s = time.monotonic() + timeout_s
        while not self._done.wait(max(0.0, min(_SLICE_S, until_s - time.monotonic()))):
            why = ended()
            if why == "cut":
                detail = f"the connection was given up while {self._what} was waited for"
                raise WireError.of(Fault.LOCAL, FailureKind.LOST, detail, unsent=True)
            if why == "late" or time.monotonic() >= until_s:
                detail = f"{self._what} did not come within {timeout_s:g} s: does it answer?"
                raise WireError.of(Fault.LOCAL, FailureKind.TIMEOUT, detail, unsent=True)
        fault = self._fault
        if isinstance(fault, WireError):
            # A new one for each who waits: an exception is told where it was raised.
            raise WireError(fault.failure, fault.fault, unsent=fault.unsent) from fault
        if fault is not None:
            raise fault
        return self._value  # type: ignore[return-value]  # a value whenever there is no fault

    def _run(self) -> None:
        try:
            self._value = self._call()
        except Exception as fault:  # noqa: BLE001  (raised again by whoever waits)
            self._fault = fault
        self.ended_s = time.monotonic()
        self._done.set()
