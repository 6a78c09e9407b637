"""Playbooks of one step, made of words a person typed."""

from __future__ import annotations

from outagekit.events import StepId
from outagekit.playbook.model import Code, Language, Playbook, RunScript, Script, Step

_TITLE_LENGTH = 60


def typed_playbook(
    text: str, language: Language, *, read: bool, name: str, timeout_s: float, title: str = ""
) -> Playbook:
    """Return a playbook whose only step runs `text`; without a `title` that is its first line.

    `read` is the person's word that nothing is altered: an agreement then has to allow
    `diagnose` only, and nothing is asked. Otherwise the step is a change without a check.
    """
    code = Code(language, text)
    first_line = text.strip().splitlines()[0] if text.strip() else text
    step = Step(
        id=StepId("command"),
        title=title or first_line[:_TITLE_LENGTH],
        phase="assess" if read else "fix",
        action=RunScript(Script((code,))),
        risk="read" if read else "change",
        needs=("diagnose",) if read else ("remediate",),
        timeout_s=timeout_s,
    )
    return Playbook(name=name, title=step.title, steps=(step,), digest=code.sha256, origin="typed")
