"""What the engine asks for and what it hears back, as plain data.

An order is one step for one endpoint. Orders and reports survive a round trip through JSON, so
that an order can be executed by another process. Secrets never stand in them: credentials are
references that the executing side resolves.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from outagekit.events import AttemptId, EndpointId, EndState, FailureKind, Purpose, StepId
from outagekit.playbook.model import (
    AnyAction,
    Code,
    ValueType,
)
from outagekit.transports.protocol import Account, Target


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what crosses the dispatch seam."""


class Order(Message, frozen=True):
    """One step on one endpoint: check, action and verify belong together."""

    attempt: AttemptId
    target: Target
    step: StepId
    action: AnyAction
    """Scripts in it have exactly the variant for the endpoint's system."""
    purpose: Purpose = "do"
    """`do` all of it; `probe` and `recheck`: verify (or check) only, and without either see that
    the endpoint answers; `undo`: the undo, then its proof; `foresee`: check only."""
    check: Code | None = None
    verify: Code | None = None
    verify_wants: bool = True
    """What `verify` must say."""
    undo: Code | None = None
    account: Account = "login"
    """Whose rights every command and file of the order has."""
    detach: str = ""
    """Id under which the script is started and left running; the same id only re-attaches."""
    changes: bool = False
    """Whether the step is meant to alter the endpoint: `changed` instead of `ok`."""
    values: dict[str, Any] = {}
    """Parameters, `with` values and facts for the scripts; names as in the playbook."""
    result: dict[str, ValueType] = {}
    success: tuple[int, ...] = (0,)
    """Exit codes of the action that mean it succeeded."""
    timeout_s: float = 300.0
    """For each of check, action and verify."""


class Stream(Message, frozen=True):
    """One stream of a command as the executing side kept it, redacted."""

    text: str = ""
    size_bytes: int = 0


class Part(Message, frozen=True):
    """Report: one command of the order ended."""

    attempt: AttemptId
    part: str
    command: str
    exit_code: int | None
    duration_ms: int
    stdout: Stream
    stderr: Stream


class Fetched(Message, frozen=True):
    """Report: a file was saved as evidence."""

    attempt: AttemptId
    source: str
    path: str
    """Relative to the run folder."""
    size_bytes: int
    sha256: str


class FirstContact(Message, frozen=True):
    """Report: the endpoint's machine id was not known and is pinned now."""

    attempt: AttemptId
    endpoint: EndpointId
    machine_id: str
    key: str


class Finished(Message, frozen=True):
    """Report: the order is done; exactly one per order, the last of its reports."""

    attempt: AttemptId
    state: EndState
    failure: FailureKind | None = None
    detail: str = ""
    duration_ms: int = 0
    result: dict[str, Any] | None = None
    boot_id: str = ""
    """Which boot of the machine it ended on, if that was told."""


class Answers(Message, frozen=True):
    """Report: the port of a watched endpoint took a connection. It is not watched any more."""

    endpoint: EndpointId


class Tidied(Message, frozen=True):
    """Report: what a detached step had left on its endpoint is removed."""

    endpoint: EndpointId
    step: StepId
    detach: str = ""
    """The order's `detach`."""


Report = Part | Fetched | FirstContact | Finished | Answers | Tidied


class Settled(Message, frozen=True):
    """What an executing side knows of an attempt whose end was not recorded."""

    kind: Literal["never_started", "running", "outcome", "no_record"]
    outcome: Finished | None = None
