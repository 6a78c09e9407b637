"""Inventory programs: run with `--list`, but only what a person has trusted, exactly as it is.

Whoever can write the program can run anything as the person; so one that others can write is
refused. What it says on stderr is dropped: it may hold what must not be shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from outagekit.credentials.sources import at_once
from outagekit.errors import InvalidInput, Refused
from outagekit.inventory.foreign.findings import LIMIT_BYTES
from outagekit.inventory.ownership import refuse_foreign
from outagekit.source import read_bytes
from outagekit.text import visible_line

if TYPE_CHECKING:
    from pathlib import Path

LIMIT_S: Final = 30.0
_KILLED_S: Final = 5.0
_CHUNK: Final = 65536
_LARGEST_PROGRAM: Final = 100 * 1024 * 1024
_MAGIC: Final = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
_WINDOWS: Final = frozenset([".exe", ".bat", ".cmd"])

Permit = Callable[["Path", str], None]
"""Raises `Refused` unless a person has trusted the program of this path and digest."""


def is_program(path: Path) -> bool:
    """Return whether a file is meant to be run: it may be, and it looks like a program."""
    try:
        if not path.is_file() or not os.access(path, os.X_OK):
            return False
        if sys.platform == "win32":
            return path.suffix.lower() in _WINDOWS
        with open(path, "rb", opener=at_once) as file:
            return file.read(4).startswith(_MAGIC)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


def digest_of(path: Path) -> str:
    """Return the SHA-256 that a program is trusted by: over its place and its content."""
    content = read_bytes(path, limit_bytes=_LARGEST_PROGRAM)
    place = os.fsencode(path.parent.resolve() / path.name)
    return hashlib.sha256(hashlib.sha256(place).digest() + content).hexdigest()


def refuse_untrusted(path: Path, _digest: str) -> None:
    """Refuse a program: nobody here knows what was trusted."""
    raise Refused(
        f"{visible_line(str(path))} is a program that was never trusted on this machine",
        hint=f"read it, then: outagekit inventory trust {shlex.quote(visible_line(str(path)))}",
    )


def refuse_changeable(path: Path) -> None:
    """Raise `Refused` where somebody else could put another program in this one's place.

    That is whoever can write it, its folder, what a link leads to, or a folder above all of them;
    a sticky folder above protects what belongs to the person.
    """
    real = path.resolve()
    refuse_foreign([path.absolute().parent, real.parent, real])
    refuse_foreign(each for each in real.parent.parents if not _is_guarded(each))


def _is_guarded(folder: Path) -> bool:
    """Return whether others cannot rename what lies in a folder."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISVTX) or not mode & (stat.S_IWGRP | stat.S_IWOTH)


class Program:
    """An inventory program. All its runs together have `limit_s` seconds."""

    def __init__(self, path: Path, permit: Permit, *, limit_s: float = LIMIT_S) -> None:
        self._path = path.absolute()
        self._limit_s = limit_s
        self._until_s = time.monotonic() + limit_s
        refuse_changeable(self._path)
        permit(path, digest_of(path))

    def output(self, *words: str) -> str:
        """Return what the program prints; raises `InvalidInput` for any other ending."""
        process = self._start(words)
        gathered: list[bytes] = []
        reader = threading.Thread(target=_gather, args=(process, gathered), daemon=True)
        reader.start()
        reader.join(max(self._until_s - time.monotonic(), 0))
        late = reader.is_alive()
        try:
            code = None if late else process.wait(max(self._until_s - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            _end(process)
        reader.join(_KILLED_S)
        if process.stdout is not None and not reader.is_alive():
            process.stdout.close()
        if code is None:
            raise self._failed(f"gave no inventory within {self._limit_s:g} s")
        output = b"".join(gathered)
        if len(output) > LIMIT_BYTES:
            raise self._failed(f"printed more than {LIMIT_BYTES // 1024 // 1024} MiB")
        if code:
            raise self._failed(f"ended with exit code {code}")
        try:
            return output.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._failed("printed something that is not UTF-8") from error

    def _start(self, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [str(self._path), *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise self._failed(f"cannot be run: {error.strerror}") from error

    def _failed(self, what: str) -> InvalidInput:
        name = visible_line(str(self._path))
        return InvalidInput(
            f"{name} {what}", hint=f"run it by hand to see why: {shlex.quote(name)} --list"
        )


def _gather(process: subprocess.Popen[bytes], gathered: list[bytes]) -> None:
    """Collect a program's output, and no more of it than can be used."""
    size = 0
    with contextlib.suppress(OSError, ValueError):
        while size <= LIMIT_BYTES and process.stdout and (data := process.stdout.read1(_CHUNK)):  # type: ignore[attr-defined]
            gathered.append(data)
            size += len(data)
    if size > LIMIT_BYTES:
        process.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program with its children, which may hold its output open for ever."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
