"""The folder an MSP keeps its inventory, playbooks and trust in, marked by `outagekit.yaml`.

Whoever can write here decides what runs on clients' machines; so a workspace that others can
write is refused before a line of it is read. That check is for POSIX systems; on Windows the
access list of the folder decides, and nothing is checked.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from outagekit.errors import Refused, UsageError
from outagekit.inventory.input import WorkspaceInput
from outagekit.inventory.ownership import refuse_foreign
from outagekit.source import invalid, parse_document, problems_of
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

FILE_NAME: Final = "outagekit.yaml"
_FOLDERS: Final = ("inventory", "playbooks", "trust")


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """What the file of a workspace says; None where it says nothing."""

    concurrency: int | None = None
    connecting: int | None = None
    state_dir: str | None = None
    """As written; a relative one starts at the workspace."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace that only the person (or root) can change. All paths are absolute."""

    root: Path
    settings: WorkspaceSettings = WorkspaceSettings()

    @property
    def file(self) -> Path:
        """The file that makes the folder a workspace."""
        return self.root / FILE_NAME

    @property
    def inventory_paths(self) -> tuple[Path, ...]:
        """What to load clients from: the folder `inventory/`, if there is one."""
        folder = self.root / "inventory"
        return (folder,) if folder.is_dir() else ()

    @property
    def playbooks(self) -> Path:
        """The folder of the MSP's own playbooks; it need not exist."""
        return self.root / "playbooks"

    @property
    def trust(self) -> Path:
        """The folder of host keys and machine ids, one folder a client; it need not exist."""
        return self.root / "trust"


def find_workspace(start: Path) -> Workspace | None:
    """Return the workspace `start` lies in: the nearest folder above with an `outagekit.yaml`.

    Raises `Refused` if somebody else could write it, its three folders or what lies directly in
    them, and `InvalidInput` with every problem of its file.
    """
    here = Path(os.path.abspath(start))  # noqa: PTH100  (links stay as the person knows them)
    for root in (here, *here.parents):
        file = root / FILE_NAME
        if _exists(file):
            refuse_foreign(_decisive(root))
            return Workspace(root, read_settings(file))
    return None


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False  # a folder above that may not be looked into holds no workspace of ours


def _decisive(root: Path) -> Iterator[Path]:
    """Return the places whose content decides what is run, on what, and who is trusted."""
    yield root
    yield root / FILE_NAME
    for name in _FOLDERS:
        folder = root / name
        yield folder
        try:
            yield from sorted(folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            message = f"{_named(folder)} cannot be read: {error.strerror or 'unknown reason'}"
            raise Refused(message) from error


def read_settings(file: Path) -> WorkspaceSettings:
    """Return what an `outagekit.yaml` says; raises `InvalidInput` with every problem."""
    document = parse_document(file)
    try:
        shape = WorkspaceInput.model_validate(document.root.value)
    except ValidationError as error:
        problems = problems_of(error, document, WorkspaceInput)
        raise invalid(file, (*document.problems, *problems)) from error
    if document.problems:
        raise invalid(file, document.problems)
    return WorkspaceSettings(shape.concurrency, shape.connecting, shape.state_dir)


def write_workspace(folder: Path) -> tuple[Path, ...]:
    """Write a commented workspace into `folder`, which is made if it is not there.

    Returns the files written. Nothing is overwritten, and nothing is written at all if one of the
    files is there already: that raises `UsageError` with its name, as does a folder that cannot be
    written.
    """
    files = dict(_templates(resources.files(__package__) / "templates", Path()))
    for name in files:
        if os.path.lexists(folder / name):
            message = f"{_named(folder / name)} is there already; nothing was written"
            raise UsageError(message, hint="choose another folder")
    try:
        for name, content in files.items():
            _write_new(folder / name, content)
    except OSError as error:
        where = _named(Path(error.filename)) if error.filename else _named(folder)
        raise UsageError(f"{where} cannot be written: {error.strerror}") from error
    return tuple(folder / name for name in files)


def _templates(source: Traversable, below: Path) -> Iterator[tuple[Path, bytes]]:
    for entry in sorted(source.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            yield from _templates(entry, below / entry.name)
        else:
            yield below / entry.name, entry.read_bytes()


def _write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist, so that nobody else can write it."""
    for folder in reversed((path.parent, *path.parent.parents)):
        if not folder.exists():
            folder.mkdir(mode=0o755)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _named(path: Path) -> str:
    return visible_line(str(path))
