"""The files beside a playbook: read safely, hashed together.

A playbook uses files of its own folder only: no way out of it, no symbolic links, limited sizes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from outagekit.errors import InvalidInput, Problem
from outagekit.source import decode, read_bytes, shown
from outagekit.text import closest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LIMIT_SCRIPT_BYTES: Final = 1024 * 1024
LIMIT_PUSH_BYTES: Final = 5 * 1024 * 1024
_MOST_GUESSES = 500


class Unusable(Exception):  # noqa: N818  (caught by the builder, which knows the place)
    """A file cannot be used; `problem` is set if the fault stands inside the file."""

    def __init__(self, message: str, hint: str = "", problem: Problem | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.problem = problem


@dataclass(slots=True)
class Folder:
    """The folder of one playbook, and what of it the playbook used so far."""

    root: Path
    used: dict[str, bytes] = field(default_factory=dict)
    """Name as written -> content; texts with LF line ends and without byte order mark."""

    def text(self, name: str) -> str:
        """Return a script's text with LF line ends; raises Unusable."""
        path = self._path(name)
        data = self._read(path, name, LIMIT_SCRIPT_BYTES)
        try:
            text = decode(path, data).replace("\r\n", "\n")
        except InvalidInput as error:
            problem = error.problems[0]
            raise Unusable(problem.message, problem.hint, problem) from error
        if not text.strip():
            raise Unusable(f"the file {shown(name)} is empty")
        if "\0" in text:
            raise Unusable(f"the file {shown(name)} holds NUL characters: it is no text")
        self.used[name] = text.encode()
        return text

    def content(self, name: str) -> bytes:
        """Return a file's bytes; raises Unusable."""
        self.used[name] = self._read(self._path(name), name, LIMIT_PUSH_BYTES)
        return self.used[name]

    def _path(self, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if "\\" in name:
            raise Unusable(f"the file {shown(name)} is written with `\\`", "write `/` in paths")
        if name.startswith(("/", "~")) or ":" in name or ".." in parts or not parts:
            message = f"the file {shown(name)} is not inside the playbook's folder"
            raise Unusable(message, "put it beside the playbook")
        path = self.root
        for part in parts:
            path /= part
            if path.is_symlink():
                raise Unusable(f"the file {shown(name)} is a symbolic link", "put the file itself")
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise Unusable(f"the file {shown(name)} is not inside the playbook's folder")
        return path

    def _read(self, path: Path, name: str, limit_bytes: int) -> bytes:
        try:
            return read_bytes(path, limit_bytes=limit_bytes)
        except InvalidInput as error:
            said = error.problems[0].message
            missing = said == "there is no such file"
            hint = self._similar(name) if missing else ""
            message = f"there is no file {shown(name)}" if missing else f"{shown(name)}: {said}"
            raise Unusable(message, hint) from error

    def _similar(self, name: str) -> str:
        try:
            there = [path.name for path in islice(self.root.iterdir(), _MOST_GUESSES)]
        except OSError:
            return ""
        near = closest(name, there)
        return f"did you mean `{near}`?" if near else "put it beside the playbook"


def digest(name: str, content: bytes, used: Mapping[str, bytes]) -> str:
    """Return the SHA-256 over a playbook file and every file it uses: names, lengths, contents."""
    total = hashlib.sha256(b"outagekit-playbook-v1\n")
    text = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    for each, data in [(name, text), *sorted(used.items())]:
        written = each.encode()
        total.update(b"%d %d\n%b%b" % (len(written), len(data), written, data))
    return total.hexdigest()
