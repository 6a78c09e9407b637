"""The certificate of a simulated machine, and what binds a login to it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings


@dataclass(frozen=True, slots=True)
class Tls:
    """How a server speaks TLS, and with which certificate (DER)."""

    context: ssl.SSLContext
    certificate: bytes

    @classmethod
    def load(cls, certificate: Path, key: Path, *, client_ca: Path | None = None) -> Self:
        """Return a server's side from PEM files. `client_ca` vouches for clients' certificates.

        A client without a certificate is let in to log in otherwise; a certificate that nobody
        vouches for ends the handshake. Raises `OSError`, `ssl.SSLError` and `ValueError`.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        text = certificate.read_text("ascii")
        end = "-----END CERTIFICATE-----"
        own = text[text.index("-----BEGIN CERTIFICATE-----") : text.index(end) + len(end)]
        return cls(context, ssl.PEM_cert_to_DER_cert(own))

    @property
    def binding(self) -> GssChannelBindings:
        """Return what a login over this certificate is bound to (RFC 5929, section 4)."""
        known = x509.load_der_x509_certificate(self.certificate).signature_hash_algorithm
        weak = known is None or known.name in {"md5", "sha1"}
        digest = hashes.Hash(known if known is not None and not weak else hashes.SHA256())
        digest.update(self.certificate)
        return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())
