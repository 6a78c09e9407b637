"""Where files fetched from endpoints are kept: names are ours, never the endpoint's.

`<root>/<client>/<endpoint>/<step>/<sha16>-<slug>`, folders 0700 and files 0600. What an endpoint
calls a file is kept as a fact in the log; of it only a slug becomes part of a name. Nothing is
overwritten, no link is followed, nothing is unpacked.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.text import slug, visible_line

MAX_FILES: Final = 1_000
"""Files one step may keep of one endpoint, over all its attempts."""

# Short enough that a full path stays below the 260 characters many Windows programs can open.
_FOLDER = 32
_FILE = 40
_INCOMING: Final = "incoming-"
_HASHED = re.compile(r"-[0-9a-f]{8}$")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_SOURCE = 1_024
_SHOWN = 80


class EvidenceRefused(OutagekitError):  # noqa: N818  (what the caller reports as the step's failure)
    """A file cannot be kept; `kind` is `quota` or `local_io`, the message one sentence."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class EvidenceStore:
    """The evidence folder of one run. May be used by several threads and by several stores."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = Lock()

    def place(self, client: str, endpoint: str, step: str, source: str) -> Path:
        """Return the path of a file that does not exist yet, for the content of `source`.

        `endpoint` is its name without the client. The folders exist afterwards. Raises
        `EvidenceRefused`: `quota` if the step has kept its thousand files of this endpoint,
        `local_io` if the folders cannot be made or are not what they should be.
        """
        with _mapped(source), self._lock:
            folder = self._folder(client, endpoint, step)
            if sum(1 for _ in os.scandir(folder)) >= MAX_FILES:
                message = f"the step has kept {MAX_FILES} files of this endpoint already"
                raise EvidenceRefused(FailureKind.QUOTA, f"{message}; not kept: {_shown(source)}")
            return folder / f"{_INCOMING}{secrets.token_hex(8)}"

    def settle(self, tmp: Path, sha256: str, source: str) -> Path:
        """Give the file at `tmp`, a path of `place`, its final name and return its path.

        The name is made of the hash of its content and a slug of the last part of `source`; a
        name that is taken gets a number. The file is on disk when this returns. Raises
        `EvidenceRefused` of kind `local_io` if there is no regular file at `tmp`, if `tmp` was
        not given out by `place`, or if the disk refuses.
        """
        with _mapped(source), self._lock:
            if not _SHA256.fullmatch(sha256):
                raise EvidenceRefused(FailureKind.LOCAL_IO, "this is no SHA-256")
            self._require_incoming(tmp)
            tmp.chmod(0o600)
            _sync_file(tmp)
            final = self._reserved(tmp.parent, sha256, source)
            tmp.replace(final)
            _sync_folder(tmp.parent)
            return final

    def discard(self, tmp: Path) -> None:
        """Remove what a broken transfer left at `tmp`, a path of `place`; nothing there is fine."""
        with _mapped(str(tmp)), self._lock, suppress(FileNotFoundError):
            self._require_incoming(tmp)
            tmp.unlink()

    def name_of(self, path: Path) -> str:
        """Return the path of a kept file relative to the run folder, with `/` on every system."""
        return path.relative_to(self.root.parent).as_posix()

    def _folder(self, client: str, endpoint: str, step: str) -> Path:
        folder = self.root
        _own_folder(folder)
        for name in (client, endpoint, step):
            folder /= _folder_name(name)
            _own_folder(folder)
        self._require_inside(folder)
        return folder

    def _require_inside(self, folder: Path) -> None:
        if not folder.resolve().is_relative_to(self.root.resolve()):
            raise EvidenceRefused(FailureKind.LOCAL_IO, "the path leads out of the evidence folder")

    def _require_incoming(self, tmp: Path) -> None:
        self._require_inside(tmp.parent)
        found = tmp.lstat()
        regular = stat.S_ISREG(found.st_mode) and found.st_nlink <= 1
        if not tmp.name.startswith(_INCOMING) or not regular:
            raise EvidenceRefused(FailureKind.LOCAL_IO, "the fetched file is no file of this store")

    def _reserved(self, folder: Path, sha256: str, source: str) -> Path:
        """Return a new empty file: creating it exclusively is what makes the name ours."""
        last = slug(_last_part(source), _FILE)
        path = folder / f"{sha256[:16]}-{last}"
        for number in count(2):
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                break
            path = folder / f"{sha256[:16]}-{number}-{last}"
        return path


def _folder_name(name: str) -> str:
    """Return a folder name for a name of ours; different names never share one."""
    if slug(name, _FOLDER) == name and not _HASHED.search(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{slug(name, _FOLDER - 9).rstrip('.-')}-{digest}"


def _last_part(source: str) -> str:
    parts = re.split(r"[/\\]", source[-_LONGEST_SOURCE:])
    return next((part for part in reversed(parts) if part), "")


def _own_folder(path: Path) -> None:
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise EvidenceRefused(FailureKind.LOCAL_IO, f"{path.name} is not a folder of this store")


def _sync_file(path: Path) -> None:
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name != "posix":
        return  # a folder cannot be opened there; the file system orders its own entries
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _mapped(source: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        message = f"evidence cannot be kept here ({why}): {_shown(source)}"
        raise EvidenceRefused(FailureKind.LOCAL_IO, message) from error


def _shown(source: str) -> str:
    return visible_line(source[-_SHOWN:])
