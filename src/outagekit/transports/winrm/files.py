"""Files over a shell: put whole or not at all, fetched piece by piece into a new file.

What the endpoint says about a path is `protocol`, what fails on this machine is `local_io`, more
than can be moved or is wanted is `size`. A shell is no way for large files: they are refused.
Content never goes through a redactor, and is shown to nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.redaction import Redactor
from outagekit.text import visible_line
from outagekit.transports.protocol import Command, Failure, Limits, Moved, Outcome
from outagekit.transports.windows.files import (
    CHUNK_BYTES,
    Refused,
    Told,
    chunk_command,
    parse_told,
    put_command,
    stat_command,
)

MOST_PUT_BYTES: Final = 16 * 1024 * 1024
"""The endpoint holds the input in memory, of which old systems give a shell 150 MB."""
_KEEP_BYTES: Final = 2 * CHUNK_BYTES
_TRIES: Final = 3
"""How often a piece is asked for whose output may have been lost on the way."""
_LONGEST_SAID: Final = 300


class Run(Protocol):
    """Runs a command in the shell."""

    def __call__(
        self, command: Command, limits: Limits, *, redactor: Redactor, content: bytes = b""
    ) -> Outcome:
        """Return its outcome; `content` follows its input as lines of base64."""
        ...


class _Stop(Exception):  # noqa: N818  (the reason is the value it carries)
    """The transfer ends here, for this reason."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class _Transfer:
    """One transfer with its deadline."""

    run: Run
    path: str
    limits: Limits
    until_s: float

    @property
    def shown(self) -> str:
        return visible_line(self.path)[:200]

    def stop(self, kind: FailureKind, detail: str, *, sent: bool = False) -> _Stop:
        return _Stop(Failure(kind, detail, sent=sent))

    def ask(self, made: Callable[[], Command], *, content: bytes = b"") -> Outcome:
        """Return the outcome of a command that came to its end. Raises `_Stop`."""
        left_s = self.until_s - time.monotonic()
        if left_s <= 0:
            seconds = self.limits.run_s
            detail = f"the transfer of {self.shown} did not end within {seconds:g} s"
            raise self.stop(FailureKind.TIMEOUT, detail)
        try:
            command = made()
        except OutagekitError as fault:
            raise self.stop(FailureKind.PROTOCOL, fault.message) from fault
        limits = replace(self.limits, run_s=left_s, keep_bytes=_KEEP_BYTES)
        outcome = self.run(command, limits, redactor=Redactor(), content=content)
        if outcome.failure is not None:
            detail = f"{self.shown} was not moved: {outcome.failure.detail}"
            raise _Stop(replace(outcome.failure, detail=detail))
        return outcome

    def told(self, outcome: Outcome) -> Told | None:
        """Return what the endpoint said of the file; None if it was lost. Raises `_Stop`."""
        told = parse_told(outcome)
        if isinstance(told, Refused):
            detail = f"the endpoint refused {self.shown}: {told.said}"
            raise self.stop(FailureKind.PROTOCOL, detail)
        if told is None and outcome.exit_code != 0:
            said = outcome.stderr.text.strip().splitlines()
            last = f": {visible_line(said[-1])[:_LONGEST_SAID]}" if said else ""
            detail = f"the endpoint could not do with {self.shown} what was asked{last}"
            raise self.stop(FailureKind.PROTOCOL, detail)
        return told

    def insist(self, made: Callable[[], Command]) -> Told:
        """Return what the endpoint says of the file; the question may be asked again."""
        lost: _Stop | None = None
        for _ in range(_TRIES):
            try:
                told = self.told(self.ask(made))
            except _Stop as stop:
                if stop.failure.kind is not FailureKind.LOST:
                    raise lost or stop from stop
                lost = lost or stop
            else:
                if told is not None:
                    return told
        if lost is not None:
            raise lost
        detail = f"the endpoint's answer about {self.shown} cannot be understood"
        raise self.stop(FailureKind.PROTOCOL, detail)


