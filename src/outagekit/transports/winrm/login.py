"""Who we are to a WinRM service: a credential with its secrets, ready to be shown. Pure.

Secrets stand in no `repr`, and nothing here talks to anybody.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from outagekit.credentials import SecretRef
from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.inventory.model import Auth, Credential, Scheme
from outagekit.redaction import Redactor, Secret
from outagekit.transports.protocol import Failure

Reveal = Callable[[SecretRef, str], str]
"""Resolves a reference; the second argument says which secret of the credential it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How to log in to the Windows endpoints of one client."""

    client: str
    user: str
    auth: Auth = "ntlm"
    password: str | None = field(default=None, repr=False)
    """None: with a certificate, or with Kerberos tickets the technician has already."""
    key: Path | None = None
    """PEM file of the private key that belongs to `certificate`."""
    certificate: Path | None = None
    passphrase: str | None = field(default=None, repr=False)
    """Of `key`."""
    name: str = ""
    """The credential's, by which its secrets are called where they are hidden."""

    @property
    def redactor(self) -> Redactor:
        """What hides its secrets."""
        named = (("password", self.password), ("passphrase", self.passphrase))
        return Redactor(Secret(f"{self.name} {what}".strip(), text) for what, text in named if text)

    @property
    def is_local(self) -> bool:
        r"""Whether the account is one of the endpoint itself: `user` or `.\user`."""
        return "@" not in self.user and self.domain in {"", "."}

    @property
    def domain(self) -> str:
        r"""What stands before the backslash of `DOMAIN\user`."""
        return self.user.partition("\\")[0] if "\\" in self.user else ""

    @property
    def account(self) -> str:
        r"""The user as it is sent; without `.\`, of which a server makes a domain of that name."""
        return self.user[2:] if self.domain == "." else self.user


def login_of(client: str, credential: Credential, reveal: Reveal) -> Login | Failure:
    """Return the login of a credential; asks for its secrets, which may take its time.

    A secret that cannot be had is `local_io`.
    """
    auth = credential.auth or "ntlm"
    with_certificate = auth == "certificate"
    try:
        password = None if with_certificate else _revealed(credential, "password", reveal)
        passphrase = _revealed(credential, "passphrase", reveal) if with_certificate else None
    except OutagekitError as fault:
        return Failure(FailureKind.LOCAL_IO, fault.message)
    return Login(
        client=client,
        user=credential.user,
        auth=auth,
        password=password,
        key=_path(credential.key) if with_certificate else None,
        certificate=_path(credential.certificate) if with_certificate else None,
        passphrase=passphrase,
        name=credential.name,
    )


def _revealed(credential: Credential, what: str, reveal: Reveal) -> str | None:
    label = f"{credential.name} {what}"
    reference = dict(credential.secrets()).get(label)
    return reveal(reference, label) if reference is not None else None


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def login_fault(login: Login, scheme: Scheme) -> Failure | None:
    """Return why a login must not, or cannot, be tried; None if it can be."""
    if scheme == "http" and login.auth in {"basic", "certificate"}:
        detail = f"{login.auth} logins go over https only: over http they would be open to all"
        return Failure(FailureKind.TLS, detail)
    detail = _JUDGES[login.auth](login)
    return Failure(FailureKind.LOCAL_IO, detail) if detail else None


def _ntlm_fault(login: Login) -> str:
    # Without one of the two, the libraries below would log in as the technician instead.
    if not login.account or not login.password:
        return "an ntlm login needs a user and a password"
    return ""


def _basic_fault(login: Login) -> str:
    if not login.user or not login.password:
        return "a basic login needs a user and a password"
    if ":" in login.user:
        return "a basic login cannot carry a user with a colon"
    if not _is_latin(login.user + login.password):
        return (
            "a basic login cannot carry letters outside Latin-1 in user or password:"
            " use auth: ntlm, which can"
        )
    return ""


def _is_latin(text: str) -> bool:
    return all(ord(letter) <= 0xFF for letter in text)  # noqa: PLR2004  (the last of Latin-1)


def _certificate_fault(login: Login) -> str:
    if login.key is None or login.certificate is None:
        return "a certificate login needs the files of a certificate and its key"
    return ""


def _kerberos_fault(login: Login) -> str:
    if not login.user or "\\" in login.user:
        return "a Kerberos login needs its user as user@REALM"
    if login.password == "":
        return "the password is empty"
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in login.password or ""):
        return "a Kerberos login cannot carry control characters in the password"
    return ""


_JUDGES: dict[Auth, Callable[[Login], str]] = {
    "ntlm": _ntlm_fault,
    "basic": _basic_fault,
    "certificate": _certificate_fault,
    "kerberos": _kerberos_fault,
}
