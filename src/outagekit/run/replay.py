"""A recorded run becomes its state again, from nothing but its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from outagekit.errors import LogDamaged, NothingMatched
from outagekit.events import EndState, PlanFrozen, Record, RunOpened
from outagekit.log.file import read_frozen
from outagekit.log.folder import find_run
from outagekit.log.reader import read_records
from outagekit.plan.store import INVENTORY_FILE, PLAN_FILE, WAYS_FILE, thaw, thaw_ways
from outagekit.run.engine.fold import fold
from outagekit.run.engine.state import State, begin
from outagekit.text import closest

_FROZEN = (PLAN_FILE, INVENTORY_FILE)


def replay(folder: Path) -> State:
    """Return the state a run's records lead to.

    Raises `LogDamaged` if the log or the frozen plan is not what was written.
    """
    return recorded(folder).state


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as its folder tells it."""

    folder: Path
    opened: RunOpened
    records: tuple[Record, ...]
    state: State


def recorded(folder: Path) -> Recorded:
    """Return a run with all its records.

    Raises `LogDamaged` as `replay`, and `NothingMatched` if it was left before anything began.
    """
    records = tuple(read_records(folder / "log.jsonl"))
    if not any(isinstance(record.event, PlanFrozen) for record in records):
        message = f"{folder.name} was left before its plan was written down: nothing was begun"
        raise NothingMatched(message, hint="run the playbook anew")
    try:
        files = {name: read_frozen(folder / name) for name in _FROZEN}
    except OSError as error:
        raise LogDamaged(f"the plan of {folder.name} cannot be read: {error}") from error
    opened = next((r.event for r in records if isinstance(r.event, RunOpened)), None)
    if opened is None:
        raise LogDamaged(f"the log of {folder.name} does not say what was opened")
    state = begin(thaw(files), records[0].run)
    for record in records:
        if isinstance(record.event, PlanFrozen):
            _require_same(files, record.event)
        state = fold(state, record)
    return Recorded(folder, opened, records, state)


def ways_of(left: Recorded) -> dict[str, str]:
    """Return how each endpoint was reached when a run began; empty if that was not kept.

    Raises `LogDamaged` if it is not what was written.
    """
    frozen = next(r.event for r in left.records if isinstance(r.event, PlanFrozen))
    if WAYS_FILE not in frozen.files:
        return {}
    try:
        content = read_frozen(left.folder / WAYS_FILE)
    except OSError as error:
        raise LogDamaged(f"{WAYS_FILE} of {left.folder.name} cannot be read: {error}") from error
    _require_same({WAYS_FILE: content}, frozen)
    return thaw_ways(content)


def _require_same(files: Mapping[str, bytes], frozen: PlanFrozen) -> None:
    """Refuse a plan that is sound in itself, but another run's."""
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != frozen.files.get(name):
            raise LogDamaged(f"{name} is not the one this run was opened with")


@dataclass(frozen=True, slots=True)
class EarlierRuns:
    """Answers the selector `run:ID:STATE` from the runs of a state folder."""

    state_dir: Path

    def endpoints_of(self, run: str, state: str, /) -> Collection[str]:
        """Return the `client/name` of a run's endpoints with this end state.

        Raises `NothingMatched` if there is no such run or no such end state.
        """
        try:
            wanted = EndState(state)
        except ValueError:
            near = closest(state, [each.value for each in EndState])
            hint = f"did you mean run:{run}:{near}?" if near else ""
            raise NothingMatched(f"{state!r} is no end state", hint=hint) from None
        found = replay(find_run(self.state_dir, run))
        return tuple(i for i, p in found.progress.items() if p.state is wanted)
