"""Is this a place for a run folder: a disk of this machine, with room on it.

On network and synced folders a lock may not hold and a sync may not mean the disk.
"""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Final

from outagekit.errors import LogUnwritable

MIN_FREE_BYTES: Final = 256 * 1024 * 1024
"""A run does not begin with less; nor with less than three times what it may need."""

_MOUNTS: Final = Path("/proc/self/mounts")
_NETWORK_TYPES: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "9p", "davfs", "ncpfs", "glusterfs"}
)
_SYNCED = re.compile(
    r"onedrive.*|dropbox.*|google ?drive.*|my drive|mobile documents|cloudstorage|nextcloud",
    re.IGNORECASE,
)
_DRIVE_REMOTE = 4  # GetDriveTypeW


def nearest_existing(path: Path) -> Path:
    """Return `path`, or the nearest of its parents that exists."""
    for folder in (path, *path.absolute().parents):
        if folder.exists():
            return folder
    return Path.cwd()


def free_bytes(path: Path) -> int:
    """Return how much room is left where `path` is or would be. Raises `OSError`."""
    return shutil.disk_usage(nearest_existing(path)).free


def require_room(path: Path, estimate_bytes: int = 0) -> None:
    """Raise `LogUnwritable` unless a run that may write `estimate_bytes` has room at `path`."""
    needed = max(MIN_FREE_BYTES, 3 * estimate_bytes)
    try:
        free = free_bytes(path)
    except OSError as error:
        raise LogUnwritable(f"{path} cannot be used: {error}") from error
    if free < needed:
        mib = 1024 * 1024
        raise LogUnwritable(
            f"{path} has {free // mib} MiB left, the run needs {-(-needed // mib)} MiB",
            hint="make room, or choose another place with --state-dir",
        )


def require_local(path: Path) -> None:
    """Raise `LogUnwritable` if `path` is known to be on a network or synced folder."""
    kind = remote_kind(path.absolute())
    if kind:
        raise LogUnwritable(
            f"{path} is on {kind}, where a lock may not hold and a sync may not reach the disk",
            hint="choose a local place with --state-dir, or accept it with --allow-network-folder",
        )


def remote_kind(path: Path) -> str:
    """Return what kind of network or synced folder an absolute path is on, or an empty string.

    Network mounts are recognised on Linux and Windows, synced folders by their names.
    """
    if str(path).startswith(("\\\\", "//")):
        return "a network share"
    for part in path.parts:
        if _SYNCED.fullmatch(part):
            return f"a synced folder ({part})"
    return _platform_kind(path)


def _mount_kind(path: Path, mounts: Path) -> str:
    """Return the file system of `path` if it is a network's, by a table like /proc/self/mounts."""
    try:
        lines = mounts.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""  # no such table on this system
    best, kind = Path(), ""
    for fields in (line.split(" ") for line in lines):
        if len(fields) < 3:  # noqa: PLR2004  (device, place, type)
            continue
        place = Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[1]))
        if path.is_relative_to(place) and len(place.parts) >= len(best.parts):
            best, kind = place, fields[2]
    remote = kind in _NETWORK_TYPES or kind.startswith(("fuse.sshfs", "fuse.rclone"))
    return f"a network file system ({kind})" if remote else ""


if sys.platform == "win32":

    def _platform_kind(path: Path) -> str:
        import ctypes  # noqa: PLC0415  (Windows only)

        remote = ctypes.windll.kernel32.GetDriveTypeW(f"{path.drive}\\") == _DRIVE_REMOTE
        return f"a network drive ({path.drive})" if remote else ""

else:

    def _platform_kind(path: Path) -> str:
        return _mount_kind(nearest_existing(path).resolve(), _MOUNTS)
