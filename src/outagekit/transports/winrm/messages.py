"""The messages of a remote shell (MS-WSMV), as text. Pure.

Headers come from pywinrm; ids are chosen here, so that whoever sends a command knows it by name
whether or not an answer comes.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import xmltodict

Code = Literal["terminate", "ctrl_c"]
"""How a command is told to end."""
Build = Callable[..., dict[str, Any]]
"""`winrm.protocol.Protocol.build_wsman_header`."""

_SHELL: Final = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_RESOURCE: Final = f"{_SHELL}/cmd"
_TRANSFER: Final = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
_IDLE: Final = "PT900S"
"""What Windows makes of a shell nobody uses: an end, after a quarter of an hour."""
_UTF8: Final = "65001"
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and the id its answer has to name."""

    id: str
    text: str


class Messages:
    """Writes messages; `build` makes their headers."""

    def __init__(self, build: Build) -> None:
        self._build = build

    def create(self, *, wait_s: float) -> Message:
        """Return the wish for a shell that speaks UTF-8 and loads nobody's profile."""
        body = {
            "rsp:Shell": {
                "rsp:InputStreams": "stdin",
                "rsp:OutputStreams": "stdout stderr",
                "rsp:IdleTimeOut": _IDLE,
            }
        }
        options = {"WINRS_NOPROFILE": "TRUE", "WINRS_CODEPAGE": _UTF8}
        return self._message(f"{_TRANSFER}/Create", body, wait_s=wait_s, options=options)

    def command(self, shell: str, command: str, line: str, *, wait_s: float) -> Message:
        """Return the wish to run a line in `cmd.exe` under an id of ours."""
        body = {"rsp:CommandLine": {"@CommandId": command, "rsp:Command": {"#text": line}}}
        options = {"WINRS_CONSOLEMODE_STDIN": "FALSE", "WINRS_SKIP_CMD_SHELL": "FALSE"}
        action = f"{_SHELL}/Command"
        return self._message(action, body, shell=shell, wait_s=wait_s, options=options)

    def send(self, shell: str, command: str, data: bytes, *, end: bool, wait_s: float) -> Message:
        """Return input for a command; `end` closes it."""
        stream = {
            "@Name": "stdin",
            "@CommandId": command,
            "@End": "true" if end else "false",
            "#text": base64.b64encode(data).decode("ascii"),
        }
        body = {"rsp:Send": {"rsp:Stream": stream}}
        return self._message(f"{_SHELL}/Send", body, shell=shell, wait_s=wait_s)

    def receive(self, shell: str, command: str, *, wait_s: float) -> Message:
        """Return the question for output, to be answered within `wait_s`."""
        wanted = {"@CommandId": command, "#text": "stdout stderr"}
        body = {"rsp:Receive": {"rsp:DesiredStream": wanted}}
        options = {"WSMAN_CMDSHELL_OPTION_KEEPALIVE": "TRUE"}
        action = f"{_SHELL}/Receive"
        return self._message(action, body, shell=shell, wait_s=wait_s, options=options)

    def signal(self, shell: str, command: str, code: Code, *, wait_s: float) -> Message:
        """Return the word to a command that it shall end."""
        body = {"rsp:Signal": {"@CommandId": command, "rsp:Code": f"{_SHELL}/signal/{code}"}}
        return self._message(f"{_SHELL}/Signal", body, shell=shell, wait_s=wait_s)

    def delete(self, shell: str, *, wait_s: float) -> Message:
        """Return the wish that a shell be gone, and what runs in it."""
        return self._message(f"{_TRANSFER}/Delete", {}, shell=shell, wait_s=wait_s)

    def _message(
        self,
        action: str,
        body: Mapping[str, Any],
        *,
        shell: str | None = None,
        wait_s: float,
        options: Mapping[str, str] | None = None,
    ) -> Message:
        message_id = str(uuid.uuid4()).upper()
        envelope = self._build(
            action=action, resource_uri=_RESOURCE, shell_id=shell, message_id=message_id
        )
        header = envelope["env:Header"]
        header["w:OperationTimeout"] = f"PT{max(0.1, wait_s):.3f}S"
        if options:
            named = [{"@Name": name, "#text": value} for name, value in options.items()]
            header["w:OptionSet"] = {"w:Option": named}
        envelope["env:Body"] = dict(body)
        return Message(message_id, xmltodict.unparse({"env:Envelope": envelope}))


def unwritable(text: str) -> bool:
    """Return whether a text holds what XML cannot carry: control characters, lone surrogates."""
    return _NO_XML.search(text) is not None
