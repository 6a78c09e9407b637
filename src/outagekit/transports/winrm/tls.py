"""Whom to believe on https, decided before anything of ours is sent.

A pinned certificate is believed for itself, however old and whatever its name; with a pin, no
authority can vouch for another one. Without a pin the client's own authorities or the system's
have to vouch for the certificate and its name. There is no third way.
"""

from __future__ import annotations

import hmac
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.winrm.login import Login

_HEAD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """By what an endpoint's certificate is judged."""

    certificates: tuple[HostKey, ...] = ()
    """The pinned ones; empty: authorities vouch."""
    revoked: frozenset[HostKey] = frozenset()
    """Never to be believed, whoever vouches."""
    ca: Path | None = None
    """PEM file of the authorities to believe; None: the system's."""
    words: str = ""
    """What chooses the endpoint on a command line (`words.words_for`)."""

    @property
    def pins(self) -> tuple[bytes, ...]:
        """The pinned certificates in DER; host keys that share the name are none."""
        return tuple(key.certificate for key in self.certificates if key.certificate)


class UnusableError(Exception):
    """A file TLS needs cannot be used; the message is the sentence."""


def context_for(believed: Believed, login: Login | None = None) -> ssl.SSLContext:
    """Return the settings of a TLS connection, with the login's client certificate if it has one.

    Environment variables that name authorities are ignored. Raises `UnusableError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if believed.pins:
        # OpenSSL is not asked; `judge` lets nothing but the very certificate pass.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _load_authorities(context, believed.ca)
    if login is not None and login.auth == "certificate":
        _load_own(context, login)
    return context


def _load_authorities(context: ssl.SSLContext, ca: Path | None) -> None:
    if ca is not None:
        try:
            context.load_verify_locations(cafile=str(ca.expanduser()))
        except (OSError, ValueError) as fault:
            shown = visible_line(str(ca))
            why = "is not there" if isinstance(fault, FileNotFoundError) else "cannot be used"
            raise UnusableError(f"the file of authorities {shown} {why}") from fault
    elif sys.platform == "win32":  # pragma: no cover
        context.load_default_certs()
    else:
        # As `load_default_certs`, but for the variables SSL_CERT_FILE and SSL_CERT_DIR.
        paths = ssl.get_default_verify_paths()
        file = paths.openssl_cafile if Path(paths.openssl_cafile).is_file() else None
        folder = paths.openssl_capath if Path(paths.openssl_capath).is_dir() else None
        if file or folder:
            context.load_verify_locations(cafile=file, capath=folder)


def _load_own(context: ssl.SSLContext, login: Login) -> None:
    key, certificate = str(login.key or ""), str(login.certificate or "")
    # Windows asks for the certificate only once it has seen the request.
    context.post_handshake_auth = True
    try:
        # Without a passphrase OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=login.passphrase or "")
    except FileNotFoundError as fault:
        missing = certificate if not Path(certificate).exists() else key
        raise UnusableError(f"{visible_line(missing)} is not there") from fault
    except (OSError, ValueError) as fault:
        raise UnusableError(_own_fault(fault, key)) from fault


def _own_fault(fault: Exception, key: str) -> str:
    shown, reason = visible_line(key), getattr(fault, "reason", None) or ""
    if "MISMATCH" in reason:
        return f"the key {shown} does not belong to the certificate"
    if _is_locked(key):
        return f"the key {shown} cannot be opened: its passphrase is wrong or missing"
    return f"the key {shown} and its certificate cannot be used: they have to be PEM files"


def _is_locked(key: str) -> bool:
    try:
        with Path(key).open("rb") as file:
            return b"ENCRYPTED" in file.read(_HEAD_BYTES)
    except OSError:
        return False


def judge(der: bytes, believed: Believed) -> Failure | None:
    """Return why a certificate, given in DER, must not be believed, whoever vouched; or None."""
    shown = HostKey.of_certificate(der)
    if shown in believed.revoked:
        detail = f"the endpoint shows the certificate {shown.fingerprint}, which was revoked here"
        return Failure(FailureKind.TLS, detail)
    if not believed.pins or any(hmac.compare_digest(der, pin) for pin in believed.pins):
        return None
    detail = (
        f"the endpoint shows another certificate than the one that is trusted: {shown.fingerprint}."
        " If it was renewed, compare, then:"
        f" outagekit trust replace {believed.words}"
    )
    return Failure(FailureKind.TLS, detail)


_TRUST_IT: Final = "compare its fingerprint with what the machine itself says, then"


def explain(fault: ssl.SSLError, believed: Believed, name: str) -> Failure:
    """Return what a failed TLS handshake means; `name` is what the certificate had to be for."""
    if isinstance(fault, ssl.SSLCertVerificationError):
        return Failure(FailureKind.TLS, _unverified(fault, believed, name))
    reason = (fault.reason or "").upper()
    detail = next((words for part, words in _REASONS.items() if part in reason), "")
    if detail:
        return Failure(FailureKind.TLS, detail)
    hung_up = isinstance(fault, ssl.SSLEOFError | ssl.SSLZeroReturnError) or _CLOSED in reason
    if hung_up or not reason:
        return Failure(FailureKind.HANDSHAKE, "the server closed the connection during TLS")
    spelt = reason.replace("_", " ").lower()
    return Failure(FailureKind.TLS, f"no TLS connection came to be: {spelt}")


def _unverified(fault: ssl.SSLCertVerificationError, believed: Believed, name: str) -> str:
    add = f"outagekit trust add {believed.words}".strip()
    shown = visible_line(name)
    if fault.verify_code in _SELF_SIGNED:
        return f"the certificate is self-signed: {_TRUST_IT}: {add}"
    if fault.verify_code in _NO_AUTHORITY:
        ca = "the client's file of authorities" if believed.ca else "this machine's authorities"
        return (
            f"the certificate is of an authority that is not among {ca}:"
            f" name its PEM file in the client's winrm: ca, or {_TRUST_IT}: {add}"
        )
    if fault.verify_code in _OTHER_NAME:
        return (
            f"the certificate is not for {shown}: use the name it is for as the address,"
            f" or {_TRUST_IT}: {add}"
        )
    known = _VERIFY_CODES.get(fault.verify_code)
    words = known or f"not valid: {visible_line(fault.verify_message)}"
    return f"the certificate is {words}: have it renewed, or {_TRUST_IT}: {add}"


_SELF_SIGNED: Final = frozenset({18})
_NO_AUTHORITY: Final = frozenset({2, 19, 20, 21, 27})
_OTHER_NAME: Final = frozenset({62, 64})
_VERIFY_CODES: Final = {
    9: "not valid yet (or a clock is wrong)",
    10: "expired (or a clock is wrong)",
    23: "revoked",
    26: "not one for servers",
    66: "made with a key too weak",
    67: "of an authority with a key too weak",
    68: "signed with a digest too weak, as SHA-1",
}
"""OpenSSL's X509_V_ERR numbers."""

