"""What has changed since a run began: a resume says it and uses none of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from outagekit.errors import OutagekitError
from outagekit.text import count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from outagekit.cli.places import Places
    from outagekit.events import EndpointId
    from outagekit.plan.model import Plan
    from outagekit.run.replay import Recorded

_OWN_COPY: Final = "this run goes on with its own copy"
_MOST_NAMES: Final = 5


def changed_since(places: Places, left: Recorded) -> Iterator[str]:
    """Yield a sentence for the playbook and one for the inventory that are not as they were.

    The inventory only of the workspace the run was begun in: another one says nothing of it.
    """
    plan = left.state.plan
    yield from _playbook(plan)
    workspace = places.workspace
    if workspace is not None and left.opened.trust == str(workspace.trust.absolute()):
        yield from _inventory(plan, workspace.inventory_paths)


def ways_changed_since(left: Recorded, ways: Mapping[EndpointId, str]) -> Iterator[str]:
    """Yield a sentence if endpoints are reached another way than when the run began.

    The way of now is used: it is how this machine reaches them, and whoever answers there has to
    have the key and the machine id that are believed.
    """
    from outagekit.run.replay import ways_of

    before = ways_of(left)
    other = [visible_line(name) for name, way in ways.items() if before.get(name, way) != way]
    if other:
        yield (
            f"the SSH config leads to {count(len(other), 'endpoint')} another way than when the"
            f" run began: {fold_list(other, _MOST_NAMES)}; this run goes on by the way of now"
        )


def _playbook(plan: Plan) -> Iterator[str]:
    from outagekit.playbook.load import load_playbook

    book = plan.playbook
    path = Path(book.path)
    # A relative path meant the folder of another command, perhaps.
    if not book.path or book.origin == "typed" or not (path.is_absolute() or path.exists()):
        return
    name = visible_line(book.name)
    try:
        digest = load_playbook(path, origin=book.origin).digest
    except OutagekitError:
        yield f"the playbook {name} cannot be read any more: {_OWN_COPY}"
        return
    if digest != book.digest:
        yield f"the playbook {name} has changed since: {_OWN_COPY}"


def _inventory(plan: Plan, paths: tuple[Path, ...]) -> Iterator[str]:
    from outagekit.inventory.adhoc import ADHOC
    from outagekit.inventory.load import load
    from outagekit.plan.build import used_clients

    if all(client.client == ADHOC for client in plan.clients):
        return  # they stand in no inventory
    try:
        clients = load(paths).clients
    except OutagekitError:
        yield f"the inventory cannot be read any more: {_OWN_COPY}"
        return
    known = {each.id: each for client in clients.values() for each in client.endpoints.values()}
    try:
        same = used_clients(plan.endpoints, clients) == plan.clients
    except OutagekitError:
        same = False
    if not same or any(known.get(each.id) != each for each in plan.endpoints):
        yield f"the inventory has changed since: {_OWN_COPY}"
