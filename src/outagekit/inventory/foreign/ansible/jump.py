"""The jump host in SSH arguments: `-J`, `ProxyJump`, or a `ProxyCommand` that is `ssh -W`.

What changes where a connection goes and is not understood is refused; what only tunes it is passed
over. Arguments are never repeated: a ProxyCommand may hold a password.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.errors import UsageError
from outagekit.inventory.address import parse_login
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_STEERING: Final = frozenset(
    re.split(
        " ",
        "hostname hostkeyalias port user identityfile certificatefile proxyusefdpass match include"
        " host identityagent remotecommand",
    )
)
"""Options (and with `-`, letters) that change where a connection goes or who it is."""
_STEERING_FLAGS: Final = frozenset("pliFSW")
_WITH_VALUE: Final = frozenset("BbcDEeFIiJLlmOoPpQRSWw")


@dataclass(frozen=True, slots=True)
class Jump:
    """A server on the way."""

    server: str
    """`user@address:port`; user and port may be missing."""
    key: str | None = None
    """The private key file for it."""


class JumpError(ValueError):
    """What cannot be taken over from SSH arguments, as a sentence without their values."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


_BY_HAND: Final = "write the way into ~/.ssh/config, or the site's jump into the imported file"


def jump_of(arguments: str) -> Jump | None:
    """Return the jump host that SSH arguments name, or None; raises `JumpError`."""
    found: list[Jump | None] = []
    for flag, value in _options(_words(arguments)):
        if flag == "J":
            found.append(_server(value))
        elif flag == "o":
            found += _named(value)
        elif flag in _STEERING_FLAGS:
            raise JumpError(f"the option -{flag} of ssh changes where it leads", _BY_HAND)
    if len(set(found)) > 1:
        raise JumpError("more than one jump host is named", _BY_HAND)
    return found[0] if found else None


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise JumpError("a quote in these arguments of ssh never ends") from error


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each option letter with its value; what is no option is refused."""
    waiting = iter(words)
    for word in waiting:
        if not word.startswith("-") or len(word) < 2:  # noqa: PLR2004  (a dash and a letter)
            raise JumpError("a word among these arguments of ssh is no option", _BY_HAND)
        for at, letter in enumerate(word[1:], 1):
            if letter in _WITH_VALUE:
                value = word[at + 1 :] or next(waiting, "")
                yield letter, value
                break
            yield letter, ""


def _named(option: str) -> list[Jump | None]:
    """Return the jump host of an option like `ProxyJump=bastion`, if it is one."""
    key, _, value = re.sub(r"\s*=\s*|\s+", "=", option.strip(), count=1).partition("=")
    name = key.lower()
    if name == "proxyjump":
        return [_server(value)]
    if name == "proxycommand":
        return [_of_command(value)]
    if name in _STEERING:
        raise JumpError(f"the option {shown(key)} of ssh changes where it leads", _BY_HAND)
    return []


def _server(text: str) -> Jump | None:
    text = text.strip().strip("\"'").removeprefix("ssh://")
    if text.lower() == "none":
        return None
    if "," in text:
        raise JumpError("a way over several jump hosts cannot be taken over", _BY_HAND)
    try:
        parse_login(text if "@" in text else f"you@{text}")
    except UsageError as error:
        raise JumpError(f"the jump host cannot be used: {error.message}") from None
    return Jump(text)


def _of_command(command: str) -> Jump | None:
    """Return the server of `ssh … -W %h:%p … [user@]server`, as most write a jump host."""
    command = command.strip()
    if command[:1] in {'"', "'"} and command[-1:] == command[:1]:
        command = command[1:-1]
    if command.lower() == "none":
        return None
    words = _words(command)
    program = words[0].rpartition("/")[2] if words else ""
    if program != "ssh":
        raise JumpError("this ProxyCommand is not `ssh -W %h:%p SERVER`", _BY_HAND)
    parts = _Hop()
    parts.read(words[1:])
    return parts.jump()


class _Hop:
    """What stands behind `ssh` in a ProxyCommand."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._server = ""
        self._target = ""

    def read(self, words: list[str]) -> None:
        waiting = iter(words)
        for word in waiting:
            if not word.startswith("-"):
                if self._server:
                    self._refuse()
                self._server = word
                continue
            letter = word[1:2]
            if letter in _WITH_VALUE:
                self._option(letter, word[2:] or next(waiting, ""))

    def _option(self, letter: str, value: str) -> None:
        if letter == "W":
            self._target = value
        elif letter in "pli":
            self._values[letter] = value
        elif letter == "o":
            self._named(value)
        else:
            self._refuse()

    def _named(self, option: str) -> None:
        key, _, value = re.sub(r"\s*=\s*|\s+", "=", option.strip(), count=1).partition("=")
        letter = {"port": "p", "user": "l", "identityfile": "i"}.get(key.lower())
        if letter:
            self._values.setdefault(letter, value)
        elif key.lower() in _STEERING | {"proxycommand", "proxyjump"}:
            self._refuse()

    def _refuse(self) -> None:
        message = "this ProxyCommand holds more than a jump host and how to log in to it"
        raise JumpError(message, _BY_HAND)

    def jump(self) -> Jump | None:
        if self._target.strip("\"'") not in {"%h:%p", "[%h]:%p"} or not self._server:
            raise JumpError("this ProxyCommand is not `ssh -W %h:%p SERVER`", _BY_HAND)
        server = self._server
        user, port = self._values.get("l"), self._values.get("p")
        if user and "@" not in server:
            server = f"{user}@{server}"
        if port:
            server = f"{server}:{port}"
        found = _server(server)
        return Jump(found.server, self._values.get("i")) if found else None
