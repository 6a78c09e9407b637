"""Who may log in to simulated Windows machines, for Basic and for NTLM.

pyspnego's acceptor finds accounts in one place only: a file that the environment variable
`NTLM_USER_FILE` names. The file is written into the lab's own folder, readable by its owner alone,
and holds NT hashes, no password. The variable is set while a lock is held, to the same value all
the time as long as a process has one lab; it stays set, because taking a variable out of the
environment and putting it back while other threads read it is not safe. Clients do not look at it.
"""

from __future__ import annotations

import hmac
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outagekit.lab.wsman.md4 import md4

_FILE: Final = "ntlm-accounts"
_VARIABLE: Final = "NTLM_USER_FILE"
_NO_LM_HASH: Final = "0" * 32
_PRIVATE: Final = 0o600
_LOCK: Final = threading.Lock()


@dataclass(frozen=True, slots=True)
class Account:
    """A local account. `domains` are the names it may also be called by: of its machine."""

    user: str
    password: str = field(repr=False)
    domains: tuple[str, ...] = ("LAB",)


class Accounts:
    """The accounts of one lab, and the file that holds their hashes."""

    def __init__(self, folder: Path, *accounts: Account) -> None:
        """Write the file. Raises `OSError`, and `ValueError` for a name the file cannot hold."""
        self.all = accounts
        self._path = folder / _FILE
        lines = [line for account in accounts for line in _lines(account)]
        with open(self._path, "w", encoding="utf-8", opener=_privately) as file:
            file.writelines(f"{line}\n" for line in lines)

    def logs_in(self, name: bytes, password: bytes) -> str:
        """Return the user that name and password of a Basic login belong to, else empty.

        Clients differ in how they encode what is not ASCII.
        """
        for account in self.all:
            for coding in ("utf-8", "latin-1"):
                named = user_of(name.decode(coding, "replace")) == account.user.casefold()
                expected = account.password.encode(coding, "replace")
                if named and hmac.compare_digest(expected, password):
                    return account.user.casefold()
        return ""

    @contextmanager
    def consulted(self) -> Iterator[None]:
        """Have pyspnego look into this file, for the time being."""
        with _LOCK:
            if os.environ.get(_VARIABLE) != str(self._path):
                os.environ[_VARIABLE] = str(self._path)
            yield


def user_of(name: str) -> str:
    r"""Return the bare user of `user`, `.\user`, `DOMAIN\user` or `user@domain`, in lower case."""
    return name.rpartition("\\")[2].partition("@")[0].casefold()


def _lines(account: Account) -> Iterator[str]:
    r"""Yield a line of smbpasswd for each form: the acceptor compares them letter by letter."""
    if any(mark in account.user for mark in ":\\@\n"):
        message = f"{account.user!r} cannot be the name of an account"
        raise ValueError(message)
    nt_hash = md4(account.password.encode("utf-16-le")).hex().upper()
    forms = [account.user, f".\\{account.user}"]
    for domain in account.domains:
        forms += (f"{domain}\\{account.user}", f"{account.user}@{domain}")
    for number, form in enumerate(forms):
        yield f"{form}:{1000 + number}:{_NO_LM_HASH}:{nt_hash}:[U]:LCT-00000000"


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags, _PRIVATE)
