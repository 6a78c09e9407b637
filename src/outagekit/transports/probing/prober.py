"""Watching ports of endpoints that do not answer, until they do: connections only, no login.

One thread for all of them. A connection that is taken is closed at once, without a byte. Names are
looked up, and those behind a jump host knocked at, elsewhere. It decides nothing about an endpoint
but that its port took a connection.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import random
import selectors
import socket
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.events import EndpointId
from outagekit.transports.probing.knocks import Knocks
from outagekit.transports.probing.lookups import Lookups
from outagekit.transports.probing.watched import Site, Straight, Watched
from outagekit.transports.protocol import Target, Ways
from outagekit.transports.sockets import PENDING, Place

_OFTEN_S: Final = 2.0
_OFTEN_FOR_S: Final = 60.0
_SELDOM_S: Final = 15.0
_GROWS_BY: Final = 1 / 60
_FEW_S: Final = 2.5
"""Longest interval, before it is jittered, while few wait."""
_PER_S: Final = 80
"""About how many probes are begun in a second when many wait."""
_JITTER: Final = 0.2
_KNOWN_FOR_S: Final = 60.0
"""How long the addresses of a name are taken for known."""


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """How much is probed at once."""

    at_once: int = 64
    per_site: int = 16
    """For a named site; endpoints without one need not stand in one place."""
    connect_s: float = 3.0
    crowded_s: float = 1.0
    """How long a probe keeps its place while another one waits for one."""


def interval_s(age_s: float, watched: int) -> float:
    """Return the seconds from one probe of an endpoint to the next, before they are jittered.

    2 s in the first minute, growing slowly. At most 2.5 s while 200 or fewer are watched, so that
    one that is up for a few seconds is noticed; at most 15 s at all.
    """
    grown_s = _OFTEN_S + max(0.0, age_s - _OFTEN_FOR_S) * _GROWS_BY
    bound_s = max(_FEW_S, watched / _PER_S)
    least_s = max(_OFTEN_S, watched / (_PER_S * 1.25))
    return min(max(min(grown_s, bound_s), least_s), _SELDOM_S)


_Told = list[Place] | bool | None
"""What a name stands for, or what came of a knock; None: watch it from now on."""


class Prober:
    """Tells of each watched endpoint once when its port takes a connection, then forgets it."""

    def __init__(
        self,
        on_answer: Callable[[EndpointId], None],
        limits: ProbeLimits | None = None,
        ways: Ways | None = None,
    ) -> None:
        """`on_answer` is called in the probing thread and must not block."""
        self._on_answer = on_answer
        self._ways = ways or Straight()
        self._limits = limits or ProbeLimits()
        self._guard = threading.Lock()
        self._watched: dict[EndpointId, Watched] = {}
        self._news: queue.SimpleQueue[tuple[Watched, _Told]] = queue.SimpleQueue()
        self._bell: socket.socket | None = None
        self._closed = False

    @property
    def watching(self) -> int:
        """How many endpoints are watched."""
        return len(self._watched)

    def watch(self, target: Target, after_s: float) -> None:
        """Probe an endpoint from so many seconds on; nothing after `close`."""
        place = None
        with contextlib.suppress(OutagekitError):  # a way that cannot be worked out leads nowhere
            place = self._ways.place(target)
        watched = Watched.of(target, place, time.monotonic() + after_s)
        with self._guard:
            if self._closed:
                return
            self._watched[watched.endpoint] = watched
            if self._bell is None:
                # Without a file or thread to be had nothing is probed, until the next one.
                with contextlib.suppress(OSError, RuntimeError):
                    self._bell = self._start()
        self.tell(watched)

    def unwatch(self, endpoint: EndpointId) -> None:
        """Probe an endpoint no more."""
        with self._guard:
            self._watched.pop(endpoint, None)

    def close(self) -> None:
        """Stop all probing; returns at once."""
        with self._guard:
            self._closed = True
            self._watched.clear()
        self._ring()

    def _start(self) -> socket.socket:
        ear, bell = socket.socketpair()
        ear.settimeout(0.0)
        bell.settimeout(0.0)
        work = _Probing(self, self._limits, (ear, bell)).run
        threading.Thread(target=work, daemon=True, name="outagekit-probe").start()
        return bell

    def _ring(self) -> None:
        bell = self._bell
        if bell is not None:
            with contextlib.suppress(OSError):  # full: it rings already
                bell.send(b"\0")

    # The rest is for the probing thread and its lookups.

    def tell(self, watched: Watched, told: _Told = None) -> None:
        """Have the probing thread know something of an endpoint."""
        self._news.put((watched, told))
        self._ring()

    def knock(self, target: Target, timeout_s: float) -> bool:
        """Return whether an endpoint takes a connection."""
        return self._ways.knock(target, timeout_s)

    def news(self) -> Iterator[tuple[Watched, _Told]]:
        """Yield what the probing thread was told and does not know yet."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._news.get_nowait()

    @property
    def closed(self) -> bool:
        """Whether the probing thread has to end."""
        return self._closed

    def wants(self, watched: Watched) -> bool:
        """Return whether it is still this that is watched."""
        return self._watched.get(watched.endpoint) is watched

    def answered(self, watched: Watched) -> None:
        """Tell of an endpoint that answers, unless it is watched no more."""
        with self._guard:
            wanted = self.wants(watched)
            if wanted:
                del self._watched[watched.endpoint]
        if wanted:
            self._on_answer(watched.endpoint)


