"""Warnings about a playbook that is valid but will disappoint. Shipped playbooks have none."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from outagekit.errors import Problem
from outagekit.playbook import model
from outagekit.playbook.units import percent
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outagekit.events import StepId
    from outagekit.playbook.actions import Written
    from outagekit.playbook.findings import Findings
    from outagekit.source import Location

_PLACEHOLDER = re.compile(r"\{\{-?\s*([A-Za-z_]\w*)[\w.]*\s*-?\}\}")
_MERGED_STREAMS = re.compile(r"2>&1")
_ALL = 100.0
_POUNCE = (
    "`pounce` does nothing without a `waiting_room`",
    "nobody comes back from where nobody waits: add `waiting_room: 4h`",
)
_BAKE = (
    "after the `bake` nothing is verified again: no changing step has a check or verify",
    "give one a `verify`",
)
_PAUSE = (
    "`pause` does nothing: the first wave is everybody",
    "begin with a smaller wave",
)
_WAVES = (
    "these waves do not end with everybody, a last wave of 100% follows all the same",
    "write it: whom a playbook must not reach is said by `targets` and --limit",
)


def lint(playbook: model.Playbook, written: Iterable[Written], findings: Findings) -> None:
    """Note what a careful reader would object to, as warnings."""
    for index, step in enumerate(playbook.steps):
        _lint_step(playbook, step, ("steps", index), findings)
    _lint_phases(playbook, findings)
    if playbook.rollout:
        _lint_rollout(playbook, playbook.rollout, findings)
    seen: set[tuple[str, str]] = set()
    for piece in written:
        key = (piece.code.file, piece.code.text)
        if not piece.code.file or key not in seen:
            _lint_code(playbook, piece, findings)
        seen.add(key)


def _lint_step(
    playbook: model.Playbook, step: model.Step, loc: Location, findings: Findings
) -> None:
    if isinstance(step.action, model.RunScript):
        if step.changes and not (step.check or step.verify) and not findings.uncertain(loc):
            message = f"`{step.id}` changes something and nothing proves it"
            hint = "give it a `verify`, or `risk: read` if it only looks"
            findings.add(loc, message, hint, warning=True)
        _lint_variants(step, step.action.script, loc, findings)
    answers = playbook.drill.steps if playbook.drill else None
    if step.result and answers is not None and not _answered(answers, step):
        message = f"the drill gives no `stdout` for `{step.id}`, so its result is missing there"
        findings.add((*loc, "result"), message, "add it under drill: steps:", warning=True)


def _answered(answers: dict[StepId, model.DrillStep], step: model.Step) -> bool:
    return step.id in answers and bool(answers[step.id].stdout.strip())


def _lint_variants(
    step: model.Step, script: model.Script, loc: Location, findings: Findings
) -> None:
    """Warn where an endpoint would have a script but no check, verify or undo to go with it."""
    for key, part in (("check", step.check), ("verify", step.verify), ("undo", step.undo)):
        if part is None or (key == "verify" and part is step.check):
            continue
        for system in model.LANGUAGES_OF:
            if script.for_os(system) and not part.for_os(system):
                message = f"`{key}` has nothing for {system}, the action has"
                findings.add((*loc, key), message, "add a file for it", warning=True)
                break


def _lint_phases(playbook: model.Playbook, findings: Findings) -> None:
    if playbook.kind == "other" or findings.uncertain(("steps",)):
        return
    phases = {step.phase for step in playbook.steps}
    for phase in ("verify", "communicate"):
        if phase not in phases:
            message = f"a {playbook.kind} playbook without a step of phase {phase}"
            findings.add(("kind",), message, f"add a step with `phase: {phase}`", warning=True)


def _lint_rollout(playbook: model.Playbook, rollout: model.Rollout, findings: Findings) -> None:
    """Warn of words that mean nothing here: who wrote them counts on what will not happen."""
    if findings.uncertain(("rollout",)) or findings.uncertain(("steps",)):
        return
    changing = [step for step in playbook.steps if step.changes and not step.once]
    if not changing:
        message = "this rollout does nothing: no step changes endpoints"
        findings.add(("rollout",), message, "remove it", key=True, warning=True)
        return
    faults = {
        "pounce": rollout.pounce and not rollout.waiting_room_s and _POUNCE,
        "bake": rollout.bake_s and not any(s.check or s.verify for s in changing) and _BAKE,
        "pause": rollout.pause != "none" and _is_all(rollout.waves[0]) and _PAUSE,
        "waves": not _is_all(rollout.waves[-1]) and _WAVES,
    }
    for key, fault in faults.items():
        if fault:
            findings.add(("rollout", key), *fault, key=True, warning=True)


def _is_all(wave: str) -> bool:
    return wave.endswith("%") and percent(wave) == _ALL


def _lint_code(playbook: model.Playbook, piece: Written, findings: Findings) -> None:
    code = piece.code
    if code.language == "powershell":
        for found in _MERGED_STREAMS.finditer(code.text):
            message = "in Windows PowerShell `2>&1` turns a program's stderr into a failure"
            _warn(piece, found.start(), message, "leave it out: both streams are kept", findings)
    names = {*playbook.params, *model.RESERVED_NAMES, *(step.id for step in playbook.steps)}
    names.update(name for step in playbook.steps for name in step.with_)
    for found in _PLACEHOLDER.finditer(code.text):
        if found[1] in names:
            message = f"{shown(found[0])} stays as it is: scripts are no templates"
            where = (
                f"$OK.{found[1]}" if code.language == "powershell" else f"$OK_{found[1].upper()}"
            )
            where = f"%OK_{found[1].upper()}%" if code.language == "cmd" else where
            _warn(piece, found.start(), message, f"its value is in `{where}`", findings)


def _warn(piece: Written, offset: int, message: str, hint: str, findings: Findings) -> None:
    code = piece.code
    if not code.file:
        findings.add(piece.loc, message, hint, warning=True, offset=offset)
        return
    line = code.text.count("\n", 0, offset)
    column = offset - (code.text.rfind("\n", 0, offset) + 1) + 1
    source = code.text.split("\n")[line]
    path = findings.document.path.parent / code.file
    findings.problems.append(Problem(path, line + 1, column, message, hint, source, warning=True))
