"""What each message does: from its body to the shells, and the answer to it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final
from xml.etree import ElementTree as ET

from outagekit.lab.wsman import soap
from outagekit.lab.wsman.faults import NOT_SCHEMA, WRONG, FaultError
from outagekit.lab.wsman.shells import Shells
from outagekit.lab.wsman.soap import SHELL, Message

_ID: Final = re.compile(r"[0-9A-F]{8}(?:-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_SIGNALS: Final = re.compile(
    rf"{re.escape(SHELL)}/signal/(ctrl_c|ctrl_break|terminate)", re.IGNORECASE
)


def perform(message: Message, owner: str, shells: Shells, *, is_there: Callable[[], bool]) -> bytes:
    """Do what a message asks for and return the answer.

    `is_there` says whether the client still waits for it: output is taken for nobody else. Raises
    `FaultError`, and `BrokenError` where the connection is to break.
    """
    match message.kind:
        case "create":
            return _create(message, owner, shells)
        case "command":
            return _command(message, owner, shells)
        case "send":
            return _send(message, owner, shells)
        case "receive":
            return _receive(message, owner, shells, is_there)
        case "signal":
            return _signal(message, owner, shells)
        case _:
            shells.delete(owner, message.shell)
            return soap.plainly(message)


def command_of(message: Message) -> str:
    """Return the id of the command that a message names, else empty."""
    named = (message.body, *message.body)
    return next((e.get("CommandId", "").upper() for e in named if e.get("CommandId")), "")


def _create(message: Message, owner: str, shells: Shells) -> bytes:
    body = _body(message, "Shell")
    idle = message.text("IdleTimeOut") or message.text("IdleTimeout")
    idle_s = soap.duration_s(idle) if idle else 0.0
    shell = shells.create(owner, _checked_id(body.get("ShellId", "")), idle_s)
    return soap.created(message, shell.id, owner, shell.idle_timeout_s)


def _command(message: Message, owner: str, shells: Shells) -> bytes:
    body = _body(message, "CommandLine")
    words = [message.text("Command")]
    words += ((e.text or "").strip() for e in body.findall(f"{{{SHELL}}}Arguments"))
    line = " ".join(word for word in words if word)
    if not line:
        raise FaultError(WRONG)
    identity = _checked_id(body.get("CommandId", ""))
    return soap.commanded(message, shells.command(owner, message.shell, identity, line).id)


def _send(message: Message, owner: str, shells: Shells) -> bytes:
    stream = _body(message, "Send").find(f"{{{SHELL}}}Stream")
    if stream is None or stream.get("Name") != "stdin":
        raise FaultError(NOT_SCHEMA)
    try:
        data = base64.b64decode("".join((stream.text or "").split()), validate=True)
    except binascii.Error as error:
        raise FaultError(NOT_SCHEMA) from error
    command = shells.running(owner, message.shell, command_of(message))
    command.feed(data, ends=stream.get("End", "").lower() in {"true", "1"})
    return soap.plainly(message)


def _receive(message: Message, owner: str, shells: Shells, is_there: Callable[[], bool]) -> bytes:
    _body(message, "Receive")
    identity = command_of(message)
    command = shells.running(owner, message.shell, identity)
    pieces, exit_code = command.fetch(
        soap.room_bytes(message), message.timeout_s, is_there=is_there
    )
    # It may have waited for long: a shell with somebody waiting is not idle.
    shells.touch(message.shell)
    return soap.received(message, identity, pieces, exit_code=exit_code)


def _signal(message: Message, owner: str, shells: Shells) -> bytes:
    _body(message, "Signal")
    found = _SIGNALS.fullmatch(message.text("Code"))
    if found is None:
        raise FaultError(WRONG)
    identity = command_of(message)
    if found[1].lower() == "terminate":
        shells.terminate(owner, message.shell, identity)
    else:
        shells.running(owner, message.shell, identity).stop("ctrl_c")
    return soap.plainly(message)


def _body(message: Message, name: str) -> ET.Element:
    if message.body.tag != f"{{{SHELL}}}{name}":
        raise FaultError(NOT_SCHEMA)
    return message.body


def _checked_id(text: str) -> str:
    if text and not _ID.fullmatch(text.upper()):
        raise FaultError(NOT_SCHEMA)
    return text.upper()