class _Probing:
    """The thread that probes."""

    def __init__(
        self, prober: Prober, limits: ProbeLimits, ends: tuple[socket.socket, socket.socket]
    ) -> None:
        """Woken at the first of the ends; closes both when it is done."""
        self._prober = prober
        self._limits = limits
        self._ear, self._bell = ends
        self._lookups: Lookups[Watched] = Lookups(prober.tell)
        self._knocks: Knocks[Watched] = Knocks(self._knock, prober.tell)
        self._random = random.Random()  # noqa: S311  (spreads probes, keeps no secret)
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Watched]] = []
        self._ready: OrderedDict[Site, deque[Watched]] = OrderedDict()
        self._probing: dict[Watched, socket.socket] = {}
        """Those that began to connect first come first."""
        self._knocking: set[Watched] = set()
        self._at_site: Counter[Site] = Counter()
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Probe until the prober is closed."""
        self._selector.register(self._ear, selectors.EVENT_READ)
        while not self._prober.closed:
            now_s = time.monotonic()
            self._hear(now_s)
            self._give_up(now_s)
            self._make_ready(now_s)
            self._begin(now_s)
            for key, _ in self._selector.select(self._pause_s()):
                if key.data is not None:
                    self._conclude(key.data)
        self._lookups.close()
        self._knocks.close()
        for sock in (*self._probing.values(), self._ear, self._bell):
            sock.close()
        self._selector.close()

    def _hear(self, now_s: float) -> None:
        with contextlib.suppress(OSError):  # nobody rang
            while self._ear.recv(4096):
                pass
        for watched, news in self._prober.news():
            if news is None:
                self._set_due(watched, watched.since_s)
            elif isinstance(news, bool):
                self._hear_knock(watched, now_s, answers=news)
            elif news:
                watched.places = news
                watched.known_until_s = now_s + _KNOWN_FOR_S
                if watched.due_s is not None:
                    self._set_due(watched, max(now_s, watched.since_s))

    def _hear_knock(self, watched: Watched, now_s: float, *, answers: bool) -> None:
        self._knocking.discard(watched)
        self._at_site[watched.site] -= 1
        if answers:
            self._prober.answered(watched)
        elif self._prober.wants(watched):
            self._put_off(watched, now_s)

    def _knock(self, watched: Watched) -> bool:
        wanted = self._prober.wants(watched)
        return wanted and self._prober.knock(watched.target, self._patience_s())

    def _set_due(self, watched: Watched, due_s: float) -> None:
        watched.due_s = due_s
        heapq.heappush(self._due, (due_s, next(self._numbers), watched))

    def _put_off(self, watched: Watched, now_s: float) -> None:
        every_s = interval_s(now_s - watched.since_s, self._prober.watching)
        every_s *= self._random.uniform(1 - _JITTER, 1 + _JITTER)
        self._set_due(watched, max(now_s, watched.began_s + every_s))

    def _make_ready(self, now_s: float) -> None:
        while self._due and self._due[0][0] <= now_s:
            due_s, _, watched = heapq.heappop(self._due)
            if watched.due_s != due_s or not self._prober.wants(watched):
                continue
            if watched.place is not None and now_s >= watched.known_until_s:
                self._lookups.ask(watched, *watched.place)
            if watched.places or watched.place is None:
                watched.due_s = None
                self._ready.setdefault(watched.site, deque()).append(watched)
            else:
                watched.began_s = now_s
                self._put_off(watched, now_s)

    def _begin(self, now_s: float) -> None:
        """Begin probes while there is room, one from each site at a time."""
        while sites := [site for site in self._ready if self._has_room(site)]:
            for site in sites:
                if not self._has_room(site):
                    break
                line = self._ready[site]
                watched = line.popleft()
                if line:
                    self._ready.move_to_end(site)
                else:
                    del self._ready[site]
                if self._prober.wants(watched):
                    watched.began_s = now_s
                    watched.left = len(watched.places)
                    self._try(watched)

    def _has_room(self, site: Site) -> bool:
        of_site = self._limits.at_once if site[1] is None else self._limits.per_site
        probing = len(self._probing) + len(self._knocking)
        return probing < self._limits.at_once and self._at_site[site] < of_site

    def _try(self, watched: Watched) -> None:
        if watched.place is not None:
            self._try_next(watched)
            return
        self._knocking.add(watched)
        self._at_site[watched.site] += 1
        self._knocks.ask(watched)

    def _try_next(self, watched: Watched) -> None:
        """Connect to the next of its places; without one left, put it off."""
        while watched.left:
            place = watched.places[watched.turn % len(watched.places)]
            watched.turn += 1
            watched.left -= 1
            sock = _connecting(place)
            if sock is not None:
                watched.connecting_since_s = time.monotonic()
                self._probing[watched] = sock
                self._at_site[watched.site] += 1
                self._selector.register(sock, selectors.EVENT_WRITE, watched)
                return
        self._put_off(watched, time.monotonic())

    def _conclude(self, watched: Watched) -> None:
        sock = self._released(watched)
        with sock:
            answers = _is_connected(sock)
        if answers:
            self._prober.answered(watched)
        elif self._prober.wants(watched):
            self._try_next(watched)

    def _give_up(self, now_s: float) -> None:
        while self._probing:
            watched = next(iter(self._probing))
            if now_s < watched.connecting_since_s + self._patience_s():
                return
            self._released(watched).close()
            self._put_off(watched, now_s)

    def _patience_s(self) -> float:
        return self._limits.crowded_s if self._ready else self._limits.connect_s

    def _released(self, watched: Watched) -> socket.socket:
        sock = self._probing.pop(watched)
        self._selector.unregister(sock)
        self._at_site[watched.site] -= 1
        return sock

    def _pause_s(self) -> float | None:
        ends_s = [self._due[0][0]] if self._due else []
        if self._probing:
            oldest = next(iter(self._probing))
            ends_s.append(oldest.connecting_since_s + self._patience_s())
        return max(0.0, min(ends_s) - time.monotonic()) if ends_s else None


def _connecting(place: Place) -> socket.socket | None:
    """Return a socket that connects, or None if that failed at once."""
    family, address = place
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return None
    try:
        sock.settimeout(0.0)
        code = sock.connect_ex(address)
    except (OSError, OverflowError):
        code = -1
    if code == 0 or code in PENDING:
        return sock
    sock.close()
    return None


def _is_connected(sock: socket.socket) -> bool:
    try:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        # On loopback a closed port may be given to the probe itself, which then meets itself.
        return bool(sock.getpeername() != sock.getsockname())
    except OSError:
        return False
