"""From paths to config files: owner and permissions, globs, and limits. The only I/O on files."""

from __future__ import annotations

import glob
import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outagekit.errors import InvalidInput, Problem
from outagekit.transports.ssh.config.model import ConfigFile, Here, Place
from outagekit.transports.ssh.config.parse import parse_config
from outagekit.transports.ssh.config.tokens import BadTokenError, at_home
from outagekit.transports.ssh.config.values import BadValueError

SYSTEM_FOLDER: Final = Path("/etc/ssh")
_DEEPEST: Final = 16
_LARGEST_BYTES: Final = 1024 * 1024
_MOST_FILES: Final = 1000
_MOST_INCLUDED: Final = 2 * 1024 * 1024
"""Characters of all files together; one included twice counts twice, as it is read anew."""


class _UnfitError(Exception):
    """A file is not to be believed, or cannot be read."""


def load_file(
    path: Path, here: Here, *, user: bool, checked: bool, needed: bool = False
) -> ConfigFile | None:
    """Return a config file with everything it includes; None if there is no such file.

    `user`: `Include` may begin with `~`, and is relative to `~/.ssh`, not to the system's folder.
    `checked`: nobody else may be able to write it; of included files this is true always.
    Raises `InvalidInput` with every problem found.
    """
    loading = _Loading(here, user=user)
    try:
        text = _text(path, checked=checked)
    except _UnfitError as fault:
        raise InvalidInput(f"{path} {fault}") from fault
    if text is None:
        if needed:
            message = f"there is no SSH config {path}"
            raise InvalidInput(message, hint="--ssh-config names another file, or none")
        return None
    made = loading.parsed(path, text, 0)
    if loading.problems:
        raise InvalidInput(f"ssh would refuse {path}", tuple(loading.problems))
    return made


@dataclass(slots=True)
class _Loading:
    """The loading of one file and all it includes."""

    here: Here
    user: bool
    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    size_chars: int = 0

    def parsed(self, path: Path, text: str, depth: int) -> ConfigFile:
        def included(word: str, place: Place) -> tuple[ConfigFile, ...]:
            return self._included(word, place, depth + 1)

        return parse_config(path, text, here=self.here, included=included, problems=self.problems)

    def _included(self, word: str, place: Place, depth: int) -> tuple[ConfigFile, ...]:
        found = []
        for path in self._found(word):
            self.files += 1
            if depth > _DEEPEST or self.files > _MOST_FILES:
                message = "files include each other too often"
                raise InvalidInput(message, (place.problem(message),))
            try:
                text = _text(path, checked=True)
            except _UnfitError as fault:
                raise BadValueError(f"{path} {fault}") from fault
            if text is not None:
                self._count(len(text), place)
                found.append(self.parsed(path, text, depth))
        return tuple(found)

    def _count(self, size_chars: int, place: Place) -> None:
        self.size_chars += size_chars
        if self.size_chars > _MOST_INCLUDED:
            message = "files include too much: no config is that large"
            raise InvalidInput(message, (place.problem(message),))

    def _found(self, word: str) -> list[Path]:
        if word.startswith("~"):
            if not self.user:
                raise BadValueError(f"the system's config cannot include {word}")
            try:
                word = at_home(word, self.here)
            except BadTokenError:
                return []
        folder = Path(self.here.home) / ".ssh" if self.user else SYSTEM_FOLDER
        return [Path(path) for path in sorted(glob.glob(os.path.join(folder, word)))]  # noqa: PTH118, PTH207  (as ssh joins and expands)


def _text(path: Path, *, checked: bool) -> str | None:
    """Return the content of a file, empty for a folder, None if there is none."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise _UnfitError(f"cannot be read: {getattr(fault, 'strerror', fault)}") from fault
    try:
        status = os.fstat(descriptor)
        if checked:
            _require_own(status)
        return _content(descriptor, status, path)
    finally:
        os.close(descriptor)


def _content(descriptor: int, status: os.stat_result, path: Path) -> str:
    if stat.S_ISDIR(status.st_mode) or str(path) == os.devnull:
        return ""
    if not stat.S_ISREG(status.st_mode):
        raise _UnfitError("cannot be read: it is no regular file")
    data = b""
    while len(data) <= _LARGEST_BYTES and (more := os.read(descriptor, _LARGEST_BYTES + 1)):
        data += more
    if len(data) > _LARGEST_BYTES:
        raise _UnfitError("cannot be read: it is larger than any such file")
    return data.decode("utf-8", "surrogateescape")


def _require_own(status: os.stat_result) -> None:
    if sys.platform == "win32":
        return
    if status.st_uid not in {0, os.getuid()}:
        raise _UnfitError("belongs to somebody else: ssh does not accept it either")
    if status.st_mode & stat.S_IWOTH or (
        status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
    ):
        raise _UnfitError(
            "can be written by others: ssh does not accept it either (chmod go-w FILE)"
        )


def _is_own_group(gid: int) -> bool:
    """Return whether nobody but this user is in a group, as it is where each user has one."""
    import grp  # noqa: PLC0415  (POSIX only)
    import pwd  # noqa: PLC0415

    try:
        named = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False
    members = named | {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    return members == {pwd.getpwuid(os.getuid()).pw_name}
