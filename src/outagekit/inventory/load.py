"""Inventory files become an `Inventory`, or every problem of every file at once.

Files of other tools are read as they are. Nothing is resolved and nothing is contacted here: no
name, no secret, no endpoint; nothing is run but an inventory program that a person trusted.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from outagekit.errors import InvalidInput, Problem
from outagekit.inventory.foreign.program import refuse_untrusted
from outagekit.inventory.foreign.reading import (
    is_ansible_yaml,
    is_folder,
    origin_of,
    read_foreign,
    source_of,
)
from outagekit.inventory.input import (
    AgreementInput,
    CredentialInput,
    DefaultsInput,
    EndpointInput,
    InventoryInput,
    WinrmInput,
)
from outagekit.inventory.model import (
    Agreement,
    Client,
    Credential,
    Endpoint,
    Inventory,
    Site,
    Winrm,
)
from outagekit.inventory.references import reference_problems
from outagekit.source import Document, Node, parse_document, problems_of, shown
from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from outagekit.events import OperatingSystem
    from outagekit.inventory.foreign.program import Permit
    from outagekit.inventory.foreign.reading import Source
    from outagekit.inventory.foreign.settling import Taken
    from outagekit.source import Location

_LITERAL_SECRET = re.compile(
    r"((?:\bpas+[a-z_]*|\bpw|passw(?:or)?d|passphrase|secret|sudo|token)[\"']?\s*:\s*)"
    r"(?![\s\[]|\{\s*cmd\b|[\"']?(?:keyring:|env:|file:|cmd:[^\s\"']+[\s\"']*$|prompt\b)).+",
    re.IGNORECASE,
)
"""What stands behind a key that wants a secret's reference, or nearly is one, and is none."""
_IN_LOGIN = re.compile(r"(?<![^\s/\"'`{\[(,])([^\s:@/\"'`{}\[\](),]+:)[^\s@/\"'`]+(?=@)")
"""A password between the user and the address of a URL or login."""
_IN_PROXY = re.compile(r"(\bproxy[\"']?\s*:\s*).*@", re.IGNORECASE)
"""Everything before the address of a proxy."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at inventory files gave: the clients without faults, and all problems."""

    inventory: Inventory
    problems: tuple[Problem, ...]
    """Faults and warnings of all files, by file and place."""
    documents: dict[str, Document] = field(default_factory=dict)
    """Client -> the file it was read from."""
    taken: tuple[Taken, ...] = ()
    """What became of each file of another tool."""

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The problems that are more than warnings."""
        return tuple(problem for problem in self.problems if not problem.warning)

    def problem(self, client: str, loc: Location, message: str, hint: str = "") -> Problem:
        """Return a problem at a place of a client's file, as `("sites", "berlin", "jump")`."""
        return _without_secrets(self.documents[client].problem(loc, message, hint))


def load(
    paths: Sequence[Path],
    *,
    permit: Permit = refuse_untrusted,
    tell: Callable[[Taken], None] | None = None,
) -> Inventory:
    """Return the clients of these files and folders, in the order given.

    A folder means its `*.yaml` files by name, or is an Ansible inventory. `CLIENT=FILE` says whose
    machines a file of another tool holds; `tell` hears what became of each of them, and `permit`
    lets programs among them run. Raises `InvalidInput` with every fault of every file, `Refused`
    for a program that may not run. Warnings are no faults; `inspect` returns them.
    """
    found = inspect(paths, permit=permit)
    if found.faults:
        number = count(len(found.faults), "problem")
        raise InvalidInput(f"the inventory has {number}", found.faults)
    for taken in found.taken if tell else ():
        tell(taken)  # type: ignore[misc]  # there is nothing to go through without it
    return found.inventory


def inspect(paths: Sequence[Path], *, permit: Permit = refuse_untrusted) -> Inspection:
    """Return the clients that can be used, and every problem; never raises for a bad file.

    Raises `Refused` for a program that `permit` does not let run.
    """
    reading = _Reading(permit)
    for source in dict.fromkeys(map(source_of, paths)):
        reading.add(source)
    found = sorted({_without_secrets(problem) for problem in reading.problems})
    inventory = Inventory(clients=reading.clients)
    return Inspection(inventory, tuple(found), reading.documents, tuple(reading.taken))


class _Reading:
    """Clients and problems, while file after file is read."""

    def __init__(self, permit: Permit) -> None:
        self._permit = permit
        self._seen: set[Path] = set()
        self.problems: list[Problem] = []
        self.clients: dict[str, Client] = {}
        self.documents: dict[str, Document] = {}
        self.taken: list[Taken] = []

    def add(self, source: Source) -> None:
        if origin_of(source.path) != "ours":
            self._foreign(source)
        elif source.client is not None:
            message = f"a file of ours names its client itself, so {source.client}= says too much"
            self.problems.append(Problem(source.path, 0, 0, message))
        else:
            for path in _files([source.path], self.problems):
                self._ours(path)

    def _ours(self, path: Path) -> None:
        if path in self._seen:
            return
        self._seen.add(path)
        document, client = _read(path, self.problems)
        if document is not None:
            self._keep(document, _client_of(document), client)

    def _foreign(self, source: Source) -> None:
        taken, problems = read_foreign(source, permit=self._permit)
        self.problems += problems
        if any(not problem.warning for problem in problems):
            return
        self.taken.append(taken)
        for client in taken.clients:
            self._keep(Document(source.path, ("",), Node(None, 1, 1)), client.client, client)

    def _keep(self, document: Document, name: str, client: Client | None) -> None:
        if name in self.documents:
            self.problems.append(_twice(document, name, self.documents[name]))
        elif name:
            self.documents[name] = document
            self.clients |= {name: client} if client else {}


