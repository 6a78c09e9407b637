"""The cut of the open stage's waves: a pure function of the state, for deciding and for replay."""

from __future__ import annotations

from outagekit.events import EndpointId
from outagekit.plan.waves import Waves, cut_waves
from outagekit.run.engine.placing import stage_at
from outagekit.run.engine.state import Progress, State
from outagekit.run.engine.values import needs_change


def cut(state: State) -> tuple[Waves, tuple[EndpointId, ...]]:
    """Return the open stage's waves, and who takes part in the stage without a wave.

    Cut over endpoints that keep up with the others and whose changing steps are not ruled out.
    """
    stage = state.stage
    if stage is None:
        return (), ()
    keeping_up = [p for p in state.progress.values() if _keeps_up(state, p, stage.number)]
    needing = [p for p in keeping_up if needs_change(state, p, stage.steps)]
    chosen = {p.endpoint.id for p in needing}
    waves = cut_waves(
        (p.endpoint for p in needing),
        state.plan.rollout.waves,
        first=state.plan.first,
        apart=state.plan.apart,
    )
    return waves, tuple(p.endpoint.id for p in keeping_up if p.endpoint.id not in chosen)


def _keeps_up(state: State, progress: Progress, stage: int) -> bool:
    return (
        not progress.straggler
        and progress.parked_until_ns is None
        and not (progress.asked and progress.doubt)
        and stage_at(state, progress.position) == stage
    )
