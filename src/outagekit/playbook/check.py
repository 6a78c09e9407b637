"""What ties a playbook together: names, references between steps, expressions, the drill.

Everything here works on a built playbook and its document, and notes problems only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from outagekit.playbook import model
from outagekit.playbook.expressions import (
    Expression,
    ExpressionProblem,
    parse_expression,
    parse_template,
)
from outagekit.playbook.naming import EXPRESSION_WORDS
from outagekit.source import shown
from outagekit.text import closest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outagekit.playbook.findings import Findings
    from outagekit.source import Location

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,59}")
_SCRIPT_FACTS = frozenset({"step", "part"})
"""Facts only scripts see, as OK_STEP and OK_PART."""
_PAUSE = "pause"
"""What `--approve` calls the question after a wave."""
_RESULT_WORDS = model.STEP_FIELDS | EXPRESSION_WORDS


def check(playbook: model.Playbook, findings: Findings) -> None:
    """Note every fault of names, references, expressions and drill."""
    _check_names(playbook, findings)
    for index in range(len(playbook.steps)):
        _check_step(playbook, index, findings)
    _check_pounce(playbook, findings)
    if playbook.drill:
        _check_drill(playbook, playbook.drill, findings)


def _check_names(playbook: model.Playbook, findings: Findings) -> None:
    _check_values(playbook.params, ("params",), findings, {})
    for index, step in enumerate(playbook.steps):
        loc: Location = ("steps", index)
        _check_values(step.with_, (*loc, "with"), findings, playbook.params)
        for name in step.result:
            if not _NAME.fullmatch(name):
                findings.add((*loc, "result", name), *_bad_name(name), key=True)
            elif name in _RESULT_WORDS:
                message = f"`{name}` is a word of the product, no field of a result"
                findings.add((*loc, "result", name), message, "choose another name", key=True)
        _check_step_id(playbook, step, (*loc, "id"), findings)


def _check_step_id(
    playbook: model.Playbook, step: model.Step, loc: Location, findings: Findings
) -> None:
    name = step.id
    if name == _PAUSE and step.local:
        message = f"`{name}` is the question between two waves, no id of a step that asks"
        findings.add(loc, message, "choose another id")
    elif name in playbook.params:
        message = f"`{name}` is a parameter, no step can have its name"
        findings.add(loc, message, "choose another id")
    elif name in model.RESERVED_NAMES or name in EXPRESSION_WORDS:
        findings.add(loc, f"`{name}` is a word of the product, no id", "choose another id")


def _check_values(
    names: Iterable[str], loc: Location, findings: Findings, above: Iterable[str]
) -> None:
    """Note names of values for scripts that cannot be, or that meet as `OK_<NAME>`."""
    taken = {name.upper(): name for name in above}
    for name in names:
        place = (*loc, name)
        other = taken.setdefault(name.upper(), name)
        if not _NAME.fullmatch(name):
            findings.add(place, *_bad_name(name), key=True)
        elif name.lower() in model.RESERVED_NAMES | _SCRIPT_FACTS | EXPRESSION_WORDS:
            message = f"`{name}` is a word of the product, no name of a value"
            findings.add(place, message, "choose another name", key=True)
        elif other != name:
            message = f"`{name}` and `{other}` are both OK_{name.upper()} for a script"
            findings.add(place, message, "choose another name", key=True)
        elif name in above:
            message = f"`{name}` is a parameter, which the script has already"
            findings.add(place, message, "remove it, or choose another name", key=True)


def _bad_name(name: str) -> tuple[str, str]:
    hint = "a letter, then letters, digits and `_`, at most 60"
    return f"{shown(name)} cannot be a name", hint


@dataclass(frozen=True, slots=True)
class _Scope:
    """What an expression at one place may refer to."""

    playbook: model.Playbook
    index: int
    """Of the step the expression stands in."""

    def fault(self, reference: str) -> tuple[str, str] | None:
        """Return message and hint if a reference has no meaning here."""
        name, _, rest = reference.partition(".")
        values = model.RESERVED_NAMES | self.playbook.params.keys()
        if name in values:
            return (f"`{name}` is a plain value without fields", "") if rest else None
        position: dict[str, int] = {
            step.id: index for index, step in enumerate(self.playbook.steps)
        }
        if name not in position:
            before = [step.id for step in self.playbook.steps[: self.index]]
            near = closest(name, [*values, *before])
            return f"`{name}` is not known", f"did you mean `{near}`?" if near else ""
        if position[name] >= self.index:
            itself = "is this step itself" if position[name] == self.index else "runs later"
            return f"`{name}` {itself}, its outcome is not known here", "refer to earlier steps"
        return self._field_fault(self.playbook.steps[position[name]], rest)

    @staticmethod
    def _field_fault(step: model.Step, field: str) -> tuple[str, str] | None:
        fields = (*step.result, *sorted(model.STEP_FIELDS))
        if field in fields:
            return None
        listed = ", ".join(fields)
        if not field:
            return f"`{step.id}` is a step: name one of its fields", f"it has {listed}"
        near = closest(field, fields)
        hint = f"did you mean `{step.id}.{near}`?" if near else f"it has {listed}"
        return f"`{step.id}` has no field {shown(field)}", hint


def _check_step(playbook: model.Playbook, index: int, findings: Findings) -> None:
    step = playbook.steps[index]
    scope = _Scope(playbook, index)
    loc: Location = ("steps", index)
    if step.when is not None:
        expression = _expression(step.when, (*loc, "when"), scope, findings)
        if expression and not expression.names:
            message = "`when` refers to nothing, it is always the same"
            findings.add((*loc, "when"), message, "remove it, or refer to a step", warning=True)
    for name, value in step.with_.items():
        if isinstance(value, str):
            _expression(value, (*loc, "with", name), scope, findings)
    if isinstance(step.action, model.Manual | model.Approve) and step.action.text:
        key = "manual" if isinstance(step.action, model.Manual) else "approve"
        _template(step.action.text, (*loc, key), scope, findings)


def _expression(
    text: str, loc: Location, scope: _Scope | _DrillScope, findings: Findings
) -> Expression | None:
    try:
        expression = parse_expression(text)
    except ExpressionProblem as error:
        findings.add(loc, error.message, error.hint, offset=error.offset)
        return None
    _references(expression, loc, scope, findings, 0)
    return expression


def _template(text: str, loc: Location, scope: _Scope | _DrillScope, findings: Findings) -> None:
    try:
        template = parse_template(text)
    except ExpressionProblem as error:
        findings.add(loc, error.message, error.hint, offset=error.offset)
        return
    for part, begin in zip(template.parts, template.offsets, strict=True):
        if isinstance(part, Expression):
            _references(part, loc, scope, findings, begin)


def _references(
    expression: Expression,
    loc: Location,
    scope: _Scope | _DrillScope,
    findings: Findings,
    begin: int,
) -> None:
    if findings.names_uncertain:
        return
    for name in sorted(expression.names):
        fault = scope.fault(name)
        if fault:
            findings.add(loc, *fault, offset=begin + expression.offset_of(name))


def _check_pounce(playbook: model.Playbook, findings: Findings) -> None:
    wanted = playbook.rollout.pounce if playbook.rollout else None
    if wanted is not None and not findings.names_uncertain:
        fault = _no_such_step(playbook, wanted) or _not_on_endpoints(playbook, wanted)
        if fault:
            findings.add(("rollout", "pounce"), *fault)


def _not_on_endpoints(playbook: model.Playbook, name: str) -> tuple[str, str] | None:
    step = next(step for step in playbook.steps if step.id == name)
    if not step.local:
        return None
    return f"`{name}` runs nothing on an endpoint", "name the step that mends it"


def _no_such_step(playbook: model.Playbook, name: str) -> tuple[str, str] | None:
    ids = [step.id for step in playbook.steps]
    if name in ids:
        return None
    near = closest(name, ids)
    return f"there is no step {shown(name)}", f"did you mean `{near}`?" if near else ""


@dataclass(frozen=True, slots=True)
class _DrillScope:
    """A drill's expressions see the machine's state and the values a step's script gets."""

    state: frozenset[str]
    values: frozenset[str]

    def fault(self, reference: str) -> tuple[str, str] | None:
        """Return message and hint if a reference is neither of the state nor a value."""
        name, _, rest = reference.partition(".")
        if name in self.state | self.values:
            return (f"`{name}` is a plain value without fields", "") if rest else None
        return _not_in_state(name, self.state | self.values)


