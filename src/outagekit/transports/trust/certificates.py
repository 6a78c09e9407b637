"""TLS certificates of Windows endpoints, as people are shown them and as files hold them.

Pure: connects to nobody and believes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput
from outagekit.text import visible_line
from outagekit.transports.trust.known_hosts import CERTIFICATE, HostKey

if TYPE_CHECKING:
    from cryptography import x509

_LONGEST_NAME: Final = 120
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE: Final = b"\x30"
"""What a certificate in DER begins with."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A certificate as it was shown; without `by` it counts only if it is believed itself."""

    key: HostKey
    by: str = ""
    """Who vouches for it, in words, if it is valid for the place it was shown at."""
    why: str = ""
    """Why it is not valid."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands in a certificate, safe to be shown."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    """Both aware, in UTC."""
    self_signed: bool
    """It names itself as its issuer."""

    def dates_fault(self, now: datetime) -> str:
        """Return `EXPIRED` or `NOT YET VALID` where that is so, else an empty text."""
        if now > self.not_after:
            return "EXPIRED"
        return "NOT YET VALID" if now < self.not_before else ""


def facts_of(key: HostKey) -> Facts | None:
    """Return what stands in a certificate; None for one that cannot be read, and for host keys."""
    if key.type != CERTIFICATE:
        return None
    from cryptography import x509  # noqa: PLC0415  (slow to load)

    try:
        found = x509.load_der_x509_certificate(key.certificate)
        return Facts(
            subject=_name(found.subject),
            issuer=_name(found.issuer),
            not_before=found.not_valid_before_utc,
            not_after=found.not_valid_after_utc,
            self_signed=found.subject == found.issuer,
        )
    except (ValueError, TypeError):
        return None


def certificates_in(content: bytes, what: str) -> tuple[HostKey, ...]:
    """Return the certificates of a file's content: PEM, one or many, or a single one in DER.

    Raises `InvalidInput`, naming the file as `what`, if one cannot be read or there is none.
    """
    import ssl  # noqa: PLC0415  (slow to load)

    from cryptography import x509  # noqa: PLC0415

    found: list[HostKey] = []
    try:
        for block in _PEM.findall(content):
            der = ssl.PEM_cert_to_DER_cert(block.decode("ascii").replace("\r\n", "\n"))
            x509.load_der_x509_certificate(der)
            found.append(HostKey.of_certificate(der))
        if not found and content.startswith(_SEQUENCE):
            x509.load_der_x509_certificate(content)
            found.append(HostKey.of_certificate(content))
    except (ValueError, TypeError) as fault:
        raise InvalidInput(f"{what} holds a certificate that is damaged or cut") from fault
    if not found:
        raise InvalidInput(f"{what} holds no certificate", hint="a PEM file, or one in DER")
    return tuple(dict.fromkeys(found))


def holds_certificates(content: bytes) -> bool:
    """Return whether a file's content is certificates rather than lines of known_hosts."""
    return content.startswith(_SEQUENCE) or b"CERTIFICATE-----" in content


def _name(name: x509.Name) -> str:
    """Return a name on one line, as RFC 4514 writes it."""
    text = visible_line(name.rfc4514_string()) or "(no name)"
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
