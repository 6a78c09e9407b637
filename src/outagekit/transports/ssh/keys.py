"""Private keys of the technician: files, certificates and the SSH agent, each loaded once.

Writes no key anywhere. What is wrong with a file is told without its content: `BadKeyError`.
"""

from __future__ import annotations

import io
import socket
import stat
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paramiko
import paramiko.agent
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from outagekit.transports.watchdog import in_time

IDENTITIES: Final = ("id_ed25519", "id_ecdsa", "id_rsa")
"""The files of `~/.ssh` that `ssh` itself would try."""
_LARGEST_BYTES: Final = 64 * 1024

_Stamp = tuple[str, int, int]
_loading = threading.Lock()
_loaded: dict[tuple[_Stamp, str, _Stamp | None], paramiko.PKey] = {}


class BadKeyError(Exception):
    """A key cannot be used; the message is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A key with what to call it in a sentence."""

    name: str
    key: paramiko.PKey


def load_key(path: str, *, passphrase: str | None, certificate: str | None) -> NamedKey:
    """Return the key of a file, with its OpenSSH certificate if one is named.

    Raises `BadKeyError`. A file that did not change is read and decrypted once per process.
    """
    key_file = _file(path)
    cert_file = _file(certificate) if certificate else None
    name = f"the key {path}" + (f" with the certificate {certificate}" if certificate else "")
    with _loading:
        stamps = (_stamp(key_file), passphrase or "", _stamp(cert_file) if cert_file else None)
        if stamps not in _loaded:
            key = _decoded(key_file, passphrase)
            if cert_file is not None:
                _certify(key, cert_file)
            _loaded[stamps] = key
        return NamedKey(name, _loaded[stamps])


class Agent:
    """The technician's SSH agent, if there is one; a hanging agent costs the time given only."""

    def __init__(self, timeout_s: float, where: str | None = None) -> None:
        """Ask for its keys. `where` is its socket, or `none`; None: as the environment says."""
        self.keys: list[NamedKey] = []
        self._agent: paramiko.Agent | None = None
        if where == "none":
            return
        try:
            self._agent = in_time(lambda: _Agent(where), timeout_s)
            self.keys = [
                NamedKey(f"the agent's key {key.comment or key.fingerprint}", key)
                for key in self._agent.get_keys()
            ]
        except (paramiko.SSHException, OSError, EOFError, ValueError):
            self.keys = []

    def close(self) -> None:
        """End the connection to the agent; its keys are of no use any more."""
        if self._agent is not None:
            self._agent.close()


class _Agent(paramiko.Agent):
    """Closes its connection when the agent does not speak the protocol."""

    def __init__(self, where: str | None) -> None:
        try:
            if where is None or sys.platform == "win32":  # there, no agent has a socket
                super().__init__()
            else:
                paramiko.agent.AgentSSH.__init__(self)
                self._connect(_connected(where))  # type: ignore[attr-defined]  # a private name
        except BaseException:
            self.close()
            raise


if sys.platform != "win32":

    def _connected(where: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(where)
        except BaseException:
            sock.close()
            raise
        return sock


def _file(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as fault:
        raise BadKeyError(f"there is no home folder for {path}") from fault


def _stamp(file: Path) -> _Stamp:
    try:
        status = file.stat()
    except OSError as fault:
        raise BadKeyError(f"the file {file} cannot be read: {fault.strerror}") from fault
    if not stat.S_ISREG(status.st_mode):
        raise BadKeyError(f"{file} is no regular file")
    return str(file), status.st_mtime_ns, status.st_size


def _decoded(file: Path, passphrase: str | None) -> paramiko.PKey:
    data = _content(file)
    load: Callable[..., object] = serialization.load_pem_private_key
    if b"OPENSSH PRIVATE KEY" in data:
        load = serialization.load_ssh_private_key
    private = _decrypted(load, data, file, passphrase)
    kinds: tuple[tuple[type, type[paramiko.PKey]], ...] = (
        (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
        (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
        (rsa.RSAPrivateKey, paramiko.RSAKey),
    )
    for kind, key_class in kinds:
        if isinstance(private, kind):
            return _converted(private, key_class, file)
    raise BadKeyError(
        f"the key {file} is of a kind SSH servers accept no more: make an ed25519 key"
    )


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_BYTES + 1)
    except OSError as fault:
        raise BadKeyError(f"the file {file} cannot be read: {fault.strerror}") from fault
    if len(data) > _LARGEST_BYTES or b"PRIVATE KEY" not in data:
        raise BadKeyError(f"the file {file} holds no private key OpenSSH could use")
    return data


def _decrypted(
    load: Callable[..., object], data: bytes, file: Path, passphrase: str | None
) -> object:
    secret = passphrase.encode() if passphrase else None
    try:
        return load(data, password=secret)
    except TypeError as fault:
        if secret is not None:  # The passphrase is not needed.
            return _decrypted(load, data, file, None)
        message = f"the key {file} is encrypted: its credential needs a passphrase: reference"
        raise BadKeyError(message) from fault
    except (ValueError, UnsupportedAlgorithm) as fault:
        if secret is not None:
            message = f"the key {file} cannot be opened: the passphrase is wrong, or it is damaged"
            raise BadKeyError(message) from fault
        raise BadKeyError(f"the key {file} is damaged or of an unknown kind") from fault


def _converted(private: object, key_class: type[paramiko.PKey], file: Path) -> paramiko.PKey:
    try:
        text = private.private_bytes(  # type: ignore[attr-defined]  # one of three kinds of key
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ).decode()
        return key_class.from_private_key(io.StringIO(text))
    except (paramiko.SSHException, ValueError, UnsupportedAlgorithm) as fault:
        raise BadKeyError(f"the key {file} is of a kind that cannot be used for SSH") from fault


def _certify(key: paramiko.PKey, file: Path) -> None:
    try:
        text = file.read_text("utf-8")
        key.load_certificate(text)
    except (OSError, ValueError, paramiko.SSHException) as fault:
        raise BadKeyError(f"{file} is no OpenSSH certificate of this key") from fault
    blob = getattr(key, "public_blob", None)
    if blob is None or not blob.key_type.endswith("-cert-v01@openssh.com"):
        raise BadKeyError(f"{file} is a public key, but no certificate")
