"""A drill's run from its beginning to its end: nobody is needed to answer, and no gate ends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

from outagekit.lab.drill import DRILL, drill_answers
from outagekit.plan.model import Plan
from outagekit.run.conduct import Conducted, Setting, conduct, conduct_on
from outagekit.run.opening import Beginning, Resumption

GATE_EXIT: Final = 5
PAST_GATE: Final = "a rehearsal goes on, so that everything is rehearsed"


def rehearse(plan: Plan, state_dir: Path, setting: Setting) -> Conducted:
    """Run a drill's plan and return how it ended; each gate that closed stands in its log.

    Where a gate pauses the run, it is taken up again past it, in this process, as a person would.
    Questions are answered beforehand, unless the setting has a voice: then that one is asked.
    Comes back paused when a person stops it, or a doubt waits for somebody. Raises what `conduct`
    and `conduct_on` raise.
    """
    given = drill_answers(plan) if setting.voice is None else ()
    over = conduct(plan, state_dir, setting, Beginning(drill=True, given=given))
    going_on = replace(setting, on_open=None)
    # Each time somebody gets further than before; this is more often than that can happen.
    for _ in range(len(plan.endpoints) * len(plan.steps)):
        if over.ending.exit_code != GATE_EXIT or over.ending.state.closed:
            break
        how = Resumption(past_gate=PAST_GATE, who=DRILL)
        over = conduct_on(over.folder, going_on, how)
    return over
