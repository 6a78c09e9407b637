"""The folder of a run: made, locked, filled with frozen files, and found again by name.

What is in it is listed in docs/log-format.md. Folders are 0700 and files 0600 where the platform
knows that; on Windows the user's own state folder is private already.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from outagekit.errors import LogUnwritable, NothingMatched
from outagekit.events import RunId
from outagekit.log.checkpoint import require_never_begun
from outagekit.log.clock import stamp
from outagekit.log.file import ANCHORS_NAME, LOG_NAME, OUTPUT_NAME, write_durably
from outagekit.log.lock import OWNER_NAME, FolderLock, Owner
from outagekit.log.place import require_local, require_room
from outagekit.text import closest, fold_list, slug, visible_line

if TYPE_CHECKING:
    from datetime import datetime

RUNS_NAME: Final = "runs"
RESERVE_BYTES: Final = 1024 * 1024
"""Given up when the disk is full, so that the log can say so."""

_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z-", re.ASCII)
_STAMP_LENGTH = len("20261122T081403Z")
_SHOWN_RUNS = 3


def new_run_id(title: str, now: datetime) -> RunId:
    """Return a run id such as `20261122T081403Z-crowdstrike-291-x7q2`; `now` is in UTC.

    Ids sort by time, and the random end keeps two runs of one second apart.
    """
    end = "".join(secrets.choice(_ALPHABET) for _ in range(4))
    return RunId(f"{now:%Y%m%dT%H%M%SZ}-{slug(title, 40)}-{end}")


class RunFolder:
    """A run's folder while this process holds its lock."""

    def __init__(self, path: Path, lock: FolderLock) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(
        cls,
        state_dir: Path,
        run: RunId,
        *,
        allow_network_folder: bool = False,
        estimate_bytes: int = 0,
    ) -> Self:
        """Make and lock the folder of a new run below `state_dir`.

        `estimate_bytes` is what the run may write. Raises `LogUnwritable` if there is no room, the
        place is on a network, the folder exists, or the disk refuses.
        """
        if not _RUN_ID.fullmatch(run):
            raise LogUnwritable(f"{visible_line(run[:80])!r} cannot name a run folder")
        if not allow_network_folder:
            require_local(state_dir)
        require_room(state_dir, estimate_bytes)
        path = state_dir.absolute() / RUNS_NAME / run
        try:
            _make_folders(path)
            write_durably(path / "reserve", bytes(RESERVE_BYTES))
        except FileExistsError as error:
            raise LogUnwritable(f"the run folder {path} exists already") from error
        except OSError as error:
            raise LogUnwritable(f"the run folder {path} cannot be made: {error}") from error
        return cls(path, FolderLock.acquire(path, start=stamp(time.time_ns())))

    @classmethod
    def open_existing(cls, path: Path, *, allow_network_folder: bool = False) -> Self:
        """Lock the folder of a run that is to be continued.

        Raises `NothingMatched` if it holds no log, `LogUnwritable` if another process holds it.
        """
        path = path.resolve()
        if not (path / LOG_NAME).is_file():
            raise NothingMatched(f"{path} is no run folder: it holds no {LOG_NAME}")
        if not allow_network_folder:
            require_local(path)
        folder = cls(path, FolderLock.acquire(path, start=stamp(time.time_ns())))
        folder._restore_reserve()
        return folder

    def _restore_reserve(self) -> None:
        # Without one a full disk is still noticed, it only cannot be written down.
        if not self.reserve.exists():
            with suppress(OSError):
                write_durably(self.reserve, bytes(RESERVE_BYTES))

    @property
    def run(self) -> RunId:
        """The run's id, which is the folder's name."""
        return RunId(self.path.name)

    @property
    def owner(self) -> Owner:
        """This process as `owner.json` names it, with the nonce of the inbox."""
        return self._lock.owner

    @property
    def log(self) -> Path:
        """The log itself."""
        return self.path / LOG_NAME

    @property
    def plan(self) -> Path:
        """The frozen plan."""
        return self.path / "plan.json"

    @property
    def inventory(self) -> Path:
        """The frozen inventory."""
        return self.path / "inventory.json"

    @property
    def owner_file(self) -> Path:
        """Who holds the folder."""
        return self.path / OWNER_NAME

    @property
    def anchors(self) -> Path:
        """The checkpoints as text."""
        return self.path / ANCHORS_NAME

    @property
    def output(self) -> Path:
        """Folder of outputs too long for the log, named by their hash."""
        return self.path / OUTPUT_NAME

    @property
    def evidence(self) -> Path:
        """Folder of fetched files."""
        return self.path / "evidence"

    @property
    def inbox(self) -> Path:
        """Folder through which people speak to the run."""
        return self.path / "inbox"

    @property
    def reserve(self) -> Path:
        """File that is given up when the disk is full."""
        return self.path / "reserve"

    def freeze(self, name: str, content: bytes) -> str:
        """Write a file that is there complete or not at all; return the SHA-256 for `plan.frozen`.

        Raises `LogUnwritable`.
        """
        if not _RUN_ID.fullmatch(name):
            raise LogUnwritable(f"{visible_line(name[:80])!r} cannot name a frozen file")
        self._write(self.path / name, content)
        return hashlib.sha256(content).hexdigest()

    def spool(self, text: str) -> str:
        r"""Keep text too long for an event in `output/`; return its SHA-256, which is its name.

        On disk when it returns; the same text is kept once; lone surrogates become `\udc80`-like
        text. May be called from any thread. Raises `LogUnwritable`.
        """
        content = text.encode("utf-8", "backslashreplace")
        digest = hashlib.sha256(content).hexdigest()
        path = self.output / digest
        if not path.exists():
            self._write(path, content)
        return digest

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_durably(path, content)
        except OSError as error:
            raise LogUnwritable(f"{path} cannot be written: {error}") from error

    def close(self) -> None:
        """Let go of the folder; doing it twice is the same as once."""
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_folders(path: Path) -> None:
    state_dir, runs = path.parent.parent, path.parent
    if not state_dir.exists():  # in one go with `runs` it would not be private
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    runs.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700)
    for name in (OUTPUT_NAME, "evidence", "inbox"):
        (path / name).mkdir(mode=0o700)


