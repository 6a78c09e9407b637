"""Parts of the fold about stages and waves: cut, opened, baked, judged, stopped, opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from outagekit.errors import LogDamaged
from outagekit.events import (
    EndpointId,
    Event,
    StageOpened,
    WaveBaking,
    WaveJudged,
    WaveOpened,
    WaveReopened,
    WavesCut,
    WaveStopped,
)
from outagekit.plan.waves import digest_of_waves
from outagekit.run.engine import mending
from outagekit.run.engine.cutting import cut
from outagekit.run.engine.placing import settle, stage_at
from outagekit.run.engine.spread import STRAGGLERS, Spread, excused_by
from outagekit.run.engine.state import State

_MS_NS = 1_000_000


def _open_stage(state: State, event: StageOpened, _now_ns: int) -> None:
    state.stage = state.plan.stages[event.stage - 1]
    state.present.clear()
    for progress in state.progress.values():
        if stage_at(state, progress.position) == event.stage:
            progress.straggler = False
        settle(state, progress)


def _cut(state: State, event: WavesCut, _now_ns: int) -> None:
    waves, outside = cut(state)
    if digest_of_waves(waves) != event.sha256:
        raise LogDamaged("the waves of the log are not those its plan and records lead to")
    wave_of = {each: n for n, wave in enumerate(waves, 1) for each in wave}
    state.spreads[event.stage] = Spread(waves, wave_of, frozenset(outside))
    _settle_all(state, (*wave_of, *outside))


def _open_wave(state: State, event: WaveOpened, _now_ns: int) -> None:
    spread = state.spreads[event.stage]
    spread.open = event.wave
    state.waved.update(spread.members(event.wave))
    _settle_all(state, spread.members(event.wave))


def _bake(state: State, event: WaveBaking, now_ns: int) -> None:
    spread = state.spreads[event.stage]
    spread.baked.add(event.wave)
    steps = state.plan.stages[event.stage - 1].steps
    for identity in spread.members(event.wave):
        progress = state.progress[identity]
        late = event.wave == STRAGGLERS
        again = mending.to_recheck(state, progress, steps, late=late)
        if again:
            progress.recheck = again
            progress.due_ns = now_ns + event.for_ms * _MS_NS
            settle(state, progress)


def _judge(state: State, event: WaveJudged, _now_ns: int) -> None:
    spread = state.spreads[event.stage]
    if not event.passed:
        _close_gate(state, event)
    elif event.wave:
        spread.judged, spread.open = event.wave, 0
    else:
        spread.stragglers_judged = len(spread.stragglers)


def _stop_wave(state: State, event: WaveStopped, _now_ns: int) -> None:
    _close_gate(state, event)


def _close_gate(state: State, event: WaveJudged | WaveStopped) -> None:
    state.closed_gate = (event.stage, event.wave)
    state.closing = event.sums
    state.gate_retried = False
    state.retrying.clear()


def _reopen_wave(state: State, event: WaveReopened, _now_ns: int) -> None:
    retried = tuple(state.retrying)
    state.closed_gate = None
    state.gate_retried = False
    state.retrying.clear()
    if event.because:
        for each in event.sums:
            if not each.holds:
                state.excused[excused_by(event.stage, event.wave, each)] = each.found
    _settle_all(state, retried)


def _settle_all(state: State, identities: Iterable[EndpointId]) -> None:
    for identity in identities:
        settle(state, state.progress[identity])


FOLDS: Final[dict[type[Event], Callable[[State, Any, int], None]]] = {
    StageOpened: _open_stage,
    WavesCut: _cut,
    WaveOpened: _open_wave,
    WaveBaking: _bake,
    WaveJudged: _judge,
    WaveStopped: _stop_wave,
    WaveReopened: _reopen_wave,
}
"""Event -> what it does to a state; the last argument is run time."""
