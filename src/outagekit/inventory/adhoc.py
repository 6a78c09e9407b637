"""Endpoints named on the command line: an inventory without a file.

They belong to client `adhoc`, which has no agreement: what may be done to it is decided by the
person, in plain sight, each time.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from outagekit.credentials import SecretRef
from outagekit.errors import UsageError
from outagekit.inventory.address import Login, canonical, parse_login
from outagekit.inventory.model import Client, Credential, Endpoint, Inventory
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.events import OperatingSystem

ADHOC: Final = "adhoc"
"""The client of endpoints that stand in no file; no file may use its name."""

_LONGEST_NAME = 63


def adhoc(
    hosts: Sequence[str],
    *,
    os: OperatingSystem,
    key: str | None = None,
    password: str | None = None,
    passphrase: str | None = None,
    become: Literal["sudo"] | None = None,
    sudo: str | None = None,
) -> Inventory:
    """Return an inventory of endpoints written `user@address` or `user@address:port`.

    `key` is the path of a private key, `become` how root is reached; the others are references to
    secrets (`prompt`, `keyring:NAME`). With neither key nor password the SSH agent is used, and
    for Windows a person is asked for the password. Each user becomes a credential `login-1`,
    `login-2`, ... Raises `UsageError` for a form that cannot be read, for an endpoint named twice
    and for what Windows has not, `BadReference` for a literal secret.
    """
    if not hosts:
        raise UsageError("no endpoint is named", hint="--host user@address")
    if passphrase and not key:
        raise UsageError("a passphrase needs the key it belongs to")
    if os == "windows":
        _refuse_for_windows(key=key, become=become)
        password = password or "prompt"
    template = Credential(
        name="",
        user="",
        password=_reference(password),
        key=key,
        passphrase=_reference(passphrase),
        agent=key is None and password is None,
        sudo=_reference(sudo),
    )
    credentials: dict[str, Credential] = {}
    endpoints: dict[str, Endpoint] = {}
    for host in hosts:
        login = parse_login(host, windows=os == "windows")
        name = endpoint_name(login)
        if name in endpoints:
            raise UsageError(f"the endpoint {shown(host)} is named twice")
        if login.user not in credentials:
            number = len(credentials) + 1
            credential = msgspec.structs.replace(template, name=f"login-{number}", user=login.user)
            credentials[login.user] = credential
        endpoints[name] = Endpoint(
            client=ADHOC,
            name=name,
            address=login.address,
            os=os,
            port=login.port,
            credential=credentials[login.user].name,
            become=become,
        )
    by_name = {credential.name: credential for credential in credentials.values()}
    client = Client(client=ADHOC, name="ad hoc", credentials=by_name, endpoints=endpoints)
    return Inventory(clients={ADHOC: client})


def _refuse_for_windows(*, key: str | None, become: str | None) -> None:
    if become:
        raise UsageError("--become sudo is for linux and macos only")
    if key:
        message = "--key is for linux and macos only: Windows is logged in to with a password"
        raise UsageError(message, hint="leave it out, or say where it is: --password keyring:NAME")


def _reference(written: str | None) -> SecretRef | None:
    return None if written is None else SecretRef.parse(written)


def endpoint_name(login: Login) -> str:
    """Return a name made of address and port that is a valid endpoint name; equal for equals."""
    address = canonical(login.address)
    name = f"ip6-{address.replace(':', '-').replace('%', '.')}" if ":" in address else address
    name = name.lstrip("_-") or "unnamed"
    if login.port is not None:
        name = f"{name}-{login.port}"
    if len(name) > _LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{name[: _LONGEST_NAME - 13]}-{digest}"
    return name
