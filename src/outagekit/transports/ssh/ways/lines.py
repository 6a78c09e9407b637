"""Byte streams to SSH and WinRM servers: over TCP, through jump hosts, a program or a proxy.

A jump host is entered once and shared by all endpoints of its client whose way it is on; each
endpoint has a channel of its own through it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.transports.protocol import Deadlines, Failure
from outagekit.transports.sockets import dial
from outagekit.transports.ssh.ways.asker import Asker, Line
from outagekit.transports.ssh.ways.bridge import bridged
from outagekit.transports.ssh.ways.proxy import Proxy
from outagekit.transports.ssh.ways.route import Route, Server
from outagekit.transports.ssh.ways.shared import SharedHop
from outagekit.transports.trust.store import filed_under
from outagekit.transports.winrm.proxy import HttpProxy, tunnel

if TYPE_CHECKING:
    from outagekit.transports.ssh.ways.hop import Hop

_MARGIN_S: Final = 5.0
"""How much longer than its phases entering a jump host may take, secrets among them."""
_MOST_UNANSWERED: Final = 128
"""How many connections a jump host may be trying to make for us, before knocks use another way."""
_CLOSE_S: Final = 0.8
_SLICE_S: Final = 0.2
"""How often one who waits looks whether it still wants to."""
_GREETING: Final = b"SSH-"


@dataclass(frozen=True, slots=True)
class _Way:
    """The jump hosts of a client in their order; equal ways share their connections."""

    client: str
    command: str
    hops: tuple[Server, ...]
    aside: bool = False
    """Only knocks go along it."""

    @classmethod
    def of(cls, route: Route, asker: Asker) -> _Way:
        """Return the way of a route."""
        return cls(asker.client, route.command, route.hops)

    @property
    def nearer(self) -> _Way:
        """The way to its last jump host."""
        return replace(self, hops=self.hops[:-1], aside=False)


class Lines:
    """Connects along routes; one for all connections of a process."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._shared: dict[_Way, SharedHop] = {}
        self._proxies: WeakSet[Proxy] = WeakSet()
        self._closed = threading.Event()

    def connect(self, route: Route, asker: Asker) -> Line | Failure:
        """Return a line to the end of a route, or why there is none.

        Bounded by the deadlines of the servers on the way; nothing was sent to the endpoint. Of a
        jump host that cannot be had the failure is the jump host's own.
        """
        if route.command and not route.hops:
            return self._started(route.command)
        return self._to(route, route.end.port, asker, asker.deadlines_for(route.end))

    def reach(
        self, route: Route, port: int, asker: Asker, timeout_s: float
    ) -> socket.socket | Failure:
        """Return a socket to another port of the machine at the end of a route.

        A program that leads to one port leads to no other: `protocol`.
        """
        if route.command and not route.hops:
            detail = (
                f"port {port} of {route.end.address} cannot be seen from here: its SSH server is"
                " reached through a ProxyCommand, which leads to no other port"
            )
            return Failure(FailureKind.PROTOCOL, detail)
        deadlines = Deadlines(resolve_s=timeout_s, connect_s=timeout_s)
        line = self._to(route, port, asker, deadlines)
        return line if isinstance(line, Failure) else line.stream

    def knock(self, route: Route, asker: Asker, timeout_s: float) -> bool:
        """Return whether the server at the end of a route takes a connection; nothing is sent.

        Where its jump host is not to be had in that time, it does not. A program's connection
        is seen by the server's greeting; a proxy is believed that it has connected.
        """
        if route.command and not route.hops:
            line = self._started(route.command)
            return not isinstance(line, Failure) and _is_greeted(line.stream, timeout_s)
        end = route.end
        if not route.hops:
            deadlines = Deadlines(resolve_s=timeout_s, connect_s=timeout_s)
            line = self._to(route, end.port, asker, deadlines)
            if not isinstance(line, Failure):
                line.stream.close()
            return not isinstance(line, Failure)
        hop = self._knocker(_Way.of(route, asker), asker, timeout_s)
        return not isinstance(hop, Failure) and hop.knock(end.address, end.port, timeout_s)

    def close(self) -> None:
        """End all jump hosts and programs; returns within a second. What comes later opens anew."""
        with self._guard:
            ends = [each.close for each in self._proxies]
            ends += [each.close for each in self._shared.values()]
            closed, self._closed = self._closed, threading.Event()
        closed.set()
        threads = [threading.Thread(target=end, daemon=True) for end in ends]
        until_s = time.monotonic() + _CLOSE_S
        with contextlib.suppress(RuntimeError):  # no thread to be had: the process ends soon
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0.0, until_s - time.monotonic()))

    def _to(self, route: Route, port: int, asker: Asker, deadlines: Deadlines) -> Line | Failure:
        if route.hops:
            way = _Way.of(route, asker)
            return self._through(way, (route.end.address, port), asker, deadlines.connect_s)
        if route.proxy is not None:
            return _through_proxy(route.proxy, (route.end.address, port), asker, deadlines)
        made = dial(route.end.address, port, deadlines=deadlines, stop=asker.stop)
        return made if isinstance(made, Failure) else Line(made)

    def _through(
        self, way: _Way, place: tuple[str, int], asker: Asker, connect_s: float
    ) -> Line | Failure:
        """Return a line to a place as the last jump host of a way reaches it."""
        kept = True
        while True:
            hop = self._hop(way, asker, _patience_s(asker.deadlines, len(way.hops)))
            if isinstance(hop, Failure):
                return hop
            made = _unless_stopped(partial(hop.connect, *place, connect_s), asker.stop, hop.name)
            if not isinstance(made, Failure):
                return Line(made, hop.secrets)
            if made.kind is not FailureKind.LOST or not kept or asker.stop.is_set():
                return made
            kept = False  # it may have died unseen while nobody used it; that is worth one more

    def _hop(self, way: _Way, asker: Asker, timeout_s: float) -> Hop | Failure:
        *before, server = way.hops
        with self._guard:
            shared = self._shared.setdefault(way, SharedHop(f"the jump host {server.place}"))
            # Who asks first opens it for all: the attempt does not end with its asker.
            opener = replace(asker, stop=self._closed)
        if (hop := shared.hop) is not None:
            return hop
        until_s = time.monotonic() + timeout_s
        if before:  # of what fails there this one knows nothing
            nearer = self._hop(way.nearer, asker, timeout_s)
            if isinstance(nearer, Failure):
                return nearer
        try:
            known = asker.trust.known_keys(*filed_under(asker.client, server))
        except OutagekitError as fault:
            return Failure(FailureKind.LOCAL_IO, fault.message)
        return shared.get(lambda: self._entered(way, opener), known, asker.stop, until_s)

    def _knocker(self, way: _Way, asker: Asker, timeout_s: float) -> Hop | Failure:
        """Return the last jump host of a way over a connection that is free enough to knock.

        A machine that is off may be without any answer: the jump host tries it on for minutes, and
        only the end of our connection makes it stop.
        """
        hop = self._hop(way, asker, timeout_s)
        if isinstance(hop, Failure) or hop.session.unanswered < _MOST_UNANSWERED:
            return hop
        aside = replace(way, aside=True)
        hop = self._hop(aside, asker, timeout_s)
        if isinstance(hop, Failure) or hop.session.unanswered < _MOST_UNANSWERED:
            return hop
        hop.session.cut()
        return self._hop(aside, asker, timeout_s)

    def _entered(self, way: _Way, asker: Asker) -> Hop | Failure:
        from outagekit.transports.ssh.ways.hop import enter  # noqa: PLC0415  (loads paramiko)

        *before, server = way.hops
        line: Line | Failure
        deadlines = asker.deadlines_for(server)
        if before:
            place = (server.address, server.port)
            line = self._through(way.nearer, place, asker, deadlines.connect_s)
        elif way.command:
            line = self._started(way.command)
        else:
            line = self._to(Route(server), server.port, asker, deadlines)
            if isinstance(line, Failure):
                detail = f"the jump host {server.place} cannot be reached: {line.detail}"
                return replace(line, detail=detail)
        return line if isinstance(line, Failure) else enter(line, server, asker)

    def _started(self, command: str) -> Line | Failure:
        try:
            proxy = Proxy(command)
            stream = bridged(proxy)
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or "it is no command line"
            detail = f"the ProxyCommand cannot be started: {reason}"
            return Failure(FailureKind.LOCAL_IO, detail)
        with self._guard:
            self._proxies.add(proxy)
        return Line(stream, explained=proxy.explained)


