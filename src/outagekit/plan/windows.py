"""How Windows endpoints of a plan are reached, and whom of them nobody could log in to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from outagekit.errors import InvalidInput, Problem
from outagekit.inventory.model import Client, Endpoint
from outagekit.inventory.windows import (
    auth_of,
    can_log_in,
    clear_fault,
    no_login,
    scheme_of,
)
from outagekit.plan.model import Plan
from outagekit.text import count, fold_list

INVENTORY: Final = Path("inventory")
"""Where problems of endpoints are said to be: a plan knows no inventory file."""
_NAMES: Final = 10
_MISSING: Final = "no credential says how to log in to windows"
_ADD: Final = "add one with a password to the endpoint; inventory import: --user and --password"
_ON_THE_WAY: Final = {"https": "https", "http": "http, sealed by the login"}


def refuse_unusable_logins(endpoints: Sequence[Endpoint], clients: Mapping[str, Client]) -> None:
    """Raise `InvalidInput` for Windows endpoints nobody could log in to, or only in clear."""
    concerned: dict[tuple[str, str], list[Endpoint]] = {}
    for endpoint in endpoints:
        fault = _fault(endpoint, clients) if endpoint.os == "windows" else None
        if fault:
            concerned.setdefault(fault, []).append(endpoint)
    problems = tuple(_problem(those, *fault) for fault, those in concerned.items())
    if problems:
        message = "not every chosen endpoint can be logged in to"
        message = problems[0].message if len(problems) == 1 else message
        raise InvalidInput(message, problems)


def by_winrm(plan: Plan) -> dict[str, int]:
    """Return in words how the plan's Windows endpoints are spoken to -> how many of them."""
    return dict(Counter(sorted(_words(plan))))


def _words(plan: Plan) -> Iterator[str]:
    for endpoint in plan.endpoints:
        if endpoint.os == "windows":
            scheme = scheme_of(endpoint.scheme, endpoint.port)
            proxy = plan.winrm_of(endpoint).proxy
            yield _ON_THE_WAY[scheme] + (f", by the proxy {proxy}" if proxy else "")


def _fault(endpoint: Endpoint, clients: Mapping[str, Client]) -> tuple[str, str] | None:
    if endpoint.credential is None:
        return _MISSING, _ADD
    credential = clients[endpoint.client].credentials[endpoint.credential]
    if not can_log_in(credential):
        return no_login(credential.name)
    return clear_fault(auth_of(credential), scheme_of(endpoint.scheme, endpoint.port))


def _problem(concerned: Iterable[Endpoint], what: str, hint: str) -> Problem:
    names = [endpoint.id for endpoint in concerned]
    on = f"{count(len(names), 'endpoint')}: {fold_list(names, _NAMES)}"
    return Problem(INVENTORY, 0, 0, f"{what} ({on})", hint)
