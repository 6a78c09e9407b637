"""The way to an endpoint's SSH or WinRM server: which servers lie on it, and how each is entered.

What the inventory says comes first; `~/.ssh/config` fills in what it leaves open. Pure: names are
looked up, and connections made, elsewhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from outagekit.inventory.model import Credential, Scheme
from outagekit.transports.winrm.proxy import HttpProxy


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it is reached from here, or from the server before it.

    All but an endpoint's own WinRM speak SSH.
    """

    address: str
    port: int
    known_as: str
    """The name its host key is known by: its address, unless `HostKeyAlias` says otherwise."""
    user: str | None = None
    """Who logs in where `credential` does not say it; None: the technician's own name."""
    credential: Credential | None = None
    """None: the SSH agent and key files, as `ssh` itself would do."""
    identities: tuple[str, ...] | None = None
    """Key files to try where the credential allows it; None: those of `~/.ssh` ssh would try."""
    certificates: tuple[str, ...] = ()
    """OpenSSH certificates that belong to some of `identities`."""
    identities_only: bool = False
    """The agent's other keys are not offered."""
    agent: str | None = None
    """Path of the agent's socket, or `none`; None: the one of the environment."""
    connect_s: float | None = None
    """How long connecting may take, if that is said."""
    known_port: int | None = None
    """The port that belongs to `known_as`; None: its own. An alias stands alone, which is 22."""

    @property
    def place(self) -> str:
        """Where it is, for a sentence."""
        return f"{self.address} port {self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """The servers on the way, nearest first, and the endpoint's own."""

    end: Server
    hops: tuple[Server, ...] = ()
    """Jump hosts. Each is logged in to, and shared by all endpoints of its client."""
    command: str = ""
    """A command line (`ProxyCommand`, expanded) whose input and output are the connection to the
    first server."""
    scheme: Scheme | None = None
    """What the endpoint's WinRM speaks; None: the end is an SSH server."""
    proxy: HttpProxy | None = None
    """What connects to the end where there is neither a jump host nor a command."""

    @property
    def words(self) -> str:
        """The way on one line, to be compared with that of another day.

        Of a program only a hash is told: its command line may hold what is nobody's business.
        """
        scheme = f"{self.scheme} " if self.scheme else ""
        servers = [f"{scheme}{_called(self.end)}", *(_called(hop) for hop in reversed(self.hops))]
        if self.command:
            digest = hashlib.sha256(self.command.encode("utf-8", "surrogateescape")).hexdigest()
            servers.append(f"ProxyCommand {digest}")
        if self.proxy is not None:
            servers.append(str(self.proxy))
        return " by ".join(servers)

    @property
    def is_direct(self) -> bool:
        """Whether a TCP connection from here leads straight to the endpoint."""
        return not self.hops and not self.command and self.proxy is None


def _called(server: Server) -> str:
    user = server.credential.user if server.credential is not None else server.user
    login = f"{user}@" if user else ""
    known = "" if server.known_as == server.address else f" ({server.known_as})"
    return f"{login}{server.address} port {server.port}{known}"