def connecting_s(route: Route, deadlines: Deadlines) -> float:
    """Return how long `Lines.connect` may take for a route, by the deadlines alone."""
    connect_s = deadlines.connect_s if route.end.connect_s is None else route.end.connect_s
    if not route.hops:
        to_proxy_s = 0.0 if route.proxy is None else deadlines.connect_s
        return 0.0 if route.command else deadlines.resolve_s + to_proxy_s + connect_s
    # Twice: the connection to the jump host may turn out to be dead.
    return 2 * (_patience_s(deadlines, len(route.hops)) + connect_s + _MARGIN_S)


def _through_proxy(
    proxy: HttpProxy, place: tuple[str, int], asker: Asker, deadlines: Deadlines
) -> Line | Failure:
    made = dial(proxy.address, proxy.port, deadlines=deadlines, stop=asker.stop)
    if isinstance(made, Failure):
        return replace(made, detail=f"{proxy} cannot be reached: {made.detail}")
    failure = tunnel(made, proxy, place, timeout_s=deadlines.connect_s, stop=asker.stop)
    return Line(made) if failure is None else failure


def _patience_s(deadlines: Deadlines, hops: int) -> float:
    one_s = deadlines.resolve_s + deadlines.connect_s + deadlines.handshake_s + deadlines.auth_s
    return hops * one_s + _MARGIN_S


def _is_greeted(stream: socket.socket, timeout_s: float) -> bool:
    until_s = time.monotonic() + timeout_s
    heard = b""
    with stream, contextlib.suppress(OSError):
        while len(heard) < len(_GREETING):
            stream.settimeout(max(0.01, until_s - time.monotonic()))
            piece = stream.recv(len(_GREETING) - len(heard))
            if not piece:
                break
            heard += piece
    return heard == _GREETING


def _unless_stopped(
    connect: Callable[[], socket.socket | Failure], stop: threading.Event, name: str
) -> socket.socket | Failure:
    """Return what a call gives that knows no `stop`; set, it is left behind and closes its own."""
    guard, ready = threading.Lock(), threading.Event()
    made: list[socket.socket | Failure] = []
    left = False

    def work() -> None:
        found = connect()
        with guard:
            if not left:
                made.append(found)
            elif not isinstance(found, Failure):
                found.close()
        ready.set()

    try:
        threading.Thread(target=work, daemon=True, name="outagekit-through").start()
    except RuntimeError:
        return Failure(FailureKind.LOCAL_IO, f"no thread can be started to go through {name}")
    while not ready.wait(_SLICE_S):
        with guard:
            if stop.is_set() and not made:
                left = True
                return Failure(FailureKind.LOST, f"the connection through {name} was aborted")
    return made[0]
