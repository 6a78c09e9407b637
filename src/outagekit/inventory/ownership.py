"""Who can change a file: what decides over other people's machines must be changed by nobody else.

POSIX only. On Windows the access list of the folder decides, and nothing is checked here.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

from outagekit.errors import Refused
from outagekit.text import visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def refuse_foreign(paths: Iterable[Path]) -> None:
    """Raise `Refused` for the first file or folder that somebody else can write or owns.

    Its owner must be the person or root. Writing by the person's own group is accepted, if it is
    the group of the same name with no other member that many systems give to each person. What
    does not exist is passed over.
    """
    if sys.platform != "win32":
        for path in paths:
            _check(path)


if sys.platform != "win32":
    import grp
    import pwd

    def _check(path: Path) -> None:
        try:
            status = path.stat()
        except FileNotFoundError:
            return
        except OSError as error:
            why = error.strerror or "unknown reason"
            raise Refused(f"{_named(path)} cannot be looked at: {why}") from error
        _judge(path, status)

    def _judge(path: Path, status: os.stat_result) -> None:
        if status.st_uid not in {0, os.geteuid()}:
            owner = _owner_name(status.st_uid)
            message = f"{_named(path)} belongs to {owner}, who could change what is run"
            raise Refused(message, hint="work in a copy of your own")
        by_group = status.st_mode & stat.S_IWGRP and not _is_own_group(status.st_gid)
        if status.st_mode & stat.S_IWOTH or by_group:
            message = f"others than you can write {_named(path)} and so change what is run"
            raise Refused(message, hint=f"chmod go-w {_named(path)}")

    def _owner_name(uid: int) -> str:
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            return f"user {uid}"

    def _is_own_group(gid: int) -> bool:
        try:
            person = pwd.getpwuid(os.geteuid())
            group = grp.getgrgid(gid)
        except KeyError:
            return False
        alone = set(group.gr_mem) <= {person.pw_name}
        return gid == person.pw_gid and group.gr_name == person.pw_name and alone


def _named(path: Path) -> str:
    return visible_line(str(path))
