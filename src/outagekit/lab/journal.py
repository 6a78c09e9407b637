"""What the machines of a fleet were told to do, in a file that outlives whoever told them.

It is the machines' side of the story: one JSON object a line, in the order in which commands
reached them, written before the answer is sent. Somebody who kills a run can compare.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Final

import msgspec

from outagekit.events import EndpointId
from outagekit.lab.answers import Received

RECEIVED: Final = "received.jsonl"

_PRIVATE: Final = 0o600
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file: a command that reached a machine. See `Received` for the fields."""

    endpoint: EndpointId
    step: str
    """`-` for the probe of identity."""
    part: str
    number: int
    ran: bool
    exit_code: int | None
    sha256: str
    mono_ns: int
    """Monotonic clock of the computer the lab runs on."""


class Journal:
    """Appends lines to a new file, each with one write; any thread may write."""

    def __init__(self, path: Path) -> None:
        """Make the file (0600). Raises `OSError`, also if it is there already."""
        self._number = os.open(path, _FLAGS | getattr(os, "O_BINARY", 0), _PRIVATE)
        self._lock = threading.Lock()
        self._closed = False

    def write(self, endpoint: EndpointId, entry: Received) -> None:
        """Append a line. Never raises: a machine answers also where its record cannot be kept."""
        fields = {name: getattr(entry, name) for name in entry.__slots__}
        line = msgspec.json.encode(Line(endpoint=endpoint, **fields)) + b"\n"
        with self._lock, contextlib.suppress(OSError):
            if not self._closed:
                os.write(self._number, line)

    def close(self) -> None:
        """Close the file; what is written afterwards is dropped. Again is allowed."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._number)


def read_journal(path: Path) -> list[Line]:
    """Return the lines of a lab's record, also while the lab writes it: a torn end is left out.

    Raises `OSError` for a file that cannot be read and `ValueError` for one that is no record.
    """
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line, type=Line) for line in whole.splitlines()]
