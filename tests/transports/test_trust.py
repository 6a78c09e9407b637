"""The trust folder: private, atomic, shared by threads and processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.errors import InvalidInput, OutagekitError
from outagekit.transports.known_hosts import HostKey, format_line
from outagekit.transports.protocol import Failure
from outagekit.transports.scan import scan_key
from outagekit.transports.trust import Belief, TrustStore

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
        "from outagekit.transports.trust import TrustStore;"
        "from outagekit.transports.known_hosts import HostKey;"
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
