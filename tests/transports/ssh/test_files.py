"""Files over a real OpenSSH server's SFTP."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import paramiko
import pytest
from paramiko.sftp_attr import SFTPAttributes

from outagekit.events import FailureKind
from outagekit.transports.protocol import Failure, Limits, Moved, Opened

if TYPE_CHECKING:
    from conftest import Bench, Scripted, ScriptedServer
    from outagekit.transports.ssh.transport import SshTransport

SOON = Limits(run_s=20)
LARGE = os.urandom(3_000_001)


def failed(result: Moved | Failure, kind: FailureKind, *, sent: bool = False) -> str:
    assert isinstance(result, Failure), result
    assert (result.kind, result.sent) == (kind, sent), result
    return result.detail


@pytest.mark.parametrize("content", [b"", b"x", LARGE], ids=["empty", "one byte", "large"])
def test_a_file_is_put_and_fetched_unchanged(
    ready: SshTransport, tmp_path: Path, content: bytes
) -> None:
    place, back = tmp_path / "there", tmp_path / "back"
    wanted = Moved(len(content), hashlib.sha256(content).hexdigest())
    assert ready.put(content, str(place), mode=0o640, limits=SOON) == wanted
    assert place.read_bytes() == content
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert ready.fetch(str(place), back, max_bytes=len(content), limits=SOON) == wanted
    assert back.read_bytes() == content
    assert stat.S_IMODE(back.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.glob("*there*")) == ["there"]


def test_an_existing_file_is_replaced_whole(ready: SshTransport, tmp_path: Path) -> None:
    place = tmp_path / "there"
    place.write_bytes(b"old" * 1000)
    with place.open("rb") as reader:
        assert isinstance(ready.put(b"new", str(place), mode=0o600, limits=SOON), Moved)
        assert reader.read() == b"old" * 1000
    assert place.read_bytes() == b"new"


def test_a_folder_that_is_not_there_is_named(ready: SshTransport, tmp_path: Path) -> None:
    result = ready.put(b"x", str(tmp_path / "no" / "where"), mode=0o600, limits=SOON)
    assert "where: it does not exist" in failed(result, FailureKind.PROTOCOL)


def test_a_folder_is_not_replaced_by_a_file(ready: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    result = ready.put(b"x", str(tmp_path / "there"), mode=0o600, limits=SOON)
    # The rename was asked for; that it was refused is certain all the same.
    failed(result, FailureKind.PROTOCOL)
    assert [p.name for p in tmp_path.iterdir() if "there" in p.name] == ["there"]


def test_a_missing_file_is_named_and_leaves_nothing(ready: SshTransport, tmp_path: Path) -> None:
    back = tmp_path / "back"
    result = ready.fetch(str(tmp_path / "nothing"), back, max_bytes=10, limits=SOON)
    assert "nothing: it does not exist" in failed(result, FailureKind.PROTOCOL)
    assert not back.exists()


def test_only_regular_files_are_fetched(ready: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("link", "symbolic link"), ("folder", "folder"), ("pipe", "pipe")):
        began_s = time.monotonic()
        result = ready.fetch(str(tmp_path / name), tmp_path / "back", max_bytes=10, limits=SOON)
        assert what in failed(result, FailureKind.PROTOCOL)
        assert not (tmp_path / "back").exists()
        assert time.monotonic() - began_s < 5
    failed(
        ready.fetch("/dev/zero", tmp_path / "back", max_bytes=10, limits=SOON),
        FailureKind.PROTOCOL,
    )


def test_a_file_too_large_is_a_size_failure(ready: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"x" * 11)
    result = ready.fetch(str(tmp_path / "there"), tmp_path / "back", max_bytes=10, limits=SOON)
    assert "larger than 10 bytes" in failed(result, FailureKind.SIZE)
    assert not (tmp_path / "back").exists()


def test_a_file_that_does_not_tell_its_size_is_cut_off(ready: SshTransport, tmp_path: Path) -> None:
    back = tmp_path / "back"
    result = ready.fetch("/proc/self/status", back, max_bytes=10, limits=SOON)
    failed(result, FailureKind.SIZE)
    assert not back.exists()
    moved = ready.fetch("/proc/self/status", back, max_bytes=100_000, limits=SOON)
    assert isinstance(moved, Moved)
    assert moved.size_bytes == back.stat().st_size > 0


def test_an_existing_local_file_is_never_overwritten(ready: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"new")
    (tmp_path / "back").write_bytes(b"precious")
    result = ready.fetch(str(tmp_path / "there"), tmp_path / "back", max_bytes=10, limits=SOON)
    failed(result, FailureKind.LOCAL_IO)
    assert (tmp_path / "back").read_bytes() == b"precious"


def test_a_local_link_is_not_followed(ready: SshTransport, tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"new")
    (tmp_path / "back").symlink_to(tmp_path / "elsewhere")
    result = ready.fetch(str(tmp_path / "there"), tmp_path / "back", max_bytes=10, limits=SOON)
    failed(result, FailureKind.LOCAL_IO)
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_local_disk_is_a_local_fault(ready: SshTransport, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs a full device")
    (tmp_path / "there").write_bytes(b"new")
    opened = os.open

    def full(path: object, flags: int, mode: int = 0o777) -> int:
        return opened("/dev/full" if str(path).endswith("back") else path, os.O_WRONLY, mode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", full)
        result = ready.fetch(str(tmp_path / "there"), tmp_path / "back", max_bytes=9, limits=SOON)
    assert "on this machine" in failed(result, FailureKind.LOCAL_IO)


def test_permission_denied_on_the_endpoint(ready: SshTransport, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        result = ready.put(b"x", "/proc/outagekit", mode=0o600, limits=SOON)
    else:
        result = ready.put(b"x", "/outagekit", mode=0o600, limits=SOON)
    failed(result, FailureKind.PROTOCOL)


def test_a_hostile_path_is_a_path(ready: SshTransport, tmp_path: Path) -> None:
    name = "a'; touch oops; $(id) \n\x1b[2J ü"
    assert isinstance(ready.put(b"x", str(tmp_path / name), mode=0o600, limits=SOON), Moved)
    assert (tmp_path / name).read_bytes() == b"x"
    failed(ready.put(b"x", "/tmp/a\0b", mode=0o600, limits=SOON), FailureKind.PROTOCOL)
    result = ready.fetch(f"{tmp_path}/\x1b[2J", tmp_path / "back", max_bytes=1, limits=SOON)
    assert failed(result, FailureKind.PROTOCOL).isprintable()


def test_commands_and_files_share_a_connection(ready: SshTransport, tmp_path: Path) -> None:
    from outagekit.transports.protocol import Command

    for number in range(25):
        assert isinstance(ready.put(b"x", f"{tmp_path}/{number}", mode=0o600, limits=SOON), Moved)
    outcome = ready.execute(Command(f"ls {tmp_path} | wc -l"), SOON)
    assert int(outcome.stdout.text) >= 25


@pytest.fixture
def sftp_server(
    bench: Bench,
    scripted: type[Scripted],
    scripted_server: Callable[..., ScriptedServer],
    user_key: Path,
) -> Callable[..., SshTransport]:
    """Start a scripted server whose SFTP answers are given by an interface class."""

    def start(interface: type[paramiko.SFTPServerInterface] | None) -> SshTransport:
        def prepare(transport: paramiko.Transport) -> None:
            if interface is not None:
                transport.set_subsystem_handler("sftp", paramiko.SFTPServer, interface)

        server = scripted_server(scripted, prepare=prepare)
        bench.trust.add("acme", "127.0.0.1", server.port, server.key)
        transport = bench.transport(
            "127.0.0.1", server.port, credential=bench.login(user_key), deadlines=bench.quick
        )
        assert isinstance(transport.open(), Opened)
        transport.server = server
        return transport

    return start


class Store(paramiko.SFTPServerInterface):
    """Files in memory, shared by the connections of a test."""

    files: dict[str, bytearray]

    def lstat(self, path: str) -> SFTPAttributes | int:
        return self.attributes(path) if path in self.files else paramiko.SFTP_NO_SUCH_FILE

    def attributes(self, path: str) -> SFTPAttributes:
        found = SFTPAttributes()
        found.st_mode = stat.S_IFREG | 0o600
        found.st_size = len(self.files[path])
        return found

    def chattr(self, path: str, attr: SFTPAttributes) -> int:
        return paramiko.SFTP_OK

    def remove(self, path: str) -> int:
        gone = self.files.pop(path, None)
        return paramiko.SFTP_NO_SUCH_FILE if gone is None else paramiko.SFTP_OK

    def rename(self, old: str, new: str) -> int:
        if new in self.files:
            return paramiko.SFTP_FAILURE
        self.files[new] = self.files.pop(old)
        return paramiko.SFTP_OK

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> paramiko.SFTPHandle | int:
        if flags & os.O_CREAT:
            self.files[path] = bytearray()
        if path not in self.files:
            return paramiko.SFTP_NO_SUCH_FILE
        return Handle(self, path)


class Handle(paramiko.SFTPHandle):
    def __init__(self, store: Store, path: str) -> None:
        super().__init__()
        self.store, self.path = store, path

    def stat(self) -> SFTPAttributes:
        return self.store.attributes(self.path)

    def chattr(self, attr: SFTPAttributes) -> int:
        return paramiko.SFTP_OK

    def read(self, offset: int, length: int) -> bytes | int:
        data = bytes(self.store.files[self.path][offset : offset + min(length, 1000)])
        return data or paramiko.SFTP_EOF

    def write(self, offset: int, data: bytes) -> int:
        self.store.files[self.path][offset:] = data
        return paramiko.SFTP_OK


def test_no_sftp_subsystem_is_explained(sftp_server: Callable[..., SshTransport]) -> None:
    result = sftp_server(None).put(b"x", "/there", mode=0o600, limits=SOON)
    assert "no sftp subsystem" in failed(result, FailureKind.PROTOCOL)


def test_a_server_without_the_rename_extension_replaces_all_the_same(
    sftp_server: Callable[..., SshTransport],
) -> None:
    class Plain(Store):
        files = {"/there": bytearray(b"old")}  # noqa: RUF012

    transport = sftp_server(Plain)
    assert transport.put(LARGE, "/there", mode=0o600, limits=SOON) == Moved(
        len(LARGE), hashlib.sha256(LARGE).hexdigest()
    )
    assert Plain.files == {"/there": LARGE}


def test_a_rename_that_fails_puts_the_old_file_back(
    sftp_server: Callable[..., SshTransport],
) -> None:
    class Stubborn(Store):
        files = {"/there": bytearray(b"old")}  # noqa: RUF012

        def rename(self, old: str, new: str) -> int:
            if old.endswith(".part") and new == "/there":
                return paramiko.SFTP_FAILURE
            return super().rename(old, new)

    result = sftp_server(Stubborn).put(b"new", "/there", mode=0o600, limits=SOON)
    failed(result, FailureKind.PROTOCOL)
    assert Stubborn.files == {"/there": b"old"}


def test_what_was_stored_wrongly_takes_no_place(sftp_server: Callable[..., SshTransport]) -> None:
    class Lying(Store):
        files = {"/there": bytearray(b"old")}  # noqa: RUF012

        def open(self, path: str, flags: int, attr: SFTPAttributes) -> paramiko.SFTPHandle | int:
            if not flags & os.O_CREAT:
                self.files[path][0] ^= 1
            return super().open(path, flags, attr)

    result = sftp_server(Lying).put(b"new content", "/there", mode=0o600, limits=SOON)
    assert "is not what was sent" in failed(result, FailureKind.PROTOCOL)
    assert Lying.files == {"/there": b"old"}


def test_silence_costs_the_deadline_only(
    sftp_server: Callable[..., SshTransport], tmp_path: Path
) -> None:
    free = threading.Event()

    class Silent(Store):
        files: dict[str, bytearray] = {}  # noqa: RUF012

        def lstat(self, path: str) -> SFTPAttributes | int:
            free.wait(20)
            return paramiko.SFTP_NO_SUCH_FILE

    transport = sftp_server(Silent)
    began_s = time.monotonic()
    result = transport.fetch("/there", tmp_path / "back", max_bytes=9, limits=Limits(run_s=0.5))
    free.set()
    failed(result, FailureKind.TIMEOUT)
    assert time.monotonic() - began_s < 4
    assert not (tmp_path / "back").exists()


def test_a_connection_lost_before_the_rename_changed_nothing(
    sftp_server: Callable[..., SshTransport], reset: Callable[[socket.socket], None]
) -> None:
    class Torn(Store):
        files = {"/there": bytearray(b"old")}  # noqa: RUF012
        cut: Callable[[], None]

        def open(self, path: str, flags: int, attr: SFTPAttributes) -> paramiko.SFTPHandle | int:
            Torn.cut()
            return paramiko.SFTP_FAILURE

    transport = sftp_server(Torn)
    Torn.cut = staticmethod(lambda: reset(transport.server.served[-1].sock))
    failed(transport.put(b"new", "/there", mode=0o600, limits=SOON), FailureKind.LOST)
    assert not transport.alive


def test_a_connection_lost_in_the_rename_is_in_doubt(
    sftp_server: Callable[..., SshTransport], reset: Callable[[socket.socket], None]
) -> None:
    class Torn(Store):
        files: dict[str, bytearray] = {}  # noqa: RUF012
        cut: Callable[[], None]

        def posix_rename(self, old: str, new: str) -> int:
            Torn.cut()
            return paramiko.SFTP_OK

    transport = sftp_server(Torn)
    Torn.cut = staticmethod(lambda: reset(transport.server.served[-1].sock))
    result = transport.put(b"new", "/there", mode=0o600, limits=SOON)
    failed(result, FailureKind.LOST, sent=True)


def test_nothing_is_moved_over_a_closed_connection(ready: SshTransport, tmp_path: Path) -> None:
    ready.close()
    failed(ready.put(b"x", "/tmp/x", mode=0o600, limits=SOON), FailureKind.LOST)
    result = ready.fetch("/etc/hostname", tmp_path / "back", max_bytes=9, limits=SOON)
    failed(result, FailureKind.LOST)
    assert not (tmp_path / "back").exists()
