"""Waves one after another: cut, opened, watched, baked, judged. Pure.

A gate is looked at whenever something is decided, so that it closes during its wave as soon as a
limit is certainly exceeded, and once more when the wave is over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from outagekit.events import (
    EndpointId,
    GateLimit,
    GateSum,
    RunPaused,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.plan.gates import holds
from outagekit.plan.model import Stage
from outagekit.plan.waves import digest_of_waves
from outagekit.run.engine.commands import Command
from outagekit.run.engine.cutting import cut
from outagekit.run.engine.mending import to_recheck
from outagekit.run.engine.questions import pause_before
from outagekit.run.engine.spread import STRAGGLERS, Spread, borne, excused_by
from outagekit.run.engine.state import State

GATE_EXIT = 5
_HARM = ("failed", "unreachable", "unknown")


def wave_stage(state: State, stage: Stage) -> tuple[list[Command], bool]:
    """Return what a stage with waves does now that no step can begin, and whether it is over."""
    spread = state.spreads.get(stage.number)
    if spread is None:
        return [_cut(state, stage)], False
    if spread.open:
        return _at_open_wave(state, stage.number, spread), False
    if spread.judged < len(spread.waves):
        asked, may_open = pause_before(state, stage, spread.judged)
        return ([_open(state, stage.number, spread)] if may_open else asked), False
    return [], not state.present


def stop_wave(state: State) -> list[Command]:
    """Return the stop of the open wave, or of the stragglers, once a limit is exceeded for sure.

    A limit of the run may be exceeded at several gates at once: the one with those who exceed it
    closes, for they are tried again there.
    """
    exceeded = sorted(_exceeded(state), key=lambda found: not found[1])
    return [stop for stop, _ in exceeded[:1]]


def _exceeded(state: State) -> Iterator[tuple[WaveStopped, bool]]:
    """Yield the stop of every gate that does not hold, and whether its own endpoints are why."""
    for number, spread in state.spreads.items():
        for wave in (spread.open, STRAGGLERS):
            if wave == STRAGGLERS and not spread.stragglers:
                continue
            sums = _sums(state, number, wave, certain=True)
            if not holds(sums):
                stop = WaveStopped(stage=number, wave=wave, sums=sums)
                yield stop, _has_part_in(sums, spread, wave)


def _has_part_in(sums: tuple[GateSum, ...], spread: Spread, wave: int) -> bool:
    tally = spread.tally(wave)
    return any(each.what == "answered" or tally[each.what] for each in sums if not each.holds)


def is_tried_again(state: State) -> bool:
    """Return whether somebody who closed a gate is still at its second chance."""
    return any(_is_at_work(state, identity) for identity in state.retrying)


def at_gate(state: State, *, stopping: bool = False) -> list[Command]:
    """Return what follows at a closed gate: it opens again if it holds now, else the run pauses.

    If others than those tried again still exceed a limit of the run, it closes where they are.
    If the run is stopping, not everybody had its second chance, and nothing opens.
    """
    if state.closed_gate is None:
        return []
    stage, wave = state.closed_gate
    sums = _sums(state, stage, wave, certain=True)
    if state.gate_retried and holds(sums) and not stopping:
        return [WaveReopened(stage=stage, wave=wave, sums=sums)]
    if state.gate_retried and not _has_part_in(sums, state.spreads[stage], wave):
        elsewhere = [stop for stop, is_theirs in _exceeded(state) if is_theirs]
        if elsewhere:
            return [*elsewhere[:1]]
    closing = state.closing if holds(sums) else sums
    bad = ", ".join(_in_words(each) for each in closing if not each.holds)
    of = f"wave {wave}" if wave else "those who came back"
    why = f"the gate of {of} is closed: {bad}"
    return [RunPaused(why=why, exit_code=GATE_EXIT)]


def sums_at_gate(state: State) -> tuple[GateSum, ...]:
    """Return the arithmetic of the gate that is closed; empty if none is."""
    if state.closed_gate is None:
        return ()
    stage, wave = state.closed_gate
    spread = state.spreads[stage]
    over = wave == STRAGGLERS or not spread.tally(wave)["busy"]
    return _sums(state, stage, wave, certain=not over)


def judge_stragglers(state: State) -> list[Command]:
    """Return the bake and the judgement of those who came back, once everything else is done."""
    for number, spread in state.spreads.items():
        if len(spread.stragglers) > spread.stragglers_judged:
            if spread.tally(STRAGGLERS)["busy"]:
                return []
            return _bake_or_judge(state, number, spread, STRAGGLERS)
    return []


def _at_open_wave(state: State, number: int, spread: Spread) -> list[Command]:
    if spread.tally(spread.open)["busy"]:
        return []
    return _bake_or_judge(state, number, spread, spread.open)


def _bake_or_judge(state: State, number: int, spread: Spread, wave: int) -> list[Command]:
    bake_ms = int(state.plan.rollout.bake_s * 1000)
    if bake_ms:
        changed = _to_bake(state, number, spread, wave)
        if changed:
            return [WaveBaking(stage=number, wave=wave, endpoints=changed, for_ms=bake_ms)]
    sums = _sums(state, number, wave, certain=False)
    return [WaveJudged(stage=number, wave=wave, passed=holds(sums), sums=sums)]


def _to_bake(state: State, number: int, spread: Spread, wave: int) -> int:
    steps = state.plan.stages[number - 1].steps
    members = (state.progress[identity] for identity in spread.members(wave))
    late = wave == STRAGGLERS
    return sum(bool(to_recheck(state, progress, steps, late=late)) for progress in members)


def _cut(state: State, stage: Stage) -> WavesCut:
    waves, outside = cut(state)
    sizes = tuple(map(len, waves))
    return WavesCut(
        stage=stage.number,
        sizes=sizes,
        outside=len(outside),
        sha256=digest_of_waves(waves),
    )


def _open(state: State, number: int, spread: Spread) -> WaveOpened:
    wave = spread.judged + 1
    return WaveOpened(
        stage=number,
        wave=wave,
        waves=len(spread.waves),
        endpoints=spread.size(wave),
        limits=_limits(state, number, wave, new=_new_in(state, spread, wave)),
    )


def _sums(state: State, number: int, wave: int, *, certain: bool) -> tuple[GateSum, ...]:
    # Stragglers are judged by what went wrong, whoever may still come back.
    certain = certain or wave == STRAGGLERS
    spread = state.spreads[number]
    before: Counter[str] = Counter()
    for other, earlier in state.spreads.items():
        if other != number:
            before.update({key: earlier.total[key] for key in _HARM})
    limits = _limits(state, number, wave)
    return spread.judgement(limits, wave, before, certain=certain)


def _limits(state: State, number: int, wave: int, *, new: int = 0) -> tuple[GateLimit, ...]:
    """Return a wave's gate as it is shown and judged: with what a person went past."""
    spread, so_far = state.spreads[number], len(state.waved) + new
    return tuple(
        borne(each, state.excused.get(excused_by(number, wave, each)))
        for each in spread.limits_for(state.plan.rollout.gate, wave, so_far)
    )


def _new_in(state: State, spread: Spread, wave: int) -> int:
    return sum(identity not in state.waved for identity in spread.members(wave))


def _is_at_work(state: State, identity: EndpointId) -> bool:
    waits = identity in state.attention or identity in state.delayed
    return waits or state.progress[identity].running is not None


def _in_words(each: GateSum) -> str:
    least = "at least" if each.what == "answered" else "at most"
    of = "" if each.scope == "wave" else " of the run"
    return f"{each.found} {each.what} of {each.of}{of}, {least} {each.limit}"
