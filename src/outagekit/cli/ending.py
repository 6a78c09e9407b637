"""What a run came to, for people and for programs. Pure: values in, lines or a document out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rich.text import Text

from outagekit.cli.advice import ADVICE, UNKNOWN
from outagekit.cli.render import STATE_STYLE
from outagekit.cli.tally import ENDING, without_place
from outagekit.events import WORST_FIRST, EndState, FailureKind
from outagekit.text import count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from outagekit.events import RunId, StepId
    from outagekit.plan.model import Plan
    from outagekit.playbook.model import Playbook
    from outagekit.run.state import Progress, StepEnd
    from outagekit.run.surroundings import Ending

_MEANING: Final[dict[EndState, str]] = {
    EndState.CHANGED: "changed by this run",
    EndState.OK: "nothing had to be changed",
    EndState.FAILED: "definitely not as wanted",
    EndState.UNKNOWN: "nobody knows whether it happened",
    EndState.UNREACHABLE: "no command of ours ran in that step",
    EndState.SKIPPED: "no step applied",
}
_SHOWN_ORDER: Final = (
    EndState.OK,
    EndState.CHANGED,
    EndState.FAILED,
    EndState.UNKNOWN,
    EndState.UNREACHABLE,
    EndState.SKIPPED,
)
_UNFINISHED: Final = "not finished"
_RANK: Final = {state: rank for rank, state in enumerate(WORST_FIRST)}
_MAX_DETAILS: Final = 3
_MAX_REASONS: Final = 5
_MAX_CLIENTS: Final = 3
_MAX_NAMES: Final = 5
_MAX_CLIENT_FLAGS: Final = 5
_PASTEABLE = re.compile(r"[\w./:@%+,=-]+", re.ASCII)
_PASTEABLE_PATH = re.compile(r"[\w./:@%+,=\\ -]+")


@dataclass(slots=True)
class _Trouble:
    """Endpoints that ended alike: same state, same kind of failure, same step."""

    step: StepId | None
    """None for the unreachable: they are so in every step."""
    state: EndState
    failure: FailureKind | None
    by_detail: dict[str, list[tuple[Progress, str]]] = field(default_factory=dict)
    """What was said, without addresses -> who said it, and their own words."""

    @property
    def size(self) -> int:
        return sum(map(len, self.by_detail.values()))


def summary(
    ending: Ending, plan: Plan, run: RunId, *, log_path: Path, verdict: str = ""
) -> tuple[Text, ...]:
    """Return the lines that say how a run ended: the sentence, the counts, what is not fixed.

    `verdict` is what verifying the log gave, as one line. Lines may be longer than a terminal;
    those with `no_wrap` are meant to be copied.
    """
    progress = list(ending.state.progress.values())
    return (
        Text(),
        _sentence(ending, plan, progress),
        *_counts(ending, plan, progress),
        *_troubles(progress),
        *_skips(plan, progress),
        *_unproved(plan, progress),
        Text(),
        Text.assemble(("run  ", "dim"), visible_line(run), no_wrap=True),
        Text.assemble(("log  ", "dim"), visible_line(str(log_path)), no_wrap=True),
        *([Text(f"     {visible_line(verdict)}", "dim", no_wrap=True)] if verdict else []),
    )


def next_commands(ending: Ending, plan: Plan) -> tuple[str, ...]:
    """Return at most three commands that make sense now, the most useful first.

    Running again is offered only where the words of the command follow from the plan, and never
    for endpoints that ended unknown: somebody has to look at those first.
    """
    worst = _worst_ends(ending.state.progress.values())
    commands = []
    # A key that is new has another remedy than one that was replaced; what was said names it.
    untrusted = [
        p.endpoint.id
        for p, end in worst
        if end.failure is FailureKind.HOST_KEY and "trust add" in end.detail
    ]
    inventory = not any(client.client == "adhoc" for client in plan.clients)
    if untrusted and inventory and plan.playbook.origin != "typed":
        commands.append(f"outagekit trust add {_selector(untrusted, worst)}")
    if worst or ending.why:
        commands.append("outagekit log show last")
    again = _again(plan, {end.state for _, end in worst}) if inventory else ""
    commands.extend([again] if again else [])
    commands.append("outagekit log verify last")
    return tuple(commands[:3])


def counts_document(ending: Ending, plan: Plan, run: RunId, *, log_path: Path) -> dict[str, Any]:
    """Return how a run ended for `--json`.

    `counts` has every end state, also those nobody is in; an endpoint that never came to its end
    is `finished: false`, and its `state` is that of the steps it did.
    """
    state = ending.state
    counts = state.counts()
    return {
        "run": run,
        "playbook": plan.playbook.name,
        "plan": plan.digest,
        "exit_code": ending.exit_code,
        "stopped_by": ending.why,
        "log": str(log_path),
        "counts": {each.value: counts.get(each, 0) for each in EndState},
        "unfinished": sum(not _finished(p, plan) for p in state.progress.values()),
        "endpoints": [_endpoint_document(each, plan) for each in state.progress.values()],
    }


def _endpoint_document(progress: Progress, plan: Plan) -> dict[str, Any]:
    worst = progress.worst
    return {
        "endpoint": progress.endpoint.id,
        "state": progress.state.value,
        "finished": _finished(progress, plan),
        "failure": worst.failure.value if worst and worst.failure else None,
        "detail": worst.detail if worst else "",
        "steps": {
            step: {
                "state": end.state.value,
                "failure": end.failure.value if end.failure else None,
                "detail": end.detail,
                "result": end.result,
            }
            for step, end in progress.ends.items()
        },
    }


def _finished(progress: Progress, plan: Plan) -> bool:
    return progress.ended or progress.position >= len(plan.steps)


def _good(progress: Progress, plan: Plan) -> bool:
    return not progress.ended and progress.position >= len(plan.steps)


def _sentence(ending: Ending, plan: Plan, progress: Sequence[Progress]) -> Text:
    good = sum(_good(each, plan) for each in progress)
    total = len(progress)
    every = good == total
    size = count(total, "endpoint")
    who = (f"All {size}" if total > 1 else "The endpoint") if every else f"{good} of {size}"
    one = (total if every else good) == 1
    wanted = "is as wanted" if one else "are as wanted"
    if _blind(plan, progress):
        wanted = "came to the end"
    what = wanted if plan.changes else "answered"
    stopped = f"Stopped by {visible_line(ending.why)}. " if ending.why else ""
    return Text(f"{stopped}{who} {what}.", "bold green" if every else "bold")


def _counts(ending: Ending, plan: Plan, progress: Sequence[Progress]) -> Iterable[Text]:
    found = Counter(each.state for each in progress if _finished(each, plan))
    unfinished = [each for each in progress if not _finished(each, plan)]
    rows = [(s.value, found[s], _MEANING[s], STATE_STYLE[s]) for s in _SHOWN_ORDER if found[s]]
    if unfinished:
        fresh = sum(not each.begun for each in unfinished)
        why = f"{fresh} of them not begun" if ending.why else "the run went no further"
        rows.append((_UNFINISHED, len(unfinished), why, "yellow"))
    words = max((len(word) for word, *_ in rows), default=0)
    digits = max((len(str(number)) for _, number, *_ in rows), default=0)
    for word, number, meaning, style in rows:
        row = Text(f"  {number:>{digits}}  ")
        row.append(f"{word:<{words}}", style)
        yield row.append(f"  {meaning}", "dim")


def _worst_ends(progress: Iterable[Progress]) -> list[tuple[Progress, StepEnd]]:
    return [(p, p.worst) for p in progress if p.worst is not None and p.worst.state in ENDING]


def _troubles(progress: Sequence[Progress]) -> Iterable[Text]:
    groups: dict[tuple[StepId | None, EndState, FailureKind | None], _Trouble] = {}
    for each, end in _worst_ends(progress):
        at = next(step for step, found in each.ends.items() if found is end)
        step = None if end.state is EndState.UNREACHABLE else at
        key = (step, end.state, end.failure)
        trouble = groups.setdefault(key, _Trouble(step, end.state, end.failure))
        words = visible_line(end.detail)
        same = without_place(words, each.endpoint)
        trouble.by_detail.setdefault(same, []).append((each, words))
    for trouble in sorted(groups.values(), key=lambda t: (_RANK[t.state], -t.size)):
        yield Text()
        yield from _trouble(trouble)


def _trouble(trouble: _Trouble) -> Iterable[Text]:
    head = Text(trouble.state.value, STATE_STYLE[trouble.state])
    where = f" in {visible_line(trouble.step)}" if trouble.step else ""
    kind = f" ({trouble.failure.value})" if trouble.failure else ""
    size = count(trouble.size, "endpoint")
    yield Text.assemble(head, f"{where}{kind}: {size}")
    largest = sorted(trouble.by_detail.items(), key=lambda item: -len(item[1]))
    for same, those in largest[:_MAX_DETAILS]:
        said = those[0][1] if len(those) == 1 else same
        if said:
            yield Text(f"  {said}")
        yield Text(f"    {_names([each for each, _ in those])}", "dim")
    rest = largest[_MAX_DETAILS:]
    if rest:
        others = [each for _, those in rest for each, _ in those]
        yield Text(f"  said otherwise by {_names(others)}", "dim")
    advice = ADVICE[trouble.failure] if trouble.failure else ""
    if trouble.state is EndState.UNKNOWN:
        advice = UNKNOWN
    if advice:
        yield Text(f"  -> {advice}", "italic")


def _names(progress: Sequence[Progress]) -> str:
    """Return endpoints folded by client: `acme/pos-01, pos-02 and 5 more; beta/web-01`."""
    by_client: dict[str, list[str]] = {}
    for each in progress:
        by_client.setdefault(each.endpoint.client, []).append(visible_line(each.endpoint.name))
    told = [
        f"{visible_line(client)}/{fold_list(names, _MAX_NAMES)}"
        for client, names in list(by_client.items())[:_MAX_CLIENTS]
    ]
    if len(by_client) > _MAX_CLIENTS:
        told.append(f"and those of {count(len(by_client) - _MAX_CLIENTS, 'more client')}")
    return "; ".join(told)


def _skips(plan: Plan, progress: Sequence[Progress]) -> Iterable[Text]:
    """Say why endpoints were left alone, if no step of them applied."""
    reasons: Counter[tuple[StepId, str]] = Counter()
    for each in progress:
        if each.state is EndState.SKIPPED and _good(each, plan):
            reasons.update((step, end.detail) for step, end in each.ends.items())
    if not reasons:
        return
    yield Text()
    most = reasons.most_common()
    for (step, reason), number in most[:_MAX_REASONS]:
        line = Text.assemble(("skipped", STATE_STYLE[EndState.SKIPPED]))
        yield line.append(f" {visible_line(step)} on {count(number, 'endpoint')}: ").append(
            visible_line(reason)
        )
    if len(most) > _MAX_REASONS:
        yield Text(f"and {count(len(most) - _MAX_REASONS, 'other reason')}", "dim")


def _blind(plan: Plan, progress: Sequence[Progress]) -> list[str]:
    """Return the steps that count as done although nothing looked whether they are."""
    return [
        visible_line(step.id)
        for step in plan.steps
        if step.changes
        and step.verify is None
        and any(p.ends[step.id].state is EndState.CHANGED for p in progress if step.id in p.ends)
    ]


def _unproved(plan: Plan, progress: Sequence[Progress]) -> Iterable[Text]:
    blind = _blind(plan, progress)
    if blind:
        has = "has" if len(blind) == 1 else "have"
        yield Text()
        yield Text(f"not proved: {fold_list(blind)} {has} no verify, only an exit code", "yellow")


def _selector(names: Sequence[str], worst: Sequence[tuple[Progress, StepEnd]]) -> str:
    """Return what chooses these endpoints on a command line, without any quoting."""
    if len(names) == 1:
        return names[0]
    clients = {progress.endpoint.client for progress, _ in worst}
    return "run:last:failed" + (" --all-clients" if len(clients) > 1 else "")


def _again(plan: Plan, states: set[EndState]) -> str:
    """Return the command that runs the plan again where it failed, or nothing.

    Nothing is returned if a word of it would have to be quoted in some shell, or guessed.
    """
    wanted = [s.value for s in (EndState.FAILED, EndState.UNREACHABLE) if s in states]
    words = None if plan.overrides else playbook_words(plan.playbook, plan.params)
    if not wanted or words is None:
        return ""
    limit = " or ".join(f"run:last:{state}" for state in wanted)
    quoted = f'"{limit}"' if len(wanted) > 1 else limit
    clients = [client.client for client in plan.clients]
    walls = [f"--client {client}" for client in clients] if len(clients) > 1 else []
    if len(walls) > _MAX_CLIENT_FLAGS:
        walls = ["--all-clients"]
    return " ".join(["outagekit run", *words, *walls, "--limit", quoted])


def playbook_words(book: Playbook, params: Mapping[str, Any]) -> list[str] | None:
    """Return the words that name a playbook and its values on a command line.

    None if there are none, or if one of them would have to be quoted in some shell.
    """
    if book.origin == "typed":
        return None
    words = [book.path if book.origin == "outside" else book.name]
    for name, value in params.items():
        declared = book.params.get(name)
        if declared is not None and not declared.required and declared.default == value:
            continue
        if not isinstance(value, str | int | float):
            return None
        given = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["-p", f"{name}={given}"]
    return words if all(_PASTEABLE.fullmatch(word) for word in words) else None
