"""What `%h` and its kin, `${NAME}` and `~` stand for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from outagekit.transports.ssh.config.model import Here

_TOKEN: Final = re.compile(r"%(.?)", re.DOTALL)
_PART: Final = re.compile(r"%(.?)|\$\{([^}]*)(\}?)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{([^}]*)(\}?)")
_READ_BY_SHELLS: Final = re.compile(r"[\s$*?[\]]|^[~#]")
_NEVER_IN_HOST: Final = frozenset("'`\"$\\;&<>|(){}")
_NEVER_IN_USER: Final = frozenset("'`\";&<>|(){}")


class BadTokenError(Exception):
    """A token or variable stands for nothing; the message is a sentence without a full stop."""


def expanded(text: str, tokens: Mapping[str, str], environ: Mapping[str, str] | None = None) -> str:
    """Return a text with its tokens replaced, and `${NAME}` where `environ` is given.

    What is put in is not looked at again. Raises `BadTokenError`.
    """

    def replaced(found: re.Match[str]) -> str:
        if environ is None or found[1] is not None:
            return _meaning(found[1], tokens)
        return _value(found[2], found[3], environ)

    return (_TOKEN if environ is None else _PART).sub(replaced, text)


def _meaning(letter: str, tokens: Mapping[str, str]) -> str:
    if letter == "%":
        return "%"
    if letter not in tokens:
        raise BadTokenError(f"%{letter} has no meaning here")
    return tokens[letter]


def with_environment(text: str, environ: Mapping[str, str]) -> str:
    """Return a text with `${NAME}` replaced. Raises `BadTokenError`."""
    return _VARIABLE.sub(lambda found: _value(found[1], found[2], environ), text)


def _value(name: str, closing: str, environ: Mapping[str, str]) -> str:
    if not closing:
        raise BadTokenError(f"${{{name} has no closing brace")
    if name not in environ:
        raise BadTokenError(f"the environment variable {name or '(no name)'} is not set")
    return environ[name]


def at_home(path: str, here: Here) -> str:
    """Return a path with `~` or `~user` at its beginning replaced. Raises `BadTokenError`."""
    if not path.startswith("~"):
        return path
    user, _, rest = path[1:].partition("/")
    home = here.home_of(user) if user else here.home
    if home is None:
        raise BadTokenError(f"there is no user {user} on this machine")
    return f"{home.rstrip('/')}/{rest}"


def tokens_for(
    here: Here, *, host: str, original: str, user: str, port: int, alias: str | None, jump: str = ""
) -> dict[str, str]:
    """Return what each token stands for, by its letter."""
    machine = here.machine
    connection = f"{machine}{host}{port}{user}{jump}".encode("utf-8", "surrogateescape")
    return {
        "C": hashlib.sha1(connection, usedforsecurity=False).hexdigest(),
        "L": machine.partition(".")[0],
        "d": here.home,
        "h": host,
        "i": str(here.uid),
        "j": jump,
        "k": alias or original,
        "l": machine,
        "n": original,
        "p": str(port),
        "r": user,
        "u": here.user,
    }


def of_command(tokens: Mapping[str, str]) -> dict[str, str]:
    """Return the tokens `ProxyCommand` has."""
    return {letter: tokens[letter] for letter in "hknpr"}


def host_fault(host: str) -> str:
    """Return why a host's name must never reach a shell, or an empty text."""
    bad = host.startswith("-") or any(_is_odd(sign) or sign in _NEVER_IN_HOST for sign in host)
    return "the host name contains characters that ssh refuses" if bad or not host else ""


def user_fault(user: str) -> str:
    """Return why a user's name must never reach a shell, or an empty text."""
    bad = (
        user.startswith("-")
        or user.endswith("\\")
        or any(not sign.isprintable() or sign in _NEVER_IN_USER for sign in user)
        or re.search(r"\s-", user)
    )
    return "the user name contains characters that ssh refuses" if bad else ""


def word_fault(user: str) -> str:
    """Return why a user's name would not stay one word, as it is, in a shell; or an empty text.

    `ssh` lets these pass: there the person types the name, here a file of somebody may hold it.
    """
    bad = _READ_BY_SHELLS.search(user)
    return "the user name contains characters that a shell would read" if bad else ""


def has_token(text: str, letter: str) -> bool:
    """Return whether a text holds the token with this letter."""
    return letter in _TOKEN.findall(text)


def _is_odd(sign: str) -> bool:
    return sign.isspace() or not sign.isprintable()
