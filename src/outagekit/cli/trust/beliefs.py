"""What is believed now and what was done to it: shown, confirmed, changed."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from outagekit.cli.fitting import fold_line
from outagekit.cli.trust.offering import by_client, is_folded
from outagekit.cli.trust.shown_keys import Found, change_lines, fitted
from outagekit.errors import NothingMatched, OutagekitError, StoppedByPerson
from outagekit.events import EndpointKeyTrusted
from outagekit.inventory.adhoc import ADHOC
from outagekit.text import closest, count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from outagekit.cli.render import Screen
    from outagekit.events import EndpointId, Record
    from outagekit.transports.trust.store import Belief, TrustStore

_FEW = 8
"""Changes are shown as blocks: fewer of them fit a screen than rows of a table."""


def show_trusted(screen: Screen, store: TrustStore, only: Sequence[str]) -> None:
    """List keys and pins, by client, and say what is odd about them."""
    clients = _chosen(store.clients(), only)
    keys = [row for client in clients for row in _key_rows(store, client)]
    pins = [
        (client, name, machine_id)
        for client in clients
        for name, machine_id in sorted(store.pins(client).items())
    ]
    odd = [line for client in clients for line in odd_lines(store, client)]
    odd += wall_lines({client: store.pins(client) for client in clients})
    if screen.json:
        screen.document(
            {
                "keys": [dict(zip(_KEYS, row, strict=True)) for row in keys],
                "machines": [dict(zip(_MACHINES, row, strict=True)) for row in pins],
                "odd": odd,
            }
        )
        return
    screen.print("\n".join(fitted(_KEYS, keys, screen.page_width)))
    if pins:
        screen.print("\n".join(("", *fitted(_MACHINES, pins, screen.page_width))))
    for line in odd:
        screen.warn(line)


_KEYS = ("client", "names", "type", "fingerprint")
_MACHINES = ("client", "endpoint", "machine id")


def _key_rows(store: TrustStore, client: str) -> list[tuple[str, str, str, str]]:
    from outagekit.transports.trust.known_hosts import AUTHORITY

    rows = []
    for entry in store.entries(client):
        unused = " (not used)" * (entry.marker == AUTHORITY)
        marked = " ".join(filter(None, (entry.marker + unused, ", ".join(entry.names))))
        rows.append((client, marked, entry.key.type, entry.key.fingerprint))
    return rows


def odd_lines(store: TrustStore, client: str) -> list[str]:
    """Return what a person should know of a client's trust: damaged lines, clones."""
    faults = [
        f"{place}: {fault}; this line is passed over" for place, fault in store.faults(client)
    ]
    return [*faults, *clone_lines(client, store.pins(client))]


def clone_lines(client: str, pins: Mapping[str, str]) -> list[str]:
    """Return a sentence for each machine id that several endpoints of a client are pinned to."""
    names: dict[str, list[str]] = defaultdict(list)
    for name, machine_id in sorted(pins.items()):
        names[machine_id].append(f"{client}/{name}")
    return [
        f"{fold_list(group, 3)} have one machine id, {visible_line(machine_id)}: clones, or one"
        " machine under several names; that one stands in for another cannot be noticed"
        for machine_id, group in names.items()
        if len(group) > 1
    ]


