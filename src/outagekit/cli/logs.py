"""`log list`, `show` and `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, Stored
from outagekit.errors import LogDamaged

if TYPE_CHECKING:
    from outagekit.log.overview import Overview

app = typer.Typer(no_args_is_help=True, help="What happened: the incident logs of all runs.")

_Run = Annotated[
    str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a path, or last.")
]

_WIDE = 110
"""Columns from which on a list of runs has room for everything."""


@app.command("list")
@command
def list_(stored: Stored, shown: Shown) -> None:
    """List the runs, newest first."""
    from outagekit.cli.places import find_places
    from outagekit.log.folder import list_runs
    from outagekit.log.overview import overview

    screen = shown.screen()
    found = [overview(path) for path in list_runs(find_places(stored.state_dir).state)]
    if shown.json:
        screen.document(found)
        return
    headers = ["run", "opened (UTC)", "title", "endpoints", "standing"]
    rows = [[o.run, o.opened, _title(o), str(o.endpoints), o.standing] for o in found]
    if (screen.page_width or _WIDE) < _WIDE:  # a run's name says when it was opened, too
        headers, rows = _without_opened(headers), list(map(_without_opened, rows))
    screen.table(headers, rows)
    screen.next([f"outagekit resume {each.run}" for each in found if each.resumable])


def _title(of: Overview) -> str:
    return ("DRILL " if of.drill else "DRY RUN " if of.dry_run else "") + of.title


def _without_opened(row: list[str]) -> list[str]:
    return [*row[:1], *row[2:]]


@app.command("show")
@command
def show(stored: Stored, shown: Shown, run: _Run = "last") -> None:
    """Show a run's events, a line each; --json gives them as one document."""
    import msgspec

    from outagekit.cli.live.lines import Narrator
    from outagekit.cli.places import find_places
    from outagekit.log.folder import find_run
    from outagekit.log.reader import read_records

    screen = shown.screen()
    records = read_records(find_run(find_places(stored.state_dir).state, run))
    if shown.json:
        screen.document([msgspec.to_builtins(record) for record in records])
        return
    narrator = Narrator(verbose=shown.verbose, quiet=shown.quiet)
    for record in records:
        for line in narrator.lines(record):
            screen.print(line)


@app.command("verify")
@command
def verify(
    stored: Stored,
    shown: Shown,
    run: _Run = "last",
    anchor: Annotated[
        list[str] | None,
        typer.Option(
            "--anchor", metavar="SEQ:SHA", help="A checkpoint noted elsewhere. Repeatable."
        ),
    ] = None,
) -> None:
    """Prove that a log and the files it vouches for are as they were written."""
    from outagekit.cli.places import find_places
    from outagekit.log.checkpoint import parse_anchor
    from outagekit.log.folder import find_run
    from outagekit.log.verify import verify as judge

    screen = shown.screen()
    anchors = [parse_anchor(text) for text in anchor or ()]
    path = find_run(find_places(stored.state_dir).state, run)
    verdict = judge(path, anchors=anchors)
    if shown.json:
        screen.document(verdict)
    else:
        screen.verdict(verdict, path)
    if not verdict.ok:
        raise LogDamaged(f"{path.name}: {verdict.reason}")
