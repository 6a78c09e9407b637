"""What a person has not seen yet: host keys, commands. Shown in one table, asked about once."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from outagekit.cli.trust.shown_keys import (
    FEW,
    Found,
    failure_lines,
    key_lines,
    shared_keys,
    tallied,
    twice_lines,
    valid_lines,
)
from outagekit.cli.trust.wording import date_lines, key_row
from outagekit.errors import OutagekitError, StoppedByPerson
from outagekit.text import count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from outagekit.cli.prepare import NeededSecret
    from outagekit.cli.render import Screen
    from outagekit.credentials.trusted import TrustedDigests
    from outagekit.transports.open import Access
    from outagekit.transports.protocol import Target
    from outagekit.transports.trust.known_hosts import HostKey
    from outagekit.transports.trust.scan import Asked
    from outagekit.transports.trust.store import TrustStore

_LIST: Final = "list"
_OWN: Final = (
    "dir Cert:\\LocalMachine\\My | % { $_.Subject; [BitConverter]::ToString("
    "[Security.Cryptography.SHA256]::Create().ComputeHash($_.RawData)) -replace '-', ':' }"
)
"""For PowerShell 2 and later."""


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


@dataclass(slots=True)
class Offered:
    """What came of offering keys."""

    added: list[tuple[Found, HostKey]] = field(default_factory=list)
    failed: list[Found] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    """Endpoints that had a key already."""
    valid: list[Found] = field(default_factory=list)
    """Those whose certificate is valid, and need not be believed for itself."""
    sealed: list[str] = field(default_factory=list)
    """Endpoints with http, which have no certificate."""

    @property
    def document(self) -> dict[str, Any]:
        """What `--json` prints."""
        return {
            "added": [
                {"server": each.server, "name": each.name, **key_row(key)}
                for each, key in self.added
            ],
            "failed": [each.row for each in self.failed],
            "known": self.known,
            "validated": [each.row for each in self.valid],
            "sealed": self.sealed,
            "shared": shared_keys(each for each, _ in self.added),
        }


def offer_keys(
    screen: Screen,
    access: Access,
    targets: Sequence[Target],
    *,
    yes: bool,
    source: Path | None = None,
    quiet: bool = False,
) -> Offered:
    """Show the keys and certificates of endpoints without one, ask once, and believe them.

    Jump hosts on the way without a key come first, and are asked about by themselves: what stands
    behind them is seen through them. `source` is a known_hosts file to take the keys from, or one
    of certificates to compare with; without one the servers are asked. A certificate that is valid
    needs no belief of its own. With `quiet` nothing is said where nothing is missing.
    """
    from outagekit.transports.trust.scan import ends_of, next_jumps

    offered = Offered()
    tried: set[tuple[str, str, int]] = set()
    while jumps := [j for j in next_jumps(targets, access) if j.filed not in tried]:
        tried.update(jump.filed for jump in jumps)
        _offer(screen, access, jumps, offered, yes=yes, source=source)
    ends = ends_of(targets, access)
    offered.sealed = [end.target.endpoint.id for end in ends if end.is_sealed]
    showing = [end for end in ends if not end.is_sealed]
    new: list[Asked] = []
    for end in showing:
        if _is_known(access.trust, end):
            offered.known.append(end.target.endpoint.id)
        else:
            new.append(end)
    if new:
        _offer(screen, access, new, offered, yes=yes, source=source)
    if not quiet:
        _say_rest(screen, offered, all_known=not new)
    return offered


def _say_rest(screen: Screen, offered: Offered, *, all_known: bool) -> None:
    if offered.sealed:
        screen.say(_sealed_line(offered.sealed))
    if offered.known and all_known:
        these = "every other one of these" if offered.sealed else "every one of these"
        screen.say(f"{these} endpoints has a key or certificate that is believed")


def _is_known(store: TrustStore, end: Asked) -> bool:
    known = store.known_certificates if end.shows_certificate else store.known_keys
    return bool(known(*end.filed))


def _sealed_line(endpoints: Sequence[str]) -> str:
    need = "speaks http and needs" if len(endpoints) == 1 else "speak http and need"
    return (
        f"{len(endpoints):,} {need} no certificate ({fold_list(endpoints, 3)}): every message is"
        " sealed by the NTLM or Kerberos login. Who answers must know the account or belong to its"
        " domain; which machine it is, only the machine id tells that is pinned at the first login"
    )


def _offer(
    screen: Screen,
    access: Access,
    asked: Sequence[Asked],
    offered: Offered,
    *,
    yes: bool,
    source: Path | None,
) -> None:
    from outagekit.cli.trust.looking import looked_at

    found = looked_at(screen, access, asked, source=source)
    offered.failed += [each for each in found if each.failure is not None]
    offered.valid += [each for each in found if each.valid is not None]
    good = [each for each in found if each.keys and each.failure is None]
    show_found(screen, found, access.trust)
    if good:
        if not yes:
            _ask(screen, good)
        offered.added += believe(access.trust, good, source="" if source is None else str(source))
        screen.note(f"{count(len(good), 'server')} added in {access.trust.folder}")


def believe(
    store: TrustStore, found: Sequence[Found], *, source: str
) -> list[tuple[Found, HostKey]]:
    """Believe the keys, in one replacement of the file of each client; return those new to it."""
    from outagekit.transports.trust.store import Belief

    added: list[tuple[Found, HostKey]] = []
    for client, group in by_client(found).items():
        whose = {each.server: each for each in group}
        beliefs = [Belief(server=each.server, name=each.name, keys=each.keys) for each in group]
        new = store.add_all(client, beliefs, source=source)
        added += [(whose[belief.server], key) for belief, key in new]
    return added


def by_client(found: Sequence[Found]) -> dict[str, list[Found]]:
    """Return what was found, client by client."""
    groups: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        groups[each.client].append(each)
    return groups


def show_found(screen: Screen, found: Sequence[Found], store: TrustStore) -> None:
    """Show keys, and what a person should know of them: first all, then what stands out."""
    good = [each for each in found if each.keys and each.failure is None]
    width = screen.people.width if screen.people.is_terminal else None
    if good and is_folded(screen, good):
        screen.say(f"{len(good):,} of {len(found):,} servers show a key:")
        screen.say("\n".join(tallied(good)))
    elif good:
        screen.lines(key_lines(good, width))
    others = [*valid_lines(found), *failure_lines(found)]
    if others:
        screen.say("\n".join(others))
    for line in date_lines((each.server, key) for each in good for key in each.keys):
        screen.warn(line)
    believed = _believed(store, list(by_client(good))) if good else {}
    twice = twice_lines(good, believed)
    for line in twice:
        screen.warn(line)
    if twice:
        screen.say(
            "  A cloned image, one machine under several names, a VPN that leads to another client,"
            " or somebody in between: find out which before you believe them."
        )


def is_folded(screen: Screen, found: Sequence[Found], *, few: int = FEW) -> bool:
    """Return whether there are more servers than a person at a terminal is shown at once."""
    return len(found) > few and screen.interactive and not screen.verbose


def own_lines() -> tuple[Text, ...]:
    """Return how a Windows machine itself shows its certificates; what is to paste stays whole."""
    what = "The certificates of a Windows machine, as its own PowerShell shows them:"
    return Text(what), Text(f"  {_OWN}", no_wrap=True)


def _ask(screen: Screen, found: Sequence[Found]) -> None:
    if any(each.is_tls for each in found):
        screen.say(own_lines())
    folded = is_folded(screen, found)
    number = f"{sum(len(each.keys) for each in found):,}"
    also = f", or {_LIST} to see each" if folded else ""
    these = "this one" if number == "1" else f"these {number}"
    question = f"Believe {these}? Type yes{also}:"
    answer = screen.ask(question, flag="--yes").casefold()
    if folded and answer == _LIST:
        screen.lines(key_lines(found, screen.people.width))
        answer = screen.ask(f"Believe {these}? Type yes:", flag="--yes").casefold()
    if answer not in {"y", "yes"}:
        given = visible_line(answer[:40])
        raise StoppedByPerson(f'the answer was "{given}", not yes, so none is believed')


def _believed(store: TrustStore, clients: Sequence[str]) -> dict[str, dict[HostKey, list[str]]]:
    """Return what is believed for these clients, and for others whose files can be read."""
    believed = {client: _names_of_keys(store, client) for client in clients}
    for client in store.clients():
        if client not in believed:
            with suppress(OutagekitError):  # another client's fault is none of these
                believed[client] = _names_of_keys(store, client)
    return believed


def _names_of_keys(store: TrustStore, client: str) -> dict[HostKey, list[str]]:
    names: dict[HostKey, list[str]] = defaultdict(list)
    for entry in store.entries(client):
        if not entry.marker:
            names[entry.key] += (n for n in entry.names if not n.startswith("|"))
    return names
