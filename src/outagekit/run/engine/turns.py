"""Who is next: endpoints that wait, in an order that is fair and costs nothing to ask for.

Clients take turns, and within a client its sites take turns. A site that is full is passed over
as a whole, however many of its endpoints wait. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from outagekit.events import EndpointId

Place = tuple[str, str]
"""(client, site); the site is empty for an endpoint without one."""

_T = TypeVar("_T")
_Sites = OrderedDict[str, OrderedDict[EndpointId, None]]


@dataclass(slots=True)
class Turns:
    """Endpoints that wait for their turn, each once."""

    _clients: OrderedDict[str, _Sites] = field(default_factory=OrderedDict)

    def add(self, identity: EndpointId, place: Place) -> None:
        """Queue an endpoint behind those of its site; one that waits already stays where it is."""
        client, site = place
        sites = self._clients.setdefault(client, OrderedDict())
        sites.setdefault(site, OrderedDict())[identity] = None

    def remove(self, identity: EndpointId, place: Place) -> None:
        """Take an endpoint out, if it waits; then others than its site and client are next."""
        client, site = place
        sites = self._clients.get(client, OrderedDict())
        waiting = sites.get(site, OrderedDict())
        if identity not in waiting:
            return
        del waiting[identity]
        _turn(sites, site)
        _turn(self._clients, client)

    def next(self, is_full: Callable[[Place], bool]) -> Iterator[EndpointId]:
        """Yield endpoints in their order, none of a site once `is_full` says so of it.

        Nothing may be added or removed meanwhile.
        """
        return _in_turn(
            _of_client(client, sites, is_full) for client, sites in self._clients.items()
        )

    def __bool__(self) -> bool:
        """Return whether anybody waits."""
        return bool(self._clients)

    def clear(self) -> None:
        """Let nobody wait."""
        self._clients.clear()


def _turn(queues: OrderedDict[str, _T], name: str) -> None:
    """Put a queue behind the others, or away if it is empty."""
    if queues[name]:
        queues.move_to_end(name)
    else:
        del queues[name]


def _of_client(
    client: str, sites: _Sites, is_full: Callable[[Place], bool]
) -> Iterator[EndpointId]:
    return _in_turn(
        _until_full(waiting, (client, site), is_full) for site, waiting in sites.items()
    )


def _until_full(
    waiting: Iterable[EndpointId], place: Place, is_full: Callable[[Place], bool]
) -> Iterator[EndpointId]:
    for identity in waiting:
        if is_full(place):
            return
        yield identity


def _in_turn(queues: Iterable[Iterator[_T]]) -> Iterator[_T]:
    """Yield the first of each queue, then the second of each; queues are not looked at before."""
    while True:
        again: list[Iterator[_T]] = []
        for queue in queues:
            for one in queue:
                yield one
                again.append(queue)
                break
        if not again:
            return
        queues = again
