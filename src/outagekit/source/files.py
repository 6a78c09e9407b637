"""Files on their way in: regular ones only, of limited size, in UTF-8.

Everything that can go wrong becomes InvalidInput with the file's path and the place.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from outagekit.errors import Problem
from outagekit.source.document import invalid
from outagekit.text import visible_line

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1024 * 1024


def read_bytes(path: Path, *, limit_bytes: int) -> bytes:
    """Return the content of a regular file; raises InvalidInput that says why it cannot."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise invalid(path, (Problem(path, 0, 0, "this is not a file"),))
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except FileNotFoundError as error:
        raise invalid(path, (Problem(path, 0, 0, "there is no such file"),)) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        message = f"the file cannot be read: {visible_line(reason)}"
        raise invalid(path, (Problem(path, 0, 0, message),)) from error
    check_size(path, data, limit_bytes)
    return data


def check_size(path: Path, data: bytes, limit_bytes: int) -> None:
    """Raise InvalidInput if `data` is larger than allowed."""
    if len(data) > limit_bytes:
        size = f"{limit_bytes // _MIB} MiB" if limit_bytes >= _MIB else f"{limit_bytes} bytes"
        raise invalid(path, (Problem(path, 0, 0, f"the file is larger than {size}"),))


def decode(path: Path, data: bytes) -> str:
    """Return UTF-8 as text without its byte order mark; raises InvalidInput with the place."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "the file is UTF-16, not UTF-8"
        raise invalid(path, (Problem(path, 1, 1, message, "save it as UTF-8"),))
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        start = before.rpartition(b"\n")[2].decode("utf-8").removeprefix("\ufeff")
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        problem = Problem(path, line, len(start) + 1, message, "save the file as UTF-8")
        raise invalid(path, (problem,)) from error
