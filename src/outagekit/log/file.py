"""The seam to the disk: what the log needs of a file, and the real one.

The only module of the room with calls that differ between operating systems. Errors of the
operating system leave it as `OSError`; the callers map them.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from io import BufferedReader
    from pathlib import Path

LOG_NAME: Final = "log.jsonl"
ANCHORS_NAME: Final = "anchors.txt"
OUTPUT_NAME: Final = "output"

_SAFE_FLAGS = (
    getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
)


class LogFile(Protocol):
    """A file that is only appended to. Every method may raise `OSError`."""

    def write(self, data: bytes) -> int:
        """Append the beginning of `data`; return how many bytes were taken, maybe not all."""
        ...

    def sync(self) -> None:
        """Return once everything written would survive a loss of power.

        After an error it must not be called again: the next call may claim success for what the
        first one lost.
        """
        ...

    def truncate(self, size_bytes: int) -> None:
        """Cut the file to `size_bytes`."""
        ...

    def close(self) -> None:
        """Give the descriptor back."""
        ...


class OpenLog(Protocol):
    """Opens log files: `open_log` on a disk, a fake in tests."""

    def __call__(self, path: Path, *, create: bool) -> LogFile:
        """Open `path` for appending; with `create` it must not exist yet. May raise `OSError`."""
        ...


class DiskFile:
    """A `LogFile` on a real disk; given its `path`, it notices when that leads elsewhere."""

    def __init__(self, descriptor: int, path: Path | None = None) -> None:
        self._descriptor = descriptor
        self._path = path

    def write(self, data: bytes) -> int:
        """Append `data` as far as the operating system takes it."""
        return os.write(self._descriptor, data)

    def sync(self) -> None:
        """Wait until the disk has it, under its name."""
        _sync(self._descriptor)
        if self._path is not None and _is_gone(self._descriptor, self._path):
            raise OSError("it was moved or removed while it was written")

    def truncate(self, size_bytes: int) -> None:
        """Cut the file."""
        os.ftruncate(self._descriptor, size_bytes)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)


def open_log(path: Path, *, create: bool) -> LogFile:
    """Open a log on disk, 0600, following no symbolic link. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_APPEND | _SAFE_FLAGS
    if create:
        flags |= os.O_CREAT | os.O_EXCL
    descriptor = os.open(path, flags, 0o600)
    if create:
        sync_folder(path.parent)
    return DiskFile(descriptor, path)


def _is_gone(descriptor: int, path: Path) -> bool:
    if os.name == "nt":
        return False  # there an open file keeps its name
    try:
        return not os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return True


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read; a pipe or a device in its place is not waited for.

    Raises `OSError`.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return os.fdopen(descriptor, "rb")


def read_frozen(path: Path) -> bytes:
    """Return the bytes of a file that was frozen into its folder.

    Raises `OSError` also for a link, a pipe, and whatever else was never frozen there.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link", str(path))
    with open_regular(path) as file:
        return file.read()


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415, TID251  (macOS: fsync alone leaves data in the drive's cache)

        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif sys.platform == "linux":
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a new name in `folder` survive a loss of power. Raises `OSError`."""
    if os.name == "nt":
        return  # there a folder cannot be opened, and names are journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Write a whole file, 0600, so that it is there complete or not at all. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS, 0o600)
    try:
        try:
            write_all(DiskFile(descriptor), content)
            _sync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def copy_durably(source: Path, target: Path, *, offset: int) -> None:
    """Copy a file from `offset` on into a new file, 0600, and sync it. Raises `OSError`."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE_FLAGS, 0o600)
    with source.open("rb") as rest, os.fdopen(descriptor, "wb") as copy:
        rest.seek(offset)
        shutil.copyfileobj(rest, copy)
        copy.flush()
        _sync(copy.fileno())
    sync_folder(target.parent)


def append_line(path: Path, line: str) -> None:
    """Append a line of text to a file, 0600, made if missing; not synced. Raises `OSError`.

    Half a line that a crash left at the end does not swallow the new one.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | _SAFE_FLAGS
    with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else f"\n{line}"
        file.write(f"{line}\n".encode())


def write_all(file: LogFile, data: bytes) -> None:
    """Write all of `data`, however little is taken at a time. Raises `OSError`."""
    rest = memoryview(data)
    while rest:
        taken = file.write(bytes(rest) if len(rest) < len(data) else data)
        if taken <= 0:
            raise OSError("the file takes no more bytes")
        rest = rest[taken:]
