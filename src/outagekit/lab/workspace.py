"""The fleet of a lab as a workspace, so that every command can be tried on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from outagekit.inventory.model import Client, Credential, Endpoint
from outagekit.lab.fleet import Fleet

_HEAD = "# Simulated endpoints on loopback; they answer as long as the lab runs.\n"


def write_lab_workspace(fleet: Fleet) -> Path:
    """Write `outagekit.yaml` and `inventory/` beside the fleet's trust; return the folder."""
    folder = fleet.folder
    inventory = folder / "inventory"
    inventory.mkdir(mode=0o700, exist_ok=True)
    _write(folder / "outagekit.yaml", {"outagekit": 1})
    for client in fleet.inventory.clients.values():
        _write(inventory / f"{client.client}.yaml", _client(client))
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    path.write_text(_HEAD + text, "utf-8", newline="\n")


def _client(client: Client) -> dict[str, Any]:
    written: dict[str, Any] = {"outagekit": 1, "client": client.client, "name": client.name}
    if client.agreement is not None:
        agreement = client.agreement
        written["agreement"] = {"id": agreement.id, "allows": list(agreement.allows)}
    written["credentials"] = {
        name: _credential(credential) for name, credential in client.credentials.items()
    }
    written["sites"] = {name: {} for name in client.sites}
    written["endpoints"] = {name: _endpoint(each) for name, each in client.endpoints.items()}
    return written


def _credential(credential: Credential) -> dict[str, Any]:
    written: dict[str, Any] = {"user": credential.user}
    if credential.key is not None:
        written["key"] = credential.key
    if credential.password is not None:
        written["password"] = credential.password.describe()
    if credential.auth is not None:
        written["auth"] = credential.auth
    return written


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    written: dict[str, Any] = {"address": endpoint.address, "os": endpoint.os}
    for field in ("port", "scheme", "credential", "site"):
        if (value := getattr(endpoint, field)) is not None:
            written[field] = value
    if endpoint.tags:
        written["tags"] = list(endpoint.tags)
    if endpoint.ports:
        written["ports"] = dict(endpoint.ports)
    return written
