"""How other tools say that Windows is logged in to, in words of ours; shared by their readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from outagekit.source import shown

if TYPE_CHECKING:
    from outagekit.inventory.foreign.findings import Findings, Place
    from outagekit.inventory.model import Auth, Scheme

NO_WAY_IN: Final = (
    "credential: none for {} with windows, as no password is named;"
    " import --password USER=keyring:NAME names one"
)
NTLM_TAKEN: Final = "auth: taken as ntlm for {} with windows, as nothing says it"
NEGOTIATED: Final = "auth: ntlm for {} that would negotiate"
KEY_LEFT_OUT: Final = "key: left out for {} with windows: keys are for SSH"

_AUTHS: Final[dict[str, Auth]] = {
    "ntlm": "ntlm",
    "negotiate": "ntlm",
    "basic": "basic",
    "plaintext": "basic",
    "ssl": "basic",
    "certificate": "certificate",
    "kerberos": "kerberos",
}
_CREDSSP: Final = (
    "`credssp` hands the password itself to the endpoint, and is not used here",
    "use ntlm, kerberos or certificate",
)


def auth_named(text: str, place: Place, findings: Findings) -> Auth | None:
    """Return what a word for a way to log in means; None, with a fault, if it is none of ours."""
    word = text.casefold()
    if word == "credssp":
        findings.fault(place, *_CREDSSP)
    elif word not in _AUTHS:
        hint = "ntlm, basic, certificate or kerberos"
        findings.fault(place, f"{shown(text)} is no way to log in to windows", hint)
    return _AUTHS.get(word)


def scheme_named(text: str, place: Place, findings: Findings) -> Scheme | None:
    """Return `http` or `https`; None, with a fault, for anything else."""
    match text.casefold():
        case "http":
            return "http"
        case "https":
            return "https"
    findings.fault(place, f"{shown(text)} is neither http nor https")
    return None
