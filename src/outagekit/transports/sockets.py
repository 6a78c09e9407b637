"""From a name to a connected TCP socket, each phase with its own deadline.

Knows nothing of SSH or HTTP. Failures are values; a resolver that hangs costs its deadline only.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import selectors
import socket
import threading
import time
from typing import Any, Final

from outagekit.events import FailureKind
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.watchdog import in_time

Place = tuple[socket.AddressFamily, tuple[Any, ...]]
"""Family and socket address of one address a name stands for."""

_SLICE_S: Final = 0.2
"""How often a connection in the making looks whether it was aborted."""
_NO_WAY: Final = frozenset(
    {
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        getattr(errno, "EHOSTDOWN", errno.EHOSTUNREACH),
        getattr(errno, "WSAEHOSTUNREACH", errno.EHOSTUNREACH),
        getattr(errno, "WSAENETUNREACH", errno.ENETUNREACH),
    }
)
_REFUSED: Final = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        getattr(errno, "WSAECONNREFUSED", errno.ECONNREFUSED),
    }
)
PENDING: Final = frozenset(
    {errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", errno.EWOULDBLOCK)}
)
"""What `connect_ex` says while a connection is in the making."""


def dial(
    address: str, port: int, *, deadlines: Deadlines, stop: threading.Event | None = None
) -> socket.socket | Failure:
    """Return a connected socket without Nagle's delay, or why there is none.

    Kinds: `resolve`, `refused`, `connect_timeout`, `local_io`, and `lost` if `stop` was set. The
    addresses of a name share the time to connect.
    """
    places = resolve(address, port, timeout_s=deadlines.resolve_s)
    if isinstance(places, Failure):
        return places
    until_s = time.monotonic() + deadlines.connect_s
    failure = Failure(FailureKind.RESOLVE, f"{address} has no address")
    for number, place in enumerate(places):
        share_s = max(0.0, until_s - time.monotonic()) / (len(places) - number)
        connected = _connect(place, share_s, stop or threading.Event())
        if isinstance(connected, socket.socket):
            return connected
        failure = _explained(connected, address, port, deadlines)
    return failure


def resolve(address: str, port: int, *, timeout_s: float) -> list[Place] | Failure:
    """Return the places a name or address stands for, in the order to try them."""
    try:
        if is_literal(address):
            return look_up(address, port, socket.AI_NUMERICHOST)
        return in_time(lambda: look_up(address, port), timeout_s)
    except TimeoutError:
        detail = f"the name {address} was not resolved within {timeout_s:g} s"
    except (OSError, UnicodeError) as fault:
        reason = getattr(fault, "strerror", None) or "not a valid name"
        detail = f"the name {address} cannot be resolved: {reason}"
    return Failure(FailureKind.RESOLVE, detail)


def is_literal(address: str) -> bool:
    """Return whether this is an address, for which no resolver is asked."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def look_up(address: str, port: int, flags: int = 0) -> list[Place]:
    """Return the places without a deadline. Raises `OSError` or `UnicodeError`."""
    found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys((family, place) for family, _, _, _, place in found))


def _connect(place: Place, timeout_s: float, stop: threading.Event) -> socket.socket | int:
    """Return the socket, or an error number; 0 stands for an abort."""
    family, address = place
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as fault:
        return fault.errno or errno.EIO
    try:
        code = _finish(sock, address, time.monotonic() + timeout_s, stop)
        if code is None:
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
    except OSError as fault:
        code = fault.errno or errno.EIO
    sock.close()
    return code


def _finish(
    sock: socket.socket, address: tuple[Any, ...], until_s: float, stop: threading.Event
) -> int | None:
    sock.settimeout(0.0)
    code = sock.connect_ex(address)
    if code not in PENDING:
        return code or None
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not stop.is_set():
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return errno.ETIMEDOUT
            if selector.select(min(left_s, _SLICE_S)):
                return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or None
    return 0


def _explained(code: int, address: str, port: int, deadlines: Deadlines) -> Failure:
    where = f"{address} port {port}"
    if code == 0:
        return Failure(FailureKind.LOST, f"the connection to {where} was aborted")
    if code in _REFUSED:
        detail = f"{where} refused the connection: nothing listens there, or a firewall rejects it"
        return Failure(FailureKind.REFUSED, detail)
    if code in {errno.EMFILE, errno.ENFILE}:
        detail = "this machine has too many open files: lower --concurrency or raise the limit"
        return Failure(FailureKind.LOCAL_IO, detail)
    if code in _NO_WAY or code in {errno.EACCES, errno.EPERM}:
        detail = f"there is no way to {where} from here: {os.strerror(code)}"
        return Failure(FailureKind.CONNECT_TIMEOUT, detail)
    detail = f"{where} did not answer within {deadlines.connect_s:g} s"
    return Failure(FailureKind.CONNECT_TIMEOUT, detail)
