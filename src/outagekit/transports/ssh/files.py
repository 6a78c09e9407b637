"""Files over SFTP: put whole or not at all, fetched into a new file that nobody else chose.

What the endpoint says about a path is `protocol`, what fails on this machine is `local_io`, more
than is wanted is `size`. A connection that ends or a deadline that passes has `sent=True` only from
the moment the new file was to take its place.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import posixpath
import secrets
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paramiko
from paramiko.sftp import SFTPError

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure, Limits, Moved
from outagekit.transports.ssh.session import Session
from outagekit.transports.ssh.sudo import NO_SERVER
from outagekit.transports.watchdog import WATCHDOG

_WRITE_BYTES: Final = 32 * 1024
_READ_BYTES: Final = 128 * 1024
"""One request a round trip; servers that want to send less do so."""
_BACKSTOP_S: Final = 2.0
_CLEAN_UP_S: Final = 1.0
_KINDS: Final = (
    (stat.S_ISLNK, "a symbolic link: name the file it leads to"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


# What paramiko raises for an answer that is no SFTP: numbers and texts that are none.
_NONSENSE: Final = (ValueError, TypeError, LookupError, struct.error)
_FAULTS: Final = (SFTPError, paramiko.SSHException, EOFError, OSError, *_NONSENSE)


class _Stop(Exception):  # noqa: N818  (the reason is the value it carries)
    """The transfer ends here, for this reason."""

    def __init__(self, kind: FailureKind, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(kind, detail)


@dataclass(frozen=True, slots=True)
class SftpLine:
    """A channel on which an sftp-server runs, or does as soon as it got `begin`."""

    channel: paramiko.Channel
    begin: bytes = b""


@dataclass(slots=True)
class _Transfer:
    """One transfer with its deadline."""

    session: Session
    path: str
    until_s: float
    limit_s: float
    line: SftpLine | None = None
    """None: the server's own subsystem."""
    channel: paramiko.Channel | None = None
    placing: bool = False
    """The new file was asked to take its place."""

    @property
    def shown(self) -> str:
        return visible_line(self.path)[:200]

    def keep_time(self) -> None:
        """Let the next request last no longer than what is left; `TimeoutError` if nothing is."""
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        if self.channel is not None:
            self.channel.settimeout(left_s)

    def explained(self, fault: Exception) -> Failure:
        if isinstance(fault, _Stop):
            return fault.failure
        late = isinstance(fault, TimeoutError) or time.monotonic() >= self.until_s
        if late:
            detail = f"the transfer of {self.shown} did not end within {self.limit_s:g} s"
            return Failure(FailureKind.TIMEOUT, detail, sent=self.placing)
        if not self.session.is_active():
            detail = f"the connection was lost during the transfer of {self.shown}"
            return Failure(FailureKind.LOST, detail, sent=self.placing)
        if isinstance(fault, _NONSENSE):
            detail = f"the endpoint's answer about {self.shown} is no SFTP"
            return Failure(FailureKind.PROTOCOL, detail, sent=self.placing)
        reason = _reason(fault)
        return Failure(FailureKind.PROTOCOL, f"the endpoint refused {self.shown}: {reason}")


