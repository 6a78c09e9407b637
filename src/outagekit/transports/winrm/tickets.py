"""Kerberos tickets got with a password, in a private file for each client, user and password.

`kinit` gets them: it reads the password from its input, never from arguments or environment. All
are removed at exit. What one login waits for, others with the same password wait for as well.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outagekit.events import FailureKind
from outagekit.transports.winrm.errand import Ended, Errand, not_ended
from outagekit.transports.winrm.kerberos_faults import no_tickets, unusable
from outagekit.transports.winrm.login import Login

_FRESH_S: Final = 300.0
"""How long tickets are used: no domain gives any for less than ten minutes."""
_RESTS_S: Final = 15.0
"""How long a KDC that gave none is left alone: accounts are locked by asking again."""
_ENDS_S: Final = 1.0

WHAT: Final = "a ticket of the domain controller (KDC)"
"""What is waited for."""


@dataclass(frozen=True, slots=True)
class _Kept:
    file: Path
    errand: Errand[None]

    @property
    def is_stale(self) -> bool:
        lasts_s = _RESTS_S if self.errand.failed else _FRESH_S
        return self.errand.is_over and time.monotonic() - self.errand.ended_s > lasts_s


class Tickets:
    """The ticket caches of this process. Any thread may call."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._kept: dict[tuple[str, str, str], _Kept] = {}
        self._numbers = itertools.count(1)
        self._running: set[subprocess.Popen[bytes]] = set()
        self._registered = False

    def cache(self, login: Login, timeout_s: float, ended: Ended = not_ended) -> Path | None:
        """Return the file with tickets of a login, fetching them if need be; None: the person's.

        Raises `WireError`, `unsent`: `auth` for what the KDC says of user or password, `timeout` if
        it does not answer, else `local_io`.
        """
        if login.password is None:
            return None
        if sys.platform == "win32":  # pragma: no cover
            raise unusable("on Windows, Kerberos logs in as who is logged on: name no password")
        # By what it is, in memory: a name made of it would stand in the list of processes.
        key = (login.client, login.user, login.password)
        with self._guard:
            kept = self._kept.get(key)
            if kept is None or kept.is_stale:
                kept = self._kept[key] = self._begun(kept, login, timeout_s)
        kept.errand.result(timeout_s, ended)
        return kept.file

    def forget(self) -> None:
        """Remove all tickets."""
        with self._guard:
            for process in tuple(self._running):
                process.kill()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_ENDS_S)  # it may be writing there
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder, self._kept = None, {}

    def _begun(self, before: _Kept | None, login: Login, timeout_s: float) -> _Kept:
        file = before.file if before is not None else self._place() / str(next(self._numbers))
        return _Kept(file, Errand(lambda: self._fetch(file, login, timeout_s), WHAT))

    def _place(self) -> Path:
        if self._folder is None:
            try:
                self._folder = Path(tempfile.mkdtemp(prefix="outagekit-tickets-"))
            except OSError as fault:
                detail = "there is no folder that Kerberos tickets could be kept in"
                raise unusable(detail) from fault
        if not self._registered:
            atexit.register(self.forget)
            self._registered = True
        return self._folder

    def _fetch(self, file: Path, login: Login, timeout_s: float) -> None:
        """Write the file as a whole: others may read the one before at the same time."""
        fresh = file.with_suffix(".new")
        try:
            code, said = self._run(_command(fresh, login), login, timeout_s)
            if not code:
                fresh.replace(file)
        except subprocess.TimeoutExpired:
            detail = f"{WHAT} did not come within {timeout_s:g} s: does it answer?"
            raise unusable(detail, FailureKind.TIMEOUT) from None
        except OSError as fault:
            detail = f"kinit cannot be run: {fault.strerror or 'an error of the system'}"
            raise unusable(detail) from fault
        if code:
            raise no_tickets(said, login)

    def _run(self, command: list[str], login: Login, timeout_s: float) -> tuple[int, str]:
        """Return how kinit ended and what it said.

        It is in a session of its own: no terminal to ask, no Ctrl-C that is meant for us.
        """
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
            start_new_session=True,
        )
        with process:
            self._running.add(process)
            try:
                said, complained = process.communicate(f"{login.password}\n".encode(), timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                self._running.discard(process)
        return process.returncode, (complained + b" " + said).decode("utf-8", "replace")


def principal_of(user: str) -> str:
    """Return a user as Kerberos calls it: realms of domains are in capitals."""
    name, at, realm = user.partition("@")
    return f"{name}{at}{realm.upper()}"


def _command(file: Path, login: Login) -> list[str]:
    program = shutil.which("kinit")
    if program is None:
        detail = "a Kerberos login with a password needs the program kinit (krb5-user, or"
        raise unusable(f"{detail} krb5-workstation)")
    apple = ["--password-file=STDIN"] if sys.platform == "darwin" else []
    return [program, "-c", f"FILE:{file}", *apple, "--", principal_of(login.user)]


TICKETS: Final = Tickets()
"""The ones of this process."""
