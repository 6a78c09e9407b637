"""Where playbooks are found: at a path, in the workspace, among the shipped ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from outagekit.errors import NothingMatched
from outagekit.playbook.load import name_of
from outagekit.source import shown
from outagekit.text import closest, fold_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from outagekit.playbook.load import Origin

PLAYBOOK_FILE: Final = "playbook.yaml"
_SUFFIX = ".yaml"
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Found:
    """A playbook file, what to call it, and how far it is trusted."""

    name: str
    path: Path
    origin: Origin


def shipped_folder() -> Path:
    """Return the folder of the playbooks that come with the product.

    In an installed package that is `outagekit/shipped`, in the repository `playbooks`.
    """
    packed = _PACKAGE / "shipped"
    return packed if packed.is_dir() else _PACKAGE.parents[1] / "playbooks"


def find_playbook(word: str, *, workspace_playbooks: Path | None = None) -> Found:
    """Return the playbook a person means.

    A name is that of the file or folder in small letters, as `name_of` makes it.
    A word with a separator or the ending `.yaml` is a path, of a file or of a folder with a
    `playbook.yaml`; anything else is a name, looked for in the workspace and then among the
    shipped ones. Raises NothingMatched. Whether the file is a valid playbook is not looked at.
    """
    if "/" in word or "\\" in word or word.endswith(_SUFFIX):
        return _at_path(Path(word), workspace_playbooks)
    known = list_playbooks(workspace_playbooks=workspace_playbooks)
    for found in known:
        if found.name == word:
            return found
    near = closest(word, [found.name for found in known])
    names = fold_list([found.name for found in known], limit=10)
    hint = f"did you mean `{near}`?" if near else f"there are: {names}" if names else ""
    raise NothingMatched(f"there is no playbook {shown(word)}", hint=hint)


def list_playbooks(*, workspace_playbooks: Path | None = None) -> tuple[Found, ...]:
    """Return the playbooks of the workspace and the shipped ones, sorted by name within each.

    A name of the workspace hides the same name among the shipped ones.
    """
    own = _in_folder(workspace_playbooks, "workspace") if workspace_playbooks else {}
    shipped = _in_folder(shipped_folder(), "shipped")
    return (*own.values(), *(found for name, found in shipped.items() if name not in own))


def _at_path(path: Path, workspace_playbooks: Path | None) -> Found:
    file = path / PLAYBOOK_FILE if path.is_dir() else path
    if not file.is_file():
        raise NothingMatched(f"there is no playbook at {shown(str(path))}")
    origin: Origin = "outside"
    if _inside(file, shipped_folder()):
        origin = "shipped"
    elif workspace_playbooks and _inside(file, workspace_playbooks):
        origin = "workspace"
    return Found(name_of(file), file, origin)


def _inside(file: Path, folder: Path) -> bool:
    return file.resolve().is_relative_to(folder.resolve())


def _in_folder(folder: Path, origin: Origin) -> dict[str, Found]:
    """Return `NAME.yaml` and `NAME/playbook.yaml` of a folder; a folder that is none has none."""
    found: dict[str, Found] = {}
    for path in sorted(_entries(folder)):
        file = path / PLAYBOOK_FILE if path.is_dir() else path
        if file.suffix == _SUFFIX and file.is_file():
            found.setdefault(name_of(file), Found(name_of(file), file, origin))
    return found


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return
