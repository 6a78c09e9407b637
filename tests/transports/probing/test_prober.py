"""Watching ports that are closed, until they open."""

from __future__ import annotations

import contextlib
import errno
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outagekit.events import EndpointId
from outagekit.inventory.model import Endpoint, Site
from outagekit.transports.probing.prober import ProbeLimits, Prober, _is_connected, interval_s
from outagekit.transports.protocol import Target

SYN_SENT = "02"


def target(name: str, address: str, port: int, site: str | None = None, **facts: object) -> Target:
    endpoint = Endpoint(
        client="acme", name=name, address=address, os="linux", port=port, site=site, **facts
    )
    return Target(endpoint=endpoint, site=Site(name=site) if site else None)


class Room:
    """A prober with the endpoints that answered it."""

    def __init__(self, limits: ProbeLimits | None = None, ways: Ways | None = None) -> None:
        self.answers: queue.SimpleQueue[EndpointId] = queue.SimpleQueue()
        self.prober = Prober(self.answers.put, limits, ways)

    def watch(self, name: str, port: int, *, after_s: float = 0.0, **facts: object) -> None:
        address = str(facts.pop("address", "127.0.0.1"))
        self.prober.watch(target(name, address, port, **facts), after_s)

    def next(self, timeout_s: float = 5.0) -> str:
        return self.answers.get(timeout=timeout_s)

    def nothing(self, for_s: float) -> bool:
        with contextlib.suppress(queue.Empty):
            return self.answers.get(timeout=for_s) is None
        return True


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.prober.close()


@pytest.fixture
def rooms() -> Iterator[Callable[..., Room]]:
    made: list[Room] = []

    def make(**limits: float) -> Room:
        made.append(Room(ProbeLimits(**limits)))
        return made[-1]

    yield make
    for each in made:
        each.prober.close()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that answers nothing, as a machine that is off: its backlog is full."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        stack.enter_context(socket.create_connection(listener.getsockname(), 2))
        yield listener.getsockname()[1]


def in_the_making(port: int) -> int:
    """Connections to a loopback port that wait for an answer, as the kernel counts them."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        pytest.skip("counts what Linux counts")
    lines = (line.split() for line in table.read_text().splitlines()[1:])
    return sum(w[2] == f"0100007F:{port:04X}" and w[3] == SYN_SENT for w in lines)


class Server:
    """Counts connections and keeps what they say."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]
        self.heard: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with sock:
                    sock.settimeout(5)
                    self.heard.append(sock.recv(100))

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def start(port: int = 0) -> Server:
        made.append(Server(port))
        return made[-1]

    yield start
    for server in made:
        server.stop()


def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s
        time.sleep(0.005)


def test_few_are_looked_at_every_three_seconds_whatever_their_age() -> None:
    for watched in (1, 20, 199, 200):
        for age_s in (0.0, 59.0, 600.0, 14_400.0):
            assert 2.0 <= interval_s(age_s, watched) <= 3 / 1.2


def test_many_are_looked_at_slowly_and_more_slowly_with_time() -> None:
    for age_s in (0.0, 61.0, 14_400.0):
        for watched in (300, 1000, 10_000):
            every_s = interval_s(age_s, watched)
            assert every_s <= 15
            assert watched / every_s <= 100 or every_s == 15
    ages = [interval_s(minutes * 60.0, 1100) for minutes in range(30)]
    assert ages == sorted(ages)
    assert ages[0] < ages[-1]


def test_a_port_that_opens_is_told_once_and_hears_not_a_byte(
    room: Room, serve: Callable[..., Server], closed_port: int
) -> None:
    room.watch("a", closed_port)
    assert room.nothing(0.1)
    server = serve(closed_port)
    assert room.next(3.5) == "acme/a"
    assert room.prober.watching == 0
    until(lambda: server.heard == [b""])
    assert room.nothing(2.6)
    assert server.heard == [b""]


def test_nothing_is_probed_before_its_time(room: Room, serve: Callable[..., Server]) -> None:
    server = serve()
    room.watch("a", server.port, after_s=0.4)
    assert room.nothing(0.3)
    assert server.heard == []
    assert room.next(1) == "acme/a"


def test_what_is_watched_no_more_is_not_told(
    room: Room, serve: Callable[..., Server], closed_port: int
) -> None:
    room.watch("a", closed_port)
    room.watch("b", closed_port)
    until(lambda: room.prober.watching == 2)
    room.prober.unwatch(EndpointId("acme/a"))
    room.prober.unwatch(EndpointId("acme/nobody"))
    serve(closed_port)
    assert room.next(3.5) == "acme/b"
    assert room.nothing(2.5)


def test_what_is_watched_twice_is_told_once(room: Room, serve: Callable[..., Server]) -> None:
    server = serve()
    room.watch("a", server.port, after_s=0.1)
    room.watch("a", server.port, after_s=0.2)
    assert room.next() == "acme/a"
    assert room.nothing(0.5)
    assert server.heard == [b""]


