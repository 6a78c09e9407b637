"""What the log says about itself."""

from __future__ import annotations

from outagekit.events.words import Event


class Checkpoint(Event, frozen=True, tag="checkpoint"):
    """The head of the log so far; the same text goes to anchors.txt and out of the machine."""

    head_seq: int
    head_sha: str


class ClockJumped(Event, frozen=True, tag="clock.jumped"):
    """Wall clock and monotonic clock drifted apart by more than two seconds."""

    by_ms: int


class LogRepaired(Event, frozen=True, tag="log.repaired"):
    """A torn tail was cut off; the removed bytes are kept in the named file."""

    offset: int
    removed_bytes: int
    removed_sha256: str
    kept_as: str


class LogWriteFailed(Event, frozen=True, tag="log.write_failed"):
    """Writing failed; this record was made after the log was opened again."""

    why: str


class EventUnencodable(Event, frozen=True, tag="event.unencodable"):
    """An event could not be written as JSON; this is what could be saved of it."""

    kind: str
    text: str
