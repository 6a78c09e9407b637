"""How a run ended as one document for programs: fields are added here, never changed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from outagekit.cli.end.by_hand import by_hand
from outagekit.cli.end.outcome import (
    closed_gate,
    foreseen_of,
    is_finished,
    not_taken,
    waiting_of,
)
from outagekit.events import EndState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from outagekit.cli.end.said import Said
    from outagekit.events import RunId
    from outagekit.plan.model import Plan
    from outagekit.run.engine.state import Progress, State, StepEnd
    from outagekit.run.surroundings import Ending


def counts_document(
    ending: Ending, plan: Plan, run: RunId, *, log_path: Path, said: Iterable[Said] = ()
) -> dict[str, Any]:
    """Return how a run ended for `--json`.

    `counts` has every end state, also those nobody is in; an endpoint that never came to its end
    is `finished: false`, its `state` is that of the steps it did, and `waiting` says for what.
    `said` has every text that steps said for people, with who said it; `hands_on` every endpoint
    out of reach, when it was last seen, and what the playbook says is to be done there by hand.
    """
    state = ending.state
    counts = state.counts()
    progress = state.progress.values()
    return {
        "run": run,
        "playbook": plan.playbook.name,
        "plan": plan.digest,
        "exit_code": ending.exit_code,
        "stopped_by": ending.why,
        "paused": bool(ending.why),
        "why": ending.why,
        "log": str(log_path),
        "dry_run": plan.dry_run,
        "undoes": plan.undoes,
        "counts": {each.value: counts.get(each, 0) for each in EndState},
        "unfinished": sum(not is_finished(p, plan) for p in progress),
        "gate": _gate(state),
        "questions": [_question(state, name) for name in state.questions],
        "parked": list(state.parked),
        "once": [
            {"step": step, "client": client, "state": end.state.value, "detail": end.detail}
            for (step, client), end in state.once.items()
        ],
        "undone": [
            {"endpoint": p.endpoint.id, "step": step}
            for p in progress
            for step, end in p.ends.items()
            if end.undone
        ],
        "said": [each.document for each in said],
        "hands_on": [each.row for each in by_hand(state)],
        "endpoints": [_endpoint(each, plan) for each in progress],
    }


def _gate(state: State) -> dict[str, Any] | None:
    """Return the gate that is closed, with its sums and who makes each of them not hold."""
    gate = closed_gate(state)
    if gate is None:
        return None
    return {
        "stage": gate.stage.number,
        "phase": gate.stage.phase,
        "wave": gate.wave,
        "waves": gate.waves,
        "sums": [
            {
                "what": each.what,
                "found": each.found,
                "limit": each.limit,
                "of": each.of,
                "scope": each.scope,
                "holds": each.holds,
                "endpoints": list(who),
            }
            for each, who in zip(gate.sums, gate.culprits, strict=True)
        ],
    }


def _question(state: State, name: str) -> dict[str, Any]:
    asked = state.questions[name]
    return {
        "question": name,
        "kind": asked.kind,
        "text": asked.text,
        "answers": list(asked.answers),
        "step": asked.step,
        "client": asked.client,
        "endpoint": asked.endpoint,
    }


def _endpoint(progress: Progress, plan: Plan) -> dict[str, Any]:
    worst = progress.worst
    return {
        "endpoint": progress.endpoint.id,
        "state": progress.state.value,
        "finished": is_finished(progress, plan),
        "waiting": waiting_of(progress, plan),
        "question": progress.asked,
        "refused": progress.refused,
        "returned": progress.returns,
        "foreseen": foreseen_of(progress) if plan.dry_run else "",
        "failure": worst.failure.value if worst and worst.failure else None,
        "detail": worst.detail if worst else "",
        "steps": {step: _step(end) for step, end in progress.ends.items()},
        "not_taken": not_taken(progress, plan),
    }


def _step(end: StepEnd) -> dict[str, Any]:
    return {
        "state": end.state.value,
        "failure": end.failure.value if end.failure else None,
        "detail": end.detail,
        "result": end.result,
        "would_change": end.would_change,
        "undone": end.undone,
    }
