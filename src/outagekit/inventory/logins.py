"""Which credential fits which system: what SSH and WinRM cannot use of the other's.

It looks at plain values of a document, as `references` does, and leaves wrong types to the shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from outagekit.inventory.model import Auth, Scheme
from outagekit.inventory.windows import clear_fault, no_login, scheme_of
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outagekit.errors import Problem
    from outagekit.source import Document

_AUTHS: Final = get_args(Auth)
_SCHEMES: Final = get_args(Scheme)


def login_problems(document: Document, name: str, value: dict[str, Any]) -> Iterator[Problem]:
    """Return what keeps an endpoint's credential from being used; `value` has its defaults in it.

    That nothing can log in is a warning: others may still be worked on, and a plan refuses it.
    """
    credential = _credential(document, value.get("credential"))
    if credential is None:
        return
    auth = credential.get("auth")
    auth = auth if auth in _AUTHS else None
    place: tuple[str, ...] = ("endpoints", name)
    if value.get("os") in ("linux", "macos"):
        at = _at(document, place, "credential")
        yield from _only_for_windows(document, at, value["credential"], credential)
    if value.get("os") != "windows":
        return
    fault = clear_fault(auth, _scheme(value))
    if fault:
        at = _at(document, place, "scheme", "port", "credential")
        yield document.problem(at, *fault, key=len(at) == len(place))
    if auth is None and credential.get("password") is None:
        at = _at(document, place, "credential")
        message, hint = no_login(value["credential"])
        key = len(at) == len(place)
        yield document.problem(at, message, hint, key=key, warning=True)


def jump_problems(document: Document, name: str, site: dict[str, Any]) -> Iterator[Problem]:
    """Return what keeps the credential of a site's jump host from being used by SSH."""
    credential = _credential(document, site.get("jump_credential"))
    if credential is not None:
        at = ("sites", name, "jump_credential")
        yield from _only_for_windows(document, at, site["jump_credential"], credential)


def _only_for_windows(
    document: Document, at: tuple[str, ...], name: str, credential: dict[str, Any]
) -> Iterator[Problem]:
    auth = credential.get("auth")
    usable = ("password", "key", "agent") if auth == "kerberos" else ()
    if auth in ("certificate", "kerberos") and not any(credential.get(key) for key in usable):
        message = f"credential {shown(name)} is for windows only: `auth: {auth}`"
        yield document.problem(at, message, "SSH logs in with a key, agent or password")


def _credential(document: Document, name: object) -> dict[str, Any] | None:
    """Return what the file says of a credential, or None if that is no mapping."""
    known = document.root.value.get("credentials")
    found = known.get(name) if isinstance(known, dict) and isinstance(name, str) else None
    return found if isinstance(found, dict) else None


def _scheme(value: dict[str, Any]) -> Scheme:
    scheme, port = value.get("scheme"), value.get("port")
    return scheme_of(
        scheme if scheme in _SCHEMES else None, port if isinstance(port, int) else None
    )


def _at(document: Document, place: tuple[str, ...], *keys: str) -> tuple[str, ...]:
    """Return the first of the keys an endpoint has itself, else the endpoint."""
    own = document.node(place).value
    return next(((*place, key) for key in keys if own.get(key) is not None), place)
