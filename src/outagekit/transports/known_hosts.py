"""The OpenSSH `known_hosts` format: host keys and the names they belong to.

Pure: lines in, values out, and lines again. Plain names, `[name]:port`, patterns, negated ones and
hashed names are read; plain names are written. A `@revoked` key is never known, a
`@cert-authority` line is kept but not used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.inventory.address import canonical

SSH_PORT: Final = 22
_PATTERN: Final = re.compile(r"[*?!]")
_NAME: Final = re.compile(r"[^\s,*?!|#\[\]@]+")
_TYPE: Final = re.compile(r"[a-z0-9@.-]{3,64}")


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public key of a machine."""

    type: str
    """`ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`."""
    base64: str

    @property
    def fingerprint(self) -> str:
        """`SHA256:…` as `ssh-keygen -l` shows it."""
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    @classmethod
    def of(cls, blob: bytes) -> HostKey:
        """Return the key of its wire form; raises `OutagekitError` if it is none."""
        size = int.from_bytes(blob[:4], "big")
        kind = blob[4 : 4 + size].decode("ascii", "replace")
        if len(blob) <= 4 + size or not _TYPE.fullmatch(kind):
            raise OutagekitError("this is no SSH host key")
        return cls(kind, base64.b64encode(blob).decode())


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a known_hosts file that holds a key."""

    names: tuple[str, ...]
    """As written: names, patterns or one hashed name."""
    key: HostKey
    marker: str = ""
    """`@revoked`, `@cert-authority` or empty."""

    def matches(self, name: str) -> bool:
        """Return whether the line speaks of the name; a negated pattern wins."""
        wanted = [n for n in self.names if not n.startswith("!") and _matches(n, name)]
        return bool(wanted) and not any(
            _matches(n[1:], name) for n in self.names if n.startswith("!")
        )


def host_name(address: str, port: int) -> str:
    """Return the name of an address in a known_hosts file: `address` or `[address]:port`.

    Raises `OutagekitError` for an address that could not stand there.
    """
    name = canonical(address)
    if not _NAME.fullmatch(name):
        raise OutagekitError("this address cannot stand in a known_hosts file")
    return name if port == SSH_PORT else f"[{name}]:{port}"


def parse_line(line: str) -> Entry | None:
    """Return what a line says, or None for a comment, an empty line or one that says nothing."""
    fields = line.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#"):  # noqa: PLR2004  (names, type, key)
        return None
    try:
        key = HostKey.of(base64.b64decode(fields[2], validate=True))
    except (binascii.Error, ValueError, OutagekitError):
        return None
    names = tuple(filter(None, fields[0].split(",")))
    return Entry(names, key, marker) if key.type == fields[1] and names else None


def format_line(name: str, key: HostKey) -> str:
    """Return the line, without its end, that makes a key known under a name."""
    return f"{name} {key.type} {key.base64}"


class KnownHosts:
    """A known_hosts file, read once. Looking up a plain name costs one dictionary access."""

    def __init__(self, text: str) -> None:
        self.lines = tuple(text.splitlines())
        self.entries = tuple(e for e in map(parse_line, self.lines) if e is not None)
        self._plain: dict[str, list[Entry]] = {}
        self._others: list[Entry] = []
        for entry in self.entries:
            if any(_PATTERN.search(n) or n.startswith("|") for n in entry.names):
                self._others.append(entry)
            else:
                for name in entry.names:
                    self._plain.setdefault(name.casefold(), []).append(entry)

    def keys(self, name: str) -> tuple[HostKey, ...]:
        """Return the keys trusted for a name made by `host_name`, in the order of the file."""
        found = [*self._plain.get(name, ()), *(e for e in self._others if e.matches(name))]
        revoked = {e.key for e in found if e.marker == "@revoked"}
        known = (e.key for e in found if not e.marker and e.key not in revoked)
        return tuple(dict.fromkeys(known))

    def with_key(self, name: str, key: HostKey) -> str:
        """Return the file's text with a line added."""
        return "".join(f"{line}\n" for line in (*self.lines, format_line(name, key)))

    def without(self, name: str) -> KnownHosts:
        """Return the file without the keys of a name; other names of the same lines stay.

        A pattern, a revoked key and a certificate authority stay too: they speak of more.
        """
        return KnownHosts("\n".join(kept for line in self.lines for kept in _rest(line, name)))


def _rest(line: str, name: str) -> list[str]:
    entry = parse_line(line)
    if entry is None or entry.marker or any(_PATTERN.search(n) for n in entry.names):
        return [line]
    names = [n for n in entry.names if not _matches(n, name)]
    if len(names) == len(entry.names):
        return [line]
    return [" ".join((",".join(names), *line.split()[1:]))] if names else []


def _matches(written: str, name: str) -> bool:
    if written.startswith("|"):
        return _matches_hash(written, name)
    if _PATTERN.search(written):
        return _compiled(written.casefold()).fullmatch(name) is not None
    return written.casefold() == name


def _matches_hash(written: str, name: str) -> bool:
    try:
        _, version, salt, digest = written.split("|")
        made = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return version == "1" and hmac.compare_digest(made, base64.b64decode(digest))
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    return re.compile("".join(parts))
