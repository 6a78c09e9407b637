"""Under which account steps run: what no endpoint can give is refused, the rest is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from outagekit.errors import InvalidInput, Problem
from outagekit.inventory.model import Client, Endpoint
from outagekit.plan.model import Plan
from outagekit.playbook.model import Account, Playbook
from outagekit.text import count, fold_list

_ROOT: Final = "root"
_NAMES: Final = 10
_HINTS: Final[dict[Account, str]] = {
    "root": "add `become: sudo` to the endpoint, or a credential whose user is root",
    "system": "only Windows has it: leave them out with --limit os:windows, or write `as: root`",
}


def refuse_unreachable_accounts(
    playbook: Playbook, endpoints: Sequence[Endpoint], clients: Mapping[str, Client]
) -> None:
    """Raise `InvalidInput` with a problem for every `as` that some endpoint cannot have.

    Root cannot be had where an endpoint has no `become` and its credential names another user;
    where no credential says who logs in, the connection will tell. On Windows `root` is who logs
    in, and `system` is only there.
    """
    unable: dict[Account, list[Endpoint]] = {
        "root": [e for e in endpoints if _is_surely_not_root(e, clients)],
        "system": [e for e in endpoints if e.os != "windows"],
    }
    problems = tuple(_problems(playbook, unable))
    if problems:
        message = "accounts are out of reach for steps"
        message = problems[0].message if len(problems) == 1 else message
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


def _problems(
    playbook: Playbook, unable: Mapping[Account, Sequence[Endpoint]]
) -> Iterator[Problem]:
    path = Path(playbook.path or playbook.name)
    for step in playbook.steps:
        account = step.account
        concerned = unable.get(account, ()) if account else ()
        if account is None or not concerned or step.local:
            continue
        names = fold_list((endpoint.id for endpoint in concerned), _NAMES)
        number = count(len(concerned), "endpoint")
        message = f"step {step.id}: `as: {account}` cannot be had on {number}: {names}"
        yield Problem(path, step.line, 1 if step.line else 0, message, _HINTS[account])


def _is_surely_not_root(endpoint: Endpoint, clients: Mapping[str, Client]) -> bool:
    if endpoint.os == "windows" or endpoint.become is not None or endpoint.credential is None:
        return False
    return clients[endpoint.client].credentials[endpoint.credential].user != _ROOT
