"""The files below a trust folder: read with limits, staged beside their place, replaced whole.

Knows bytes and paths only. Errors of the operating system that concern one file for certain
become `InvalidInput`; others are the caller's to map.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from outagekit.errors import InvalidInput

Stamp = tuple[int, int, int]
"""When a file was written, its size and its inode: another stamp, another content."""
_STAGED: Final = re.compile(r"\.(?:known_hosts|machines\.json)\.[0-9a-f]{12}")
_LARGEST_BYTES: Final = 64 * 1024 * 1024


def stamp_of(file: Path) -> Stamp | None:
    """Return the stamp of a regular file, None if there is none. Raises `InvalidInput`."""
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise InvalidInput(f"{file} cannot be read: {reason_of(fault)}") from fault
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{file} cannot be read: it is no regular file")
    if status.st_size > _LARGEST_BYTES:
        raise InvalidInput(f"{file} cannot be read: it is larger than any such file")
    return status.st_mtime_ns, status.st_size, status.st_ino


def content_of(file: Path) -> bytes:
    """Return a file's content, nothing if it is not there. Raises `InvalidInput`."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as fault:
        raise InvalidInput(f"{file} cannot be read: {reason_of(fault)}") from fault


def pins_of(file: Path) -> dict[str, str]:
    """Return the machine ids in a `machines.json`. Raises `InvalidInput`."""
    try:
        return msgspec.json.decode(content_of(file) or b"{}", type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        message = f"{file} is damaged: it must map endpoint names to machine ids"
        raise InvalidInput(message, hint="restore it, or remove it to pin anew") from fault


def pins_text(pins: Mapping[str, str]) -> bytes:
    """Return the content of a `machines.json`."""
    return msgspec.json.format(msgspec.json.encode(dict(sorted(pins.items()))), indent=1) + b"\n"


def reason_of(fault: OSError) -> str:
    """Return what the operating system says."""
    return fault.strerror or type(fault).__name__


def clear_staged(folder: Path) -> None:
    """Take away what processes left that were killed while they staged; hold the folder's lock.

    Never raises.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if _STAGED.fullmatch(path.name):
                path.unlink(missing_ok=True)


class Staged:
    """A file's new content, private and on disk beside it; not yet in its place.

    Making one needs all the room there will be needed. Every method may raise `OSError`.
    """

    def __init__(self, file: Path, content: bytes) -> None:
        self._file = file
        self._temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
        try:
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            self.discard()
            raise

    def put_in_place(self) -> None:
        """Replace the file, whole."""
        self._temporary.replace(self._file)

    def discard(self) -> None:
        """Take away what was not put in its place. Never raises."""
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)
