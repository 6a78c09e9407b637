"""Settings and where each came from: flag, environment, workspace or default, in this order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from outagekit.errors import UsageError
from outagekit.inventory.input import LARGEST_CONCURRENCY, LARGEST_CONNECTING
from outagekit.source import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from outagekit.inventory.workspace import Workspace

DEFAULT_CONCURRENCY: Final = 64
DEFAULT_CONNECTING: Final = 16

_LARGEST: Final = {"concurrency": LARGEST_CONCURRENCY, "connecting": LARGEST_CONNECTING}
_VARIABLES: Final = {
    "concurrency": "OUTAGEKIT_CONCURRENCY",
    "connecting": "OUTAGEKIT_CONNECTING",
    "state_dir": "OUTAGEKIT_STATE",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as it holds, for people."""

    name: str
    value: str
    origin: str
    """The flag, the environment variable, the workspace's file, or `default`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for a command."""

    concurrency: int
    """Endpoints worked on at once."""
    connecting: int
    """Connections being opened at once."""
    state_dir: Path
    """Absolute; holds runs, logs and what needs no workspace."""
    rows: tuple[Setting, ...]
    """Each setting with its origin."""


def resolve_settings(
    *,
    environ: Mapping[str, str],
    workspace: Workspace | None = None,
    concurrency: int | None = None,
    connecting: int | None = None,
    state_dir: Path | None = None,
) -> Settings:
    """Return what holds; the named arguments are values of flags, None where none was given.

    Relative folders start where they are written: in the workspace for its file, else in the
    current folder. Raises `UsageError` for a value out of range, naming flag or variable.
    """
    flags = {
        "concurrency": None if concurrency is None else str(concurrency),
        "connecting": None if connecting is None else str(connecting),
        "state_dir": None if state_dir is None else str(state_dir),
    }
    written = {name: _find(name, flags[name], environ, workspace) for name in flags}
    folder = _folder(written["state_dir"], workspace)
    rows = {**written, "state_dir": Setting("state_dir", str(folder), written["state_dir"].origin)}
    return Settings(
        concurrency=_number(written["concurrency"]),
        connecting=_number(written["connecting"]),
        state_dir=folder,
        rows=tuple(rows.values()),
    )


def _find(
    name: str, flag: str | None, environ: Mapping[str, str], workspace: Workspace | None
) -> Setting:
    """Return a setting as it is written at the first place that has it."""
    if flag is not None:
        return Setting(name, flag, f"--{name.replace('_', '-')}")
    variable = _VARIABLES[name]
    if environ.get(variable):
        return Setting(name, environ[variable], variable)
    if workspace is not None:
        value = getattr(workspace.settings, name)
        if value is not None:
            return Setting(name, str(value), str(workspace.file))
    return Setting(name, _default(name), "default")


def _default(name: str) -> str:
    if name == "state_dir":
        import platformdirs  # noqa: PLC0415  (only where nothing else says it)

        try:
            return platformdirs.user_state_dir("outagekit", appauthor=False)
        except RuntimeError as error:
            message = "there is no home folder, so there is no place for runs"
            raise UsageError(message, hint="name one with --state-dir, or set HOME") from error
    return str(DEFAULT_CONCURRENCY if name == "concurrency" else DEFAULT_CONNECTING)


def _number(setting: Setting) -> int:
    largest = _LARGEST[setting.name]
    number = int(setting.value) if re.fullmatch("[0-9]{1,6}", setting.value) else 0
    if not 1 <= number <= largest:
        message = f"{setting.origin} must be a number from 1 to {largest}"
        raise UsageError(message, hint=f"it is {shown(setting.value)}")
    return number


def _folder(setting: Setting, workspace: Workspace | None) -> Path:
    try:
        path = Path(setting.value).expanduser()
    except RuntimeError as error:
        message = f"{setting.origin}: there is no home folder for {shown(setting.value)}"
        raise UsageError(message) from error
    in_workspace = workspace is not None and setting.origin == str(workspace.file)
    base = workspace.root if workspace is not None and in_workspace else Path.cwd()
    if "\0" in setting.value:
        raise UsageError(f"{setting.origin} is no path")
    return base / path
