"""What `check` looks at: which files there are, of which kind, and everything wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput, NothingMatched, Problem

if TYPE_CHECKING:
    from outagekit.inventory.foreign.program import Permit
    from outagekit.inventory.foreign.settling import Taken
    from outagekit.inventory.load import Inspection

_OURS: Final = ("outagekit.yaml", "playbook.yaml", "playbooks")
"""What a folder of ours holds, whatever else is in it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What came of a check."""

    files: int
    problems: tuple[Problem, ...]
    taken: tuple[Taken, ...] = ()
    """What was taken over of each inventory of another tool."""

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The problems that are more than warnings."""
        return tuple(problem for problem in self.problems if not problem.warning)


def check_paths(
    paths: Sequence[Path], *, named: Sequence[Path] = (), permit: Permit | None = None
) -> Checked:
    """Check files and folders; without any, the workspace this is called in.

    A folder that holds an `outagekit.yaml` is checked as a workspace, one that holds a
    `playbook.yaml` as a playbook, any other as a folder of playbooks and inventories. What another
    tool made is checked as the inventory it is, also as `CLIENT=FILE`; what is `named` as an
    inventory is checked as one in any case. Raises `NothingMatched` where there is nothing to
    check, and `Refused` for an inventory program that `permit` does not let run.
    """
    playbooks: list[Path] = []
    inventories: list[Path] = [*named]
    settings: list[Path] = []
    passed_over: list[Path] = []
    lists = {
        "playbook": playbooks,
        "inventory": inventories,
        "workspace": settings,
        "passed over": passed_over,
    }
    for path in paths or ([] if named else [_workspace_root()]):
        for file, kind in _named(path):
            lists[kind].append(file)
    found = len(playbooks) + len(inventories) + len(settings)
    if not found:
        raise NothingMatched("there is no playbook and no inventory in what was named")
    inspected = _inspected(inventories, permit)
    problems = [
        *(_passed_over(file) for file in passed_over),
        *(problem for file in settings for problem in _settings_problems(file)),
        *(problem for file in playbooks for problem in _playbook_problems(file)),
        *(inspected.problems if inspected else ()),
    ]
    return Checked(found, tuple(problems), inspected.taken if inspected else ())


def _workspace_root() -> Path:
    from outagekit.inventory.workspace import find_workspace

    workspace = find_workspace(Path.cwd())
    if workspace is None:
        raise NothingMatched(
            "there is no workspace here or above",
            hint="name a file: outagekit check PATH; or make a workspace: outagekit init",
        )
    return workspace.root


def _named(written: Path) -> Iterator[tuple[Path, str]]:
    """Yield what a word of the command line means; an inventory of another tool stays whole."""
    from outagekit.inventory.foreign.reading import origin_of, source_of

    path = source_of(written).path
    holds_ours = any((path / name).exists() for name in _OURS)
    if path.exists() and not holds_ours and origin_of(path) != "ours":
        yield written, "inventory"
    else:
        yield from _files(path)


def _files(path: Path) -> Iterator[tuple[Path, str]]:
    if not path.exists():
        raise NothingMatched(f"there is no {path}")
    if path.is_file():
        yield path, _kind(path)
    elif (path / "outagekit.yaml").is_file():
        yield path / "outagekit.yaml", "workspace"
        for name in ("inventory", "playbooks"):
            if (path / name).is_dir():
                yield from _files_below(path / name)
    elif (path / "playbook.yaml").is_file():
        yield path / "playbook.yaml", "playbook"
    else:
        yield from _files_below(path)


def _files_below(folder: Path) -> Iterator[tuple[Path, str]]:
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue  # what an editor or an import left half-written, and version control
        if entry.is_dir():
            yield from _files(entry)
        elif entry.suffix == ".yaml":
            yield entry, _kind(entry)
        elif entry.suffix == ".yml":
            yield entry, "passed over"


def _kind(path: Path) -> str:
    """Return what a file is meant to be; one that cannot be read is judged as a playbook."""
    from outagekit.source import parse_document

    if path.name == "outagekit.yaml":
        return "workspace"
    try:
        value = parse_document(path).root.value
    except InvalidInput:
        return "inventory" if path.parent.name == "inventory" else "playbook"
    keys = set(value) if isinstance(value, dict) else set()
    return "inventory" if keys & {"client", "endpoints"} and "steps" not in keys else "playbook"


def _passed_over(file: Path) -> Problem:
    """Return a warning for a file that looks like ours and is never read."""
    message = "this file is passed over: only names that end in .yaml are read"
    hint = f"rename it to {file.stem}.yaml"
    return Problem(file, 0, 0, message, hint, warning=True)


def _settings_problems(file: Path) -> tuple[Problem, ...]:
    from outagekit.inventory.workspace import read_settings

    try:
        read_settings(file)
    except InvalidInput as error:
        return error.problems
    return ()


def _playbook_problems(file: Path) -> tuple[Problem, ...]:
    from outagekit.inventory.select import check_targets
    from outagekit.playbook.load import inspect

    _, problems = inspect(file)
    return (*problems, *check_targets(file))


def _inspected(files: Sequence[Path], permit: Permit | None) -> Inspection | None:
    if not files:
        return None
    from outagekit.inventory.load import inspect

    return inspect(files, permit=permit) if permit else inspect(files)
