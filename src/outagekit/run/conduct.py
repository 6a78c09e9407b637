"""A run from its first record to its last: opened, coordinated, closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from outagekit.events import RunId
from outagekit.log.subscribers import OnRecords
from outagekit.plan.model import Plan
from outagekit.run.coordinator import Coordinator, Ending
from outagekit.run.decide import Bounds
from outagekit.run.lanes import Connect, LaneLimits, Lanes
from outagekit.run.opening import open_run
from outagekit.run.signals import StopRequests, signals_to

_CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Conducted:
    """A run that is over."""

    run: RunId
    ending: Ending
    folder: Path
    last_seq: int
    """Number of the last record of its log."""


def conduct(
    plan: Plan,
    state_dir: Path,
    connect: Connect,
    *,
    bounds: Bounds | None = None,
    limits: LaneLimits | None = None,
    subscribers: Sequence[OnRecords] = (),
    drill: bool = False,
    on_open: Callable[[RunId, Path], None] | None = None,
    warn: Callable[[str], None] = lambda _text: None,
) -> Conducted:
    """Run a plan in this process and return how it ended; the log is closed by then.

    Ctrl-C, SIGTERM and SIGHUP let running steps end and begin nothing else; a second one leaves
    them in doubt and returns at once. They cannot take the log its beginning or its end. `warn`
    is told what no record can tell, because the log has failed. Raises `LogUnwritable`.
    """
    wishes = StopRequests()
    with (
        signals_to(wishes.ask),
        open_run(plan, state_dir, drill=drill, subscribers=subscribers) as opened,
    ):
        if on_open is not None:
            on_open(opened.run, opened.folder.path)
        driver = Lanes(connect, folder=opened.folder.path, key=opened.key, limits=limits)
        coordinator = Coordinator(
            plan,
            run=opened.run,
            log=opened.log,
            driver=driver,
            spool=opened.folder.spool,
            bounds=bounds,
            warn=warn,
        )
        wishes.heard_by(coordinator.stop)
        try:
            ending = coordinator.run()
        finally:
            driver.close(_CLOSE_S)
    return Conducted(opened.run, ending, opened.folder.path, opened.log.head.seq)
