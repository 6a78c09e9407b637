"""What the config's answers depend on here: this machine, its user, and its commands."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from outagekit.errors import InvalidInput
from outagekit.text import visible_line
from outagekit.transports.ssh.config.keywords import MACOS
from outagekit.transports.ssh.config.model import Here

_EXEC_S: Final = 5.0
_FAMILIES: Final = {"any": socket.AF_UNSPEC, "inet": socket.AF_INET, "inet6": socket.AF_INET6}


def this_machine() -> Here:
    """Return the facts of this machine and who sits at it.

    `~` is the home the environment names, as everywhere in this product.
    """
    return Here(
        user=_user(),
        home=_home(),
        machine=socket.gethostname(),
        uid=os.getuid() if sys.platform != "win32" else 0,
        environ=dict(os.environ),
        service_port=_service_port,
        numeric=_numeric,
        home_of=_home_of,
        succeeds=Commands().succeed,
        vendor_keywords=MACOS if sys.platform == "darwin" else frozenset(),
    )


class Commands:
    """Runs commands of `Match exec`, each once per process: the answer is kept."""

    def __init__(self, limit_s: float = _EXEC_S) -> None:
        self._limit_s = limit_s
        self._guard = threading.Lock()
        self._known: dict[str, bool] = {}

    def succeed(self, command: str) -> bool:
        """Return whether a command ends with 0 in the person's shell, its output unseen.

        Raises `InvalidInput` if it cannot run, is killed, or does not end in time.
        """
        with self._guard:
            if command not in self._known:
                self._known[command] = self._run(command) == 0
            return self._known[command]

    def _run(self, command: str) -> int:
        shown = visible_line(command)[:200]
        try:
            ended = subprocess.run(
                [*_shell(), command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=self._limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            message = f"Match exec: {shown} did not end within {self._limit_s:g} s"
            raise InvalidInput(message) from fault
        except (OSError, ValueError) as fault:
            raise InvalidInput(f"Match exec: {shown} cannot be run") from fault
        if ended.returncode < 0:
            raise InvalidInput(f"Match exec: {shown} was killed")
        return ended.returncode


def _shell() -> list[str]:
    if sys.platform == "win32":
        return [os.environ.get("COMSPEC", "cmd.exe"), "/c"]
    return [os.environ.get("SHELL") or "/bin/sh", "-c"]


def _user() -> str:
    if sys.platform != "win32":
        import pwd  # noqa: PLC0415  (POSIX only)

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            pass
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _home() -> str:
    try:
        return str(Path.home())
    except RuntimeError:
        return ""


def _home_of(user: str) -> str | None:
    try:
        return str(Path(f"~{user}").expanduser())
    except (RuntimeError, ValueError):
        return None


def _service_port(name: str) -> int | None:
    try:
        return socket.getservbyname(name, "tcp")
    except (OSError, ValueError):
        return None


def _numeric(host: str, family: str) -> str | None:
    try:
        found = socket.getaddrinfo(
            host,
            None,
            family=_FAMILIES[family],
            type=socket.SOCK_STREAM,
            flags=socket.AI_NUMERICHOST,
        )
        return socket.getnameinfo(found[0][4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    except (OSError, ValueError, LookupError):
        return None
