"""The files beside an inventory: `group_vars` and `host_vars`.

For each name the first of NAME, NAME.yml, NAME.yaml and NAME.json counts; a folder stands for the
files in it, by name. A name never leads out of its folder.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput
from outagekit.inventory.foreign.ansible.json_tree import read_json
from outagekit.inventory.foreign.ansible.node import VAULT, Node, setting_of
from outagekit.inventory.foreign.ansible.yaml_tree import read_yaml
from outagekit.inventory.foreign.findings import (
    LIMIT_BYTES,
    SAVE_AS_CSV,
    WORKBOOK,
    Findings,
    Place,
    is_workbook,
)
from outagekit.source import decode, read_bytes, shown
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from outagekit.inventory.foreign.ansible.estate import Settings

_ENDINGS: Final = ("", ".yml", ".yaml", ".json")
_DEEPEST: Final = 8
_MOST_FILES: Final = 2000


class VariableFiles:
    """Reads the variable files of groups and hosts, each once.

    `skip_encrypted` leaves files out that Ansible's vault encrypted; they stand in `skipped`.
    """

    def __init__(self, folder: Path, findings: Findings, *, skip_encrypted: bool) -> None:
        self._folder = folder
        self._findings = findings
        self._skip_encrypted = skip_encrypted
        self._known: dict[tuple[str, str], Settings] = {}
        self._files = 0
        self._there = {kind: (folder / f"{kind}_vars").is_dir() for kind in ("group", "host")}
        self.skipped: list[Path] = []

    def of(self, kind: str, name: str) -> Settings:
        """Return the variables of a `group` or `host`; what is wrong becomes a fault."""
        if not self._there[kind]:
            return {}
        key = kind, name
        if key not in self._known:
            self._known[key] = self._read(kind, name)
        return self._known[key]

    def _read(self, kind: str, name: str) -> Settings:
        folder = self._folder / f"{kind}_vars"
        if leads_astray(name):
            if name[:1] != os.sep and any(_there(folder / f"{name}{end}") for end in _ENDINGS):
                self._findings.fault(Place(folder), f"the name {shown(name)} leads out of a folder")
            return {}
        found: Settings = {}
        for path in self._paths(folder, name):
            root = self._tree(path)
            if root is None or root.empty:
                continue
            if root.kind != "mapping":
                self._findings.fault(root.place, "a file of variables is a mapping")
                continue
            found |= {str(k): setting_of(value) for k, (_, value) in root.entries.items()}
        return found

    def _paths(self, folder: Path, name: str) -> Iterator[Path]:
        for ending in _ENDINGS:
            path = folder / f"{name}{ending}"
            if _there(path) and path.is_dir():
                yield from self._below(path, 0)
            elif _there(path):
                yield path
            if _there(path):
                return

    def _below(self, folder: Path, depth: int) -> Iterator[Path]:
        for entry in _entries(folder, self._findings):
            if entry.name.startswith(".") or entry.name.endswith("~"):
                continue
            if entry.is_dir() and not entry.suffix:
                if depth < _DEEPEST:
                    yield from self._below(entry, depth + 1)
                else:
                    self._findings.fault(Place(entry), "the folders of variables lie too deep")
            elif entry.is_file() and entry.suffix in _ENDINGS:
                yield entry

    def _tree(self, path: Path) -> Node | None:
        self._files += 1
        if self._files > _MOST_FILES:
            self._findings.fault(Place(path), f"there are more than {_MOST_FILES} variable files")
            return None
        text = text_of(path, self._findings)
        if text is None:
            return None
        if text.startswith(VAULT):
            self._encrypted(path)
            return None
        return tree_of(path, text, self._findings)

    def _encrypted(self, path: Path) -> None:
        self.skipped.append(path)
        if not self._skip_encrypted:
            told = "this file is encrypted, so nobody can say what it sets"
            hint = "leave it out with: outagekit inventory import --skip-encrypted"
            self._findings.fault(Place(path, 1, 1), told, hint)


def leads_astray(name: str) -> bool:
    """Return whether a file of this name could lie elsewhere than in the folder it belongs to."""
    return name in {"", ".", ".."} or bool({"/", "\\", "\0", os.sep} & set(name))


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # too long for a name, or not to be looked at
        return False


def _entries(folder: Path, findings: Findings) -> list[Path]:
    try:
        return sorted(folder.iterdir(), key=lambda entry: entry.name)
    except OSError as error:
        why = visible_line(error.strerror or "unknown reason")
        findings.fault(Place(folder), f"the folder cannot be read: {why}")
        return []


def text_of(path: Path, findings: Findings) -> str | None:
    """Return a file as text; None, with a fault, if it cannot be read or is no UTF-8."""
    try:
        data = read_bytes(path, limit_bytes=LIMIT_BYTES)
        if is_workbook(data):
            findings.fault(Place(path), WORKBOOK, SAVE_AS_CSV)
            return None
        return decode(path, data)
    except InvalidInput as error:
        for each in error.problems:
            findings.fault(Place(each.path, each.line, each.column), each.message, each.hint)
        return None


def tree_of(path: Path, text: str, findings: Findings) -> Node | None:
    """Return a file of JSON or YAML as a tree; None, with a fault, if it is neither."""
    if text.lstrip().startswith("{"):
        attempt = Findings()
        found = read_json(path, text, attempt)
        if found is not None:
            return found
        if path.suffix == ".json":
            findings.problems += attempt.problems
            return None
    return read_yaml(path, text, findings)
