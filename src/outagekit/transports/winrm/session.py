"""pywinrm's protocol over one connection of ours, guarded: never a clear body over http.

pywinrm keeps its session before it is sealed, and would post in clear the next time. Here a
session is made by `log_in` alone; what is sent without one, or without its seal, is refused, and
whoever sees any error calls `drop`. Answers to sealed messages count only if they are sealed.
"""

from __future__ import annotations

import http.client
from collections import OrderedDict
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.auth
import winrm.protocol
import winrm.transport
from requests.structures import CaseInsensitiveDict

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.transports.winrm import kerberos
from outagekit.transports.winrm.authentication import Certificate, Ntlm
from outagekit.transports.winrm.connection import Answer, AnswerError, Connection
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.login import Login
from outagekit.transports.winrm.place import Place

_OK: Final = 200
_SERVER_ERROR: Final = 500
_OPENINGS: Final = 2
_SEALING: Final = ("ntlm", "kerberos")
_ANSWERED: Final = frozenset({_OK, 400, 411, _SERVER_ERROR})
"""What an empty message may get over https once the login stands."""
_HEADERS: Final = {
    "User-Agent": "outagekit",
    "Content-Type": "application/soap+xml;charset=UTF-8",
}


class StatusError(Exception):
    """The service answered with an HTTP status instead of a message."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class _Raw:
    """Stands for the connection of an answer that was read whole."""

    def release_conn(self) -> None:
        """Do nothing: nothing is held."""

    def close(self) -> None:
        """Do nothing."""


class _Adapter(requests.adapters.BaseAdapter):
    """Has requests speak over one connection, to one URL."""

    def __init__(self, connection: Connection, url: str) -> None:
        super().__init__()
        self._connection = connection
        self._url = url
        self.openings = 0
        """How many more requests may make a connection: a login is that of one connection, but the
        service may hang up once it has said that it wants one."""
        self.last: Answer | None = None

    def send(  # type: ignore[override]  # requests names all it hands over
        self, request: requests.PreparedRequest, *, timeout: float, **_: Any
    ) -> requests.Response:
        """Return the answer, read whole."""
        if request.url != self._url:
            raise AnswerError("the server sends us elsewhere")
        if not self._connection.is_open:
            if self.openings <= 0:
                raise http.client.NotConnected
            self._connection.open()
        self.openings -= 1
        body = request.body
        self.last = answer = self._connection.exchange(
            "POST",
            urlsplit(self._url).path,
            headers={name: str(text) for name, text in request.headers.items()},
            body=body if isinstance(body, bytes) else b"",
            timeout_s=timeout,
        )
        response = requests.Response()
        response.status_code = answer.status
        response.headers = CaseInsensitiveDict(
            {name: text for name, text in answer.headers.items() if name != "set-cookie"}
        )
        response.url, response.request = self._url, request
        response.raw = _Raw()
        response._content = answer.body  # noqa: SLF001  (as requests' own adapters leave it)
        response._content_consumed = True  # noqa: SLF001
        response.connection = self  # type: ignore[assignment]
        return response

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Session(requests.Session):
    """A session that takes nothing from the environment, follows nothing, and keeps no cookie."""

    def __init__(self, adapter: _Adapter) -> None:
        super().__init__()
        self.trust_env = False
        self.headers = CaseInsensitiveDict(_HEADERS)
        self.adapters = OrderedDict()
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return None: nothing leads elsewhere."""
        del resp
        return None


