"""What is trusted about each client's machines: host keys and machine ids, one folder per client.

`<folder>/<client>/known_hosts` is in OpenSSH's format, `machines.json` maps an endpoint's name to
the machine id seen at first contact. Nothing is trusted across clients. Files are private (0600 in
a 0700 folder), replaced whole, and safe to use from several threads and processes. Every act is
handed to a recorder before a file is replaced: one that cannot be recorded does not happen.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import filelock

from outagekit.errors import InvalidInput, OutagekitError
from outagekit.events import (
    EndpointId,
    Note,
    TrustAdded,
    TrustPinned,
    TrustRemoved,
    TrustReplaced,
)
from outagekit.text import visible_line
from outagekit.transports.ssh.ways.route import Server
from outagekit.transports.trust.folder import (
    Staged,
    Stamp,
    clear_staged,
    content_of,
    pins_of,
    pins_text,
    reason_of,
    stamp_of,
)
from outagekit.transports.trust.known_hosts import (
    CERTIFICATE,
    Entry,
    HostKey,
    KnownHosts,
    host_name,
)

_CLIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_LOCK_S: Final = 10.0
_KNOWN_HOSTS: Final = "known_hosts"
_MACHINES: Final = "machines.json"

T = TypeVar("T")
Act = TrustAdded | TrustReplaced | TrustRemoved | TrustPinned | Note
Recorder = Callable[[str, Sequence[Act]], None]
"""Puts down what is about to be done to a client's trust. Called under the lock of the client's
folder, which exists; if it raises `OutagekitError`, nothing is done."""


def filed_under(client: str, server: Server) -> tuple[str, str, int]:
    """Return client, name and port: what the keys of a client's server are known by."""
    return client, server.known_as, server.known_port or server.port


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """A server of a client, and the keys it is, or is to be, believed by."""

    server: str
    """`client/name` of an endpoint, or words that say which jump host it is."""
    name: str
    """Its name in a known_hosts file, as `host_name` makes it."""
    keys: tuple[HostKey, ...] = ()
    endpoint_name: str = ""
    """Whose machine id is pinned; empty for a jump host."""


@dataclass(frozen=True, slots=True)
class Former:
    """What had been believed of a server."""

    keys: tuple[HostKey, ...]
    machine_id: str
    """Empty if none was pinned."""


def _unrecorded(client: str, acts: Sequence[Act]) -> None:
    """Record nothing: for a rehearsal, whose trust is thrown away."""
    del client, acts


