"""`resume`: go on where a run was left, from its folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Pace, Shown, SshConfig, Stored, Streamed
from outagekit.errors import UsageError

if TYPE_CHECKING:
    from outagekit.run.opening import Resumption
    from outagekit.run.replay import Recorded

_CONSENT = "Consent (never from the environment)"


@command
def resume(
    *,
    pace: Pace,
    streamed: Streamed,
    stored: Stored,
    shown: Shown,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="An id, the beginning of one, a path, or last.")
    ] = "last",
    past_gate: Annotated[
        bool,
        typer.Option(
            "--past-gate",
            help="Go past the gate that closed, instead of trying again; needs --because.",
            rich_help_panel=_CONSENT,
        ),
    ] = False,
    because: Annotated[
        str | None,
        typer.Option(
            "--because", metavar="TEXT", help="Why; it is logged.", rich_help_panel=_CONSENT
        ),
    ] = None,
    approve: Annotated[
        list[str] | None,
        typer.Option(
            "--approve",
            metavar="STEP='NAME: REASON'",
            help="Answer a question beforehand: an approve or manual STEP, STEP@CLIENT, or"
            " `pause`. Repeatable.",
            rich_help_panel=_CONSENT,
        ),
    ] = None,
    ssh_config: SshConfig = None,
) -> None:
    """Go on where a run was left, from its folder alone; what closed a gate is tried again.

    What was running when it was left is settled first, open questions are asked again, and the
    waiting room opens again. Without a terminal, a doubt that only a person can settle is listed,
    and the run stays paused (exit 6).
    """
    from outagekit.cli.places import find_places
    from outagekit.cli.prepare import open_access
    from outagekit.cli.reaching import ways_of
    from outagekit.cli.running import resume_run, tell_ending
    from outagekit.cli.since import changed_since, ways_changed_since
    from outagekit.cli.taken_up import desk_of, find_left
    from outagekit.transports.open import transport_for

    streamed.check(shown)
    places = find_places(stored.state_dir, concurrency=pace.concurrency, connecting=pace.connecting)
    left = find_left(places, run)
    how = _how(left, because, approve or [], past_gate=past_gate)
    desk = desk_of(shown.screen(), places, left, ssh_config)
    for sentence in changed_since(places, left):
        desk.screen.warn(sentence)
    access = open_access(desk, left.state.plan.endpoints)
    ways = ways_of(desk, access, left.state.plan.endpoints)
    for sentence in ways_changed_since(left, ways):
        desk.screen.warn(sentence)
    over = resume_run(
        desk,
        left,
        lambda target: transport_for(target, access),
        how,
        pace=pace,
        streamed=streamed,
        ways=access,
    )
    tell_ending(desk, left.state.plan, over, shown)


def _how(left: Recorded, because: str | None, approve: list[str], *, past_gate: bool) -> Resumption:
    from outagekit.cli.prepare import signed
    from outagekit.plan.beforehand import beforehand
    from outagekit.run.opening import Resumption, require_resumable
    from outagekit.text import visible_line

    why = " ".join(visible_line(because or "").split())
    if past_gate and not why:
        raise UsageError("--past-gate needs --because", hint='add --because "WHY"')
    if because is not None and not past_gate:
        raise UsageError("--because says why a run goes past a gate: it goes with --past-gate")
    how = Resumption(past_gate=why, given=signed(beforehand(approve, left.state.plan)))
    require_resumable(left.state, how)
    return how
