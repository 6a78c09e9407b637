"""What can be wrong between the values of one inventory file: names, references, duplicates.

It looks at the plain values of the document, whatever their shape, so that these problems are
found together with those of the shape. A value of the wrong type is left to the shape's check.
"""

from __future__ import annotations

import re
import zoneinfo
from functools import cache
from typing import TYPE_CHECKING, Any

from outagekit.inventory.address import LARGEST_PORT, canonical
from outagekit.inventory.input import NAME_HINT, NAME_PATTERN
from outagekit.inventory.logins import jump_problems, login_problems
from outagekit.inventory.selector import KEYWORDS
from outagekit.source import shown
from outagekit.text import closest, fold_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outagekit.errors import Problem
    from outagekit.source import Document

_TABLES = (("credential", "credentials"), ("site", "sites"))


def reference_problems(document: Document) -> Iterator[Problem]:
    """Return every fault and warning between the values of an inventory file."""
    root = _mapping(document.root.value)
    yield from _timezone_problems(document, root)
    for table in ("credentials", "sites", "endpoints"):
        yield from _name_problems(document, table)
    yield from _dangling(document, ("defaults",))
    for name, value in _mapping(root.get("sites")).items():
        if isinstance(value, dict):
            place = ("sites", name, "jump_credential")
            yield from _undeclared(document, place, value.get(place[-1]), "credentials")
            yield from jump_problems(document, name, value)
    defaults = _mapping(root.get("defaults"))
    for name, value in _mapping(root.get("endpoints")).items():
        if isinstance(value, dict):
            yield from _dangling(document, ("endpoints", name))
            yield from _system_problems(document, name, value, defaults)
            yield from _port_problems(document, name, value)
            yield from login_problems(document, name, {**defaults, **value})
    yield from _shared_addresses(document, root)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _timezone_problems(document: Document, root: dict[str, Any]) -> Iterator[Problem]:
    zone = root.get("timezone")
    if not isinstance(zone, str) or zone == "UTC" or _is_zone(zone):
        return
    known = _zones()
    if not known:
        message = "time zones cannot be checked: this machine has no table of them"
        yield document.problem(("timezone",), message, "install tzdata", warning=True)
        return
    near = closest(zone, known)
    hint = f"did you mean `{near}`?" if near else "an IANA name like Europe/Berlin"
    yield document.problem(("timezone",), f"there is no time zone {shown(zone)}", hint)


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (OSError, ValueError, zoneinfo.ZoneInfoNotFoundError):
        return False
    return True


@cache
def _zones() -> tuple[str, ...]:
    return tuple(sorted(zoneinfo.available_timezones()))


def _name_problems(document: Document, table: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in _mapping(_mapping(document.root.value).get(table)):
        place = (table, name)
        if not re.fullmatch(NAME_PATTERN[1:-1], name):
            yield document.problem(place, f"{shown(name)} is no name", NAME_HINT, key=True)
        elif table == "endpoints" and name.casefold() in KEYWORDS:
            message = f"{shown(name)} is a word of the selector language"
            yield document.problem(place, message, "give the endpoint another name", key=True)
        elif name.casefold() in seen:
            other = shown(seen[name.casefold()])
            message = f"{shown(name)} and {other} differ only in case"
            yield document.problem(place, message, "selectors ignore case", key=True)
        seen.setdefault(name.casefold(), name)


def _dangling(document: Document, place: tuple[str, ...]) -> Iterator[Problem]:
    """Return a problem for each name at `place` that the file does not declare."""
    root = _mapping(document.root.value)
    values = _mapping(document.node(place).value if place[0] in root else None)
    for key, table in _TABLES:
        yield from _undeclared(document, (*place, key), values.get(key), table)


def _undeclared(
    document: Document, place: tuple[str, ...], name: Any, table: str
) -> Iterator[Problem]:
    """Return a problem if the name at `place` does not stand in a table of the file."""
    declared = _mapping(_mapping(document.root.value).get(table))
    if not isinstance(name, str) or name in declared:
        return
    near = closest(name, declared)
    known = f"known are {fold_list(declared)}" if declared else f"declare it below {table}:"
    hint = f"did you mean `{near}`?" if near else known
    message = f"there is no {table.removesuffix('s')} {shown(name)}"
    yield document.problem(place, message, hint)


def _system_problems(
    document: Document, name: str, value: dict[str, Any], defaults: dict[str, Any]
) -> Iterator[Problem]:
    place = ("endpoints", name)
    system = value.get("os", defaults.get("os"))
    if system is None and not document.node((*place, "os")).broken:
        message = f"`os` of {shown(name)} is missing"
        yield document.problem(place, message, "linux, macos or windows, here or in defaults")
    if value.get("become") is not None and system == "windows":
        message = "`become` is for linux and macos only"
        hint = "on Windows the login itself is an administrator or not"
        yield document.problem((*place, "become"), message, hint, key=True)
    if value.get("scheme") is not None and system in ("linux", "macos"):
        message = "`scheme` is for windows only"
        hint = f"{system} is reached by SSH, which has no other way"
        yield document.problem((*place, "scheme"), message, hint, key=True)


def _port_problems(document: Document, name: str, value: dict[str, Any]) -> Iterator[Problem]:
    for port in _mapping(value.get("ports")):
        if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= LARGEST_PORT:
            message = f"{shown(port)} is no port"
            hint = f"from 1 to {LARGEST_PORT}"
            yield document.problem(("endpoints", name, "ports", port), message, hint, key=True)


def _shared_addresses(document: Document, root: dict[str, Any]) -> Iterator[Problem]:
    """Return a warning for each endpoint that is reached where another one is reached, too."""
    default_port = _mapping(root.get("defaults")).get("port")
    seen: dict[tuple[str, str], str] = {}
    for name, value in _mapping(root.get("endpoints")).items():
        address = _mapping(value).get("address")
        if not isinstance(address, str):
            continue
        port = _mapping(value).get("port", default_port)
        reached = (canonical(address), str(port))
        if reached in seen:
            message = f"{shown(seen[reached])} has the same address"
            hint = "one machine under two names is worked on twice"
            place = ("endpoints", name, "address")
            yield document.problem(place, message, hint, warning=True)
        seen.setdefault(reached, name)
