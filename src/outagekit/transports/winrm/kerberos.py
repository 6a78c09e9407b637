"""Kerberos, where `outagekit[kerberos]` is installed: tickets of one client never serve another.

A password is turned into tickets by `kinit`, which reads it from its input, in a private file for
each client and user; all are removed at exit. Without a password the technician's own tickets are
used. The process's environment names a cache only while a context is made, under one lock.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import requests

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.winrm.authentication import Shown, end_point_hash
from outagekit.transports.winrm.faults import Fault, WireError
from outagekit.transports.winrm.login import Login

_FRESH_S: Final = 3600.0
_VARIABLE: Final = "KRB5CCNAME"
_ENVIRONMENT: Final = threading.Lock()


class Tickets:
    """The ticket caches of this process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._folder: Path | None = None
        self._made: dict[str, float] = {}
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def cache(self, login: Login, timeout_s: float) -> Path | None:
        """Return the file with tickets of a login, fetching them if need be; None: the person's.

        Raises `WireError`, `unsent`: `auth` for a wrong password, else `local_io`.
        """
        if login.password is None:
            return None
        if sys.platform == "win32":  # pragma: no cover
            raise _unusable("on Windows, Kerberos logs in as who is logged on: name no password")
        proof = f"{login.client}\0{login.user}\0{login.password}".encode()
        name = hashlib.sha256(proof).hexdigest()[:24]
        with self._guard:
            file, busy = self._place() / name, self._busy[name]
        with busy:  # others of the same login wait for its tickets, others do not
            if time.monotonic() - self._made.get(name, -math.inf) >= _FRESH_S:
                _fetch(file, login, timeout_s)
                self._made[name] = time.monotonic()
        return file

    def forget(self) -> None:
        """Remove all tickets."""
        with self._guard:
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._folder, self._made = None, {}

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="outagekit-tickets-"))
            atexit.register(self.forget)
        return self._folder


TICKETS: Final = Tickets()
"""The ones of this process."""


def _fetch(file: Path, login: Login, timeout_s: float) -> None:
    program = shutil.which("kinit")
    if program is None:
        raise _unusable("a Kerberos login with a password needs the program kinit")
    said = f"{login.password}\n".encode()
    apple = ["--password-file=STDIN"] if sys.platform == "darwin" else []
    command = [program, "-c", f"FILE:{file}", *apple, "--", _principal(login.user)]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            input=said,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise _unusable(f"kinit did not end within {timeout_s:g} s") from None
    except OSError as fault:
        raise _unusable("kinit cannot be started") from fault
    if done.returncode:
        words = " ".join(visible_line(done.stderr.decode("utf-8", "replace").strip()).split())
        words = login.redactor.clean(words)[-200:]
        lowered = words.lower()
        if "password incorrect" in lowered or "preauthentication failed" in lowered:
            detail = f"the Kerberos password is wrong: {words}"
            raise WireError.of(Fault.UNAUTHORIZED, FailureKind.AUTH, detail, unsent=True)
        raise _unusable(f"kinit got no tickets: {words}")


def _principal(user: str) -> str:
    name, at, realm = user.partition("@")
    return f"{name}{at}{realm.upper()}"


def _unusable(detail: str) -> WireError:
    return WireError.of(Fault.LOCAL, FailureKind.LOCAL_IO, detail, unsent=True)


@contextlib.contextmanager
def using(cache: Path | None) -> Iterator[None]:
    """Have Kerberos' library take its tickets from a cache in the block."""
    if cache is None:
        yield
        return
    with _ENVIRONMENT:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = f"FILE:{cache}"
        try:
            yield
        finally:
            if before is None:
                os.environ.pop(_VARIABLE, None)
            else:
                os.environ[_VARIABLE] = before


def handler(login: Login, shown: Shown, timeout_s: float) -> requests.auth.AuthBase:
    """Return what proves a login by Kerberos. Raises `WireError` where that cannot be had."""
    try:
        # An extra, which is often missing; its own annotations are none.
        vendored: Any = importlib.import_module("winrm.vendor.requests_kerberos.kerberos_")
    except ImportError as fault:
        detail = "Kerberos logins need more to be installed: pip install 'outagekit[kerberos]'"
        raise _unusable(detail) from fault
    cache = TICKETS.cache(login, timeout_s)

    class _Kerberos(vendored.HTTPKerberosAuth):  # type: ignore[misc]  # known at run time only
        def generate_request_header(self, *args: Any, **kwargs: Any) -> Any:
            try:
                with using(cache):
                    return super().generate_request_header(*args, **kwargs)
            except vendored.KerberosExchangeError as fault:
                detail = f"Kerberos gives no ticket for the endpoint: {visible_line(str(fault))}"
                raise _unusable(detail[:400]) from fault

    made: Any = _Kerberos
    auth = made(
        mutual_authentication=vendored.REQUIRED,
        force_preemptive=True,
        principal=None if login.password is None else _principal(login.user),
        sanitize_mutual_error_response=False,
        service="HTTP",
    )
    bound = end_point_hash(shown())
    auth.cbt_binding_tried = True
    if bound and hasattr(vendored.kerberos, "channelBindings"):
        data = b"tls-server-end-point:" + bound
        auth.cbt_struct = vendored.kerberos.channelBindings(application_data=data)
    return auth  # type: ignore[no-any-return]
