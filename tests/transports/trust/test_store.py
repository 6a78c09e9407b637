"""The trust folder: private, atomic, shared by threads and processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.errors import InvalidInput, LogUnwritable, OutagekitError
from outagekit.events import TrustAdded, TrustPinned, TrustRemoved, TrustReplaced
from outagekit.transports.protocol import Failure
from outagekit.transports.trust.known_hosts import HostKey, format_line
from outagekit.transports.trust.scan import scan_key
from outagekit.transports.trust.store import Belief, TrustStore

if TYPE_CHECKING:
    from conftest import Bench


@pytest.fixture
def keys(bench: Bench, tmp_path: Path) -> list[HostKey]:
    return [bench.public(bench.key(tmp_path / f"key{n}")) for n in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> TrustStore:
    return TrustStore(tmp_path / "trust")


def test_keys_are_added_listed_and_known_per_client(store: TrustStore, keys: list[HostKey]) -> None:
    assert store.known_keys("acme", "10.1.4.11", 22) == ()
    assert store.add("acme", "10.1.4.11", 22, keys[0])
    assert store.add("acme", "10.1.4.11", 22, keys[1])
    assert not store.add("acme", "10.1.4.11", 22, keys[1])
    assert store.known_keys("acme", "10.1.4.11", 22) == (keys[0], keys[1])
    assert store.known_keys("other", "10.1.4.11", 22) == ()
    assert store.known_keys("acme", "10.1.4.11", 2222) == ()
    assert [entry.names for entry in store.entries("acme")] == [("10.1.4.11",)] * 2


def test_replacing_tells_what_was_trusted_before(store: TrustStore, keys: list[HostKey]) -> None:
    store.add("acme", "a.example", 22, keys[0])
    store.add("acme", "b.example", 22, keys[0])
    assert store.replace("acme", "a.example", 22, keys[2]) == (keys[0],)
    assert store.known_keys("acme", "a.example", 22) == (keys[2],)
    assert store.known_keys("acme", "b.example", 22) == (keys[0],)


def belief(name: str, *keys: HostKey) -> Belief:
    return Belief(server=f"acme/{name}", name=name, keys=keys, endpoint_name=name)


class Recorder:
    """Keeps what it is told, or refuses it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.acts: list[object] = []
        self.seen: list[bytes] = []
        self.refuse: Exception | None = None

    def __call__(self, client: str, acts: Sequence[object]) -> None:
        assert client == "acme"
        self.seen.append(self.file.read_bytes() if self.file.exists() else b"")
        if self.refuse:
            raise self.refuse
        self.acts += acts


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path / "trust" / "acme" / "known_hosts")


@pytest.fixture
def recorded(tmp_path: Path, recorder: Recorder) -> TrustStore:
    return TrustStore(tmp_path / "trust", record=recorder)


def test_every_act_is_recorded_before_the_file_changes(
    recorded: TrustStore, recorder: Recorder, keys: list[HostKey]
) -> None:
    new, old, other = map(str, (keys[1], keys[0], keys[2]))
    recorded.add_all("acme", [belief("a", keys[0]), belief("b", keys[2])], source="/tmp/hosts")
    assert recorder.seen == [b""]
    recorded.pin_machine("acme", "a", "id-1")
    recorded.replace_all("acme", [belief("a", keys[1])], because="set up anew")
    recorded.remove_all("acme", [belief("b")], because="gone")
    assert recorder.acts == [
        TrustAdded(server="acme/a", name="a", key=old, source="/tmp/hosts"),
        TrustAdded(server="acme/b", name="b", key=other, source="/tmp/hosts"),
        TrustPinned(endpoint="acme/a", machine_id="id-1"),
        TrustReplaced(
            server="acme/a",
            name="a",
            old=(old,),
            new=(new,),
            because="set up anew",
            machine_id="id-1",
        ),
        TrustRemoved(server="acme/b", name="b", old=(other,), because="gone"),
    ]
    assert recorded.known_keys("acme", "a", 22) == (keys[1],)
    assert recorded.known_keys("acme", "b", 22) == ()
    assert recorded.machine_of("acme", "a") == ""


def test_what_is_known_already_is_no_act(
    recorded: TrustStore, recorder: Recorder, keys: list[HostKey]
) -> None:
    recorded.add("acme", "a", 22, keys[0])
    recorded.pin_machine("acme", "a", "id-1")
    before = list(recorder.acts)
    assert recorded.add_all("acme", [belief("a", keys[0])]) == ()
    recorded.pin_machine("acme", "a", "id-2")
    assert recorder.acts == before