def list_runs(state_dir: Path) -> tuple[Path, ...]:
    """Return the folders of all runs that have a log, newest first. Raises `LogUnwritable`."""
    try:
        entries = tuple((state_dir / RUNS_NAME).iterdir())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise LogUnwritable(f"{state_dir} cannot be read: {error}") from error
    return tuple(sorted(filter(_holds_log, entries), key=_age_order, reverse=True))


def _holds_log(path: Path) -> bool:
    try:
        return (path / LOG_NAME).is_file()
    except OSError:  # somebody else's folder, which may not be looked into
        return False


def _age_order(path: Path) -> tuple[bool, str, int, str]:
    # Two runs of one second: the one held last is the later one.
    try:
        held_ns = (path / OWNER_NAME).stat().st_mtime_ns
    except OSError:
        held_ns = 0
    # A folder that is not named as we name runs is never the last one.
    ours = _STAMP.match(path.name) is not None
    return ours, path.name[:_STAMP_LENGTH], held_ns, path.name


def find_run(state_dir: Path, word: str) -> Path:
    """Return the folder of the run a person means: an id, a beginning of one, a path, or `last`.

    Raises `NothingMatched` with the nearest names if no run, or more than one, is meant.
    """
    if (path := _as_path(word)) is not None:
        return path
    runs = list_runs(state_dir)
    if not runs:
        raise NothingMatched(f"there are no runs in {state_dir}", hint="is --state-dir right?")
    if word == "last":
        return runs[0]
    by_name = {path.name: path for path in runs}
    if word in by_name:
        return by_name[word]
    matches = [path for path in runs if word and path.name.startswith(word)]
    if len(matches) == 1:
        return matches[0]
    raise _no_match(word, runs, matches)


def _as_path(word: str) -> Path | None:
    """Return the run folder a path leads to; a bare name is no path."""
    path = Path(word)
    if len(path.parts) < 2 and word not in {".", ".."}:  # noqa: PLR2004  (no separator)
        return None
    folder = path.parent if path.name == LOG_NAME else path
    if not _holds_log(folder):
        with suppress(OSError, ValueError):
            require_never_begun(folder / LOG_NAME, RunId(folder.resolve().name))
        shown = visible_line(word)
        raise NothingMatched(f"{shown} is no run folder: it holds no {LOG_NAME}")
    return folder.resolve()


def _no_match(word: str, runs: tuple[Path, ...], matches: list[Path]) -> NothingMatched:
    shown = repr(visible_line(word[:80]))
    if matches:
        names = fold_list([path.name for path in matches], _SHOWN_RUNS)
        return NothingMatched(f"{shown} is the beginning of {len(matches)} runs: {names}")
    near = closest(word, [path.name for path in runs])
    hint = f"did you mean {near}?" if near else f"the last one is {runs[0].name}"
    return NothingMatched(f"no run is called {shown}", hint=hint)
