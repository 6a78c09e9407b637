"""A plan as people read it, or as one document."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from outagekit.cli.render import Screen
    from outagekit.events import EndpointId
    from outagekit.plan.model import Plan
    from outagekit.plan.summary import StepRow, Summary

_SHOWN_ENDPOINTS: Final = 20
_SHOWN_STEPS: Final = 10
_SHOWN_WAVES: Final = 6
_SHOWN_JUMPS: Final = 6
_HEADERS: Final = ("stage", "step", "risk", "needs", "at most", "check", "verify", "undo")
_NARROW: Final = 76
"""Columns below which the table of steps has no room."""
_PAUSES: Final = {"first": "the first wave", "each": "each wave"}


def show_plan(screen: Screen, plan: Plan, *, words: Sequence[str]) -> None:
    """Print the plan: who, what, in which waves, what is refused or has no undo, how to run it."""
    from outagekit.plan.allowed import flags
    from outagekit.plan.summary import SHORT, next_command, summarise

    if screen.json:
        screen.document(plan_document(plan))
        return
    summary = summarise(plan)
    _print(screen, _heading(plan, summary))
    screen.print("")
    if (screen.page_width or _NARROW) < _NARROW:
        _print(screen, map(_line, summary.steps))
    else:
        screen.table(_HEADERS, map(_row, summary.steps))
    screen.print("")
    _print(screen, _below_the_steps(plan, summary))
    if plan.refusals:
        screen.print(f"  goes on only with {flags(plan.refusals)}")
    screen.print(f"plan {plan.digest[:SHORT]}")
    if not plan.refusals:
        screen.next([next_command(words, plan, powershell=os.name == "nt")])


def plan_document(plan: Plan) -> dict[str, object]:
    """Return the plan as `plan --json` prints it: stable for the same inputs."""
    import msgspec

    from outagekit.plan.summary import summarise

    document = msgspec.to_builtins(summarise(plan))
    document["endpoints"] = [endpoint.id for endpoint in plan.endpoints]
    document["params"] = plan.params
    return dict(document)


def _print(screen: Screen, lines: Iterable[str]) -> None:
    """Print lines to stdout; a terminal gets them folded between words."""
    from rich.text import Text

    from outagekit.cli.fitting import fold_line
    from outagekit.text import visible_line

    width = screen.page_width
    for line in map(visible_line, lines):
        pieces = fold_line(Text(line), width) if width else [Text(line)]
        screen.print("\n".join(piece.plain for piece in pieces))


def _heading(plan: Plan, summary: Summary) -> Iterator[str]:
    from outagekit.cli.render import json_text
    from outagekit.text import count, fold_list

    yield f"{plan.playbook.title}  ({plan.playbook.name}, {plan.playbook.origin})"
    if plan.dry_run:
        yield "DRY RUN: only reading steps and checks are executed, nothing is changed"
    clients = ", ".join(f"{client} {number}" for client, number in summary.endpoints.items())
    yield f"{count(len(plan.endpoints), 'endpoint')}: {clients}"
    yield f"  {fold_list((endpoint.id for endpoint in plan.endpoints), _SHOWN_ENDPOINTS)}"
    for name, value in plan.params.items():
        yield f"  {name} = {value if isinstance(value, str) else json_text(value)}"


def _row(row: StepRow) -> tuple[str, ...]:
    """Return a step as a row of a table."""

    def mark(has: bool) -> str:
        return "yes" if has else "-"

    return (
        row.phase,
        row.id,
        row.risk,
        ", ".join(row.needs),
        f"once per {row.once}" if row.once else str(row.endpoints),
        mark(row.check),
        mark(row.verify),
        mark(row.undo),
    )


def _line(row: StepRow) -> str:
    """Return a step as a line, where a table has no room."""
    most = f"once per {row.once}" if row.once else f"at most {row.endpoints}"
    parts = {"check": row.check, "verify": row.verify, "undo": row.undo}
    facts = [row.risk, *row.needs, most, *(part for part, has in parts.items() if has)]
    return f"{row.phase}: {row.id} ({', '.join(facts)})"


def _below_the_steps(plan: Plan, summary: Summary) -> Iterator[str]:
    yield from _spreading(plan, summary)
    yield from _becoming_root(plan, summary)
    yield from _on_the_way(summary)
    yield from _asking(plan)
    yield from _taking_back(summary)
    yield from _refused(plan)


def _becoming_root(plan: Plan, summary: Summary) -> Iterator[str]:
    """Yield where changes run as root, and which steps say themselves as whom they run."""
    from outagekit.text import count, fold_list

    if summary.by_sudo:
        what = "what is looked at is looked at" if summary.dry_run else "changes run"
        yield f"{what} as root by sudo on {count(summary.by_sudo, 'endpoint')}"
    for account, name in (("root", "root"), ("system", "the system"), ("login", "who logs in")):
        steps = [step.id for step in plan.steps if step.account == account]
        if steps:
            yield f"as {name}: {fold_list(steps, _SHOWN_STEPS)}"


def _on_the_way(summary: Summary) -> Iterator[str]:
    from outagekit.text import count

    jumps = list(summary.by_jump.items())
    for jump, number in jumps[:_SHOWN_JUMPS]:
        yield f"through the jump host {jump}: {count(number, 'endpoint')}"
    if len(jumps) > _SHOWN_JUMPS:
        yield f"through {len(jumps) - _SHOWN_JUMPS} more jump hosts: see --json"
    for way, number in summary.by_winrm.items():
        yield f"by WinRM over {way}: {count(number, 'endpoint')}"


def _asking(plan: Plan) -> Iterator[str]:
    """Yield which steps wait for a person, and how a script answers them."""
    from outagekit.playbook.model import Approve, Manual
    from outagekit.text import fold_list

    asking = [step.id for step in plan.steps if isinstance(step.action, Approve | Manual)]
    if asking and not plan.dry_run:
        names = fold_list(asking, _SHOWN_STEPS)
        yield f"a person is asked: {names}; beforehand: --approve STEP='NAME: REASON'"


def _spreading(plan: Plan, summary: Summary) -> Iterator[str]:
    """Yield how changes spread: survey, waves with their gates, and what else slows them down."""
    from outagekit.text import duration, fold_list

    if summary.rollout is None:
        return
    rollout = summary.rollout
    yield from _survey(plan, summary)
    yield from _waves(summary)
    goes = "goes" if len(summary.leading) == 1 else "go"
    yield from _chosen("first", rollout.first, summary.leading, f"{goes} first")
    yield from _chosen("apart", rollout.apart, summary.apart, "never two of a client in one wave")
    if rollout.pause != "none":
        yield f"pause: a person is asked after {_PAUSES[rollout.pause]}"
    if rollout.bake_s:
        waits = duration(rollout.bake_s)
        yield f"bake: each wave waits {waits} and is verified again before it is judged"
    if rollout.waiting_room_s:
        waits = duration(rollout.waiting_room_s)
        yield f"waiting room: who cannot be reached is waited for, {waits} at most"
    if summary.pounce:
        yield f"pounce: {fold_list(summary.pounce, _SHOWN_STEPS)} at once on who comes back there"


def _survey(plan: Plan, summary: Summary) -> Iterator[str]:
    from outagekit.plan.spread import is_probe
    from outagekit.text import fold_list

    if summary.survey:
        what = fold_list(summary.survey, _SHOWN_STEPS)
        if any(is_probe(step) for step in plan.steps if step.id in summary.survey):
            what = f"{what} (runs `true`)"
        yield f"survey: {what} on every endpoint first; who does not answer is not changed"


def _waves(summary: Summary) -> Iterator[str]:
    """Yield the waves once: at their maximum they are the same in every changing stage."""
    from outagekit.plan.foreseen import gate_words, sizes_words
    from outagekit.text import count, fold_list

    stages = fold_list((stage.phase for stage in summary.waves), _SHOWN_STEPS)
    most = summary.waves[0]
    sizes = sizes_words(most.waves, _SHOWN_WAVES)
    yield f"{stages}, at most: {sizes} of {count(most.endpoints, 'endpoint')}"
    for wave in most.waves[:_SHOWN_WAVES]:
        size = count(wave.endpoints, "endpoint")
        yield f"  wave {wave.wave}, {size}: goes on with {gate_words(wave.gate)}"
    hidden = len(most.waves) - _SHOWN_WAVES
    if hidden > 0:
        yield f"  {count(hidden, 'more wave')}: see --json"


def _chosen(
    word: str, selector: str | None, chosen: Sequence[EndpointId], meaning: str
) -> Iterator[str]:
    from outagekit.text import fold_list

    if selector is not None:
        who = fold_list(chosen, _SHOWN_STEPS) or "nobody here"
        yield f"{word}: {who} ({selector}) {meaning}" if chosen else f"{word}: {who} ({selector})"


def _taking_back(summary: Summary) -> Iterator[str]:
    from outagekit.text import fold_list

    if summary.dry_run and summary.no_check:
        yield f"no check, so not foreseen: {fold_list(summary.no_check, _SHOWN_STEPS)}"
    if summary.undo_on_failure:
        undone = [row.id for row in summary.steps if row.risk != "read" and row.undo]
        yield f"undo on failure: {fold_list(undone, _SHOWN_STEPS)}"
    if summary.no_undo and not summary.dry_run:
        yield f"no undo: {fold_list(summary.no_undo, _SHOWN_STEPS)}"


def _refused(plan: Plan) -> Iterator[str]:
    from outagekit.text import fold_list

    for refusal in plan.refusals:
        steps = fold_list(refusal.steps, _SHOWN_STEPS)
        yield f"REFUSED by the agreement of {refusal.client}: {refusal.allow} ({steps})"
