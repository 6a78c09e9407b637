"""The log writer: any thread appends, one thread writes, nothing is claimed before it is on disk.

Group commit: while one group is being synced the next one gathers. Somebody waiting makes a group
due at once; facts nobody waits for are at most `lag_s` away from the disk.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from outagekit.errors import LogUnwritable
from outagekit.events import (
    AnyEvent,
    Checkpoint,
    ClockJumped,
    LogWriteFailed,
    Note,
    Record,
    WaveJudged,
    WaveStopped,
)
from outagekit.log.checkpoint import Anchor, anchor_line
from outagekit.log.clock import Clock, Drift, SystemClock, stamp
from outagekit.log.file import OpenLog, append_line, open_log
from outagekit.log.record import encode_event
from outagekit.log.recover import Recovered, recover
from outagekit.log.subscribers import OnRecords, Subscription
from outagekit.log.tail import Pending, Tail

if TYPE_CHECKING:
    from collections.abc import Callable

    from outagekit.log.folder import RunFolder

MAX_GROUP_RECORDS: Final = 512
MAX_GROUP_BYTES: Final = 1024 * 1024
CHECKPOINT_RECORDS: Final = 1000
CHECKPOINT_S: Final = 30
LAG_S: Final = 0.05

_CLOSE_S = 30.0
_AFTER_FAILURE = "make room or repair the disk, and look at what is named here before another run"
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Appended:
    """A record with its place in the log, not yet necessarily on disk."""

    record: Record
    """Without its `sha`, which is made when it is written. Its event is as a reader will see it."""
    _writer: LogWriter

    def wait(self, timeout_s: float = 30.0) -> None:
        """Return once the record is on disk.

        Raises `LogUnwritable` if it never will be, or is not within `timeout_s`.
        """
        self._writer.wait_for(self.record.seq, timeout_s)


class LogWriter:
    """Writes the log of one run; at most one at a time, under the lock of its `RunFolder`.

    After the first failure (`failed`) nothing is appended any more: no record, no action.
    """

    def __init__(
        self,
        folder: RunFolder,
        tail: Tail,
        *,
        clock: Clock,
        opener: OpenLog,
        lag_s: float,
    ) -> None:
        self._folder = folder
        self._tail = tail
        self._clock = clock
        self._opener = opener
        self._lag_s = lag_s
        self._life = "".join(secrets.choice(_ALPHABET) for _ in range(4))
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._done = threading.Condition(self._lock)
        self._queue: deque[Pending] = deque()
        self._queued_bytes = 0
        self._next_seq = tail.seq + 1
        self._head = Anchor(tail.seq, tail.sha)
        self._urgent_seq = -1
        self._since_checkpoint = 0
        self._checkpoint_ns = clock.mono_ns()
        self._drift = Drift(clock.wall_ns(), self._checkpoint_ns)
        self._subscriptions: list[Subscription] = []
        self._failed: LogUnwritable | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="log-writer", daemon=True)
        self._thread.start()

    @classmethod
    def create(
        cls,
        folder: RunFolder,
        *,
        clock: Clock | None = None,
        opener: OpenLog = open_log,
        lag_s: float = LAG_S,
    ) -> Self:
        """Begin the log of a new run. Raises `LogUnwritable`."""
        try:
            file = opener(folder.log, create=True)
        except OSError as error:
            raise LogUnwritable(f"the log {folder.log} cannot be made: {error}") from error
        tail = Tail(folder.log, folder.run, file, None)
        return cls(folder, tail, clock=clock or SystemClock(), opener=opener, lag_s=lag_s)

    @classmethod
    def resume(
        cls,
        folder: RunFolder,
        *,
        clock: Clock | None = None,
        opener: OpenLog = open_log,
        lag_s: float = LAG_S,
    ) -> Self:
        """Continue the log of a run in a new life; a torn tail is cut off and that is recorded.

        Raises `LogDamaged` if the log was altered, `LogUnwritable` if the disk refuses.
        """
        start: Recovered = recover(folder.log, run=folder.run, opener=opener)
        try:
            file = opener(folder.log, create=False)
        except OSError as error:
            raise LogUnwritable(f"the log {folder.log} cannot be opened: {error}") from error
        tail = Tail(folder.log, folder.run, file, start)
        writer = cls(folder, tail, clock=clock or SystemClock(), opener=opener, lag_s=lag_s)
        for fact in start.facts:
            writer.append(fact)
        return writer

    @property
    def life(self) -> str:
        """Name of this process's life in the log."""
        return self._life

    @property
    def failed(self) -> LogUnwritable | None:
        """Why nothing can be appended any more, or None."""
        return self._failed

    @property
    def head(self) -> Anchor:
        """The last record known to be on disk; `seq` is -1 if there is none."""
        return self._head

    def append(self, event: AnyEvent) -> Appended:
        """Give the event its place in the log; returns at once, from any thread.

        An event that cannot be written becomes `event.unencodable`. Raises `LogUnwritable` after
        a failure or after `close`.
        """
        encoded = encode_event(event)
        with self._lock:
            if self._failed or self._closing:
                raise self._unwritable()
            wall_ns, mono_ns = self._clock.wall_ns(), self._clock.mono_ns()
            if by_ms := self._drift.jump_ms(wall_ns, mono_ns):
                jump = encode_event(ClockJumped(by_ms=by_ms))
                self._enqueue(jump.event, jump.body, wall_ns, mono_ns)
            record = self._enqueue(encoded.event, encoded.body, wall_ns, mono_ns)
            # A wave's end is what people look back at: its numbers leave the machine with it.
            of_wave = isinstance(encoded.event, WaveJudged | WaveStopped)
            if of_wave or self._since_checkpoint >= CHECKPOINT_RECORDS:
                self._enqueue_checkpoint()
            return Appended(record, self)

    def wait_for(self, seq: int, timeout_s: float) -> None:
        """Return once record `seq` is on disk. Raises `LogUnwritable` as `Appended.wait`."""
        with self._lock:
            self._urgent_seq = max(self._urgent_seq, seq)
            self._more.notify()
            self._done.wait_for(lambda: seq <= self._head.seq or self._failed, timeout_s)
            if seq <= self._head.seq:
                return
            if self._failed:
                raise self._unwritable()
        raise LogUnwritable(f"the disk did not take record {seq} within {timeout_s:g} s")

    def subscribe(self, callback: OnRecords) -> Callable[[], None]:
        """Tell `callback` every record from now on, once it is on disk; returns how to stop that.

        It is called in a thread of its own. One that raises, or falls hopelessly behind, is
        removed and a `note` says so; it never hurts the run.
        """
        name = getattr(callback, "__qualname__", type(callback).__name__)
        subscription = Subscription(callback, lambda why: self._note_removed(name, why))
        with self._lock:
            self._subscriptions.append(subscription)
        return subscription.cancel

    def close(self, *, drain_s: float = 2.0) -> Anchor:
        """Write what is queued and the last checkpoint, sync, close; return the head. Never raises.

        Subscribers get `drain_s` altogether to take what is left. `failed` says whether it went
        well. Closing twice is the same as once.
        """
        with self._lock:
            self._closing = True
            self._more.notify()
        self._thread.join(_CLOSE_S)
        with self._lock:
            if self._thread.is_alive() and not self._failed:
                self._failed = LogUnwritable(f"the disk did not answer within {_CLOSE_S:g} s")
            subscriptions = tuple(self._subscriptions)
            self._subscriptions.clear()
        deadline = time.monotonic() + drain_s
        for subscription in subscriptions:
            subscription.stop()
        for subscription in subscriptions:
            subscription.join(deadline - time.monotonic())
        return self._head

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enqueue(self, event: AnyEvent, body: bytes | None, wall_ns: int, mono_ns: int) -> Record:
        record = Record(
            seq=self._next_seq,
            at=stamp(wall_ns),
            mono=mono_ns,
            life=self._life,
            run=self._folder.run,
            event=event,
        )
        self._next_seq += 1
        pending = Pending(record, body, time.monotonic())
        self._queue.append(pending)
        self._queued_bytes += pending.size_bytes
        self._since_checkpoint += 1
        if len(self._queue) == 1 or self._is_full():
            self._more.notify()
        return record

    def _is_full(self) -> bool:
        return len(self._queue) >= MAX_GROUP_RECORDS or self._queued_bytes >= MAX_GROUP_BYTES

    def _serve(self) -> None:
        last: Record | None = None
        try:
            while group := self._next_group():
                last = self._commit(group)
            if last:
                self._keep_anchor(last, self._head)
            self._tail.close()
        except Exception as error:  # noqa: BLE001  (whoever waits must hear of it, whatever it is)
            self._fail(error)

    def _next_group(self) -> list[Pending]:
        """Wait until something is due and return it; nothing once everything is closed."""
        with self._lock:
            while not self._is_due():
                self._more.wait(self._patience_s())
            if self._needs_checkpoint():
                self._enqueue_checkpoint()
            group: list[Pending] = []
            size_bytes = 0
            while self._queue and len(group) < MAX_GROUP_RECORDS and size_bytes < MAX_GROUP_BYTES:
                group.append(self._queue.popleft())
                size_bytes += group[-1].size_bytes
            self._queued_bytes -= size_bytes
            return group

    def _is_due(self) -> bool:
        if self._closing or self._is_full() or self._needs_checkpoint():
            return True
        if not self._queue:
            return False
        oldest = self._queue[0]
        return self._urgent_seq >= oldest.record.seq or self._left_s(oldest) <= 0

    def _left_s(self, oldest: Pending) -> float:
        return oldest.queued_s + self._lag_s - time.monotonic()

    def _patience_s(self) -> float | None:
        if self._queue:
            return max(self._left_s(self._queue[0]), 0)
        if self._since_checkpoint:
            return max(CHECKPOINT_S - self._checkpoint_age_s(), 0.01)
        return None

    def _checkpoint_age_s(self) -> float:
        return (self._clock.mono_ns() - self._checkpoint_ns) / 1e9

    def _needs_checkpoint(self) -> bool:
        if not self._since_checkpoint:
            return False
        # The last checkpoint goes alone: everything before it is then known to be on disk.
        at_the_end = self._closing and not self._queue
        return at_the_end or self._checkpoint_age_s() >= CHECKPOINT_S

    def _enqueue_checkpoint(self) -> None:
        self._checkpoint_ns = self._clock.mono_ns()
        empty = Checkpoint(head_seq=-1, head_sha="")
        self._enqueue(empty, None, self._clock.wall_ns(), self._checkpoint_ns)
        self._since_checkpoint = 0

    def _commit(self, group: list[Pending]) -> Record:
        records = self._tail.write(group)
        with self._lock:
            self._head = Anchor(self._tail.seq, self._tail.sha)
            self._done.notify_all()
            subscriptions = tuple(self._subscriptions)
        for record in records:
            if isinstance(record.event, Checkpoint):
                head = Anchor(record.event.head_seq, record.event.head_sha)
                self._keep_anchor(record, head)
        for subscription in subscriptions:
            subscription.offer(records)
        return records[-1]

    def _keep_anchor(self, record: Record, anchor: Anchor) -> None:
        # The same text is in the log; a disk that fails here will fail there too, and be heard.
        with suppress(OSError):
            append_line(self._folder.anchors, anchor_line(record.run, anchor, record.at))

    def _fail(self, error: Exception) -> None:
        why = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        with self._lock:
            message = f"the log {self._folder.log} cannot be written: {why}"
            self._failed = LogUnwritable(message, hint=_AFTER_FAILURE)
            self._done.notify_all()
            word = Record(
                seq=-1,
                at=stamp(self._clock.wall_ns()),
                mono=self._clock.mono_ns(),
                life=self._life,
                run=self._folder.run,
                event=LogWriteFailed(why=why[:1000]),
            )
        self._tail.leave_word(word, self._opener, self._folder.reserve)

    def _unwritable(self) -> LogUnwritable:
        if self._failed:
            return LogUnwritable(self._failed.message, hint=self._failed.hint)
        return LogUnwritable(f"the log {self._folder.log} is closed")

    def _note_removed(self, name: str, why: str) -> None:
        # A log that cannot be written says so itself, louder than this note would.
        with suppress(LogUnwritable):
            self.append(Note(text=f"The subscriber {name} was removed: {why}."))
