"""What only a person can decide: steps of people, pauses between waves, doubts at the end. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from outagekit.events import (
    AnswerWord,
    ApprovalAsked,
    EndState,
    OnceFinished,
    RunPaused,
    StepFinished,
)
from outagekit.plan.model import Stage
from outagekit.playbook.expressions import ExpressionProblem, NoValue, evaluate
from outagekit.playbook.model import Approve, Manual, Step
from outagekit.run.engine.commands import Command
from outagekit.run.engine.situation import Situation
from outagekit.run.engine.state import Given, Progress, Question, State
from outagekit.run.engine.values import client_namespace, text_for_people

DRY_RUN_ASKS_NOBODY: Final = "a dry run asks nobody"
"""What is said of a person's step in a dry run."""
PAUSE: Final = "pause"
"""Beforehand, an answer of this name is for every pause between waves."""
_PATIENCE_MS: Final = 3_600_000
"""How long a pause between waves, or a doubt at the end, waits for somebody."""
_QUESTION_EXIT: Final = 6
YES_NO: Final[tuple[AnswerWord, ...]] = ("yes", "no")
OF_MANUAL: Final[tuple[AnswerWord, ...]] = ("yes", "skip", "no")
OF_DOUBT: Final[tuple[AnswerWord, ...]] = ("done", "rerun", "failed", "unknown")


def ask_or_say(
    state: State, progress: Progress, step: Step, names: Mapping[str, Any]
) -> StepFinished | ApprovalAsked:
    """Return what becomes of a person's step on one endpoint: asked, or done as answered."""
    endpoint = progress.endpoint
    name = f"{step.id}@{endpoint.id}"
    if state.plan.dry_run:
        skipped = EndState.SKIPPED
        return StepFinished(
            endpoint=endpoint.id, step=step.id, state=skipped, detail=DRY_RUN_ASKS_NOBODY
        )
    given = _given(state, name, f"{step.id}@{endpoint.client}", step.id)
    if given is None:
        question = _question(step, name, names, client=endpoint.client)
        return asked(replace(question, endpoint=endpoint.id), _patience_ms(step))
    end, detail, refused = _outcome(given)
    return StepFinished(
        endpoint=endpoint.id, step=step.id, state=end, detail=detail, refused=refused
    )


def once_stage(state: State, stage: Stage) -> tuple[list[Command], bool]:
    """Return what a stage that happens once does now, and whether it is over."""
    step = state.index.step[stage.steps[0]]
    scopes = [client.client for client in state.plan.clients] if stage.once == "client" else [""]
    open_scopes = [scope for scope in scopes if (step.id, scope) not in state.once]
    commands = [command for scope in open_scopes if (command := _once(state, step, scope))]
    return commands, not open_scopes


def _once(state: State, step: Step, client: str) -> Command | None:
    name = f"{step.id}@{client}" if client else step.id
    if name in state.questions:
        return None
    names = client_namespace(state, client)
    skipped = _skipped(state, step, names) or _moot(state, step, client)
    if skipped is not None:
        end, detail = skipped
        return OnceFinished(step=step.id, client=client, state=end, detail=detail)
    given = _given(state, name, step.id)
    if given is None:
        return asked(_question(step, name, names, client=client), _patience_ms(step))
    end, detail, refused = _outcome(given)
    return OnceFinished(step=step.id, client=client, state=end, detail=detail, refused=refused)


def _skipped(state: State, step: Step, names: Mapping[str, Any]) -> tuple[EndState, str] | None:
    if state.plan.dry_run:
        return EndState.SKIPPED, DRY_RUN_ASKS_NOBODY
    if step.when is None:
        return None
    try:
        if evaluate(step.when, names):
            return None
    except NoValue as missing:
        return EndState.SKIPPED, f"no value: {missing.name}"
    except ExpressionProblem as fault:
        return EndState.FAILED, f"an expression of the step fails here: {fault.message}"
    return EndState.SKIPPED, f"not when {step.when}"


def _moot(state: State, step: Step, client: str) -> tuple[EndState, str] | None:
    """Skip what nobody is left for: a person has refused the rest of everybody concerned."""
    if step.always:
        return None
    concerned = [p for p in state.progress.values() if client in {"", p.endpoint.client}]
    if not all(progress.refused for progress in concerned):
        return None
    return EndState.SKIPPED, "refused before"


