"""A run begins, or is taken up again: its folder, its frozen files and the first records."""

from __future__ import annotations

import hashlib
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from outagekit import __version__
from outagekit.errors import LogDamaged, NothingMatched, UsageError
from outagekit.events import (
    AgreementOverridden,
    AnyEvent,
    ApprovalGiven,
    EndpointId,
    PlanFrozen,
    RunId,
    RunOpened,
    RunResumed,
    WaveReopened,
)
from outagekit.log.file import read_frozen
from outagekit.log.folder import RunFolder, new_run_id
from outagekit.log.subscribers import OnRecords
from outagekit.log.writer import LogWriter
from outagekit.plan.model import Plan
from outagekit.plan.store import WAYS_FILE, freeze, freeze_ways
from outagekit.run.engine.fold import fold
from outagekit.run.engine.rollout import sums_at_gate
from outagekit.run.engine.state import State, begin
from outagekit.run.inbox import user_name
from outagekit.run.replay import Recorded, recorded

_RECORD_BYTES = 2048
"""What a step leaves in the log for one endpoint, generously."""
_KEY = "command.key"


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has begun and whose log can be written."""

    run: RunId
    plan: Plan
    folder: RunFolder
    log: LogWriter
    key: bytes
    """HMAC key for the commands of this run."""
    state: State
    """What its records lead to so far."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new run's first records say besides its plan."""

    drill: bool = False
    trust: str = ""
    """Folder of the keys the endpoints are known by."""
    ssh_config: str = ""
    """See `RunOpened`."""
    ways: Mapping[EndpointId, str] = field(default_factory=dict)
    """How each endpoint is reached, in words; kept to tell what has changed since."""
    given: tuple[ApprovalGiven, ...] = ()
    """What a person has answered beforehand."""


@dataclass(frozen=True, slots=True)
class Resumption:
    """How a run is taken up again."""

    past_gate: str = ""
    """Why a person goes past the gate that closed; empty: what went wrong is tried again."""
    who: str = ""
    given: tuple[ApprovalGiven, ...] = field(default=())


@contextmanager
def open_run(
    plan: Plan,
    state_dir: Path,
    *,
    beginning: Beginning | None = None,
    subscribers: Sequence[OnRecords] = (),
) -> Iterator[OpenRun]:
    """Open a run; when it yields, plan and first records are durable. Closes log and folder.

    Every subscriber is told every record, the first one included.
    Raises `LogUnwritable` if the folder or its disk cannot take the run.
    """
    beginning = beginning or Beginning()
    run = new_run_id(plan.playbook.name, datetime.now(UTC))
    estimate_bytes = len(plan.endpoints) * len(plan.steps) * _RECORD_BYTES
    with (
        RunFolder.create(state_dir, run, estimate_bytes=estimate_bytes) as folder,
        LogWriter.create(folder) as log,
    ):
        for subscriber in subscribers:
            log.subscribe(subscriber)
        key = secrets.token_bytes(32)
        first = log.append(_opened(plan, beginning))
        files = {name: folder.freeze(name, content) for name, content in freeze(plan).items()}
        files[_KEY] = folder.freeze(_KEY, key.hex().encode())
        if beginning.ways:
            ways = freeze_ways({str(name): way for name, way in beginning.ways.items()})
            files[WAYS_FILE] = folder.freeze(WAYS_FILE, ways)
        state = fold(begin(plan, run), first.record)
        events = [PlanFrozen(files=files), *_overrides(plan), *beginning.given]
        state = _record(log, state, events)
        yield OpenRun(run, plan, folder, log, key, state)


@contextmanager
def resume_run(
    path: Path, how: Resumption, *, subscribers: Sequence[OnRecords] = ()
) -> Iterator[OpenRun]:
    """Take up a run from its folder alone. Closes log and folder.

    Subscribers are told every record from `run.resumed` on. Raises `NothingMatched` for a run
    that is closed, `UsageError` for going past a gate where none is closed, `LogDamaged` if
    anything in the folder was altered, and `LogUnwritable` if another process holds it or the
    disk refuses.
    """
    with RunFolder.open_existing(path) as folder:
        left = recorded(folder.path)
        key = _kept_key(folder, left)
        events = _resumed(left.state, how)
        with LogWriter.resume(folder) as log:
            for subscriber in subscribers:
                log.subscribe(subscriber)
            state = _record(log, left.state, [*events, *how.given])
            yield OpenRun(folder.run, state.plan, folder, log, key, state)


def _record(log: LogWriter, state: State, events: Sequence[AnyEvent]) -> State:
    """Append events, wait until they are durable, and return the state they lead to."""
    appended = [log.append(event) for event in events]
    appended[-1].wait()
    for each in appended:
        state = fold(state, each.record)
    return state


def require_resumable(state: State, how: Resumption) -> None:
    """Raise what `resume_run` raises of a run that cannot be taken up so."""
    if state.closed:
        raise NothingMatched(f"run {state.run} is closed: there is nothing to resume")
    if how.past_gate and state.closed_gate is None:
        raise UsageError("no gate is closed in this run, so there is none to go past")


def _resumed(state: State, how: Resumption) -> list[AnyEvent]:
    require_resumable(state, how)
    resumed = RunResumed(os_user=user_name(), version=__version__, retry=not how.past_gate)
    if not how.past_gate or state.closed_gate is None:
        return [resumed]
    stage, wave = state.closed_gate
    sums = sums_at_gate(state)
    who = how.who or user_name()
    return [
        resumed,
        WaveReopened(stage=stage, wave=wave, sums=sums, because=how.past_gate, who=who),
    ]


def _kept_key(folder: RunFolder, left: Recorded) -> bytes:
    frozen = next((r.event for r in left.records if isinstance(r.event, PlanFrozen)), None)
    try:
        content = read_frozen(folder.path / _KEY)
        key = bytes.fromhex(content.decode())
    except (OSError, ValueError) as error:
        raise LogDamaged(f"{_KEY} of {folder.run} cannot be read: {error}") from error
    if frozen is None or hashlib.sha256(content).hexdigest() != frozen.files.get(_KEY):
        raise LogDamaged(f"{_KEY} is not the one this run was opened with")
    return key


def _overrides(plan: Plan) -> list[AnyEvent]:
    return [
        AgreementOverridden(
            allow=override.allow,
            clients=override.clients,
            approved_by=override.approved_by,
            because=override.because,
            listed=override.listed,
        )
        for override in plan.overrides
    ]


def _opened(plan: Plan, beginning: Beginning) -> RunOpened:
    return RunOpened(
        playbook=plan.playbook.name,
        title=plan.playbook.title,
        plan=plan.digest,
        clients=tuple(client.client for client in plan.clients),
        endpoints=len(plan.endpoints),
        os_user=user_name(),
        machine=platform.node(),
        version=__version__,
        drill=beginning.drill,
        trust=beginning.trust,
        ssh_config=beginning.ssh_config,
        dry_run=plan.dry_run,
    )
