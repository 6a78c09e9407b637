"""The OpenSSH `known_hosts` format: host keys and the names they belong to.

TLS certificates stand in it, too: a key of a type of our own, which `ssh` passes over.

Pure: lines in, values out, and lines again. Plain names, `[name]:port`, patterns, negated ones and
hashed names are read; plain names are written. A `@revoked` key is never known. A
`@cert-authority` line is kept but not used: a host key is believed for itself only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.inventory.address import canonical

SSH_PORT: Final = 22
REVOKED: Final = "@revoked"
AUTHORITY: Final = "@cert-authority"
CERTIFICATE: Final = "tls-certificate"
_MARKERS: Final = (REVOKED, AUTHORITY)
_PATTERN: Final = re.compile(r"[*?!]")
_NAME: Final = re.compile(r"[^\s,*?!|#\[\]@]+")
_TYPE: Final = re.compile(r"[a-z0-9@.-]{3,64}")


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public key of a machine, or the TLS certificate it shows."""

    type: str
    """`ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`; `tls-certificate`."""
    base64: str

    def __str__(self) -> str:
        """Return type and fingerprint, as people compare them."""
        return f"{self.type} {self.fingerprint}"

    @property
    def fingerprint(self) -> str:
        """`SHA256:…` as `ssh-keygen -l` shows it; of a certificate as `openssl x509` does it."""
        if self.type == CERTIFICATE:
            return f"SHA256:{hashlib.sha256(self.certificate).digest().hex(':').upper()}"
        digest = hashlib.sha256(base64.b64decode(self.base64)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"

    @property
    def certificate(self) -> bytes:
        """The certificate in DER; empty if this is no certificate."""
        return _fields(base64.b64decode(self.base64))[1] if self.type == CERTIFICATE else b""

    @classmethod
    def of_certificate(cls, der: bytes) -> HostKey:
        """Return a TLS certificate, given in DER, as what a machine is known by."""
        fields = (CERTIFICATE.encode(), der)
        return cls.of(b"".join(len(field).to_bytes(4, "big") + field for field in fields))

    @classmethod
    def of(cls, blob: bytes) -> HostKey:
        """Return the key of its wire form; raises `OutagekitError` if it is none."""
        fields = _fields(blob)
        kind = fields[0].decode("ascii", "replace") if len(fields) > 1 else ""
        if not _TYPE.fullmatch(kind):
            raise OutagekitError("this is no SSH host key")
        return cls(kind, base64.b64encode(blob).decode())


def _fields(blob: bytes) -> list[bytes]:
    """Return the fields of a key's wire form, each with its length before it; none if it is cut."""
    fields, at = [], 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4], "big")
        if end > len(blob):
            return []
        fields.append(blob[at + 4 : end])
        at = end
    return fields


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


class _BadLineError(Exception):
    """A line that says nothing; the message is why."""


def parse_line(line: str) -> Entry | None:
    """Return what a line says, or None for a comment, an empty line or one that says nothing."""
    try:
        return _parsed(line)
    except _BadLineError:
        return None


def fault_of(line: str) -> str:
    """Return why a line says nothing although it is no comment, or an empty text."""
    try:
        _parsed(line)
    except _BadLineError as fault:
        return str(fault)
    return ""


def _parsed(line: str) -> Entry | None:
    fields = line.split()
    if not fields or fields[0].startswith("#"):
        return None
    marker = fields.pop(0) if fields[0].startswith("@") else ""
    if marker not in {"", *_MARKERS}:
        raise _BadLineError("its marker is none of OpenSSH's")
    if len(fields) < 3:  # noqa: PLR2004  (names, type, key)
        raise _BadLineError("names, type and key of a host key should stand here")
    names = tuple(filter(None, fields[0].split(",")))
    try:
        key = HostKey.of(base64.b64decode(fields[2], validate=True))
    except (binascii.Error, ValueError, OutagekitError) as fault:
        raise _BadLineError("its key is damaged or cut") from fault
    if key.type != fields[1] or not names:
        raise _BadLineError("its key is not of the type it says")
    return Entry(names, key, marker)


def format_line(name: str, key: HostKey) -> str:
    """Return the line, without its end, that makes a key known under a name."""
    return f"{name} {key.type} {key.base64}"


