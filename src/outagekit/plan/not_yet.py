"""What the format knows and this version does not execute: found by name, never ignored.

A playbook that promises a notice must not run without the notice. So a plan with anything of this
kind is refused as a whole, and every such place is listed at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from outagekit.errors import NotYet, Problem
from outagekit.playbook.model import Later, Playbook


def refuse_not_yet(playbook: Playbook) -> None:
    """Raise `NotYet` with a problem for every step that needs a later version."""
    problems = tuple(_problems(playbook))
    if not problems:
        return
    message = "this version does not execute everything the plan needs"
    if len(problems) == 1:
        message = problems[0].message
    raise NotYet(message, problems)


def _problems(playbook: Playbook) -> Iterator[Problem]:
    path = Path(playbook.path or playbook.name)
    for step in playbook.steps:
        if isinstance(step.action, Later):
            message = f"step {step.id}: `{step.action.name}` is not executed yet"
            yield Problem(path, step.line, 1 if step.line else 0, message)
