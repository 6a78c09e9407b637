"""The shape of the files: what may stand in an inventory and in `outagekit.yaml`.

Pydantic models of one value at a time; what needs a second look at the file (references, names,
duplicates) is in `references`. The JSON Schema for editors is made from these models.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from outagekit.credentials import BadReference, SecretRef
from outagekit.errors import UsageError
from outagekit.events import Allow, OperatingSystem
from outagekit.inventory.address import LARGEST_PORT, address_fault, parse_login
from outagekit.inventory.adhoc import ADHOC
from outagekit.inventory.model import Auth, Scheme
from outagekit.inventory.windows import user_fault
from outagekit.source import fault, shown
from outagekit.text import slug

NAME_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""Names of endpoints, sites, credentials and tags: harmless on a screen and in a selector."""
NAME_HINT: Final = "letters, digits and . _ - only, beginning with a letter or digit, at most 63"
CLIENT_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,59}$"
LARGEST_CONCURRENCY: Final = 1024
LARGEST_CONNECTING: Final = 256

_CLIENT_HINT = "small letters, digits and - only, beginning with a letter or digit, at most 60"
_ARGV = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_PROXY_HINT = "write it like http://proxy.acme.example:3128"
_PROXY_PATTERN = r"^http://[^/@]+:[0-9]{1,5}/?$"
_AUTHS_ELSEWHERE: Final = {
    "negotiate": "write ntlm or kerberos",
    "plaintext": "write basic",
    "ssl": "write basic or certificate",
    "credssp": "it hands the password itself to the endpoint: use ntlm, kerberos or certificate",
}
_REFERENCE = r"^(prompt|keyring:.+|env:.+|file:.+|cmd:\S+)$"


def _name(value: str) -> str:
    if not re.fullmatch(NAME_PATTERN[1:-1], value):
        raise fault(f"{shown(value)} is no name", NAME_HINT)
    return value


def _client(value: str) -> str:
    if not re.fullmatch(CLIENT_PATTERN[1:-1], value):
        raise fault(f"{shown(value)} is no client's short name", _CLIENT_HINT)
    if value == ADHOC:
        raise fault(f"{shown(value)} is the client of endpoints that stand in no file")
    if slug(value) != value:
        message = f"{shown(value)} cannot be the name of a folder on every system"
        raise fault(message, "choose another short name")
    return value


def _line(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise fault("this must be one line of visible text")
    return value


def _user(value: str) -> str:
    found = user_fault(value)
    if found:
        raise fault(*found)
    return _line(value)


def _auth(value: Any) -> Any:
    if isinstance(value, str) and value.casefold() in _AUTHS_ELSEWHERE:
        message = f"`auth: {value}` is a word of other tools"
        raise fault(message, _AUTHS_ELSEWHERE[value.casefold()])
    return value


def _address(value: str) -> str:
    found = address_fault(value)
    if found:
        raise fault(*found)
    return value


def _jump(value: str) -> str:
    try:
        parse_login(value if "@" in value else f"you@{value}")
    except UsageError as error:
        hint = "write it like ops@bastion.acme.example or ops@192.0.2.1:2222"
        raise fault(error.message, hint) from error
    return value


def _proxy(value: str) -> str:
    """Return a proxy as `http://address:port`; who logs in to it is not said in a file."""
    if "@" in value:
        message = "a proxy has no user or password here: a secret must not stand in a file"
        raise fault(message, "name one that asks for none: http://address:port")
    scheme, mark, place = value.partition("://")
    if not mark or scheme.lower() != "http":
        message = f"{shown(value)} is no proxy that is spoken to by http"
        raise fault(message, _PROXY_HINT)
    try:
        found = parse_login(f"you@{place.removesuffix('/')}")
    except UsageError as error:
        raise fault(error.message, _PROXY_HINT) from error
    if found.port is None:
        raise fault(f"{shown(value)} does not say the port", _PROXY_HINT)
    return f"http://{place.removesuffix('/')}"


def _secret(value: Any) -> SecretRef:
    try:
        return SecretRef.parse(value)
    except BadReference as error:
        # Without its cause: nothing that might quote a literal secret travels along.
        raise fault(error.message, error.hint) from None


def _version(value: Any) -> Any:
    # To Python true and 1.0 equal 1; to a person who reads the file they do not.
    if type(value) is not int or value != 1:
        raise fault("`outagekit` must be `1`", "this is the only version of the format")
    return value


Version = Annotated[Literal[1], BeforeValidator(_version)]
Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME_PATTERN})]
Line = Annotated[str, Field(max_length=200), AfterValidator(_line)]
User = Annotated[str, Field(max_length=200), AfterValidator(_user)]
Port = Annotated[int, Field(ge=1, le=LARGEST_PORT)]
Concurrency = Annotated[int, Field(ge=1, le=LARGEST_CONCURRENCY)]
Secret = Annotated[
    Any,
    AfterValidator(_secret),
    WithJsonSchema(
        {
            "description": "Where the secret is found; never the secret itself.",
            "anyOf": [
                {"type": "string", "pattern": _REFERENCE},
                _ARGV,
                {
                    "type": "object",
                    "properties": {"cmd": _ARGV},
                    "required": ["cmd"],
                    "additionalProperties": False,
                },
            ],
        }
    ),
]
"""A reference to a secret; becomes a `SecretRef`."""