_CLOSED: Final = "CLOSED BEFORE TLS HANDSHAKE"
"""Python's own reason: a machine that goes down may still say a word before it hangs up."""
_PLAIN: Final = "the port speaks no TLS: is it http (scheme: http, port 5985)?"
_TOO_OLD: Final = (
    "the server offers only TLS that is too old or too weak (TLS 1.0/1.1, SHA-1, small keys):"
    " update it, or use http with ntlm, which seals the messages itself"
)
_NO_CLIENT_CERTIFICATE: Final = "the server does not accept our certificate, or wants one"
_REASONS: Final = {
    "WRONG_VERSION_NUMBER": _PLAIN,
    "HTTP_REQUEST": _PLAIN,
    "PACKET_LENGTH_TOO_LONG": _PLAIN,
    "RECORD_LAYER_FAILURE": _PLAIN,
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "PROTOCOL_VERSION": _TOO_OLD,
    "SIGNATURE_TYPE": _TOO_OLD,
    "KEY_TOO_SMALL": _TOO_OLD,
    "MD_TOO_WEAK": _TOO_OLD,
    "HANDSHAKE_FAILURE": _TOO_OLD,
    "INSUFFICIENT_SECURITY": _TOO_OLD,
    "LEGACY": _TOO_OLD,
    "NO_CIPHERS": _TOO_OLD,
    "ALERT_UNKNOWN_CA": _NO_CLIENT_CERTIFICATE,
    "ALERT_BAD_CERTIFICATE": _NO_CLIENT_CERTIFICATE,
    "CERTIFICATE_REQUIRED": _NO_CLIENT_CERTIFICATE,
    "ALERT_CERTIFICATE": _NO_CLIENT_CERTIFICATE,
}
"""By a part of OpenSSL's reason."""


def peer_certificate(sock: socket.socket) -> bytes:
    """Return the certificate, in DER, that the other side of a TLS connection proved to have."""
    return (sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None) or b""
