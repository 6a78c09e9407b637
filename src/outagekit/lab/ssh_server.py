"""A real SSH server on loopback in front of simulated machines: one port for each of them.

One thread listens on all ports. A connection costs paramiko's own thread, and a command a thread
for as long as it lasts; all of them are daemons.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import paramiko
from paramiko.common import (
    AUTH_FAILED,
    AUTH_SUCCESSFUL,
    OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    OPEN_SUCCEEDED,
)
from typing_extensions import override

from outagekit.errors import UsageError
from outagekit.lab.answers import NOT_FOUND, Answer
from outagekit.lab.host import GoneError, Host
from outagekit.lab.listening import LOOPBACK, Door, Listener, OnConnection, linger_away
from outagekit.lab.machine import Machine
from outagekit.lab.script import named_in
from outagekit.lab.sftp import SftpFiles
from outagekit.transports.ssh.sudo import SFTP_SERVER, ticket_in

LOGIN: Final = "root"

_LOG: Final = "outagekit.lab.wire"
_CHUNK_BYTES: Final = 65536
_MOST_SCRIPT_BYTES: Final = 16 * 1024 * 1024


class LoopbackServer:
    """Puts any number of machines behind loopback ports, until it is closed."""

    def __init__(self, address: str = LOOPBACK) -> None:
        """Refuse (`Refused`) any address that is not loopback."""
        self._listener = Listener(address)
        self._hosts: dict[Machine, Host] = {}
        self._doors: list[Door] = []
        _quiet()

    def start(self) -> None:
        """Begin to accept connections, and every machine's timetable. Ports are added before."""
        try:
            for door in self._doors:
                door.open()
            for host in self._hosts.values():
                host.begin()
        except OSError as error:
            message = f"a simulated endpoint cannot listen: {error.strerror or error}"
            raise UsageError(message) from error
        self._listener.start()

    def add_machine(self, machine: Machine, key: paramiko.PKey, login_key: paramiko.PKey) -> int:
        """Return the port of an SSH server in front of a machine.

        `key` is its host key; `login_key` the only one that may log in. A machine with the fault
        `unreachable` has its port closed.
        """
        if machine.fault == "unreachable":
            return self.closed_port()
        host = self.add_host(machine)
        keys = _Keys(key, login_key)
        return self.add_port(lambda connection: _serve(connection, host, keys), of=machine)

    def add_host(self, machine: Machine) -> Host:
        """Return the power of a machine whose ports are added with `add_port`."""
        host = self._hosts[machine] = Host(machine, self._listener)
        return host

    def add_port(self, on_connection: OnConnection, *, of: Machine | None = None) -> int:
        """Return a port whose connections are given to `on_connection`.

        One of a machine that was added before is shut while the machine is down.
        """
        door = self._listener.door(on_connection)
        doors = self._hosts[of].doors if of is not None else self._doors
        doors.append(door)
        return door.port

    def closed_port(self) -> int:
        """Return a port that refuses connections for as long as this server lives."""
        return self._listener.door().port

    def close(self) -> None:
        """End every connection and free every port. Never raises; again is allowed."""
        self._listener.close()
        for host in self._hosts.values():
            host.close()


@dataclass(frozen=True, slots=True)
class _Keys:
    host: paramiko.PKey
    login: paramiko.PKey


def _serve(connection: socket.socket, host: Host, keys: _Keys) -> None:
    transport = _Transport(connection)
    transport.set_log_channel(_LOG)
    transport.add_server_key(keys.host)
    host.keep(_Line(transport))
    # With an event given, paramiko negotiates in its own thread and this one goes on.
    transport.start_server(event=threading.Event(), server=_Session(transport, host, keys.login))


