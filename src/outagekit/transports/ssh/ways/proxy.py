"""A program whose input and output are the connection: `ProxyCommand`.

It has a session of its own, so that Ctrl-C at our terminal is not its end and it asks nobody
anything. When the connection ends, it and all its children do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from typing import Any, Final

from outagekit.events import FailureKind
from outagekit.text import decode_remote, visible_line
from outagekit.transports.protocol import Failure

_KEPT_BYTES: Final = 4096
"""How much of the end of what it says on stderr is kept."""
_SHOWN: Final = 300
_GRACE_S: Final = 0.5
"""How long it may take to end by itself when it is asked to."""
_LAST_WORDS_S: Final = 1.5
_NOT_FOUND: Final = frozenset({126, 127})


class Proxy:
    """A running command, as a stream."""

    def __init__(self, command: str) -> None:
        """Start it. Raises `OSError` if this machine cannot."""
        self._process = _started(command)
        self._said = b""
        self._silent = threading.Event()
        self._closing = threading.Lock()
        self._writing = threading.Lock()
        self._over = threading.Event()
        self._asked = self._ended_itself = False
        listener = threading.Thread(target=self._listen, daemon=True, name="outagekit-proxy")
        try:
            listener.start()
        except RuntimeError as fault:
            self._silent.set()
            self.close()
            raise OSError("no thread can be started") from fault

    def recv(self, size: int) -> bytes:
        """Return what it has written; nothing at its end. For one thread only."""
        data = b""
        with contextlib.suppress(OSError, ValueError):
            data = os.read(self._process.stdout.fileno(), size)
        if not data:
            self._ended_itself |= not self._asked
            # By who reads, or its number could be another file's in the middle of a call.
            self._process.stdout.close()
        return data

    def sendall(self, data: bytes) -> None:
        """Hand it all of this. Raises `OSError` or `ValueError` when it reads no more."""
        view = memoryview(data)
        with self._writing:
            try:
                while view:
                    view = view[os.write(self._process.stdin.fileno(), view) :]
            except OSError:
                self._ended_itself |= not self._asked
                raise

    def close(self) -> None:
        """End it and all its children, and leave nothing of them. Returns within a second."""
        with self._closing:
            if self._over.is_set():
                return
            self.ask_to_end()
            # Its children hold stderr, too. Nobody has asked for its exit code yet, so that its
            # number, which is that of its group, cannot be another's by now.
            self._silent.wait(_GRACE_S)
            _kill_all(self._process)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
            self._over.set()
        with self._writing, contextlib.suppress(OSError):
            self._process.stdin.close()

    def ask_to_end(self) -> None:
        """Have it end; returns at once."""
        self._asked = True
        if not self._over.is_set():
            _ask_all(self._process)

    def explained(self, failure: Failure) -> Failure:
        """Return a failure of the connection with the command's own words and end."""
        self._over.wait(_LAST_WORDS_S)
        words = visible_line(decode_remote(self._said).strip())[-_SHOWN:]
        itself = self._over.is_set() and self._ended_itself
        code = self._process.returncode if itself else None
        told = f": {words}" if words else ""
        if code in _NOT_FOUND:
            detail = f"the ProxyCommand cannot be executed{told}"
            return Failure(FailureKind.LOCAL_IO, detail, sent=failure.sent)
        if code is None and not told:
            return failure
        ended = " ended" if code is not None else " says"
        ended += f" with exit code {code}" if code else ""
        detail = f"{failure.detail}; the ProxyCommand{ended}{told}"
        return Failure(failure.kind, detail, sent=failure.sent)

    def _listen(self) -> None:
        stream = self._process.stderr
        with contextlib.suppress(OSError, ValueError), stream:
            while data := os.read(stream.fileno(), _KEPT_BYTES):
                self._said = (self._said + data)[-_KEPT_BYTES:]
        self._silent.set()


def _started(command: str) -> Any:
    streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    if sys.platform == "win32":  # pragma: no cover  (tested where it runs)
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return subprocess.Popen(  # noqa: S602  (a person's own configuration says so)
            command, shell=True, bufsize=0, creationflags=flags, **streams
        )
    shell = os.environ.get("SHELL") or "/bin/sh"
    return subprocess.Popen(
        [shell, "-c", f"exec {command}"], bufsize=0, start_new_session=True, **streams
    )


def _ask_all(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if sys.platform == "win32":  # pragma: no cover
            process.terminate()
        else:
            os.killpg(process.pid, signal.SIGTERM)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":  # pragma: no cover
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            words = ["taskkill", "/F", "/T", "/PID", str(process.pid)]
            subprocess.run(words, check=False, capture_output=True, timeout=_GRACE_S)
        return
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
