"""Playbooks of one step, made of words a person typed."""

from __future__ import annotations

import hashlib

from outagekit.events import StepId
from outagekit.playbook.model import Playbook, RunScript, Script, Step

_TITLE_LENGTH = 60


def typed_playbook(
    script: Script, *, read: bool, name: str, timeout_s: float, title: str = ""
) -> Playbook:
    """Return a playbook whose only step runs `script`; without a `title` that is its first line.

    `read` is the person's word that nothing is altered: an agreement then has to allow
    `diagnose` only, and nothing is asked. Otherwise the step is a change without a check.
    """
    text = script.variants[0].text
    first_line = text.strip().splitlines()[0] if text.strip() else text
    step = Step(
        id=StepId("command"),
        title=title or first_line[:_TITLE_LENGTH],
        phase="assess" if read else "fix",
        action=RunScript(script),
        risk="read" if read else "change",
        needs=("diagnose",) if read else ("remediate",),
        timeout_s=timeout_s,
    )
    digests = [code.sha256 for code in script.variants]
    several = hashlib.sha256("".join(digests).encode()).hexdigest()
    digest = digests[0] if len(digests) == 1 else several
    return Playbook(name=name, title=step.title, steps=(step,), digest=digest, origin="typed")