class TrustStore:
    """Host keys and machine ids per client.

    `extra` names more known_hosts files that may vouch for a client's endpoints and are only
    read, as `~/.ssh/known_hosts` for endpoints named on the command line; a key that one of them
    revokes is not trusted. Methods raise `InvalidInput` for a file that cannot be read or written,
    and what the recorder raises; then everything is as it was.
    """

    def __init__(
        self,
        folder: Path,
        *,
        extra: Mapping[str, tuple[Path, ...]] | None = None,
        record: Recorder = _unrecorded,
    ) -> None:
        self.folder = folder
        self._extra = dict(extra or {})
        self._record = record
        self._guard = threading.Lock()
        self._writing = threading.Lock()
        self._parsed: dict[Path, tuple[Stamp | None, KnownHosts]] = {}
        self._pins: dict[Path, tuple[Stamp | None, dict[str, str]]] = {}
        self._queued: dict[Path, dict[str, str]] = {}

    def known_keys(self, client: str, address: str, port: int) -> tuple[HostKey, ...]:
        """Return the keys trusted for an address of a client, its own file first."""
        return self.keys_named(client, host_name(address, port))

    def keys_named(self, client: str, name: str) -> tuple[HostKey, ...]:
        """Return the keys trusted for a name of known_hosts, as `known_keys` does."""
        files = [self._hosts(file) for file in self._files(client)]
        never = frozenset[HostKey]().union(*(hosts.revoked(name) for hosts in files))
        known = (key for hosts in files for key in hosts.keys(name) if key not in never)
        return tuple(dict.fromkeys(known))

    def known_certificates(self, client: str, address: str, port: int) -> tuple[HostKey, ...]:
        """Return the TLS certificates among them; a host key by the same name says nothing here."""
        known = self.known_keys(client, address, port)
        return tuple(key for key in known if key.type == CERTIFICATE)

    def revoked_keys(self, client: str, address: str, port: int) -> frozenset[HostKey]:
        """Return the keys that must never be trusted for an address of a client."""
        name = host_name(address, port)
        found = (self._hosts(file).revoked(name) for file in self._files(client))
        return frozenset[HostKey]().union(*found)

    def clients(self) -> tuple[str, ...]:
        """Return the clients that have a trust folder, by name."""
        try:
            folders = sorted(path.name for path in self.folder.iterdir() if path.is_dir())
        except FileNotFoundError:
            return ()
        except OSError as fault:
            raise InvalidInput(f"{self.folder} cannot be read: {reason_of(fault)}") from fault
        return tuple(name for name in folders if _CLIENT.fullmatch(name))

    def entries(self, client: str) -> tuple[Entry, ...]:
        """Return every key of the client's own file, in its order."""
        return self._hosts(self._file(client, _KNOWN_HOSTS)).entries

    def faults(self, client: str) -> tuple[tuple[str, str], ...]:
        """Return the lines of the client's own file that say nothing: `file:line` and why."""
        file = self._file(client, _KNOWN_HOSTS)
        return tuple((f"{file}:{number}", why) for number, why in self._hosts(file).faults())

    def pins(self, client: str) -> dict[str, str]:
        """Return the machine ids that are pinned, by the endpoint's name."""
        return dict(self._machines(self._file(client, _MACHINES)))

    def add(self, client: str, address: str, port: int, key: HostKey) -> bool:
        """Trust one more key; False if it was trusted already. Nothing is taken away."""
        believed = Belief(server=address, name=host_name(address, port), keys=(key,))
        return bool(self.add_all(client, [believed]))

    def add_all(
        self, client: str, beliefs: Sequence[Belief], *, source: str = ""
    ) -> tuple[tuple[Belief, HostKey], ...]:
        """Trust more keys in one replacement of the file; return those that were not trusted."""
        wanted = [(belief, key) for belief in beliefs for key in belief.keys]
        file = self._file(client, _KNOWN_HOSTS)
        with self._locked(file):
            hosts = self._hosts(file)
            new = [(b, key) for b, key in wanted if key not in hosts.keys(b.name)]
            lines = dict.fromkeys((belief.name, key) for belief, key in new)
            acts = [
                TrustAdded(server=belief.server, name=belief.name, key=str(key), source=source)
                for belief, key in new
            ]
            if acts:
                self._put(client, {file: _bytes(hosts.with_keys(lines))}, acts)
        return tuple(new)

    def replace(self, client: str, address: str, port: int, key: HostKey) -> tuple[HostKey, ...]:
        """Trust this key and no other for the address; return the keys trusted before."""
        believed = Belief(server=address, name=host_name(address, port), keys=(key,))
        (former,) = self.replace_all(client, [believed], because="")
        return former.keys

    def replace_all(
        self, client: str, beliefs: Sequence[Belief], *, because: str
    ) -> tuple[Former, ...]:
        """Trust these keys and no others, and take the pins away; return what was before."""
        return self._part(client, beliefs, because, TrustReplaced)

    def remove_all(
        self, client: str, beliefs: Sequence[Belief], *, because: str
    ) -> tuple[Former, ...]:
        """Trust no key of these servers any more, and take the pins away; return what was."""
        nothing = [replace(belief, keys=()) for belief in beliefs]
        return self._part(client, nothing, because, TrustRemoved)

    def _part(
        self,
        client: str,
        beliefs: Sequence[Belief],
        because: str,
        act: type[TrustReplaced | TrustRemoved],
    ) -> tuple[Former, ...]:
        file, machines = self._file(client, _KNOWN_HOSTS), self._file(client, _MACHINES)
        with self._locked(file):
            hosts, pins = self._hosts(file), dict(self._machines(machines))
            before = [Former(hosts.keys(b.name), pins.pop(b.endpoint_name, "")) for b in beliefs]
            rest = hosts.without({b.name for b in beliefs})
            _require_gone(file, rest, beliefs)
            after = rest.with_keys((b.name, key) for b in beliefs for key in b.keys)
            contents = {file: _bytes(after)}
            if any(former.machine_id for former in before):
                contents[machines] = pins_text(pins)
            pairs = zip(beliefs, before, strict=True)
            self._put(client, contents, [_parting(act, *pair, because) for pair in pairs])
        return tuple(before)

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
                self._pin(client, file, queued)
        known = self.machine_of(client, endpoint_name)
        if not known:
            raise InvalidInput(f"{file} could not be written by another thread")
        return known

    def _pin(self, client: str, file: Path, queued: Mapping[str, str]) -> None:
        with self._locked(file, writing=True):
            pinned = self._machines(file)
            acts = [
                TrustPinned(endpoint=EndpointId(f"{client}/{name}"), machine_id=machine_id)
                for name, machine_id in queued.items()
                if name not in pinned
            ]
            if acts:
                self._put(client, {file: pins_text({**queued, **pinned})}, acts)

    def _file(self, client: str, name: str) -> Path:
        if not _CLIENT.fullmatch(client):
            raise OutagekitError(f"'{visible_line(client)}' cannot name a client's trust folder")
        return self.folder / client / name

    def _files(self, client: str) -> tuple[Path, ...]:
        return self._file(client, _KNOWN_HOSTS), *self._extra.get(client, ())

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
                raise InvalidInput(f"{file} cannot be written: {reason_of(fault)}") from fault

    def _put(self, client: str, contents: Mapping[Path, bytes], acts: Sequence[Act]) -> None:
        """Stage the files, record the acts, replace the files: in this order."""
        staged: list[Staged] = []
        clear_staged(self.folder / client)
        try:
            for file, content in contents.items():
                staged.append(Staged(file, content))  # one that fails must not hide the others
            self._record(client, acts)
            try:
                for each in staged:
                    each.put_in_place()
            except BaseException:
                undone = f"what was recorded last ({len(acts)}) was not done, or not all of it"
                with contextlib.suppress(OutagekitError):
                    self._record(client, [Note(text=undone)])
                raise
        finally:
            for each in staged:
                each.discard()

    def _hosts(self, file: Path) -> KnownHosts:
        return self._cached(self._parsed, file, _as_hosts)

    def _machines(self, file: Path) -> Mapping[str, str]:
        return self._cached(self._pins, file, pins_of)

    def _cached(
        self, cache: dict[Path, tuple[Stamp | None, T]], file: Path, parse: Callable[[Path], T]
    ) -> T:
        stamp = stamp_of(file)
        with self._guard:
            found = cache.get(file)
            if found is None or found[0] != stamp:
                found = cache[file] = (stamp, parse(file))
            return found[1]


