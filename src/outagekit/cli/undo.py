"""`undo`: take back what a run changed, as a run of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Consent, Pace, Shown, SshConfig, Stored, Streamed
from outagekit.errors import LogUnwritable, NothingMatched, StoppedByPerson
from outagekit.text import count, fold_list, visible_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from outagekit.cli.places import Places
    from outagekit.cli.render import Screen
    from outagekit.events import EndpointId, StepId
    from outagekit.plan.model import Plan
    from outagekit.run.replay import Recorded
    from outagekit.run.traces import Marks, Traces
    from outagekit.run.undone import EarlierUndos

_Unknown = Literal["undo", "leave"]
_FLAG: Final = "--unknown undo or --unknown leave"
_MAX_NAMES: Final = 5


@command
def undo(
    *,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a path, or last.")
    ],
    pace: Pace,
    consent: Consent,
    streamed: Streamed,
    stored: Stored,
    shown: Shown,
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            "-l",
            envvar="OUTAGEKIT_LIMIT",
            help="Only these of the run's endpoints: a selector, as for run.",
            rich_help_panel="Which endpoints",
        ),
    ] = None,
    unknown: Annotated[
        _Unknown | None,
        typer.Option(
            "--unknown",
            help="Where nobody knows whether a step was done: undo it there too, or leave it.",
            rich_help_panel="Consent (never from the environment)",
        ),
    ] = None,
    ssh_config: SshConfig = None,
) -> None:
    """Take back what a run changed, in reverse order and in waves, as a run of its own.

    What cannot be taken back (no undo, failed half way, perhaps never done) is named first.
    """
    from outagekit.cli.places import find_places
    from outagekit.cli.run import begin_run
    from outagekit.cli.taken_up import desk_of, find_left
    from outagekit.plan.allowed import permissions
    from outagekit.run.traces import traces_of
    from outagekit.run.undoing import undo_plan

    streamed.check(shown)
    places = find_places(stored.state_dir, concurrency=pace.concurrency, connecting=pace.connecting)
    left = find_left(places, run)
    earlier = _earlier(places, left)
    desk = desk_of(shown.screen(), places, left, ssh_config)
    whole = traces_of(left, earlier.runs)
    traces = _limited(places, whole, limit)
    doubtful = steps_to_undo_unknown(desk.screen, traces, unknown)
    made = undo_plan(
        traces,
        doubtful=doubtful,
        overrides=permissions(
            consent.override or (), approved_by=consent.approved_by, because=consent.because
        ),
        selection=_selection(traces, limit),
    )
    _tell(desk.screen, made, traces, (*_left_alone(traces, doubtful), *_left_out(whole, traces)))
    _warn_of_earlier(desk.screen, earlier)
    begin_run(desk, made, pace=pace, consent=consent, streamed=streamed, shown=shown)


def _earlier(places: Places, left: Recorded) -> EarlierUndos:
    """Return who took the run back before. Raises `LogUnwritable` while anybody is at work."""
    from outagekit.log.lock import is_held
    from outagekit.run.undone import earlier_undos

    run = left.state.run
    if is_held(left.folder):
        hint = f"stop it first: outagekit stop {run}"
        raise LogUnwritable(f"{run} is still running", hint=hint)
    earlier = earlier_undos(places.state, run)
    for each in earlier.runs:
        if is_held(each.folder):
            raise LogUnwritable(f"{run} is being taken back already, by {each.state.run}")
    return earlier


def _warn_of_earlier(screen: Screen, earlier: EarlierUndos) -> None:
    for each in earlier.runs:
        if not each.state.closed:
            run = each.state.run
            screen.warn(f"{run} took it back in part and was left; resume goes on with that")
    for name in earlier.unread:
        screen.warn(f"{name} is an undo whose plan cannot be read: perhaps it was of this run")


def _limited(places: Places, traces: Traces, limit: str | None) -> Traces:
    """Return the traces on those of the run's endpoints that `limit` chooses."""
    import msgspec

    from outagekit.cli.prepare import lookups
    from outagekit.inventory.model import Inventory
    from outagekit.inventory.select import choose

    if limit is None:
        return traces
    clients = {
        client.client: msgspec.structs.replace(
            client,
            endpoints={e.name: e for e in traces.plan.endpoints if e.client == client.client},
        )
        for client in traces.plan.clients
    }
    chosen = choose(
        Inventory(clients=clients), limit=limit, all_clients=True, lookups=lookups(places)
    )
    narrowed = traces.among({endpoint.id for endpoint in chosen})
    if traces.standings and not narrowed.standings:
        message = f"{traces.run} has left nothing on the {count(len(chosen), 'endpoint')} chosen"
        raise NothingMatched(message, hint="look at --limit")
    return narrowed


