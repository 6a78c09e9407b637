"""What proves to a WinRM service who we are, one class for each way.

Each takes its certificate for the channel binding from the connection itself, answers the service
only, never a proxy, and proves itself once a connection: a service that asks again has forgotten
us, and is not told a second time.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import requests
import requests.auth
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from requests_ntlm import HttpNtlmAuth
from spnego import ContextReq

from outagekit.transports.winrm.login import Login

_UNAUTHORIZED: Final = 401
_NTLM_128: Final = 0x20000000
"""NTLMSSP_NEGOTIATE_128: with less, the seal could be broken in a day."""
_MUTUAL: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"


class Shown(Protocol):
    """Tells what the server at the other end of the connection has shown."""

    def __call__(self) -> bytes:
        """Return its certificate in DER; empty on http."""
        ...


class Ntlm(HttpNtlmAuth):
    """Proves a password by NTLM, bound to the TLS channel."""

    def __init__(self, login: Login, shown: Shown) -> None:
        super().__init__(login.account, login.password)
        self._shown = shown

    @property
    def is_established(self) -> bool:
        """Whether both sides have a common key of full length to seal with."""
        shim = self.session_security
        if shim is None:
            return False
        context = shim._context  # noqa: SLF001  (no public way to what was agreed upon)
        agreed = int(getattr(context, "_context_attr", 0))
        return bool(
            context.complete
            and context.context_attr & ContextReq.confidentiality
            and agreed & _NTLM_128
        )

    def response_hook(self, r: requests.Response, **kwargs: Any) -> requests.Response:
        """Answer the service's first question, and no other."""
        if r.status_code != _UNAUTHORIZED or self.session_security is not None:
            return r
        return super().response_hook(r, **kwargs)

    def _get_server_cert(self, response: requests.Response) -> bytes | None:
        del response
        return end_point_hash(self._shown()) or None


class Certificate(requests.auth.AuthBase):
    """Says that TLS has proved who we are."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request with the word for it."""
        r.headers["Authorization"] = _MUTUAL
        return r


def end_point_hash(der: bytes) -> bytes:
    """Return what binds a login to a TLS server (RFC 5929, tls-server-end-point), or nothing."""
    if not der:
        return b""
    try:
        algorithm = x509.load_der_x509_certificate(der).signature_hash_algorithm
    except UnsupportedAlgorithm:
        return b""
    except ValueError:  # a certificate that was pinned may be odd in any way
        algorithm = None
    if algorithm is None or isinstance(algorithm, hashes.MD5 | hashes.SHA1):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(der)
    return digest.finalize()
