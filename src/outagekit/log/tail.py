"""The end of a log file: chains a group of records to it, writes and syncs them as one.

Owned by one thread, without locks. `LogWriter` decides when a group is due; this module decides
what its bytes are and what happens to the file when the disk refuses them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from outagekit.events import AnyEvent, Checkpoint, Record, RunId
from outagekit.log.file import LogFile, OpenLog, write_all
from outagekit.log.record import encode_event, encode_line, seed
from outagekit.log.recover import Recovered, recover

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_LINE_BYTES = 400  # around an event


@dataclass(frozen=True, slots=True)
class Pending:
    """A record that waits to be written."""

    record: Record
    body: bytes | None
    """Its event as JSON; None for a checkpoint, whose content is known when its turn comes."""
    queued_s: float
    """When it was queued, on this process's monotonic clock."""

    @property
    def size_bytes(self) -> int:
        """Of its line, roughly."""
        return len(self.body or b"") + _LINE_BYTES


class Tail:
    """Appends groups of records to a log file of one run."""

    def __init__(self, path: Path, run: RunId, file: LogFile, start: Recovered | None) -> None:
        self.seq = start.records - 1 if start else -1
        """Number of the last record known to be on disk, -1 for none."""
        self.sha = start.head_sha if start else seed(run)
        self.size_bytes = start.size_bytes if start else 0
        """Of the file as far as it is known to be on disk."""
        self._path = path
        self._file = file

    def write(self, group: Sequence[Pending]) -> tuple[Record, ...]:
        """Write and sync a group; return its records with their hashes. Raises `OSError`.

        After an error only `leave_word` or `close` may be called.
        """
        lines = []
        records = []
        sha = self.sha
        for pending in group:
            record, body = _content(pending, sha)
            line, sha = encode_line(record, body, dur=self.seq, prev=sha)
            lines.append(line)
            records.append(_placed(record, sha, record.event))
        data = b"".join(lines)
        write_all(self._file, data)
        self._file.sync()
        self.seq, self.sha = records[-1].seq, sha
        self.size_bytes += len(data)
        return tuple(records)

    def leave_word(self, failed: Record, opener: OpenLog, reserve: Path) -> bool:
        """After an error: open the file anew, recover it and try once to record what happened.

        `failed` gives run, life and times of the record. The file `reserve` makes room on a full
        disk. Returns whether the word is on disk; never raises.
        """
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            reserve.unlink()
        try:
            start = recover(
                self._path, run=failed.run, opener=opener, trusted_bytes=self.size_bytes
            )
            self._file = opener(self._path, create=False)
            self._append_word(failed, start)
            self._file.close()
        except Exception:  # noqa: BLE001  (it is the last thing this thread does)
            return False
        return True

    def _append_word(self, failed: Record, start: Recovered) -> None:
        events: tuple[AnyEvent, ...] = (*start.facts, failed.event)
        data = b""
        sha = start.head_sha
        for place, event in enumerate(events):
            encoded = encode_event(event)
            record = msgspec.structs.replace(failed, seq=start.records + place, event=event)
            line, sha = encode_line(record, encoded.body, dur=start.records - 1, prev=sha)
            data += line
        write_all(self._file, data)
        self._file.sync()

    def close(self) -> None:
        """Close the file; the log is on disk already."""
        with suppress(OSError):
            self._file.close()


def _content(pending: Pending, head_sha: str) -> tuple[Record, bytes]:
    if pending.body is not None:
        return pending.record, pending.body
    head = Checkpoint(head_seq=pending.record.seq - 1, head_sha=head_sha)
    encoded = encode_event(head)
    return _placed(pending.record, "", encoded.event), encoded.body


def _placed(record: Record, sha: str, event: AnyEvent) -> Record:
    return Record(
        seq=record.seq,
        at=record.at,
        mono=record.mono,
        life=record.life,
        run=record.run,
        event=event,
        sha=sha,
    )
