"""The WS-Man service of one simulated machine, behind any number of connections.

A thread per connection, and one per command while it runs. Whoever listens gives it connections:

    accounts = Accounts(folder, Account("drill", password))
    server = windows_server(host, accounts, tls=Tls.load(certificate, key))
    host.doors.append(listener.door(server.serve))
"""

from __future__ import annotations

import socket

from outagekit.lab.host import Host
from outagekit.lab.wsman.accounts import Accounts
from outagekit.lab.wsman.connection import WsmanConnection
from outagekit.lab.wsman.injection import Injections
from outagekit.lab.wsman.on_machine import MachineProgram
from outagekit.lab.wsman.rules import Rules
from outagekit.lab.wsman.service import Service
from outagekit.lab.wsman.tls import Tls


class WsmanServer(Service):
    """One service that connections can be given to."""

    def serve(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted, and own it from now on. Does not block."""
        serving = WsmanConnection(connection, self)
        self.keeper.keep(serving)
        serving.start()


def windows_server(
    host: Host,
    accounts: Accounts,
    *,
    tls: Tls | None = None,
    rules: Rules | None = None,
    injections: Injections | None = None,
) -> WsmanServer:
    """Return the service of a simulated machine: https with `tls`, http without."""
    program = MachineProgram(host)
    return WsmanServer(program, host, accounts, tls=tls, rules=rules, injections=injections)
