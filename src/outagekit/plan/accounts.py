"""Under which account steps run: root that nobody can become is refused, the rest is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from outagekit.errors import InvalidInput, Problem
from outagekit.inventory.model import Client, Endpoint
from outagekit.plan.model import Plan
from outagekit.playbook.model import Playbook
from outagekit.text import count, fold_list

_ROOT: Final = "root"
_NAMES: Final = 10
_HINT: Final = "add `become: sudo` to the endpoint, or a credential whose user is root"


def refuse_unreachable_root(
    playbook: Playbook, endpoints: Sequence[Endpoint], clients: Mapping[str, Client]
) -> None:
    """Raise `InvalidInput` with a problem for every `as: root` that some endpoint cannot have.

    It cannot where it has no `become` and its credential names another user. Where no credential
    says who logs in, the connection will tell.
    """
    unable = [e for e in endpoints if _is_surely_not_root(e, clients)]
    problems = tuple(_problems(playbook, unable)) if unable else ()
    if problems:
        message = problems[0].message if len(problems) == 1 else "root is out of reach for steps"
        raise InvalidInput(message, problems)


def by_sudo(plan: Plan) -> tuple[Endpoint, ...]:
    """Return the endpoints on which a step that changes something becomes root by sudo."""
    changing = [step for step in plan.steps if step.changes and not step.local]
    return tuple(
        endpoint
        for endpoint in plan.endpoints
        if endpoint.become is not None
        and any(plan.account_of(step, endpoint) == _ROOT for step in changing)
    )


def _problems(playbook: Playbook, unable: Sequence[Endpoint]) -> Iterator[Problem]:
    path = Path(playbook.path or playbook.name)
    names = fold_list((endpoint.id for endpoint in unable), _NAMES)
    for step in playbook.steps:
        if step.account != _ROOT:
            continue
        message = (
            f"step {step.id}: `as: root` cannot be had on {count(len(unable), 'endpoint')}: {names}"
        )
        yield Problem(path, step.line, 1 if step.line else 0, message, _HINT)


def _is_surely_not_root(endpoint: Endpoint, clients: Mapping[str, Client]) -> bool:
    if endpoint.os == "windows" or endpoint.become is not None or endpoint.credential is None:
        return False
    return clients[endpoint.client].credentials[endpoint.credential].user != _ROOT
