"""What goes wrong on purpose: with the next message of a kind, or until a machine has booted.

Pure bookkeeping; the server's connections ask here what to do and do it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from outagekit.lab.wsman.faults import SoapFault

Kind = Literal["create", "command", "send", "receive", "signal", "delete", "hello", "any"]
"""`hello` is a request without SOAP in it: a step of a login. `any` is all of them."""

Refusal = Literal["reset", "close", 400, 401, 403, 404, 500, 503]
"""How a machine that boots answers a request: not at all, or with an HTTP status."""

FOREVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class Drop:
    """Break the connection, before anything of the message was executed or after all of it."""

    executed: bool = False
    by_reset: bool = True


@dataclass(frozen=True, slots=True)
class Delay:
    """Execute and answer so much later."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with an HTTP status and an empty body instead of executing the message."""

    code: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with a fault instead of executing the message."""

    fault: SoapFault


@dataclass(frozen=True, slots=True)
class Truncate:
    """Execute the message; send only the first part of the answer, then close the connection."""

    size_bytes: int = 100


@dataclass(frozen=True, slots=True)
class Replace:
    """Execute the message; answer with these bytes in the place of SOAP, sealed as usual."""

    body: bytes = b"<html>\x00 this is not SOAP"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Trickle:
    """Execute the message; send the answer in small pieces with a rest after each of them."""

    piece_bytes: int = 64
    rest_s: float = 0.001


Trouble = Drop | Delay | Status | Refuse | Truncate | Replace | Trickle


@dataclass(slots=True)
class _Planned:
    kind: Kind
    trouble: Trouble
    skip: int
    times: int


class Injections:
    """The troubles of one machine. Any thread may call.

    `met` counts the troubles that were handed out so far.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.met = 0
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._clock = clock
        self._refusal: Refusal = "reset"
        self._refused = 0
        self._until_s = 0.0

    def plan(self, kind: Kind, trouble: Trouble, *, skip: int = 0, times: int = 1) -> None:
        """Have `trouble` happen to the next `times` messages of a kind, after `skip` of them."""
        with self._lock:
            self._planned.append(_Planned(kind, trouble, skip, times))

    def gate(self, refusal: Refusal, *, requests: int = 0, for_s: float = 0.0) -> None:
        """Refuse every HTTP request: so many of them, and for so long."""
        with self._lock:
            self._refusal, self._refused = refusal, requests
            self._until_s = self._clock() + for_s if for_s else 0.0

    def at_gate(self) -> Refusal | None:
        """Return how this HTTP request is refused, or None."""
        with self._lock:
            if self._refused > 0:
                self._refused -= 1
            elif self._clock() >= self._until_s:
                return None
            return self._refusal

    def clear(self) -> None:
        """Forget everything that was planned."""
        with self._lock:
            self._planned.clear()
            self._refused, self._until_s = 0, 0.0

    def take(self, kind: Kind) -> Trouble | None:
        """Return what happens to this message, or None. Of several plans the oldest is first."""
        with self._lock:
            found: Trouble | None = None
            for plan in self._planned:
                if plan.kind not in {kind, "any"} or found is not None:
                    continue
                if plan.skip > 0:
                    plan.skip -= 1
                    continue
                plan.times -= 1
                found = plan.trouble
            self._planned = [plan for plan in self._planned if plan.times > 0]
            self.met += found is not None
            return found
