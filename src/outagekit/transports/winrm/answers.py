"""Reads what a WinRM service answers. Pure, and suspicious: bytes of a stranger.

Sizes and depth are bounded, documents with a DTD are refused (they could grow without bound), and
an answer to another question is no answer. Everything wrong is `BadAnswerError`.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from outagekit.transports.winrm.faults import Reported

_DEEPEST: Final = 48
_MOST_ELEMENTS: Final = 20_000
_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_CODE: Final = re.compile(r"\s*([+-]?[0-9]{1,10})\s*")
_BITS: Final = 32

_SOAP: Final = "{http://www.w3.org/2003/05/soap-envelope}"
_ADDRESSING: Final = "{http://schemas.xmlsoap.org/ws/2004/08/addressing}"
_WSMAN: Final = "{http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd}"
_SHELL: Final = "{http://schemas.microsoft.com/wbem/wsman/1/windows/shell}"
_WINDOWS_FAULT: Final = "{http://schemas.microsoft.com/wbem/wsman/1/wsmanfault}"
_WMI_ERROR: Final = "{http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/MSFT_WmiError}"


class BadAnswerError(Exception):
    """Not an answer to what was asked; the message says why, in words of ours only."""


@dataclass(frozen=True, slots=True)
class Received:
    """What a command wrote since it was last asked, and whether it ended."""

    stdout: bytes = b""
    stderr: bytes = b""
    done: bool = False
    exit_code: int | None = None
    """As the service says it, signed or not; None if it does not."""


def tree_of(body: bytes) -> Element:
    """Return the SOAP envelope of an answer. Raises `BadAnswerError`."""
    if not body.strip():
        raise BadAnswerError("the answer is empty")
    if body.lstrip()[:5].lower() in {b"<html", b"<!doc"}:
        raise BadAnswerError("the answer is a web page: something else than WinRM answers there")
    root = _Tree().grown(body)
    if root.tag != f"{_SOAP}Envelope" or root.find(f"{_SOAP}Body") is None:
        raise BadAnswerError("the answer is XML, but not of WinRM")
    return root


class _Tree:
    """Builds the tree of one document within bounds."""

    def __init__(self) -> None:
        self._builder = TreeBuilder()
        self._depth = 0
        self._elements = 0

    def grown(self, body: bytes) -> Element:
        parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _refuse_dtd
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._builder.data
        try:
            parser.Parse(body, True)  # noqa: FBT003  (expat's own signature)
            return self._builder.close()
        except (expat.ExpatError, ValueError, LookupError, AssertionError) as fault:
            raise BadAnswerError("the answer is damaged or cut: no whole XML") from fault

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _DEEPEST or self._elements > _MOST_ELEMENTS:
            raise BadAnswerError("the answer is XML too deep or with too many parts")
        self._builder.start(_spelt(name), {_spelt(key): text for key, text in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._builder.end(_spelt(name))


def _refuse_dtd(*_: object) -> None:
    raise BadAnswerError("the answer brings a document type, which no answer of WinRM has")


def _spelt(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def check_relates(root: Element, message_id: str, *, strict: bool = True) -> None:
    """Raise `BadAnswerError` unless the answer is one to this message.

    Not `strict`: it may as well not say to which.
    """
    said = (root.findtext(f"{_SOAP}Header/{_ADDRESSING}RelatesTo") or "").strip()
    if not said and not strict:
        return
    if said.lower().removeprefix("urn:").removeprefix("uuid:") != message_id.lower():
        raise BadAnswerError("the answer is one to another message")


def reported_of(root: Element) -> Reported | None:
    """Return what a SOAP fault says, in any of the three shapes; None if this is no fault."""
    fault = root.find(f"{_SOAP}Body/{_SOAP}Fault")
    if fault is None:
        return None
    windows = [_number(each.get("Code")) for each in fault.iter(f"{_WINDOWS_FAULT}WSManFault")]
    wmi = [_number(each.text) for each in fault.iter(f"{_WMI_ERROR}error_Code")]
    subcode = fault.findtext(f"{_SOAP}Code/{_SOAP}Subcode/{_SOAP}Value") or ""
    words = [
        fault.findtext(f"{_SOAP}Reason/{_SOAP}Text"),
        *(_text(each) for each in fault.iter(f"{_WMI_ERROR}Message")),
        *(_text(each) for each in fault.iter(f"{_WINDOWS_FAULT}Message")),
    ]
    return Reported(
        codes=tuple(code for code in (*windows, *wmi) if code is not None),
        subcode=subcode.strip().rpartition(":")[2],
        words=next((text.strip() for text in words if text and text.strip()), ""),
    )


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _number(text: str | None) -> int | None:
    """Return a code without a sign."""
    found = _CODE.fullmatch(text or "")
    return int(found[1]) % (1 << _BITS) if found else None


def shell_of(root: Element) -> str:
    """Return the id of a shell that was made. Raises `BadAnswerError`."""
    body = root.find(f"{_SOAP}Body")
    selectors = [] if body is None else list(body.iter(f"{_WSMAN}Selector"))
    found = [each.text or "" for each in selectors if each.get("Name") == "ShellId"]
    found += [] if body is None else [each.text or "" for each in body.iter(f"{_SHELL}ShellId")]
    shell = found[0].strip() if found else ""
    if not _ID.fullmatch(shell):
        raise BadAnswerError("the answer names no shell")
    return shell


def check_command(root: Element, command: str) -> None:
    """Raise `BadAnswerError` unless a command was begun, under the id we gave it."""
    said = root.findtext(f"{_SOAP}Body/{_SHELL}CommandResponse/{_SHELL}CommandId") or ""
    if said.strip().lower() != command.lower():
        raise BadAnswerError("the answer does not name the command that was to begin")


def received_of(root: Element, command: str) -> Received:
    """Return what a command wrote. Raises `BadAnswerError`."""
    response = root.find(f"{_SOAP}Body/{_SHELL}ReceiveResponse")
    if response is None:
        raise BadAnswerError("the answer holds no output")
    streams = {"stdout": bytearray(), "stderr": bytearray()}
    for stream in response.findall(f"{_SHELL}Stream"):
        _check_id(stream, command)
        name = (stream.get("Name") or "").lower()
        if name not in streams:
            raise BadAnswerError("the answer holds output of an unknown stream")
        streams[name] += _decoded(stream.text or "")
    state = response.find(f"{_SHELL}CommandState")
    done = False
    if state is not None:
        _check_id(state, command)
        done = (state.get("State") or "").endswith("/CommandState/Done")
    code = _exit_code(state) if state is not None and done else None
    return Received(bytes(streams["stdout"]), bytes(streams["stderr"]), done, code)


def _check_id(element: Element, command: str) -> None:
    if (element.get("CommandId") or "").lower() != command.lower():
        raise BadAnswerError("the answer holds output of another command")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadAnswerError("the answer holds damaged output") from fault


def _exit_code(state: Element) -> int | None:
    text = state.findtext(f"{_SHELL}ExitCode")
    if text is None or not text.strip():
        return None
    found = _CODE.fullmatch(text)
    if found is None or not -(1 << _BITS - 1) <= int(found[1]) < 1 << _BITS:
        raise BadAnswerError("the answer holds an exit code that is none")
    return int(found[1])
