"""The inbox of a run: small files through which people at other terminals speak to it.

A letter is obeyed if it is a whole regular file of the run's own user, without a second name, at
most 4 KiB, and carries the nonce of the process that holds the run. Only a wish to stop needs no
nonce: `touch inbox/stop` is one. Everything else is refused by name, once, and removed. Looking
costs a bounded time and tells a bounded number of things, whatever lies there.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from outagekit import errors
from outagekit.log.lock import OWNER_NAME, is_held, read_owner
from outagekit.run.wishes import AnyWish, Heard, Refused, StopWish, is_visible, spelt_out
from outagekit.text import count, visible_line

INBOX_NAME: Final = "inbox"
STOP_NAME: Final = "stop"
MAX_LETTER_BYTES: Final = 4096

_PER_LOOK: Final = 256
"""So many files are read, or removed, at one look."""
_NAMED_PER_LOOK: Final = 8
_NAMED_EVER: Final = 200
"""After so many refusals only their number is told."""
_LOOKS_BETWEEN: Final = 60
"""So many looks lie between two such numbers."""
_MAX_KEPT: Final = 1000
_MAX_NAME: Final = 80
_MAX_WHY: Final = 200

_Mark = tuple[int, int]
"""What tells a file from a later one of its name: its number and time of change."""


class Letter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in a file of the inbox, as JSON."""

    wish: AnyWish
    nonce: str = ""


_LETTERS = msgspec.json.Decoder(Letter)


class Inbox:
    """Reads the inbox of a run folder for the process that holds it. For one thread."""

    def __init__(self, folder: Path, nonce: str) -> None:
        """`nonce` is the one of `owner.json`; letters to an earlier process are refused."""
        self._folder = folder / INBOX_NAME
        self._nonce = nonce
        self._looks = 0
        self._kept: dict[str, _Mark] = {}
        """What could not be removed and is passed over."""
        self._fault = ""
        self._named_left = _NAMED_EVER
        self._untold = 0
        self._told_at = -_LOOKS_BETWEEN

    def take(self) -> list[Heard]:
        """Return what lies in the inbox now, in the order of the names, a wish to stop first.

        What is returned is gone from the folder; what cannot be removed is returned only once.
        Never raises: an inbox that cannot be read is reported once, until it can be read again.
        """
        self._looks += 1
        heard: list[Heard] = []
        refused: list[Refused] = []
        try:
            for found in self._letters():
                if isinstance(found, Refused):
                    refused.append(found)
                else:
                    heard.append(found)
            self._fault = ""
        except OSError as error:
            heard += self._complaint(error)
        return [*heard, *self._within_bounds(refused)]

    def _letters(self) -> Iterator[Heard]:
        for name in self._names():
            found = self._open(name)
            if found is not None:
                yield found

    def _names(self) -> list[str]:
        """Return some of the names that lie there; raises `OSError`."""
        try:
            status = self._folder.lstat()
        except FileNotFoundError:
            return []
        if not stat.S_ISDIR(status.st_mode) or _is_reparse_point(status):
            raise OSError("it is no folder")
        with os.scandir(self._folder) as entries:
            fresh = (entry.name for entry in entries if entry.name not in self._kept)
            names = sorted(islice(fresh, _PER_LOOK))
        # Asked for by its name: no flood of other files keeps it from being seen.
        return [STOP_NAME, *(name for name in names if name != STOP_NAME)]

    def _complaint(self, error: OSError) -> tuple[Refused, ...]:
        why = f"it cannot be read: {error.strerror or error}"
        told = self._fault == why
        self._fault = why
        return () if told else (_refusal(INBOX_NAME, why),)

    def _open(self, name: str) -> Heard | None:
        """Return what a name stands for and remove it; raises `OSError` for a closed folder."""
        path = self._folder / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
        if self._kept.get(name) == _mark(status):
            return None
        data, why = _content(path, status)
        if not self._put_away(path, status):
            return None
        found = _refusal(name, why) if why else self._judge(name, data, status)
        if isinstance(found, Refused):
            return found
        return msgspec.structs.replace(found, os_user=user_name(status.st_uid), letter=name)

    def _put_away(self, path: Path, status: os.stat_result) -> bool:
        """Remove a name, following no link, or remember it; return whether either worked."""
        try:
            if stat.S_ISDIR(status.st_mode):
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except OSError:
            if len(self._kept) >= _MAX_KEPT:
                return False
            self._kept[path.name] = _mark(status)
        return True

    def _judge(self, name: str, data: bytes, status: os.stat_result) -> AnyWish | Refused:
        letter = _letter(name, data)
        if isinstance(letter, Refused):
            return letter
        known = hmac.compare_digest(letter.nonce.encode(errors="replace"), self._nonce.encode())
        if known or (isinstance(letter.wish, StopWish) and not self._is_older(status)):
            return letter.wish
        if isinstance(letter.wish, StopWish):
            return _refusal(name, "it was left there before this process began")
        return _refusal(name, "it does not carry the nonce of the process that runs")

    def _is_older(self, status: os.stat_result) -> bool:
        """Return whether a file is older than the hold on the run: meant for an earlier process."""
        try:
            return status.st_mtime_ns < (self._folder.parent / OWNER_NAME).stat().st_mtime_ns
        except OSError:
            return False

    def _within_bounds(self, refused: list[Refused]) -> list[Refused]:
        """Return the first of the refusals, and now and then how many more there were."""
        room = min(_NAMED_PER_LOOK, self._named_left)
        named = refused[:room]
        self._named_left -= len(named)
        self._untold += len(refused) - len(named)
        if self._untold and self._looks - self._told_at >= _LOOKS_BETWEEN:
            why = f"{count(self._untold, 'more file')} of no use lay there"
            named.append(Refused(name=INBOX_NAME, why=why))
            self._untold, self._told_at = 0, self._looks
        return named


