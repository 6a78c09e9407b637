"""Many host keys and certificates at once: what `trust add` shows before anything is trusted.

Nobody is logged in to but the jump hosts on the way, and those only with a key that is trusted.
"""

from __future__ import annotations

import queue
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from outagekit.events import FailureKind
from outagekit.redaction import Secret
from outagekit.transports.access import Access
from outagekit.transports.protocol import Deadlines, Failure, Target
from outagekit.transports.sockets import dial
from outagekit.transports.ssh.session import greet
from outagekit.transports.ssh.ways.asker import cleaned
from outagekit.transports.ssh.ways.route import Route
from outagekit.transports.trust.certificates import Seen
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import filed_under
from outagekit.transports.winrm.place import place_of
from outagekit.transports.winrm.scan import seen_certificate

Shown = HostKey | Seen | Failure
"""What a server showed: its host key, its certificate, or nothing."""

AT_ONCE: Final = 64
"""Servers that are asked at once: most of the time each is only waited for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A server that is asked who it is: an endpoint, or a jump host on the way to it."""

    target: Target
    route: Route

    @property
    def shows_certificate(self) -> bool:
        """Whether it is known by a TLS certificate, not by a host key."""
        return self.route.scheme == "https"

    @property
    def is_sealed(self) -> bool:
        """Whether it shows neither: its messages are sealed by the login itself."""
        return self.route.scheme == "http"

    @property
    def filed(self) -> tuple[str, str, int]:
        """Client, name and port: what its keys are known by."""
        return filed_under(self.target.endpoint.client, self.route.end)


def ends_of(targets: Sequence[Target], access: Access) -> list[Asked]:
    """Return the endpoints themselves, in order."""
    return [Asked(target, access.routes.route(target)) for target in targets]


def next_jumps(targets: Sequence[Target], access: Access) -> list[Asked]:
    """Return the jump hosts that have to be trusted before one can go on, each once a client.

    Those are the first ones without a trusted key: what stands behind cannot be asked yet. Empty
    once every way is open.
    """
    found: dict[tuple[str, str, int], Asked] = {}
    for asked in ends_of(targets, access):
        for number, jump in enumerate(asked.route.hops):
            filed = filed_under(asked.target.endpoint.client, jump)
            if not access.trust.known_keys(*filed):
                found.setdefault(filed, Asked(asked.target, _way_to(asked.route, number)))
                break
    return list(found.values())


def jumps_of(targets: Sequence[Target], access: Access) -> list[Asked]:
    """Return every jump host on the ways, each once a client, nearest first."""
    found: dict[tuple[str, str, int], Asked] = {}
    for asked in ends_of(targets, access):
        for number, jump in enumerate(asked.route.hops):
            filed = filed_under(asked.target.endpoint.client, jump)
            found.setdefault(filed, Asked(asked.target, _way_to(asked.route, number)))
    return list(found.values())


def _way_to(route: Route, number: int) -> Route:
    """Return the way to a jump host of a way."""
    return Route(end=route.hops[number], hops=route.hops[:number], command=route.command)


def scan_keys(
    asked: Sequence[Asked],
    access: Access,
    *,
    told: Callable[[Shown], None] = lambda _: None,
    at_once: int = AT_ONCE,
) -> list[Shown]:
    """Return what each server shows as host key or certificate, or why it shows none, in order.

    At most `at_once` at a time, and no more of a site than the site allows; each ends by the
    deadlines. `told` is called in this thread for each answer as it comes. If this thread is
    interrupted, nothing goes on behind its back.
    """
    waiting = _Waiting(asked)
    found: queue.SimpleQueue[tuple[int, Shown]] = queue.SimpleQueue()

    def scan() -> None:
        while (number := waiting.take()) is not None:
            found.put((number, _key_of(asked[number], access, waiting.stopped)))
            waiting.give_back(number)

    for _ in range(min(at_once, len(asked))):
        threading.Thread(target=scan, daemon=True, name="outagekit-scan").start()
    answers: dict[int, Shown] = {}
    try:
        while len(answers) < len(asked):
            number, answer = found.get()
            answers[number] = answer
            told(answer)
    finally:
        waiting.stop()
    return [answers[number] for number in range(len(asked))]


class _Waiting:
    """Who is still to be asked; hands out only whose site has room."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        self._asked = asked
        self._left = deque(range(len(asked)))
        self._running: Counter[tuple[str, str]] = Counter()
        self._change = threading.Condition()
        self.stopped = threading.Event()

    def take(self) -> int | None:
        with self._change:
            while self._left and not self.stopped.is_set():
                for number in self._left:
                    if self._has_room(number):
                        self._left.remove(number)
                        self._running[self._site(number)] += 1
                        return number
                self._change.wait()
            return None

    def give_back(self, number: int) -> None:
        with self._change:
            self._running[self._site(number)] -= 1
            self._change.notify_all()

    def stop(self) -> None:
        self.stopped.set()
        with self._change:
            self._change.notify_all()

    def _has_room(self, number: int) -> bool:
        site = self._asked[number].target.site
        if site is None or site.concurrency is None:
            return True
        return self._running[self._site(number)] < site.concurrency

    def _site(self, number: int) -> tuple[str, str]:
        target = self._asked[number].target
        return target.endpoint.client, target.site.name if target.site else ""


def scan_key(address: str, port: int, deadlines: Deadlines | None = None) -> HostKey | Failure:
    """Return the host key a server proves to have, without logging in and without trusting it."""
    limits = deadlines or Deadlines()
    stream = dial(address, port, deadlines=limits)
    if isinstance(stream, Failure):
        return stream
    return _shown_key(stream, f"{address} port {port}", limits)


def _key_of(asked: Asked, access: Access, stop: threading.Event) -> Shown:
    if asked.route.scheme is not None:
        return _certificate_of(asked, access, stop)
    asker = access.asker(asked.target.endpoint, stop)
    line = access.lines.connect(asked.route, asker)
    if isinstance(line, Failure):
        return line
    place, secrets = asked.route.end.place, line.secrets
    key = _shown_key(line.stream, place, access.deadlines, stop, secrets=secrets)
    return cleaned(line.explained(key), secrets) if isinstance(key, Failure) else key


def _certificate_of(asked: Asked, access: Access, stop: threading.Event) -> Seen | Failure:
    if asked.is_sealed:
        detail = f"{asked.route.end.place} speaks http, which has no certificate"
        return Failure(FailureKind.PROTOCOL, detail)
    target, limits = asked.target, access.deadlines
    return seen_certificate(
        lambda: access.winrm_socket(target, stop, limits.connect_s),
        place_of(target.endpoint),
        ca=target.winrm.ca,
        timeout_s=limits.handshake_s,
        stop=stop,
    )


def _shown_key(
    stream: socket.socket,
    where: str,
    deadlines: Deadlines,
    stop: threading.Event | None = None,
    *,
    secrets: tuple[Secret, ...] = (),
) -> HostKey | Failure:
    session = greet(stream, where, deadlines=deadlines, stop=stop, secrets=secrets)
    if isinstance(session, Failure):
        return session
    try:
        return session.server_key
    finally:
        session.hang_up()
