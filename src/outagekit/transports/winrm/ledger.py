"""Which shells of ours stand on endpoints, so that none is left for long behind a killed process.

One JSON object a line, written before a command is sent and right after a shell was made. What
earlier lives of a run left is known from the same file. Nothing secret stands in it.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from outagekit.errors import InvalidInput
from outagekit.text import visible_line

_MOST_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class _Shell:
    endpoint: str
    boot: str = ""
    held: bool = True
    """A connection of this process uses it."""


class Ledger:
    """The shells this process made, and those earlier ones left. Thread-safe.

    Without a `path` it remembers only for this process. Methods raise `InvalidInput` if the file
    cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path: Path | None = None
        self._guard = threading.Lock()
        self._shells: dict[str, _Shell] = {}
        self._torn = False
        """The last line has no end: the next one must not be joined to it."""
        if path is not None:
            self.keep(path)

    def keep(self, path: Path) -> None:
        """Write notes to a file from now on, and know what its earlier lives left."""
        lines = _lines(path)
        with self._guard:
            self._path = path
            self._torn = bool(lines[-1])
            for line in lines:
                self._read(line)

    def hold(self, endpoint: str, shell: str, *, boot: str = "") -> None:
        """Note a shell that was made; `boot` says on which boot of its machine, if that is known.

        Of a shell that is held already the boot is noted.
        """
        with self._guard:
            self._shells[shell] = _Shell(endpoint, boot)
            self._write({"note": "shell", "endpoint": endpoint, "shell": shell, "boot": boot})

    def begin(self, shell: str, command: str) -> None:
        """Note a command that is about to be sent."""
        with self._guard:
            self._write({"note": "command", "shell": shell, "command": command})

    def leave(self, shell: str) -> None:
        """Remember that a shell of ours may still be there, and nobody uses it."""
        with self._guard:
            if (known := self._shells.get(shell)) is not None:
                known.held = False

    def gone(self, shell: str) -> None:
        """Note that a shell is no more."""
        with self._guard:
            if self._shells.pop(shell, None) is not None:
                self._write({"note": "gone", "shell": shell})

    def left(self, endpoint: str, *, boot: str = "") -> tuple[str, ...]:
        """Return the shells nobody uses on an endpoint, but for those a restart has ended."""
        with self._guard:
            ours = [(s, k) for s, k in self._shells.items() if k.endpoint == endpoint]
            unused = [(shell, known) for shell, known in ours if not known.held]
        for shell, known in unused:
            if boot and known.boot and boot != known.boot:
                self.gone(shell)
        return tuple(s for s, known in unused if not (boot and known.boot and boot != known.boot))

    def _read(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            shell = str(said["shell"])
            if said["note"] == "shell":
                self._shells[shell] = _Shell(str(said["endpoint"]), str(said["boot"]), held=False)
            elif said["note"] == "gone":
                self._shells.pop(shell, None)
        except (ValueError, TypeError, LookupError, RecursionError):
            return  # a line torn by the end of a process tells nothing

    def _write(self, note: dict[str, Any]) -> None:
        if self._path is None:
            return
        line = b"\n" * self._torn + json.dumps(note).encode() + b"\n"
        try:
            # One write, appended: whatever ends the process, other lines stay whole.
            file = os.open(self._path, _appending(), 0o600)
            try:
                # On a full disk only its beginning may fit, and that is no error.
                self._torn = os.write(file, line) < len(line)
            finally:
                os.close(file)
        except OSError as fault:
            raise _unusable(self._path, fault) from fault


def _lines(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).split(b"\n")
    except FileNotFoundError:
        return [b""]
    except OSError as fault:
        raise _unusable(path, fault) from fault


def _appending() -> int:
    return os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


def _unusable(path: Path, fault: OSError) -> InvalidInput:
    shown = visible_line(str(path))
    return InvalidInput(f"{shown} cannot be used: {os.strerror(fault.errno or 0)}")
