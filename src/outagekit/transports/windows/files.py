r"""Files of a Windows endpoint: the commands that put, look at and fetch one, and their answers.

Pure. A path is absolute and on a disk of the endpoint: `C:\\…`, with `/` or `\\`; environment
variables as `%ProgramData%` are filled in there. It names one file: wildcards mean nothing, as over
SFTP. A file is fetched in pieces; it is put by one command, whose content follows its input as
lines of base64, none of them empty: each decodes by itself.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeGuard

from outagekit.errors import OutagekitError
from outagekit.text import visible_line
from outagekit.transports.protocol import Command, Outcome
from outagekit.transports.windows.bootstrap import BOOTSTRAP, PROGRAM, encoded_command
from outagekit.transports.windows.files_texts import (
    ANSWERING,
    CHUNK,
    CONTENT_APART,
    PUT,
    SHARED,
    STAT,
)
from outagekit.transports.windows.quoting import quoted, whole
from outagekit.transports.windows.render import Sent, framed

CHUNK_BYTES: Final = 512 * 1024
"""The most one command sends of a file: as base64 still less than what is kept of a stream."""
LONGEST_PATH: Final = 259
"""Characters; Windows before version 10 knows no longer paths."""

_READS: Final = "$ok_in=@($input)"
_READS_CONTENT: Final = BOOTSTRAP.replace(_READS, CONTENT_APART, 1)
_TAKES_CONTENT: Final = PROGRAM.replace(encoded_command(BOOTSTRAP), encoded_command(_READS_CONTENT))
_DEVICE: Final = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])"
    r"(?:\.|$)",
    re.IGNORECASE,
)
_WILD: Final = re.compile(r"[*?]")
_FORBIDDEN: Final = re.compile(r'[<>"|\x00-\x1f]')
_ROOTED: Final = re.compile(r"[A-Za-z]:\\|%[A-Za-z_][A-Za-z0-9_()]*%\\")
_SHARE: Final = (
    "a path on another machine (\\\\server\\share) cannot be reached: Windows does not hand a"
    " login over the network on to a second machine"
)
_NAME: Final = "name a file of the endpoint by its whole path, as C:\\Windows\\win.ini"
_SAID: Final[Mapping[str, str]] = {
    "missing": "it does not exist",
    "parent": "the folder it should stand in does not exist",
    "folder": "it is a folder",
    "link": "it is a link: name the file it leads to",
    "denied": "access denied",
    "readonly": "the disk is read-only",
    "locked": "another program keeps it locked",
    "full": "the disk is full",
    "cut": "what the endpoint stored is not what was sent",
    "long": f"its path is longer than {LONGEST_PATH} characters",
    "share": _SHARE,
    "name": _NAME,
}
_CODE: Final = re.compile(r"[a-z]{1,20}")
_SHA: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST_SAID: Final = 300


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an endpoint did not do what was asked; nothing was changed."""

    code: str
    """`missing parent folder link denied readonly locked full cut long share name other`."""
    said: str
    """A clause for a person, to stand after the file's name and a colon."""


@dataclass(frozen=True, slots=True)
class Told:
    """What an endpoint said of a file."""

    size_bytes: int
    """Of the whole file."""
    sha256: str = ""
    """Of the whole file, if it was asked for."""
    written: str = ""
    """When it was last written, ISO 8601 in UTC, to 100 ns: another text, another file."""
    data: bytes = b""
    """The piece that was asked for; shorter where the file ends."""


def put_command(path: str, size_bytes: int, sha256: str) -> Command:
    """Return the command that writes a file, whole or not at all.

    Its content must follow the command's input. It is written beside its place, read again and
    compared, and takes the place in one step; rights and owner of a file that is there remain.
    Raises `OutagekitError` for a path that names no file of an endpoint.
    """
    named = _fit(path)
    if not _SHA.fullmatch(sha256) or size_bytes < 0:
        raise OutagekitError("a file is put with its size and its SHA-256")
    name = re.split(r"[/\\]", path)[-1]
    part = f".{name[:100].rstrip('. ')}.{secrets.token_hex(6)}.part"
    settings = (
        f"$okPart = {quoted(part)}",
        f"$okSize = [long]{size_bytes}",
        f"$okSha = {quoted(sha256)}",
    )
    command = _command("put", "\n".join((named, *settings)), PUT)
    line = command.line.replace(PROGRAM, _TAKES_CONTENT)
    # The empty line is where the script ends and the content begins.
    return replace(command, line=line, stdin=command.stdin + b"\n")