def test_what_cannot_be_recorded_is_not_done(
    recorded: TrustStore, recorder: Recorder, keys: list[HostKey]
) -> None:
    recorded.add("acme", "a", 22, keys[0])
    recorded.pin_machine("acme", "a", "id-1")
    folder = recorded.folder / "acme"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    recorder.refuse = LogUnwritable("the disk is full")
    acts = (
        lambda: recorded.add("acme", "b", 22, keys[1]),
        lambda: recorded.replace_all("acme", [belief("a", keys[1])], because="x"),
        lambda: recorded.remove_all("acme", [belief("a")], because="x"),
        lambda: recorded.pin_machine("acme", "b", "id-2"),
    )
    for act in acts:
        with pytest.raises(LogUnwritable):
            act()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_what_was_recorded_and_could_not_be_done_is_said(
    recorded: TrustStore, recorder: Recorder, keys: list[HostKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "broken")))
        with pytest.raises(InvalidInput, match="broken"):
            recorded.add("acme", "a", 22, keys[0])
    assert [type(act).__name__ for act in recorder.acts] == ["TrustAdded", "Note"]
    assert [path.name for path in (recorded.folder / "acme").iterdir()] == [".lock"]


def test_what_a_killed_process_had_staged_is_taken_away_by_the_next_act(
    store: TrustStore, keys: list[HostKey]
) -> None:
    store.add("acme", "a", 22, keys[0])
    folder = store.folder / "acme"
    for name in (".known_hosts.0123456789ab", ".machines.json.ba9876543210"):
        (folder / name).write_text("half")
    (folder / ".known_hosts.mine").write_text("kept")
    store.pin_machine("acme", "a", "id-1")
    left = {path.name for path in folder.iterdir()}
    assert left == {".known_hosts.mine", ".lock", "known_hosts", "machines.json"}


def test_a_key_known_by_a_pattern_is_not_silently_kept(
    store: TrustStore, keys: list[HostKey]
) -> None:
    file = store.folder / "acme" / "known_hosts"
    file.parent.mkdir(parents=True)
    file.write_text(format_line("*.example", keys[0]) + "\n")
    for act in (store.replace_all, store.remove_all):
        with pytest.raises(InvalidInput, match="by a pattern"):
            act("acme", [belief("a.example", keys[1])], because="x")
    assert store.known_keys("acme", "a.example", 22) == (keys[0],)


def test_a_key_that_any_file_revokes_is_not_trusted(tmp_path: Path, keys: list[HostKey]) -> None:
    own = tmp_path / "known_hosts"
    own.write_text(f"@revoked * {keys[0].type} {keys[0].base64}\n{format_line('a', keys[1])}\n")
    store = TrustStore(tmp_path / "trust", extra={"adhoc": (own,)})
    store.add("adhoc", "a", 22, keys[0])
    store.add("acme", "a", 22, keys[0])
    assert store.known_keys("adhoc", "a", 22) == (keys[1],)
    assert store.revoked_keys("adhoc", "a", 22) == {keys[0]}
    assert store.known_keys("acme", "a", 22) == (keys[0],)


def test_a_thousand_keys_are_one_replacement_and_one_act(
    recorded: TrustStore, recorder: Recorder, keys: list[HostKey]
) -> None:
    added = recorded.add_all("acme", [belief(f"h{n}", keys[0]) for n in range(1000)])
    assert (len(added), len(recorder.seen), len(recorder.acts)) == (1000, 1, 1000)


AS_NOBODY = """
import os, sys
from pathlib import Path
from outagekit.errors import InvalidInput
from outagekit.transports.trust.known_hosts import HostKey
from outagekit.transports.trust.store import TrustStore

os.setuid(65534)
try:
    TrustStore(Path(sys.argv[1])).add("acme", "b.example", 22, HostKey(*sys.argv[2:4]))
except InvalidInput as fault:
    sys.exit(0 if "known_hosts" in fault.message else 3)
sys.exit(4)
"""


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs to become somebody else")
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_folder_of_somebody_else_is_named_and_left_as_it_is(
    store: TrustStore, keys: list[HostKey], mode: int
) -> None:
    store.add("acme", "a.example", 22, keys[0])
    store.folder.chmod(mode)
    before = (store.folder / "acme" / "known_hosts").read_bytes()
    words = (str(store.folder), keys[1].type, keys[1].base64)
    ran = subprocess.run([sys.executable, "-c", AS_NOBODY, *words], check=False, timeout=30)
    assert ran.returncode == 0
    assert (store.folder / "acme" / "known_hosts").read_bytes() == before


