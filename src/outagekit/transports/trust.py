"""What is trusted about each client's machines: host keys and machine ids, one folder per client.

`<folder>/<client>/known_hosts` is in OpenSSH's format, `machines.json` maps an endpoint's name to
the machine id seen at first contact. Nothing is trusted across clients. Files are private (0600 in
a 0700 folder), replaced whole, and safe to use from several threads and processes.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import filelock
import msgspec

from outagekit.errors import InvalidInput, OutagekitError
from outagekit.text import visible_line
from outagekit.transports.known_hosts import Entry, HostKey, KnownHosts, host_name
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial
from outagekit.transports.ssh.route import Server

_CLIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LOCK_S: Final = 10.0
_LARGEST_BYTES: Final = 64 * 1024 * 1024
_KNOWN_HOSTS: Final = "known_hosts"
_MACHINES: Final = "machines.json"

T = TypeVar("T")
_Stamp = tuple[int, int, int]


def scan_key(address: str, port: int, deadlines: Deadlines | None = None) -> HostKey | Failure:
    """Return the host key a server proves to have, without logging in and without trusting it."""
    from outagekit.transports.ssh.session import greet  # noqa: PLC0415  (loads paramiko)

    limits = deadlines or Deadlines()
    stream = dial(address, port, deadlines=limits)
    if isinstance(stream, Failure):
        return stream
    session = greet(stream, f"{address} port {port}", deadlines=limits)
    if isinstance(session, Failure):
        return session
    try:
        return session.server_key
    finally:
        session.hang_up()


def filed_under(client: str, server: Server) -> tuple[str, str, int]:
    """Return client, name and port: what the keys of a client's server are known by."""
    return client, server.known_as, server.port