class _Transport(winrm.transport.Transport):
    """pywinrm's HTTP part, which sends nothing unless it may."""

    def __init__(self, place: Place, login: Login, connection: Connection) -> None:
        super().__init__(
            endpoint=place.url,
            username=login.account or "-",
            password=login.password or "-",
            auth_method=login.auth if login.auth in _SEALING else "basic",
            read_timeout_sec=30,
            ca_trust_path=None,  # type: ignore[arg-type]
            proxy=None,
        )
        self.must_seal = place.scheme == "http"
        self._login = login
        self._connection = connection
        self.adapter = _Adapter(connection, place.url)

    @property
    def is_logged_in(self) -> bool:
        """Whether a login was made, and no error seen since."""
        return self.session is not None

    @property
    def is_sealed(self) -> bool:
        """Whether what is sent now is sealed by a login that stands."""
        if self.session is None or self.encryption is None:
            return False
        return bool(getattr(self.session.auth, "is_established", False))

    def build_session(self) -> requests.Session:
        """Return the session of the login; refuses to send without it or its seal."""
        if self.session is None or (self.must_seal and not self.is_sealed):
            raise OutagekitError("a WinRM message was about to be sent without a login or in clear")
        return self.session

    def log_in(self, timeout_s: float) -> None:
        """Make the session, prove who we are where that goes ahead of messages, and seal."""
        self.adapter.last = None
        session = _Session(self.adapter)
        session.auth = self._handler(timeout_s)
        self.session = session
        if self._login.auth not in _SEALING:
            return
        self.read_timeout_sec = timeout_s  # type: ignore[assignment]
        self.adapter.openings = _OPENINGS
        try:
            if self.must_seal:
                self.setup_encryption(session)
            else:
                self._greet(session)
        finally:
            self.adapter.openings = 0
        must_stand = self.must_seal or isinstance(session.auth, Ntlm)
        if must_stand and not getattr(session.auth, "is_established", False):
            detail = "the server let us in without asking who we are, or agreed on no strong seal"
            raise WireError.of(Fault.MALFORMED, FailureKind.PROTOCOL, detail)

    def drop(self) -> None:
        """Forget login and seal, and close the connection."""
        self.close_session()
        self.encryption = None
        self._connection.close()

    def _greet(self, session: requests.Session) -> None:
        empty = session.prepare_request(requests.Request("POST", self.endpoint, data=None))
        response = session.send(empty, timeout=self.read_timeout_sec)
        if response.status_code not in _ANSWERED:
            raise StatusError(self._answer())

    def _handler(self, timeout_s: float) -> requests.auth.AuthBase:
        login = self._login
        if login.auth == "kerberos":
            return kerberos.handler(login, self._shown, timeout_s, lambda: self._connection.ended)
        if login.auth == "certificate":
            return Certificate()
        if login.auth == "basic":
            # In bytes: the letters were looked at before, and say nothing in an exception.
            user, password = login.user.encode("latin-1"), (login.password or "").encode("latin-1")
            return requests.auth.HTTPBasicAuth(user, password)
        return Ntlm(login, self._shown)

    def _shown(self) -> bytes:
        key = self._connection.certificate
        return key.certificate if key is not None else b""

    def _answer(self) -> Answer:
        return self.adapter.last or Answer(0, {}, b"")

    def _send_message_request(
        self, session: requests.Session, prepared_request: requests.PreparedRequest
    ) -> requests.Response:
        response = session.send(prepared_request, timeout=self.read_timeout_sec)
        if response.status_code == _OK:
            return response
        if response.status_code == _SERVER_ERROR and response.content:
            return response
        raise StatusError(self._answer())

    def _get_message_response_text(self, response: requests.Response) -> bytes:
        if self.must_seal and not self._came_sealed(response):
            if response.status_code == _SERVER_ERROR:
                raise StatusError(self._answer())
            raise AnswerError("the answer to a sealed message came in clear")
        return super()._get_message_response_text(response)

    def _came_sealed(self, response: requests.Response) -> bool:
        """Return whether pywinrm will unseal it; anything else it would take as it is."""
        kind = response.headers.get("Content-Type", "")
        sealing = self.encryption
        return sealing is not None and f'protocol="{sealing.protocol_string.decode()}"' in kind


class Sealed(winrm.protocol.Protocol):
    """pywinrm's protocol for one endpoint and thread, over our connection."""

    def __init__(self, place: Place, login: Login, connection: Connection) -> None:
        # Told no secret: the transport it makes for itself is put aside.
        super().__init__(place.url, transport="kerberos", proxy=None, ca_trust_path=None)  # type: ignore[arg-type]
        self.transport: _Transport = _Transport(place, login, connection)

    def send_message(self, message: str) -> bytes:
        """Return what was answered, a SOAP fault included, as bytes nobody has looked at."""
        return self.transport.send_message(message)
