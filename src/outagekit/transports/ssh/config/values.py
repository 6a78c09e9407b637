"""What the values of honoured keywords may be. Each reader raises `BadValueError`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from outagekit.transports.ssh.config.model import Here, Jump, Jumps
from outagekit.transports.ssh.config.patterns import lowered
from outagekit.transports.ssh.config.tokens import BadTokenError, with_environment

_PORT: Final = re.compile(r"[ \t\n\v\f\r]*[+-]?0*([0-9]{1,5})")
_LARGEST_PORT: Final = 65535
_TIME: Final = re.compile(r"[ \t\n\v\f\r]*[+-]?([0-9]{1,15})([smhdwSMHDW]?)")
_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_S: Final = 2**31 - 1
_VARIABLE: Final = re.compile(r"[A-Za-z0-9_]+")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_FLAGS: Final = {"yes": True, "true": True, "no": False, "false": False}


class BadValueError(Exception):
    """A value `ssh` would not take either; the message says why, the hint what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def port(text: str, here: Here) -> int:
    """Return a port from 1 to 65535, given as a number or as the name of a service."""
    found = _PORT.fullmatch(text)
    number = int(found[1]) if found and "-" not in text else here.service_port(text)
    if number is None or not 0 < number <= _LARGEST_PORT:
        raise BadValueError(f"'{text}' is no port", "a number from 1 to 65535")
    return number


def flag(text: str) -> bool:
    """Return what yes or no means."""
    found = _FLAGS.get(lowered(text))
    if found is None:
        raise BadValueError(f"'{text}' is neither yes nor no")
    return found


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a reader of words that takes these only."""

    def read(text: str) -> str:
        if lowered(text) not in choices:
            raise BadValueError(f"'{text}' is none of {', '.join(choices)}")
        return lowered(text)

    return read


def seconds(text: str) -> int | None:
    """Return a length of time in seconds; None for `none`."""
    if text == "none":
        return None
    total, at = 0, 0
    while at < len(text):
        found = _TIME.match(text, at)
        unfinished = found is None or (not found[2] and found.end() < len(text))
        if found is None or unfinished or ("-" in found[0] and int(found[1])):
            raise BadValueError(f"'{text}' is no length of time", "write it like 30 or 1m30s")
        total += int(found[1]) * _SECONDS[lowered(found[2])]
        at = found.end()
    if total > _LONGEST_S:
        raise BadValueError(f"'{text}' is too long a time")
    return total


def agent(text: str, here: Here) -> str:
    """Return an `IdentityAgent` as it is, after a look at the variables it names."""
    try:
        with_environment(text, here.environ)
    except BadTokenError as fault:
        raise BadValueError(str(fault)) from fault
    if text.startswith("$") and not text.startswith("${") and not _VARIABLE.fullmatch(text[1:]):
        raise BadValueError(f"'{text}' is no name of an environment variable")
    return text


def jumps(text: str, here: Here) -> Jumps:
    """Return the hops of a `ProxyJump`."""
    written = text.partition("#")[0].rstrip()
    if len(written.split()) != 1:
        raise BadValueError(f"'{written}' is more than one word", "hops stand between commas")
    if lowered(written) == "none":
        return Jumps((), "none")
    return Jumps(tuple(_jump(part, here) for part in written.split(",")), written)


def _jump(text: str, here: Here) -> Jump:
    if text.startswith("ssh://"):
        return _jump_of_uri(text.removeprefix("ssh://"), here)
    user, at, place = text.rpartition("@")
    if at and not user:
        raise _no_jump(text)
    host, end, number = _host_of(place, text)
    if end == "/":
        raise _no_jump(text)
    return Jump(host, user or None, port(number, here) if number else None)


def _jump_of_uri(text: str, here: Here) -> Jump:
    before, at, place = text.partition("@")
    user = before.partition(";")[0] if at else ""
    if at and not user:
        raise _no_jump(text)
    host, end, rest = _host_of(place if at else text, text)
    if not _DOMAIN.fullmatch(host) or ".." in host:
        raise _no_jump(text)
    number, _, path = rest.partition("/") if end == ":" else ("", "", rest)
    if path:
        raise _no_jump(text)
    return Jump(
        host.removesuffix("."),
        _decoded(user, text) if user else None,
        port(number, here) if end == ":" and rest else None,
    )


def _host_of(place: str, text: str) -> tuple[str, str, str]:
    """Return host, the sign that ends it, and what follows that sign."""
    if place.startswith("["):
        closing = place.find("]")
        end = closing + 1
        if closing < 0 or place[end : end + 1] not in {"", ":", "/"}:
            raise _no_jump(text)
    else:
        found = re.search("[:/]", place)
        end = found.start() if found else len(place)
    host = place[:end]
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise _no_jump(text)
    return host, place[end : end + 1], place[end + 1 :]


def _decoded(user: str, text: str) -> str:
    if re.search("%(?![0-9A-Fa-f]{2})", user):
        raise _no_jump(text)
    plain = user.replace("+", " ")
    return re.sub("%(..)", lambda found: chr(int(found[1], 16)), plain)


def _no_jump(text: str) -> BadValueError:
    return BadValueError(
        f"'{text}' is no jump host", "write user@host:port, or several with commas"
    )
