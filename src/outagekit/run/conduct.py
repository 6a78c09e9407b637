"""A run from its first record to its last: opened or taken up, coordinated, closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from outagekit.events import RunId
from outagekit.log.subscribers import OnRecords
from outagekit.plan.model import Plan
from outagekit.run.coordinator import Coordinator
from outagekit.run.engine.situation import Bounds
from outagekit.run.executing.lanes import Connect, LaneLimits, Lanes
from outagekit.run.inbox import Inbox
from outagekit.run.opening import Beginning, OpenRun, Resumption, open_run, resume_run
from outagekit.run.signals import StopRequests, signals_to
from outagekit.run.surroundings import Ending, Surroundings
from outagekit.run.wishes import AnyWish
from outagekit.transports.protocol import Ways

_CLOSE_S = 3.0
"""Mostly for good-byes: each kept connection may have to delete its shell on the endpoint."""


class Voice(Protocol):
    """Somebody at the run's own terminal, who can be asked and can speak."""

    def heard_by(self, hear: Callable[[AnyWish], None]) -> None:
        """Tell `hear` everything that is said from now on, from any thread."""
        ...


@dataclass(frozen=True, slots=True)
class Conducted:
    """A run that is over, or was left."""

    run: RunId
    ending: Ending
    folder: Path
    last_seq: int
    """Number of the last record of its log."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run happens in: how it reaches endpoints, who looks on, who can be asked."""

    connect: Connect
    bounds: Bounds | None = None
    limits: LaneLimits | None = None
    subscribers: Sequence[OnRecords] = ()
    on_open: Callable[[RunId, Path], None] | None = None
    warn: Callable[[str], None] = lambda _text: None
    """Is told what no record can tell, because the log has failed."""
    voice: Voice | None = None
    ways: Ways | None = None
    """How endpoints are seen that do not answer; closed at the end of the run. None: straight."""


def conduct(
    plan: Plan, state_dir: Path, setting: Setting, beginning: Beginning | None = None
) -> Conducted:
    """Run a plan in this process and return how it ended; the log is closed by then.

    Ctrl-C, SIGTERM and SIGHUP let running steps end and begin nothing else; a second one leaves
    them in doubt and returns at once. They cannot take the log its beginning or its end.
    Raises `LogUnwritable`.
    """
    opening = open_run(plan, state_dir, beginning=beginning, subscribers=setting.subscribers)
    return _conduct(opening, setting)


def conduct_on(folder: Path, setting: Setting, how: Resumption | None = None) -> Conducted:
    """Take up a run that was left, as `conduct` does one that is new.

    Raises besides what `resume_run` raises.
    """
    opening = resume_run(folder, how or Resumption(), subscribers=setting.subscribers)
    return _conduct(opening, setting)


def _conduct(opening: AbstractContextManager[OpenRun], setting: Setting) -> Conducted:
    wishes = StopRequests()
    with signals_to(wishes.ask), opening as opened:
        if setting.on_open is not None:
            setting.on_open(opened.run, opened.folder.path)
        if setting.ways is not None:
            setting.ways.begin(opened.folder.path)
        driver = Lanes(
            setting.connect,
            folder=opened.folder.path,
            key=opened.key,
            limits=setting.limits,
            ways=setting.ways,
        )
        coordinator = Coordinator(
            opened.state,
            log=opened.log,
            driver=driver,
            around=Surroundings(
                spool=opened.folder.spool,
                warn=setting.warn,
                look=Inbox(opened.folder.path, opened.folder.owner.nonce).take,
                attended=setting.voice is not None,
            ),
            bounds=setting.bounds,
        )
        wishes.heard_by(coordinator.stop)
        if setting.voice is not None:
            setting.voice.heard_by(coordinator.hear)
        try:
            ending = coordinator.run()
        finally:
            driver.close(_CLOSE_S)
            if setting.ways is not None:
                setting.ways.close()
    return Conducted(opened.run, ending, opened.folder.path, opened.log.head.seq)
