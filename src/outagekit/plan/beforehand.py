"""Answers given before a run begins: `--approve STEP='Name: reason'`, judged against the plan.

What is answered here is not asked later. So a word that answers nothing is an error, and nobody
believes that a question is settled when it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from outagekit.errors import UsageError
from outagekit.events import ApprovalGiven
from outagekit.plan.foreseen import foreseen_stages
from outagekit.plan.model import Plan
from outagekit.playbook.model import Approve, Manual
from outagekit.text import closest, fold_list, visible_line

PAUSE: Final = "pause"
"""Answers every pause after a wave."""

_MAX_NAME: Final = 200
_MAX_REASON: Final = 2_000
_HOW: Final = "write --approve STEP='NAME: REASON'"
_SHOWN: Final = 60


def beforehand(words: Sequence[str], plan: Plan, *, os_user: str = "") -> tuple[ApprovalGiven, ...]:
    """Return the yes that each word gives, in the order of the words.

    `question` is a step's id, `id@client`, or `pause`: the id alone answers that step's question
    for every client and endpoint. A dry run asks nothing, so there nothing is returned. Raises
    one `UsageError` naming every word that is malformed, given twice, or answers nothing.
    """
    given = said_beforehand(words)
    known = questions(plan)
    faults = [_unknown(key, plan, known) for key in given if key not in known]
    if faults:
        raise UsageError("; ".join(faults), hint=_hint(given, known))
    if plan.dry_run:
        return ()
    return tuple(
        ApprovalGiven(
            question=question,
            answer="yes",
            who=who,
            os_user=os_user,
            because=because,
            how="beforehand",
        )
        for question, (who, because) in given.items()
    )


def said_beforehand(words: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return what `QUESTION=NAME: REASON` words say: question -> name and reason.

    Texts are cut of blanks and made visible, because they are shown and logged. Raises one
    `UsageError` naming every word that has another form, is too long, or is given twice.
    """
    given: dict[str, tuple[str, str]] = {}
    faults: list[str] = []
    for word in words:
        key, equals, said = word.partition("=")
        key = key.strip()
        name, _, reason = said.partition(":")
        who, because = _plain(name), _plain(reason)
        if not (key and equals and who and because):
            faults.append(f"--approve {_shown(word)} is not STEP='NAME: REASON'")
        elif len(who) > _MAX_NAME or len(because) > _MAX_REASON:
            faults.append(
                f"--approve {_shown(key)}: at most {_MAX_NAME} characters of name and"
                f" {_MAX_REASON} of reason"
            )
        elif key in given:
            faults.append(f"--approve {_shown(key)} is given twice")
        given.setdefault(key, (who, because))
    if faults:
        raise UsageError("; ".join(faults), hint=_HOW)
    return given


def questions(plan: Plan) -> tuple[str, ...]:
    """Return what can be answered beforehand: steps that ask, alone or for a client, and `pause`.

    `pause` is there only if the plan pauses between waves.
    """
    clients = [client.client for client in plan.clients]
    found: list[str] = []
    for step in plan.steps:
        if isinstance(step.action, Manual | Approve):
            found.append(step.id)
            if step.once != "run":
                found += [f"{step.id}@{client}" for client in clients]
    return (*found, PAUSE) if _pauses(plan) else tuple(found)


def _pauses(plan: Plan) -> bool:
    # A dry run has the same questions as the run it rehearses, though it does not ask them.
    live = msgspec.structs.replace(plan, dry_run=False)
    return plan.rollout.pause != "none" and bool(foreseen_stages(live))


def _unknown(key: str, plan: Plan, known: Sequence[str]) -> str:
    step = next((step for step in plan.steps if step.id == key.partition("@")[0]), None)
    if key == PAUSE:
        why = "this plan has no pause after a wave"
    elif step is None:
        why = "there is no such question"
    elif step.id not in known:
        why = "this step asks nobody"
    elif step.once == "run":
        why = "it is asked once per run, for all clients"
    else:
        why = "no such client is in this plan"
    return f"--approve {_shown(key)} answers nothing: {why}"


def _hint(given: Iterable[str], known: Sequence[str]) -> str:
    if not known:
        return "leave it out: this plan asks nothing that can be answered beforehand"
    wrong = next(key for key in given if key not in known)
    meant = closest(wrong, known)
    return f"did you mean {meant}?" if meant else f"it asks {fold_list(known, 10)}"


def _plain(text: str) -> str:
    return " ".join(visible_line(text).split())


def _shown(text: str) -> str:
    seen = visible_line(text)
    return repr(seen if len(seen) <= _SHOWN else f"{seen[:_SHOWN]}…")
