"""Where a command finds the workspace, the settings, the state folder and trust."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outagekit.inventory.settings import Settings
    from outagekit.inventory.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Places:
    """The folders and settings of one command."""

    workspace: Workspace | None
    settings: Settings
    known_keys: Path | None = None
    """Where a run that is taken up again has its trust from, wherever it is taken up."""

    @property
    def state(self) -> Path:
        """Folder of runs and their logs."""
        return self.settings.state_dir

    @property
    def trust(self) -> Path:
        """Folder with a folder of known hosts for each client."""
        if self.known_keys is not None:
            return self.known_keys
        return self.workspace.trust if self.workspace else self.state / "trust"

    @property
    def playbooks(self) -> Path | None:
        """The workspace's playbooks."""
        return self.workspace.playbooks if self.workspace else None


def find_places(
    state_dir: Path | None,
    *,
    concurrency: int | None = None,
    connecting: int | None = None,
) -> Places:
    """Return the places for a command started in the current folder.

    Raises `Refused` for a workspace that others can write, `UsageError` for a setting out of
    range.
    """
    from outagekit.cli.command import came_from_environment
    from outagekit.inventory.settings import resolve_settings
    from outagekit.inventory.workspace import find_workspace

    workspace = find_workspace(Path.cwd())
    settings = resolve_settings(
        environ=os.environ,
        workspace=workspace,
        concurrency=None if came_from_environment("concurrency") else concurrency,
        connecting=None if came_from_environment("connecting") else connecting,
        state_dir=None if came_from_environment("state_dir") else state_dir,
    )
    return Places(workspace, settings)
