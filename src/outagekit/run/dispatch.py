"""The seam between the engine and whoever executes orders.

An executing side takes orders and gives reports, nothing else is shared: secrets, redaction,
connections and deadlines belong to it. Every order given to `submit` is answered by exactly one
`Finished`, also when a connection hangs or a lane has to be abandoned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from outagekit.events import AttemptId, EndpointId
from outagekit.run.orders import Order, Report, Settled
from outagekit.transports.protocol import Target


class Driver(Protocol):
    """Executes orders somewhere."""

    def submit(self, order: Order) -> None:
        """Take an order. Its `step.started` is durable; its attempt id was never given before."""
        ...

    def cancel(self, attempt: AttemptId) -> None:
        """Close the connection the attempt uses; its `Finished` still comes, soon."""
        ...

    def reports(self, timeout_s: float) -> Sequence[Report]:
        """Return what has been reported since the last call, waiting at most `timeout_s` for it."""
        ...

    def settle(self, attempts: Sequence[AttemptId]) -> Mapping[AttemptId, Settled]:
        """Return what is known of attempts of an earlier life, without asking any endpoint."""
        ...

    def watch(self, target: Target, after_s: float) -> None:
        """Probe an endpoint's port from `after_s` on, until it answers: then report `Answers`.

        TCP only, never a login; jittered, and never many at once per site.
        """
        ...

    def unwatch(self, endpoint: EndpointId) -> None:
        """Probe an endpoint no more; nothing if it is not watched."""
        ...

    def release(self, order: Order) -> None:
        """Remove what a detached step left on its endpoint; its end is on disk. Best effort.

        Reports `Tidied` when it is gone.
        """
        ...

    def close(self, grace_s: float) -> None:
        """Close all connections; returns after at most `grace_s`, whatever still hangs."""
        ...
