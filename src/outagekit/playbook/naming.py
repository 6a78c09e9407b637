"""What steps are called: ids and titles, given or made from what is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outagekit.events import StepId
from outagekit.playbook.model import RESERVED_NAMES
from outagekit.text import identifier, visible_line

if TYPE_CHECKING:
    from outagekit.playbook.findings import Findings
    from outagekit.playbook.input import PlaybookInput, StepInput

EXPRESSION_WORDS = frozenset(
    {
        *("true", "false", "none", "and", "or", "not", "in", "is", "if", "else"),
        *("self", "super", "loop", "caller", "varargs", "kwargs"),
    }
)
"""Words that mean something in an expression, so that nothing can be called by them."""
_LONGEST_TITLE = 60


class Names:
    """The ids and titles of a playbook's steps; ids that stand twice go to the findings."""

    def __init__(self, findings: Findings, data: PlaybookInput) -> None:
        self._steps = data.steps
        self._ids: dict[int, str] = {}
        given: dict[str, int] = {}
        for index, step in enumerate(data.steps):
            if step.id is None:
                continue
            if step.id in given:
                line = findings.document.mark(("steps", given[step.id], "id"))[0]
                message = f"the id `{step.id}` stands twice, first in line {line}"
                findings.add(("steps", index, "id"), message, "ids are unique in a playbook")
            given.setdefault(step.id, index)
            self._ids[index] = step.id
        taken = {*given, *data.params, *RESERVED_NAMES, *EXPRESSION_WORDS}
        for index, step in enumerate(data.steps):
            if step.id is None:
                self._ids[index] = _unused(identifier(step.title or _described(step)), taken)
                taken.add(self._ids[index])

    def of(self, index: int) -> tuple[StepId, str]:
        """Return id and title of a step."""
        step = self._steps[index]
        said = step.id.replace("_", " ").capitalize() if step.id else _described(step)
        return StepId(self._ids[index]), step.title or said


def _unused(wanted: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    numbers = range(2, len(taken) + 3)
    return next(f"{wanted}_{number}" for number in numbers if f"{wanted}_{number}" not in taken)


def _described(step: StepInput) -> str:
    """Return a title for a step that has neither title nor id."""
    for text in (step.sh, step.bash, step.powershell, step.cmd, step.manual, step.approve):
        if text is not None:
            return _first_line(text)
    if step.script is not None:
        first = step.script if isinstance(step.script, str) else step.script[0]
        return first.rpartition("/")[2].rpartition(".")[0] or first
    if step.push is not None:
        return f"Write {step.push.to}"[:_LONGEST_TITLE]
    if step.fetch is not None:
        return "Fetch files"
    if step.wait is not None:
        return f"Wait for port {step.wait.tcp}" if step.wait.tcp else "Wait"
    return "Reboot" if step.reboot is not None else "Step"


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    telling = [line for line in lines if line and not line.startswith(("#", "rem ", "@echo"))]
    return visible_line((telling or ["Step"])[0])[:_LONGEST_TITLE]