def _selection(traces: Traces, limit: str | None) -> str:
    return f"changed by {traces.run}" + (f" and ({limit})" if limit else "")


def steps_to_undo_unknown(
    screen: Screen, traces: Traces, unknown: _Unknown | None
) -> Collection[StepId]:
    """Return the steps to undo where they are unknown too: as said beforehand, else asked.

    Each step is asked about once, for all its endpoints. Raises `UsageError` naming the flag
    without a terminal, and `StoppedByPerson` for any other answer than undo or leave.
    """
    found = traces.found("unknown", undo=True)
    if unknown is not None:
        return tuple(found) if unknown == "undo" else ()
    return [step for step, there in found.items() if _is_wanted(screen, step, there)]


def _is_wanted(screen: Screen, step: StepId, there: tuple[EndpointId, ...]) -> bool:
    question = (
        f"Nobody knows whether {_on(step, there)} was done. Undo it there too? Type undo or leave:"
    )
    answer = screen.ask(question, flag=_FLAG).casefold()
    if answer not in {"undo", "leave"}:
        given = visible_line(answer[:40])
        raise StoppedByPerson(f'the answer was "{given}", not undo or leave, so nothing begins')
    return answer == "undo"


def _tell(screen: Screen, made: Plan, traces: Traces, left: Sequence[str]) -> None:
    """Say what is taken back and, always, what is not."""
    from rich.text import Text

    from outagekit.plan.summary import SHORT

    title = visible_line(traces.plan.playbook.title)
    lines = [f"undo of {traces.run}: {title}", *(f"  {line}" for line in _taken_back(made, traces))]
    screen.note(tuple(map(Text, lines)))
    if left:
        screen.say((Text("not taken back:", "yellow"), *(Text(f"  {line}") for line in left)))
    for step, there in traces.found("taken_back").items():
        screen.note(f"taken back already: {_on(step, there)}")
    screen.note(f"plan {made.digest[:SHORT]}")


def _taken_back(made: Plan, traces: Traces) -> Iterator[str]:
    from outagekit.run.traces import undo_ids

    undone = {name: step for step, name in undo_ids(traces.plan).items()}
    for step in made.steps:
        there = (made.handed or {}).get(step.id)
        if there is not None:
            proof = "" if step.verify else "; nothing proves it, for the step has no check"
            yield f"{_on(undone[step.id], tuple(there))}{proof}"


def _left_alone(traces: Traces, doubtful: Collection[StepId]) -> Iterator[str]:
    def told(marks: Marks, why: str) -> Iterator[str]:
        for step, there in marks.items():
            yield f"{_on(step, there)}: {why}"

    yield from told(traces.found("changed", undo=False), "the step has no undo")
    yield from told(
        traces.found("unknown", undo=False), "unknown whether it was done, and it has no undo"
    )
    unknown = traces.found("unknown", undo=True)
    left = {step: there for step, there in unknown.items() if step not in doubtful}
    yield from told(left, "unknown whether it was done: look there")
    yield from told(traces.found("failed"), "it failed there, perhaps half done: look there")


def _left_out(whole: Traces, traces: Traces) -> Iterator[str]:
    out = {place[1] for place in whole.standings} - {place[1] for place in traces.standings}
    if out:
        yield f"what was done on {count(len(out), 'endpoint')} that --limit leaves out"


def _on(step: StepId, there: tuple[EndpointId, ...]) -> str:
    names = fold_list(map(visible_line, there), _MAX_NAMES)
    return f"{visible_line(step)} on {count(len(there), 'endpoint')} ({names})"
