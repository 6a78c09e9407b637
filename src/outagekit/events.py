"""What can happen in a run, as values: the storage edge of the product.

Every fact of a run is one of these events; the engine's state, the screen and every report are
folds over them. `docs/log-format.md` describes the record around an event. Payloads hold no
floating point numbers: durations are whole milliseconds (`_ms`), sizes whole bytes (`_bytes`).
Text that comes from an endpoint is redacted before it becomes part of an event.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal, NewType, Union

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


class RunOpened(Event, frozen=True, tag="run.opened"):
    """The first record of every log."""

    playbook: str
    title: str
    plan: str
    """Digest of the plan."""
    clients: tuple[str, ...]
    endpoints: int
    os_user: str
    machine: str
    version: str
    drill: bool = False


class PlanFrozen(Event, frozen=True, tag="plan.frozen"):
    """What will be executed is on disk; the hashes tie the files to the log."""

    files: dict[str, str]
    """File name in the run folder -> SHA-256 of its bytes."""


class RunResumed(Event, frozen=True, tag="run.resumed"):
    """A new process life continues the run."""

    os_user: str
    version: str


class RunPaused(Event, frozen=True, tag="run.paused"):
    """Nothing new is started; what ran has ended."""

    why: str


class RunClosed(Event, frozen=True, tag="run.closed"):
    """The last fact of a run. `counts` maps an end state to its number of endpoints."""

    counts: dict[EndState, int]
    exit_code: int
    why: str = ""
    """Empty for a run that came to its end, else who or what stopped it."""


class StageOpened(Event, frozen=True, tag="stage.opened"):
    """Consecutive steps of one phase begin on all endpoints that are still in the run."""

    stage: int
    phase: str
    steps: tuple[StepId, ...]
    endpoints: int


class StepStarted(Event, frozen=True, tag="step.started"):
    """Durable before anything is sent to the endpoint: write-ahead."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    number: int = 1
    """1 for the first try of this step on this endpoint."""


class StepPart(Event, frozen=True, tag="step.part"):
    """One command of a step (check, script or verify) has ended on the endpoint."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    part: str
    """`check`, `script` or `verify`."""
    command: str
    """HMAC-SHA-256 of the rendered command under the run's key: proves it, shows nothing."""
    exit_code: int | None = None
    duration_ms: int = 0
    stdout: Output = Output()
    stderr: Output = Output()


class StepFinished(Event, frozen=True, tag="step.finished"):
    """The step has an end state on this endpoint, or, with `retry_in_ms`, will be tried again."""

    endpoint: EndpointId
    step: StepId
    state: EndState
    attempt: AttemptId | None = None
    """None for a step that was skipped without being started."""
    failure: FailureKind | None = None
    detail: str = ""
    """One sentence for a person."""
    duration_ms: int = 0
    result: dict[str, Any] | None = None
    """What the step reported as its `result`, typed by the playbook's declaration."""
    retry_in_ms: int | None = None


class StepInDoubt(Event, frozen=True, tag="step.in_doubt"):
    """A step was started and nobody waits for its end any more: it may have happened or not."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    why: str


class EndpointKeyTrusted(Event, frozen=True, tag="endpoint.key_trusted"):
    """A machine id was seen for the first time over a trusted key and is pinned from now on."""

    endpoint: EndpointId
    machine_id: str
    key: str
    """Fingerprint of the host key, `SHA256:…`."""


class EvidenceSaved(Event, frozen=True, tag="evidence.saved"):
    """A file was fetched from an endpoint."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    source: str
    """Its path on the endpoint."""
    path: str
    """Its path in the run folder."""
    size_bytes: int
    sha256: str


class Note(Event, frozen=True, tag="note"):
    """Something worth keeping that changes no state."""

    text: str
    who: str = ""
    endpoint: EndpointId | None = None


class AgreementOverridden(Event, frozen=True, tag="agreement.overridden"):
    """Something the agreement does not allow is done all the same, by name and for a reason."""

    allow: str
    clients: tuple[str, ...]
    approved_by: str
    because: str
    listed: bool
    """Whether that name stands among the agreement's approvers, for every client concerned."""


class Checkpoint(Event, frozen=True, tag="checkpoint"):
    """The head of the log so far; the same text goes to anchors.txt and out of the machine."""

    head_seq: int
    head_sha: str


class ClockJumped(Event, frozen=True, tag="clock.jumped"):
    """Wall clock and monotonic clock drifted apart by more than two seconds."""

    by_ms: int


class LogRepaired(Event, frozen=True, tag="log.repaired"):
    """A torn tail was cut off; the removed bytes are kept in the named file."""

    offset: int
    removed_bytes: int
    removed_sha256: str
    kept_as: str


class LogWriteFailed(Event, frozen=True, tag="log.write_failed"):
    """Writing failed; this record was made after the log was opened again."""

    why: str


class EventUnencodable(Event, frozen=True, tag="event.unencodable"):
    """An event could not be written as JSON; this is what could be saved of it."""

    kind: str
    text: str


AnyEvent = Union[  # noqa: UP007  (a name for the decoder, made at run time)
    RunOpened,
    PlanFrozen,
    RunResumed,
    RunPaused,
    RunClosed,
    StageOpened,
    StepStarted,
    StepPart,
    StepFinished,
    StepInDoubt,
    EndpointKeyTrusted,
    EvidenceSaved,
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