class KnownHosts:
    """A known_hosts file, read once.

    Looking up a plain name costs one dictionary access; each hashed line costs a microsecond more,
    the first time a name is asked for.
    """

    def __init__(self, text: str) -> None:
        # Only what OpenSSH takes for the end of a line: a comment must not become a second one.
        lines = [line.removesuffix("\r") for line in text.split("\n")]
        self.lines = tuple(lines if lines[-1] else lines[:-1])
        self._parsed = tuple(map(parse_line, self.lines))
        self.entries = tuple(entry for entry in self._parsed if entry is not None)
        self._plain: dict[str, list[Entry]] = {}
        self._others: list[Entry] = []
        self._hashed: list[tuple[bytes, bytes, Entry]] = []
        self._found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if len(entry.names) == 1 and entry.names[0].startswith("|"):
                self._hashed.append((*_salted(entry.names[0]), entry))
            elif any(_PATTERN.search(n) or n.startswith("|") for n in entry.names):
                self._others.append(entry)
            else:
                for name in entry.names:
                    self._plain.setdefault(name.casefold(), []).append(entry)

    def keys(self, name: str) -> tuple[HostKey, ...]:
        """Return the keys trusted for a name made by `host_name`, in the order of the file."""
        found = self._about(name)
        revoked = {e.key for e in found if e.marker == REVOKED}
        known = (e.key for e in found if not e.marker and e.key not in revoked)
        return tuple(dict.fromkeys(known))

    def revoked(self, name: str) -> frozenset[HostKey]:
        """Return the keys that must never be trusted for a name."""
        return frozenset(e.key for e in self._about(name) if e.marker == REVOKED)

    def has_authority(self, name: str) -> bool:
        """Return whether the file would have a certificate authority vouch for a name."""
        return any(e.marker == AUTHORITY for e in self._about(name))

    def faults(self) -> tuple[tuple[int, str], ...]:
        """Return the lines that say nothing although they are no comments: number and reason."""
        silent = (n for n, entry in enumerate(self._parsed) if entry is None)
        named = ((n + 1, fault_of(self.lines[n])) for n in silent)
        return tuple((number, fault) for number, fault in named if fault)

    def with_keys(self, keys: Iterable[tuple[str, HostKey]]) -> KnownHosts:
        """Return the file with a line for each name and key added."""
        return KnownHosts(_text((*self.lines, *(format_line(name, key) for name, key in keys))))

    def without(self, names: Collection[str]) -> KnownHosts:
        """Return the file without the keys of some names; other names of the same lines stay.

        A pattern, a revoked key and a certificate authority stay too: they speak of more.
        """
        gone = frozenset(names)
        kept = (_rest(*both, gone) for both in zip(self.lines, self._parsed, strict=True))
        return KnownHosts(_text(line for line in kept if line is not None))

    @property
    def text(self) -> str:
        """The file's text."""
        return _text(self.lines)

    def _about(self, name: str) -> list[Entry]:
        found = self._found.get(name)
        if found is None:
            others = (e for e in self._others if e.matches(name))
            found = [*self._plain.get(name, ()), *others, *self._hashed_as(name)]
            self._found[name] = found
        return found

    def _hashed_as(self, name: str) -> list[Entry]:
        # Each has a salt of its own, so that all have to be tried.
        data = name.encode()
        return [e for salt, told, e in self._hashed if told and _digest(salt, data) == told]


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _rest(line: str, entry: Entry | None, gone: frozenset[str]) -> str | None:
    if entry is None or entry.marker or any(_PATTERN.search(n) for n in entry.names):
        return line
    names = [n for n in entry.names if not _is_one_of(n, gone)]
    if len(names) == len(entry.names):
        return line
    return " ".join((",".join(names), *line.split()[1:])) if names else None


def _is_one_of(written: str, names: frozenset[str]) -> bool:
    if written.startswith("|"):
        return any(_matches_hash(written, name) for name in names)
    return written.casefold() in names


def _matches(written: str, name: str) -> bool:
    if written.startswith("|"):
        return _matches_hash(written, name)
    if _PATTERN.search(written):
        return _compiled(written.casefold()).fullmatch(name) is not None
    return written.casefold() == name


def _matches_hash(written: str, name: str) -> bool:
    salt, digest = _salted(written)
    return bool(digest) and _digest(salt, name.encode()) == digest


def _digest(salt: bytes, name: bytes) -> bytes:
    return hmac.digest(salt, name, "sha1")


@lru_cache(maxsize=8192)
def _salted(written: str) -> tuple[bytes, bytes]:
    try:
        _, version, salt, digest = written.split("|")
        return base64.b64decode(salt), base64.b64decode(digest) if version == "1" else b""
    except ValueError:
        return b"", b""


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = ({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    return re.compile("".join(parts))