@dataclass(frozen=True, slots=True)
class _Line:
    """The connection of a transport, as a host keeps it."""

    transport: paramiko.Transport

    @property
    def is_alive(self) -> bool:
        return self.transport.is_alive()

    def reset(self) -> None:
        connection = cast("socket.socket", self.transport.sock)
        with contextlib.suppress(OSError):
            linger_away(connection)
            # The connection's own thread wakes up from reading and closes the socket.
            connection.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.transport.sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self.transport.close()


class _Transport(paramiko.Transport):
    # paramiko looks up from an idle connection ten times a second; many idle ones cost a core.
    _active_check_timeout = 1.0


class _Session(paramiko.ServerInterface):
    """One connection to one simulated machine. Called by the connection's own thread."""

    def __init__(self, transport: paramiko.Transport, host: Host, login_key: paramiko.PKey) -> None:
        self._transport = transport
        self._host = host
        self._login_key = login_key
        self._life = host.life

    @override
    def get_allowed_auths(self, username: str) -> str:
        """Keys are the only way in."""
        return "publickey"

    @override
    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        """Let the drill's key in, unless this machine rejects every login."""
        known = username == LOGIN and key == self._login_key
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
        return name == "sftp" and self._move_files(channel)

    def _move_files(self, channel: paramiko.Channel) -> bool:
        try:
            with self._host.turn(self._life) as machine:
                ending = machine.strike()
        except GoneError:
            return False
        if ending == "reset":
            _Line(self._transport).reset()
        if ending is None:
            turn = partial(self._host.turn, self._life)
            paramiko.SFTPServer(channel, "sftp", self, SftpFiles, turn).start()
        return True

    def _answer(self, channel: paramiko.Channel, line: str) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            asked = ticket_in(line)
            if asked is not None:
                # Every simulated sudo lets everybody in, and asks for no password.
                ticket, line = asked
                channel.sendall_stderr(ticket.went(0))
                _read_exactly(channel, ticket.begin)
            if line == SFTP_SERVER:
                self._move_files(channel)
                return
            script = _read_all(channel)
            self._send(channel, self._ask_machine(line, script))

    def _ask_machine(self, line: str, script: bytes) -> Answer:
        named = named_in(line)
        if named is None:
            return Answer(NOT_FOUND, stderr="lab: a simulated machine has no shell\n")
        try:
            with self._host.turn(self._life) as machine:
                before_s = machine.before_s(named.step, named.part)
            self._host.closing.wait(before_s)
            with self._host.turn(self._life) as machine:
                return machine.answer(named.step, named.part, script, detached=named.detached)
        except GoneError:
            with self._host.lock:
                self._host.machine.missed(named.step, named.part, script)
            raise

    def _send(self, channel: paramiko.Channel, answer: Answer) -> None:
        if answer.ending == "hang":
            return
        if answer.ending == "reset":
            _Line(self._transport).reset()
            return
        if answer.takes_s and self._host.closing.wait(answer.takes_s):
            return
        try:
            channel.sendall(answer.stdout.encode())
            channel.sendall_stderr(answer.stderr.encode())
            channel.send_exit_status(answer.exit_code)
            channel.close()
        finally:
            if answer.down_s is not None:
                self._host.restart(answer.until_down_s, answer.down_s)


def _read_exactly(channel: paramiko.Channel, wanted: bytes) -> None:
    """Read what lets a command behind sudo begin. Raises `EOFError` for anything else."""
    found = b""
    while len(found) < len(wanted):
        piece = channel.recv(len(wanted) - len(found))
        found += piece
        if not piece or not wanted.startswith(found):
            raise EOFError


def _read_all(channel: paramiko.Channel) -> bytes:
    pieces: list[bytes] = []
    size_bytes = 0
    while piece := channel.recv(_CHUNK_BYTES):
        size_bytes += len(piece)
        if size_bytes > _MOST_SCRIPT_BYTES:
            raise EOFError
        pieces.append(piece)
    return b"".join(pieces)


def _quiet() -> None:
    """Keep paramiko's remarks on broken connections, which the lab makes, off the screen."""
    logger = logging.getLogger(_LOG)
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