def put_file(run: Run, content: bytes, path: str, *, limits: Limits) -> Moved | Failure:
    """Write a file beside its place, have it compared there, and let it take its place.

    `sent` is true of a failure only if the new file may have taken its place.
    """
    transfer = _begun(run, path, limits)
    if len(content) > MOST_PUT_BYTES:
        most = MOST_PUT_BYTES // 1024**2
        detail = (
            f"{transfer.shown} would be {len(content)} bytes, more than the {most} MiB that are"
            " moved over WinRM: have the endpoint fetch it over https or BITS, or use SFTP"
        )
        return Failure(FailureKind.SIZE, detail)
    moved = Moved(len(content), hashlib.sha256(content).hexdigest())
    try:
        outcome = transfer.ask(
            lambda: put_command(path, moved.size_bytes, moved.sha256), content=content
        )
        if transfer.told(outcome) is None:
            _confirm(transfer, moved)
    except _Stop as stop:
        return stop.failure
    return moved


def fetch_file(
    run: Run, path: str, into: Path, *, max_bytes: int, limits: Limits
) -> Moved | Failure:
    """Copy a file into the new local file `into`; of a failure nothing is left there.

    The endpoint's own SHA-256 proves it, and that the file was the same all the time.
    """
    transfer = _begun(run, path, limits)
    try:
        first = transfer.insist(lambda: stat_command(path))
        if first.size_bytes > max_bytes:
            detail = f"{transfer.shown} is larger than {max_bytes} bytes"
            return Failure(FailureKind.SIZE, detail)
        with _new_file(into) as local:
            return _fetched(transfer, first, local)
    except _Stop as stop:
        # Reading changes nothing there.
        return replace(stop.failure, sent=False)


def _begun(run: Run, path: str, limits: Limits) -> _Transfer:
    return _Transfer(run, path, limits, time.monotonic() + limits.run_s)


def _confirm(transfer: _Transfer, moved: Moved) -> None:
    """Return if the file stands in its place, although the answer that it does was lost."""
    try:
        found = transfer.insist(lambda: stat_command(transfer.path, digest=True))
    except _Stop as stop:
        raise _Stop(replace(stop.failure, kind=FailureKind.LOST, sent=True)) from stop
    if (found.size_bytes, found.sha256) != (moved.size_bytes, moved.sha256):
        detail = f"what stands at {transfer.shown} now is not what was sent"
        raise transfer.stop(FailureKind.PROTOCOL, detail)


def _fetched(transfer: _Transfer, first: Told, local: int) -> Moved:
    digest, size_bytes = hashlib.sha256(), 0
    while size_bytes < first.size_bytes:
        offset = size_bytes
        length = min(CHUNK_BYTES, first.size_bytes - offset)
        told = transfer.insist(lambda: chunk_command(transfer.path, offset, length))  # noqa: B023
        if not _is_same(told, first) or len(told.data) != length:
            raise _changed(transfer)
        digest.update(told.data)
        size_bytes += length
        _write_all(transfer, local, told.data)
    last = transfer.insist(lambda: stat_command(transfer.path, digest=True))
    if not _is_same(last, first) or last.sha256 != digest.hexdigest():
        raise _changed(transfer)
    return Moved(size_bytes, last.sha256)


def _is_same(told: Told, first: Told) -> bool:
    return (told.size_bytes, told.written) == (first.size_bytes, first.written)


def _changed(transfer: _Transfer) -> _Stop:
    detail = f"{transfer.shown} changed while it was fetched: nothing was kept"
    return transfer.stop(FailureKind.PROTOCOL, detail)


@contextlib.contextmanager
def _new_file(into: Path) -> Iterator[int]:
    """Give a new local file to write to, which is removed again if the block fails."""
    try:
        local = os.open(into, _new_file_flags(), 0o600)
    except OSError as fault:
        detail = f"{visible_line(str(into))} cannot be made: {_reason(fault)}"
        raise _Stop(Failure(FailureKind.LOCAL_IO, detail)) from fault
    whole = False
    try:
        yield local
        whole = True
    finally:
        os.close(local)
        if not whole:
            with contextlib.suppress(OSError):
                into.unlink()


def _write_all(transfer: _Transfer, local: int, data: bytes) -> None:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(local, rest) :]
    except OSError as fault:
        detail = f"{transfer.shown} cannot be written on this machine: {_reason(fault)}"
        raise transfer.stop(FailureKind.LOCAL_IO, detail) from fault


def _new_file_flags() -> int:
    # Windows has text mode, POSIX links: each has its flag, neither has both.
    kept = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return os.O_WRONLY | os.O_CREAT | os.O_EXCL | kept


def _reason(fault: OSError) -> str:
    return os.strerror(fault.errno) if fault.errno is not None else type(fault).__name__
