"""The files of a simulated machine: an in-memory file system, as POSIX or as Windows names files.

Pure: it touches no file of this machine and reads no clock. What an operation of a real file
system would refuse is a `FileError` with the same errno.
"""

from __future__ import annotations

import errno
import ntpath
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

HOME: Final = "/root"
EPOCH_S: Final = 1_767_225_600
"""When every file was last modified: 2026-01-01T00:00:00Z. A simulated machine has no clock."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""How much one file may hold: the machine's memory is this process's memory."""

WINDOWS_HOME: Final = "C:\\Users\\drill"
VARIABLES: Final = {
    "programdata": "C:\\ProgramData",
    "programfiles": "C:\\Program Files",
    "public": "C:\\Users\\Public",
    "systemdrive": "C:",
    "systemroot": "C:\\Windows",
    "temp": "C:\\Users\\drill\\AppData\\Local\\Temp",
    "tmp": "C:\\Users\\drill\\AppData\\Local\\Temp",
    "userprofile": WINDOWS_HOME,
    "windir": "C:\\Windows",
}
"""What paths on a simulated Windows machine may begin with, as `%name%` or `$env:name`."""

_VARIABLE: Final = re.compile(r"%(\w+)%|\$env:(\w+)", re.IGNORECASE)
_WINDOWS_FOLDERS: Final = (
    "C:\\Windows\\System32\\drivers",
    "C:\\Windows\\Logs",
    *VARIABLES.values(),
)
_FOLDERS: Final = ("/", "/etc", "/opt", "/root", "/srv", "/tmp", "/usr/local/bin", "/var/log")  # noqa: S108


class FileError(OSError):
    """What the simulated file system refuses; `errno` as a real one would give."""

    def __init__(self, number: int) -> None:
        super().__init__(number, errno.errorcode[number])


@dataclass(slots=True)
class File:
    """A file's bytes and its permission bits."""

    content: bytearray = field(default_factory=bytearray)
    mode: int = 0o644


class Files:
    """Folders and files by absolute path. One thread at a time: the caller holds a lock."""

    def __init__(self, folders: Iterable[str] = ()) -> None:
        self._files: dict[str, File] = {}
        self._folders: set[str] = set()
        for folder in (*self._there_before(), *folders):
            self._add_folders(self.place(folder))

    def place(self, path: str) -> str:
        """Return the one way a path is written here, whoever writes it."""
        return absolute(path)

    def _above(self, path: str) -> str:
        return posixpath.dirname(path)

    def _name(self, path: str) -> str:
        return posixpath.basename(path)

    def _there_before(self) -> Iterable[str]:
        return _FOLDERS

    def _add_folders(self, folder: str) -> None:
        while folder not in self._folders:
            self._folders.add(folder)
            folder = self._above(folder)

    def add(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Put a file there with all its folders, as it was before anybody came."""
        path = self.place(path)
        self._add_folders(self._above(path))
        self._files[path] = File(bytearray(content), mode)

    def is_folder(self, path: str) -> bool:
        """Say whether a folder is there."""
        return self.place(path) in self._folders

    def file(self, path: str) -> File:
        """Return the file. Raises `FileError` ENOENT, or EISDIR for a folder."""
        path = self.place(path)
        if path in self._folders:
            raise FileError(errno.EISDIR)
        found = self._files.get(path)
        if found is None:
            raise FileError(errno.ENOENT)
        return found

    def create(self, path: str, *, exclusive: bool = False) -> File:
        """Return the file, made empty if there was none. Raises `FileError` without a folder."""
        path = self.place(path)
        if path in self._files and exclusive:
            raise FileError(errno.EEXIST)
        if path not in self._files:
            if path in self._folders:
                raise FileError(errno.EISDIR)
            if self._above(path) not in self._folders:
                raise FileError(errno.ENOENT)
            self._files[path] = File()
        return self._files[path]

    def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file another path; `replace` as POSIX does. Raises `FileError`."""
        old, new = self.place(old), self.place(new)
        moved = self.file(old)
        if new in self._folders or (new in self._files and not replace):
            raise FileError(errno.EEXIST)
        if self._above(new) not in self._folders:
            raise FileError(errno.ENOENT)
        del self._files[old]
        self._files[new] = moved

    def remove(self, path: str) -> None:
        """Delete a file. Raises `FileError`."""
        self.file(path)
        del self._files[self.place(path)]

    def make_folder(self, path: str) -> None:
        """Make a folder in an existing one. Raises `FileError`."""
        path = self.place(path)
        if path in self._folders or path in self._files:
            raise FileError(errno.EEXIST)
        if self._above(path) not in self._folders:
            raise FileError(errno.ENOENT)
        self._folders.add(path)

    def remove_folder(self, path: str) -> None:
        """Delete an empty folder. Raises `FileError`."""
        path = self.place(path)
        if path not in self._folders:
            raise FileError(errno.ENOENT)
        if path == self._above(path) or self.names(path):
            raise FileError(errno.ENOTEMPTY)
        self._folders.remove(path)

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted. Raises `FileError` if it is none."""
        folder = self.place(folder)
        if folder not in self._folders:
            raise FileError(errno.ENOTDIR if folder in self._files else errno.ENOENT)
        inside = (p for p in (*self._files, *self._folders) if p != self._above(p))
        return sorted(re.split(r"[\\\\/]", p)[-1] for p in inside if self._above(p) == folder)


class WindowsFiles(Files):
    """The same with drives and backslashes. Names come back in lower case: any case is as good."""

    @override
    def place(self, path: str) -> str:
        """Return the path in lower case, absolute, with its variables filled in."""
        return windows_absolute(path)

    @override
    def _above(self, path: str) -> str:
        return ntpath.dirname(path)

    @override
    def _name(self, path: str) -> str:
        return ntpath.basename(path)

    @override
    def _there_before(self) -> Iterable[str]:
        return _WINDOWS_FOLDERS


def windows_absolute(path: str) -> str:
    """Return a Windows path in lower case without `.`, `..`, variables and slashes."""

    def known(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        return VARIABLES.get(name.casefold(), name)

    whole = ntpath.normpath(ntpath.join(WINDOWS_HOME, _VARIABLE.sub(known, path)))
    return whole.lower()


def absolute(path: str) -> str:
    """Return the path without `.`, `..` and doubled slashes; a relative one starts in `HOME`."""
    whole = posixpath.normpath(posixpath.join(HOME, path))
    return "/" + whole.lstrip("/")
