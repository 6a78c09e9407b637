"""What is done to a client's trust: the acts of `trust/<client>/log.jsonl`.

Each is on disk before the file it speaks of is replaced. A key is written as its type and
fingerprint, `ssh-ed25519 SHA256:…`; `server` is `client/name`, or says which jump host it is.
"""

from __future__ import annotations

from outagekit.events.words import EndpointId, Event


class TrustAdded(Event, frozen=True, tag="trust.added"):
    """A host key is believed from now on, beside those that were."""

    server: str
    name: str
    """As known_hosts has it: `address` or `[address]:port`."""
    key: str
    source: str = ""
    """The file it was taken from; empty: the server showed it."""
    os_user: str = ""


class TrustReplaced(Event, frozen=True, tag="trust.replaced"):
    """Other keys than before are believed of a server, and its machine id is not known any more."""

    server: str
    name: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    because: str
    machine_id: str = ""
    """The one that was pinned; the next contact pins anew."""
    os_user: str = ""


class TrustRemoved(Event, frozen=True, tag="trust.removed"):
    """Nothing is believed of a server any more."""

    server: str
    name: str
    old: tuple[str, ...]
    because: str
    machine_id: str = ""
    """The one that was pinned; the next contact pins anew."""
    os_user: str = ""


class TrustPinned(Event, frozen=True, tag="trust.pinned"):
    """An endpoint's machine id was seen for the first time: no other is believed from now on."""

    endpoint: EndpointId
    machine_id: str
    os_user: str = ""
