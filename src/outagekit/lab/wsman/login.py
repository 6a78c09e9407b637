"""How the clients of one connection log in: Basic, Negotiate (NTLM, SPNEGO, Kerberos), certificate.

NTLM and Kerberos log in a connection, not a request, and leave a seal that belongs to it. Kerberos
is there where pyspnego finds a GSS-API and the environment's `KRB5_KTNAME` names a keytab.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import spnego

from outagekit.lab.wsman.accounts import user_of
from outagekit.lab.wsman.http import Request, Response
from outagekit.lab.wsman.service import Service

_MUTUAL: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
_NTLM: Final = b"NTLMSSP\x00"
_NTLM_BEGIN: Final = _NTLM + b"\x01\x00\x00\x00"
_SPNEGO_BEGIN: Final = b"\x60"
_KERBEROS: Final = b"\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02"
_HEAD_BYTES: Final = 6
"""The most that stands in a token before the name of its mechanism: a tag and a length."""
_CHALLENGE: Final = "WWW-Authenticate"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who asks, and what the answer must carry to complete the login."""

    user: str
    headers: tuple[tuple[str, str], ...] = ()


class Login:
    """The logins of one connection. `seal` is the security context its messages are sealed by."""

    def __init__(self, service: Service, *, has_certificate: bool = False) -> None:
        self.seal: spnego.ContextProxy | None = None
        self._service = service
        self._accounts = service.accounts
        self._rules = service.rules
        self._tls = service.tls
        self._has_certificate = has_certificate
        self._context: spnego.ContextProxy | None = None
        self._user = ""

    def is_step(self, request: Request) -> bool:
        """Return whether a request is a step of a login and cannot do anything else."""
        header = request.headers.get("authorization", "")
        return not request.body or self.begins(request) or not (header or self._user)

    def begins(self, request: Request) -> bool:
        """Return whether a request is the first step of a login by NTLM or SPNEGO."""
        token = _token(request.headers.get("authorization", "").partition(" ")[2])
        return token.startswith((_NTLM_BEGIN, _SPNEGO_BEGIN))

    def admit(self, request: Request) -> Admitted | Response:
        """Return who asks, or the answer that goes on with a login or refuses it."""
        header = request.headers.get("authorization", "")
        if not header:
            return Admitted(self._user) if self._user else self.refusal()
        if self._rules.refuses and not self.begins(request):
            return self._refused()
        scheme, _, rest = header.partition(" ")
        if header == _MUTUAL:
            return self._by_certificate()
        match scheme.lower():
            case "basic":
                return self._by_password(rest)
            case "negotiate" | "ntlm":
                return self._by_token(scheme, _token(rest))
            case _:
                return self._refused()

    def refusal(self) -> Response:
        """Return the answer to who is not logged in: how it could be."""
        schemes = []
        if "negotiate" in self._rules.ways:
            schemes.append("Negotiate")
        if self._takes_passwords:
            schemes.append('Basic realm="WSMAN"')
        headers = tuple((_CHALLENGE, scheme) for scheme in schemes)
        return Response(HTTPStatus.UNAUTHORIZED, headers=headers)

    @property
    def _takes_passwords(self) -> bool:
        safe = self._tls is not None or self._rules.allows_clear
        return safe and "basic" in self._rules.ways

    def _refused(self) -> Response:
        self._service.refuse()
        return self.refusal()

    def _by_certificate(self) -> Admitted | Response:
        known = self._has_certificate and self._accounts.all
        if not known or "certificate" not in self._rules.ways:
            return self._refused()
        return Admitted(self._accounts.all[0].user.casefold())

    def _by_password(self, text: str) -> Admitted | Response:
        name, colon, password = _token(text).partition(b":")
        if not colon or not self._takes_passwords:
            return self._refused()
        user = self._accounts.logs_in(name, password)
        return Admitted(user) if user else self._refused()

    def _by_token(self, scheme: str, token: bytes) -> Admitted | Response:
        if "negotiate" not in self._rules.ways:
            return self._refused()
        answer = self._step(token)
        if answer is None or self._context is None:
            self._context = self.seal = None
            self._user = ""
            return self._refused()
        told = f"{scheme} {base64.b64encode(answer).decode('ascii')}"
        headers = ((_CHALLENGE, told),) if answer else ()
        if not self._context.complete:
            return Response(HTTPStatus.UNAUTHORIZED, headers=headers)
        self.seal, self._context = self._context, None
        self._user = user_of(self.seal.client_principal or "")
        return Admitted(self._user, headers)

    def _step(self, token: bytes) -> bytes | None:
        """Return what the acceptor says to a token, None for no."""
        try:
            with self._accounts.consulted():
                if token.startswith((_NTLM_BEGIN, _SPNEGO_BEGIN)):
                    self._context = self._acceptor(token)
                return self._context.step(token) or b"" if self._context is not None else None
        except Exception:  # noqa: BLE001  (what a token of any bytes makes pyspnego raise is open)
            return None

    def _acceptor(self, token: bytes) -> spnego.ContextProxy:
        # Raw NTLM and raw Kerberos under the name Negotiate are common; no acceptor takes all.
        protocol, options = "negotiate", spnego.NegotiateOptions.use_negotiate
        if token.startswith(_NTLM):
            protocol, options = "ntlm", spnego.NegotiateOptions.use_ntlm
        elif token.find(_KERBEROS, 0, _HEAD_BYTES + len(_KERBEROS)) > 0:
            protocol, options = "kerberos", spnego.NegotiateOptions.use_gssapi
        bound = self._tls is not None and self._rules.wants_binding
        return spnego.server(
            protocol=protocol,
            options=options,
            channel_bindings=self._tls.binding if self._tls is not None and bound else None,
        )


def _token(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
