"""A workspace whose endpoints are machines, and outagekit run in it, where it can reach them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outagekit.testing.machines.ground import Ground
from outagekit.testing.machines.machine import Machine

_HEAD: Final = """\
outagekit: 1
client: acme
name: Acme Dental
agreement: {id: M-1, allows: [diagnose, collect, remediate, reboot]}
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An endpoint of the inventory."""

    name: str
    address: str
    credential: str = "ops"
    become: bool = True
    """Whether root is reached with sudo."""
    site: str | None = None
    """`inner` for those behind the jump host."""
    tags: tuple[str, ...] = ()


class Workspace:
    """A folder with inventory, trust and secrets for the machines of a ground.

    Credentials: `ops`, `tech`, `guest` and `root`, all with the ground's key; `tech` has his
    password for sudo. Site `inner` is behind the jump host.
    """

    def __init__(self, folder: Path, ground: Ground) -> None:
        self.folder = folder
        self._ground = ground
        for name in ("inventory", "playbooks", "trust/acme"):
            (folder / name).mkdir(parents=True, mode=0o700)
        (folder / "outagekit.yaml").write_text("outagekit: 1\nstate_dir: state\n")
        self.secret("tech", ground.passwords["tech"])

    def secret(self, name: str, text: str) -> None:
        """Write the password an account uses for sudo."""
        path = self._secret(name)
        path.touch(mode=0o600)
        path.write_text(text)

    def _secret(self, name: str) -> Path:
        return self.folder / f"{name}-sudo"

    def write(self, entries: Iterable[Entry], *, jump: Machine | None = None) -> None:
        """Write the inventory."""
        key = self._ground.login.private
        credentials = [
            f"  {name}: {{user: {name}, key: {key}}}" for name in ("ops", "guest", "root")
        ]
        credentials.append(
            f"  tech: {{user: tech, key: {key}, sudo: 'file:{self._secret('tech')}'}}"
        )
        sites = []
        if jump is not None:
            sites = ["sites:", f"  inner: {{jump: ops@{jump.address}, jump_credential: ops}}"]
        endpoints = [f"  {entry.name}: {{{', '.join(_facts(entry))}}}" for entry in entries]
        lines = ["credentials:", *credentials, *sites, "endpoints:", *endpoints]
        (self.folder / "inventory" / "acme.yaml").write_text(_HEAD + "\n".join(lines) + "\n")

    def trust(self, machines: Iterable[Machine]) -> None:
        """Trust the host keys of these machines, and of no others."""
        lines = [f"{machine.address} {machine.host_key.public}\n" for machine in machines]
        (self.folder / "trust" / "acme" / "known_hosts").write_text("".join(lines))

    def command(self, *words: str) -> list[str]:
        """Return the words that run outagekit where the machines can be reached.

        To be run in `folder`.
        """
        return [*self._ground.inside, sys.executable, "-m", "outagekit", *words]


def _facts(entry: Entry) -> Iterable[str]:
    yield f"address: {entry.address}"
    yield "os: linux"
    yield f"credential: {entry.credential}"
    if entry.become:
        yield "become: sudo"
    if entry.site:
        yield f"site: {entry.site}"
    if entry.tags:
        yield f"tags: [{', '.join(entry.tags)}]"
