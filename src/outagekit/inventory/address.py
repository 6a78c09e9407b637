"""How an endpoint, a jump host and a login are written; judged without resolving anything.

`address_fault` and its kin return what is wrong as a sentence and what to write instead, so that
both a file and a command line can say it in their own way.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from outagekit.errors import UsageError
from outagekit.source import shown

LARGEST_PORT: Final = 65535

_LONGEST_NAME = 253  # RFC 1035: 255 bytes with their lengths
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_DIGITS_AND_DOTS = re.compile(r"[0-9.]+")
_WITH_PORT = re.compile(r"(?P<host>[^:\[\]]+|\[[^\[\]]*\]):(?P<port>[0-9]+)")
_ZONE = re.compile(r"[A-Za-z0-9._-]{1,32}")
_NAME = r"[^\s:@/\\\x00-\x1f]+"
_USER = re.compile(rf"{_NAME}(?:[\\@]{_NAME})?")
_WINDOWS_USER = re.compile(rf"(?:{_NAME}\\)?{_NAME}(?: +{_NAME})*(?:@{_NAME})?")
"""There the name itself may hold spaces."""

Fault = tuple[str, str]
"""A sentence that says what is wrong, and a hint or an empty text."""


@dataclass(frozen=True, slots=True)
class Login:
    """`user@address:port`, taken apart. An IPv6 address is without its brackets."""

    user: str
    address: str
    port: int | None = None


def address_fault(text: str) -> Fault | None:
    """Return what keeps `text` from being an IPv4 address, IPv6 address or DNS name, or None."""
    if not text or not text.isprintable() or " " in text:
        return f"{shown(text)} is no address", "an IP address or a DNS name"
    for sign, fault, hint in _TOO_MUCH:
        if sign in text:
            return f"{shown(text)} {fault}", hint
    if ":" in text or text.startswith("["):
        return _colon_fault(text)
    return _ipv4_fault(text) if _DIGITS_AND_DOTS.fullmatch(text) else _name_fault(text)


_TOO_MUCH: Final = (
    ("://", "is a URL, not an address", "write the host name alone"),
    ("@", "holds a user name", "the user belongs to the credential"),
    ("/", "is no address", "an IP address or a DNS name"),
)


def _colon_fault(text: str) -> Fault | None:
    """Judge what is an IPv6 address, or an address with too much around it."""
    with_port = _WITH_PORT.fullmatch(text)
    if with_port:
        address, port = with_port["host"].strip("[]"), with_port["port"]
        return f"{shown(text)} holds a port", f"address: {address}, port: {port}"
    if text.startswith("["):
        return f"{shown(text)} has brackets", f"write it without: {text.strip('[]')}"
    return _ipv6_fault(text)


def _ipv6_fault(text: str) -> Fault | None:
    address, percent, zone = text.partition("%")
    if percent and not _ZONE.fullmatch(zone):
        return f"{shown(text)} has no interface after the %", ""
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return f"{shown(text)} is no IPv6 address", ""
    return None


def _ipv4_fault(text: str) -> Fault | None:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        hint = "four numbers from 0 to 255 without leading zeros"
        return f"{shown(text)} is no IPv4 address", hint
    return None


def _name_fault(text: str) -> Fault | None:
    if not text.isascii():
        return f"{shown(text)} is no DNS name", "write its ASCII form, which begins with xn--"
    name = text.removesuffix(".")
    if len(name) > _LONGEST_NAME:
        return f"a DNS name has at most {_LONGEST_NAME} characters", ""
    labels = name.split(".")
    if labels[-1].isdecimal() or not all(map(_LABEL.fullmatch, labels)):
        return f"{shown(text)} is no DNS name", "letters, digits and - between the dots"
    return None


def canonical(address: str) -> str:
    """Return the one spelling all spellings of an address share, to compare by."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.casefold().removesuffix(".")


def parse_login(text: str, *, windows: bool = False) -> Login:
    r"""Return `user@address`, `user@address:port` or `user@[IPv6]:port` taken apart.

    A user may be `DOMAIN\user` or `user@domain`; for `windows` his name may hold spaces. Raises
    `UsageError` that says what is wrong.
    """
    user, at, rest = text.rpartition("@")
    hint = "write user@address" + r", DOMAIN\user@address or user@domain@address" * windows
    if not at or not user:
        raise UsageError(f"{shown(text)} does not say who logs in", hint=hint)
    form = _WINDOWS_USER if windows else _USER
    if not form.fullmatch(user) or not user.isprintable() or user.startswith("-"):
        # What follows a colon is a password, as URLs have it: not to be repeated.
        name, colon, _ = user.partition(":")
        raise UsageError(f"{shown(name + colon)} is no user name", hint=hint)
    address, port = _split_port(rest)
    fault = address_fault(address)
    if fault:
        raise UsageError(fault[0], hint=fault[1])
    return Login(user, address, port)


def _split_port(text: str) -> tuple[str, int | None]:
    """Return an address without brackets, and its port."""
    found = _WITH_PORT.fullmatch(text)
    if found is None:
        return (text[1:-1] if text.startswith("[") and text.endswith("]") else text), None
    host, digits = found["host"], found["port"]
    port = int(digits) if len(digits) <= len(str(LARGEST_PORT)) else 0
    if not 1 <= port <= LARGEST_PORT:
        raise UsageError(f"{digits[:20]} is no port", hint=f"from 1 to {LARGEST_PORT}")
    return (host[1:-1] if host.startswith("[") else host), port
