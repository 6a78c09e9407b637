"""What a person has not seen yet: host keys, commands. Shown in one table, asked about once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outagekit.errors import NothingMatched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from outagekit.cli.prepare import NeededSecret
    from outagekit.cli.render import Screen
    from outagekit.credentials.trusted import TrustedDigests
    from outagekit.events import EndpointId
    from outagekit.inventory.model import Endpoint
    from outagekit.transports.known_hosts import HostKey
    from outagekit.transports.protocol import Failure
    from outagekit.transports.trust import TrustStore

    _Found = Mapping[EndpointId, tuple[HostKey, ...] | Failure]

_LARGEST_FILE = 16 * 1024 * 1024


def offer_commands(
    screen: Screen, known: TrustedDigests, needed: Sequence[NeededSecret], *, yes: bool
) -> None:
    """Show commands that give secrets and were never trusted, ask once, and trust them.

    Without a terminal and without `yes` nothing is shown and nothing is trusted.
    """
    new = [
        each
        for each in needed
        if each.reference.kind == "cmd" and not known.knows(each.reference.digest)
    ]
    if not new or not (yes or screen.interactive):
        return
    rows = [(each.client, each.label, each.reference.command_line()) for each in new]
    screen.people_table(("client", "secret", "command"), rows)
    if not yes:
        question = "Have these commands run on this machine whenever their secret is needed?"
        screen.ask(f"{question} Type yes:", expected="yes", flag="--yes")
    for each in new:
        known.add(each.reference.digest, each.reference.command_line(), datetime.now(UTC))


def offer_keys(
    screen: Screen,
    store: TrustStore,
    endpoints: Sequence[Endpoint],
    *,
    yes: bool,
    source: Path | None = None,
) -> list[dict[str, str]]:
    """Show the keys of endpoints without one, ask once, and store them; return what was added.

    `source` is a known_hosts file to take the keys from; without one the endpoints are asked.
    """
    new = [endpoint for endpoint in endpoints if not store.known_keys(*filed(endpoint))]
    if not new:
        screen.say("every one of these endpoints has a key that is believed")
        return []
    keys = shown_keys(screen, store, new, source=source)
    if not yes:
        question = f"Believe these {len(keys)}? Type yes:"
        screen.ask(question, expected="yes", flag="--yes")
    for endpoint, key in keys:
        store.add(*filed(endpoint), key)
    screen.say(f"{len(keys)} added in {store.folder}")
    return key_rows(keys)


def filed(endpoint: Endpoint) -> tuple[str, str, int]:
    """Return what an endpoint's keys are known by: client, name, port."""
    from outagekit.transports.protocol import Target
    from outagekit.transports.ssh.routes import Routes
    from outagekit.transports.trust import filed_under

    return filed_under(endpoint.client, Routes().route(Target(endpoint=endpoint)).end)


def key_rows(keys: Sequence[tuple[Endpoint, HostKey]]) -> list[dict[str, str]]:
    """Return keys as `--json` prints them."""
    return [{"endpoint": e.id, "type": k.type, "fingerprint": k.fingerprint} for e, k in keys]


def shown_keys(
    screen: Screen,
    store: TrustStore,
    endpoints: Sequence[Endpoint],
    *,
    source: Path | None = None,
) -> list[tuple[Endpoint, HostKey]]:
    """Fetch and show the keys; raise `NothingMatched` if there is none for any endpoint."""
    from outagekit.transports.protocol import Failure

    found = _keys_in(source, endpoints) if source else _keys_shown_by(endpoints)
    rows: list[tuple[str, str, str]] = []
    keys: list[tuple[Endpoint, HostKey]] = []
    for endpoint in endpoints:
        offered = found[endpoint.id]
        if isinstance(offered, Failure):
            rows.append((endpoint.id, offered.kind.value, offered.detail))
            continue
        known = store.known_keys(*filed(endpoint))
        former = f" (believed so far: {known[0].fingerprint})" if known else ""
        rows += [(endpoint.id, key.type, key.fingerprint + former) for key in offered]
        keys += [(endpoint, key) for key in offered]
    screen.people_table(("endpoint", "key", "fingerprint"), rows)
    if not keys:
        raise NothingMatched("there is no host key for any of these endpoints")
    return keys


def _keys_shown_by(endpoints: Sequence[Endpoint]) -> _Found:
    from outagekit.transports.protocol import Failure
    from outagekit.transports.scan import scan_keys

    found = scan_keys(endpoints)
    return {name: key if isinstance(key, Failure) else (key,) for name, key in found.items()}


def _keys_in(source: Path, endpoints: Sequence[Endpoint]) -> _Found:
    from outagekit.events import FailureKind
    from outagekit.source import read_bytes
    from outagekit.transports.known_hosts import KnownHosts, host_name
    from outagekit.transports.protocol import Failure

    text = read_bytes(source, limit_bytes=_LARGEST_FILE).decode("utf-8", "surrogateescape")
    hosts = KnownHosts(text)
    found: dict[EndpointId, tuple[HostKey, ...] | Failure] = {}
    for endpoint in endpoints:
        _, address, port = filed(endpoint)
        missing = Failure(FailureKind.HOST_KEY, f"there is no key for it in {source}")
        found[endpoint.id] = hosts.keys(host_name(address, port)) or missing
    return found