def put_file(
    session: Session,
    content: bytes,
    path: str,
    *,
    mode: int,
    limits: Limits,
    line: SftpLine | None = None,
) -> Moved | Failure:
    """Write a file beside its place, prove it by reading it back, and let it take its place.

    `line` is used instead of the server's sftp subsystem, and closed.
    """
    transfer = _begun(session, path, limits, line)
    moved = Moved(len(content), hashlib.sha256(content).hexdigest())
    folder, name = posixpath.split(path)
    temporary = posixpath.join(folder, f".{name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with _sftp(transfer, limits) as sftp:
            try:
                _write(transfer, sftp, temporary, content, mode)
                _compare(transfer, sftp, temporary, moved)
                _place(transfer, sftp, temporary)
            except BaseException:
                _remove(transfer, sftp, temporary)
                raise
    except (_Stop, *_FAULTS) as fault:
        return transfer.explained(fault)
    return moved


def fetch_file(
    session: Session,
    path: str,
    into: Path,
    *,
    max_bytes: int,
    limits: Limits,
    line: SftpLine | None = None,
) -> Moved | Failure:
    """Copy a regular file into the new local file `into`; of a failure nothing is left there.

    `line` as for `put_file`.
    """
    transfer = _begun(session, path, limits, line)
    try:
        local = os.open(into, _new_file_flags(), 0o600)
    except OSError as fault:
        return Failure(FailureKind.LOCAL_IO, f"{into} cannot be made: {_reason(fault)}")
    moved: Moved | None = None
    try:
        with _sftp(transfer, limits) as sftp:
            moved = _read(transfer, sftp, local, max_bytes)
    except (_Stop, *_FAULTS) as fault:
        return transfer.explained(fault)
    finally:
        os.close(local)
        if moved is None:
            with contextlib.suppress(OSError):
                into.unlink()
    return moved


def _begun(session: Session, path: str, limits: Limits, line: SftpLine | None) -> _Transfer:
    return _Transfer(session, path, time.monotonic() + limits.run_s, limits.run_s, line)


@contextlib.contextmanager
def _sftp(transfer: _Transfer, limits: Limits) -> Iterator[paramiko.SFTPClient]:
    if not transfer.path or "\0" in transfer.path:
        raise _Stop(FailureKind.PROTOCOL, "this path cannot be sent to an endpoint")
    session = transfer.session
    with WATCHDOG.limit(limits.run_s + _BACKSTOP_S, session.cut):
        channel = transfer.line.channel if transfer.line else _subsystem(session, limits)
        try:
            transfer.channel = channel
            transfer.keep_time()
            if transfer.line is not None:
                channel.sendall(transfer.line.begin)
            yield _greeted(transfer, channel)
        finally:
            with contextlib.suppress(paramiko.SSHException, EOFError, OSError):
                channel.close()


def _subsystem(session: Session, limits: Limits) -> paramiko.Channel:
    try:
        return session.start_subsystem("sftp", min(limits.accept_s, limits.run_s))
    except paramiko.SSHException as fault:
        if not session.is_active():
            raise
        detail = "the endpoint's SSH server offers no file transfer: it has no sftp subsystem"
        raise _Stop(FailureKind.PROTOCOL, detail) from fault


def _greeted(transfer: _Transfer, channel: paramiko.Channel) -> paramiko.SFTPClient:
    try:
        return paramiko.SFTPClient(channel)
    except (SFTPError, paramiko.SSHException, *_NONSENSE) as fault:
        if not transfer.session.is_active():
            raise
        if transfer.line is not None and _exit_status(channel) == NO_SERVER:
            detail = "the machine has no sftp-server to run as root: install openssh-sftp-server"
            raise _Stop(FailureKind.PROTOCOL, detail) from fault
        # A login shell that prints something spoils the protocol, too.
        detail = "the endpoint's sftp subsystem does not speak SFTP, or ended at once"
        raise _Stop(FailureKind.PROTOCOL, detail) from fault


def _exit_status(channel: paramiko.Channel) -> int:
    channel.status_event.wait(_CLEAN_UP_S)
    return channel.exit_status


def _write(
    transfer: _Transfer, sftp: paramiko.SFTPClient, temporary: str, content: bytes, mode: int
) -> None:
    with sftp.open(temporary, "wx") as remote:
        # Before the first byte: nobody may read what is not meant for him.
        remote.chmod(mode)
        remote.set_pipelined(True)
        for start in range(0, len(content), _WRITE_BYTES):
            transfer.keep_time()
            remote.write(content[start : start + _WRITE_BYTES])


def _compare(transfer: _Transfer, sftp: paramiko.SFTPClient, temporary: str, wanted: Moved) -> None:
    digest = hashlib.sha256()
    size = 0
    for data in _pieces(transfer, sftp, temporary):
        digest.update(data)
        size += len(data)
        if size > wanted.size_bytes:
            break
    if (size, digest.hexdigest()) != (wanted.size_bytes, wanted.sha256):
        detail = f"what the endpoint stored for {transfer.shown} is not what was sent"
        raise _Stop(FailureKind.PROTOCOL, detail)


def _place(transfer: _Transfer, sftp: paramiko.SFTPClient, temporary: str) -> None:
    transfer.keep_time()
    transfer.placing = True
    try:
        sftp.posix_rename(temporary, transfer.path)
    except OSError as fault:
        if "support" not in str(fault).casefold():
            raise
        _place_without_extension(transfer, sftp, temporary)


def _place_without_extension(
    transfer: _Transfer, sftp: paramiko.SFTPClient, temporary: str
) -> None:
    """Take the old file aside first: the plain rename replaces nothing."""
    aside: str | None = f"{temporary}.old"
    try:
        if stat.S_ISDIR(sftp.lstat(transfer.path).st_mode or 0):
            raise _Stop(FailureKind.PROTOCOL, f"{transfer.shown} is a folder")
        sftp.rename(transfer.path, str(aside))
    except FileNotFoundError:
        aside = None
    try:
        sftp.rename(temporary, transfer.path)
    except OSError:
        if aside is not None:
            sftp.rename(aside, transfer.path)
        raise
    if aside is not None:
        _remove(transfer, sftp, aside)


def _read(transfer: _Transfer, sftp: paramiko.SFTPClient, local: int, max_bytes: int) -> Moved:
    _check_regular(transfer, sftp.lstat(transfer.path), max_bytes)
    digest = hashlib.sha256()
    size = 0
    for data in _pieces(transfer, sftp, transfer.path, max_bytes=max_bytes):
        size += len(data)
        if size > max_bytes:
            raise _too_large(transfer, max_bytes)
        digest.update(data)
        with _local(transfer):
            _write_all(local, data)
    return Moved(size, digest.hexdigest())


def _pieces(
    transfer: _Transfer, sftp: paramiko.SFTPClient, path: str, *, max_bytes: int | None = None
) -> Iterator[bytes]:
    left = 0
    with sftp.open(path, "r") as remote:
        if max_bytes is not None:
            # The name may lead elsewhere by now.
            found = remote.stat()
            _check_regular(transfer, found, max_bytes)
            left = found.st_size or 0
        remote.MAX_REQUEST_SIZE = _READ_BYTES
        transfer.keep_time()
        while data := remote.read(_READ_BYTES):
            left -= len(data)
            yield data
            transfer.keep_time()
    if left > 0:
        detail = f"{transfer.shown} ended {left} bytes before the size it was said to have"
        raise _Stop(FailureKind.PROTOCOL, detail)


def _check_regular(transfer: _Transfer, found: paramiko.SFTPAttributes, max_bytes: int) -> None:
    mode = found.st_mode or 0
    if not stat.S_ISREG(mode):
        what = next((text for test, text in _KINDS if test(mode)), "no regular file")
        raise _Stop(FailureKind.PROTOCOL, f"{transfer.shown} is {what}")
    if (found.st_size or 0) > max_bytes:
        raise _too_large(transfer, max_bytes)


def _too_large(transfer: _Transfer, max_bytes: int) -> _Stop:
    return _Stop(FailureKind.SIZE, f"{transfer.shown} is larger than {max_bytes} bytes")


def _write_all(local: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(local, rest) :]


@contextlib.contextmanager
def _local(transfer: _Transfer) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        detail = f"{transfer.shown} cannot be written on this machine: {_reason(fault)}"
        raise _Stop(FailureKind.LOCAL_IO, detail) from fault


def _remove(transfer: _Transfer, sftp: paramiko.SFTPClient, temporary: str) -> None:
    with contextlib.suppress(*_FAULTS):
        if transfer.channel is not None:
            transfer.channel.settimeout(_CLEAN_UP_S)
        sftp.remove(temporary)


def _new_file_flags() -> int:
    # Windows has text mode, POSIX links: each has its flag, neither has both.
    kept = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.O_WRONLY | os.O_CREAT | os.O_EXCL | kept


def _reason(fault: Exception) -> str:
    if isinstance(fault, OSError) and fault.errno is not None:
        return {errno.ENOENT: "it does not exist", errno.EACCES: "permission denied"}.get(
            fault.errno, os.strerror(fault.errno)
        )
    return visible_line(str(fault) or type(fault).__name__)
