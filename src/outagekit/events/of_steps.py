"""What happens on endpoints: steps, doubts, evidence, and who is waited for."""

from __future__ import annotations

from typing import Any, Literal

from outagekit.events.words import (
    AttemptId,
    EndpointId,
    EndState,
    Event,
    FailureKind,
    Output,
    Purpose,
    StepId,
)


class StepStarted(Event, frozen=True, tag="step.started"):
    """Durable before anything is sent to the endpoint: write-ahead."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    number: int = 1
    """1 for the first attempt of this step on this endpoint, whatever its purpose."""
    purpose: Purpose = "do"


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
    boot_id: str = ""
    """The machine's boot, if it was told; a new one after a reboot."""
    would_change: bool = False
    """In a dry run: the step would have been done."""
    refused: bool = False
    """A person refused it, and with it the rest of this endpoint's steps."""


class StepInDoubt(Event, frozen=True, tag="step.in_doubt"):
    """An attempt was begun and its end is not known: it may have happened or not."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    why: str
    failure: FailureKind = FailureKind.ABANDONED
    duration_ms: int = 0


class StepResolved(Event, frozen=True, tag="step.resolved"):
    """A doubt is settled. `state` None: the step is begun again."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    """The attempt that settled it, else the one that was in doubt."""
    how: Literal["probed", "rerun", "answered", "skipped", "settled"]
    state: EndState | None = None
    failure: FailureKind | None = None
    detail: str = ""
    who: str = ""


class StepVerified(Event, frozen=True, tag="step.verified"):
    """A changed endpoint was looked at again after its wave's bake."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    state: EndState
    """`changed`: it still is as wanted."""
    failure: FailureKind | None = None
    detail: str = ""
    duration_ms: int = 0
    boot_id: str = ""


class StepUndone(Event, frozen=True, tag="step.undone"):
    """A changed step was taken back because a later one failed. `changed`: it is taken back."""

    endpoint: EndpointId
    step: StepId
    attempt: AttemptId
    state: EndState
    failure: FailureKind | None = None
    detail: str = ""
    duration_ms: int = 0


class StepTidied(Event, frozen=True, tag="step.tidied"):
    """What a detached step had left on the endpoint is removed, after its end was on disk."""

    endpoint: EndpointId
    step: StepId
    detach: str = ""
    """The id it ran under."""


class EndpointParked(Event, frozen=True, tag="endpoint.parked"):
    """An endpoint that cannot be reached goes to the waiting room, where its port is probed."""

    endpoint: EndpointId
    for_ms: int
    """How long it may wait there from now on."""


class EndpointReturned(Event, frozen=True, tag="endpoint.returned"):
    """The port of a waiting endpoint answers: it goes on where it was."""

    endpoint: EndpointId


class EndpointExpired(Event, frozen=True, tag="endpoint.expired"):
    """An endpoint did not come back in time; it is not waited for any more."""

    endpoint: EndpointId


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
