"""Where an endpoint stands after something happened to it: in which queue, counted as what.

Part of `fold`: called with every endpoint an event is about, it derives all queues and counts
from the endpoint's progress, so that none can be forgotten.
"""

from __future__ import annotations

from outagekit.events import EndState
from outagekit.run.engine.spread import Condition, InWave, Spread
from outagekit.run.engine.state import BAD, RANK, Progress, State, next_position, place_of

_CONDITION: dict[EndState, Condition] = {
    EndState.FAILED: "failed",
    EndState.UNKNOWN: "unknown",
    EndState.UNREACHABLE: "unreachable",
}
_SEEN_LOOPING = 2
"""So often an endpoint has to come back before it counts as boot-looping."""


def settle(state: State, progress: Progress) -> None:
    """Put an endpoint into the queue it belongs to, and count it as what it is now."""
    progress.position = next_position(
        state, progress, 0 if is_looping(state, progress) else progress.position
    )
    _unqueue(state, progress)
    if progress.running is None:
        _queue(state, progress)
    _be_present(state, progress)
    for number, spread in state.spreads.items():
        _count(state, progress, number, spread)


def next_index(state: State, progress: Progress) -> int:
    """Return the index of the step an endpoint takes next: first things first if it is looping."""
    if _is_pouncing(state, progress):
        open_stage = state.stage.number if state.stage else 0
        for name in state.plan.pounce:
            at = state.index.position[name]
            if name not in progress.ends and state.index.stage[at] <= open_stage:
                return at
    return progress.position


def stage_at(state: State, position: int) -> int:
    """Return the number of the stage a step index lies in; past the last step, past the last."""
    if position >= len(state.index.stage):
        return len(state.plan.stages) + 1
    return state.index.stage[position]


def is_looping(state: State, progress: Progress) -> bool:
    """Return whether an endpoint counts as boot-looping: it took steps out of their order."""
    return progress.returns >= _SEEN_LOOPING and bool(state.plan.pounce)


def _is_pouncing(state: State, progress: Progress) -> bool:
    if not is_looping(state, progress) or progress.ended:
        return False
    return state.plan.pounce[-1] not in progress.ends


def _unqueue(state: State, progress: Progress) -> None:
    identity, place = progress.endpoint.id, place_of(progress.endpoint)
    for queue in (state.continuing, state.fresh, state.straggling):
        queue.remove(identity, place)
    for waiting in (state.pouncing, state.delayed, state.attention):
        waiting.pop(identity, None)


def _queue(state: State, progress: Progress) -> None:
    identity, place = progress.endpoint.id, place_of(progress.endpoint)
    if progress.parked_until_ns is not None or progress.asked:
        return
    if progress.doubt is not None or progress.unreached:
        state.attention[identity] = None
    elif progress.due_ns is not None:
        state.delayed[identity] = progress.due_ns
    elif progress.undo or progress.recheck:
        state.continuing.add(identity, place)
    else:
        _queue_for_step(state, progress)


def _queue_for_step(state: State, progress: Progress) -> None:
    identity, place = progress.endpoint.id, place_of(progress.endpoint)
    at = stage_at(state, next_index(state, progress))
    if state.stage is None or at > state.stage.number:
        return
    spread = state.spreads.get(at)
    if identity in state.retrying and not progress.straggler:
        # Perhaps from an earlier stage on, whose change was taken back.
        state.continuing.add(identity, place)
        return
    if _is_behind(state, progress, at, spread):
        progress.straggler = True
    if progress.straggler and _is_pouncing(state, progress):
        state.pouncing[identity] = None
    elif progress.straggler and state.spreads_in(state.plan.stages[at - 1]):
        state.straggling.add(identity, place)
    elif _may_go(state, progress, at, spread):
        begun = progress.straggler or progress.stage_begun == at
        (state.continuing if begun else state.fresh).add(identity, place)


def _is_behind(state: State, progress: Progress, at: int, spread: Spread | None) -> bool:
    if state.stage is not None and at < state.stage.number:
        return True
    if spread is None:
        return False
    identity = progress.endpoint.id
    wave = spread.wave_of.get(identity)
    if wave is None:
        return identity not in spread.outside
    return wave <= spread.judged


def _may_go(state: State, progress: Progress, at: int, spread: Spread | None) -> bool:
    """Return whether an endpoint that keeps up with the others may take its next step."""
    if not state.spreads_in(state.plan.stages[at - 1]):
        return True
    if spread is None:
        return False
    wave = spread.wave_of.get(progress.endpoint.id)
    return wave is None or wave == spread.open


def _be_present(state: State, progress: Progress) -> None:
    """Keep the set of those the open stage waits for, apart from its waves."""
    identity = progress.endpoint.id
    stage = state.stage
    waited_for = (
        stage is not None
        and not progress.straggler
        and _is_busy(state, progress, stage.number)
        and (
            not state.spreads_in(stage)
            or (stage.number in state.spreads and identity in state.spreads[stage.number].outside)
        )
    )
    (state.present.add if waited_for else state.present.discard)(identity)


def _is_busy(state: State, progress: Progress, stage: int) -> bool:
    """Return whether an endpoint still has something to do in a stage, now or soon."""
    if progress.parked_until_ns is not None or (progress.asked and progress.doubt):
        return False
    if progress.running or progress.doubt or progress.unreached or progress.due_ns is not None:
        return True
    if progress.undo or progress.recheck:
        return True
    return stage_at(state, progress.position) <= stage


def _count(state: State, progress: Progress, stage: int, spread: Spread) -> None:
    identity = progress.endpoint.id
    if identity in spread.wave_of or identity in spread.stragglers:
        busy = _is_busy(state, progress, stage)
        found = _condition(state, progress, stage)
        away = progress.parked_until_ns is not None and progress.doubt is not None
        spread.count(
            identity,
            InWave(_missed(progress, found), busy=busy and not progress.straggler),
            InWave("waiting" if away else found, busy=busy),
        )


def _missed(progress: Progress, condition: Condition) -> Condition:
    """Return what an endpoint is in its wave, which does not wait for one that went away."""
    if condition != "waiting" or not progress.straggler:
        return condition
    return "unknown" if progress.doubt is not None else "unreachable"


def _condition(state: State, progress: Progress, stage: int) -> Condition:
    parked = progress.parked_until_ns is not None
    doubt = progress.doubt
    if doubt is not None and stage_at(state, state.index.position[doubt.step]) == stage:
        return "unknown" if progress.asked or parked else "waiting"
    worst = None if progress.unreached else _worst_in(state, progress, stage)
    if worst is not None:
        return _CONDITION[worst]
    if parked and progress.recheck:
        return "unreachable"
    at_work = progress.unreached or progress.recheck or progress.undo
    if at_work or stage_at(state, progress.position) <= stage:
        return "waiting"
    return "good"


def _worst_in(state: State, progress: Progress, stage: int) -> EndState | None:
    steps = state.plan.stages[stage - 1].steps
    ends = (progress.ends[name].state for name in steps if name in progress.ends)
    return min((end for end in ends if end in BAD), key=RANK.__getitem__, default=None)
