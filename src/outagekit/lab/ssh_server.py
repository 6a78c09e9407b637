"""A real SSH server on loopback in front of simulated machines: one port for each of them.

One thread listens on all ports. A connection costs paramiko's own thread, and a command a thread
for as long as it lasts; all of them are daemons. No address but loopback is ever bound.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import selectors
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)
from typing_extensions import override

from outagekit.errors import Refused, UsageError
from outagekit.lab.machine import NOT_FOUND, Answer, Machine
from outagekit.lab.script import step_and_part
from outagekit.lab.sftp import SftpFiles

LOOPBACK: Final = "127.0.0.1"
LOGIN: Final = "root"

_LOG: Final = "outagekit.lab.wire"
_BACKLOG: Final = 128
_CHUNK_BYTES: Final = 65536
_MOST_SCRIPT_BYTES: Final = 16 * 1024 * 1024
_TICK_S: Final = 0.5
# Linger on, for no time: closing the socket sends a reset instead of an orderly end.
_ABORT: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

OnConnection = Callable[[socket.socket], None]
"""Gets a connection that was accepted, and owns it from then on; must not block."""


@dataclass(slots=True)
class _Host:
    """What all connections to one simulated machine share."""

    machine: Machine
    key: paramiko.PKey
    login_key: paramiko.PKey
    closing: threading.Event
    lock: threading.RLock = field(default_factory=threading.RLock)


class LoopbackServer:
    """Listens on any number of loopback ports in one thread, until it is closed."""

    def __init__(self, address: str = LOOPBACK) -> None:
        """Refuse (`Refused`) any address that is not loopback."""
        if not ipaddress.ip_address(address).is_loopback:
            message = f"the lab listens on loopback only, not on {address}"
            raise Refused(message, hint="its logins and keys protect nothing")
        self.address = address
        self._selector = selectors.DefaultSelector()
        self._reserved: list[socket.socket] = []
        self._closing = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._listen, name="lab-listen", daemon=True)
        self._transports: set[paramiko.Transport] = set()
        _quiet()

    def start(self) -> None:
        """Begin to accept connections. Ports are added before."""
        self._thread.start()

    def add_machine(self, machine: Machine, key: paramiko.PKey, login_key: paramiko.PKey) -> int:
        """Return the port of an SSH server in front of a machine.

        `key` is its host key; `login_key` the only one that may log in. A machine with the fault
        `unreachable` has its port closed.
        """
        if machine.fault == "unreachable":
            return self.closed_port()
        host = _Host(machine, key, login_key, self._closing)
        return self.add_port(lambda connection: self._serve(connection, host))

    def add_port(self, on_connection: OnConnection) -> int:
        """Return a port whose connections are given to `on_connection`."""
        listener = self._bound()
        listener.listen(_BACKLOG)
        listener.settimeout(0)
        self._selector.register(listener, selectors.EVENT_READ, on_connection)
        return int(listener.getsockname()[1])

    def closed_port(self) -> int:
        """Return a port that refuses connections for as long as this server lives."""
        # Bound, but not listening: nobody else can get it, and the system answers with a reset.
        reserved = self._bound()
        self._reserved.append(reserved)
        return int(reserved.getsockname()[1])

    def close(self) -> None:
        """End every connection and free every port. Never raises; again is allowed."""
        if self._closing.is_set():
            return
        self._closing.set()
        with contextlib.suppress(OSError):
            self._wake.send(b"x")
        if self._thread.is_alive():
            self._thread.join()
        for entry in list(self._selector.get_map().values()):
            entry.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        for transport in list(self._transports):
            _end(transport)
        for reserved in (*self._reserved, self._wake, self._woken):
            reserved.close()

    def _bound(self) -> socket.socket:
        try:
            family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            try:
                listener.bind((self.address, 0))
            except OSError:
                listener.close()
                raise
        except OSError as error:
            message = f"a simulated endpoint cannot listen: {error.strerror or error}"
            hint = "fewer endpoints, or a higher limit of open files"
            raise UsageError(message, hint=hint) from error
        return listener

    def _listen(self) -> None:
        while not self._closing.is_set():
            for entry, _ in self._selector.select(_TICK_S):
                if entry.data is not None:
                    self._accept(entry.fileobj, entry.data)  # type: ignore[arg-type]

    def _accept(self, listener: socket.socket, on_connection: OnConnection) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            # The client is gone again, or this process has no file left: the client waits or
            # sees its own time-out. A short rest keeps this thread from spinning meanwhile.
            self._closing.wait(0.01)
            return
        connection.settimeout(None)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            on_connection(connection)
        except (OSError, EOFError, paramiko.SSHException):
            connection.close()

    def _serve(self, connection: socket.socket, host: _Host) -> None:
        transport = _Transport(connection)
        transport.set_log_channel(_LOG)
        transport.add_server_key(host.key)
        self._transports = {known for known in self._transports if known.is_alive()}
        self._transports.add(transport)
        # With an event given, paramiko negotiates in its own thread and this one goes on.
        transport.start_server(event=threading.Event(), server=_Session(transport, host))


class _Transport(paramiko.Transport):
    # paramiko looks up from an idle connection ten times a second; many idle ones cost a core.
    _active_check_timeout = 1.0


class _Session(paramiko.ServerInterface):
    """One connection to one simulated machine. Called by the connection's own thread."""

    def __init__(self, transport: paramiko.Transport, host: _Host) -> None:
        self._transport = transport
        self._host = host

    @override
    def get_allowed_auths(self, username: str) -> str:
        """Keys are the only way in."""
        return "publickey"

    @override
    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Let the drill's key in, unless this machine rejects every login."""
        known = username == LOGIN and key == self._host.login_key
        return AUTH_SUCCESSFUL if known and self._host.machine.fault != "auth" else AUTH_FAILED

    @override
    def check_channel_request(self, kind: str, chanid: int) -> int:
        """Open sessions, and nothing else."""
        return OPEN_SUCCEEDED if kind == "session" else OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    @override
    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        """Take a command; it is answered by a thread of its own once its input has ended."""
        # paramiko keeps every channel in a queue until somebody accepts it.
        self._transport.accept(0)
        line = command.decode("utf-8", "replace")
        threading.Thread(
            target=self._answer, args=(channel, line), name="lab-command", daemon=True
        ).start()
        return True

    @override
    def check_channel_subsystem_request(self, channel: paramiko.Channel, name: str) -> bool:
        """Start SFTP; a machine that hangs or resets does so here as well."""
        self._transport.accept(0)
        if name != "sftp":
            return False
        with self._host.lock:
            ending = self._host.machine.strike()
        if ending == "reset":
            _reset(self._transport)
        if ending is None:
            paramiko.SFTPServer(
                channel, name, self, SftpFiles, self._host.machine, self._host.lock
            ).start()
        return True

    def _answer(self, channel: paramiko.Channel, line: str) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            script = _read_all(channel)
            self._send(channel, self._ask_machine(line, script))

    def _ask_machine(self, line: str, script: bytes) -> Answer:
        named = step_and_part(line)
        if named is None:
            return Answer(NOT_FOUND, stderr="lab: a simulated machine has no shell\n")
        with self._host.lock:
            return self._host.machine.answer(*named, script)

    def _send(self, channel: paramiko.Channel, answer: Answer) -> None:
        if answer.ending == "hang":
            return
        if answer.ending == "reset":
            _reset(self._transport)
            return
        if answer.takes_s and self._host.closing.wait(answer.takes_s):
            return
        channel.sendall(answer.stdout.encode())
        channel.sendall_stderr(answer.stderr.encode())
        channel.send_exit_status(answer.exit_code)
        channel.close()


def _read_all(channel: paramiko.Channel) -> bytes:
    pieces: list[bytes] = []
    size_bytes = 0
    while piece := channel.recv(_CHUNK_BYTES):
        size_bytes += len(piece)
        if size_bytes > _MOST_SCRIPT_BYTES:
            raise EOFError
        pieces.append(piece)
    return b"".join(pieces)


def _reset(transport: paramiko.Transport) -> None:
    """Break a connection with a TCP reset, not with an orderly end."""
    connection = cast("socket.socket", transport.sock)
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        # The connection's own thread wakes up from reading and closes the socket.
        connection.shutdown(socket.SHUT_RD)


def _end(transport: paramiko.Transport) -> None:
    with contextlib.suppress(OSError):
        transport.sock.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
        transport.close()


def _quiet() -> None:
    """Keep paramiko's remarks on broken connections, which the lab makes, off the screen."""
    logger = logging.getLogger(_LOG)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
