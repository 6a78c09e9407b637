"""What can happen in a run, as values: the storage edge of the product.

Every fact of a run is one of these events; the engine's state, the screen and every report are
folds over them. `docs/log-format.md` describes the record around an event. Payloads hold no
floating point numbers: durations are whole milliseconds (`_ms`), sizes whole bytes (`_bytes`).
Text that comes from an endpoint is redacted before it becomes part of an event.
"""

from __future__ import annotations

from typing import Union

import msgspec

from outagekit.events.of_log import (
    Checkpoint,
    ClockJumped,
    EventUnencodable,
    LogRepaired,
    LogWriteFailed,
)
from outagekit.events.of_run import (
    AgreementOverridden,
    ApprovalAsked,
    ApprovalGiven,
    InboxRefused,
    Note,
    OnceFinished,
    PlanFrozen,
    RunClosed,
    RunOpened,
    RunPaused,
    RunResumed,
    RunStopping,
    StageOpened,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.events.of_steps import (
    EndpointExpired,
    EndpointKeyTrusted,
    EndpointParked,
    EndpointReturned,
    EvidenceSaved,
    StepFinished,
    StepInDoubt,
    StepPart,
    StepResolved,
    StepStarted,
    StepTidied,
    StepUndone,
    StepVerified,
)
from outagekit.events.of_trust import TrustAdded, TrustPinned, TrustRemoved, TrustReplaced
from outagekit.events.words import (
    WORST_FIRST,
    Allow,
    AnswerWord,
    AttemptId,
    EndpointId,
    EndState,
    Event,
    FailureKind,
    GateCount,
    GateLimit,
    GateSum,
    OperatingSystem,
    Output,
    Purpose,
    QuestionKind,
    RunId,
    StepId,
    end_state_of,
)

__all__ = [
    "WORST_FIRST",
    "AgreementOverridden",
    "Allow",
    "AnswerWord",
    "AnyEvent",
    "ApprovalAsked",
    "ApprovalGiven",
    "AttemptId",
    "Checkpoint",
    "ClockJumped",
    "EndState",
    "EndpointExpired",
    "EndpointId",
    "EndpointKeyTrusted",
    "EndpointParked",
    "EndpointReturned",
    "Event",
    "EventUnencodable",
    "EvidenceSaved",
    "FailureKind",
    "GateCount",
    "GateLimit",
    "GateSum",
    "InboxRefused",
    "LogRepaired",
    "LogWriteFailed",
    "Note",
    "OnceFinished",
    "OperatingSystem",
    "Output",
    "PlanFrozen",
    "Purpose",
    "QuestionKind",
    "Record",
    "RunClosed",
    "RunId",
    "RunOpened",
    "RunPaused",
    "RunResumed",
    "RunStopping",
    "StageOpened",
    "StepFinished",
    "StepId",
    "StepInDoubt",
    "StepPart",
    "StepResolved",
    "StepStarted",
    "StepTidied",
    "StepUndone",
    "StepVerified",
    "TrustAdded",
    "TrustPinned",
    "TrustRemoved",
    "TrustReplaced",
    "WaveBaking",
    "WaveJudged",
    "WaveOpened",
    "WaveReopened",
    "WaveStopped",
    "WavesCut",
    "end_state_of",
]

AnyEvent = Union[  # noqa: UP007  (a name for the decoder, made at run time)
    RunOpened,
    PlanFrozen,
    RunResumed,
    RunStopping,
    RunPaused,
    RunClosed,
    StageOpened,
    WavesCut,
    WaveOpened,
    WaveBaking,
    WaveJudged,
    WaveStopped,
    WaveReopened,
    StepStarted,
    StepPart,
    StepFinished,
    StepInDoubt,
    StepResolved,
    StepVerified,
    StepUndone,
    StepTidied,
    OnceFinished,
    EndpointParked,
    EndpointReturned,
    EndpointExpired,
    ApprovalAsked,
    ApprovalGiven,
    InboxRefused,
    EndpointKeyTrusted,
    EvidenceSaved,
    TrustAdded,
    TrustReplaced,
    TrustRemoved,
    TrustPinned,
    Note,
    AgreementOverridden,
    Checkpoint,
    ClockJumped,
    LogRepaired,
    LogWriteFailed,
    EventUnencodable,
]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """An event with its place in the log, as subscribers and readers see it."""

    seq: int
    at: str
    """UTC with microseconds, `2026-11-22T08:14:03.120411Z`: for people."""
    mono: int
    """Monotonic nanoseconds within one process life: for durations."""
    life: str
    run: RunId
    event: AnyEvent
    sha: str = ""
