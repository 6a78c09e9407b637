"""Which keys are offered to a server, and in which order: as `ssh` itself does it.

First certificates that are named, then keys of the agent that belong to a named file, the agent's
others, and the files the agent does not have. Files that cannot be used are left out, and why.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from outagekit.transports.ssh.keys import IDENTITIES, BadKeyError, NamedKey, load_key
from outagekit.transports.ssh.ways.route import Server

_LARGEST_BYTES = 64 * 1024


@dataclass(slots=True)
class Offer:
    """Keys in the order to offer them."""

    keys: list[NamedKey] = field(default_factory=list)
    unfit: list[str] = field(default_factory=list)
    """Sentences on files a person named that cannot be used."""


@dataclass(frozen=True, slots=True)
class _File:
    """A key file, by what it holds: the key, or only what is public of it."""

    path: str
    public: bytes
    loaded: NamedKey | None


def offered(server: Server, agent_keys: Sequence[NamedKey]) -> Offer:
    """Return the keys for a server, `agent_keys` being all that the agent holds."""
    offer = Offer()
    files = list(_files(server, offer))
    in_agent = {named.key.asbytes(): named for named in reversed(agent_keys)}
    offer.keys += _certified(server, files, in_agent, offer)
    publics = [file.public for file in files]
    offer.keys += [in_agent[public] for public in publics if public in in_agent]
    if not server.identities_only:
        offer.keys += [named for named in agent_keys if named.key.asbytes() not in publics]
    for file in files:
        if file.loaded is None:
            continue
        if file.public not in in_agent:
            offer.keys.append(file.loaded)
        if not server.certificates:
            offer.keys += _beside(file.path)
    return offer


def _files(server: Server, offer: Offer) -> Iterator[_File]:
    named = server.identities is not None
    paths = server.identities if named else tuple(f"~/.ssh/{name}" for name in IDENTITIES)
    for path in paths or ():
        try:
            loaded = load_key(path, passphrase=None, certificate=None)
        except BadKeyError as fault:
            public = _public(f"{path}.pub") or _public(path)
            if named:
                offer.unfit.append(str(fault))
            if public:
                yield _File(path, public, None)
        else:
            yield _File(path, loaded.key.asbytes(), NamedKey(path, loaded.key))


def _certified(
    server: Server, files: Sequence[_File], in_agent: dict[bytes, NamedKey], offer: Offer
) -> Iterator[NamedKey]:
    for path in server.certificates:
        public = _certified_key(path)
        if public is None:
            offer.unfit.append(f"{path} is no OpenSSH certificate that can be read")
            continue
        owner = next((file for file in files if file.public == public and file.loaded), None)
        try:
            if owner is not None:
                yield load_key(owner.path, passphrase=None, certificate=path)
            elif public in in_agent:
                yield _with_certificate(in_agent[public], path)
            else:
                offer.unfit.append(f"there is no key for the certificate {path}")
        except BadKeyError as fault:
            offer.unfit.append(str(fault))


def _with_certificate(named: NamedKey, path: str) -> NamedKey:
    held = named.key
    if not isinstance(held, paramiko.AgentKey):
        raise BadKeyError(f"{named.name} is no key of an agent")
    key = paramiko.AgentKey(held.agent, held.blob, held.comment)
    try:
        key.load_certificate(_read(path).decode())
    except (ValueError, paramiko.SSHException) as fault:
        raise BadKeyError(f"{path} is no OpenSSH certificate of {named.name}") from fault
    return NamedKey(f"{named.name} with the certificate {path}", key)


def _beside(path: str) -> Iterator[NamedKey]:
    """Return a key with the certificate that lies beside it, if there is one."""
    certificate = f"{path}-cert.pub"
    if _certified_key(certificate) is not None:
        try:
            yield load_key(path, passphrase=None, certificate=certificate)
        except BadKeyError:
            return


def _certified_key(path: str) -> bytes | None:
    """Return the public key a certificate is for; None if this is no certificate."""
    try:
        found = serialization.load_ssh_public_identity(_read(path))
        if not isinstance(found, serialization.SSHCertificate):
            return None
        line = found.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except (ValueError, UnsupportedAlgorithm):
        return None
    return _blob(line)


def _public(path: str) -> bytes | None:
    """Return the key a public key file holds."""
    return _blob(_read(path))


def _blob(line: bytes) -> bytes | None:
    words = line.split(None, 2)
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (IndexError, binascii.Error):
        return None
    return blob if words[0] in blob[: len(words[0]) + 4] else None


def _read(path: str) -> bytes:
    """Return a file's content, of which no more than any key has; empty without one."""
    try:
        with Path(path).expanduser().open("rb") as stream:
            return stream.read(_LARGEST_BYTES)
    except (OSError, RuntimeError, ValueError):
        return b""