def _files(paths: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    for path in paths:
        if not is_folder(path):
            yield path
            continue
        try:
            names = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            why = visible_line(error.strerror or "unknown reason")
            problems.append(Problem(path, 0, 0, f"the folder cannot be read: {why}"))
            continue
        problems.extend(_not_read(name) for name in names if name.suffix == ".yml")
        files = [name for name in names if name.suffix == ".yaml"]
        if not files:
            problems.append(Problem(path, 0, 0, "the folder holds no *.yaml file"))
        yield from files


def _not_read(path: Path) -> Problem:
    hint = f"rename it to {visible_line(path.stem)}.yaml"
    return Problem(path, 0, 0, "only *.yaml files are read", hint, warning=True)


def _read(path: Path, problems: list[Problem]) -> tuple[Document | None, Client | None]:
    """Return a file and its client; the client is None if the file has a fault."""
    try:
        document = parse_document(path)
    except InvalidInput as error:
        problems.extend(error.problems)
        return None, None
    found = [*document.problems, *reference_problems(document)]
    shape: InventoryInput | None = None
    try:
        shape = InventoryInput.model_validate(document.root.value)
    except ValidationError as error:
        found.extend(problems_of(error, document, InventoryInput))
    faulty = any(not problem.warning for problem in found)
    if faulty and is_ansible_yaml(path):
        hint = "name it with -i, or take it over: outagekit inventory import FILE"
        found = [Problem(path, 0, 0, "this is an inventory of Ansible in a folder of ours", hint)]
    problems.extend(found)
    return document, None if shape is None or faulty else _client(shape, path.absolute().parent)


def _client_of(document: Document) -> str:
    value = document.root.value
    name = value.get("client") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def _twice(document: Document, client: str, first: Document) -> Problem:
    message = f"the client {shown(client)} has a file already: {visible_line(str(first.path))}"
    return document.problem(("client",), message, "one client, one file")


def _without_secrets(problem: Problem) -> Problem:
    """Return a problem that does not show what may be a literal secret."""
    return replace(
        problem,
        message=_IN_LOGIN.sub(r"\1…", problem.message),
        source=_IN_PROXY.sub(
            r"\1…@", _IN_LOGIN.sub(r"\1…", _LITERAL_SECRET.sub(r"\1…", problem.source))
        ),
    )


def _client(shape: InventoryInput, folder: Path) -> Client:
    return Client(
        client=shape.client,
        name=shape.name or shape.client,
        timezone=shape.timezone,
        agreement=_agreement(shape.agreement),
        credentials={name: _credential(name, each) for name, each in shape.credentials.items()},
        sites={
            name: Site(
                name=name,
                jump=each.jump,
                jump_credential=each.jump_credential,
                concurrency=each.concurrency,
            )
            for name, each in shape.sites.items()
        },
        winrm=_winrm(shape.winrm, folder),
        endpoints={
            name: _endpoint(shape.client, name, each, shape.defaults)
            for name, each in shape.endpoints.items()
        },
    )


def _agreement(shape: AgreementInput | None) -> Agreement | None:
    if shape is None:
        return None
    allows, approvers = dict.fromkeys(shape.allows), dict.fromkeys(shape.approvers)
    return Agreement(id=shape.id, allows=tuple(allows), approvers=tuple(approvers))


def _winrm(shape: WinrmInput, folder: Path) -> Winrm:
    """Return the way to Windows endpoints; a relative path starts at the inventory file's folder.

    `~` stays: whose home that is is for the machine to say on which the plan is executed.
    """
    ca = shape.ca
    if ca is not None and not ca.startswith("~"):
        ca = os.path.normpath(folder / ca)
    return Winrm(ca=ca, proxy=shape.proxy)


def _credential(name: str, shape: CredentialInput) -> Credential:
    return Credential(
        name=name,
        user=shape.user,
        password=shape.password,
        key=shape.key,
        passphrase=shape.passphrase,
        certificate=shape.certificate,
        agent=shape.agent,
        sudo=shape.sudo,
        auth=shape.auth,
    )


def _endpoint(client: str, name: str, shape: EndpointInput, defaults: DefaultsInput) -> Endpoint:
    """Return an endpoint with the defaults it neither sets nor takes back."""
    given = shape.model_fields_set
    values = {
        key: getattr(shape if key in given else defaults, key)
        for key in ("credential", "site", "become", "port", "scheme")
    }
    system = _system(shape, defaults)
    values["become" if system == "windows" else "scheme"] = None
    return Endpoint(
        client=client,
        name=name,
        address=shape.address,
        os=system,
        tags=tuple(dict.fromkeys([*defaults.tags, *shape.tags])),
        ports={int(port): reached for port, reached in shape.ports.items()},
        **values,
    )


def _system(shape: EndpointInput, defaults: DefaultsInput) -> OperatingSystem:
    system = shape.os if "os" in shape.model_fields_set else defaults.os
    if system is None:
        raise InvalidInput("an endpoint without os went through its check")
    return system
