"""A log that is appended to now and then, an act at a time, by whichever process acts.

The records and their chain are those of a run's log, so that everything that reads and verifies
one does so with this. There is no thread and no lock here: the caller holds one.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from outagekit.errors import LogUnwritable
from outagekit.events import Record
from outagekit.log.checkpoint import Anchor, anchor_line, require_never_begun
from outagekit.log.clock import Clock, SystemClock, stamp
from outagekit.log.file import ANCHORS_NAME, LOG_NAME, OpenLog, append_line, open_log
from outagekit.log.record import encode_event
from outagekit.log.recover import Recovered, recover
from outagekit.log.tail import Pending, Tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from outagekit.events import AnyEvent, RunId

_Stamp = tuple[int, int, int]


class Journal:
    """Appends acts to `log.jsonl` of a folder, which must be there and is private already.

    What another process appended in between is read and checked first.
    """

    def __init__(
        self, folder: Path, name: RunId, *, clock: Clock | None = None, opener: OpenLog = open_log
    ) -> None:
        self._log = folder / LOG_NAME
        self._anchors = folder / ANCHORS_NAME
        self._name = name
        self._clock = clock or SystemClock()
        self._opener = opener
        self._life = secrets.token_hex(2)
        self._seen: tuple[_Stamp, Recovered] | None = None

    def append(self, events: Sequence[AnyEvent]) -> Anchor:
        """Return the head once all events are on disk, and none of them if it raises.

        Raises `LogDamaged` if the log was altered or taken away, `LogUnwritable` if the disk
        refuses.
        """
        start, facts = self._start()
        group = self._placed((*facts, *events), start.records if start else 0)
        try:
            file = self._opener(self._log, create=start is None)
            tail = Tail(self._log, self._name, file, start)
            try:
                records = tail.write(group)
            finally:
                tail.close()
        except OSError as error:
            self._take_back(start)
            raise LogUnwritable(f"the log {self._log} cannot be written: {error}") from error
        self._seen = (self._stamp(), Recovered(tail.seq + 1, tail.sha, tail.size_bytes, ()))
        head = Anchor(tail.seq, tail.sha)
        with suppress(OSError):  # a convenience: the log itself is on disk
            append_line(self._anchors, anchor_line(self._name, head, records[-1].at))
        return head

    def _start(self) -> tuple[Recovered | None, Sequence[AnyEvent]]:
        try:
            if self._seen is not None and self._seen[0] == self._stamp():
                return self._seen[1], ()
            if not os.path.lexists(self._log):
                require_never_begun(self._log, self._name)
                return None, ()
        except OSError as error:
            raise LogUnwritable(f"the log {self._log} cannot be read: {error}") from error
        start = recover(self._log, run=self._name, opener=self._opener)
        return start, start.facts

    def _stamp(self) -> _Stamp:
        try:
            status = self._log.stat()
        except FileNotFoundError:
            return 0, 0, 0
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _placed(self, events: Sequence[AnyEvent], first: int) -> list[Pending]:
        group = []
        for place, event in enumerate(events):
            encoded = encode_event(event)
            record = Record(
                seq=first + place,
                at=stamp(self._clock.wall_ns()),
                mono=self._clock.mono_ns(),
                life=self._life,
                run=self._name,
                event=encoded.event,
            )
            group.append(Pending(record, encoded.body, time.monotonic()))
        return group

    def _take_back(self, start: Recovered | None) -> None:
        """Cut off what a failed write left: nobody was told of it, and nothing came of it."""
        self._seen = None
        with suppress(OSError):
            file = self._opener(self._log, create=False)
            try:
                file.truncate(start.size_bytes if start else 0)
                file.sync()
            finally:
                file.close()
