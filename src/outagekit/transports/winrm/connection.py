"""One TCP connection that HTTP messages go over: opened, trusted, bounded, cut.

There is never a second one behind its back: it does not reconnect, follow, retry, or look at the
environment. Who opens it decides the way there; TLS is wrapped here, and judged before a byte of
HTTP is sent.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from outagekit.events import FailureKind
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.watchdog import WATCHDOG
from outagekit.transports.winrm.faults import Fault, WireError, with_hint
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.tls import Believed, explain, judge, peer_certificate

Connect = Callable[[float], "socket.socket | Failure"]
"""Makes the TCP connection within so many seconds, whichever way leads there."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one answer; WinRM was told to stay below 150 KiB."""
_WITH_WORDS: Final = frozenset({200, 500})
"""Answers that never come without a body or its length, but from a connection cut in their head."""
_PIECE: Final = 64 * 1024
_LEAST_S: Final = 0.05


class AnswerError(Exception):
    """An HTTP answer that is none; the message says what is wrong with it."""


class _Http(http.client.HTTPConnection):
    """HTTP over a socket it is given, never over another one."""

    auto_open = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]
    """One of several with the same name, joined by commas."""
    body: bytes


class Connection:
    """The way to one service, open or not; used by one thread, cut by any.

    `certificate` is what the server showed last.
    """

    def __init__(
        self,
        place: Place,
        believed: Believed,
        *,
        connect: Connect,
        deadlines: Deadlines,
    ) -> None:
        self._place = place
        self._believed = believed
        self._connect = connect
        self._deadlines = deadlines
        self._guard = threading.Lock()
        self._turn = 0
        self._sock: socket.socket | None = None
        self._http: _Http | None = None
        self.context: ssl.SSLContext | None = None
        """How TLS is spoken; None on http."""
        self.ended: Literal["", "late", "cut"] = ""
        """Why the present turn was ended from outside."""
        self.certificate: HostKey | None = None
        self.wrote = False
        """Since it was last set to False, a byte was handed to the system to be sent."""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection, sound or not."""
        return self._http is not None

    @property
    def is_sound(self) -> bool:
        """Whether the server has neither hung up nor said anything unasked; does not block."""
        sock = self._sock
        if sock is None or self._http is None:
            return False
        try:
            sock.settimeout(0.0)
            sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, ValueError):
            return False
        return False

    def begin(self) -> None:
        """Begin a turn: what was cut before is over."""
        with self._guard:
            self.ended = ""

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """End the connection if the block takes longer; `ended` then says `late`."""
        with self._guard:
            self._turn += 1
            turn = self._turn
        try:
            with WATCHDOG.limit(max(_LEAST_S, seconds), lambda: self._end("late", turn)):
                yield
        finally:
            with self._guard:
                self._turn += 1

    def cut(self) -> None:
        """End the connection from any thread; a blocked call returns with an error. Never blocks.

        One that is only being made is ended as soon as it is there.
        """
        self._end("cut", None)

    def open(self) -> None:
        """Connect, and on https prove the server. Raises `WireError`, which is `unsent`."""
        self.close()
        made = self._connect(self._deadlines.connect_s)
        if isinstance(made, Failure):
            raise WireError(with_hint(made, self._place.address), Fault.UNREACHABLE, unsent=True)
        self._hold(made)
        with contextlib.suppress(OSError):  # a line through a jump host is no TCP here
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.context is not None:
                with self.limit(self._deadlines.handshake_s):
                    self._secure(made, self.context)
        except BaseException:
            self.close()
            raise
        self._http = _Http(self._place.server_name, self._place.port)
        self._http.sock = self._sock

    def close(self) -> None:
        """Close, without a word to the server."""
        with self._guard:
            sock, self._sock, self._http = self._sock, None, None
        if sock is not None:
            _shut(sock)
            with contextlib.suppress(OSError):
                sock.close()

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> Answer:
        """Send a request and return its answer.

        Raises `AnswerError`, `OSError` or `http.client.HTTPException`; then it is closed. A time-
        out is that of one piece; `limit` bounds the whole.
        """
        http_, sock = self._http, self._sock
        if http_ is None or sock is None:
            raise http.client.NotConnected
        try:
            sock.settimeout(max(_LEAST_S, timeout_s))
            self.wrote = True
            http_.request(method, path, body=body, headers=dict(headers))
            with http_.getresponse() as response:
                answer = _whole(response)
                closing = response.will_close
            self._require_whole()
        except BaseException:
            self.close()
            raise
        if closing:
            self.close()
        return answer

    def _require_whole(self) -> None:
        """Raise `ConnectionAbortedError` if it was cut, which can look like a short answer."""
        if self.ended:
            raise ConnectionAbortedError

    def _hold(self, sock: socket.socket) -> None:
        """Make it the connection that is cut, unless that was done already."""
        with self._guard:
            self._sock = sock
            ended = self.ended
        if ended:
            self.close()
            detail = "the connection was given up while it was made"
            raise WireError.of(Fault.DROPPED, FailureKind.LOST, detail, unsent=True)

    def _secure(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        name = self._place.server_name
        until_s = time.monotonic() + self._deadlines.handshake_s
        try:
            plain.settimeout(max(_LEAST_S, until_s - time.monotonic()))
            # Of a connection that was reset by now, TLS would leave an open socket nobody has.
            plain.getpeername()
            secured = context.wrap_socket(
                plain, server_hostname=name, do_handshake_on_connect=False
            )
            self._hold(secured)
            secured.do_handshake()
            der = peer_certificate(secured)
        except (OSError, ValueError) as fault:
            raise self._unsecured(fault, name) from fault
        self.certificate = HostKey.of_certificate(der)
        if (failure := judge(der, self._believed)) is not None:
            raise WireError(failure, Fault.TLS, unsent=True)

    def _unsecured(self, fault: OSError | ValueError, name: str) -> WireError:
        if self.ended == "cut":
            failure = Failure(FailureKind.LOST, "the connection was given up during TLS")
        elif self.ended == "late" or isinstance(fault, TimeoutError):
            detail = f"TLS was not agreed upon within {self._deadlines.handshake_s:g} s"
            failure = Failure(FailureKind.HANDSHAKE, detail)
        elif isinstance(fault, ssl.SSLError):
            failure = explain(fault, self._believed, name)
        else:
            failure = Failure(FailureKind.HANDSHAKE, "the server closed the connection during TLS")
        what = Fault.TLS if failure.kind is FailureKind.TLS else Fault.UNREACHABLE
        return WireError(failure, what, unsent=True)

    def _end(self, why: Literal["late", "cut"], turn: int | None) -> None:
        with self._guard:
            if turn is not None and turn != self._turn:
                return
            self.ended = self.ended or why
            if self._sock is not None:
                _shut(self._sock)


def _shut(sock: socket.socket) -> None:
    """Wake whoever reads or writes. An `SSLSocket`'s own way would go on in clear."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _whole(response: http.client.HTTPResponse) -> Answer:
    encoding = response.getheader("Content-Encoding", "identity")
    if encoding.casefold() != "identity":
        raise AnswerError("the server compressed its answer, which nobody asked for")
    has_length = response.chunked or response.length is not None
    body = bytearray()
    while len(body) <= MOST_BYTES:
        piece = response.read(_PIECE)
        if not piece:
            break
        body += piece
    if len(body) > MOST_BYTES or (response.length or 0) > MOST_BYTES:
        raise AnswerError(f"the answer is larger than {MOST_BYTES // 1024**2} MiB")
    if response.length or not (has_length or body or response.status not in _WITH_WORDS):
        raise http.client.IncompleteRead(b"")
    names = {name.lower() for name in response.headers}
    found = {name: ", ".join(response.headers.get_all(name, [])) for name in names}
    return Answer(response.status, found, bytes(body))
