"""The closed sets and names that events are made of."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NewType

import msgspec

EndpointId = NewType("EndpointId", str)
"""`client/name`."""
StepId = NewType("StepId", str)
RunId = NewType("RunId", str)
AttemptId = NewType("AttemptId", str)
"""One execution of one step on one endpoint; executed at most once, ever."""

OperatingSystem = Literal["linux", "macos", "windows"]
Allow = Literal["diagnose", "collect", "remediate", "reboot"]
"""What an agreement can allow, and what a step needs."""


class EndState(StrEnum):
    """How a step, and an endpoint, ended. Worst first: the endpoint's is the worst of its steps."""

    FAILED = "failed"
    UNKNOWN = "unknown"
    UNREACHABLE = "unreachable"
    CHANGED = "changed"
    OK = "ok"
    SKIPPED = "skipped"


WORST_FIRST: tuple[EndState, ...] = tuple(EndState)


class FailureKind(StrEnum):
    """Why a step has no good end."""

    RESOLVE = "resolve"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    HANDSHAKE = "handshake"
    HOST_KEY = "host_key"
    TLS = "tls"
    AUTH = "auth"
    CREDENTIAL_STOPPED = "credential_stopped"
    BECOME = "become"
    WRONG_MACHINE = "wrong_machine"
    LOST = "lost"
    TIMEOUT = "timeout"
    EXIT_CODE = "exit_code"
    CHECK_BROKEN = "check_broken"
    VERIFY = "verify"
    BAD_RESULT = "bad_result"
    PROTOCOL = "protocol"
    QUOTA = "quota"
    SIZE = "size"
    NOT_BACK = "not_back"
    ABANDONED = "abandoned"
    LOCAL_IO = "local_io"


_UNREACHABLE = frozenset(
    {
        FailureKind.RESOLVE,
        FailureKind.REFUSED,
        FailureKind.CONNECT_TIMEOUT,
        FailureKind.HANDSHAKE,
    }
)
_SILENT = frozenset({FailureKind.LOST, FailureKind.TIMEOUT, FailureKind.ABANDONED})


def end_state_of(kind: FailureKind, *, sent: bool) -> EndState:
    """Return the end state a failure leads to.

    `sent` says whether a command may have been executed when contact was lost or time ran out:
    then nobody knows what happened, and the state is `unknown`, never success and never failure.
    """
    if kind in _UNREACHABLE:
        return EndState.UNREACHABLE
    if kind in _SILENT:
        return EndState.UNKNOWN if sent else EndState.UNREACHABLE
    if kind is FailureKind.PROTOCOL and sent:
        return EndState.UNKNOWN
    return EndState.FAILED


Purpose = Literal["do", "probe", "recheck", "undo", "foresee"]
"""What an attempt is for: do the step, settle a doubt about it, look again after a wave's bake,
take it back, or only foresee whether it would change anything."""
QuestionKind = Literal["approve", "manual", "pause", "doubt"]
AnswerWord = Literal["yes", "no", "skip", "done", "rerun", "failed", "unknown"]
"""What a person can say: `yes`, `no` and, of a manual step, `skip`; of a doubt the other four."""
GateCount = Literal["answered", "failed", "unreachable", "unknown"]


class GateLimit(msgspec.Struct, frozen=True):
    """One line of a gate, resolved to a number: at least so many answered, at most so many not."""

    what: GateCount
    limit: int
    of: int
    """How many endpoints it is about."""
    scope: Literal["wave", "run"]
    """`wave` for a percentage; `run` for a plain number: everybody who was in a wave so far."""


class GateSum(GateLimit, frozen=True):
    """A line of a gate with what was found, and whether it holds."""

    found: int
    holds: bool


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a stream of a command gave. Over 8 KiB, head and tail stay here; the rest is a file."""

    text: str = ""
    tail: str = ""
    """The end of a stream too long for `text`; between the two something is left out."""
    size_bytes: int = 0
    """How much the endpoint sent."""
    sha256: str = ""
    """Name of the file in the run's `output/` that holds what was kept, or empty."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """Base of all events; the tag `event` is the event's name in the log."""
