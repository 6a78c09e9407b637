"""A run in one line: what it was, and how it stands. A glance, not a proof."""

from __future__ import annotations

from pathlib import Path

import msgspec

from outagekit.errors import LogDamaged
from outagekit.events import Record, RunClosed, RunOpened, RunPaused, RunResumed
from outagekit.log.lock import is_held
from outagekit.log.reader import glance


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of runs shows of one."""

    run: str
    opened: str
    """UTC, whole seconds; empty if the first record cannot be read."""
    playbook: str
    title: str
    clients: tuple[str, ...]
    endpoints: int
    drill: bool
    dry_run: bool
    standing: str
    """`closed: exit 3`, `paused: exit 6, Ctrl-C`, `running`, `open` (its process died without a
    word), `damaged`, or `unreadable`: the file cannot be opened."""

    @property
    def resumable(self) -> bool:
        """Whether the run was left before its end and can go on; a drill's endpoints are gone."""
        return not self.drill and self.standing.startswith(("paused", "open"))


def overview(path: Path) -> Overview:
    """Return the overview of a run folder. Raises `NothingMatched` without a log."""
    try:
        seen = glance(path)
    except LogDamaged:
        return _unread(path)
    first = seen.first.event if seen.first else None
    opened = first if isinstance(first, RunOpened) else None
    return Overview(
        run=path.name,
        opened=seen.first.at[:19].replace("T", " ") if seen.first else "",
        playbook=opened.playbook if opened else "",
        title=opened.title if opened else "",
        clients=opened.clients if opened else (),
        endpoints=opened.endpoints if opened else 0,
        drill=bool(opened and opened.drill),
        dry_run=bool(opened and opened.dry_run),
        standing=_standing(seen.last, path) if opened else "damaged",
    )


def _unread(path: Path) -> Overview:
    return Overview(
        run=path.name,
        opened="",
        playbook="",
        title="",
        clients=(),
        endpoints=0,
        drill=False,
        dry_run=False,
        standing="unreadable",
    )


def _standing(last: tuple[Record, ...], path: Path) -> str:
    for record in reversed(last):
        match record.event:
            case RunClosed(exit_code=code):
                return f"closed: exit {code}"
            case RunPaused(why=why, exit_code=code):
                return f"paused: exit {code}, {why}"
            case RunResumed():
                break
            case _:
                continue
    return "running" if is_held(path) else "open"
