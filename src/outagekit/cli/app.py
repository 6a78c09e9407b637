"""The command `outagekit`: which commands there are. What they do lives in the rooms."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import Annotated

import typer

from outagekit import __version__
from outagekit.cli import (
    drill,
    inventory,
    logs,
    playbooks,
    resume,
    run,
    secret,
    speak,
    undo,
    workspace,
)
from outagekit.cli.command import bug
from outagekit.cli.trust import command as trust
from outagekit.text import visible

app = typer.Typer(
    name="outagekit",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Outage response for MSP technicians: plan a fix, run it on many machines over SSH,"
    " see what is true, keep a log that proves it.",
    epilog="Begin with [bold]outagekit drill[/] (nothing real is touched), then"
    " [bold]outagekit init[/]. Exit codes and formats: docs/ beside the source.",
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"outagekit {__version__}")
        raise typer.Exit


@app.callback()
def outagekit(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", help="Print the version.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Outage response for MSP technicians."""


_PANELS = {
    "Respond": (run.run, resume.resume, undo.undo, run.plan, run.exec_, run.ping),
    "Speak to a run": (speak.approve, speak.stop, speak.note),
    "Rehearse": (drill.drill, drill.lab),
    "Prepare": (workspace.init, workspace.check, workspace.schema, workspace.config),
}
_NAMES = {"exec_": "exec"}

for _panel, _commands in _PANELS.items():
    for _command in _commands:
        _name = _NAMES.get(_command.__name__, _command.__name__)
        app.command(_name, rich_help_panel=_panel)(_command)
app.add_typer(playbooks.app, name="playbooks", rich_help_panel="Prepare")
app.add_typer(inventory.app, name="inventory", rich_help_panel="Prepare")
app.add_typer(trust.app, name="trust", rich_help_panel="Prepare")
app.add_typer(secret.app, name="secret", rich_help_panel="Prepare")
app.add_typer(logs.app, name="log", rich_help_panel="Review")


def main() -> None:
    """Run the command line. No fault shows a traceback, wherever it is."""
    threading.excepthook = _keep
    sys.unraisablehook = _pass_over
    try:
        app()
    except Exception as error:  # noqa: BLE001  (the last net, below all that can show an error)
        fault = bug(error)
        with suppress(Exception):
            sys.stderr.write(visible(f"error: {fault.message}\nhint: {fault.hint}\n"))
        sys.exit(fault.exit_code)


def _keep(fault: threading.ExceptHookArgs) -> None:
    """Keep what ended a thread; whoever waits for the thread says what that means."""
    if isinstance(fault.exc_value, Exception):
        bug(fault.exc_value)


def _pass_over(_fault: object) -> None:
    """Say nothing of what an object raises while it goes away: nobody can do anything about it."""
