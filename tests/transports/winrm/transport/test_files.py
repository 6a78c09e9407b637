"""Files put and fetched through a shell: whole or not at all, and of a bounded size."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from outagekit.events import FailureKind
from outagekit.lab.wsman.injection import Delay, Drop
from outagekit.transports.protocol import Failure, Limits, Moved
from outagekit.transports.windows.render import sent_as
from outagekit.transports.winrm import files as module
from outagekit.transports.winrm.transport import WinrmTransport

if TYPE_CHECKING:
    from conftest import Lab

LIMITS = Limits(run_s=20.0, accept_s=5.0)
PATH = "C:\\Temp\\report.bin"
CONTENT = bytes(n * n % 251 for n in range(1_300_000))


_SETTING = re.compile(r"^\$ok(\w+) = (?:\[long\])?'?([^'\n]*?)'?$", re.MULTILINE)


def told(**said: object) -> str:
    return json.dumps(said, separators=(",", ":")) + "\n"


@dataclass
class Disk:
    """A machine that does what our PowerShell texts for files ask for, in Python."""

    lab: Lab
    stored: dict[str, bytes] = field(default_factory=dict)
    written: int = 1
    asked: list[str] = field(default_factory=list)
    reads: int = 0
    grows_at: int = -1
    machine_id: str = "0a1b2c3d-1111-2222-3333-444455556666"
    boot_id = "7"

    def run(self, asked: object, running: object) -> object:
        if "reg query" in asked.line:
            said = f"    MachineGuid    REG_SZ    {self.machine_id}\r\n"
            return self.lab.answer(stdout=said)
        kind = asked.facts.get("FILE", "")
        self.asked.append(kind)
        raw = running.read().decode().splitlines()
        blank = raw.index("") if "" in raw else len(raw)
        script = sent_as(base64.b64decode("".join(raw[1:blank])).decode())
        if script is None:
            return self.lab.answer(74)
        found = dict(_SETTING.findall(script.text))
        data = b"".join(map(base64.b64decode, raw[blank + 1 :]))
        return self.lab.answer(stdout=getattr(self, kind)(found, data))

    def answered(self, answer: object) -> None:
        pass

    def trailer(self, asked: object, answer: object) -> str:
        said = {"how": "end", "rc": answer.exit_code, "native": 0}
        return json.dumps({**said, "ps": "5", "mode": "", "boot": ""})

    def put(self, found: dict[str, str], data: bytes) -> str:
        sha = hashlib.sha256(data).hexdigest()
        if (str(len(data)), sha) != (found["Size"], found["Sha"]):
            return '{"refused":"cut","said":""}\n'
        self.stored[found["Name"]] = data
        return told(size=len(data), sha256=sha)

    def stat(self, found: dict[str, str], data: bytes) -> str:
        if found["Name"] not in self.stored:
            return '{"refused":"missing","said":"gone"}\n'
        held = self.stored[found["Name"]]
        sha = hashlib.sha256(held).hexdigest() if found["Digest"] == "$true" else ""
        return told(size=len(held), written=str(self.written), sha256=sha)

    def chunk(self, found: dict[str, str], data: bytes) -> str:
        self.reads += 1
        if self.reads == self.grows_at:
            self.stored[found["Name"]] += b"more"
            self.written += 1
        held, offset = self.stored[found["Name"]], int(found["Offset"])
        piece = held[offset : offset + int(found["Length"])]
        lines = [piece[at : at + 49152] for at in range(0, len(piece), 49152)]
        encoded = "".join(base64.b64encode(line).decode() + "\n" for line in lines)
        return encoded + told(size=len(held), written=str(self.written), sent=len(piece))


@pytest.fixture
def disk(lab: Lab) -> Disk:
    return Disk(lab)


@pytest.fixture
def ready(lab: Lab, disk: Disk) -> WinrmTransport:
    return lab.opened(lab.server(disk))


def failed(result: object, kind: FailureKind, *, sent: bool = False) -> Failure:
    assert isinstance(result, Failure), result
    assert (result.kind, result.sent) == (kind, sent), result
    return result


def put(transport: WinrmTransport, content: bytes = CONTENT, path: str = PATH) -> object:
    return transport.put(content, path, mode=0o600, limits=LIMITS)


@pytest.mark.parametrize("size", [0, 1, 49152, 49153, 1_300_000])
def test_what_was_put_is_fetched_again(
    disk: Disk, ready: WinrmTransport, tmp_path: Path, size: int
) -> None:
    content = CONTENT[:size]
    moved = Moved(size, hashlib.sha256(content).hexdigest())
    assert put(ready, content) == moved
    assert disk.stored[PATH] == content
    into = tmp_path / "into"
    assert ready.fetch(PATH, into, max_bytes=size, limits=LIMITS) == moved
    assert into.read_bytes() == content


def test_too_much_is_refused_before_anything_is_sent(
    disk: Disk, ready: WinrmTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PUT_BYTES", 1024 * 1024)
    failure = failed(put(ready), FailureKind.SIZE)
    assert "1 MiB" in failure.detail
    assert "SFTP" in failure.detail
    assert disk.asked == []


def test_a_file_larger_than_wanted_is_not_begun(
    disk: Disk, ready: WinrmTransport, tmp_path: Path
) -> None:
    disk.stored[PATH] = CONTENT
    into = tmp_path / "into"
    result = ready.fetch(PATH, into, max_bytes=len(CONTENT) - 1, limits=LIMITS)
    failed(result, FailureKind.SIZE)
    assert not into.exists()
    assert disk.asked == ["stat"]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_file_that_changes_meanwhile_is_not_kept(
    disk: Disk, ready: WinrmTransport, tmp_path: Path, at: int
) -> None:
    disk.stored[PATH], disk.grows_at = CONTENT, at
    into = tmp_path / "into"
    failure = failed(ready.fetch(PATH, into, max_bytes=10**9, limits=LIMITS), FailureKind.PROTOCOL)
    assert "changed" in failure.detail
    assert not into.exists()


def test_what_the_endpoint_refuses_is_told(ready: WinrmTransport, tmp_path: Path) -> None:
    into = tmp_path / "into"
    failure = failed(ready.fetch(PATH, into, max_bytes=9, limits=LIMITS), FailureKind.PROTOCOL)
    assert "does not exist" in failure.detail
    assert not into.exists()


@pytest.mark.parametrize("path", ["", "relative.txt", "\\\\server\\share\\x", "C:\\a*", "C:\\con"])
def test_a_path_that_is_no_file_is_refused_here(
    disk: Disk, ready: WinrmTransport, tmp_path: Path, path: str
) -> None:
    failed(put(ready, path=path), FailureKind.PROTOCOL)
    failed(ready.fetch(path, tmp_path / "x", max_bytes=9, limits=LIMITS), FailureKind.PROTOCOL)
    assert disk.asked == []


def test_a_local_file_that_is_there_is_not_touched(
    disk: Disk, ready: WinrmTransport, tmp_path: Path
) -> None:
    disk.stored[PATH] = b"theirs"
    into = tmp_path / "into"
    into.write_bytes(b"ours")
    failed(ready.fetch(PATH, into, max_bytes=9, limits=LIMITS), FailureKind.LOCAL_IO)
    assert into.read_bytes() == b"ours"


def test_secrets_in_a_file_arrive_as_they_are(
    disk: Disk, ready: WinrmTransport, tmp_path: Path
) -> None:
    disk.stored[PATH] = content = b"password: Zug-faehrt-um-8\n" * 9
    into = tmp_path / "into"
    assert isinstance(ready.fetch(PATH, into, max_bytes=999, limits=LIMITS), Moved)
    assert into.read_bytes() == content


@pytest.mark.parametrize("skip", range(4))
def test_a_loss_of_output_while_fetching_is_made_good(
    lab: Lab, disk: Disk, ready: WinrmTransport, tmp_path: Path, skip: int
) -> None:
    disk.stored[PATH] = CONTENT
    lab.servers[0].server.injections.plan("receive", Drop(executed=True), skip=3 * skip + 1)
    into = tmp_path / "into"
    moved = ready.fetch(PATH, into, max_bytes=10**9, limits=LIMITS)
    assert isinstance(moved, Moved), moved
    assert into.read_bytes() == CONTENT


@pytest.mark.parametrize("skip", [0, 5, 18])
@pytest.mark.parametrize("executed", [True, False])
def test_a_file_whose_content_was_lost_on_the_way_is_not_put(
    lab: Lab, disk: Disk, ready: WinrmTransport, skip: int, executed: bool
) -> None:
    server = lab.servers[0].server
    server.injections.plan("send", Drop(executed=executed), skip=skip)
    result = put(ready)
    if isinstance(result, Failure):
        assert not result.sent
        assert disk.stored == {}
    else:
        # The last piece may be sent again.
        assert disk.stored[PATH] == CONTENT
    ready.close()
    assert server.shells == ()


def test_a_put_whose_answer_was_lost_is_looked_at(
    lab: Lab, disk: Disk, ready: WinrmTransport
) -> None:
    lab.servers[0].server.injections.plan("receive", Drop(executed=True))
    result = put(ready, b"short")
    assert isinstance(result, Moved) or (isinstance(result, Failure) and result.sent)
    assert disk.stored[PATH] == b"short"


def test_a_transfer_ends_by_its_deadline(
    lab: Lab, disk: Disk, ready: WinrmTransport, tmp_path: Path
) -> None:
    disk.stored[PATH] = CONTENT
    lab.servers[0].server.injections.plan("receive", Delay(0.3), times=99)
    into = tmp_path / "into"
    result = ready.fetch(PATH, into, max_bytes=10**9, limits=Limits(run_s=1.0, accept_s=1.0))
    failed(result, FailureKind.TIMEOUT)
    assert not into.exists()


@pytest.mark.parametrize("account", ["root", "system"])
def test_files_are_moved_by_the_account_itself(
    disk: Disk, ready: WinrmTransport, tmp_path: Path, account: str
) -> None:
    failed(ready.put(b"x", PATH, mode=0o600, limits=LIMITS, account=account), FailureKind.BECOME)
    result = ready.fetch(PATH, tmp_path / "x", max_bytes=9, limits=LIMITS, account=account)
    failed(result, FailureKind.BECOME)
    assert disk.asked == []
