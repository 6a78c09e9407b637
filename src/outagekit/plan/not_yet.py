"""What the format knows and this version does not execute: found by name, never ignored.

A playbook that promises a pause for approval must not run without the pause. So a plan with
anything of this kind is refused as a whole, and every such place is listed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from outagekit.errors import NotYet, Problem
from outagekit.inventory.model import Endpoint
from outagekit.playbook.model import Later, Playbook, Step
from outagekit.text import count, fold_list

INVENTORY: Final = Path("inventory")
"""Where problems of endpoints are said to be: a plan knows no inventory file."""
_NAMES = 10


def refuse_not_yet(playbook: Playbook, endpoints: Sequence[Endpoint]) -> None:
    """Raise `NotYet` with a problem for every place that needs a later version.

    Of the inventory only what the chosen endpoints use counts.
    """
    problems = (*_in_playbook(playbook), *_in_inventory(endpoints))
    if not problems:
        return
    message = "this version does not execute everything the plan needs"
    if len(problems) == 1:
        message = problems[0].message
    raise NotYet(message, problems)


def _in_playbook(playbook: Playbook) -> Iterator[Problem]:
    path = Path(playbook.path or playbook.name)
    for step in playbook.steps:
        for name in _of_step(step):
            message = f"step {step.id}: `{name}` is not executed yet"
            yield Problem(path, step.line, 1 if step.line else 0, message)


def _of_step(step: Step) -> Iterator[str]:
    if isinstance(step.action, Later):
        yield step.action.name
    if step.account == "system":
        yield "as: system"


def _in_inventory(endpoints: Sequence[Endpoint]) -> Iterator[Problem]:
    windows = [e for e in endpoints if e.os == "windows"]
    if windows:
        yield _problem(windows, "`os: windows` (WinRM)", "--limit 'not os:windows'")


def _problem(concerned: Iterable[Endpoint], what: str, limit: str) -> Problem:
    names = [endpoint.id for endpoint in concerned]
    message = f"{what} of {count(len(names), 'endpoint')} is not executed yet"
    hint = f"leave them out with {limit}"
    return Problem(INVENTORY, 0, 0, f"{message}: {fold_list(names, _NAMES)}", hint)
