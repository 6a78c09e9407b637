"""Envelopes: what a client's message says, and the answers to it. Pure.

Parsing raises `FaultError` for what is XML but no message of ours, `NotXmlError` for the rest.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from outagekit.lab.wsman.faults import (
    NOT_SCHEMA,
    NOT_UNDERSTOOD,
    UNKNOWN_ACTION,
    UNKNOWN_RESOURCE,
    FaultError,
    SoapFault,
    fault_body,
)
from outagekit.lab.wsman.injection import Kind

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
TRANSFER: Final = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSMAN: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
MICROSOFT: Final = "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"
SHELL: Final = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CMD: Final = SHELL + "/cmd"

_ANONYMOUS: Final = ADDRESSING + "/role/anonymous"
_FAULT_ACTION: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
_KINDS: Final[Mapping[str, Kind]] = {
    f"{TRANSFER}/Create": "create",
    f"{TRANSFER}/Delete": "delete",
    f"{SHELL}/Command": "command",
    f"{SHELL}/Send": "send",
    f"{SHELL}/Receive": "receive",
    f"{SHELL}/Signal": "signal",
}
_DURATION: Final = re.compile(
    r"P(?:([0-9]{1,6})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,6})M)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)S)?)?"
)
_SECONDS: Final = (86400.0, 3600.0, 60.0, 1.0)
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_DEFAULT_TIMEOUT_S: Final = 60.0
_MOST_TIMEOUT_S: Final = 600.0
_DEFAULT_ENVELOPE_BYTES: Final = 512000
_LEAST_ENVELOPE_BYTES: Final = 8192


class NotXmlError(Exception):
    """A body that is no XML, or XML that brings a document type of its own."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one message asks for."""

    kind: Kind
    message_id: str
    shell: str
    body: ET.Element
    """What stands in the body of the envelope; an element named `-` if nothing does."""
    options: Mapping[str, str]
    timeout_s: float
    """`OperationTimeout`: after so long the operation is answered, whatever came of it."""
    most_bytes: int
    """`MaxEnvelopeSize`: no answer may be longer."""

    def text(self, path: str) -> str:
        """Return the text of an element of the body: `Code`, or `DesiredStream`; else empty."""
        found = self.body.find(f"{{{SHELL}}}{path}")
        return (found.text or "").strip() if found is not None else ""


def parse_message(data: bytes) -> Message:
    """Return what a client's message says. Raises `FaultError` and `NotXmlError`."""
    if b"<!DOCTYPE" in data:
        raise NotXmlError
    try:
        # Without a document type there are no entities that could grow.
        envelope = ET.fromstring(data)  # noqa: S314
    except (ET.ParseError, ValueError, LookupError) as error:
        raise NotXmlError from error
    header, body = envelope.find(f"{{{SOAP}}}Header"), envelope.find(f"{{{SOAP}}}Body")
    if envelope.tag != f"{{{SOAP}}}Envelope" or header is None or body is None:
        raise FaultError(NOT_SCHEMA)
    return _read(header, body)


def message_id_of(data: bytes) -> str:
    """Return the id that an answer relates to, also for a message that is not understood."""
    found = re.search(rb"<(?:\w+:)?MessageID[^>]*>\s*([^<\s]{1,100})\s*<", data)
    return found[1].decode("ascii", "replace") if found else ""


def _read(header: ET.Element, body: ET.Element) -> Message:
    _must_understand(header)
    kind = _KINDS.get(_text(header, ADDRESSING, "Action"))
    message_id = _text(header, ADDRESSING, "MessageID")
    if kind is None:
        raise FaultError(UNKNOWN_ACTION)
    if not message_id:
        raise FaultError(NOT_SCHEMA)
    if _text(header, WSMAN, "ResourceURI") != CMD:
        raise FaultError(UNKNOWN_RESOURCE)
    selectors = _named(header, "SelectorSet", "Selector")
    return Message(
        kind,
        message_id,
        selectors.get("ShellId", "").upper(),
        next(iter(body), ET.Element("-")),
        _named(header, "OptionSet", "Option"),
        _timeout_s(_text(header, WSMAN, "OperationTimeout")),
        _envelope_bytes(_text(header, WSMAN, "MaxEnvelopeSize")),
    )


_KNOWN: Final = frozenset(
    {
        *(f"{{{ADDRESSING}}}{name}" for name in ("Action", "To", "ReplyTo", "MessageID")),
        *(
            f"{{{WSMAN}}}{name}"
            for name in (
                *("ResourceURI", "MaxEnvelopeSize", "OperationTimeout"),
                *("Locale", "OptionSet", "SelectorSet"),
            )
        ),
        *(f"{{{MICROSOFT}}}{name}" for name in ("DataLocale", "SessionId", "OperationID")),
        f"{{{MICROSOFT}}}SequenceId",
    }
)


def _must_understand(header: ET.Element) -> None:
    for element in header:
        wanted = element.get(f"{{{SOAP}}}mustUnderstand", "").lower() in {"true", "1"}
        if wanted and element.tag not in _KNOWN:
            raise FaultError(NOT_UNDERSTOOD)


