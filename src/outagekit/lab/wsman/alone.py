"""A WS-Man service on a loopback port of its own, in front of any program: for tests."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from outagekit.lab.host import Connection
from outagekit.lab.listening import LOOPBACK, Listener
from outagekit.lab.wsman.accounts import Account, Accounts
from outagekit.lab.wsman.injection import Injections
from outagekit.lab.wsman.program import Program
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.server import WsmanServer
from outagekit.lab.wsman.tls import Tls


class LoneServer:
    """A running service; a context manager that ends it.

    `server` is the service with its counts, `port` where it listens, `url` what a client is given.
    `is_up` and `life` may be changed to have it go away: see `go_down` and `come_up`.
    """

    def __init__(
        self,
        program: Program,
        folder: Path,
        *accounts: Account,
        tls: Tls | None = None,
        rules: Rules | None = None,
        injections: Injections | None = None,
        address: str = LOOPBACK,
    ) -> None:
        """Begin to listen. `folder` gets the file of accounts. Raises `OSError`."""
        self.is_up = True
        self.life = 0
        self._listener = Listener(address)
        self._connections: set[Connection] = set()
        self.server = WsmanServer(
            program, self, Accounts(folder, *accounts), tls=tls, rules=rules, injections=injections
        )
        self._door = self._listener.door(self.server.serve)
        self._door.open()
        self.port = self._door.port
        shown = f"[{address}]" if ":" in address else address
        self.url = f"{'http' if tls is None else 'https'}://{shown}:{self.port}/wsman"
        self._listener.start()

    def keep(self, connection: Connection) -> None:
        """Remember a connection."""
        self._connections = {known for known in self._connections if known.is_alive}
        self._connections.add(connection)

    def cut(self) -> None:
        """Break every connection; the service goes on."""
        for connection in tuple(self._connections):
            connection.reset()

    def go_down(self) -> None:
        """Refuse connections and break those there are; shells stay."""
        self.is_up = False
        self.life += 1
        self._listener.at(0, self._door.shut)
        self.cut()

    def come_up(self) -> None:
        """Take connections again."""
        self._listener.at(0, self._door.open)
        self.is_up = True

    def close(self) -> None:
        """End every connection and free the port. Never raises."""
        self._listener.close()
        for connection in tuple(self._connections):
            connection.close()

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
