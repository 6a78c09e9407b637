"""What a person trusted once on this machine, by digest: commands that give secrets, playbooks."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Final

import msgspec
from filelock import FileLock, Timeout

from outagekit.credentials.sources import at_once
from outagekit.errors import InvalidInput, Refused

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

_LOCK_S: Final = 10.0


class Trust(msgspec.Struct, frozen=True):
    """What was trusted, in words for a person, and when (UTC)."""

    what: str
    at: str


class TrustedDigests:
    """Digests in one small JSON file of the state folder, readable and writable by its owner only.

    Every question reads the file anew, so that a second process is heard. Raises `InvalidInput`
    for a file that is damaged or cannot be used, `Refused` for one that others could have written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def knows(self, digest: str, /) -> bool:
        """Return whether the digest was trusted."""
        return digest in self.all()

    def all(self) -> dict[str, Trust]:
        """Return all that was trusted, by digest, oldest first."""
        try:
            with open(self._path, "rb", opener=at_once) as file:
                self._check_private(os.fstat(file.fileno()))
                content = file.read()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error) from error
        try:
            return msgspec.json.decode(content, type=dict[str, Trust])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidInput(
                f"{self._path} is damaged",
                hint="delete it: what was trusted is asked again",
            ) from error

    def add(self, digest: str, what: str, now: datetime) -> None:
        """Trust a digest from now on; `what` says in words what it stands for."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(f"{self._path}.lock", timeout=_LOCK_S):
                at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                self._write(self.all() | {digest: Trust(what, at)})
        except (OSError, Timeout) as error:
            raise self._unusable(error) from error

    def _write(self, known: dict[str, Trust]) -> None:
        content = msgspec.json.format(msgspec.json.encode(known), indent=2) + b"\n"
        new = self._path.with_name(f"{self._path.name}.new")
        with suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(
            new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(self._path)

    def _check_private(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise InvalidInput(f"{self._path} cannot be used: it is no regular file")
        # Windows has no such bits; there the access list of the folder decides.
        if sys.platform == "win32":
            return
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise Refused(
                f"others than you can write {self._path}: it proves no trust",
                hint="look through it, then make it yours alone: chmod 600",
            )

    def _unusable(self, error: OSError) -> InvalidInput:
        return InvalidInput(f"{self._path} cannot be used: {error.strerror or 'it is locked'}")
