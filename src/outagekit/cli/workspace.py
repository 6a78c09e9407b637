"""`init`, `check`, `schema` and `config`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from outagekit.cli.command import command
from outagekit.cli.options import Shown, SshConfig, Stored, Where


@command
def init(
    shown: Shown,
    folder: Annotated[Path, typer.Argument(help="Where; it is made if needed.")] = Path(),
) -> None:
    """Write a commented workspace: an inventory, a playbook, and a place for trust."""
    from outagekit.inventory.workspace import write_workspace

    screen = shown.screen()
    written = write_workspace(folder)
    if shown.json:
        screen.document([str(path) for path in written])
        return
    for path in written:
        screen.print(str(path))
    prefix = "" if folder == Path() else f"cd {folder} && "
    screen.next([f"{prefix}outagekit check", f"{prefix}outagekit playbooks list"])


@command
def check(
    *,
    shown: Shown,
    stored: Stored,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...", help="Playbooks, inventories or folders; default: the workspace."
        ),
    ] = None,
    inventory: Annotated[
        list[Path] | None,
        typer.Option(
            "--inventory",
            "-i",
            help="Inventory, whatever its name says, also CSV or Ansible's ([CLIENT=]FILE)."
            " Repeatable.",
        ),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(
            "--on",
            metavar="ENDPOINT",
            help="Have this endpoint of the inventory parse what one playbook would run on it;"
            " nothing is run.",
        ),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option("--client", "-c", help="Whose endpoint --on names. Repeatable."),
    ] = None,
    ssh_config: SshConfig = None,
) -> None:
    """Report every problem of playbooks and inventories at once, each with its place."""
    from outagekit.cli.checking import check_paths
    from outagekit.cli.imported import permit, taken_lines
    from outagekit.cli.places import find_places
    from outagekit.cli.problems import problems_document
    from outagekit.errors import InvalidInput, UsageError
    from outagekit.text import count

    screen = shown.screen()
    if on is not None:
        where = Where(inventory=inventory, client=client, limit=on, ssh_config=ssh_config)
        _check_there(shown, stored, paths or [], where)
        return
    if client:
        raise UsageError("--client says whose endpoint --on names: give both, or none")

    def judge(path: Path, digest: str) -> None:
        permit(screen, find_places(stored.state_dir))(path, digest)

    checked = check_paths(paths or [], named=inventory or [], permit=judge)
    for taken in checked.taken:
        screen.note("\n".join(taken_lines(taken)))
    if shown.json:
        screen.document(problems_document(checked.problems))
    elif checked.problems:
        screen.problems(checked.problems)
    if checked.faults:
        raise InvalidInput(f"{count(len(checked.faults), 'problem')} in what was checked")
    verdict = "no fault" if checked.problems else "nothing wrong"
    screen.note(f"{count(checked.files, 'file')} checked, {verdict}")


def _check_there(shown: Shown, stored: Stored, paths: list[Path], where: Where) -> None:
    """Have one endpoint parse a playbook, say what it found, and exit as that means."""
    from dataclasses import replace

    from outagekit.cli.checked_there import check_there, document_of
    from outagekit.cli.prepare import choose_endpoints, open_desk, read_playbook
    from outagekit.errors import InvalidInput, UsageError
    from outagekit.text import count

    if len(paths) != 1:
        message = "--on has an endpoint parse one playbook"
        raise UsageError(message, hint="outagekit check playbooks/mend.yaml --on acme/web-01")
    screen = shown.screen()
    desk = open_desk(screen, where, stored.state_dir)
    playbook = read_playbook(str(paths[0]), desk.places)
    # Of a name that several clients have each is told, and no flag that `check` has not.
    among = where if where.client else replace(where, all_clients=True)
    there = check_there(desk, playbook, choose_endpoints(desk, among))
    if shown.json:
        screen.document(document_of(there))
    elif there.problems:
        screen.problems(there.problems)
    if there.problems:
        raise InvalidInput(f"{count(len(there.problems), 'problem')}, says {there.endpoint}")
    if there.failure is not None:
        screen.say(f"{there.endpoint}: {there.failure.detail}")
        raise typer.Exit(there.exit_code)
    more = f", {there.passed_over} in cmd not" if there.passed_over else ""
    screen.note(f"{there.endpoint} parsed {count(there.parsed, 'text')}{more}: nothing wrong")


@command
def schema(
    what: Annotated[
        Literal["playbook", "inventory"], typer.Argument(help="Of which kind of file.")
    ],
    shown: Shown,
) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    if what == "playbook":
        from outagekit.playbook.schema import playbook_schema

        shown.screen().document(playbook_schema())
        return
    from outagekit.inventory.schema import inventory_schema

    shown.screen().document(inventory_schema())


@command
def config(stored: Stored, shown: Shown) -> None:
    """Show each setting with its value and where it comes from."""
    from outagekit.cli.places import find_places
    from outagekit.inventory.settings import Setting

    places = find_places(stored.state_dir)
    root = str(places.workspace.root) if places.workspace else "none"
    rows = [
        Setting("workspace", root, str(Path.cwd())),
        *places.settings.rows,
        Setting("trust", str(places.trust), "workspace" if places.workspace else "state_dir"),
    ]
    if os.environ.get("NO_COLOR"):
        rows.append(Setting("colour", "off", "NO_COLOR"))
    screen = shown.screen()
    if shown.json:
        screen.document({row.name: {"value": row.value, "origin": row.origin} for row in rows})
        return
    screen.table(("setting", "value", "from"), [(r.name, r.value, r.origin) for r in rows])
