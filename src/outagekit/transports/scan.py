"""Many host keys at once: what `trust add` shows before anything is trusted."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

from outagekit.events import EndpointId
from outagekit.inventory.model import Endpoint
from outagekit.transports.known_hosts import HostKey
from outagekit.transports.probe import ssh_port
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.trust import scan_key

_AT_ONCE = 16


def scan_keys(
    endpoints: Sequence[Endpoint], deadlines: Deadlines | None = None
) -> dict[EndpointId, HostKey | Failure]:
    """Return what each endpoint shows as its host key, or why it showed none.

    At most 16 connections at once; each ends by the deadlines. Nobody is logged in.
    """
    waiting: queue.SimpleQueue[Endpoint] = queue.SimpleQueue()
    found: queue.SimpleQueue[tuple[EndpointId, HostKey | Failure]] = queue.SimpleQueue()
    for endpoint in endpoints:
        waiting.put(endpoint)

    def scan() -> None:
        while True:
            try:
                endpoint = waiting.get_nowait()
            except queue.Empty:
                return
            key = scan_key(endpoint.address, ssh_port(endpoint), deadlines)
            found.put((endpoint.id, key))

    for _ in range(min(_AT_ONCE, len(endpoints))):
        threading.Thread(target=scan, daemon=True, name="outagekit-scan").start()
    keys = dict(found.get() for _ in endpoints)
    return {endpoint.id: keys[endpoint.id] for endpoint in endpoints}
