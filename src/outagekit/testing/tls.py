"""TLS servers on loopback, and certificates nobody vouches for."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_PATIENCE_S = 5.0


def self_signed(
    folder: Path, name: str = "127.0.0.1", *, from_days: int = -1, to_days: int = 30
) -> Path:
    """Return a new PEM file with a key and its self-signed certificate, valid in those days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    alternative: x509.GeneralName = x509.DNSName(name)
    with contextlib.suppress(ValueError):
        alternative = x509.IPAddress(ipaddress.ip_address(name))
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=from_days))
        .not_valid_after(now + timedelta(days=to_days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / f"{built.serial_number:x}.pem"
    file.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return file


def server_context(pem: Path | None = None) -> ssl.SSLContext:
    """Return a server's settings, with the key and certificate of a PEM file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if pem is not None:
        context.load_cert_chain(pem)
    return context


@dataclass
class TlsServer:
    """A server that shakes hands, and keeps what comes after that."""

    port: int
    heard: list[bytes] = field(default_factory=list)
    """What each connection said after its handshake; nothing of one that failed."""
    names: list[str | None] = field(default_factory=list)
    """Which server each connection asked for."""


@contextlib.contextmanager
def tls_server(
    context: ssl.SSLContext, *, address: str = "127.0.0.1", port: int = 0
) -> Iterator[TlsServer]:
    """Give a server that listens until the block ends."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listener:
        made = TlsServer(listener.getsockname()[1])

        def named(_: object, name: str | None, __: object) -> None:
            made.names.append(name)

        context.sni_callback = named
        threading.Thread(target=_accept, args=(listener, context, made), daemon=True).start()
        try:
            yield made
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, context: ssl.SSLContext, made: TlsServer) -> None:
    with contextlib.suppress(OSError):
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve, args=(sock, context, made), daemon=True).start()


def _serve(sock: socket.socket, context: ssl.SSLContext, made: TlsServer) -> None:
    sock.settimeout(_PATIENCE_S)
    with contextlib.ExitStack() as stack:
        stack.callback(sock.close)
        stack.enter_context(contextlib.suppress(OSError, ValueError))
        tls = stack.enter_context(context.wrap_socket(sock, server_side=True))
        heard = b""
        with contextlib.suppress(OSError):
            while piece := tls.recv(4096):
                heard += piece
        made.heard.append(heard)