def wall_lines(pins: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a sentence for each machine id that endpoints of several clients are pinned to.

    `pins` by client. What was pinned for `--host` is no other client's.
    """
    names: dict[str, list[str]] = defaultdict(list)
    clients: dict[str, set[str]] = defaultdict(set)
    for client, group in sorted(pins.items()):
        for name, machine_id in sorted(group.items() if client != ADHOC else ()):
            names[machine_id].append(f"{client}/{name}")
            clients[machine_id].add(client)
    return [
        f"{fold_list(names[machine_id], 3)} have one machine id, {visible_line(machine_id)}, and"
        " belong to several clients: a shared machine, a clone, or the wrong VPN was up"
        for machine_id, whose in clients.items()
        if len(whose) > 1
    ]


class Machines:
    """Notices machines that were seen for the first time and are known already: a subscriber."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new: dict[EndpointId, str] = {}

    def on_records(self, records: tuple[Record, ...]) -> None:
        """Take note of who was seen for the first time; called from the log's thread."""
        for record in records:
            if isinstance(record.event, EndpointKeyTrusted):
                self._new[record.event.endpoint] = record.event.machine_id

    def clones(self) -> list[str]:
        """Return a sentence for each machine id one of those shares with others."""
        from outagekit.transports.trust.store import TrustStore

        store = TrustStore(self._folder)
        lines: list[str] = []
        for client in sorted({endpoint.partition("/")[0] for endpoint in self._new}):
            try:
                pins = store.pins(client)
            except OutagekitError:  # the run has told it already
                continue
            seen = {self._new[e] for e in self._new if e.startswith(f"{client}/")}
            lines += clone_lines(client, {n: pin for n, pin in pins.items() if pin in seen})
        return [*lines, *self._over_walls(store)] if self._new else []

    def _over_walls(self, store: TrustStore) -> list[str]:
        new = {pin for endpoint, pin in self._new.items() if not endpoint.startswith(f"{ADHOC}/")}
        pins: dict[str, dict[str, str]] = {}
        with suppress(OutagekitError):  # the run has told it already
            for client in store.clients():
                with suppress(OutagekitError):  # another client's fault is none of these
                    found = store.pins(client)
                    pins[client] = {n: pin for n, pin in found.items() if pin in new}
        return wall_lines(pins)


def show_acts(screen: Screen, folder: Path, only: Sequence[str]) -> None:
    """Show what was done to the trust of each client, in order."""
    import msgspec

    from outagekit.cli.live.lines import Narrator
    from outagekit.cli.trust.acts import TrustLog
    from outagekit.transports.trust.store import TrustStore

    log = TrustLog(folder)
    clients = _chosen(TrustStore(folder).clients(), only)
    records = {client: log.records(client) for client in clients}
    if screen.json:
        screen.document([msgspec.to_builtins(r) for each in records.values() for r in each])
        return
    for client, acts in records.items():
        narrator = Narrator(verbose=screen.verbose, quiet=False)
        told = [line for record in acts for line in narrator.lines(record)]
        if told:
            screen.print("\n".join(_folded(told, screen.page_width)))
            screen.next([f"outagekit log verify {folder / client}"])
    if not any(records.values()):
        screen.note("nothing was recorded yet")


def _folded(lines: Sequence[str], width: int | None) -> list[str]:
    from rich.text import Text

    if width is None:
        return list(lines)
    return [piece.plain for line in lines for piece in fold_line(Text(line), width)]


def _chosen(clients: Sequence[str], only: Sequence[str]) -> list[str]:
    missing = [client for client in only if client not in clients]
    if missing:
        near = closest(missing[0], clients)
        hint = f"did you mean {near}?" if near else ""
        raise NothingMatched(f"nothing is believed for a client {missing[0]}", hint=hint)
    return [client for client in clients if not only or client in only]


def former_by_name(store: TrustStore, client: str, name: str) -> Found:
    """Return what is believed by a name of `trust list`, a key's or a machine's."""
    keys = tuple(e.key for e in store.entries(client) if name in e.names and not e.marker)
    pin = store.machine_of(client, name)
    return Found(
        client=client,
        server=f"{client}/{name}" if pin else f"{client} {name}",
        name=name,
        former=keys,
        endpoint_name=name if pin else "",
        machine_id=pin,
    )


def confirm_change(screen: Screen, found: Sequence[Found], question: str, *, yes: bool) -> None:
    """Show what would change, and have a person type how many it concerns."""
    number = str(len(found))
    folded = is_folded(screen, found, few=_FEW)
    width = screen.people.width if screen.people.is_terminal else None
    screen.lines(change_lines(found[:_FEW] if folded else found, width))
    if folded:
        screen.say(f"and {count(len(found) - _FEW, 'more server')} (-v shows each)")
    if yes:
        return
    answer = screen.ask(f"{question} {number}? Type {number}:", flag="--yes")
    if answer != number:
        given = visible_line(answer[:40])
        raise StoppedByPerson(f'the answer was "{given}", not {number}, so nothing is changed')


def replaced(screen: Screen, store: TrustStore, found: Sequence[Found], because: str) -> None:
    """Believe the new keys and no others; one replacement of the files of each client."""
    for client, group in by_client(found).items():
        store.replace_all(client, [_belief(each) for each in group], because=because)
        screen.say(f"replaced what is believed of {count(len(group), 'server')} of {client}")
        for each in group:
            others = set(_known(store, each)) - set(each.keys)
            if others:
                screen.warn(
                    f"your own known_hosts still vouches for the old key of {each.server}:"
                    f" ssh-keygen -R '{visible_line(each.name)}'"
                )


def removed(screen: Screen, store: TrustStore, found: Sequence[Found], because: str) -> None:
    """Believe nothing of these servers; one replacement of the files of each client."""
    for client, group in by_client(found).items():
        store.remove_all(client, [_belief(each) for each in group], because=because)
        screen.say(f"nothing is believed any more of {count(len(group), 'server')} of {client}")
        for each in group:
            if _known(store, each):
                screen.warn(
                    f"your own known_hosts still vouches for {each.server}:"
                    f" ssh-keygen -R '{visible_line(each.name)}'"
                )


def _belief(found: Found) -> Belief:
    from outagekit.transports.trust.store import Belief

    return Belief(
        server=found.server, name=found.name, keys=found.keys, endpoint_name=found.endpoint_name
    )


def _known(store: TrustStore, found: Found) -> Sequence[Any]:
    return store.keys_named(found.client, found.name)
