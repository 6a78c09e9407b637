"""A plan as files of the run folder, and its digest. Makes and reads bytes; touches no file.

The digest is taken over the JSON as it is stored, not over what this version makes of it: a plan
that was frozen by an older version stays itself when later versions add fields.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from outagekit.errors import InvalidInput, LogDamaged
from outagekit.plan.model import Plan

PLAN_FILE: Final = "plan.json"
"""Playbook with every script, parameters, stages, refusals, overrides and the digest."""
INVENTORY_FILE: Final = "inventory.json"
"""Facts of the clients, and the endpoints in the order they are begun."""
WAYS_FILE: Final = "ways.json"
"""How each endpoint was reached when the run began, in words; not part of the plan."""
VERSION: Final = 1
"""Of all three files, their first field `v`."""

_OF_INVENTORY = ("clients", "endpoints")
# Where a playbook was found, how it is laid out and its file's own hash say nothing about what
# is done: every script and file it uses stands in the plan as content.
_NOT_MEANT = ("path", "origin", "digest")


def digest_of(plan: Plan) -> str:
    """Return the SHA-256 of what the plan means, in hexadecimal.

    Two plans that do the same to the same endpoints have the same digest, whatever folder,
    comments, line numbers or order of keys their files had.
    """
    return _digest(_document(plan))


def freeze(plan: Plan) -> dict[str, bytes]:
    """Return the plan as two JSON files, name to bytes; the same plan gives the same bytes."""
    document = _document(plan)
    inventory = {key: document.pop(key) for key in _OF_INVENTORY}
    return {PLAN_FILE: _pretty(document), INVENTORY_FILE: _pretty(inventory)}


def freeze_ways(ways: Mapping[str, str]) -> bytes:
    """Return how endpoints are reached, by `client/name`, as a JSON file."""
    return _pretty({"ways": dict(ways)})


def thaw_ways(data: bytes) -> dict[str, str]:
    """Return what `freeze_ways` stored. Raises as `thaw`."""
    try:
        return msgspec.convert(_read(WAYS_FILE, data).get("ways"), dict[str, str])
    except msgspec.ValidationError as error:
        raise LogDamaged(f"{WAYS_FILE} in the run folder holds no ways") from error


def thaw(files: Mapping[str, bytes]) -> Plan:
    """Return the plan that `freeze` stored.

    Raises `LogDamaged` if a file is missing, is no such file, or if the plan is not the one its
    digest was made of; `InvalidInput` if a newer version of the product wrote it.
    """
    document: dict[str, Any] = {}
    for name in (PLAN_FILE, INVENTORY_FILE):
        if name not in files:
            raise LogDamaged(f"{name} is missing from the run folder")
        document |= _read(name, files[name])
    if document.get("digest") != _digest(document):
        raise LogDamaged("the stored plan is not the one that was confirmed: its digest differs")
    try:
        return msgspec.json.decode(msgspec.json.encode(document), type=Plan)
    except msgspec.ValidationError as error:
        raise LogDamaged(f"the stored plan is not a plan: {error}") from error


def _document(plan: Plan) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(plan, str_keys=True)
    return document


def _digest(document: Mapping[str, Any]) -> str:
    meant = {key: value for key, value in document.items() if key != "digest"}
    playbook = meant.get("playbook")
    if isinstance(playbook, dict):
        playbook = {key: value for key, value in playbook.items() if key not in _NOT_MEANT}
        steps = playbook.get("steps", ())
        playbook["steps"] = [_without_line(step) for step in steps]
        meant["playbook"] = playbook
    clients = meant.get("clients")
    if isinstance(clients, list | tuple):
        meant["clients"] = [_without_folders(client) for client in clients]
    return hashlib.sha256(msgspec.json.encode(meant, order="deterministic")).hexdigest()


def _without_folders(client: Any) -> Any:
    """Return a client whose file of authorities has only its name: its folder differs elsewhere."""
    winrm = client.get("winrm") if isinstance(client, dict) else None
    if not isinstance(winrm, dict) or not isinstance(winrm.get("ca"), str):
        return client
    name = re.split(r"[/\\]", winrm["ca"])[-1]
    return {**client, "winrm": {**winrm, "ca": name}}


def _without_line(step: Any) -> Any:
    if not isinstance(step, dict):
        return step
    return {key: value for key, value in step.items() if key != "line"}


def _pretty(document: Mapping[str, Any]) -> bytes:
    encoded = msgspec.json.encode(document, order="deterministic")
    versioned = b'{"v":%d,' % VERSION + encoded[1:]
    return msgspec.json.format(versioned, indent=2) + b"\n"


def _read(name: str, data: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise LogDamaged(f"{name} in the run folder is no JSON") from error
    if not isinstance(document, dict):
        raise LogDamaged(f"{name} in the run folder holds no plan")
    version = document.pop("v", None)
    if isinstance(version, int) and version > VERSION:
        hint = "use the version of outagekit that began the run"
        raise InvalidInput(f"{name} was written by a newer version of outagekit", hint=hint)
    if version != VERSION:
        raise LogDamaged(f"{name} in the run folder holds no plan")
    return document
