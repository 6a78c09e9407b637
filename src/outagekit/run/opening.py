"""A run begins: its folder, its frozen files and the first records of its log."""

from __future__ import annotations

import getpass
import platform
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from outagekit import __version__
from outagekit.events import AgreementOverridden, PlanFrozen, RunId, RunOpened
from outagekit.log.folder import RunFolder, new_run_id
from outagekit.log.subscribers import OnRecords
from outagekit.log.writer import LogWriter
from outagekit.plan.model import Plan
from outagekit.plan.store import freeze

_RECORD_BYTES = 2048
"""What a step leaves in the log for one endpoint, generously."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has begun and whose log can be written."""

    run: RunId
    plan: Plan
    folder: RunFolder
    log: LogWriter
    key: bytes
    """HMAC key for the commands of this run."""


@contextmanager
def open_run(
    plan: Plan,
    state_dir: Path,
    *,
    drill: bool = False,
    subscribers: Sequence[OnRecords] = (),
) -> Iterator[OpenRun]:
    """Open a run; when it yields, plan and first records are durable. Closes log and folder.

    Every subscriber is told every record, the first one included.
    Raises `LogUnwritable` if the folder or its disk cannot take the run.
    """
    run = new_run_id(plan.playbook.name, datetime.now(UTC))
    estimate_bytes = len(plan.endpoints) * len(plan.steps) * _RECORD_BYTES
    with (
        RunFolder.create(state_dir, run, estimate_bytes=estimate_bytes) as folder,
        LogWriter.create(folder) as log,
    ):
        for subscriber in subscribers:
            log.subscribe(subscriber)
        key = secrets.token_bytes(32)
        log.append(_opened(plan, drill=drill))
        files = {name: folder.freeze(name, content) for name, content in freeze(plan).items()}
        files["command.key"] = folder.freeze("command.key", key.hex().encode())
        frozen = log.append(PlanFrozen(files=files))
        for override in plan.overrides:
            frozen = log.append(
                AgreementOverridden(
                    allow=override.allow,
                    clients=override.clients,
                    approved_by=override.approved_by,
                    because=override.because,
                    listed=override.listed,
                )
            )
        frozen.wait()
        yield OpenRun(run, plan, folder, log, key)


def _opened(plan: Plan, *, drill: bool) -> RunOpened:
    return RunOpened(
        playbook=plan.playbook.name,
        title=plan.playbook.title,
        plan=plan.digest,
        clients=tuple(client.client for client in plan.clients),
        endpoints=len(plan.endpoints),
        os_user=os_user(),
        machine=platform.node(),
        version=__version__,
        drill=drill,
    )


def os_user() -> str:
    """Return the name this process runs under, as the operating system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
