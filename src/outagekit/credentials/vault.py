"""The vault: resolves references on the technician's machine, each as seldom as possible.

A resolved secret lives in the memory of this process only; it stands in no exception and no `repr`.
"""

from __future__ import annotations

import getpass
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from outagekit.credentials import sources
from outagekit.errors import OutagekitError, Refused, StoppedByPerson, UsageError
from outagekit.text import visible_line

if TYPE_CHECKING:
    from outagekit.credentials.reference import SecretRef

COMMAND_LIMIT_S: Final = 30.0
"""How long a `cmd:` reference may take."""

Prompt = Callable[[str], str]
"""Asks a person for a secret without showing it; the argument is the text before the cursor."""


class KnownDigests(Protocol):
    """Says which commands a person has trusted on this machine."""

    def knows(self, digest: str, /) -> bool:
        """Return whether the digest was trusted."""
        ...


def terminal_prompt() -> Prompt | None:
    """Return a prompt that does not show what is typed, or None without a terminal."""
    if sys.stdin is not None and sys.stdin.isatty():
        return getpass.getpass
    return None


class _Slot:
    """One secret of the vault: resolved by the first thread that needs it, the others wait."""

    __slots__ = ("error", "lock", "value")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value: str | None = None
        self.error: OutagekitError | None = None


class Vault:
    """Resolves references, each once per client; a `cmd` once per endpoint. Thread-safe.

    `prompt` is None where no person can be asked. Nothing is written to disk.
    """

    def __init__(
        self,
        *,
        prompt: Prompt | None = None,
        keyring: sources.Keyring | None = None,
        trusted: KnownDigests | None = None,
        command_limit_s: float = COMMAND_LIMIT_S,
    ) -> None:
        self._prompt = prompt
        self._keyring = keyring or sources.SystemKeyring()
        self._trusted = trusted
        self._command_limit_s = command_limit_s
        self._slots: dict[tuple[SecretRef, str, str], _Slot] = {}
        self._lock = threading.Lock()

    def prepare(self, reference: SecretRef, *, client: str, label: str) -> None:
        """Do before a run what needs no endpoint, so that nobody is asked in its middle.

        Asks for a `prompt`, reads `keyring`, `env` and `file`, and checks that a `cmd` is trusted.
        Raises what `resolve` would raise.
        """
        if reference.kind == "cmd":
            self._check_trust(reference)
        else:
            self.resolve(reference, client=client, endpoint="", label=label)

    def resolve(self, reference: SecretRef, *, client: str, endpoint: str, label: str) -> str:
        """Return the secret.

        `endpoint` is `client/name`; `label` names the secret for people (`admin password`) and
        keeps two prompts of one client apart. Raises `Refused` for an untrusted `cmd`,
        `UsageError` for a prompt nobody can answer, `StoppedByPerson` for one nobody did answer,
        `InvalidInput` for a secret that is not there or cannot be used. Failures are remembered
        like secrets, except a command's: a locked keyring asks once, not once per endpoint.
        """
        apart = {"cmd": endpoint, "prompt": label}.get(reference.kind, "")
        with self._lock:
            slot = self._slots.setdefault((reference, client, apart), _Slot())
        with slot.lock:
            if slot.error is not None:
                raise type(slot.error)(slot.error.message, hint=slot.error.hint)
            if slot.value is None:
                try:
                    found = self._find(reference, client=client, endpoint=endpoint, label=label)
                    sources.check_sound(found, reference)
                    slot.value = found
                except OutagekitError as error:
                    slot.error = None if reference.kind == "cmd" else error
                    raise
            return slot.value

    def _find(self, reference: SecretRef, *, client: str, endpoint: str, label: str) -> str:
        match reference.kind:
            case "keyring":
                return sources.from_keyring(reference, self._keyring)
            case "env":
                return sources.from_environment(reference)
            case "file":
                return sources.from_file(reference)
            case "prompt":
                return self._from_person(f"{label} for {client}")
            case "cmd":
                self._check_trust(reference)
                variables = {"OK_CLIENT": client, "OK_ENDPOINT": endpoint}
                return sources.from_command(reference, variables, limit_s=self._command_limit_s)

    def _from_person(self, what: str) -> str:
        shown = visible_line(what)
        if self._prompt is None:
            raise UsageError(
                f"nobody can be asked for the {shown}: there is no terminal",
                hint="use keyring:NAME, env:NAME, file:PATH or cmd: instead of prompt",
            )
        try:
            answer = self._prompt(f"{shown}: ")
        except EOFError:
            answer = ""
        if not answer:
            raise StoppedByPerson(f"nothing was typed for the {shown}")
        return answer

    def _check_trust(self, reference: SecretRef) -> None:
        if self._trusted is None or not self._trusted.knows(reference.digest):
            raise Refused(
                f"{reference.describe()} was never trusted on this machine",
                hint="'outagekit secret test' shows the whole command and asks once",
            )
