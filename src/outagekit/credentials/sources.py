"""Where secrets come from: the keyring, the environment, a private file, a command.

Each function returns what it found or raises `InvalidInput`; no message holds a secret.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from outagekit.credentials.reference import named
from outagekit.errors import InvalidInput

if TYPE_CHECKING:
    from outagekit.credentials.reference import SecretRef

KEYRING_SERVICE: Final = "outagekit"
"""Under this service name the operating system's keyring holds our secrets."""
MAX_SECRET_BYTES: Final = 64 * 1024
_KILLED_S: Final = 5.0
_BY_HAND: Final = "run the command by hand to see why"


class Keyring(Protocol):
    """The operating system's store of secrets; the `keyring` library has this shape."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return the secret, or None if there is none of that name."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Store the secret, replacing an older one."""
        ...


class SystemKeyring:
    """The keyring of this machine; its library is loaded by the first call."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return the secret, or None. Raises `InvalidInput` if the keyring cannot be used."""
        try:
            found: str | None = _library().get_password(service, username)
        except Exception as error:
            raise _keyring_failed(error) from error
        return found

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Store the secret. Raises `InvalidInput` if the keyring cannot be used."""
        try:
            _library().set_password(service, username, password)
        except Exception as error:  # noqa: BLE001  (each backend raises what it likes)
            failed = _keyring_failed(error)
        else:
            return
        # Outside the handler: a backend's message may repeat what it could not store.
        raise failed


def _library() -> Keyring:
    import keyring  # noqa: PLC0415  (its backends cost a third of a second)

    library: Keyring = keyring
    return library


def _keyring_failed(error: Exception) -> InvalidInput:
    message = f"the keyring of this machine cannot be used ({type(error).__name__})"
    return InvalidInput(message, hint="unlock it, or use env:NAME, file:PATH or cmd: instead")


def store_secret(name: str, value: str, *, keyring: Keyring | None = None) -> SecretRef:
    """Store a secret in the keyring under `name` and return the reference to write into files.

    Raises `BadReference` for a name the keyring cannot have, `InvalidInput` for an empty or too
    long secret and for a keyring that cannot be used.
    """
    reference = named("keyring", name)
    check_sound(value, reference)
    (keyring or SystemKeyring()).set_password(KEYRING_SERVICE, name, value)
    return reference


def from_keyring(reference: SecretRef, keyring: Keyring) -> str:
    """Return the keyring's entry; raises `InvalidInput` if there is none."""
    found = keyring.get_password(KEYRING_SERVICE, reference.value)
    if found is None:
        raise InvalidInput(
            f"the keyring of this machine has no secret '{reference.value}'",
            hint=f"outagekit secret set {shlex.quote(reference.value)}",
        )
    return found


def from_environment(reference: SecretRef) -> str:
    """Return the variable; an empty one counts as not set and raises `InvalidInput`."""
    found = os.environ.get(reference.value)
    if not found:
        raise InvalidInput(
            f"the environment variable {reference.value} is not set",
            hint="set it, or store the secret: outagekit secret set NAME, then keyring:NAME",
        )
    # Its bytes count, not what this process's locale made of them.
    return _decoded(os.fsencode(found), reference, keep_end=True)


def from_file(reference: SecretRef) -> str:
    """Return the content of a file that only this user can read, without its last line end.

    Links are followed, as secret stores and dotfile tools make them: what is judged is the very
    file that was opened, so a link can neither borrow a file's good name nor be swapped later.
    """
    try:
        path = Path(reference.value).expanduser()
        with open(path, "rb", opener=at_once) as file:
            _check_private(reference, os.fstat(file.fileno()))
            content = file.read(MAX_SECRET_BYTES + 1)
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else "there is no home folder"
        raise InvalidInput(f"the secret file {reference.value} cannot be read: {why}") from error
    return _decoded(content, reference)


def at_once(path: str, flags: int) -> int:
    """Open without waiting: a named pipe in a secret's place must not hold the run."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_private(reference: SecretRef, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInput(f"the secret file {reference.value} is not a regular file")
    # Windows has no such bits; there the access list of the folder decides.
    if sys.platform == "win32":
        return
    if found.st_uid != os.geteuid():
        raise InvalidInput(f"the secret file {reference.value} belongs to another user")
    if found.st_mode & 0o077:
        raise InvalidInput(
            f"others than you can read or write the secret file {reference.value}",
            hint=f"chmod 600 {shlex.quote(reference.value)}",
        )


def from_command(reference: SecretRef, variables: dict[str, str], *, limit_s: float) -> str:
    """Return what the command prints, without its last line end.

    It runs without a shell, without input and without a terminal, with `variables` in its
    environment. What it says on stderr is dropped: it may hold what must not be shown.
    """
    process = _started(reference, variables)
    output: bytes | None = None
    with contextlib.suppress(subprocess.TimeoutExpired):
        output, _ = process.communicate(timeout=limit_s)
    # Raised out here: the library's exception holds what was printed and must not travel along.
    if output is None:
        _end(process)
        message = f"{reference.describe()} gave no secret within {limit_s:g} s"
        raise InvalidInput(message, hint=_BY_HAND)
    if process.returncode != 0:
        message = f"{reference.describe()} ended with exit code {process.returncode}"
        raise InvalidInput(message, hint=_BY_HAND)
    return _decoded(output, reference)


def _started(reference: SecretRef, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [_program(reference), *reference.argv[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | variables,
            start_new_session=True,
        )
    except OSError as error:
        raise InvalidInput(f"{reference.describe()} cannot be run: {error.strerror}") from error


def _program(reference: SecretRef) -> str:
    """Return the absolute path of a command's program; the current folder is never searched."""
    written = os.path.expanduser(reference.argv[0])  # noqa: PTH111  (may raise nothing)
    found = shutil.which(written)
    if found is None or not os.path.isabs(found):  # noqa: PTH117  (a string from which)
        raise InvalidInput(
            f"the program of {reference.describe()} is neither in PATH nor an absolute path",
        )
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the command with its children, which may hold its output open for ever."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32":
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
    # On Windows a thread of `communicate` may still read here, and closing would wait for it.
    if sys.platform != "win32" and process.stdout is not None:
        process.stdout.close()


def _decoded(content: bytes, reference: SecretRef, *, keep_end: bool = False) -> str:
    text: str | None = None
    with contextlib.suppress(UnicodeDecodeError):
        text = content.decode("utf-8")
    # Raised out here: the decoder's exception holds the content.
    if text is None:
        raise InvalidInput(f"{reference.describe()} gave something that is not UTF-8 text")
    return text if keep_end else text.removesuffix("\n").removesuffix("\r")


def check_sound(value: str, reference: SecretRef) -> None:
    """Raise `InvalidInput` for what cannot be a secret: nothing, a NUL in it, or far too much."""
    if not value:
        raise InvalidInput(f"the secret {reference.describe()} is empty")
    halves = any("\ud800" <= character <= "\udfff" for character in value)
    if len(value) > MAX_SECRET_BYTES or "\0" in value or halves:
        raise InvalidInput(f"what {reference.describe()} gave is too long or binary: no secret")
