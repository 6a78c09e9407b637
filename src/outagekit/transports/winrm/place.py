"""Where an endpoint's WinRM listens, as the inventory says it. Pure: nothing is looked up.

The URL is built from what is known and read back: pywinrm, given an IPv6 address without brackets,
takes its first letters for the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from outagekit.errors import InvalidInput
from outagekit.inventory.address import address_fault
from outagekit.inventory.model import Endpoint, Scheme
from outagekit.text import visible_line

HTTP_PORT: Final = 5985
HTTPS_PORT: Final = 5986
_PATH: Final = "/wsman"


@dataclass(frozen=True, slots=True)
class Place:
    """A WinRM service as it is reached from here, or from the server before it."""

    scheme: Scheme
    address: str
    """What is connected to: a name or an address, an IPv6 one without brackets."""
    port: int
    """The port there, a forward of it included."""

    @property
    def server_name(self) -> str:
        """The name its certificate has to be for: without an interface and the last dot."""
        return self.address.partition("%")[0].removesuffix(".")

    @property
    def url(self) -> str:
        """What is asked for over a connection to it; the interface of an address is not said."""
        name = self.server_name
        host = f"[{name}]" if ":" in name else name
        return f"{self.scheme}://{host}:{self.port}{_PATH}"

    def __str__(self) -> str:
        """Return where it is, for a sentence."""
        return f"{self.address} port {self.port}"


def scheme_of(endpoint: Endpoint) -> Scheme:
    """Return what an endpoint's WinRM speaks: http on its port 5985, else https, unless it says."""
    if endpoint.scheme is not None:
        return endpoint.scheme
    return "http" if endpoint.port == HTTP_PORT else "https"


def place_of(endpoint: Endpoint) -> Place:
    """Return where a Windows endpoint's WinRM is reached.

    Raises `InvalidInput` for an address that could make another server of it in a URL.
    """
    scheme = scheme_of(endpoint)
    own = endpoint.port or (HTTP_PORT if scheme == "http" else HTTPS_PORT)
    place = Place(scheme, endpoint.address, endpoint.ports.get(own, own))
    fault = address_fault(endpoint.address)
    if fault is None and _leads_to(place):
        return place
    reason = fault[0] if fault else f"{visible_line(endpoint.address)} is no address"
    raise InvalidInput(f"{endpoint.id}: {reason}")


def _leads_to(place: Place) -> bool:
    """Return whether the URL leads where it should, and nowhere else."""
    try:
        parts = urlsplit(place.url)
        found = parts.scheme, parts.hostname, parts.port, parts.path, parts.username
    except ValueError:
        return False
    name = place.server_name.lower()
    return found == (place.scheme, name, place.port, _PATH, None) and 0 < place.port <= 65535  # noqa: PLR2004
