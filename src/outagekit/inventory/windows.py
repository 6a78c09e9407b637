"""What holds for Windows endpoints alone: http or https, and which logins go with either. Pure.

Files, tables of other tools and plans ask here, so that each refuses the same for the same reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from outagekit.source import shown

if TYPE_CHECKING:
    from outagekit.inventory.address import Fault
    from outagekit.inventory.model import Auth, Credential, Endpoint, Scheme

HTTP_PORT: Final = 5985
"""Where WinRM listens without TLS; everything it says there is sealed by the login's keys."""
HTTPS_PORT: Final = 5986
PORTS: Final[dict[Scheme, int]] = {"http": HTTP_PORT, "https": HTTPS_PORT}
DEFAULT_AUTH: Final[Auth] = "ntlm"

_USER_HINT: Final = (
    "one backslash, in single quotes: 'DOMAIN\\user', or '.\\user' for a local account"
)
_CLEAR: Final[dict[Auth, Fault]] = {
    "basic": (
        "`basic` over http: the password would cross the network in clear",
        "use https, or `auth: ntlm`, which seals what it sends over http",
    ),
    "certificate": (
        "`certificate` over http: a client certificate is shown by TLS only",
        "use https",
    ),
}
_KEYS: Final = "cannot log in to windows: keys are for SSH"
_ADD: Final = "add password: keyring:NAME, or auth: certificate or kerberos"


def scheme_of(scheme: Scheme | None, port: int | None) -> Scheme:
    """Return whether WinRM is spoken to by http or https; what is not said follows the port."""
    return scheme or ("http" if port == HTTP_PORT else "https")


def port_of(endpoint: Endpoint) -> int:
    """Return the WinRM port of a Windows endpoint, before port forwards."""
    return endpoint.port or PORTS[scheme_of(endpoint.scheme, endpoint.port)]


def auth_of(credential: Credential | None) -> Auth:
    """Return how a credential logs in to Windows."""
    return (credential.auth if credential else None) or DEFAULT_AUTH


def clear_fault(auth: Auth | None, scheme: Scheme) -> Fault | None:
    """Return why a login may not be used over http, or None; over https all may."""
    return _CLEAR.get(auth or DEFAULT_AUTH) if scheme == "http" else None


def user_fault(user: str) -> Fault | None:
    r"""Return what keeps `DOMAIN\user`, or anything without a backslash, from being a user."""
    if user != user.strip():
        return "the user begins or ends with a space", ""
    domain, backslash, name = user.partition("\\")
    if backslash and (not domain or not name or "\\" in name):
        return f"{shown(user)} is no user", _USER_HINT
    return None


def no_login(name: str) -> Fault:
    """Return what to say of a credential that `can_log_in` is false for."""
    return f"credential {shown(name)} {_KEYS}", _ADD


def can_log_in(credential: Credential) -> bool:
    """Return whether a credential holds what its way to log in to Windows needs."""
    match auth_of(credential):
        case "kerberos":
            return True
        case "certificate":
            return credential.key is not None and credential.certificate is not None
        case _:
            return credential.password is not None
