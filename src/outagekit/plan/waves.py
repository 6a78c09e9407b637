"""Cutting waves: who goes when, as a pure function of sizes, endpoints and two preferences.

Sizes count everybody so far. A percentage is rounded up, a wave that would be empty is left out,
and whatever the sizes say, the last wave reaches everybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from math import ceil, floor

from outagekit.events import EndpointId
from outagekit.inventory.model import Endpoint

Waves = tuple[tuple[EndpointId, ...], ...]


def cut_waves(
    endpoints: Iterable[Endpoint],
    sizes: Sequence[str],
    *,
    first: Collection[EndpointId] = (),
    apart: Collection[EndpointId] = (),
) -> Waves:
    """Return the waves; every endpoint is in exactly one, and none is empty.

    Those in `first` come first, then one endpoint of each site that has none among them, then
    the others, each group in the order given. Of those in `apart` no wave holds two of one client:
    the later ones wait for the next wave, others move up, and more waves are added at the end if
    it takes them.
    """
    waiting = _in_order(endpoints, frozenset(first))
    kept_apart = frozenset(apart)
    waves: list[tuple[EndpointId, ...]] = []
    for size in wave_sizes(len(waiting), sizes):
        wave, waiting = _fill(waiting, size, kept_apart)
        waves.append(tuple(each.id for each in wave))
    while waiting:
        wave, waiting = _fill(waiting, len(waiting), kept_apart)
        waves.append(tuple(each.id for each in wave))
    return tuple(waves)


def wave_sizes(number: int, sizes: Sequence[str]) -> tuple[int, ...]:
    """Return how many endpoints each wave has, from cumulative sizes such as `1`, `5%`, `100%`."""
    found: list[int] = []
    reached = 0
    for text in (*sizes, "100%"):
        upto = min(number, rounded_up(text, number))
        if upto > reached:
            found.append(upto - reached)
            reached = upto
    return tuple(found)


def rounded_up(text: str, whole: int) -> int:
    """Return a plain number as it is, and a percentage of `whole` rounded up."""
    if not text.endswith("%"):
        return int(text)
    return ceil(Fraction(text[:-1]) * whole / 100)


def rounded_down(text: str, whole: int) -> int:
    """Return a plain number as it is, and a percentage of `whole` rounded down."""
    if not text.endswith("%"):
        return int(text)
    return floor(Fraction(text[:-1]) * whole / 100)


def digest_of_waves(waves: Waves) -> str:
    """Return the SHA-256 that stands in `waves.cut`: who is in which wave, in any order."""
    text = "\n\n".join("\n".join(sorted(wave)) for wave in waves)
    return hashlib.sha256(text.encode()).hexdigest()


def _in_order(endpoints: Iterable[Endpoint], first: frozenset[EndpointId]) -> list[Endpoint]:
    given = list(endpoints)
    leading = [endpoint for endpoint in given if endpoint.id in first]
    sites = {_site_of(endpoint) for endpoint in leading}
    of_site: list[Endpoint] = []
    others: list[Endpoint] = []
    for endpoint in given:
        if endpoint.id in first:
            continue
        (others if _site_of(endpoint) in sites else of_site).append(endpoint)
        sites.add(_site_of(endpoint))
    return [*leading, *of_site, *others]


def _site_of(endpoint: Endpoint) -> tuple[str, str]:
    return endpoint.client, endpoint.site or ""


def _fill(
    waiting: Sequence[Endpoint], size: int, apart: frozenset[EndpointId]
) -> tuple[list[Endpoint], list[Endpoint]]:
    """Return a wave of at most `size` endpoints, and who still waits."""
    wave: list[Endpoint] = []
    left: list[Endpoint] = []
    clients: set[str] = set()
    for endpoint in waiting:
        is_apart = endpoint.id in apart
        if len(wave) >= size or (is_apart and endpoint.client in clients):
            left.append(endpoint)
            continue
        wave.append(endpoint)
        if is_apart:
            clients.add(endpoint.client)
    return wave, left
