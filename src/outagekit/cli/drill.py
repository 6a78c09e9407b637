"""`drill` and `lab`: rehearse on simulated endpoints, on loopback, touching nothing real."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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
    from outagekit.lab.machine import Pace as MachinePace
    from outagekit.playbook.model import Playbook

_Word = Annotated[str, typer.Argument(metavar="PLAYBOOK", help="Name or path.")]
_Number = Annotated[int, typer.Option("--endpoints", "-n", help="How many endpoints.")]
_Seed = Annotated[int, typer.Option("--seed", help="The same seed gives the same drill.")]
_Faults = Annotated[
    str | None,
    typer.Option(
        "--faults",
        metavar="NAME=SHARE,…",
        help="unreachable, hang, slow, reset, auth, flap (comes and goes), bootloop (up for a"
        " moment, until the first change), lie; 'none' for none.",
    ),
]
_DEFAULT = "bad-update-rollback"


@dataclass(frozen=True, slots=True)
class _Population:
    """Who is simulated, and how, besides the playbook."""

    endpoints: int
    seed: int
    faults: str | None
    """As they were typed; None for those a drill has by itself."""
    params: Mapping[str, Any]
    pace: MachinePace


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
    speed: Annotated[
        float,
        typer.Option(
            "--speed", min=1.0, max=3600.0, help="What the rollout's times are divided by."
        ),
    ] = 60.0,
) -> None:
    """Rehearse a playbook: the real engine over real SSH and WinRM, on simulated endpoints.

    Bake, waiting room, pauses before another try and restarts are --speed times as short. Exit 0
    when every endpoint was judged rightly, no wrong target was touched and the log verifies; else
    3. It proves engine, transport and judgement, not that a script is right on your machines.
    """
    from outagekit.cli.drilled import run_drill
    from outagekit.lab.drill import Tempo, rehearsed

    streamed.check(shown)
    desk, book, params = _prepare(playbook, given, stored, shown, pace)
    tempo = Tempo(timeout_s=timeout, speed=speed)
    book = rehearsed(book, tempo)
    population = _Population(endpoints, seed, faults, params, tempo.pace(book))
    with _fleet(book, population) as fleet:
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
    speed: Annotated[
        float,
        typer.Option(
            "--speed", min=1.0, max=3600.0, help="What the time of a restart is divided by."
        ),
    ] = 1.0,
) -> None:
    """Keep simulated endpoints up until Ctrl-C, to try any command on from a second terminal.

    What reaches them, they write into received.jsonl in the folder.
    """
    from outagekit.cli.drilled import keep_lab
    from outagekit.lab.machine import Pace as MachinePace

    desk, book, params = _prepare(playbook, given, stored, shown, Pace())
    population = _Population(endpoints, seed, faults, params, MachinePace(speed=speed))
    with _fleet(book, population, folder=folder) as fleet:
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
    book: Playbook, population: _Population, *, folder: Path | None = None
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
            endpoints=population.endpoints,
            seed=population.seed,
            folder=folder,
            faults=None if population.faults is None else parse_faults(population.faults),
            params=population.params,
            pace=population.pace,
        )
        yield stack.enter_context(started)
    finally:
        # It is short, and a folder that is half removed would stay for ever.
        with signals_to(lambda _why: None):
            stack.close()
