"""The SFTP side of a simulated machine: paramiko's server interface over its in-memory files."""

from __future__ import annotations

import errno
import os
import stat as bits
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, TypeVar

from paramiko import (
    ServerInterface,
    SFTPAttributes,
    SFTPHandle,
    SFTPServer,
    SFTPServerInterface,
)
from paramiko.sftp import SFTP_OK
from typing_extensions import override

from outagekit.lab.files import EPOCH_S, MOST_BYTES, File, FileError, Files, absolute
from outagekit.lab.machine import Machine

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_T = TypeVar("_T")
_WRITING: Final = os.O_WRONLY | os.O_RDWR


class SftpFiles(SFTPServerInterface):
    """One SFTP session with a machine: files as an ordinary server gives them, in memory.

    Every touch of the machine is a turn with it, which may be refused: the session is over then.
    What the files refuse is an SFTP status, as the protocol wants it, never an exception.
    """

    def __init__(
        self, server: ServerInterface, turn: Callable[[], AbstractContextManager[Machine]]
    ) -> None:
        super().__init__(server)
        self._turn = turn

    @override
    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        """Open a file; made if the flags say so."""

        def opened(machine: Machine) -> SFTPHandle:
            files = machine.files
            if flags & os.O_CREAT:
                file = files.create(path, exclusive=bool(flags & os.O_EXCL))
            else:
                file = files.file(path)
            if flags & os.O_TRUNC:
                del file.content[:]
            return _Handle(self, file, absolute(path), flags)

        return self._guarded(opened)

    @override
    def list_folder(self, path: str) -> list[SFTPAttributes] | int:
        """Return names and attributes of what is in a folder."""

        def listed(machine: Machine) -> list[SFTPAttributes]:
            files, folder = machine.files, absolute(path)
            return [_found(files, f"{folder}/{name}", name) for name in files.names(path)]

        return self._guarded(listed)

    @override
    def stat(self, path: str) -> SFTPAttributes | int:
        """Return the attributes of a file or folder."""
        return self._guarded(lambda machine: _found(machine.files, path))

    @override
    def lstat(self, path: str) -> SFTPAttributes | int:
        """Return the same as `stat`: there are no links."""
        return self.stat(path)

    @override
    def remove(self, path: str) -> int:
        """Delete a file."""
        return self._status(lambda machine: machine.files.remove(path))

    @override
    def rename(self, oldpath: str, newpath: str) -> int:
        """Give a file another path; a file that is there already is never replaced."""
        return self._status(lambda machine: _move(machine, oldpath, newpath, replace=False))

    @override
    def posix_rename(self, oldpath: str, newpath: str) -> int:
        """Give a file another path, in place of a file that is there."""
        return self._status(lambda machine: _move(machine, oldpath, newpath, replace=True))

    @override
    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        """Make a folder."""
        return self._status(lambda machine: machine.files.make_folder(path))

    @override
    def rmdir(self, path: str) -> int:
        """Delete an empty folder."""
        return self._status(lambda machine: machine.files.remove_folder(path))

    @override
    def chattr(self, path: str, attr: SFTPAttributes) -> int:
        """Set permission bits and size; owners and times are not kept."""
        return self._status(lambda machine: _set(machine.files.file(path), attr))

    @override
    def canonicalize(self, path: str) -> str:
        """Return the absolute path."""
        return absolute(path)

    def closed(self, path: str, file: File) -> None:
        """Hear that a file was written to its end."""
        with self._turn() as machine:
            machine.pushed(path, bytes(file.content))

    def _status(self, change: Callable[[Machine], None]) -> int:
        refused = self._guarded(change)
        return SFTP_OK if refused is None else refused

    def _guarded(self, work: Callable[[Machine], _T]) -> _T | int:
        with self._turn() as machine:
            try:
                return work(machine)
            except FileError as error:
                return SFTPServer.convert_errno(error.errno or errno.EIO)


class _Handle(SFTPHandle):
    def __init__(self, session: SftpFiles, file: File, path: str, flags: int) -> None:
        super().__init__(flags)
        self._session = session
        self._file = file
        self._path = path
        self._writes = bool(flags & _WRITING)
        self._appends = bool(flags & os.O_APPEND)

    @override
    def read(self, offset: int, length: int) -> bytes:
        """Return the bytes at a place; none at the end."""
        return bytes(self._file.content[offset : offset + length])

    @override
    def write(self, offset: int, data: ReadableBuffer) -> int:
        """Write bytes at a place, or at the end for a file opened so."""
        content = self._file.content
        at = len(content) if self._appends else offset
        piece = bytes(data)
        if not self._writes:
            return SFTPServer.convert_errno(errno.EACCES)
        if at + len(piece) > MOST_BYTES:
            return SFTPServer.convert_errno(errno.ENOSPC)
        content.extend(bytes(max(0, at - len(content))))
        content[at : at + len(piece)] = piece
        return SFTP_OK

    @override
    def stat(self) -> SFTPAttributes:
        """Return the file's attributes."""
        return _attributes_of(self._file)

    @override
    def chattr(self, attr: SFTPAttributes) -> int:
        """Set permission bits and size."""
        _set(self._file, attr)
        return SFTP_OK

    @override
    def close(self) -> None:
        """Tell the machine about a file that was written."""
        if self._writes:
            self._writes = False
            self._session.closed(self._path, self._file)


def _move(machine: Machine, old: str, new: str, *, replace: bool) -> None:
    machine.files.rename(old, new, replace=replace)
    machine.pushed(absolute(new), bytes(machine.files.file(new).content))


def _found(files: Files, path: str, name: str = "") -> SFTPAttributes:
    """Return the attributes of what is at a path. Raises `FileError`."""
    return _attributes_of(None if files.is_folder(path) else files.file(path), name)


def _set(file: File, attr: SFTPAttributes) -> None:
    if attr.st_mode is not None:
        file.mode = bits.S_IMODE(attr.st_mode)
    if attr.st_size is not None:
        size = min(attr.st_size, MOST_BYTES)
        del file.content[size:]
        file.content.extend(bytes(size - len(file.content)))


def _attributes_of(file: File | None, name: str = "") -> SFTPAttributes:
    """Return the attributes of a file, or of a folder for None."""
    found = SFTPAttributes()
    found.filename = name
    found.st_size = len(file.content) if file else 0
    found.st_mode = (bits.S_IFREG | file.mode) if file else (bits.S_IFDIR | 0o755)
    found.st_uid = found.st_gid = 0
    found.st_atime = found.st_mtime = EPOCH_S
    return found
