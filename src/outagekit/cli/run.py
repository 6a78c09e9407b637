"""`run`, `plan`, `exec` and `ping`: the commands that reach endpoints."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from outagekit.cli.command import command
from outagekit.cli.options import (
    Approval,
    Consent,
    Given,
    Manner,
    Pace,
    Shown,
    Stored,
    Streamed,
    Where,
)
from outagekit.errors import UsageError

if TYPE_CHECKING:
    from outagekit.cli.prepare import Desk
    from outagekit.plan.model import Plan
    from outagekit.playbook.model import Code

_Word = Annotated[
    str,
    typer.Argument(
        metavar="PLAYBOOK",
        help="A name (workspace first, then shipped), or a path with / or .yaml.",
    ),
]
_Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, help="Seconds the command may take.")
]


@command
def plan(
    *,
    playbook: _Word,
    where: Where,
    given: Given,
    manner: Manner,
    approval: Approval,
    stored: Stored,
    shown: Shown,
) -> None:
    """Show what would happen, to whom, in which order, and what is refused. Touches nothing."""
    from outagekit.cli.planned import show_plan
    from outagekit.cli.prepare import make_plan, open_desk, read_playbook

    screen = shown.screen()
    desk = open_desk(screen, where, stored.state_dir)
    found = read_playbook(playbook, desk.places)
    made = make_plan(found, desk, where, given, approval, manner=manner)
    show_plan(screen, made, words=sys.argv[2:])


@command
def run(
    *,
    playbook: _Word,
    where: Where,
    given: Given,
    manner: Manner,
    pace: Pace,
    consent: Consent,
    streamed: Streamed,
    stored: Stored,
    shown: Shown,
) -> None:
    """Run a playbook on the chosen endpoints, live, with a log that proves what happened."""
    from outagekit.cli.prepare import make_plan, open_desk, read_playbook, require_trusted

    streamed.check(shown)
    desk = open_desk(shown.screen(), where, stored.state_dir, pace)
    found = read_playbook(playbook, desk.places)
    desk.screen.note(f"playbook {found.name} ({found.origin}: {found.path})")
    made = make_plan(found, desk, where, given, consent, manner=manner)
    require_trusted(desk, found)
    begin_run(desk, made, pace=pace, consent=consent, streamed=streamed, shown=shown)


@command
def exec_(
    *,
    where: Where,
    pace: Pace,
    consent: Consent,
    streamed: Streamed,
    stored: Stored,
    shown: Shown,
    sh: Annotated[str | None, typer.Option("--sh", help="Text for sh.")] = None,
    bash: Annotated[str | None, typer.Option("--bash", help="Text for bash.")] = None,
    powershell: Annotated[
        str | None, typer.Option("--powershell", help="Text for PowerShell.")
    ] = None,
    cmd: Annotated[str | None, typer.Option("--cmd", help="Text for cmd.exe.")] = None,
    read: Annotated[
        bool, typer.Option("--read", help="It alters nothing: my word for it.")
    ] = False,
    timeout: _Timeout = 300.0,
) -> None:
    """Run one command on the chosen endpoints, with the same plan, question and log as a run."""
    from outagekit.cli.prepare import make_plan, open_desk
    from outagekit.playbook.model import Script
    from outagekit.playbook.typed import typed_playbook

    streamed.check(shown)
    code = _only_one(sh=sh, bash=bash, powershell=powershell, cmd=cmd)
    desk = open_desk(shown.screen(), where, stored.state_dir, pace)
    typed = typed_playbook(Script((code,)), read=read, name="exec", timeout_s=timeout)
    made = make_plan(typed, desk, where, None, consent)
    begin_run(desk, made, pace=pace, consent=consent, streamed=streamed, shown=shown)


@command
def ping(
    *,
    where: Where,
    pace: Pace,
    streamed: Streamed,
    stored: Stored,
    shown: Shown,
    timeout: _Timeout = 10.0,
) -> None:
    """Reach the chosen endpoints, prove who they are, log in, and run nothing but `true`.

    On Windows that is `exit 0`, by cmd.exe: no PowerShell has to start for it.
    """
    from outagekit.cli.prepare import make_plan, open_desk
    from outagekit.playbook.model import Code, Script
    from outagekit.playbook.typed import typed_playbook

    streamed.check(shown)
    desk = open_desk(shown.screen(), where, stored.state_dir, pace)
    nothing = Script((Code("sh", "true"), Code("cmd", "exit 0")))
    typed = typed_playbook(
        nothing, read=True, name="ping", timeout_s=timeout, title="Ping: log in, nothing else"
    )
    made = make_plan(typed, desk, where, None, None)
    begin_run(desk, made, pace=pace, consent=Consent(), streamed=streamed, shown=shown)


def _only_one(**texts: str | None) -> Code:
    from outagekit.playbook.model import Code

    given = [(language, text) for language, text in texts.items() if text is not None]
    if len(given) != 1 or not given[0][1].strip():
        raise UsageError(
            "exec takes exactly one command", hint="outagekit exec --sh 'uptime' --read"
        )
    return Code(*given[0])  # type: ignore[arg-type]  # the keywords are languages


def begin_run(
    desk: Desk, made: Plan, *, pace: Pace, consent: Consent, streamed: Streamed, shown: Shown
) -> None:
    """Confirm a plan, open the way to its endpoints, run it, say how it ended, and exit."""
    from outagekit.cli.prepare import confirm, open_access, signed
    from outagekit.cli.reaching import followed, ways_of
    from outagekit.cli.running import run_plan, tell_ending
    from outagekit.run.opening import Beginning
    from outagekit.transports.open import transport_for

    given = signed(confirm(desk, made, consent))
    access = open_access(desk, made.endpoints)
    over = run_plan(
        desk,
        made,
        lambda target: transport_for(target, access),
        pace=pace,
        streamed=streamed,
        beginning=Beginning(
            trust=str(desk.places.trust.absolute()),
            ssh_config=followed(desk),
            ways=ways_of(desk, access, made.endpoints),
            given=given,
        ),
        ways=access,
    )
    tell_ending(desk, made, over, shown)
