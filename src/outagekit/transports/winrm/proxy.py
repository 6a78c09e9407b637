"""Through a proxy that a client names: HTTP CONNECT, spoken by ourselves and bounded.

No proxy of the environment is ever looked at, no login is offered to a proxy, and nothing but the
place to connect to is told it: what goes through is TLS with the endpoint itself.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from outagekit.errors import InvalidInput
from outagekit.events import FailureKind
from outagekit.inventory.address import address_fault
from outagekit.text import decode_remote, visible_line
from outagekit.transports.protocol import Failure

_MOST_BYTES: Final = 16 * 1024
_END: Final = b"\r\n\r\n"
_SLICE_S: Final = 0.2
"""How often one who waits looks whether it still wants to."""
_LONGEST_WORDS: Final = 120
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: ([^\r\n]*))?\r\n")
_LOGIN_WANTED: Final = 407
_GATEWAY: Final = frozenset({502, 503, 504})
"""What a proxy says that could not connect: the endpoint is away, not the proxy."""


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """A proxy, as it is reached from here."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return what it is called in a sentence."""
        return f"the proxy {_host(self.address)}:{self.port}"


def parse_proxy(text: str) -> HttpProxy:
    """Return the proxy `http://address:port` names. Raises `InvalidInput`."""
    hint = "write it as http://address:port"
    try:
        parts = urlsplit(text)
        address, port = parts.hostname or "", parts.port
    except ValueError as fault:
        raise InvalidInput("the proxy is no URL", hint=hint) from fault
    if "@" in text:  # it may hold a password: not to be repeated
        raise InvalidInput("a login at the proxy is not supported", hint=hint)
    shown = visible_line(text)
    if parts.scheme != "http" or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidInput(f"the proxy {shown} is not of the form that is supported", hint=hint)
    if not port or address_fault(address) is not None:
        raise InvalidInput(f"the proxy {shown} names no address and port", hint=hint)
    return HttpProxy(address, port)


def tunnel(
    sock: socket.socket,
    proxy: HttpProxy,
    place: tuple[str, int],
    *,
    timeout_s: float,
    stop: threading.Event,
) -> Failure | None:
    """Have a proxy, which `sock` is connected to, connect onward; afterwards `sock` is that line.

    Returns why it did not, with the proxy's name in it; then the socket is closed. Kinds:
    `protocol` for a proxy that does not want to, `handshake` for one that does not answer as a
    proxy, `connect_timeout` for one that cannot reach the place in time, `lost` if `stop` was set.
    """
    address, port = place
    where = f"{_host(address.partition('%')[0])}:{port}"
    said = f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n"
    until_s = time.monotonic() + timeout_s
    try:
        sock.settimeout(max(_SLICE_S, timeout_s))
        sock.sendall(said.encode("ascii"))
        failure = _judged(_answer(sock, until_s, stop), str(proxy), where)
    except InterruptedError:
        failure = Failure(FailureKind.LOST, f"the connection through {proxy} was aborted")
    except TimeoutError:
        detail = f"{proxy} did not connect to {where} within {timeout_s:g} s"
        failure = Failure(FailureKind.CONNECT_TIMEOUT, detail)
    except OSError:
        failure = Failure(FailureKind.HANDSHAKE, f"{proxy} closed the connection")
    if failure is None:
        sock.settimeout(None)
    else:
        sock.close()
    return failure


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _answer(sock: socket.socket, until_s: float, stop: threading.Event) -> bytes:
    """Return the head of the answer, up to its empty line or the end of what comes.

    Read byte by byte: what follows it is not ours. Raises `TimeoutError`, `InterruptedError` if
    `stop` is set, and `OSError`.
    """
    heard = bytearray()
    while not heard.endswith(_END) and len(heard) < _MOST_BYTES:
        if stop.is_set():
            raise InterruptedError
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(min(left_s, _SLICE_S))
        try:
            piece = sock.recv(1)
        except TimeoutError:
            continue
        if not piece:
            break
        heard += piece
    return bytes(heard)


def _judged(answer: bytes, proxy: str, where: str) -> Failure | None:
    found = _STATUS.match(answer)
    if found is None or not answer.endswith(_END):
        what = "answered as no HTTP proxy does" if answer else "closed the connection unanswered"
        return Failure(FailureKind.HANDSHAKE, f"{proxy} {what}")
    status = int(found[1])
    if 200 <= status < 300:  # noqa: PLR2004  (RFC 9110: any of them makes it a tunnel)
        return None
    if status == _LOGIN_WANTED:
        detail = (
            f"{proxy} wants a login (407), which is not supported: have it let connections to"
            f" {where} pass without one"
        )
        return Failure(FailureKind.PROTOCOL, detail)
    words = visible_line(decode_remote(found[2] or b"").strip())[:_LONGEST_WORDS]
    told = f"{status} {words}".strip()
    if status in _GATEWAY:
        detail = f"{proxy} cannot connect to {where}: {told}"
        return Failure(FailureKind.CONNECT_TIMEOUT, detail)
    return Failure(FailureKind.PROTOCOL, f"{proxy} refused to connect to {where}: {told}")
