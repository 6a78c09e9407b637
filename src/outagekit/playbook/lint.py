"""Warnings about a playbook that is valid but will disappoint. Shipped playbooks have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outagekit.playbook import model
from outagekit.playbook.lint_code import lint_code
from outagekit.playbook.units import percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from outagekit.events import StepId
    from outagekit.playbook.actions import Written
    from outagekit.playbook.findings import Findings
    from outagekit.source import Location

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
    _lint_hands_on(playbook, findings)
    seen: set[tuple[str, str]] = set()
    for piece in written:
        key = (piece.code.file, piece.code.text)
        if not piece.code.file or key not in seen:
            lint_code(playbook, piece, findings)
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
    if 0 not in step.success:
        message = "exit code 0 is no success for this step"
        findings.add((*loc, "success"), message, "add 0, unless that is meant", warning=True)
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


def _lint_hands_on(playbook: model.Playbook, findings: Findings) -> None:
    """Warn of a rung nobody can be on, because one before it takes all it is for."""
    for index, rung in enumerate(playbook.hands_on):
        before = playbook.hands_on[:index]
        if any(_takes_all(other, rung) for other in before) or _both_taken(before, rung):
            message = f"nobody comes to the rung {rung.rung}: one before it is for all of them"
            findings.add(("hands_on", index), message, "put it before that one", warning=True)


def _takes_all(other: model.HandsOn, rung: model.HandsOn) -> bool:
    return other.for_ in {None, rung.for_} and other.seen in {None, rung.seen}


def _both_taken(before: Sequence[model.HandsOn], rung: model.HandsOn) -> bool:
    whole = {each.seen for each in before if each.for_ in {None, rung.for_}}
    return {True, False} <= whole


def _is_all(wave: str) -> bool:
    return wave.endswith("%") and percent(wave) == _ALL