_NAMED: Final[dict[str, Any]] = {"propertyNames": {"pattern": NAME_PATTERN}}
_PORT_HELP: Final = "Default 22 for SSH, 5986 for WinRM, 5985 where its scheme is http."
_PORTS: Final[dict[str, Any]] = {"propertyNames": {"pattern": "^[0-9]{1,5}$"}}


class Input(BaseModel):
    """Base of what is read from a file: nothing is converted, no key is ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class AgreementInput(Input):
    """What the client allows, and who may allow more."""

    id: Line = Field(description="Number of the contract, printed in reports.")
    allows: list[Allow] = Field(description="What may be done without asking again.")
    approvers: list[Line] = Field(
        default=[], description="People who may allow more, for one run and by name."
    )


class CredentialInput(Input):
    """How to log in. Secrets are references, never the secrets themselves."""

    user: User = Field(description="Login name; DOMAIN\\user for Windows domains.")
    password: Secret = Field(default=None)
    key: Line | None = Field(default=None, description="Path of a private key file.")
    passphrase: Secret = Field(default=None)
    certificate: Line | None = Field(
        default=None,
        description="Path of the OpenSSH certificate that belongs to the key; with auth"
        " certificate that of a TLS client certificate.",
    )
    agent: bool = Field(default=False, description="Whether keys of the SSH agent are offered.")
    sudo: Secret = Field(default=None)
    auth: Annotated[Auth | None, BeforeValidator(_auth)] = Field(
        default=None, description="How Windows endpoints are logged in to; default: ntlm."
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> CredentialInput:
        if self.auth is not None:
            self._can_log_in_to_windows(self.auth)
        elif self.password is None and self.key is None and not self.agent:
            message = "nothing here can log in: there is no password, key or agent"
            raise fault(message, "add key: PATH, password: keyring:NAME or agent: true")
        for belongs in ("passphrase", "certificate"):
            if getattr(self, belongs) is not None and self.key is None:
                raise fault(f"the {belongs} has no key it belongs to", "add key: PATH")
        return self

    def _can_log_in_to_windows(self, auth: Auth) -> None:
        if auth in {"ntlm", "basic"} and self.password is None:
            raise fault(f"`auth: {auth}` needs a password", "add password: keyring:NAME")
        if auth == "certificate" and (self.key is None or self.certificate is None):
            message = "`auth: certificate` needs a TLS client certificate and its key"
            raise fault(message, "add certificate: PATH and key: PATH, both in PEM")
        if auth == "kerberos" and not re.fullmatch("[^@]+@[^@]+", self.user):
            message = "`auth: kerberos` needs the realm of the user"
            raise fault(message, "write user: ops@ACME.EXAMPLE")


class SiteInput(Input):
    """Where endpoints stand."""

    jump: Annotated[str, AfterValidator(_jump)] | None = Field(
        default=None, description="Jump host, user@address or user@address:port."
    )
    jump_credential: Name | None = Field(
        default=None,
        description="A name below credentials: how the jump host is logged in to. Without it what"
        " ssh itself would use.",
    )
    concurrency: Concurrency | None = Field(
        default=None, description="How many endpoints of the site are worked on at once."
    )


class WinrmInput(Input):
    """What holds for the way to all Windows endpoints of the client."""

    ca: Line | None = Field(
        default=None,
        description="PEM file with the certificate authorities to believe instead of the"
        " system's; a relative path starts at this file's folder.",
    )
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(
        default=None,
        description="http://address:port of a proxy that leads to endpoints with https; without"
        " it none is used, also where the environment names one.",
        json_schema_extra={"pattern": _PROXY_PATTERN},
    )


class DefaultsInput(Input):
    """What holds for every endpoint that does not say otherwise."""

    site: Name | None = Field(default=None, description="A name below sites.")
    credential: Name | None = Field(default=None, description="A name below credentials.")
    os: OperatingSystem | None = None
    become: Literal["sudo"] | None = Field(
        default=None, description="How root is reached; not used for Windows."
    )
    port: Port | None = Field(default=None, description=_PORT_HELP)
    scheme: Scheme | None = Field(
        default=None, description="How WinRM is spoken to; used for Windows only."
    )
    tags: list[Name] = Field(default=[], description="Every endpoint has these tags, too.")


class EndpointInput(Input):
    """A machine. An empty value takes back what `defaults` says."""

    address: Annotated[str, AfterValidator(_address)] = Field(
        description="IPv4 address, IPv6 address or DNS name, without user and port."
    )
    os: OperatingSystem | None = Field(default=None, description="Needed unless in defaults.")
    site: Name | None = Field(default=None, description="A name below sites.")
    credential: Name | None = Field(
        default=None, description="A name below credentials; without, what ssh itself would use."
    )
    become: Literal["sudo"] | None = Field(default=None, description="How root is reached.")
    port: Port | None = Field(default=None, description=_PORT_HELP)
    scheme: Scheme | None = Field(
        default=None,
        description="Of Windows: how WinRM is spoken to; default: http on port 5985, else https.",
    )
    tags: list[Name] = []
    ports: dict[str, Port] = Field(
        default={},
        description="Port of the endpoint: port under which it is reached at the address.",
        json_schema_extra=_PORTS,
    )


class InventoryInput(Input):
    """One client of the MSP."""

    outagekit: Version = Field(description="Version of the format.")
    client: Annotated[str, AfterValidator(_client)] = Field(
        description="Short name, part of every endpoint's identity; self is the MSP.",
        json_schema_extra={"pattern": CLIENT_PATTERN},
    )
    name: Line | None = Field(default=None, description="Name for people; default: the client.")
    timezone: str = Field(default="UTC", description="IANA name like Europe/Berlin.")
    agreement: AgreementInput | None = Field(
        default=None, description="Without one, only reading steps run."
    )
    credentials: dict[str, CredentialInput] = Field(default={}, json_schema_extra=_NAMED)
    sites: dict[str, SiteInput] = Field(default={}, json_schema_extra=_NAMED)
    winrm: WinrmInput = WinrmInput()
    defaults: DefaultsInput = DefaultsInput()
    endpoints: dict[str, EndpointInput] = Field(default={}, json_schema_extra=_NAMED)


class WorkspaceInput(Input):
    """The file `outagekit.yaml` that makes a folder a workspace."""

    outagekit: Version = Field(description="Version of the format.")
    concurrency: Concurrency | None = Field(
        default=None, description="How many endpoints are worked on at once."
    )
    connecting: Annotated[int, Field(ge=1, le=LARGEST_CONNECTING)] | None = Field(
        default=None, description="How many connections are being opened at once."
    )
    state_dir: Line | None = Field(
        default=None, description="Where runs and their logs are kept; ~ and relative paths work."
    )
