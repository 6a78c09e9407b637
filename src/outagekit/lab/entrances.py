"""How the machines of a fleet are entered: their servers, who may log in, and what is trusted.

Every Linux machine has a host key of its own. Windows machines with https share a certificate,
which is made with the fleet and signed by nobody: it is trusted by its pin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from outagekit.credentials import SecretRef
from outagekit.inventory.model import Credential, Scheme
from outagekit.lab.keys import (
    new_certificate_files,
    new_key,
    new_key_file,
    new_password_file,
)
from outagekit.lab.listening import LOOPBACK
from outagekit.lab.machine import Machine
from outagekit.lab.ssh_server import LOGIN, LoopbackServer
from outagekit.transports.trust.known_hosts import HostKey, format_line, host_name

if TYPE_CHECKING:
    from outagekit.lab.wsman.accounts import Accounts
    from outagekit.lab.wsman.tls import Tls

CREDENTIAL: Final = "drill"
WINDOWS_CREDENTIAL: Final = "drill-windows"
WINDOWS_LOGIN: Final = "drill"


@dataclass(frozen=True, slots=True)
class Entrance:
    """One machine's server, as an inventory names it."""

    port: int
    credential: str
    trusted: str
    """A line of known_hosts, without its end; empty where nothing is shown to be trusted."""
    scheme: Scheme | None = None


@dataclass(frozen=True, slots=True)
class _Windows:
    accounts: Accounts
    tls: Tls


class Entrances:
    """Puts machines behind ports; keys and passwords are made in `folder` when first needed.

    `credentials` are those made so far, by name, and `passwords` what their references mean.
    Methods raise `OSError`.
    """

    def __init__(self, folder: Path, server: LoopbackServer) -> None:
        self.credentials: dict[str, Credential] = {}
        self.passwords: dict[SecretRef, str] = {}
        self._folder = folder
        self._server = server
        self._login_key = new_key_file(folder / "drill_key")
        self._windows: _Windows | None = None
        self._windows_number = 0

    def add(self, machine: Machine) -> Entrance:
        """Return how a machine is entered from now on."""
        return self._winrm(machine) if machine.system == "windows" else self._ssh(machine)

    def _ssh(self, machine: Machine) -> Entrance:
        key = str(self._folder / "drill_key")
        self.credentials[CREDENTIAL] = Credential(name=CREDENTIAL, user=LOGIN, key=key)
        host_key = new_key()
        port = self._server.add_machine(machine, host_key, self._login_key)
        known = HostKey(host_key.get_name(), host_key.get_base64())
        return Entrance(port, CREDENTIAL, format_line(host_name(LOOPBACK, port), known))

    def _winrm(self, machine: Machine) -> Entrance:
        windows = self._windows = self._windows or self._new_windows()
        scheme: Scheme = "http" if self._windows_number % 2 else "https"
        self._windows_number += 1
        port = self._winrm_port(machine, windows, scheme)
        trusted = ""
        if scheme == "https":
            pin = HostKey.of_certificate(windows.tls.certificate)
            trusted = format_line(host_name(LOOPBACK, port), pin)
        return Entrance(port, WINDOWS_CREDENTIAL, trusted, scheme)

    def _winrm_port(self, machine: Machine, windows: _Windows, scheme: Scheme) -> int:
        from outagekit.lab.wsman.rules import Rules  # noqa: PLC0415
        from outagekit.lab.wsman.server import windows_server  # noqa: PLC0415  (loads NTLM)

        if machine.fault == "unreachable":
            return self._server.closed_port()
        host = self._server.add_host(machine)
        service = windows_server(
            host,
            windows.accounts,
            tls=windows.tls if scheme == "https" else None,
            rules=Rules(wants_binding=scheme == "https", refuses=machine.fault == "auth"),
        )
        return self._server.add_port(service.serve, of=machine)

    def _new_windows(self) -> _Windows:
        from outagekit.lab.wsman.accounts import Account, Accounts  # noqa: PLC0415
        from outagekit.lab.wsman.tls import Tls  # noqa: PLC0415  (loads NTLM)

        file = self._folder / "drill_password"
        reference = SecretRef("file", str(file))
        password = self.passwords[reference] = new_password_file(file)
        self.credentials[WINDOWS_CREDENTIAL] = Credential(
            name=WINDOWS_CREDENTIAL,
            user=WINDOWS_LOGIN,
            password=reference,
            auth="ntlm",
        )
        certificate = self._folder / "drill_certificate.pem"
        key = self._folder / "drill_certificate_key.pem"
        new_certificate_files(certificate, key, address=LOOPBACK)
        accounts = Accounts(self._folder, Account(WINDOWS_LOGIN, password))
        return _Windows(accounts, Tls.load(certificate, key))
