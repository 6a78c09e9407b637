"""One writer per run folder, across processes: a lock that ends with the process that holds it.

The lock is a file of its own, because a lock on Windows would hide the log from readers.
`owner.json` says who holds it; it is for people and for the inbox, the lock alone decides.
"""

from __future__ import annotations

import getpass
import os
import platform
import secrets
from typing import TYPE_CHECKING, Final, Self

import filelock
import msgspec

from outagekit.errors import LogUnwritable
from outagekit.log.file import open_regular, write_durably
from outagekit.text import visible_line

if TYPE_CHECKING:
    from pathlib import Path

OWNER_NAME: Final = "owner.json"
LOCK_NAME: Final = ".lock"
_MAX_OWNER_BYTES = 4096


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds, or last held, a run folder."""

    pid: int
    user: str
    machine: str
    start: str
    """UTC, as times in the log."""
    nonce: str
    """New for every holder; what speaks to the run through its inbox must know it."""

    def __str__(self) -> str:
        """Return the holder in words for a person."""
        who = visible_line(f"{self.user} on {self.machine}")
        return f"process {self.pid} of {who}, since {visible_line(self.start)}"


def current_user() -> str:
    """Return the name of the operating system's user, or its number where it has no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def read_owner(folder: Path) -> Owner | None:
    """Return who holds or last held a run folder, or None if that cannot be read."""
    try:
        with open_regular(folder / OWNER_NAME) as file:
            return msgspec.json.decode(file.read(_MAX_OWNER_BYTES), type=Owner)
    except (OSError, ValueError, RecursionError):
        return None


def is_held(folder: Path) -> bool:
    """Return whether a process holds a run folder now.

    A folder whose lock cannot be tried, such as one on a read-only disk, is held by nobody.
    """
    if not (folder / LOCK_NAME).exists():
        return False
    lock = filelock.FileLock(folder / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
    except filelock.Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


class FolderLock:
    """The held lock of a run folder."""

    def __init__(self, lock: filelock.BaseFileLock, owner: Owner) -> None:
        self._lock = lock
        self.owner = owner
        """This process, as `owner.json` names it."""

    @classmethod
    def acquire(cls, folder: Path, *, start: str) -> Self:
        """Take the lock at once or raise `LogUnwritable` naming who holds it."""
        lock = filelock.FileLock(folder / LOCK_NAME, timeout=0, mode=0o600, thread_local=False)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            holder = read_owner(folder) or "another process"
            hint = "wait for it, stop it, or speak to it with: outagekit note, approve or stop"
            raise LogUnwritable(f"{folder.name} is held by {holder}", hint=hint) from error
        except OSError as error:
            raise LogUnwritable(f"{folder} cannot be locked: {error}") from error
        owner = Owner(
            pid=os.getpid(),
            user=current_user(),
            machine=platform.node(),
            start=start,
            nonce=secrets.token_hex(16),
        )
        try:
            write_durably(folder / OWNER_NAME, msgspec.json.encode(owner) + b"\n")
        except OSError as error:
            lock.release()
            raise LogUnwritable(f"{folder} cannot be written: {error}") from error
        return cls(lock, owner)

    def release(self) -> None:
        """Give the folder back; doing it twice is the same as once."""
        self._lock.release()
