"""What should happen next, as a pure function of the state, the plan in it, and the time.

`decide` gives commands; the coordinator turns each into an event, folds it, and asks again until
there is nothing left to decide. No clock, no I/O, no randomness: attempt ids follow from names.
"""

from __future__ import annotations

from outagekit.events import (
    EndpointExpired,
    EndState,
    RunClosed,
    RunPaused,
    StageOpened,
    WaveJudged,
)
from outagekit.run.engine.commands import Command
from outagekit.run.engine.doubts import settle_attention
from outagekit.run.engine.placing import stage_at
from outagekit.run.engine.questions import (
    ask_about_doubts,
    ask_at_gate,
    is_told_to_pause,
    once_stage,
    overdue_question,
)
from outagekit.run.engine.rollout import (
    at_gate,
    is_tried_again,
    judge_stragglers,
    stop_wave,
    wave_stage,
)
from outagekit.run.engine.situation import Bounds, Situation
from outagekit.run.engine.starting import next_steps
from outagekit.run.engine.state import State

__all__ = ["Bounds", "Situation", "decide", "exit_code"]


STOPPED = 6


def decide(state: State, situation: Situation) -> list[Command]:
    """Return what to do now; empty while the run waits for something, or is over."""
    if state.closed or state.paused:
        return []
    if situation.stopping:
        return [] if state.running else _stop(state, situation)
    settled = [*_expired(state, situation.now_ns), *settle_attention(state, situation.now_ns)]
    if settled:
        return settled
    if state.closed_gate:
        return _at_closed_gate(state, situation)
    stopped = stop_wave(state)
    if stopped:
        return stopped
    begun = [] if is_told_to_pause(state) else next_steps(state, situation)
    return begun or _go_on(state, situation)


def _stop(state: State, situation: Situation) -> list[Command]:
    """Judge and close what is complete already, for that begins nothing; else pause."""
    if state.closed_gate:
        return at_gate(state, stopping=True)
    stopped = stop_wave(state)
    if stopped:
        return stopped
    if not state.attention:
        commands = _go_on(state, situation)
        if commands and all(isinstance(each, WaveJudged | RunClosed) for each in commands):
            return commands
    return [RunPaused(why=situation.stopping, exit_code=STOPPED)]


def _at_closed_gate(state: State, situation: Situation) -> list[Command]:
    """Let those who closed the gate take their steps again; then judge once more, or pause."""
    begun = next_steps(state, situation, only=state.retrying)
    if begun:
        return begun
    if state.running or is_tried_again(state):
        return []
    asked, is_over = ask_at_gate(state, situation)
    return at_gate(state) if is_over else asked


def _go_on(state: State, situation: Situation) -> list[Command]:
    stage = state.stage
    if stage is not None:
        if stage.once is not None:
            commands, done = once_stage(state, stage)
        elif state.spreads_in(stage):
            commands, done = wave_stage(state, stage)
        else:
            commands, done = [], not state.present
        if commands:
            return commands
        if not done:
            return overdue_question(state, situation.now_ns)
    following = _following(state)
    if following is not None:
        return [_opened(state, following)]
    return _end(state, situation)


def _following(state: State) -> int | None:
    """Return the number of the next stage anybody has something to do in, or None."""
    number = state.stage.number if state.stage else 0
    later = state.plan.stages[number:]
    if not later:
        return None
    if state.parked or state.questions or state.attention:
        return later[0].number
    reached = {stage_at(state, p.position) for p in state.progress.values()}
    wanted = (s.number for s in later if s.once is not None or s.number in reached)
    return next(wanted, None)


def _opened(state: State, number: int) -> StageOpened:
    stage = state.plan.stages[number - 1]
    here = sum(stage_at(state, p.position) == number for p in state.progress.values())
    return StageOpened(stage=number, phase=stage.phase, steps=stage.steps, endpoints=here)


def _end(state: State, situation: Situation) -> list[Command]:
    if state.running or state.straggling or state.pouncing or state.delayed or state.continuing:
        return overdue_question(state, situation.now_ns)
    commands = judge_stragglers(state)
    if commands:
        return commands
    if state.parked:
        return overdue_question(state, situation.now_ns)
    if state.questions:
        return ask_about_doubts(state, situation.now_ns, attended=situation.attended)
    return [RunClosed(counts=state.counts(), exit_code=exit_code(state))]


def _expired(state: State, now_ns: int) -> list[Command]:
    due = [i for i, until_ns in state.parked.items() if until_ns <= now_ns]
    return [EndpointExpired(endpoint=identity) for identity in due]


def exit_code(state: State) -> int:
    """Return the exit code the end states call for; a refusal outweighs failure, that silence."""
    counts = state.counts()
    if any(progress.refused for progress in state.progress.values()):
        return STOPPED
    failed_once = any(end.state is EndState.FAILED for end in state.once.values())
    if counts.get(EndState.FAILED) or failed_once:
        return 3
    if counts.get(EndState.UNREACHABLE) or counts.get(EndState.UNKNOWN):
        return 4
    return 0
