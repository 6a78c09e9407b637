"""Keys, passwords and certificates of the lab: made when a fleet starts, worthless elsewhere."""

from __future__ import annotations

import io
import ipaddress
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko import Ed25519Key

_PRIVATE: Final = 0o600
_PASSWORD_BYTES: Final = 18
_VALID: Final = timedelta(days=30)


def new_key() -> Ed25519Key:
    """Return a fresh key: a host key, which never leaves this process."""
    return Ed25519Key(file_obj=io.StringIO(_new_text()))


def new_key_file(path: Path) -> Ed25519Key:
    """Write a fresh private key into the new file `path` (0600) and return it.

    Raises `FileExistsError` rather than writing over or through anything.
    """
    text = _new_text()
    _write(path, text)
    return Ed25519Key(file_obj=io.StringIO(text))


def new_password_file(path: Path) -> str:
    """Write a fresh password into the new file `path` (0600) and return it.

    Raises `FileExistsError`.
    """
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    _write(path, password)
    return password


def new_certificate_files(certificate: Path, key: Path, *, address: str) -> None:
    """Write a fresh certificate for an address, signed by itself, and its key, into new files.

    Raises `FileExistsError`.
    """
    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "outagekit lab")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(names, critical=False)
        .sign(secret, hashes.SHA256())
    )
    _write(certificate, made.public_bytes(Encoding.PEM).decode("ascii"))
    pem = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(key, pem.decode("ascii"))


def _write(path: Path, text: str) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(number, "w", encoding="ascii", newline="\n") as file:
        file.write(text)


def _new_text() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
