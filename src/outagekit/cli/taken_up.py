"""A recorded run as something to go on from: its folder, its endpoints and how they are reached."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from outagekit.errors import UsageError

if TYPE_CHECKING:
    from outagekit.cli.places import Places
    from outagekit.cli.prepare import Desk
    from outagekit.cli.render import Screen
    from outagekit.run.replay import Recorded


def find_left(places: Places, word: str) -> Recorded:
    """Return the run a person means, with everything its folder tells.

    Raises `NothingMatched` if there is none, `LogDamaged` if it was altered, and `UsageError` for
    a drill, whose endpoints are gone.
    """
    from outagekit.log.folder import find_run
    from outagekit.run.replay import recorded

    left = recorded(find_run(places.state, word))
    if left.opened.drill:
        raise UsageError(
            f"{left.state.run} was a drill, and its simulated endpoints are gone",
            hint="to rehearse this too, keep a lab up with 'outagekit lab FOLDER' and run there",
        )
    return left


def desk_of(screen: Screen, places: Places, left: Recorded, ssh_config: str | None = None) -> Desk:
    """Return a desk for a recorded run: its own clients, credentials, sites and trusted keys.

    The workspace of the current folder is not looked at: it may be another, or have changed. The
    SSH config is the one the run began with, unless a person names another.
    """
    from outagekit.cli.prepare import Desk
    from outagekit.inventory.model import Inventory

    clients = {client.client: client for client in left.state.plan.clients}
    known_keys = Path(left.opened.trust) if left.opened.trust else None
    followed = ssh_config or left.opened.ssh_config or None
    return Desk(screen, replace(places, known_keys=known_keys), Inventory(clients), followed)
