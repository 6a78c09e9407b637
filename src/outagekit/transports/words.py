"""How an endpoint is named where a person is told what to type. Pure."""

from __future__ import annotations

import shlex

from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.model import Credential, Endpoint
from outagekit.text import visible_line


def words_for(endpoint: Endpoint, credential: Credential | None) -> str:
    """Return what chooses an endpoint on a command line; one without an inventory needs it all."""
    if endpoint.client != ADHOC or credential is None:
        return endpoint.id
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    port = f":{endpoint.port}" if endpoint.port is not None else ""
    login = shlex.quote(visible_line(f"{credential.user}@{address}{port}"))
    return f"--host {login} --os {endpoint.os}"