def _as_hosts(file: Path) -> KnownHosts:
    return KnownHosts(content_of(file).decode("utf-8", "surrogateescape"))


def _bytes(hosts: KnownHosts) -> bytes:
    """Return a known_hosts file as it was, also where its comments are no UTF-8."""
    return hosts.text.encode("utf-8", "surrogateescape")


def _require_gone(file: Path, rest: KnownHosts, beliefs: Sequence[Belief]) -> None:
    """Raise `InvalidInput` where a pattern goes on vouching for a key that should not count."""
    for belief in beliefs:
        if set(rest.keys(belief.name)) - set(belief.keys):
            message = f"{file} knows {belief.name} by a pattern, which speaks of others too"
            raise InvalidInput(message, hint="take that line out of the file by hand first")


def _parting(
    act: type[TrustReplaced | TrustRemoved], belief: Belief, former: Former, because: str
) -> Act:
    old = tuple(map(str, former.keys))
    if act is TrustReplaced:
        return TrustReplaced(
            server=belief.server,
            name=belief.name,
            old=old,
            new=tuple(map(str, belief.keys)),
            because=because,
            machine_id=former.machine_id,
        )
    return TrustRemoved(
        server=belief.server,
        name=belief.name,
        old=old,
        because=because,
        machine_id=former.machine_id,
    )