def _not_in_state(name: str, state: Iterable[str]) -> tuple[str, str]:
    near = closest(name, state)
    hint = f"did you mean `{near}`?" if near else "name it under `state`"
    return f"{shown(name)} is not in the drill's state", hint


def _check_drill(playbook: model.Playbook, drill: model.Drill, findings: Findings) -> None:
    for name in drill.state:
        if not _NAME.fullmatch(name) or name in EXPRESSION_WORDS:
            findings.add(("drill", "state", name), *_bad_name(name), key=True)
    handed = {step.id: step.with_.keys() for step in playbook.steps}
    facts = model.RESERVED_NAMES | playbook.params.keys()
    for identity, answer in drill.steps.items():
        loc: Location = ("drill", "steps", identity)
        fault = _no_such_step(playbook, identity)
        if fault and not findings.names_uncertain:
            findings.add(loc, *fault, key=True)
        values = facts | handed.get(identity, frozenset())
        _check_answer(answer, loc, _DrillScope(frozenset(drill.state), values), findings)


def _check_answer(
    answer: model.DrillStep, loc: Location, scope: _DrillScope, findings: Findings
) -> None:
    for key, text in (("stdout", answer.stdout), ("stderr", answer.stderr)):
        _template(text, (*loc, key), scope, findings)
    for key, verdict in (("check", answer.check), ("verify", answer.verify)):
        if verdict is not None:
            _expression(verdict, (*loc, key), scope, findings)
    for name, value in answer.set.items():
        if isinstance(value, str):
            _template(value, (*loc, "set", name), scope, findings)
        if name not in scope.state and not findings.names_uncertain:
            findings.add((*loc, "set", name), *_not_in_state(name, scope.state), key=True)
