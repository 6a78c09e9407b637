"""Looking at an endpoint from here without logging in: is a port open, what does a page answer."""

from __future__ import annotations

import socket
import ssl
from typing import Final, Literal

from outagekit.events import FailureKind
from outagekit.inventory.model import Endpoint
from outagekit.transports.known_hosts import SSH_PORT
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial
from outagekit.transports.watchdog import in_time


def reached_port(endpoint: Endpoint, port: int) -> int:
    """Return the port under which a port of the endpoint is reached from here."""
    return endpoint.ports.get(port, port)


def ssh_port(endpoint: Endpoint) -> int:
    """Return the port under which the endpoint's SSH server is reached from here."""
    return reached_port(endpoint, endpoint.port or SSH_PORT)


def probe_tcp(address: str, port: int, timeout_s: float) -> bool:
    """Return whether a TCP connection is accepted within the time."""
    deadlines = Deadlines(resolve_s=timeout_s, connect_s=timeout_s)
    sock = dial(address, port, deadlines=deadlines)
    if isinstance(sock, Failure):
        return False
    sock.close()
    return True


def probe_http(
    scheme: Literal["http", "https"], address: str, port: int, path: str, timeout_s: float
) -> int | Failure:
    """Return the status a GET is answered with, or why there is none; the body is not read.

    No proxy, no redirect is followed, a certificate is validated against the system's authorities.
    """
    where = f"{scheme}://{_bracketed(address)}:{port}"
    try:
        return in_time(lambda: _status(f"{where}/{path.lstrip('/')}", timeout_s), timeout_s)
    except TimeoutError:
        return Failure(FailureKind.TIMEOUT, f"{where} did not answer within {timeout_s:g} s")
    except Exception as fault:  # noqa: BLE001  (httpx, ssl and URL errors have no common base)
        return _explained(fault, where)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _status(url: str, timeout_s: float) -> int:
    import httpx  # noqa: PLC0415  (slow to load, and only for this)

    # The system's authorities, among which a client's own may be; none are loaded for http.
    verify = ssl.create_default_context() if url.startswith("https:") else False
    with (
        httpx.Client(trust_env=False, timeout=timeout_s, verify=verify) as client,
        client.stream("GET", url) as response,
    ):
        return response.status_code


_KINDS: Final = (
    (ssl.SSLError, FailureKind.TLS, "has no certificate that can be trusted"),
    (socket.gaierror, FailureKind.RESOLVE, "is a name that cannot be resolved"),
    (ConnectionRefusedError, FailureKind.REFUSED, "refused the connection"),
    (TimeoutError, FailureKind.TIMEOUT, "did not answer in time"),
)


def _explained(fault: BaseException | None, where: str) -> Failure:
    while fault is not None:
        for kind, failure, what in _KINDS:
            if isinstance(fault, kind):
                return Failure(failure, f"{where} {what}")
        fault = fault.__cause__ or fault.__context__
    return Failure(FailureKind.PROTOCOL, f"{where} did not answer as a web server")
