"""The way in: which tool a file is from, and what becomes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from outagekit.errors import InvalidInput, UsageError
from outagekit.inventory.foreign.ansible.groups import is_ansible_shape
from outagekit.inventory.foreign.ansible.ini import first_line, is_section
from outagekit.inventory.foreign.ansible.sources import read_ansible
from outagekit.inventory.foreign.ansible.yaml_tree import read_yaml
from outagekit.inventory.foreign.findings import LIMIT_BYTES, LIMIT_ENDPOINTS, Findings, Place
from outagekit.inventory.foreign.names import client_of, valid_client
from outagekit.inventory.foreign.program import is_program, refuse_untrusted
from outagekit.inventory.foreign.proposal import Wishes
from outagekit.inventory.foreign.rows import clients_named, read_rows
from outagekit.inventory.foreign.settling import Taken, settle
from outagekit.source import decode, read_bytes, shown
from outagekit.text import visible_line

if TYPE_CHECKING:
    from outagekit.errors import Problem
    from outagekit.inventory.foreign.program import Permit
    from outagekit.inventory.foreign.proposal import Gathered

Origin = Literal["ours", "table", "ansible"]

_TABLES: Final = frozenset([".csv", ".tsv"])
_YAML: Final = frozenset([".yaml", ".yml"])
_NAMED = re.compile(r"([^=/\\]*)=(.+)", re.DOTALL)
_OURS = re.compile(r"^\{?\s*\"?outagekit\"?\s*:", re.MULTILINE)
_GROUPS = re.compile(r"^(?:[\"']?(?:all|ungrouped)[\"']?|\s+(?:hosts|children))\s*:", re.MULTILINE)
_KEYS_OF_OURS = re.compile(r"^(?:client|endpoints|steps)\s*:", re.MULTILINE)
_OF_ANSIBLE: Final = frozenset(["group_vars", "host_vars", "hosts", "inventory"])


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder to read, and whose machines it holds where that was said."""

    path: Path
    client: str | None = None


def source_of(written: Path) -> Source:
    """Return what `FILE` or `CLIENT=FILE` means; a file that is called so comes first.

    Raises `UsageError` for a client that cannot be one.
    """
    found = _NAMED.fullmatch(str(written))
    if found is None or _exists(written):
        return Source(written)
    client = found[1]
    if valid_client(client) != client:
        near = valid_client(client) or "acme"
        raise UsageError(f"{shown(client)} is no client's short name", hint=f"write {near}=FILE")
    try:
        return Source(Path(found[2]).expanduser(), client)
    except RuntimeError as error:
        raise UsageError(f"there is no home folder for {shown(found[2])}") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder; what cannot be a path is none."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def origin_of(path: Path) -> Origin:
    """Return which tool a file or folder is from; one that cannot be read counts as ours.

    Files of ours say `outagekit: 1`. A folder is Ansible's if it holds what only theirs do.
    """
    if is_folder(path):
        return "ansible" if _is_of_ansible(path) else "ours"
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return "table"
    if suffix in _YAML:
        return "ansible" if is_program(path) or is_ansible_yaml(path) else "ours"
    return "ansible" if _exists(path) and not _is_ours(path) else "ours"


def is_ansible_yaml(path: Path) -> bool:
    """Return whether a YAML file has the shape of Ansible's groups, or is INI in truth.

    One that cannot be read is judged by the words that begin its lines.
    """
    text = _text(path)
    if not text or _OURS.search(text):
        return False
    if is_section(first_line(text)):
        return True
    root = read_yaml(path, text, Findings())
    if root is None:
        return bool(_GROUPS.search(text)) and not _KEYS_OF_OURS.search(text)
    return is_ansible_shape(root)


def _is_ours(path: Path) -> bool:
    return not is_program(path) and bool(_OURS.search(_text(path)))


def _text(path: Path) -> str:
    try:
        return decode(path, read_bytes(path, limit_bytes=LIMIT_BYTES))
    except InvalidInput:
        return ""


def _is_of_ansible(folder: Path) -> bool:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return False
    if any(entry.name in _OF_ANSIBLE or entry.suffix == ".ini" for entry in entries):
        return True
    files = [entry for entry in entries if entry.suffix in _YAML and entry.is_file()]
    return bool(files) and all(map(is_ansible_yaml, files))


def read_foreign(
    source: Source, wishes: Wishes | None = None, *, permit: Permit = refuse_untrusted
) -> tuple[Taken, tuple[Problem, ...]]:
    """Return what a file of another tool holds, and every fault and warning.

    With a fault among them nothing of it may be used. Nothing is contacted; a program is run only
    if `permit` lets it, else this raises `Refused`. Raises `UsageError` for columns that are named
    for what is no table, `InvalidInput` never.
    """
    wishes = wishes or Wishes()
    findings = Findings()
    path = source.path
    if origin_of(path) == "table":
        gathered = read_rows(path, wishes, findings)
    elif wishes.columns:
        raise UsageError("--map is for tables", hint=f"{visible_line(str(path))} is none")
    else:
        gathered = read_ansible(path, wishes, findings, permit)
    if len(gathered.proposals) > LIMIT_ENDPOINTS:
        findings.fault(Place(path), f"there are more than {LIMIT_ENDPOINTS} endpoints")
        gathered.proposals.clear()
    client = _client(source, gathered, findings)
    taken = settle(path, gathered, findings, client=client, leave_out=wishes.leave_out)
    return taken, findings.first()


def _client(source: Source, gathered: Gathered, findings: Findings) -> str:
    """Return whose machines they are where they do not say it themselves."""
    if source.client is not None:
        several = clients_named(gathered)
        if several:
            message = f"the table names several clients: {several}"
            hint = f"leave {source.client}= away, or split the table"
            findings.fault(Place(source.path), message, hint)
        gathered.proposals = [replace(each, client="") for each in gathered.proposals]
        return source.client
    found = client_of(source.path)
    if not found and not gathered.several_clients:
        name = visible_line(str(source.path))
        hint = f"name one: acme={name}"
        findings.fault(Place(source.path), "no client can be named after this file", hint)
    return found or "unnamed"
