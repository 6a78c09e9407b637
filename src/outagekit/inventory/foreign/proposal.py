"""What a foreign file says of one machine, before names are made valid and logins are shared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outagekit.credentials import SecretRef
    from outagekit.events import OperatingSystem
    from outagekit.inventory.foreign.findings import Place
    from outagekit.inventory.model import Auth, Scheme


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in; what is equal becomes one credential."""

    user: str
    key: str | None = None
    password: SecretRef | None = None
    passphrase: SecretRef | None = None
    sudo: SecretRef | None = None
    certificate: str | None = None
    """Of a TLS client certificate, that belongs to `key`."""
    auth: Auth | None = None
    """How Windows is logged in to."""


@dataclass(frozen=True, slots=True)
class Way:
    """What makes a site: its name where the file has one, and the jump host on the way to it."""

    name: str = ""
    jump: str | None = None
    login: Login | None = None
    """How to log in to the jump host."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A machine as the file says it. Names are as written; the address is judged already."""

    name: str
    place: Place
    address: str
    os: OperatingSystem
    port: int | None = None
    tags: tuple[str, ...] = ()
    login: Login | None = None
    way: Way | None = None
    become: bool = False
    scheme: Scheme | None = None
    """Of Windows."""
    ca: str | None = None
    """PEM file with the certificate authorities it is believed by; of Windows."""
    client: str = ""
    """Name of its customer, where the file has one."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A machine that is not taken, and why."""

    name: str
    place: Place
    reason: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person says beyond the file."""

    os: OperatingSystem | None = None
    """Of machines whose system is not said."""
    os_values: Mapping[str, OperatingSystem] = field(default_factory=dict)
    """What a value of the file means, case-folded."""
    user: str | None = None
    """Of machines for which no user is said."""
    passwords: Mapping[str, SecretRef] = field(default_factory=dict)
    """User -> where the password is; the empty user stands for all others."""
    sudo_passwords: Mapping[str, SecretRef] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Field of a table -> the headers it is taken from."""
    leave_out: bool = False
    """Machines with a fault are left out instead of refusing the file."""
    skip_encrypted: bool = False
    """Files that Ansible's vault encrypted are left out."""


@dataclass(slots=True)
class Gathered:
    """Everything of one file, before it becomes clients."""

    form: str
    """What kind of file it is: `CSV, ;-separated, cp1252`."""
    proposals: list[Proposal] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Sentences on what was taken for what, each for many machines at once."""
    unused: dict[str, int] = field(default_factory=dict)
    """Variable or column that is of no use here -> for how many machines."""
    several_clients: bool = False
    """Each machine names its client."""