def pause_before(state: State, stage: Stage, wave: int) -> tuple[list[Command], bool]:
    """Return what stands between a wave that passed and the next: a question, or nothing.

    The Boolean says whether the next wave may open.
    """
    pause = state.plan.rollout.pause
    if wave == 0 or pause == "none" or (pause == "first" and wave > 1):
        return [], True
    name = f"{PAUSE}-{stage.number}.{wave}"
    given = _given(state, name, PAUSE)
    if given is None:
        if name in state.questions:
            return [], False
        return [asked(_pause_question(state, stage, wave, name), _PATIENCE_MS)], False
    if given.answer == "yes":
        return [], True
    because = f": {given.because}" if given.because else ""
    if state.running:
        return [], False
    why = f"after wave {wave} of stage {stage.phase} {given.who} said no{because}"
    return [RunPaused(why=why, exit_code=_QUESTION_EXIT)], False


def waits_for_a_yes(state: State, stage: Stage) -> bool:
    """Return whether a stage stands between two waves for a person, who may have said no."""
    spread = state.spreads.get(stage.number)
    if spread is None or spread.open or not 0 < spread.judged < len(spread.waves):
        return False
    return not pause_before(state, stage, spread.judged)[1]


def is_told_to_pause(state: State) -> bool:
    """Return whether a person has said no between two waves: then nothing begins any more."""
    stage = state.stage
    if stage is None or not waits_for_a_yes(state, stage):
        return False
    name = f"{PAUSE}-{stage.number}.{state.spreads[stage.number].judged}"
    return _given(state, name, PAUSE) is not None


def _pause_question(state: State, stage: Stage, wave: int, name: str) -> Question:
    spread = state.spreads[stage.number]
    done = sum(map(len, spread.waves[:wave]))
    size = spread.size(wave + 1)
    total = sum(map(len, spread.waves))
    text = (
        f"wave {wave} of {len(spread.waves)} is done, {done} of {total} endpoints."
        f" Go on with wave {wave + 1}, {size} more?"
    )
    return Question(name=name, kind="pause", text=text, answers=YES_NO)


def overdue_question(state: State, now_ns: int) -> list[Command]:
    """Return a pause if nothing runs and a question was not answered in its time."""
    if state.running:
        return []
    overdue = [
        question.name
        for question in state.questions.values()
        if question.until_ns is not None and question.until_ns <= now_ns
    ]
    if not overdue:
        return []
    why = f"nobody answered in time: {', '.join(overdue[:3])}"
    return [RunPaused(why=why, exit_code=_QUESTION_EXIT)]


def ask_about_doubts(state: State, now_ns: int, *, attended: bool) -> list[Command]:
    """Return what is left at the very end: ask a person who is there, else pause at once."""
    waiting = [question for question in state.questions.values() if question.until_ns is None]
    if waiting and attended:
        return [asked(question, _PATIENCE_MS) for question in waiting]
    if len(waiting) < len(state.questions):
        return overdue_question(state, now_ns)
    number = len(state.questions)
    what = "a question waits" if number == 1 else f"{number} questions wait"
    return [RunPaused(why=f"{what} for a person", exit_code=_QUESTION_EXIT)]


def ask_at_gate(state: State, situation: Situation) -> tuple[list[Command], bool]:
    """Return what is asked about doubts that keep a gate closed, and whether that is over.

    Only of a person who is there, and only once they are all that is left of a second try.
    """
    if not situation.attended:
        return [], True
    doubts = [
        question
        for question in state.questions.values()
        if question.kind == "doubt" and question.endpoint in state.retrying
    ]
    unasked = [question for question in doubts if question.until_ns is None]
    waited_for = any((question.until_ns or 0) > situation.now_ns for question in doubts)
    return [asked(question, _PATIENCE_MS) for question in unasked], not (unasked or waited_for)


def asked(question: Question, for_ms: int = 0) -> ApprovalAsked:
    """Return the event that puts a question to people."""
    return ApprovalAsked(
        question=question.name,
        kind=question.kind,
        text=question.text,
        answers=question.answers,
        step=question.step,
        endpoint=question.endpoint,
        client=question.client,
        for_ms=for_ms,
    )


def _given(state: State, *names: str) -> Given | None:
    return next((state.answers[name] for name in names if name in state.answers), None)


def _question(step: Step, name: str, names: Mapping[str, Any], *, client: str) -> Question:
    action = step.action
    text = action.text if isinstance(action, Manual | Approve) else step.title
    is_approval = isinstance(action, Approve)
    return Question(
        name=name,
        kind="approve" if is_approval else "manual",
        text=text_for_people(text, names) or step.title,
        answers=YES_NO if is_approval else OF_MANUAL,
        step=step.id,
        client=client,
    )


def _outcome(given: Given) -> tuple[EndState, str, bool]:
    because = f": {given.because}" if given.because else ""
    said = f"{given.who} said {given.answer}{because}"
    if given.answer == "yes":
        return EndState.OK, said, False
    return EndState.SKIPPED, said, given.answer == "no"


def _patience_ms(step: Step) -> int:
    return int(step.timeout_s * 1000)
