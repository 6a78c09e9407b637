"""The options commands share, each written once, with its help and its environment variable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from outagekit.cli.command import Group, came_from_environment
from outagekit.cli.render import Screen
from outagekit.errors import UsageError

_WHO = "Which endpoints"
_WHAT = "What with"
_HOW = "How fast"
_MANNER = "In which manner"
_CONSENT = "Consent (never from the environment)"
_SHOW = "What is shown"

System = Literal["linux", "macos", "windows"]


@dataclass(frozen=True, slots=True)
class Shown(Group):
    """How a command speaks: data on stdout, to people on stderr."""

    json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=_SHOW)
    ] = False
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            envvar="OUTAGEKIT_PLAIN",
            help="No colour, no live screen: a line an event.",
            rich_help_panel=_SHOW,
        ),
    ] = False
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            envvar="OUTAGEKIT_QUIET",
            help="Only what went wrong.",
            rich_help_panel=_SHOW,
        ),
    ] = False
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            envvar="OUTAGEKIT_VERBOSE",
            help="More lines: -v every step, -vv every command.",
            rich_help_panel=_SHOW,
        ),
    ] = 0

    def screen(self) -> Screen:
        """Return the screen these options describe."""
        return Screen(plain=self.plain, json=self.json, quiet=self.quiet, verbose=self.verbose)


@dataclass(frozen=True, slots=True)
class Stored(Group):
    """Where outagekit keeps runs."""

    state_dir: Annotated[
        Path | None,
        typer.Option(
            "--state-dir",
            envvar="OUTAGEKIT_STATE",
            help="Folder of runs and their logs; default: this user's local state folder.",
            rich_help_panel=_SHOW,
        ),
    ] = None


SshConfig = Annotated[
    str | None,
    typer.Option(
        "--ssh-config",
        metavar="FILE",
        envvar="OUTAGEKIT_SSH_CONFIG",
        help="SSH config to follow instead of ~/.ssh/config and the system's; none: follow none.",
        rich_help_panel=_WHO,
    ),
]


@dataclass(frozen=True, slots=True)
class Where(Group):
    """Which endpoints a command is about."""

    inventory: Annotated[
        list[Path] | None,
        typer.Option(
            "--inventory",
            "-i",
            envvar="OUTAGEKIT_INVENTORY",
            help="Inventory file or folder, also CSV or Ansible's ([CLIENT=]FILE); default: the"
            " workspace's inventory/. Repeatable.",
            rich_help_panel=_WHO,
        ),
    ] = None
    client: Annotated[
        list[str] | None,
        typer.Option(
            "--client",
            "-c",
            envvar="OUTAGEKIT_CLIENT",
            help="Only this client. Repeatable.",
            rich_help_panel=_WHO,
        ),
    ] = None
    all_clients: Annotated[
        bool,
        typer.Option("--all-clients", help="Yes, more than one client.", rich_help_panel=_WHO),
    ] = False
    limit: Annotated[
        str | None,
        typer.Option(
            "--limit",
            "-l",
            envvar="OUTAGEKIT_LIMIT",
            help="Selector: 'os:linux and not tag:fragile', 'pos-*', 'run:last:failed'.",
            rich_help_panel=_WHO,
        ),
    ] = None
    host: Annotated[
        list[str] | None,
        typer.Option(
            "--host",
            help="USER@ADDRESS[:PORT] without any inventory; needs --os. Repeatable.",
            rich_help_panel=_WHO,
        ),
    ] = None
    os: Annotated[
        System | None,
        typer.Option("--os", help="Operating system of --host.", rich_help_panel=_WHO),
    ] = None
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            envvar="OUTAGEKIT_KEY",
            help="Private key file for --host.",
            rich_help_panel=_WHO,
        ),
    ] = None
    password: Annotated[
        str | None,
        typer.Option(
            "--password",
            envvar="OUTAGEKIT_PASSWORD_REF",
            help="Where the password for --host is: prompt, keyring:NAME, env:NAME, file:PATH.",
            rich_help_panel=_WHO,
        ),
    ] = None
    passphrase: Annotated[
        str | None,
        typer.Option(
            "--passphrase",
            envvar="OUTAGEKIT_PASSPHRASE_REF",
            help="Where the passphrase of --key is, said as for --password.",
            rich_help_panel=_WHO,
        ),
    ] = None
    become: Annotated[
        Literal["sudo"] | None,
        typer.Option(
            "--become",
            envvar="OUTAGEKIT_BECOME",
            help="How steps become root on --host; without it they run as who logs in.",
            rich_help_panel=_WHO,
        ),
    ] = None
    sudo: Annotated[
        str | None,
        typer.Option(
            "--sudo",
            envvar="OUTAGEKIT_SUDO_REF",
            help="Where the password is that sudo asks for on --host, said as for --password.",
            rich_help_panel=_WHO,
        ),
    ] = None
    ssh_config: SshConfig = None


@dataclass(frozen=True, slots=True)
class Given(Group):
    """The values a person gives to a playbook."""

    param: Annotated[
        list[str] | None,
        typer.Option(
            "--param",
            "-p",
            metavar="NAME=VALUE",
            help="A parameter of the playbook. Repeatable.",
            rich_help_panel=_WHAT,
        ),
    ] = None
    params: Annotated[
        Path | None,
        typer.Option(
            "--params",
            envvar="OUTAGEKIT_PARAMS",
            help="YAML file with parameters; --param wins.",
            rich_help_panel=_WHAT,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Pace(Group):
    """How much happens at once."""

    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            min=1,
            max=1024,
            envvar="OUTAGEKIT_CONCURRENCY",
            help="Endpoints that run a step at once; default 64.",
            rich_help_panel=_HOW,
        ),
    ] = None
    connecting: Annotated[
        int | None,
        typer.Option(
            "--connecting",
            min=1,
            max=256,
            envvar="OUTAGEKIT_CONNECTING",
            help="Connections that are opened at once; default 16.",
            rich_help_panel=_HOW,
        ),
    ] = None
    per_site: Annotated[
        int | None,
        typer.Option(
            "--per-site",
            min=1,
            max=1024,
            envvar="OUTAGEKIT_PER_SITE",
            help="Endpoints of one site at once, where the site itself does not say.",
            rich_help_panel=_HOW,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Manner(Group):
    """How a plan is meant to be executed; part of the plan and of its digest."""

    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            envvar="OUTAGEKIT_DRY_RUN",
            help="Only reading steps and checks: says what would be changed, changes nothing.",
            rich_help_panel=_MANNER,
        ),
    ] = False
    undo_on_failure: Annotated[
        bool,
        typer.Option(
            "--undo-on-failure",
            envvar="OUTAGEKIT_UNDO_ON_FAILURE",
            help="Take an endpoint's changes back at once if a later step of it fails.",
            rich_help_panel=_MANNER,
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class Approval(Group):
    """What goes beyond an agreement, and who answers for it."""

    override: Annotated[
        list[str] | None,
        typer.Option(
            "--override",
            metavar="ALLOW",
            help="Do what the agreement does not allow: remediate, reboot, collect. Repeatable.",
            rich_help_panel=_CONSENT,
        ),
    ] = None
    approved_by: Annotated[
        str | None,
        typer.Option(
            "--approved-by", metavar="NAME", help="Who allowed it.", rich_help_panel=_CONSENT
        ),
    ] = None
    because: Annotated[
        str | None,
        typer.Option("--because", metavar="TEXT", help="Why.", rich_help_panel=_CONSENT),
    ] = None


@dataclass(frozen=True, slots=True)
class Consent(Approval):
    """What only a person may say before a run, and never the environment."""

    yes: Annotated[
        bool,
        typer.Option(
            "--yes",
            "-y",
            help="Confirm beforehand. Approves nothing an agreement refuses.",
            rich_help_panel=_CONSENT,
        ),
    ] = False
    plan: Annotated[
        str | None,
        typer.Option(
            "--plan",
            metavar="DIGEST",
            help="Run only if the plan still has this digest (from `plan`).",
            rich_help_panel=_CONSENT,
        ),
    ] = None
    approve: Annotated[
        list[str] | None,
        typer.Option(
            "--approve",
            metavar="STEP='NAME: REASON'",
            help="Answer a question beforehand: an approve or manual STEP, STEP@CLIENT, or"
            " `pause`. Repeatable.",
            rich_help_panel=_CONSENT,
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Streamed(Group):
    """A run's events as they happen."""

    events: Annotated[
        Literal["jsonl"] | None,
        typer.Option(
            "--events",
            envvar="OUTAGEKIT_EVENTS",
            help="Stream every event to stdout as JSON lines; not with --json.",
            rich_help_panel=_SHOW,
        ),
    ] = None

    def check(self, shown: Shown) -> None:
        """Raise `UsageError` if both forms of output are asked for."""
        if self.events and shown.json and not came_from_environment("events"):
            raise UsageError("--events and --json both want stdout: give one of them")
