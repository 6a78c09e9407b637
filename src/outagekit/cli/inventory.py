"""`inventory list`, `import` and `trust`."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from outagekit.cli.command import Group, command
from outagekit.cli.options import Shown, Stored, System, Where
from outagekit.errors import InvalidInput, UsageError
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outagekit.cli.places import Places
    from outagekit.cli.render import Screen
    from outagekit.credentials import SecretRef
    from outagekit.errors import Problem
    from outagekit.inventory.foreign.proposal import Wishes
    from outagekit.inventory.foreign.settling import Taken
    from outagekit.inventory.model import Client, Endpoint, Inventory

app = typer.Typer(
    no_args_is_help=True, help="Whose machines there are; tables and Ansible's files taken over."
)

_Words = list[str] | None
_PASTED = 3
_TAKEN = "What is taken for what"


@app.command("list")
@command
def list_(
    where: Where,
    stored: Stored,
    shown: Shown,
    selector: Annotated[
        str | None, typer.Argument(metavar="SELECTOR", help="Only these; default: all.")
    ] = None,
) -> None:
    """List endpoints, of every client unless --client names some."""
    from outagekit.cli.prepare import lookups, open_desk
    from outagekit.inventory.select import choose

    screen = shown.screen()
    desk = open_desk(screen, where, stored.state_dir)
    words = [f"({text})" for text in (selector, where.limit) if text]
    endpoints = choose(
        desk.inventory,
        limit=" and ".join(words) or "all",
        clients=where.client or (),
        all_clients=not where.client,
        lookups=lookups(desk.places),
    )
    if shown.json:
        screen.document([_document(each, desk.inventory) for each in endpoints])
        return
    headers = ("endpoint", "os", "address", "site", "credential", "tags")
    screen.table(headers, [_row(each, desk.inventory) for each in endpoints])
    screen.note(count(len(endpoints), "endpoint"))


def _row(endpoint: Endpoint, inventory: Inventory) -> tuple[str, ...]:
    port = f":{endpoint.port}" if endpoint.port else ""
    address = f"[{endpoint.address}]" if port and ":" in endpoint.address else endpoint.address
    scheme, auth = _winrm(endpoint, inventory)
    return (
        endpoint.id,
        endpoint.os,
        f"{address}{port}" + (" (http)" if scheme == "http" else ""),
        endpoint.site or "-",
        (endpoint.credential or "-") + (f" ({auth})" if auth not in {None, "ntlm"} else ""),
        " ".join(endpoint.tags) or "-",
    )


def _winrm(endpoint: Endpoint, inventory: Inventory) -> tuple[str | None, str | None]:
    """Return how a Windows endpoint is spoken to and logged in to; nothing for others."""
    from outagekit.inventory.windows import auth_of, scheme_of

    if endpoint.os != "windows":
        return None, None
    credential = inventory.clients[endpoint.client].credentials.get(endpoint.credential or "")
    auth = auth_of(credential) if credential else None
    return scheme_of(endpoint.scheme, endpoint.port), auth


def _document(endpoint: Endpoint, inventory: Inventory) -> dict[str, object]:
    scheme, auth = _winrm(endpoint, inventory)
    return {
        "endpoint": endpoint.id,
        "client": endpoint.client,
        "name": endpoint.name,
        "os": endpoint.os,
        "address": endpoint.address,
        "port": endpoint.port,
        "scheme": scheme,
        "site": endpoint.site,
        "credential": endpoint.credential,
        "auth": auth,
        "become": endpoint.become,
        "tags": endpoint.tags,
    }


@dataclass(frozen=True, slots=True)
class Taking(Group):
    """What is taken for what, beyond what the files say."""

    columns: Annotated[
        _Words,
        typer.Option(
            "--map",
            metavar="FIELD=HEADER",
            help="Column of a table: name address os site tags client user key port scheme auth."
            " Repeatable.",
            rich_help_panel=_TAKEN,
        ),
    ] = None
    systems: Annotated[
        _Words,
        typer.Option(
            "--os",
            metavar="[VALUE=]SYSTEM",
            help="System where nothing says it, or what a value means. Repeatable.",
            rich_help_panel=_TAKEN,
        ),
    ] = None
    user: Annotated[
        str | None,
        typer.Option("--user", help="Login name where none is said.", rich_help_panel=_TAKEN),
    ] = None
    password: Annotated[
        _Words,
        typer.Option(
            "--password",
            metavar="[USER=]WHERE",
            help="Where a user's password is: keyring:NAME, env:NAME, file:PATH, prompt."
            " Repeatable.",
            rich_help_panel=_TAKEN,
        ),
    ] = None
    sudo_password: Annotated[
        _Words,
        typer.Option(
            "--sudo-password",
            metavar="[USER=]WHERE",
            help="Where the password for sudo is, said alike. Repeatable.",
            rich_help_panel=_TAKEN,
        ),
    ] = None
    leave_out: Annotated[
        bool,
        typer.Option(
            "--leave-out",
            help="Leave out endpoints with a fault and say which.",
            rich_help_panel=_TAKEN,
        ),
    ] = False
    skip_encrypted: Annotated[
        bool,
        typer.Option(
            "--skip-encrypted",
            help="Leave out variable files that Ansible's vault encrypted.",
            rich_help_panel=_TAKEN,
        ),
    ] = False

    def wishes(self) -> Wishes:
        """Return the wishes; raises `UsageError` for what is none."""
        from outagekit.inventory.foreign.columns import parse_columns
        from outagekit.inventory.foreign.proposal import Wishes

        general, values = _systems(self.systems or ())
        return Wishes(
            os=general,
            os_values=values,
            user=self.user,
            passwords=_references(self.password or (), "--password"),
            sudo_passwords=_references(self.sudo_password or (), "--sudo-password"),
            columns=parse_columns(self.columns or ()),
            leave_out=self.leave_out,
            skip_encrypted=self.skip_encrypted,
        )


@app.command("import")
@command
def import_(
    *,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="CSV or Ansible inventory; CLIENT=FILE names whose."),
    ],
    taking: Taking,
    stored: Stored,
    shown: Shown,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            help="File, folder, or - for stdout; default: the workspace's inventory/.",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over files that are there.")
    ] = False,
) -> None:
    """Take tables and Ansible inventories over into files of ours, one for each client."""
    from outagekit.cli.places import find_places

    screen = shown.screen()
    places = find_places(stored.state_dir)
    taken = _read(screen, places, files, taking.wishes())
    written = _write(screen, places, taken, output, replace=replace)
    _report(screen, taken, written, as_json=shown.json)


def _systems(words: Sequence[str]) -> tuple[System | None, dict[str, System]]:
    """Return the system where nothing says it, and what values mean."""
    general: System | None = None
    values: dict[str, System] = {}
    for word in words:
        value, equals, name = word.rpartition("=")
        system = next((each for each in get_args(System) if each == name), None)
        if system is None:
            hint = "linux, macos or windows; a value of the file before it: --os 'AIX 7=linux'"
            raise UsageError(f"--os {visible_line(word)} names no system", hint=hint)
        if equals:
            values[value.strip().casefold()] = system
        else:
            general = system
    return general, values


def _references(words: Sequence[str], flag: str) -> dict[str, SecretRef]:
    from outagekit.credentials import BadReference, SecretRef

    found: dict[str, SecretRef] = {}
    for word in words:
        user, equals, where = word.partition("=")
        if not equals or ":" in user:  # `file:/a=b` has no user before it
            user, where = "", word
        try:
            found[user] = SecretRef.parse(where)
        except BadReference as error:
            message = f"{flag} says where a secret is found, never what it is"
            raise UsageError(message, hint=error.hint) from None  # it may quote the secret
    return found


def _read(
    screen: Screen, places: Places, files: Sequence[str], wishes: Wishes
) -> tuple[Taken, ...]:
    """Return what the files hold; raises `InvalidInput` with every fault of all of them."""
    from outagekit.cli.imported import permit
    from outagekit.inventory.foreign.reading import origin_of, read_foreign, source_of

    taken: list[Taken] = []
    problems: list[Problem] = []
    for file in files:
        source = source_of(Path(file))
        if not os.path.lexists(source.path):
            raise UsageError(f"there is no {visible_line(str(source.path))}")
        if origin_of(source.path) == "ours":
            name = visible_line(str(source.path))
            raise UsageError(f"{name} is neither a table nor of Ansible", hint=f"try: -i {name}")
        found, wrong = read_foreign(source, wishes, permit=permit(screen, places))
        taken.append(found)
        problems += wrong
    faults = tuple(problem for problem in problems if not problem.warning)
    if faults:
        number = count(len(faults), "problem")
        raise InvalidInput(f"nothing was taken over: {number}", tuple(problems))
    if problems:
        screen.problems(problems)
    return tuple(taken)


def _write(
    screen: Screen, places: Places, taken: tuple[Taken, ...], output: str | None, *, replace: bool
) -> dict[str, str]:
    """Write every client and return where each is."""
    from outagekit.inventory.foreign.writing import client_text, write_clients

    clients: dict[str, Client] = {}
    texts: dict[str, str] = {}
    for each in taken:
        for client in each.clients:
            if client.client in clients:
                message = f"two files hold endpoints of {client.client}"
                raise UsageError(message, hint="name another client for one: CLIENT=FILE")
            clients[client.client] = client
            source = f"{each.path} ({each.form})"
            texts[client.client] = client_text(client, source=source)
    if output == "-":
        if len(texts) > 1:
            raise UsageError("stdout takes one client", hint="name a folder with --output")
        screen.data("".join(texts.values()))
        return {}
    paths = {name: _place(places, name, output, alone=len(texts) == 1) for name in texts}
    files = {paths[name]: text for name, text in texts.items()}
    write_clients(files, list(clients.values()), replace=replace)
    return {name: str(path) for name, path in paths.items()}


def _place(places: Places, client: str, output: str | None, *, alone: bool) -> Path:
    """Return the file of a client."""
    if output is None:
        if places.workspace is None:
            message = "there is no workspace here to write to"
            raise UsageError(message, hint="name a file with --output, or: outagekit init")
        return places.workspace.root / "inventory" / f"{client}.yaml"
    path = Path(output).expanduser()
    if path.is_dir() or re.search(r"[/\\]$", output):
        return path / f"{client}.yaml"
    if not alone:
        message = f"{visible_line(output)} would have to hold several clients"
        raise UsageError(message, hint="name a folder: one client, one file")
    return path


def _report(
    screen: Screen, taken: tuple[Taken, ...], written: dict[str, str], *, as_json: bool
) -> None:
    from outagekit.cli.imported import taken_document, taken_lines

    for each in taken:
        screen.note("\n".join(taken_lines(each)))
    if as_json and written:
        files = [[written[c.client] for c in each.clients] for each in taken]
        screen.document([taken_document(each, f) for each, f in zip(taken, files, strict=True)])
    elif written:
        for path in written.values():
            screen.print(path)
        paths = [shlex.quote(path) for path in written.values()][:_PASTED]
        named = " ".join(f"-i {path}" for path in paths)
        screen.next([f"outagekit check {' '.join(paths)}", f"outagekit inventory list {named}"])


@app.command("trust")
@command
def trust(
    file: Annotated[Path, typer.Argument(help="An inventory program.")],
    stored: Stored,
    shown: Shown,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="I have read it; do not ask.")] = False,
) -> None:
    """Trust an inventory program on this machine, exactly as it is now (by digest)."""
    from datetime import UTC, datetime

    from outagekit.cli.imported import trust_program, trusted_programs
    from outagekit.cli.places import find_places
    from outagekit.inventory.foreign.program import digest_of, is_program, refuse_changeable

    screen = shown.screen()
    if not is_program(file):
        message = f"{visible_line(str(file))} is no program that can be run"
        raise UsageError(message, hint="it is readable as it is, or its mode lacks the x")
    refuse_changeable(file)
    known = trusted_programs(find_places(stored.state_dir))
    digest = digest_of(file)
    if yes:
        known.add(digest, str(file.absolute()), datetime.now(UTC))
    else:
        trust_program(screen, known, file, digest)
    screen.note(f"trusted: {file}, digest {digest[:12]}")
    if shown.json:
        screen.document({"path": str(file.absolute()), "digest": digest})