class TrustStore:
    """Host keys and machine ids per client.

    `extra` names more known_hosts files that may vouch for a client's endpoints and are only
    read, as `~/.ssh/known_hosts` for endpoints named on the command line. Methods raise
    `InvalidInput` for a file that cannot be read or written.
    """

    def __init__(
        self, folder: Path, *, extra: Mapping[str, tuple[Path, ...]] | None = None
    ) -> None:
        self.folder = folder
        self._extra = dict(extra or {})
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._parsed: dict[Path, tuple[_Stamp | None, KnownHosts]] = {}
        self._pins: dict[Path, tuple[_Stamp | None, dict[str, str]]] = {}
        self._queued: dict[Path, dict[str, str]] = {}

    def known_keys(self, client: str, address: str, port: int) -> tuple[HostKey, ...]:
        """Return the keys trusted for an address of a client, its own file first."""
        name = host_name(address, port)
        files = (self._file(client, _KNOWN_HOSTS), *self._extra.get(client, ()))
        return tuple(dict.fromkeys(key for file in files for key in self._hosts(file).keys(name)))

    def clients(self) -> tuple[str, ...]:
        """Return the clients that have a trust folder, by name."""
        try:
            folders = sorted(path.name for path in self.folder.iterdir() if path.is_dir())
        except FileNotFoundError:
            return ()
        except OSError as fault:
            raise InvalidInput(f"{self.folder} cannot be read: {_reason(fault)}") from fault
        return tuple(name for name in folders if _CLIENT.fullmatch(name))

    def entries(self, client: str) -> tuple[Entry, ...]:
        """Return every key of the client's own file, in its order."""
        return self._hosts(self._file(client, _KNOWN_HOSTS)).entries

    def add(self, client: str, address: str, port: int, key: HostKey) -> bool:
        """Trust one more key; False if it was trusted already. Nothing is taken away."""
        name = host_name(address, port)
        file = self._file(client, _KNOWN_HOSTS)
        with self._locked(file):
            hosts = self._hosts(file)
            if key in hosts.keys(name):
                return False
            _replace(file, _bytes(hosts.with_key(name, key)))
        return True

    def replace(self, client: str, address: str, port: int, key: HostKey) -> tuple[HostKey, ...]:
        """Trust this key and no other for the address; return the keys trusted before."""
        name = host_name(address, port)
        file = self._file(client, _KNOWN_HOSTS)
        with self._locked(file):
            hosts = self._hosts(file)
            _replace(file, _bytes(hosts.without(name).with_key(name, key)))
        return hosts.keys(name)

    def machine_of(self, client: str, endpoint_name: str) -> str:
        """Return the machine id pinned for an endpoint, or an empty text."""
        return self._machines(self._file(client, _MACHINES)).get(endpoint_name, "")

    def pin_machine(self, client: str, endpoint_name: str, machine_id: str) -> str:
        """Pin a machine id unless one is pinned; return the one that is pinned now.

        On disk when this returns. Pins of many threads share one write.
        """
        file = self._file(client, _MACHINES)
        with self._guard:
            self._queued.setdefault(file, {}).setdefault(endpoint_name, machine_id)
        with self._writing:
            with self._guard:
                queued = self._queued.pop(file, {})
            if queued:
                with self._locked(file, writing=True):
                    pinned = self._machines(file)
                    if not queued.keys() <= pinned.keys():
                        _replace(file, _as_json({**queued, **pinned}))
        known = self.machine_of(client, endpoint_name)
        if not known:
            raise InvalidInput(f"{file} could not be written by another thread")
        return known

    def forget_machine(self, client: str, endpoint_name: str) -> str:
        """Take a pin away, so that the next contact pins anew; return what was pinned."""
        file = self._file(client, _MACHINES)
        with self._locked(file):
            pinned = dict(self._machines(file))
            gone = pinned.pop(endpoint_name, "")
            if gone:
                _replace(file, _as_json(pinned))
        return gone

    def _file(self, client: str, name: str) -> Path:
        if not _CLIENT.fullmatch(client):
            raise OutagekitError(f"'{visible_line(client)}' cannot name a client's trust folder")
        return self.folder / client / name

    @contextlib.contextmanager
    def _locked(self, file: Path, *, writing: bool = False) -> Iterator[None]:
        with contextlib.nullcontext() if writing else self._writing:
            try:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with filelock.FileLock(file.parent / ".lock", timeout=_LOCK_S, mode=0o600):
                    yield
            except filelock.Timeout:
                message = f"{file.parent} is held by another process"
                raise InvalidInput(message) from None
            except OSError as fault:
                raise InvalidInput(f"{file} cannot be written: {_reason(fault)}") from fault

    def _hosts(self, file: Path) -> KnownHosts:
        return self._cached(self._parsed, file, _as_hosts)

    def _machines(self, file: Path) -> Mapping[str, str]:
        return self._cached(self._pins, file, _as_pins)

    def _cached(
        self, cache: dict[Path, tuple[_Stamp | None, T]], file: Path, parse: Callable[[Path], T]
    ) -> T:
        stamp = _stamp(file)
        with self._guard:
            found = cache.get(file)
            if found is None or found[0] != stamp:
                found = cache[file] = (stamp, parse(file))
            return found[1]


def _stamp(file: Path) -> _Stamp | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise InvalidInput(f"{file} cannot be read: {_reason(fault)}") from fault
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{file} cannot be read: it is no regular file")
    if status.st_size > _LARGEST_BYTES:
        raise InvalidInput(f"{file} cannot be read: it is larger than any such file")
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as fault:
        raise InvalidInput(f"{file} cannot be read: {_reason(fault)}") from fault


def _as_hosts(file: Path) -> KnownHosts:
    return KnownHosts(_read(file).decode("utf-8", "surrogateescape"))


def _bytes(text: str) -> bytes:
    """Return a known_hosts file as it was, also where its comments are no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def _as_pins(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(_read(file) or b"{}", type=dict[str, str])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as fault:
        message = f"{file} is damaged: it must map endpoint names to machine ids"
        raise InvalidInput(message, hint="restore it, or remove it to pin anew") from fault


def _as_json(pins: Mapping[str, str]) -> bytes:
    return msgspec.json.format(msgspec.json.encode(dict(sorted(pins.items()))), indent=1) + b"\n"


def _replace(file: Path, content: bytes) -> None:
    """Put a file in place whole and private, or leave the old one."""
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(6)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _reason(fault: OSError) -> str:
    return fault.strerror or type(fault).__name__
