"""A person's SSH config: the files that count, and what they say of a destination."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from outagekit.transports.ssh.config.answers import answer
from outagekit.transports.ssh.config.files import SYSTEM_FOLDER, load_file
from outagekit.transports.ssh.config.local import this_machine
from outagekit.transports.ssh.config.model import Answer, Asked, ConfigFile, Here


@dataclass(frozen=True, slots=True)
class SshConfig:
    """The files as they were when they were loaded."""

    here: Here
    user: ConfigFile | None = None
    system: ConfigFile | None = None

    def answer(self, asked: Asked) -> Answer:
        """Return what the files say of a destination. Raises `InvalidInput`."""
        return answer(self.user, self.system, asked, self.here)


def load_config(file: Path | None = None, here: Here | None = None) -> SshConfig:
    """Return the person's config and the system's; with `file`, this one alone, as `ssh -F` does.

    Raises `InvalidInput` with every problem, or if `file` is not there.
    """
    here = here or this_machine()
    if file is not None:
        return SshConfig(here, load_file(file, here, user=True, checked=False, needed=True))
    own = None
    if here.home:
        own = load_file(Path(here.home, ".ssh", "config"), here, user=True, checked=True)
    return SshConfig(
        here, own, load_file(SYSTEM_FOLDER / "ssh_config", here, user=False, checked=False)
    )
