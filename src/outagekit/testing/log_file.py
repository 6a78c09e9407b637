"""A disk for the log that fails when told to, fills up, or loses power; and logs made of thin air.

`FakeDisk` stands in for `outagekit.log.file.open_log` and writes through to real files, so that
everything that reads a log reads it as ever:

    disk = FakeDisk(fail_at=7)
    writer = LogWriter.create(folder, opener=disk.open)
"""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from outagekit.events import AnyEvent, Record, RunId
from outagekit.log.clock import stamp
from outagekit.log.file import LogFile, open_log
from outagekit.log.record import encode_event, encode_line, seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

Verb = Literal["open", "write", "sync", "truncate", "close"]
SECTOR_BYTES = 512


def log_lines(run: RunId, events: Iterable[AnyEvent], *, group: int = 8) -> list[bytes]:
    """Return the lines of a log of `events`, as if `group` records at a time had been synced."""
    lines = []
    sha = seed(run)
    for seq, event in enumerate(events):
        wall_ns = 1_795_334_400_000_000_000 + seq * 1_000_000  # 2026-11-22T08:00:00Z and on
        record = Record(
            seq=seq, at=stamp(wall_ns), mono=seq * 1_000_000, life="abcd", run=run, event=event
        )
        durable = seq - seq % group - 1
        line, sha = encode_line(record, encode_event(event).body, dur=durable, prev=sha)
        lines.append(line)
    return lines


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the log asked of the disk."""

    number: int
    """1 for the first operation on this disk."""
    file: int
    """1 for the first descriptor opened on this disk."""
    verb: Verb
    size_bytes: int = 0
    """Of a write as asked for, or what a file was cut to."""
    failed: bool = False


class FakeDisk:
    """Opens files that record every operation and fail as told; safe to use from several threads.

    `fail_at`: the number of the operation that raises `error`, and only that one; closing never
    fails. `capacity_bytes`: how many bytes all writes together may add; the write that does not
    fit is short, the next one raises "no space left"; `room` is asked for more room at that
    moment. `short_writes`: every write takes at most so many bytes.
    """

    def __init__(
        self,
        *,
        fail_at: int | None = None,
        error: OSError | None = None,
        capacity_bytes: int | None = None,
        room: Callable[[], int] = lambda: 0,
        short_writes: int | None = None,
        before_sync: Callable[[], None] = lambda: None,
    ) -> None:
        self.operations: list[Operation] = []
        self._fail_at = fail_at
        self._error = error or OSError(errno.EIO, "Input/output error")
        self._capacity_bytes = capacity_bytes
        self._room = room
        self._short_writes = short_writes
        self._before_sync = before_sync
        self._used_bytes = 0
        self._files = 0
        self._synced: dict[Path, bytes] = {}
        self._lock = threading.Lock()

    def open(self, path: Path, *, create: bool) -> LogFile:
        """Open `path` as `open_log` does."""
        with self._lock:
            self._files += 1
            number = self._files
        self._note(number, "open")
        if not create:
            self._synced.setdefault(path, path.read_bytes())
        return _FakeFile(self, path, number, open_log(path, create=create))

    def count(self, verb: Verb) -> int:
        """Return how many operations of a kind succeeded."""
        return sum(done.verb == verb and not done.failed for done in self.operations)

    def synced(self, path: Path) -> bytes:
        """Return what of `path` would survive a loss of power for certain."""
        return self._synced.get(path, b"")

    def lose_power(self, path: Path, *, size_bytes: int, keep: Callable[[int], bool]) -> None:
        """Leave in `path` what a loss of power might: the file's size, and some of its sectors.

        `size_bytes` is the size the file has afterwards, between what was synced and what was
        written; `keep` is asked for each sector number beyond what was synced, and a sector not
        kept is zeros, in its part that was not synced.
        """
        written = path.read_bytes()
        synced = self.synced(path)
        left = bytearray(written[:size_bytes])
        first = len(synced) // SECTOR_BYTES
        for sector in range(first, -(-len(left) // SECTOR_BYTES)):
            start = max(sector * SECTOR_BYTES, len(synced))
            end = min((sector + 1) * SECTOR_BYTES, len(left))
            if start < end and not keep(sector):
                left[start:end] = bytes(end - start)
        path.write_bytes(bytes(left))

    def _note(self, file: int, verb: Verb, size_bytes: int = 0) -> None:
        with self._lock:
            number = len(self.operations) + 1
            failed = number == self._fail_at and verb != "close"
            self.operations.append(Operation(number, file, verb, size_bytes, failed))
        if failed:
            raise self._error

    def _grant(self, wanted: int) -> int:
        """Return how many bytes a write may take; raise when none are left."""
        granted = min(wanted, self._short_writes or wanted)
        if self._capacity_bytes is not None:
            left = self._capacity_bytes + self._room() - self._used_bytes
            if left <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            granted = min(granted, left)
        self._used_bytes += granted
        return granted


class _FakeFile:
    def __init__(self, disk: FakeDisk, path: Path, number: int, file: LogFile) -> None:
        self._disk = disk
        self._path = path
        self._number = number
        self._file = file

    def write(self, data: bytes) -> int:
        self._disk._note(self._number, "write", len(data))  # noqa: SLF001  (one double in two classes)
        granted = self._disk._grant(len(data))  # noqa: SLF001
        return self._file.write(data[:granted])

    def sync(self) -> None:
        self._disk._before_sync()  # noqa: SLF001
        self._disk._note(self._number, "sync")  # noqa: SLF001
        self._disk._synced[self._path] = self._path.read_bytes()  # noqa: SLF001

    def truncate(self, size_bytes: int) -> None:
        self._disk._note(self._number, "truncate", size_bytes)  # noqa: SLF001
        self._file.truncate(size_bytes)

    def close(self) -> None:
        self._disk._note(self._number, "close")  # noqa: SLF001
        self._file.close()
