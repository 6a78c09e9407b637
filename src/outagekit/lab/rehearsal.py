"""A drill's run from its beginning to its end: nobody has to answer, and no gate ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from outagekit.lab.drill import DRILL, drill_answers
from outagekit.plan.model import Plan
from outagekit.run.conduct import Conducted
from outagekit.run.opening import Beginning, Resumption

GATE_EXIT: Final = 5
PAST_GATE: Final = "a rehearsal goes on, so that everything is rehearsed"


def rehearse(
    plan: Plan,
    begin: Callable[[Beginning], Conducted],
    go_on: Callable[[Path, Resumption], Conducted],
    *,
    trust_folder: Path,
    attended: bool = False,
) -> Conducted:
    """Run a drill's plan and return how it ended; each gate that closed stands in its log.

    `begin` runs it, `go_on` takes up the run in a folder: where a gate pauses the run, it is taken
    up again past it, as a person would. Questions are answered beforehand, unless it is
    `attended`. Comes back paused when a person stops it, or a doubt waits for somebody. Raises
    what `begin` and `go_on` raise.
    """
    given = () if attended else drill_answers(plan)
    over = begin(Beginning(drill=True, trust=str(trust_folder), given=given))
    # Each time somebody gets further than before; this is more often than that can happen.
    for _ in range(len(plan.endpoints) * len(plan.steps)):
        if over.ending.exit_code != GATE_EXIT or over.ending.state.closed:
            break
        over = go_on(over.folder, Resumption(past_gate=PAST_GATE, who=DRILL))
    return over