def test_files_are_private(store: TrustStore, keys: list[HostKey]) -> None:
    store.add("acme", "a.example", 22, keys[0])
    store.pin_machine("acme", "web-01", "id-1")
    folder = store.folder / "acme"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("known_hosts", "machines.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert sorted(p.name for p in folder.iterdir()) == [".lock", "known_hosts", "machines.json"]


def test_what_another_process_wrote_is_seen(store: TrustStore, keys: list[HostKey]) -> None:
    other = TrustStore(store.folder)
    store.known_keys("acme", "a.example", 22)
    other.add("acme", "a.example", 22, keys[0])
    assert store.known_keys("acme", "a.example", 22) == (keys[0],)
    other.pin_machine("acme", "web-01", "id-1")
    assert store.machine_of("acme", "web-01") == "id-1"


def test_a_file_is_parsed_once(store: TrustStore, keys: list[HostKey]) -> None:
    store.add("acme", "a.example", 22, keys[0])
    store.known_keys("acme", "a.example", 22)
    parsed = store._parsed[store.folder / "acme" / "known_hosts"]
    store.known_keys("acme", "a.example", 22)
    assert store._parsed[store.folder / "acme" / "known_hosts"] is parsed


def test_extra_files_vouch_for_their_client_only_and_are_not_written(
    tmp_path: Path, keys: list[HostKey]
) -> None:
    extra = tmp_path / "known_hosts"
    extra.write_text(format_line("a.example", keys[0]) + "\n")
    store = TrustStore(tmp_path / "trust", extra={"adhoc": (extra, tmp_path / "missing")})
    assert store.known_keys("adhoc", "a.example", 22) == (keys[0],)
    assert store.known_keys("acme", "a.example", 22) == ()
    store.add("adhoc", "a.example", 22, keys[1])
    assert store.known_keys("adhoc", "a.example", 22) == (keys[1], keys[0])
    assert extra.read_text() == format_line("a.example", keys[0]) + "\n"


def test_a_pin_stays_until_it_is_forgotten(store: TrustStore) -> None:
    assert store.machine_of("acme", "web-01") == ""
    assert store.pin_machine("acme", "web-01", "id-1") == "id-1"
    assert store.pin_machine("acme", "web-01", "id-2") == "id-1"
    web = Belief(server="acme/web-01", name="web-01.example", endpoint_name="web-01")
    assert store.remove_all("acme", [web], because="rebuilt")[0].machine_id == "id-1"
    assert store.remove_all("acme", [web], because="rebuilt")[0].machine_id == ""
    assert store.pin_machine("acme", "web-01", "id-2") == "id-2"


def test_many_threads_pin_without_losing_one(store: TrustStore) -> None:
    barrier = threading.Barrier(32)
    answers: list[str] = []

    def pin(number: int) -> None:
        barrier.wait()
        answers.append(store.pin_machine("acme", f"web-{number // 2}", f"id-{number}"))

    threads = [threading.Thread(target=pin, args=(n,)) for n in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 32
    fresh = TrustStore(store.folder)
    pinned = {fresh.machine_of("acme", f"web-{n}") for n in range(16)}
    assert pinned == set(answers)


def test_two_processes_lose_nothing(store: TrustStore, keys: list[HostKey]) -> None:
    program = (
        "import sys; from pathlib import Path;"
        "from outagekit.transports.trust.store import TrustStore;"
        "from outagekit.transports.trust.known_hosts import HostKey;"
        "store = TrustStore(Path(sys.argv[1])); key = HostKey(*sys.argv[3:5]);"
        "[(store.add('acme', f'h{sys.argv[2]}-{n}', 22, key),"
        " store.pin_machine('acme', f'h{sys.argv[2]}-{n}', 'x')) for n in range(20)]"
    )
    parts = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                program,
                store.folder,
                str(n),
                keys[0].type,
                keys[0].base64,
            ]
        )
        for n in range(2)
    ]
    assert [part.wait(30) for part in parts] == [0, 0]
    assert len(store.entries("acme")) == 40
    assert all(store.machine_of("acme", f"h{p}-{n}") for p in range(2) for n in range(20))


def test_a_folder_cannot_be_left(store: TrustStore, keys: list[HostKey]) -> None:
    for client in ("../x", "", ".", "a/b", "a\\b", "-x"):
        with pytest.raises(OutagekitError):
            store.add(client, "a.example", 22, keys[0])


def test_a_damaged_file_is_named_and_not_overwritten(store: TrustStore) -> None:
    store.pin_machine("acme", "web-01", "id-1")
    file = store.folder / "acme" / "machines.json"
    for damage in (b"{", b'{"a": 1}', b"\xff", b"[" * 100_000):
        file.write_bytes(damage)
        with pytest.raises(InvalidInput, match=r"machines\.json"):
            store.pin_machine("acme", "web-02", "id-2")
        assert file.read_bytes() == damage


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, keys: list[HostKey]) -> None:
    (tmp_path / "trust").write_text("a file")
    with pytest.raises(InvalidInput, match="trust"):
        TrustStore(tmp_path / "trust").add("acme", "a.example", 22, keys[0])


def test_a_write_that_fails_leaves_the_old_file(
    store: TrustStore, keys: list[HostKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add("acme", "a.example", 22, keys[0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
        with pytest.raises(InvalidInput, match="disk full"):
            store.add("acme", "b.example", 22, keys[1])
    assert store.known_keys("acme", "a.example", 22) == (keys[0],)
    names = sorted(p.name for p in (store.folder / "acme").iterdir())
    assert names == [".lock", "known_hosts"]


def test_scanning_a_closed_port_is_a_failure(bench: Bench) -> None:
    result = scan_key("127.0.0.1", 1, bench.quick)
    assert isinstance(result, Failure)
