"""Files of a simulated Windows machine, put and fetched by commands: what it answers to them.

Pure. The commands are those of `transports.windows.files`; none of their text is executed.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from outagekit.lab.answers import Answer
from outagekit.lab.files import FileError
from outagekit.lab.machine import Machine
from outagekit.transports.windows.render import sent_in

_LINE_BYTES: Final = 48 * 1024
_WRITTEN: Final = "2026-01-01T00:00:00.0000000Z"
_SETTING: Final = re.compile(
    r"^\$ok(Name|Size|Sha|Digest|Offset|Length) = "
    r"(?:\[long\](\d+)|\$(true|false)|'((?:[^']|'')*)')$",
    re.MULTILINE,
)
_BLANK: Final = re.compile(rb"\r?\n\s*\r?\n")
_REASONS: Final = {errno.ENOENT: "missing", errno.EISDIR: "folder"}


def answer_file(machine: Machine, kind: str, sent: bytes) -> Answer:
    """Return the answer to a command about a file. Never raises.

    `kind` is `put`, `stat` or `chunk`, `sent` its input without the nonce. A machine that hangs or
    resets does so here as well.
    """
    ending = machine.strike()
    if ending is not None:
        return Answer(ending=ending)
    head = _BLANK.split(sent, maxsplit=1)[0]
    whole = sent_in(head)
    act = _ACTS.get(kind)
    if whole is None or act is None:
        return machine.shell.cut
    settings = _settings(whole.text)
    content = sent[len(head) :]
    try:
        return Answer(stdout=act(machine, settings, content))
    except FileError as error:
        return _refused(_REASONS.get(error.errno or 0, "other"))
    except _CutError:
        return _refused("cut")


class _CutError(Exception):
    """What came is not what was said to come."""


def _put(machine: Machine, settings: Mapping[str, Any], content: bytes) -> str:
    path = str(settings["Name"])
    try:
        data = b"".join(base64.b64decode(line, validate=True) for line in content.split())
    except ValueError as error:
        raise _CutError from error
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != settings.get("Size") or digest != settings.get("Sha"):
        raise _CutError
    try:
        file = machine.files.create(path)
    except FileError as error:
        return _refused("folder" if error.errno == errno.EISDIR else "parent").stdout
    file.content[:] = data
    machine.pushed(path, data)
    return _said(size=len(data), sha256=digest)


def _stat(machine: Machine, settings: Mapping[str, Any], _content: bytes) -> str:
    data = bytes(machine.files.file(str(settings["Name"])).content)
    digest = hashlib.sha256(data).hexdigest() if settings.get("Digest") else ""
    return _said(size=len(data), written=_WRITTEN, sha256=digest)


def _chunk(machine: Machine, settings: Mapping[str, Any], _content: bytes) -> str:
    data = bytes(machine.files.file(str(settings["Name"])).content)
    offset = int(settings.get("Offset", 0))
    piece = data[offset : offset + int(settings.get("Length", 0))]
    rows = (piece[at : at + _LINE_BYTES] for at in range(0, len(piece), _LINE_BYTES))
    lines = "".join(f"{base64.b64encode(row).decode('ascii')}\n" for row in rows)
    return lines + _said(size=len(data), written=_WRITTEN, sent=len(piece))


_ACTS: Final[Mapping[str, Callable[[Machine, Mapping[str, Any], bytes], str]]] = {
    "put": _put,
    "stat": _stat,
    "chunk": _chunk,
}


def _settings(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {"Name": ""}
    for name, number, flag, words in _SETTING.findall(text):
        found[name] = int(number) if number else flag == "true" if flag else words
    found["Name"] = found["Name"].replace("''", "'")
    return found


def _said(**fields: str | int) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _refused(code: str) -> Answer:
    return Answer(stdout=_said(refused=code, said=""))
