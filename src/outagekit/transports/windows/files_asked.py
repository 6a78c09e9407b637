"""What the commands of `files` ask for, and how an endpoint answers: for one that is no Windows.

Pure. A simulated machine reads here what it was sent, instead of running the text.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from outagekit.transports.windows.render import sent_in

FileKind = Literal["put", "stat", "chunk"]
_KIND: Final = re.compile(r'set "OK_FILE=([a-z]+)"')
_TEXT: Final = re.compile(r"^\$okName = '(.*)'$", re.MULTILINE)
_SHA: Final = re.compile(r"^\$okSha = '([0-9a-f]{64})'$", re.MULTILINE)
_NUMBER: Final = re.compile(r"^\$ok(Offset|Length|Size) = \[long\](\d+)$", re.MULTILINE)
_DOUBLED: Final = re.compile("(['\u2018\u2019\u201a\u201b])\\1")
_LINE_BYTES: Final = 48 * 1024


@dataclass(frozen=True, slots=True)
class FileRequest:
    """What one command asks for."""

    kind: FileKind
    path: str
    offset: int = 0
    length: int = 0
    size_bytes: int = 0
    """Of a put: how long the content must be."""
    sha256: str = ""
    digest: bool = False
    content: bytes | None = b""
    """Of a put; None: it is no base64."""


def request_in(line: str, stdin: bytes) -> FileRequest | None:
    """Return what a command asks for, of its line and its input without the nonce; None: nothing.

    Of a put the content follows the input.
    """
    kind = _KIND.search(line)
    script, _, content = stdin.replace(b"\r\n", b"\n").partition(b"\n\n")
    sent = sent_in(script)
    if sent is None or kind is None or kind[1] not in get_args(FileKind):
        return None
    name, sha256 = _TEXT.search(sent.text), _SHA.search(sent.text)
    if name is None:
        return None
    numbers = {key: int(value) for key, value in _NUMBER.findall(sent.text)}
    return FileRequest(
        cast("FileKind", kind[1]),
        _DOUBLED.sub(r"\1", name[1]),
        offset=numbers.get("Offset", 0),
        length=numbers.get("Length", 0),
        size_bytes=numbers.get("Size", 0),
        sha256=sha256[1] if sha256 else "",
        digest="\n$okDigest = $true\n" in sent.text,
        content=_decoded(content),
    )


def answer_told(
    size_bytes: int, *, sha256: str = "", written: str = "", data: bytes | None = None
) -> str:
    """Return the standard output by which an endpoint tells of a file, or sends a piece of it."""
    said: dict[str, object] = {"size": size_bytes, "written": written, "sha256": sha256}
    lines = []
    if data is not None:
        said["sent"] = len(data)
        pieces = (data[at : at + _LINE_BYTES] for at in range(0, len(data), _LINE_BYTES))
        lines = [base64.b64encode(piece).decode("ascii") for piece in pieces]
    return "\n".join((*lines, json.dumps(said))) + "\n"


def answer_refused(code: str, said: str = "") -> str:
    """Return the standard output by which an endpoint refuses a file (see `files.Refused`)."""
    return json.dumps({"refused": code, "said": said}) + "\n"


def _decoded(content: bytes) -> bytes | None:
    try:
        return b"".join(base64.b64decode(line, validate=True) for line in content.split())
    except ValueError:
        return None
