"""Which files of an Ansible inventory are read, in which form, and in which order."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput
from outagekit.inventory.foreign.ansible.estate import PRIORITY, Estate, TooMuch
from outagekit.inventory.foreign.ansible.facts import HONOURED
from outagekit.inventory.foreign.ansible.groups import TreeReader, is_program_output
from outagekit.inventory.foreign.ansible.ini import first_line, is_section, read_ini
from outagekit.inventory.foreign.ansible.json_tree import read_json
from outagekit.inventory.foreign.ansible.machines import gather
from outagekit.inventory.foreign.ansible.node import VAULT, Node
from outagekit.inventory.foreign.ansible.variables import VariableFiles, text_of, tree_of
from outagekit.inventory.foreign.findings import Findings, Place
from outagekit.inventory.foreign.program import LIMIT_S, Permit, Program, is_program
from outagekit.inventory.foreign.proposal import Gathered
from outagekit.source import shown
from outagekit.text import visible_line

if TYPE_CHECKING:
    from pathlib import Path

    from outagekit.inventory.foreign.proposal import Wishes

_IGNORED_NAMES: Final = frozenset(["host_vars", "group_vars", "vars_plugins"])
_IGNORED_ENDINGS: Final = (
    ".pyc", ".pyo", ".swp", ".bak", "~", ".rpm", ".md", ".txt", ".rst", ".orig", ".cfg", ".retry",
)  # fmt: skip
_YAML: Final = frozenset([".yml", ".yaml"])
_LIKE_YAML = re.compile(r"---(\s|$)|[\"']?[^\s\[\]:=#;\"']+[\"']?\s*:(\s|$)")
_DEEPEST: Final = 8


def read_ansible(path: Path, wishes: Wishes, findings: Findings, permit: Permit) -> Gathered:
    """Return the machines of an Ansible file or folder; what is wrong becomes a fault.

    Raises `Refused` for a program that `permit` does not let run.
    """
    estate = Estate()
    beside = path if path.is_dir() else path.absolute().parent
    files = VariableFiles(beside, findings, skip_encrypted=wishes.skip_encrypted)
    sources = _Sources(estate, findings, permit)
    form = "folder" if path.is_dir() else "file"
    try:
        if path.is_dir():
            sources.folder(path, 0)
        else:
            form = sources.file(path)
        gathered = gather(estate, files, wishes, findings)
    except TooMuch as error:
        findings.fault(Place(path), str(error), "split it")
        gathered = Gathered("")
    gathered.form = f"Ansible, {form}"
    if files.skipped and wishes.skip_encrypted:
        names = ", ".join(visible_line(str(each)) for each in files.skipped)
        gathered.notes.append(f"encrypted files are left out: {names}")
    return gathered


@dataclass(slots=True)
class _Sources:
    _estate: Estate
    _findings: Findings
    _permit: Permit
    limit_s: float = LIMIT_S

    def folder(self, folder: Path, depth: int) -> None:
        """Add every file of a folder and of those in it, by name."""
        if depth > _DEEPEST:
            self._findings.fault(Place(folder), "the folders lie too deep")
            return
        try:
            entries = sorted(folder.iterdir(), key=lambda entry: entry.name)
        except OSError as error:
            why = visible_line(error.strerror or "unknown reason")
            self._findings.fault(Place(folder), f"the folder cannot be read: {why}")
            return
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _IGNORED_NAMES:
                continue
            if entry.name.endswith(_IGNORED_ENDINGS):
                continue
            if entry.is_dir():
                self.folder(entry, depth + 1)
            else:
                self.file(entry)

    def file(self, path: Path) -> str:
        """Add one file and return what form it has, in a word."""
        if is_program(path):
            self._program(path)
            return "program"
        text = text_of(path, self._findings)
        if text is None:
            return "file"
        if text.startswith(VAULT):
            message = "this file is encrypted by Ansible's vault"
            self._findings.fault(Place(path, 1, 1), message)
            return "file"
        if "\0" in text:
            line = text.count("\n", 0, text.index("\0")) + 1
            self._findings.fault(Place(path, line), "this is no text: it holds a NUL")
            return "file"
        return self._text(path, text)

    def _text(self, path: Path, text: str) -> str:
        form = _form_of(path, text)
        if form == "INI":
            self._ini(path, text)
        elif form in {"YAML", "JSON"}:
            root = tree_of(path, text, self._findings)
            if root is not None:
                self._tree(root, form)
        else:
            message = f"{form} is no form of an inventory that is read"
            hint = "save what Ansible makes of it: ansible-inventory -i FILE --list > hosts.json"
            self._findings.fault(Place(path), message, hint)
        return form

    def _ini(self, path: Path, text: str) -> None:
        if _begins_with_mark(path):
            message = "the file begins with a byte order mark, which Ansible takes for a name"
            self._findings.fault(Place(path, 1, 1), message, "save it as UTF-8 without it")
        wanted = HONOURED | {PRIORITY}
        read_ini(path, text, self._estate, self._findings, wanted=wanted.__contains__)

    def _tree(self, root: Node, form: str) -> None:
        reader = TreeReader(self._estate, self._findings)
        if form == "JSON" and root.kind == "mapping" and is_program_output(root):
            reader.program_output(root)
        else:
            reader.yaml_groups(root)

    def _program(self, path: Path) -> None:
        said = path.with_name(f"{path.name} --list")
        try:
            program = Program(path, self._permit, limit_s=self.limit_s)
            root = read_json(said, program.output("--list"), self._findings)
            if root is not None:
                reader = TreeReader(self._estate, self._findings)
                reader.program_output(root, lambda name: self._of_host(program, path, name))
        except InvalidInput as error:
            self._findings.fault(Place(path), error.message, error.hint)

    def _of_host(self, program: Program, path: Path, name: str) -> Node | None:
        if name.startswith("-"):
            self._findings.fault(Place(path), f"{shown(name)} is no name of a host")
            return None
        said = path.with_name(f"{path.name} --host {visible_line(name).replace('/', '_')}")
        text = program.output("--host", name)
        return read_json(said, text, self._findings) if text.strip() else None


def _begins_with_mark(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == codecs.BOM_UTF8


def _form_of(path: Path, text: str) -> str:
    """Return what a file is by its name, else by the first line that says something."""
    suffix = path.suffix.lower()
    first = first_line(text)
    if suffix in _YAML:
        return "INI" if is_section(first) else "YAML"
    if suffix == ".json" or first[:1] == "{":
        return "JSON"
    if suffix == ".toml":
        return "TOML"
    if suffix == ".ini":
        return "INI"
    return "YAML" if _LIKE_YAML.match(first) else "INI"
