"""Looking at an endpoint from here without logging in: is a port open, what does a page answer."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Final, Literal
from urllib.parse import quote

from outagekit.events import FailureKind
from outagekit.inventory.model import Endpoint
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial
from outagekit.transports.trust.known_hosts import SSH_PORT
from outagekit.transports.watchdog import in_time

_IN_PATHS: Final = "/?&=%:;,@!$'()*+~[]"
"""What stands in a path and its query as it is."""


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
    sock: socket.socket,
    scheme: Literal["http", "https"],
    place: tuple[str, int],
    *,
    path: str,
    timeout_s: float,
) -> int | Failure:
    """Return the status a GET over a connected socket is answered with, or why there is none.

    `place` is the address and port the server knows itself by. The body is not read, no redirect
    is followed, a certificate is validated against the system's authorities. The socket is closed.
    """
    address, port = place
    where = f"{scheme}://{_bracketed(address)}:{port}"
    open_ones = [sock]
    with sock:
        try:
            return in_time(lambda: _status(open_ones, scheme, place, path, timeout_s), timeout_s)
        except TimeoutError:
            return Failure(FailureKind.TIMEOUT, f"{where} did not answer within {timeout_s:g} s")
        except ssl.SSLError:
            return Failure(FailureKind.TLS, f"{where} has no certificate that can be trusted")
        except Exception:  # noqa: BLE001  (http, ssl and name errors have no common base)
            return Failure(FailureKind.PROTOCOL, f"{where} did not answer as a web server")
        finally:
            with contextlib.suppress(OSError):  # frees who still waits for it
                open_ones[-1].shutdown(socket.SHUT_RDWR)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _status(
    open_ones: list[socket.socket],
    scheme: Literal["http", "https"],
    place: tuple[str, int],
    path: str,
    timeout_s: float,
) -> int:
    """Return the status; with TLS the socket that speaks it comes last among the open ones."""
    import http.client  # noqa: PLC0415  (slow to load, and only for this)

    spoken = open_ones[0]
    spoken.settimeout(timeout_s)
    with contextlib.ExitStack() as stack:
        if scheme == "https":
            # The system's authorities, among which a client's own may be.
            context = ssl.create_default_context()
            spoken = stack.enter_context(context.wrap_socket(spoken, server_hostname=place[0]))
            open_ones.append(spoken)
        connection = http.client.HTTPConnection(*place, timeout=timeout_s)
        stack.callback(connection.close)
        connection.sock = spoken
        said = {"User-Agent": "outagekit", "Accept": "*/*", "Connection": "close"}
        wanted = "/" + quote(path.partition("#")[0].lstrip("/"), safe=_IN_PATHS)
        connection.request("GET", wanted, headers=said)
        with connection.getresponse() as response:
            return response.status
