"""What an MSP looks after: clients, their agreements, sites, credentials and endpoints.

Frozen values without I/O. Secrets stand here only as references (`credentials.SecretRef`).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from outagekit.credentials import SecretRef
from outagekit.events import Allow, EndpointId, OperatingSystem

Auth = Literal["ntlm", "basic", "certificate", "kerberos"]
Scheme = Literal["http", "https"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the inventory's values."""


class Agreement(Value, frozen=True):
    """What a client allows, and who may allow more."""

    id: str
    allows: tuple[Allow, ...]
    approvers: tuple[str, ...] = ()


class Credential(Value, frozen=True):
    """How to log in; every secret is a reference, resolved by the lane that needs it."""

    name: str
    user: str
    password: SecretRef | None = None
    key: str | None = None
    """Path of a private key file; `~` is the technician's home."""
    passphrase: SecretRef | None = None
    certificate: str | None = None
    """Path of an OpenSSH user certificate that belongs to `key`."""
    agent: bool = False
    """Keys of the technician's SSH agent may be offered."""
    sudo: SecretRef | None = None
    auth: Auth | None = None
    """How Windows endpoints are logged in to; None: ntlm. For `certificate`, `key` and
    `certificate` are PEM files of a TLS client certificate."""

    def secrets(self) -> tuple[tuple[str, SecretRef], ...]:
        """Return every secret it refers to, each with its label: `admin password`."""
        named = (
            ("password", self.password),
            ("passphrase", self.passphrase),
            ("sudo", self.sudo),
        )
        return tuple((f"{self.name} {what}", ref) for what, ref in named if ref is not None)


class Site(Value, frozen=True):
    """Where endpoints stand."""

    name: str
    jump: str | None = None
    """`user@address:port` of a server through which everything here is reached; user and port may
    be missing."""
    jump_credential: str | None = None
    """How to log in to the jump host; None: what `ssh` itself would use."""
    concurrency: int | None = None


class Winrm(Value, frozen=True):
    """What holds for the way to all Windows endpoints of a client."""

    ca: str | None = None
    """Path of a PEM file with the certificate authorities to believe, instead of the system's."""
    proxy: str | None = None
    """`http://address:port` of a proxy that leads to endpoints with https; None: no proxy, also
    where the environment names one."""


class Endpoint(Value, frozen=True):
    """A machine. Its identity is `client/name`."""

    client: str
    name: str
    address: str
    os: OperatingSystem
    port: int | None = None
    """None: 22 for SSH; for WinRM 5986, or 5985 where `scheme` is http."""
    scheme: Scheme | None = None
    """Of a Windows endpoint's WinRM; None: http on port 5985, else https."""
    credential: str | None = None
    site: str | None = None
    tags: tuple[str, ...] = ()
    become: Literal["sudo"] | None = None
    ports: dict[int, int] = {}
    """Port of the endpoint -> port under which it is reached at `address` (a port forward)."""

    @property
    def id(self) -> EndpointId:
        """`client/name`, the endpoint's identity everywhere."""
        return EndpointId(f"{self.client}/{self.name}")


class Client(Value, frozen=True):
    """A customer of the MSP; the MSP itself is client `self`."""

    client: str
    name: str
    timezone: str = "UTC"
    agreement: Agreement | None = None
    credentials: dict[str, Credential] = {}
    sites: dict[str, Site] = {}
    winrm: Winrm = Winrm()
    endpoints: dict[str, Endpoint] = {}


class Inventory(Value, frozen=True):
    """All clients that were loaded."""

    clients: dict[str, Client] = {}

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return every endpoint, by client and then in the order of the file."""
        return tuple(e for c in self.clients.values() for e in c.endpoints.values())

    def endpoint(self, identity: str) -> Endpoint | None:
        """Return the endpoint `client/name`, or None."""
        client, _, name = identity.partition("/")
        found = self.clients.get(client)
        return found.endpoints.get(name) if found else None
