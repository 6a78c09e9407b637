"""A real OpenSSH server on loopback, for tests that want no stand-in.

Needs the `sshd` program (Debian: `openssh-server`) and runs as the current user, who logs in with
a key made for the test. Nothing outside `folder` is read or written, and only addresses of
127.0.0.0/8 are listened on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"
_MOST_ADDRESSES = 16
"""How many `ListenAddress` lines one sshd takes (MAX_LISTEN_SOCKS in its source)."""
_START_S = 10.0


def find_sshd() -> str | None:
    """Return the path of sshd, or None where it is not installed."""
    return shutil.which("sshd", path=f"{_SYSTEM_FOLDERS}:{os.environ.get('PATH', '')}")


Kind = Literal["ed25519", "ecdsa", "rsa"]
_PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_MAKERS: dict[Kind, Callable[[], _PrivateKey]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key made for a test."""

    private: Path
    public: str
    """`ssh-ed25519 AAAA…`."""


def make_key(path: Path, passphrase: str = "", *, kind: Kind = "ed25519") -> KeyPair:
    """Write a new private key, readable by its owner only, and its public half beside it."""
    key = _MAKERS[kind]()
    guard: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        guard = serialization.BestAvailableEncryption(passphrase.encode())
    form = serialization.PrivateFormat.OpenSSH
    path.touch(0o600)
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, guard))
    public = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    path.with_suffix(".pub").write_bytes(public + b"\n")
    return KeyPair(path, public.decode())


def free_port(address: str) -> int:
    """Return a port nothing listens on at the moment."""
    with socket.socket() as sock:
        sock.bind((address, 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.contextmanager
def sshd(
    folder: Path,
    addresses: Sequence[str],
    port: int,
    *,
    login_keys: Sequence[str],
    host_kinds: Sequence[Kind] = ("ed25519",),
    options: Sequence[str] = (),
    within: Sequence[str] = (),
) -> Iterator[KeyPair]:
    """Run sshd on the addresses until the block ends; gives its first host key.

    `options` are lines of its configuration that win over those made here; from the first
    `Match` on they stand at its end. `within` is a command that becomes the one behind it, after
    it has changed what that sees. Raises `RuntimeError` with sshd's own words if it does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd as root wants it
    host_keys = [make_key(folder / f"host_{kind}", kind=kind) for kind in host_kinds]
    authorized = folder / "authorized_keys"
    authorized.write_text("".join(f"{key}\n" for key in login_keys))
    with contextlib.ExitStack() as stack:
        for first in range(0, len(addresses), _MOST_ADDRESSES):
            listened = addresses[first : first + _MOST_ADDRESSES]
            config = folder / f"sshd_config.{first}"
            config.write_text(_config(listened, port, host_keys, authorized, options))
            stack.enter_context(_process(config, listened[0], port, within))
        yield host_keys[0]


def _config(
    addresses: Sequence[str],
    port: int,
    host_keys: Sequence[KeyPair],
    authorized: Path,
    options: Sequence[str],
) -> str:
    matches = [n for n, line in enumerate(options) if line.startswith("Match ")]
    general = matches[0] if matches else len(options)
    lines = [
        *options[:general],
        *(f"ListenAddress {address}:{port}" for address in addresses),
        *(f"HostKey {key.private}" for key in host_keys),
        f"AuthorizedKeysFile {authorized}",
        "PidFile none",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "MaxStartups 200",
        "MaxSessions 20",
        "Subsystem sftp internal-sftp",
        # Away from the start-up files of the person who runs the tests.
        f"SetEnv HOME={authorized.parent}",
        *options[general:],
    ]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def _process(config: Path, address: str, port: int, within: Sequence[str] = ()) -> Iterator[None]:
    log = config.parent / "sshd.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*within, find_sshd() or "sshd", "-D", "-e", "-f", str(config)], stderr=errors
        )
    try:
        _await_banner(address, port, process, log)
        yield
    finally:
        process.terminate()
        process.wait(5)


def _await_banner(address: str, port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + _START_S
    while time.monotonic() < until_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1) as sock:
            if sock.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    message = f"sshd did not start: {log.read_text()}"
    raise RuntimeError(message)