def put(folder: Path, wish: AnyWish) -> str:
    """Put a letter into the inbox of a run that goes on; return the name it lies there under.

    It appears there whole or not at all. Raises `NothingMatched` if no process holds the run,
    `errors.Refused` if the run is another user's, `UsageError` if the letter would be too long,
    `LogUnwritable` if the folder cannot be written.
    """
    _require_own(folder)
    owner = read_owner(folder) if is_held(folder) else None
    if owner is None:
        raise not_running(folder)
    said = msgspec.structs.replace(wish, os_user="", letter="")
    content = msgspec.json.encode(Letter(spelt_out(said), owner.nonce))
    if len(content) > MAX_LETTER_BYTES:
        raise errors.UsageError(
            f"that is too long: a letter has at most {MAX_LETTER_BYTES} bytes",
            hint="say it in fewer words",
        )
    name = f"{time.time_ns():020d}-{secrets.token_hex(4)}.json"
    try:
        _lay_down(folder, name, content)
    except OSError as error:
        why = error.strerror or error
        raise errors.LogUnwritable(f"{folder / INBOX_NAME} cannot be written: {why}") from error
    return name


def not_running(folder: Path) -> errors.NothingMatched:
    """Return the error that says that no process holds a run."""
    name = visible_line(folder.name)
    return errors.NothingMatched(
        f"{name} is not running: nobody would hear it", hint=f"outagekit resume {name}"
    )


def _require_own(folder: Path) -> None:
    """Raise `errors.Refused` if another user's process wrote `owner.json`."""
    try:
        status = (folder / OWNER_NAME).stat()
    except FileNotFoundError:
        return
    except OSError as error:
        why = error.strerror or error
        raise errors.LogUnwritable(f"{folder} cannot be read: {why}") from error
    if not _is_own(status):
        user = user_name(status.st_uid)
        raise errors.Refused(
            f"the run belongs to {user}, and it obeys nobody else",
            hint=f"do it as {user}",
        )


def _lay_down(folder: Path, name: str, content: bytes) -> None:
    # Beside the inbox, not in it: what lies there is read at once.
    temporary = folder / f".letter-{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
            file.write(content)
        temporary.rename(folder / INBOX_NAME / name)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def _letter(name: str, data: bytes) -> Letter | Refused:
    if name == STOP_NAME and not data.lstrip().startswith(b"{"):
        words = data.decode("utf-8", "backslashreplace").strip()
        return Letter(StopWish(why=_cut(words, _MAX_WHY)))
    try:
        letter = _LETTERS.decode(data)
    except (ValueError, RecursionError) as error:
        return _refusal(name, f"it is no letter to a run: {error}")
    if letter.wish.os_user or letter.wish.letter:
        return _refusal(name, "it claims what only the system knows")
    if not is_visible(letter.wish):
        return _refusal(name, "it holds characters that nobody can see")
    return letter


def _mark(status: os.stat_result) -> _Mark:
    return status.st_ino, status.st_mtime_ns


def _fault_of(status: os.stat_result) -> str:
    """Return why nobody may read a file, or an empty text."""
    mode = status.st_mode
    faults = (
        (stat.S_ISLNK(mode) or _is_reparse_point(status), "it is a link"),
        (stat.S_ISDIR(mode), "it is a folder"),
        (not stat.S_ISREG(mode), "it is no regular file"),
        (not _is_own(status), "it belongs to somebody else"),
        (status.st_nlink > 1, "it has a second name elsewhere"),
        (status.st_size > MAX_LETTER_BYTES, f"it is larger than {MAX_LETTER_BYTES} bytes"),
    )
    return next((why for is_so, why in faults if is_so), "")


def _content(path: Path, status: os.stat_result) -> tuple[bytes, str]:
    """Return the bytes of a file, or why it may not or cannot be read."""
    why = _fault_of(status)
    if why:
        return b"", why
    try:
        return _read(path, status), ""
    except OSError as error:
        return b"", f"it cannot be read: {error.strerror or error}"


def _read(path: Path, seen: os.stat_result) -> bytes:
    """Return the bytes of the very file that was looked at; raises `OSError`."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        # On Windows the two ways to ask give the same file different numbers.
        other = os.name != "nt" and not os.path.samestat(seen, status)
        if other or _fault_of(status):
            raise OSError("it changed while it was looked at")
        data = file.read(MAX_LETTER_BYTES + 1)
    if len(data) > MAX_LETTER_BYTES:
        raise OSError("it changed while it was looked at")
    return data


def _refusal(name: str, why: str) -> Refused:
    return Refused(name=_cut(name, _MAX_NAME), why=_cut(why, _MAX_WHY))


def _cut(text: str, longest: int) -> str:
    shown = visible_line(text[:longest])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


def _is_reparse_point(status: os.stat_result) -> bool:
    attributes: int = getattr(status, "st_file_attributes", 0)
    return bool(attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)


if sys.platform == "win32":

    def _is_own(_status: os.stat_result) -> bool:
        # A file's status does not tell it there; the folder is the user's own.
        return True

    def user_name(_uid: int | None = None) -> str:
        """Return the user of this process as the system knows it, whatever variables say."""
        try:
            return os.getlogin()
        except OSError:
            return "unknown"

else:
    import pwd

    def _is_own(status: os.stat_result) -> bool:
        return status.st_uid == os.geteuid()

    def user_name(uid: int | None = None) -> str:
        """Return a user, else that of this process, as the system knows it, not its variables.

        A user without a name is `uid 1234`.
        """
        number = os.geteuid() if uid is None else uid
        try:
            return visible_line(pwd.getpwuid(number).pw_name)
        except KeyError:
            return f"uid {number}"
