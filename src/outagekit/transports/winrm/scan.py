"""Which certificate a WinRM service shows, before anybody is logged in to it.

A TLS handshake and nothing more: no byte of HTTP is sent, so that nothing depends on a certificate
that nobody believes yet. What is looked at without being validated is never used for anything else.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure
from outagekit.transports.trust.certificates import Seen
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.winrm.place import Place
from outagekit.transports.winrm.tls import (
    Believed,
    UnusableError,
    context_for,
    explain,
    peer_certificate,
)

Connect = Callable[[], socket.socket | Failure]
_THE_SYSTEM: Final = "the authorities of this system"
_GUARD: Final = threading.Lock()
_READ: Final[dict[tuple[Path | None, int | None], ssl.SSLContext]] = {}
"""The authorities that were read last, by their file and when it was written."""
_MOST_READ: Final = 16
_SLICE_S: Final = 0.2
"""How often one who waits looks whether it still wants to."""


def seen_certificate(
    connect: Connect,
    place: Place,
    *,
    ca: str | None,
    timeout_s: float,
    stop: threading.Event,
) -> Seen | Failure:
    """Return the certificate a server proves to have, and who vouches for it if somebody does.

    `connect` is called for a fresh socket, twice where nobody vouches. `ca` is the file of the
    client's own authorities; None: those of the system. Each handshake ends by `timeout_s`. Kinds
    beside those of `connect`: `handshake` for a server that speaks no TLS or says nothing, `tls`
    for one with TLS that is not accepted, `local_io` for a `ca` that cannot be read, `lost` when
    `stop` is set.
    """
    try:
        validating = _validating(ca)
    except UnusableError as fault:
        return Failure(FailureKind.LOCAL_IO, str(fault))
    try:
        found = _shown(connect, validating, place, timeout_s=timeout_s, stop=stop)
    except ssl.SSLCertVerificationError as fault:
        why = visible_line(fault.verify_message).rstrip(".")
        found = _shown(connect, _looking(), place, timeout_s=timeout_s, stop=stop)
        return found if isinstance(found, Failure) else Seen(found, why=why)
    if isinstance(found, Failure):
        return found
    return Seen(found, by=f"the authorities in {visible_line(ca)}" if ca else _THE_SYSTEM)


def _validating(ca: str | None) -> ssl.SSLContext:
    """Return what takes only certificates that are valid. Raises `UnusableError`.

    Reading the system's authorities takes tens of milliseconds: not for each of a thousand.
    """
    file = Path(ca).expanduser() if ca is not None else None
    stamp = None
    with contextlib.suppress(OSError):
        stamp = file.stat().st_mtime_ns if file is not None else None
    key = file, stamp
    with _GUARD:
        if key not in _READ:
            if len(_READ) >= _MOST_READ:
                _READ.clear()
            _READ[key] = context_for(Believed(ca=file))
        return _READ[key]


def _looking() -> ssl.SSLContext:
    """Return what takes any certificate, to look at it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shown(
    connect: Connect,
    context: ssl.SSLContext,
    place: Place,
    *,
    timeout_s: float,
    stop: threading.Event,
) -> HostKey | Failure:
    """Return the certificate; raises `ssl.SSLCertVerificationError` if the context refuses it."""
    sock = connect()
    if isinstance(sock, Failure):
        return sock
    until_s = time.monotonic() + timeout_s
    try:
        der = _handshaken(sock, context, place.server_name, until_s, stop)
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, ValueError) as fault:
        return _explained(fault, place, timeout_s)
    if not der:
        return Failure(FailureKind.TLS, f"{place} showed no certificate")
    return HostKey.of_certificate(der)


def _handshaken(
    sock: socket.socket,
    context: ssl.SSLContext,
    name: str,
    until_s: float,
    stop: threading.Event,
) -> bytes:
    """Shake hands, hang up, and return the certificate. The socket is closed in any case."""
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        sock.settimeout(0.0)
        # Of a connection that was reset by now, TLS would leave an open socket nobody has.
        sock.getpeername()
        tls = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        stack.callback(tls.close)
        selector = stack.enter_context(selectors.DefaultSelector())
        selector.register(tls, selectors.EVENT_READ)
        while True:
            try:
                tls.do_handshake()
                return peer_certificate(tls)
            except ssl.SSLWantReadError:
                selector.modify(tls, selectors.EVENT_READ)
            except ssl.SSLWantWriteError:
                selector.modify(tls, selectors.EVENT_WRITE)
            _wait(selector, until_s, stop)


def _wait(selector: selectors.BaseSelector, until_s: float, stop: threading.Event) -> None:
    """Return when the socket is ready. Raises `TimeoutError`, or `InterruptedError` if stopped."""
    while True:
        left_s = until_s - time.monotonic()
        if stop.is_set():
            raise InterruptedError
        if left_s <= 0:
            raise TimeoutError
        if selector.select(min(left_s, _SLICE_S)):
            return


def _explained(fault: OSError | ValueError, place: Place, timeout_s: float) -> Failure:
    if isinstance(fault, InterruptedError):
        return Failure(FailureKind.LOST, f"the connection to {place} was aborted")
    if isinstance(fault, TimeoutError):
        detail = f"{place} did not answer with TLS within {timeout_s:g} s"
        return Failure(FailureKind.HANDSHAKE, detail)
    if isinstance(fault, ssl.SSLError):
        failure = explain(fault, Believed(), place.server_name)
        return replace(failure, detail=f"{place}: {failure.detail}")
    return Failure(FailureKind.HANDSHAKE, f"{place} closed the connection instead of TLS")
