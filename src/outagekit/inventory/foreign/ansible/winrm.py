"""What a host's variables say of WinRM: how it is spoken to, logged in to and believed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.inventory.foreign.ansible import facts as known
from outagekit.inventory.foreign.proposal import Login
from outagekit.inventory.foreign.winrm import (
    KEY_LEFT_OUT,
    NEGOTIATED,
    NO_WAY_IN,
    NTLM_TAKEN,
    auth_named,
    scheme_named,
)
from outagekit.inventory.windows import clear_fault, scheme_of, user_fault

if TYPE_CHECKING:
    from pathlib import Path

    from outagekit.credentials import SecretRef
    from outagekit.inventory.foreign.ansible.facts import Facts
    from outagekit.inventory.foreign.findings import Findings, Place
    from outagekit.inventory.model import Auth, Scheme

_IGNORED: Final = (
    "validation: cannot be turned off, as for {} Ansible does; `outagekit trust add` shows a"
    " certificate and keeps it"
)
_OTHER_STORE: Final = "legacy_requests"
"""A word for the CA path, not a path: the authorities that come with a library of Python."""
_BY_CERTIFICATE: Final = "certificate"
"""User of a login by certificate that names none: the endpoint knows whose it is."""


@dataclass(frozen=True, slots=True)
class Service:
    """A host's WinRM as its variables say it."""

    port: int | None = None
    scheme: Scheme | None = None
    auth: Auth | None = None
    ca: str | None = None
    key: str | None = None
    """Of the TLS client certificate."""
    certificate: str | None = None


def service_of(facts: Facts, host: Place, findings: Findings, notes: list[str]) -> Service:
    """Return what is said; what cannot be taken over becomes a fault, what is told a note."""
    port = facts.port(known.PORT)
    scheme = _scheme(facts, findings)
    auth = _auth(facts, findings, notes)
    if (facts.text(known.VALIDATION) or "").casefold() == "ignore":
        notes.append(_IGNORED)
    fault = clear_fault(auth, scheme_of(scheme, port))
    if fault:
        findings.fault(facts.place(known.TRANSPORT) or host, *fault)
    key, certificate = facts.text(known.CERTIFICATE_KEY), facts.text(known.CERTIFICATE)
    if auth == "certificate" and not (key and certificate):
        message = "`certificate` needs a TLS client certificate and its key"
        hint = "name them: ansible_winrm_cert_pem and ansible_winrm_cert_key_pem"
        findings.fault(facts.place(known.TRANSPORT) or host, message, hint)
    return Service(
        port=port,
        scheme=scheme,
        auth=auth,
        ca=_authorities(facts, host.path),
        key=key,
        certificate=certificate,
    )


def login_of(
    service: Service, user: str | None, password: SecretRef | None, notes: list[str]
) -> Login | None:
    """Return how the host is logged in to; None, with a note, where nothing can."""
    if service.auth == "certificate":
        user = user or _BY_CERTIFICATE
        return Login(user, service.key, certificate=service.certificate, auth="certificate")
    if user is None:
        return None
    if password is None and service.auth != "kerberos":
        notes.append(NO_WAY_IN)
        return None
    if service.auth is None:
        notes.append(NTLM_TAKEN)
    return Login(user, password=password, auth=service.auth)


def note_key(facts: Facts, notes: list[str]) -> None:
    """Tell that a key for SSH is left out, where one is named."""
    if facts.text(known.KEY):
        notes.append(KEY_LEFT_OUT)


def check_user(service: Service, user: str | None, place: Place, findings: Findings) -> None:
    """Note a fault for a user that Windows cannot have, or who needs a realm and has none."""
    odd = user_fault(user) if user is not None else None
    if odd:
        findings.fault(place, *odd)
    if service.auth == "kerberos" and user is not None and user.count("@") != 1:
        hint = "write the user like ops@ACME.EXAMPLE"
        findings.fault(place, "`kerberos` needs the realm of the user", hint)


def _auth(facts: Facts, findings: Findings, notes: list[str]) -> Auth | None:
    text = facts.text(known.TRANSPORT)
    place = facts.place(known.TRANSPORT)
    if not text or place is None:
        return None
    first, *others = (word.strip() for word in text.split(","))
    auth = auth_named(first, place, findings)
    if others:
        notes.append("auth: the first of several ways to log in for {}")
    if first.casefold() == "negotiate":
        notes.append(NEGOTIATED)
    # `ssl` is basic, or the certificate where there is one.
    shows = first.casefold() == "ssl" and facts.text(known.CERTIFICATE)
    return "certificate" if shows else auth


def _scheme(facts: Facts, findings: Findings) -> Scheme | None:
    text, place = facts.text(known.SCHEME), facts.place(known.SCHEME)
    return scheme_named(text, place, findings) if text and place is not None else None


def _authorities(facts: Facts, inventory: Path) -> str | None:
    """Return the file of authorities; a relative path starts at the inventory's folder."""
    text = facts.text(known.AUTHORITIES)
    if not text or text == _OTHER_STORE:
        return None
    folder = inventory.absolute() if inventory.is_dir() else inventory.absolute().parent
    return text if text.startswith("~") else os.path.normpath(folder / text)
