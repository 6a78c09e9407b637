"""One connection to a WS-Man service: request after request, in a thread of its own."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from outagekit.lab.listening import linger_away
from outagekit.lab.wsman.faults import NOT_SCHEMA, FaultError
from outagekit.lab.wsman.http import HttpError, Request, RequestReader, Response
from outagekit.lab.wsman.injection import (
    Delay,
    Drop,
    Kind,
    Refuse,
    Replace,
    Status,
    Trickle,
    Trouble,
    Truncate,
)
from outagekit.lab.wsman.login import Admitted, Login
from outagekit.lab.wsman.operations import command_of, perform
from outagekit.lab.wsman.running import BrokenError
from outagekit.lab.wsman.sealing import CONTENT_TYPE, SEALED, SOAP_TYPE, pack_sealed, unpack_sealed
from outagekit.lab.wsman.service import Service
from outagekit.lab.wsman.soap import NotXmlError, fault_envelope, message_id_of, parse_message

_PATH: Final = "/wsman"
_HANDSHAKE_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer that still is to be sealed."""

    body: bytes
    status: int = HTTPStatus.OK


class WsmanConnection:
    """A client's connection. `reset` and `close` may be called by any thread."""

    def __init__(self, connection: socket.socket, service: Service) -> None:
        self._socket = connection
        self._service = service
        self._life = service.keeper.life
        self._thread = threading.Thread(target=self._run, name="lab-wsman", daemon=True)
        self._login = Login(service)
        self._trouble: Trouble | None = None
        self._guard = threading.Lock()
        self._in_use = True
        self._broken = False

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it is still served."""
        return self._thread.is_alive()

    def reset(self) -> None:
        """Break it with a TCP reset. Never raises."""
        with contextlib.suppress(OSError):
            linger_away(self._socket)
        self.close()

    def close(self) -> None:
        """End it. Never raises."""
        with self._guard, contextlib.suppress(OSError):
            self._broken = True
            if self._in_use:
                # Its own thread wakes up and closes it: nobody else may free the number of a
                # socket that is being read. Of the plain class, because the one of TLS takes its
                # state away from under the other thread.
                socket.socket.shutdown(self._socket, socket.SHUT_RD)
            else:
                self._socket.close()

    def _run(self) -> None:
        try:
            self._greet()
            self._serve()
        except (OSError, ValueError, BrokenError):
            # The client is gone, the machine went down, or the connection breaks on purpose.
            pass
        finally:
            with contextlib.suppress(OSError):
                self._socket.close()

    def _greet(self) -> None:
        tls = self._service.tls
        self._socket.settimeout(_HANDSHAKE_S)
        if tls is not None:
            # Of a connection that was reset by now, TLS would leave an open socket nobody has.
            self._socket.getpeername()
            secured = tls.context.wrap_socket(
                self._socket, server_side=True, do_handshake_on_connect=False
            )
            self._socket = secured
            secured.do_handshake()
            self._login = Login(self._service, has_certificate=bool(secured.getpeercert()))
        self._socket.settimeout(self._service.rules.idle_connection_s)

    def _serve(self) -> None:
        reader = RequestReader(self._socket, self._service.rules.most_body_bytes)
        try:
            for request in reader.requests():
                self._trouble = None
                response = self._answer(request)
                self._send(response)
                if response.closes or not request.stays:
                    return
        except HttpError as error:
            self._socket.sendall(Response(error.status, closes=True).packed())

    def _answer(self, request: Request) -> Response:
        service = self._service
        service.hear(clear=bool(request.body) and not _is_sealed(request))
        if not service.keeper.is_up or service.keeper.life != self._life:
            raise BrokenError
        response = self._at_gate()
        if response is None and request.path.partition("?")[0] != _PATH:
            response = Response(HTTPStatus.NOT_FOUND)
        if response is None and request.method != "POST":
            response = Response(HTTPStatus.METHOD_NOT_ALLOWED)
        if response is None and self._login.is_step(request):
            response = self._before("hello")
        return response or self._admit(request)

    def _at_gate(self) -> Response | None:
        refusal = self._service.injections.at_gate()
        if refusal is None:
            return None
        if isinstance(refusal, int):
            return self._plain(refusal)
        raise self._break(by_reset=refusal == "reset")

    def _admit(self, request: Request) -> Response:
        admitted = self._login.admit(request)
        if isinstance(admitted, Response):
            return admitted
        if _is_sealed(request):
            data = self._unsealed(request.body)
            if data is None:
                return Response(HTTPStatus.BAD_REQUEST)
        elif request.body and self._service.refuses_clear:
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            data = request.body
        if not data:
            return Response(HTTPStatus.OK, headers=admitted.headers)
        return self._execute(data, admitted, sealed=_is_sealed(request))

    def _execute(self, data: bytes, admitted: Admitted, *, sealed: bool) -> Response:
        with self._apart():
            done = self._done(data, admitted.user)
        if isinstance(done, Response):
            return done
        if isinstance(self._trouble, Replace):
            done = _Answered(self._trouble.body, self._trouble.status)
        return self._sealed(done, admitted) if sealed else _open(done, admitted)

    def _done(self, data: bytes, user: str) -> _Answered | Response:
        """Execute a message and return the answer; a fault is one as well."""
        try:
            message = parse_message(data)
            self._service.note(message.kind, message.shell, command_of(message))
            instead = self._before(message.kind)
            if instead is not None:
                return instead
            _refuse(self._trouble)
            body = perform(message, user, self._service.kept, is_there=self._is_there)
        except NotXmlError:
            fault = NOT_SCHEMA
        except FaultError as error:
            fault = error.fault
        else:
            return _Answered(body)
        return _Answered(fault_envelope(fault, relates_to=message_id_of(data)), fault.status)

    def _before(self, kind: Kind) -> Response | None:
        """Do what is to go wrong before a message is executed; remember what is to afterwards."""
        self._trouble = trouble = self._service.injections.take(kind)
        match trouble:
            case Delay(seconds=seconds):
                time.sleep(seconds)
            case Drop(executed=False, by_reset=by_reset):
                raise self._break(by_reset=by_reset)
            case Status(code=code):
                return self._plain(code)
            case _:
                pass
        return None

    def _send(self, response: Response) -> None:
        packed = response.packed()
        match self._trouble:
            case Drop(executed=True, by_reset=by_reset):
                raise self._break(by_reset=by_reset)
            case Truncate(size_bytes=size_bytes):
                head_bytes = len(packed) - len(response.body)
                self._socket.sendall(packed[: head_bytes + min(size_bytes, len(response.body) - 1)])
                raise self._break(by_reset=False)
            case Trickle(piece_bytes=piece_bytes, rest_s=rest_s):
                for at in range(0, len(packed), piece_bytes):
                    self._socket.sendall(packed[at : at + piece_bytes])
                    time.sleep(rest_s)
            case _:
                self._socket.sendall(packed)

    def _plain(self, status: int) -> Response:
        return self._login.refusal() if status == HTTPStatus.UNAUTHORIZED else Response(status)

    def _break(self, *, by_reset: bool) -> BrokenError:
        """Return what ends this connection when it is raised."""
        if by_reset:
            linger_away(self._socket)
        return BrokenError()

    @contextlib.contextmanager
    def _apart(self) -> Iterator[None]:
        """Let go of the socket for as long as an operation takes: anybody may close it then."""
        with self._guard:
            self._in_use = False
        try:
            yield
        finally:
            with self._guard:
                self._in_use = True
        if self._broken:
            raise BrokenError

    def _is_there(self) -> bool:
        """Return whether the client still waits. One that waits sends nothing."""
        with self._guard:
            if self._broken:
                return False
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                return not selector.select(0)

    def _unsealed(self, body: bytes) -> bytes | None:
        """Return what was sealed, or None: by nobody, by another connection, or not at all."""
        seal = self._login.seal
        if seal is None:
            return None
        try:
            signature, data, size_bytes = unpack_sealed(body)
            opened = seal.unwrap_winrm(signature, data)
        except Exception:  # noqa: BLE001  (what sealed bytes of any kind make pyspnego raise is open)
            return None
        return opened if len(opened) == size_bytes else None

    def _sealed(self, done: _Answered, admitted: Admitted) -> Response:
        seal = self._login.seal
        if seal is None:  # pragma: no cover  (what was sealed has been opened by it)
            raise BrokenError
        wrapped = seal.wrap_winrm(done.body)
        size_bytes = len(done.body) + wrapped.padding_length
        body = pack_sealed(wrapped.header, wrapped.data, size_bytes)
        return Response(done.status, body, CONTENT_TYPE, admitted.headers)


def _refuse(trouble: Trouble | None) -> None:
    if isinstance(trouble, Refuse):
        raise FaultError(trouble.fault)


def _is_sealed(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith(SEALED)


def _open(done: _Answered, admitted: Admitted) -> Response:
    return Response(done.status, done.body, SOAP_TYPE, admitted.headers)