def test_one_that_answered_can_be_watched_again(room: Room, serve: Callable[..., Server]) -> None:
    server = serve()
    for _ in range(2):
        room.watch("a", server.port)
        assert room.next() == "acme/a"


def test_the_port_is_that_of_the_port_forward(room: Room, serve: Callable[..., Server]) -> None:
    server = serve()
    room.watch("a", 22, ports={22: server.port})
    assert room.next() == "acme/a"


def test_every_address_of_a_name_is_tried(
    room: Room, serve: Callable[..., Server], closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    found = [("127.0.0.2", closed_port), ("127.0.0.1", server.port)]
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    room.watch("a", server.port, address="web.example")
    assert room.next(1) == "acme/a"


def test_an_address_that_drops_everything_does_not_hide_the_next_one(
    rooms: Callable[..., Room],
    serve: Callable[..., Server],
    black_hole: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = serve()
    found = [("127.0.0.1", black_hole), ("127.0.0.1", server.port)]
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in found]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    room = rooms(connect_s=0.2)
    room.watch("a", server.port, address="web.example")
    assert room.next(3.5) == "acme/a"


def test_a_resolver_that_hangs_holds_up_no_address_and_few_threads(
    room: Room, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    resolve, free = socket.getaddrinfo, threading.Event()

    def slow(name: str, *rest: object, **facts: object) -> object:
        if name.endswith(".example"):
            free.wait(20)
            return resolve("127.0.0.1", *rest, **facts)
        return resolve(name, *rest, **facts)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    before = threading.active_count()
    for number in range(50):
        room.watch(f"n{number}", server.port, address=f"web{number}.example")
    room.watch("a", server.port, after_s=0.1)
    assert room.next(1) == "acme/a"
    assert threading.active_count() - before <= 6
    free.set()
    assert len({room.next() for _ in range(50)}) == 50


def test_a_name_that_is_known_later_is_found(
    room: Room, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    resolve, failed = socket.getaddrinfo, threading.Event()

    def flaky(name: str, *rest: object, **facts: object) -> object:
        if not failed.is_set():
            failed.set()
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return resolve("127.0.0.1", *rest, **facts)

    monkeypatch.setattr(socket, "getaddrinfo", flaky)
    room.watch("a", server.port, address="web.example")
    assert room.next(3.5) == "acme/a"


def test_no_site_and_no_machine_sees_too_many_at_once(
    rooms: Callable[..., Room], black_hole: int
) -> None:
    room = rooms(at_once=8, per_site=3, connect_s=0.5, crowded_s=0.1)
    for number in range(20):
        room.watch(f"a{number}", black_hole, site="leeds")
    seen = []
    for _ in range(40):
        seen.append(in_the_making(black_hole))
        time.sleep(0.01)
    assert max(seen) == 3
    for number in range(20):
        room.watch(f"b{number}", black_hole, site="york")
        room.watch(f"c{number}", black_hole)
    seen.clear()
    for _ in range(40):
        seen.append(in_the_making(black_hole))
        time.sleep(0.01)
    assert max(seen) == 8


def test_a_machine_up_for_a_moment_is_noticed_among_many_dead_ones(
    room: Room, serve: Callable[..., Server], closed_port: int, black_hole: int
) -> None:
    for number in range(120):
        room.watch(f"dead{number}", black_hole)
    room.watch("alive", closed_port)
    time.sleep(1.0)
    serve(closed_port)
    assert room.next(4.0) == "acme/alive"


def test_a_thousand_dead_ones_cost_little(room: Room, black_hole: int, closed_port: int) -> None:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("counts what Linux counts")
    before = len(list(folder.iterdir()))
    for number in range(500):
        room.watch(f"silent{number}", black_hole)
        room.watch(f"refusing{number}", closed_port)
    time.sleep(0.5)
    spent_s = time.process_time()
    began_s = time.monotonic()
    open_files = []
    while time.monotonic() < began_s + 2:
        open_files.append(len(list(folder.iterdir())) - before)
        time.sleep(0.2)
    share = (time.process_time() - spent_s) / (time.monotonic() - began_s)
    assert share < 0.1
    assert max(open_files) <= 64 + 6


def test_a_probe_that_meets_itself_is_no_answer() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert not _is_connected(sock)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as sock:
        sock.connect(server.getsockname())
        assert _is_connected(sock)


def test_closing_leaves_no_thread_and_no_socket(
    serve: Callable[..., Server], closed_port: int, black_hole: int
) -> None:
    before = set(threading.enumerate())
    made = Room()
    for number in range(10):
        made.watch(f"a{number}", black_hole)
    until(lambda: in_the_making(black_hole) == 10)
    made.prober.close()
    until(lambda: set(threading.enumerate()) <= before)
    assert in_the_making(black_hole) == 0
    made.watch("b", closed_port)
    assert made.prober.watching == 0
    assert set(threading.enumerate()) <= before


def test_one_that_never_watched_anything_is_closed_without_ado() -> None:
    made = Room()
    made.prober.unwatch(EndpointId("acme/a"))
    made.prober.close()
    made.prober.close()


def test_without_a_file_to_be_had_the_next_one_starts_the_probing(
    room: Room, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more() -> object:
        raise OSError(errno.EMFILE, "too many open files")

    server = serve()
    with monkeypatch.context() as full:
        full.setattr(socket, "socketpair", no_more)
        room.watch("a", server.port)
    room.watch("b", server.port)
    assert {room.next(), room.next()} == {"acme/a", "acme/b"}


class Ways:
    """Ways on which everybody is knocked at, `here` aside."""

    def __init__(self) -> None:
        self.here: dict[str, tuple[str, int]] = {}
        self.up: set[str] = set()
        self.knocks: list[str] = []
        self.at_once: list[int] = []
        self.free = threading.Event()
        self.free.set()
        self._inside = 0
        self._guard = threading.Lock()

    def place(self, target: Target) -> tuple[str, int] | None:
        return self.here.get(target.endpoint.name)

    def begin(self, folder: Path) -> None:
        pass

    def knock(self, target: Target, timeout_s: float) -> bool:
        with self._guard:
            self._inside += 1
            self.at_once.append(self._inside)
            self.knocks.append(target.endpoint.name)
        self.free.wait(timeout_s)
        with self._guard:
            self._inside -= 1
        return target.endpoint.name in self.up

    def close(self) -> None:
        pass


@pytest.fixture
def ways() -> Ways:
    return Ways()


@pytest.fixture
def behind(ways: Ways) -> Iterator[Callable[..., Room]]:
    """Rooms whose endpoints stand behind a jump host."""
    made: list[Room] = []

    def make(**limits: float) -> Room:
        made.append(Room(ProbeLimits(**limits), ways))
        return made[-1]

    yield make
    ways.free.set()
    for each in made:
        each.prober.close()


def test_one_behind_a_jump_host_is_knocked_at_until_it_answers(
    behind: Callable[..., Room], ways: Ways, serve: Callable[..., Server]
) -> None:
    room, server = behind(), serve()
    room.watch("a", server.port, after_s=0.1)
    assert room.nothing(0.4)
    assert ways.knocks == ["a"]
    ways.up.add("a")
    assert room.next(3.5) == "acme/a"
    assert room.prober.watching == 0
    assert ways.knocks == ["a", "a"]
    assert server.heard == []


def test_the_address_of_the_way_is_probed_not_the_inventorys(
    behind: Callable[..., Room], ways: Ways, serve: Callable[..., Server]
) -> None:
    room, server = behind(), serve()
    ways.here["a"] = ("127.0.0.1", server.port)
    room.watch("a", 1, address="no-such-machine.invalid")
    assert room.next() == "acme/a"
    assert ways.knocks == []


def test_a_way_that_hangs_holds_up_no_other_and_no_site_sees_too_many(
    behind: Callable[..., Room], ways: Ways, serve: Callable[..., Server]
) -> None:
    room, server = behind(per_site=3, connect_s=0.3, crowded_s=0.3), serve()
    ways.free.clear()
    for number in range(10):
        room.watch(f"a{number}", 22, site="leeds")
    ways.here["direct"] = ("127.0.0.1", server.port)
    room.watch("direct", 22, after_s=0.1)
    assert room.next(1) == "acme/direct"
    until(lambda: set(ways.knocks) == {f"a{number}" for number in range(10)})
    assert max(ways.at_once) == 3


def test_one_that_is_knocked_at_may_be_watched_no_more(
    behind: Callable[..., Room], ways: Ways
) -> None:
    room = behind()
    ways.free.clear()
    ways.up.add("a")
    room.watch("a", 22)
    until(lambda: ways.knocks == ["a"])
    room.prober.unwatch(EndpointId("acme/a"))
    ways.free.set()
    assert room.nothing(0.2)
    room.watch("a", 22)
    assert room.next() == "acme/a"


def test_closing_leaves_no_thread_that_knocks(behind: Callable[..., Room], ways: Ways) -> None:
    before = set(threading.enumerate())
    room = behind()
    for number in range(20):
        room.watch(f"a{number}", 22)
    until(lambda: len(set(ways.knocks)) == 20)
    room.prober.close()
    until(lambda: set(threading.enumerate()) <= before)


def test_a_windows_endpoint_is_seen_at_its_winrm(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ports = {5986: port}
        endpoint = Endpoint(
            client="acme", name="pos-01", address="127.0.0.1", os="windows", ports=ports
        )
        room.prober.watch(Target(endpoint=endpoint), 0.0)
        assert room.next() == "acme/pos-01"
