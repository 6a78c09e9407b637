"""Which runs took a run back before: found in the state folder, told by their own logs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from outagekit.errors import NothingMatched
from outagekit.events import RunId
from outagekit.log.folder import list_runs
from outagekit.log.overview import overview
from outagekit.plan.store import PLAN_FILE
from outagekit.run.replay import Recorded, recorded
from outagekit.run.undoing import UNDO


class _Undoes(msgspec.Struct, frozen=True):
    """The one field of a stored plan that matters here."""

    undoes: str = ""


@dataclass(frozen=True, slots=True)
class EarlierUndos:
    """The undo runs of a run, oldest first."""

    runs: tuple[Recorded, ...] = ()
    unread: tuple[str, ...] = ()
    """Undo runs of which nobody can tell what they take back."""


def earlier_undos(state_dir: Path, run: RunId) -> EarlierUndos:
    """Return the undo runs that took `run` back, whole or in part.

    Raises `LogDamaged` if the log of one of them was altered: what it did decides what is left.
    """
    runs: list[Recorded] = []
    unread: list[str] = []
    for path in reversed(list_runs(state_dir)):
        seen = overview(path)
        if seen.playbook != UNDO or seen.drill:
            continue
        undoes = _undoes(path)
        if undoes is None:
            unread.append(path.name)
        elif undoes == run:
            with suppress(NothingMatched):  # it was left before anything was begun
                runs.append(recorded(path))
    return EarlierUndos(tuple(runs), tuple(unread))


def _undoes(path: Path) -> str | None:
    """Return the run a run takes back, empty for none; None if its plan cannot be read.

    A run that was left before its plan was stored has begun nothing.
    """
    try:
        content = (path / PLAN_FILE).read_bytes()
        return msgspec.json.decode(content, type=_Undoes).undoes
    except FileNotFoundError:
        return ""
    except (OSError, msgspec.MsgspecError):
        return None