def _text(header: ET.Element, namespace: str, name: str) -> str:
    found = header.find(f"{{{namespace}}}{name}")
    return (found.text or "").strip() if found is not None else ""


def _named(header: ET.Element, outer: str, inner: str) -> dict[str, str]:
    found = header.findall(f"{{{WSMAN}}}{outer}/{{{WSMAN}}}{inner}")
    return {element.get("Name", ""): (element.text or "").strip() for element in found}


def duration_s(text: str) -> float:
    """Return the seconds of an ISO 8601 duration. Raises `FaultError` if it is none."""
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise FaultError(NOT_SCHEMA)
    return sum(
        float(part or 0) * worth for part, worth in zip(found.groups(), _SECONDS, strict=True)
    )


def _timeout_s(text: str) -> float:
    return min(duration_s(text), _MOST_TIMEOUT_S) if text else _DEFAULT_TIMEOUT_S


def _envelope_bytes(text: str) -> int:
    if not text:
        return _DEFAULT_ENVELOPE_BYTES
    if not _NUMBER.fullmatch(text) or int(text) < _LEAST_ENVELOPE_BYTES:
        raise FaultError(NOT_SCHEMA)
    return int(text)


def envelope(action: str, body: str, *, relates_to: str) -> bytes:
    """Return an answer: its body may use the prefixes s, a, w, x and rsp."""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:w="{WSMAN}"'
        f' xmlns:x="{TRANSFER}" xmlns:rsp="{SHELL}"><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{_ANONYMOUS}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def fault_envelope(fault: SoapFault, *, relates_to: str) -> bytes:
    """Return the answer that a message cannot be done."""
    return envelope(_FAULT_ACTION, fault_body(fault), relates_to=relates_to)


def created(message: Message, shell: str, owner: str, idle_timeout_s: float) -> bytes:
    """Return the answer to Create."""
    selectors = (
        f"<w:SelectorSet><w:Selector Name={quoteattr('ShellId')}>{shell}</w:Selector>"
        "</w:SelectorSet>"
    )
    body = (
        f"<x:ResourceCreated><a:Address>{_ANONYMOUS}</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{CMD}</w:ResourceURI>{selectors}</a:ReferenceParameters>"
        f"</x:ResourceCreated><rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId>"
        f"<rsp:ResourceUri>{CMD}</rsp:ResourceUri><rsp:Owner>{escape(owner)}</rsp:Owner>"
        f"<rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:IdleTimeOut>PT{idle_timeout_s:.3f}S"
        "</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams>"
        "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>"
    )
    return envelope(f"{TRANSFER}/CreateResponse", body, relates_to=message.message_id)


def commanded(message: Message, command: str) -> bytes:
    """Return the answer to Command."""
    body = f"<rsp:CommandResponse><rsp:CommandId>{command}</rsp:CommandId></rsp:CommandResponse>"
    return envelope(f"{SHELL}/CommandResponse", body, relates_to=message.message_id)


def plainly(message: Message) -> bytes:
    """Return the answer to Send, Signal or Delete: done."""
    name = message.kind.capitalize()
    if message.kind == "delete":
        return envelope(f"{TRANSFER}/DeleteResponse", "", relates_to=message.message_id)
    action, body = f"{SHELL}/{name}Response", f"<rsp:{name}Response/>"
    return envelope(action, body, relates_to=message.message_id)


def received(
    message: Message,
    command: str,
    pieces: Iterable[tuple[str, bytes]],
    *,
    exit_code: int | None,
) -> bytes:
    """Return the answer to Receive: pieces of output, and the exit code once nothing is left."""
    done = exit_code is not None
    parts = [_stream(name, command, data) for name, data in pieces]
    if done:
        parts += (_end(name, command) for name in ("stdout", "stderr"))
    state = f"{SHELL}/CommandState/{'Done' if done else 'Running'}"
    code = f"<rsp:ExitCode>{exit_code}</rsp:ExitCode>" if done else ""
    parts.append(f'<rsp:CommandState CommandId="{command}" State="{state}">{code}')
    body = f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:CommandState></rsp:ReceiveResponse>"
    return envelope(f"{SHELL}/ReceiveResponse", body, relates_to=message.message_id)


def room_bytes(message: Message) -> int:
    """Return how many bytes of output fit into the answer to a Receive."""
    overhead = len(
        received(
            message, str(uuid.uuid4()), [("stdout", b""), ("stderr", b"")], exit_code=-(1 << 31)
        )
    )
    return (message.most_bytes - overhead) // 4 * 3 - 2


def _stream(name: str, command: str, data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    return f'<rsp:Stream Name="{name}" CommandId="{command}">{text}</rsp:Stream>'


def _end(name: str, command: str) -> str:
    return f'<rsp:Stream Name="{name}" CommandId="{command}" End="true"></rsp:Stream>'
