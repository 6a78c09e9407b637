"""What a file may say about a secret: where it is found. No secret ever stands in these values."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final, Literal

import msgspec

from outagekit.errors import InvalidInput
from outagekit.text import closest, visible_line

Kind = Literal["keyring", "env", "file", "cmd", "prompt"]

_KINDS: Final = ("keyring", "env", "file", "cmd", "prompt")
_KEYRING_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._@/+-]{0,118}[A-Za-z0-9._@/+-])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadReference(InvalidInput, ValueError):  # noqa: N818  (named as its parent)
    """What stands where a secret reference belongs is none. The message never quotes it."""


class SecretRef(msgspec.Struct, frozen=True):
    """Where a secret is found; itself no secret. Made by `parse`."""

    kind: Kind
    value: str = ""
    """Name of the keyring entry or environment variable, or path of the file."""
    argv: tuple[str, ...] = ()
    """Program and arguments of a `cmd`."""

    @classmethod
    def parse(cls, written: object) -> SecretRef:
        """Return the reference that stands in a file.

        Accepted are `keyring:NAME`, `env:NAME`, `file:PATH`, `prompt`, `cmd:PROGRAM`, and for a
        command with arguments a list of strings or the mapping `{cmd: [PROGRAM, ARGUMENT]}`.
        Raises `BadReference`, which is also a `ValueError`; it never repeats what was written,
        because that may be the password itself.
        """
        if isinstance(written, Mapping) and list(written) == ["cmd"]:
            return _command(written["cmd"])
        if isinstance(written, list | tuple):
            return _command(written)
        if isinstance(written, str):
            return _from_text(written)
        raise BadReference("this is no reference to a secret", hint=_HINT)

    def describe(self) -> str:
        """Return the reference as a person wrote it, safe to print; of a command the program."""
        if self.kind == "cmd":
            more = " …" if len(self.argv) > 1 else ""
            return f"cmd:{visible_line(self.argv[0])}{more}"
        return visible_line(f"{self.kind}:{self.value}" if self.value else self.kind)

    def command_line(self) -> str:
        """Return the whole command of a `cmd` in one line, for the question whether to trust it."""
        return visible_line(shlex.join(self.argv))

    @property
    def digest(self) -> str:
        """SHA-256 over the reference: what is trusted once for a `cmd`."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


_HINT: Final = (
    "store it with 'outagekit secret set NAME' and write keyring:NAME;"
    " also known are env:NAME, file:PATH, {cmd: [PROGRAM, ARGUMENT]} and prompt"
)


_COMMAND_HINT: Final = "write {cmd: [PROGRAM, ARGUMENT, ARGUMENT]}"


def _from_text(written: str) -> SecretRef:
    if written == "prompt":
        return SecretRef("prompt")
    kind, colon, value = written.partition(":")
    if not colon or kind not in _KINDS:
        meant = closest(kind, _KINDS) if colon else None
        hint = f"did you mean {meant}:? Otherwise {_HINT}" if meant else _HINT
        message = "a secret must not stand in a file, only a reference that says where it is found"
        raise BadReference(message, hint=hint)
    if kind == "prompt":
        raise BadReference("prompt takes no name", hint="write prompt alone")
    if kind == "cmd":
        return _command(value)
    return named(kind, value)


def named(kind: str, value: str) -> SecretRef:
    """Return the reference `kind:value`; raises `BadReference` for a name it cannot have."""
    if kind == "keyring" and _KEYRING_NAME.fullmatch(value):
        return SecretRef("keyring", value)
    if kind == "env" and _ENV_NAME.fullmatch(value):
        return SecretRef("env", value)
    if kind == "file" and _is_anchored(value):
        return SecretRef("file", value)
    message, hint = {
        "keyring": ("this is no name of a keyring entry", "letters, digits and . _ - @ / + only"),
        "env": ("this is no name of an environment variable", "letters, digits and _ only"),
        "file": (
            "the path of a secret file must be absolute or begin with ~/",
            "keep secrets out of the workspace: it is shared",
        ),
    }[kind]
    raise BadReference(message, hint=hint)


def _is_anchored(path: str) -> bool:
    absolute = PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
    return (absolute or path.startswith(("~/", "~\\"))) and path.isprintable()


def _command(argv: object) -> SecretRef:
    words = [argv] if isinstance(argv, str) else argv
    if not isinstance(words, list | tuple) or not words or not all(map(_is_word, words)):
        raise BadReference("a cmd reference is a program and its arguments", hint=_COMMAND_HINT)
    program = words[0]
    if not program or (isinstance(argv, str) and len(program.split()) > 1):
        raise BadReference("a cmd is not split into words by a shell", hint=_COMMAND_HINT)
    return SecretRef("cmd", argv=tuple(words))


def _is_word(word: object) -> bool:
    return isinstance(word, str) and "\0" not in word
