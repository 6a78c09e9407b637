"""From a validated file to a playbook: defaults are filled in, values are judged together.

References between steps, expressions and lints are the business of `check` and `lint`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from outagekit.events import Allow, StepId
from outagekit.playbook import model, units
from outagekit.playbook.actions import ActionBuilder
from outagekit.playbook.naming import Names
from outagekit.playbook.values import Unfit, fit, fit_param

if TYPE_CHECKING:
    from outagekit.playbook.findings import Findings
    from outagekit.playbook.input import (
        DrillInput,
        DrillStepInput,
        GateInput,
        ParamInput,
        PlaybookInput,
        RolloutInput,
        StepInput,
    )
    from outagekit.source import Location

_LOCAL = (model.Manual, model.Approve, model.Later)
_ON_ENDPOINTS_ONLY = ("check", "verify", "undo", "retry", "as", "detach", "result", "success")
_SCRIPTS_ONLY = ("detach", "result", "retry", "success")
_ONCE_HINT = "only manual, approve, http, vendor_status and notify can happen once"
_TIMEOUT_S = 300.0
_PATIENCE_S = 3600.0
_ALL = 100.0


class PlaybookBuilder:
    """Builds one playbook; what is wrong goes to the findings of its `actions`."""

    def __init__(self, actions: ActionBuilder) -> None:
        self._actions = actions
        self._findings: Findings = actions.findings

    def build(self, data: PlaybookInput, name: str) -> model.Playbook:
        """Return the playbook; it may be used only if nothing was found."""
        return model.Playbook(
            name=name,
            title=data.title,
            kind=data.kind,
            summary=data.summary or "",
            targets=data.targets,
            params={key: self._param(key, param) for key, param in data.params.items()},
            rollout=self._rollout(data.rollout) if data.rollout else None,
            steps=self._steps(data),
            drill=self._drill(data.drill) if data.drill else None,
            hands_on=tuple(
                model.HandsOn(rung=each.rung, do=each.do, for_=each.for_, seen=each.seen)
                for each in data.hands_on
            ),
            refs=tuple(data.refs),
        )

    def _steps(self, data: PlaybookInput) -> tuple[model.Step, ...]:
        names = Names(self._findings, data)
        phase: model.Phase = "fix"
        steps: list[model.Step] = []
        for index, step in enumerate(data.steps):
            phase = step.phase or phase
            identity, title = names.of(index)
            steps.append(self._step(("steps", index), step, (identity, title, phase)))
        return tuple(steps)

    def _step(
        self, loc: Location, step: StepInput, naming: tuple[StepId, str, model.Phase]
    ) -> model.Step:
        action = self._actions.action(loc, step) or model.Manual("")
        language = _language_of(action)
        check = self._actions.part((*loc, "check"), step.check, language)
        verify = self._actions.part((*loc, "verify"), step.verify, language)
        risk = self._risk(loc, step, action)
        if action != model.Manual(""):
            self._misplaced(loc, step, action)
            if step.as_ == "system" and not isinstance(action, _LOCAL):
                self._as_system(loc, action)
        return model.Step(
            id=naming[0],
            title=naming[1],
            phase=naming[2],
            action=action,
            risk=risk,
            needs=tuple(dict.fromkeys((*_needs(action, risk), *(step.needs or ())))),
            check=check,
            verify=verify or check,
            undo=self._actions.part((*loc, "undo"), step.undo, language),
            when=step.when,
            with_=dict(step.with_),
            result=dict(step.result),
            success=tuple(dict.fromkeys(step.success)) if step.success else (0,),
            timeout_s=self._timeout_s(loc, step, action),
            retry=_retry(step),
            once=step.once,
            always=step.always,
            account=step.as_,
            detach=step.detach,
            on_doubt=step.on_doubt,
            refs=tuple(step.refs),
            line=self._findings.document.mark(loc)[0],
        )

    def _risk(self, loc: Location, step: StepInput, action: model.Action) -> model.Risk:
        changes = isinstance(action, model.RunScript | model.Push | model.Reboot)
        always_changes = isinstance(action, model.Push | model.Reboot)
        if step.risk == "read" and always_changes:
            what = "a reboot" if isinstance(action, model.Reboot) else "writing a file"
            message = f"{what} changes the endpoint, `risk` cannot be read"
            self._findings.add((*loc, "risk"), message, "remove the key, or write destructive")
        return step.risk or ("change" if changes else "read")

    def _misplaced(self, loc: Location, step: StepInput, action: model.Action) -> None:
        """Note keys that would do nothing for this action."""
        local = isinstance(action, _LOCAL)
        if step.once is not None and not local:
            message = "`once` has no place here: this step runs on endpoints"
            self._findings.add((*loc, "once"), message, _ONCE_HINT, key=True)
        if isinstance(action, model.RunScript):
            return
        why = "runs nothing on the endpoint" if local else "runs no script"
        given = {field.alias or name for name, field in _given(step)}
        for key in _ON_ENDPOINTS_ONLY if local else _SCRIPTS_ONLY:
            if key in given:
                message = f"`{key}` has no place here: this step {why}"
                self._findings.add((*loc, key), message, "remove it", key=True)

    def _as_system(self, loc: Location, action: model.Action) -> None:
        """Note `as: system` where no script for Windows is the action."""
        if not isinstance(action, model.RunScript):
            message = "`as: system` is for steps that run a script"
            self._findings.add((*loc, "as"), message, "do it in a powershell step")
        elif action.script.for_os("windows") is None:
            message = "`as: system` is for windows, and this step has no script for it"
            self._findings.add((*loc, "as"), message, "add one in powershell, or `as: root`")

    def _timeout_s(self, loc: Location, step: StepInput, action: model.Action) -> float:
        if step.timeout is not None:
            if not step.timeout:
                self._findings.add((*loc, "timeout"), "`timeout` must be more than 0")
            return step.timeout
        if isinstance(action, model.Reboot):
            return action.within_s
        return _PATIENCE_S if isinstance(action, _LOCAL) else _TIMEOUT_S

    def _param(self, name: str, param: ParamInput) -> model.Param:
        loc: Location = ("params", name)
        choices = [
            self._fit((*loc, "choices", index), param.type, value)
            for index, value in enumerate(param.choices)
        ]
        if param.pattern is not None:
            self._pattern((*loc, "pattern"), param)
        made = model.Param(
            type=param.type,
            default=None,
            required=param.default is None,
            help=param.help or "",
            choices=tuple(choices),
            pattern=param.pattern or "",
        )
        if param.default is None:
            return made
        return model.Param(
            type=made.type,
            default=self._default((*loc, "default"), made, param.default),
            required=False,
            help=made.help,
            choices=made.choices,
            pattern=made.pattern,
        )

    def _fit(self, loc: Location, kind: model.ValueType, value: Any) -> Any:
        try:
            return fit(kind, value)
        except Unfit as error:
            self._findings.add(loc, f"this choice {error}")
            return value

    def _default(self, loc: Location, param: model.Param, value: Any) -> Any:
        if self._findings.uncertain(loc[:-1]):
            return value
        try:
            return fit_param(param, value)
        except Unfit as error:
            self._findings.add(loc, f"the default {error}")
        except re.error:
            pass  # the pattern itself was reported
        return value

    def _pattern(self, loc: Location, param: ParamInput) -> None:
        if param.type != "text":
            self._findings.add(loc, "`pattern` is for parameters of type text", key=True)
        try:
            re.compile(param.pattern or "")
        except (re.error, RecursionError, OverflowError) as error:
            self._findings.add(loc, f"this is no regular expression: {error}")

    def _rollout(self, data: RolloutInput) -> model.Rollout:
        loc: Location = ("rollout", "waves")
        for index in range(1, len(data.waves)):
            before, wave = data.waves[index - 1], data.waves[index]
            same_kind = before.endswith("%") == wave.endswith("%")
            if same_kind and float(wave.rstrip("%")) <= float(before.rstrip("%")):
                hint = "waves count everybody so far, like [1, 5%, 25%, 100%]"
                self._findings.add((*loc, index), f"the wave {wave} is not larger", hint)
        for index, wave in enumerate(data.waves):
            if not float(wave.rstrip("%")):
                self._findings.add((*loc, index), "a wave of nobody")
        return model.Rollout(
            first=data.first,
            waves=tuple(data.waves) or model.Rollout().waves,
            pause=data.pause,
            bake_s=data.bake,
            gate=_gate(data.gate) if data.gate else model.Gate(),
            waiting_room_s=data.waiting_room,
            pounce=StepId(data.pounce) if data.pounce else None,
            apart=data.apart,
        )

    def _drill(self, data: DrillInput) -> model.Drill:
        for name, value in data.state.items():
            if isinstance(value, dict):
                self._shares(("drill", "state", name), value)
        steps = {StepId(key): _drill_step(step) for key, step in data.steps.items()}
        return model.Drill(dict(data.state), steps)

    def _shares(self, loc: Location, shares: dict[str, Any]) -> None:
        total = 0.0
        for value, part in shares.items():
            try:
                total += units.percent(part)
            except ValueError:
                message = "the share of a value must be a percentage like `40%`"
                self._findings.add((*loc, value), message)
                return
        if total > _ALL or not shares:
            self._findings.add(loc, f"the shares add up to {total:g}%, not to 100% at most")


def _given(step: StepInput) -> list[tuple[str, Any]]:
    fields = type(step).model_fields
    return [(name, fields[name]) for name in step.model_fields_set]


def _language_of(action: model.Action) -> model.Language | None:
    if isinstance(action, model.RunScript) and action.script.variants:
        return action.script.variants[0].language
    return None


def _needs(action: model.Action, risk: model.Risk) -> tuple[Allow, ...]:
    """Return what the step needs in any case: a playbook may ask for more, never for less."""
    if isinstance(action, _LOCAL):
        return ()
    if isinstance(action, model.Reboot):
        return ("reboot",)
    if isinstance(action, model.Fetch):
        return ("collect",)
    return ("diagnose",) if risk == "read" else ("remediate",)


def _retry(step: StepInput) -> model.Retry:
    retry = step.retry
    return model.Retry(retry.attempts, retry.delay, retry.backoff) if retry else model.Retry()


def _gate(gate: GateInput) -> model.Gate:
    return model.Gate(gate.min_answered, gate.max_failed, gate.max_unreachable, gate.max_unknown)


def _drill_step(data: DrillStepInput) -> model.DrillStep:
    return model.DrillStep(
        stdout=data.stdout,
        stderr=data.stderr,
        exit_code=data.exit_code,
        set=dict(data.set),
        check=data.check,
        verify=data.verify,
        takes_s=data.takes,
    )