def stat_command(path: str, *, digest: bool = False) -> Command:
    """Return the command that tells of a file; `digest`: its SHA-256, too, which takes a while.

    Raises `OutagekitError` for a path that names no file of an endpoint.
    """
    wants = f"$okDigest = {'$true' if digest else '$false'}"
    return _command("stat", f"{_fit(path)}\n{wants}", STAT)


def chunk_command(path: str, offset: int, length: int = CHUNK_BYTES) -> Command:
    """Return the command that sends a piece of a file, of `CHUNK_BYTES` at most.

    Raises `OutagekitError` for a path that names no file of an endpoint.
    """
    if offset < 0 or not 0 < length <= CHUNK_BYTES:
        raise OutagekitError(f"a file is fetched in pieces of 1 to {CHUNK_BYTES} bytes")
    settings = f"$okOffset = [long]{offset}\n$okLength = [long]{length}"
    return _command("chunk", f"{_fit(path)}\n{settings}", CHUNK)


def parse_told(outcome: Outcome) -> Told | Refused | None:
    """Return what an endpoint said of a file; None: that is no answer to one of these commands."""
    lines = [line for line in map(str.strip, outcome.stdout.text.splitlines()) if line]
    if outcome.failure is not None or outcome.exit_code != 0 or outcome.stdout.truncated:
        return None
    found = _object(lines[-1]) if lines else None
    if found is None or "refused" in found:
        return None if found is None else _refused(found)
    size, sha256, written = found.get("size"), found.get("sha256", ""), found.get("written", "")
    if not _is_count(size) or not isinstance(sha256, str) or not isinstance(written, str):
        return None
    data = _decoded(lines[:-1]) if "sent" in found else b""
    if data is None or ("sent" in found and found["sent"] != len(data)):
        return None
    return Told(size, sha256, visible_line(written)[:40], data)


def path_fault(path: str) -> str:
    """Return why a path names no file of an endpoint; empty if it may."""
    text = path.replace("/", "\\")
    rooted = _ROOTED.match(text)
    if text.startswith("\\\\"):
        return _SHARE
    if _WILD.search(text):
        return "`*` and `?` stand in no file's name: one path names one file"
    if rooted is None or _FORBIDDEN.search(text) or text.endswith("\\"):
        return _NAME
    if len(text) > LONGEST_PATH:
        return _SAID["long"]
    return next(filter(None, map(_name_fault, text[rooted.end() :].split("\\"))), "")


def _name_fault(name: str) -> str:
    if ":" in name:
        return "`:` names a stream inside a file, which is neither put nor fetched"
    if _DEVICE.match(name):
        return f"{name} is a device of Windows, not a file"
    if name != name.rstrip(". ") and name not in {".", ".."}:
        return "Windows leaves out a dot or space at the end of a name: leave it out here, too"
    return ""


def _fit(path: str) -> str:
    fault = path_fault(path)
    if fault:
        raise OutagekitError(f"{visible_line(path)[:200]}: {fault}")
    return f"$okName = {quoted(whole(path, 'the path'))}"


def _command(kind: str, settings: str, text: str) -> Command:
    whole_text = "\n".join((settings, SHARED, ANSWERING.replace("%s", text)))
    return framed(Sent("plain", "", whole_text), step="-", part="probe", facts={"FILE": kind})


def _object(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(found: dict[str, Any]) -> Refused | None:
    code, said = found["refused"], found.get("said", "")
    if not isinstance(code, str) or not _CODE.fullmatch(code) or not isinstance(said, str):
        return None
    shown = visible_line(said)[:_LONGEST_SAID]
    return Refused(code, _SAID.get(code, shown or "Windows says no more"))


def _decoded(lines: list[str]) -> bytes | None:
    try:
        return b"".join(base64.b64decode(line, validate=True) for line in lines)
    except ValueError:
        return None


def _is_count(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
