"""Which rung of a playbook's repair ladder an endpoint that never answered stands on. Pure."""

from __future__ import annotations

from collections.abc import Callable

from outagekit.inventory.model import Endpoint
from outagekit.inventory.select import matches, parse_targets
from outagekit.playbook.model import HandsOn, Playbook


def next_rung(playbook: Playbook, endpoint: Endpoint, *, seen: bool) -> HandsOn | None:
    """Return what a person does next about an endpoint that never answered; None: nothing said.

    `seen` is whether its port answered at times during the run. The first rung that fits counts.
    For many endpoints of one playbook `ladder` is cheaper.
    """
    return ladder(playbook)(endpoint, seen)


def ladder(playbook: Playbook) -> Callable[[Endpoint, bool], HandsOn | None]:
    """Return `next_rung` for one playbook, with its selectors understood once.

    Raises `UsageError` for a selector that is none.
    """
    rungs = [
        (rung, None if rung.for_ is None else parse_targets(rung.for_))
        for rung in playbook.hands_on
    ]

    def find(endpoint: Endpoint, seen: bool) -> HandsOn | None:  # noqa: FBT001  (a plain fact)
        for rung, whom in rungs:
            fits = whom is None or matches(whom, endpoint)
            if fits and rung.seen in {None, seen}:
                return rung
        return None

    return find
