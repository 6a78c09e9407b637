"""Keys of the lab: made when a fleet starts, worthless anywhere else."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paramiko import Ed25519Key

_PRIVATE: Final = 0o600


def new_key() -> Ed25519Key:
    """Return a fresh key: a host key, which never leaves this process."""
    return Ed25519Key(file_obj=io.StringIO(_new_text()))


def new_key_file(path: Path) -> Ed25519Key:
    """Write a fresh private key into the new file `path` (0600) and return it.

    Raises `FileExistsError` rather than writing over or through anything.
    """
    text = _new_text()
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
    with os.fdopen(number, "w", encoding="ascii", newline="\n") as file:
        file.write(text)
    return Ed25519Key(file_obj=io.StringIO(text))


def _new_text() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode("ascii")
