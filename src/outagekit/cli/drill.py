"""`drill` and `lab`: rehearse on simulated endpoints, on loopback, touching nothing real."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Given, Pace, Shown, Stored, Streamed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from outagekit.cli.prepare import Desk
    from outagekit.lab.fleet import Fleet
    from outagekit.playbook.model import Playbook

_Word = Annotated[str, typer.Argument(metavar="PLAYBOOK", help="Name or path.")]
_Number = Annotated[int, typer.Option("--endpoints", "-n", help="How many endpoints.")]
_Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same drill.")]
_Faults = Annotated[
    str | None,
    typer.Option(
        "--faults",
        metavar="NAME=SHARE,…",
        help="unreachable, hang, slow, reset, auth, lie; 'none' for none.",
    ),
]
_DEFAULT = "bad-update-rollback"


@command
def drill(
    *,
    given: Given,
    pace: Pace,
    streamed: Streamed,
    stored: Stored,
    shown: Shown,
    playbook: _Word = _DEFAULT,
    endpoints: _Number = 40,
    seed: _Seed = 1,
    faults: _Faults = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", min=0.5, help="The longest a step may take, in seconds."),
    ] = 5.0,
) -> None:
    """Rehearse a playbook: the real engine over real SSH, on simulated endpoints with faults.

    Exit 0 when every endpoint was judged rightly, no wrong target was touched and the log
    verifies; else 3. It proves engine, transport and judgement, not that a script is right on
    your machines.
    """
    from outagekit.cli.drilled import run_drill
    from outagekit.lab.drill import Tempo, rehearsed

    streamed.check(shown)
    desk, book, params = _prepare(playbook, given, stored, shown, pace)
    book = rehearsed(book, Tempo(timeout_s=timeout))
    with _fleet(book, endpoints=endpoints, seed=seed, faults=faults, params=params) as fleet:
        run_drill(desk, fleet, pace=pace, streamed=streamed, shown=shown, seed=seed)


@command
def lab(
    *,
    folder: Annotated[Path, typer.Argument(help="A new folder for the lab's workspace.")],
    given: Given,
    stored: Stored,
    shown: Shown,
    playbook: Annotated[
        str, typer.Option("--playbook", help="Whose answers they give.")
    ] = _DEFAULT,
    endpoints: _Number = 10,
    seed: _Seed = 1,
    faults: _Faults = "none",
) -> None:
    """Keep simulated endpoints up until Ctrl-C, to try any command on from a second terminal."""
    from outagekit.cli.drilled import keep_lab

    desk, book, params = _prepare(playbook, given, stored, shown, Pace())
    with _fleet(
        book, endpoints=endpoints, seed=seed, faults=faults, params=params, folder=folder
    ) as fleet:
        keep_lab(desk, fleet)


def _prepare(
    word: str, given: Given, stored: Stored, shown: Shown, pace: Pace
) -> tuple[Desk, Playbook, Mapping[str, Any]]:
    from outagekit.cli.places import find_places
    from outagekit.cli.prepare import Desk, partial_values, read_playbook, require_trusted
    from outagekit.inventory.model import Inventory

    places = find_places(stored.state_dir, concurrency=pace.concurrency, connecting=pace.connecting)
    desk = Desk(shown.screen(), places, Inventory())
    book = read_playbook(word, places)
    require_trusted(desk, book)
    return desk, book, partial_values(book, given)


@contextmanager
def _fleet(
    book: Playbook,
    *,
    endpoints: int,
    seed: int,
    faults: str | None,
    params: Mapping[str, Any],
    folder: Path | None = None,
) -> Iterator[Fleet]:
    import tempfile

    from outagekit.lab.faults import parse_faults
    from outagekit.lab.fleet import Fleet
    from outagekit.run.signals import signals_to

    stack = ExitStack()
    try:
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="outagekit-drill-")
            folder = Path(stack.enter_context(scratch))
        started = Fleet.start(
            book,
            endpoints=endpoints,
            seed=seed,
            folder=folder,
            faults=None if faults is None else parse_faults(faults),
            params=params,
        )
        yield stack.enter_context(started)
    finally:
        # It is short, and a folder that is half removed would stay for ever.
        with signals_to(lambda _why: None):
            stack.close()
