"""What a person has not seen yet: host keys, commands. Shown in one table, asked about once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outagekit.errors import NothingMatched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.cli.prepare import NeededSecret
    from outagekit.cli.render import Screen
    from outagekit.credentials.trusted import TrustedDigests
    from outagekit.inventory.model import Endpoint
    from outagekit.transports.known_hosts import HostKey
    from outagekit.transports.trust import TrustStore


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
    screen: Screen, store: TrustStore, endpoints: Sequence[Endpoint], *, yes: bool
) -> list[dict[str, str]]:
    """Show the keys of endpoints without one, ask once, and store them; return what was added."""
    from outagekit.transports.trust import filed_under

    new = [endpoint for endpoint in endpoints if not store.known_keys(*filed_under(endpoint))]
    if not new:
        screen.say("every one of these endpoints has a key that is believed")
        return []
    keys = shown_keys(screen, store, new)
    if not yes:
        question = f"Believe these {len(keys)}? Type yes:"
        screen.ask(question, expected="yes", flag="--yes")
    for endpoint, key in keys:
        store.add(*filed_under(endpoint), key)
    screen.say(f"{len(keys)} added in {store.folder}")
    return key_rows(keys)


def key_rows(keys: Sequence[tuple[Endpoint, HostKey]]) -> list[dict[str, str]]:
    """Return keys as `--json` prints them."""
    return [{"endpoint": e.id, "type": k.type, "fingerprint": k.fingerprint} for e, k in keys]


def shown_keys(
    screen: Screen, store: TrustStore, endpoints: Sequence[Endpoint]
) -> list[tuple[Endpoint, HostKey]]:
    """Fetch and show the keys; raise `NothingMatched` if no endpoint shows one."""
    from outagekit.transports.protocol import Failure
    from outagekit.transports.scan import scan_keys
    from outagekit.transports.trust import filed_under

    found = scan_keys(endpoints)
    rows: list[tuple[str, str, str]] = []
    keys: list[tuple[Endpoint, HostKey]] = []
    for endpoint in endpoints:
        key = found[endpoint.id]
        if isinstance(key, Failure):
            rows.append((endpoint.id, key.kind.value, key.detail))
        else:
            known = store.known_keys(*filed_under(endpoint))
            former = f" (believed so far: {known[0].fingerprint})" if known else ""
            rows.append((endpoint.id, key.type, key.fingerprint + former))
            keys.append((endpoint, key))
    screen.people_table(("endpoint", "key", "fingerprint"), rows)
    if not keys:
        raise NothingMatched("no endpoint showed a host key")
    return keys
