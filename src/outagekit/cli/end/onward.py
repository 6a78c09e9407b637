"""What to do after a run: at most three commands to paste, the most useful first. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from outagekit.cli.saying import short_run
from outagekit.events import EndState, FailureKind
from outagekit.run.engine.state import BAD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from outagekit.plan.model import Plan
    from outagekit.playbook.model import Playbook
    from outagekit.run.engine.state import Progress, State, StepEnd
    from outagekit.run.surroundings import Ending

_MAX_COMMANDS: Final = 3
_MAX_CLIENT_FLAGS: Final = 5
_WIDTH: Final = 80 - len("next: ")
"""Columns of the narrowest terminal most people have."""
_PASTEABLE = re.compile(r"[\w./:@%+,=-]+", re.ASCII)

_Ends = list[tuple["Progress", "StepEnd"]]


def next_commands(ending: Ending, plan: Plan) -> tuple[str, ...]:
    """Return at most three commands that make sense now, the most useful first.

    They name this run, by the beginning of its id where the whole is too long: another one may
    have begun meanwhile. Running again is offered only where the words of the command follow from
    the plan, and never for endpoints that ended unknown: somebody has to look at those first.
    """
    worst: _Ends = [
        (each, end)
        for each in ending.state.progress.values()
        if (end := each.worst) is not None and end.state in BAD
    ]
    commands = [*_trust(plan, worst)]
    commands += _resume(ending, plan) if ending.why else _after(ending.state, plan, worst)
    return tuple(_named(command, ending.state.run) for command in commands[:_MAX_COMMANDS])


def _named(command: str, run: str) -> str:
    """Return a command with the run's name in place of `{run}`; `last` if it has none."""
    whole = command.replace("{run}", run or "last")
    return whole if len(whole) <= _WIDTH else command.replace("{run}", short_run(run))


def _resume(ending: Ending, plan: Plan) -> list[str]:
    """Return how a run that was left goes on."""
    commands = ["outagekit resume {run}"]
    if ending.state.closed_gate is not None:
        commands.append('outagekit resume {run} --past-gate --because "WHY"')
    return [*commands, _back(ending.state, plan) or "outagekit log show {run}"]


def _back(state: State, plan: Plan) -> str:
    """Return the command that takes back what was changed, or nothing if nothing can be."""
    steps = {step.id for step in plan.steps if step.undo is not None}
    undoable = any(
        step in steps and end.state is EndState.CHANGED and not end.undone
        for each in state.progress.values()
        for step, end in each.ends.items()
    )
    return "outagekit undo {run}" if undoable else ""


def _after(state: State, plan: Plan, worst: _Ends) -> list[str]:
    """Return what comes after a run that is over."""
    refused = any(each.refused for each in state.progress.values())
    # Of many endpoints only what went wrong is worth reading; a refusal is told no other way.
    brief = " -q" if worst and not refused else ""
    commands = [f"outagekit log show {{run}}{brief}"] if worst or refused else []
    again = _for_real(plan) if plan.dry_run else _again(plan, {end.state for _, end in worst})
    return [*commands, *([again] if again else []), "outagekit log verify {run}"]


def _for_real(plan: Plan) -> str:
    """Return the command that does what a dry run foresaw, if its words chose all endpoints."""
    chosen_by_playbook = plan.selection == f"({plan.playbook.targets})"
    words = _run_words(plan) if chosen_by_playbook else None
    return " ".join(words) if words else ""


def _run_words(plan: Plan) -> list[str] | None:
    """Return the words that run the plan's playbook for its clients, or None."""
    words = None if plan.overrides else playbook_words(plan.playbook, plan.params)
    if words is None or _is_adhoc(plan):
        return None
    clients = [client.client for client in plan.clients]
    walls = [f"--client {client}" for client in clients] if len(clients) > 1 else []
    if len(walls) > _MAX_CLIENT_FLAGS:
        walls = ["--all-clients"]
    return ["outagekit run", *words, *walls]


def _trust(plan: Plan, worst: _Ends) -> list[str]:
    # A key that is new has another remedy than one that was replaced; what was said names it.
    untrusted = [
        each.endpoint.id
        for each, end in worst
        if end.failure is FailureKind.HOST_KEY and "trust add" in end.detail
    ]
    if not untrusted or _is_adhoc(plan) or plan.playbook.origin == "typed":
        return []
    return [f"outagekit trust add {_selector(untrusted, worst)}"]


def _is_adhoc(plan: Plan) -> bool:
    return any(client.client == "adhoc" for client in plan.clients)


def _selector(names: Sequence[str], worst: _Ends) -> str:
    """Return what chooses these endpoints on a command line, without any quoting."""
    if len(names) == 1:
        return names[0]
    clients = {progress.endpoint.client for progress, _ in worst}
    return "run:{run}:failed" + (" --all-clients" if len(clients) > 1 else "")


def _again(plan: Plan, states: set[EndState]) -> str:
    """Return the command that runs the plan again where it failed, or nothing.

    Nothing is returned if a word of it would have to be quoted in some shell, or guessed.
    """
    wanted = [s.value for s in (EndState.FAILED, EndState.UNREACHABLE) if s in states]
    if not wanted:
        return ""
    if plan.undoes:
        return f"outagekit undo {plan.undoes}"
    words = _run_words(plan)
    if words is None:
        return ""
    limit = " or ".join(f"run:{{run}}:{state}" for state in wanted)
    return " ".join([*words, "--limit", f'"{limit}"' if len(wanted) > 1 else limit])


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
