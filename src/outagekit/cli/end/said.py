"""What endpoints said for people: words that are the purpose of a step, not its evidence. Pure.

Steps of phase `communicate`, and the command of an `exec`. The words are those of the log, so
secrets are out of them already.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from outagekit.cli.end.sections import names_text
from outagekit.cli.saying import result_line, without_place
from outagekit.events import StepPart
from outagekit.playbook.model import RunScript
from outagekit.run.engine.state import BAD
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from outagekit.events import EndpointId, Record, StepId
    from outagekit.plan.model import Plan
    from outagekit.playbook.model import Step
    from outagekit.run.engine.state import State

_LINES: Final = 12
_TYPED_LINES: Final = 60
"""Of a command somebody typed the answer is all there is to see."""
_LONGEST: Final = 400
"""Characters of a line."""


@dataclass(frozen=True, slots=True)
class Said:
    """What some endpoints said alike in a step."""

    step: StepId
    text: str
    """The words of the first of them; where there are several, an endpoint's own name and address
    are `it`. At most what the event in the log holds; never empty, not made visible."""
    endpoints: tuple[EndpointId, ...]
    """In the order of the plan."""

    @property
    def document(self) -> dict[str, object]:
        """What `--json` prints."""
        return {"step": self.step, "text": self.text, "endpoints": list(self.endpoints)}


def speaking(plan: Plan) -> frozenset[StepId]:
    """Return the steps whose output is meant for people."""
    typed = plan.playbook.origin == "typed"
    return frozenset(
        step.id
        for step in plan.steps
        if isinstance(step.action, RunScript) and (typed or step.phase == "communicate")
    )


def said_in(records: Iterable[Record], state: State) -> tuple[Said, ...]:
    """Return what was said in a run, step by step, what many said first.

    The last try of a step counts. What went wrong is told as such, unless somebody typed the
    command: its words are wanted all the same.
    """
    plan = state.plan
    steps = {step.id: step for step in plan.steps if step.id in speaking(plan)}
    typed = plan.playbook.origin == "typed"
    words: dict[tuple[StepId, EndpointId], str] = {}
    for record in records:
        event = record.event
        if isinstance(event, StepPart) and event.part == "script" and event.step in steps:
            words[event.step, event.endpoint] = _words(event, steps[event.step], typed=typed)
    groups: dict[tuple[StepId, str], list[tuple[EndpointId, str]]] = {}
    for each in state.progress.values():
        for step in steps:
            said = words.get((step, each.endpoint.id), "")
            end = each.ends.get(step)
            if said and (typed or (end is not None and end.state not in BAD)):
                alike = groups.setdefault((step, without_place(said, each.endpoint)), [])
                alike.append((each.endpoint.id, said))
    order = {step: number for number, step in enumerate(steps)}
    found = [_said(step, same, those) for (step, same), those in groups.items()]
    return tuple(sorted(found, key=lambda said: (order[said.step], -len(said.endpoints))))


def _said(step: StepId, same: str, those: Sequence[tuple[EndpointId, str]]) -> Said:
    text = those[0][1] if len(those) == 1 else same
    return Said(step, text, tuple(identity for identity, _ in those))


def _words(event: StepPart, step: Step, *, typed: bool) -> str:
    """Return an output without the line that is the step's result, if anything else is said."""
    streams = (event.stdout, event.stderr) if typed else (event.stdout,)
    parts = [part for stream in streams for part in (stream.text, stream.tail) if part.strip()]
    lines = "\n".join(part.strip("\n") for part in parts).rstrip().splitlines()
    result = _as_result(lines[-1]) if lines and step.result else None
    if result is None:
        return "\n".join(lines)
    return "\n".join(lines[:-1]).rstrip() or result_line(result)


def _as_result(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def said_lines(said: Sequence[Said], plan: Plan) -> Iterator[Text]:
    """Yield what was said, as much as a person reads; the rest by its number."""
    left = _TYPED_LINES if plan.playbook.origin == "typed" else _LINES
    most = left if len(said) == 1 else left // 3
    before: Said | None = None
    for number, each in enumerate(said):
        lines = list(_block(each, most, before))
        if before is not None and len(lines) > left:
            rest = said[number:]
            endpoints = count(sum(len(other.endpoints) for other in rest), "endpoint")
            yield Text()
            yield Text(f"{count(len(rest), 'other text')} said by {endpoints}: in the log", "dim")
            return
        left -= len(lines)
        before = each
        yield from lines


def _block(each: Said, most: int, before: Said | None) -> Iterator[Text]:
    """Yield the lines for one text; a short one follows another of the same step closely."""
    lines = [visible_line(line)[:_LONGEST] for line in each.text.splitlines()]
    if _is_row(each):
        if before is None or before.step != each.step or not _is_row(before):
            yield Text()
            yield Text(f"said by {visible_line(each.step)}:", "bold")
        yield Text.assemble("  ", (visible_line(each.endpoints[0]), "dim"), f"  {lines[0]}")
        return
    who = visible_line(each.endpoints[0])
    if len(each.endpoints) > 1:
        who = count(len(each.endpoints), "endpoint")
    yield Text()
    yield Text(f"said by {visible_line(each.step)} on {who}:", "bold")
    for line in lines[:most]:
        yield Text(f"  {line}")
    if len(lines) > most:
        yield Text(f"  and {count(len(lines) - most, 'more line')}: in the log", "dim")
    if len(each.endpoints) > 1:
        yield Text(f"    {names_text(each.endpoints)}", "dim")


def _is_row(each: Said) -> bool:
    return len(each.endpoints) == 1 and "\n" not in each.text
