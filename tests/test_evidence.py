from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outagekit.errors import OutagekitError
from outagekit.events import FailureKind
from outagekit.evidence import MAX_FILES, EvidenceRefused, EvidenceStore

POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")
HOSTILE = [
    "../../../../etc/passwd",
    "..",
    ".",
    "/",
    "",
    "//srv/share/x",
    r"\\srv\share\x",
    r"C:\Windows\win.ini",
    "C:",
    "C:autoexec.bat",
    "a.txt:hidden:$DATA",
    r"\\?\C:\x",
    "CON",
    "nul.txt",
    "/var/log/com1",
    "AUX.tar.gz",
    "trailing...",
    "trailing   ",
    ".ssh",
    "-rf",
    "~root",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "\u202egpj.exe",
    "\udc80\udcff",
    "x" * 4096,
    "/" * 4096,
    "é" * 4096,
    "a/" * 2048,
    "owner.json",
    "log.jsonl",
    "%2e%2e%2f",
    "incoming-0000000000000000",
]


@pytest.fixture
def store(tmp_path: Path) -> EvidenceStore:
    return EvidenceStore(tmp_path / "run" / "evidence")


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()


def keep(store, source, content=b"content", where=("acme", "pos-01", "collect")):
    tmp = store.place(*where, source)
    with tmp.open("xb") as file:
        file.write(content)
    return store.settle(tmp, hashlib.sha256(content).hexdigest(), source)


def test_a_kept_file_is_named_by_its_content_and_what_it_was_called(store):
    path = keep(store, "/var/log/Syslog.1")
    sha16 = hashlib.sha256(b"content").hexdigest()[:16]
    assert path == store.root / "acme" / "pos-01" / "collect" / f"{sha16}-syslog.1"
    assert path.read_bytes() == b"content"
    assert store.name_of(path) == f"evidence/acme/pos-01/collect/{sha16}-syslog.1"


def test_a_windows_path_is_named_by_its_last_part_too(store):
    assert keep(store, r"C:\Windows\Logs\CBS.log").name.endswith("-cbs.log")


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_no_name_of_an_endpoint_leads_anywhere_else(store, source):
    path = keep(store, source)
    assert path.parent == store.root / "acme" / "pos-01" / "collect"
    assert path.resolve().parent == path.parent.resolve()
    assert path.name.isascii()
    assert path.name == path.name.lower()
    assert len(path.name) <= 57
    assert not path.name.endswith((".", " "))
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@settings(max_examples=50)
@given(source=st.text(st.characters(), max_size=80))
def test_no_text_at_all_leads_anywhere_else(tmp_path_factory, source):
    root = tmp_path_factory.mktemp("run") / "evidence"
    path = keep(EvidenceStore(root), source)
    assert path.is_relative_to(root)
    assert [p for p in root.parent.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names_of_clients_endpoints_and_steps_stay_one_folder_each(store, name):
    path = keep(store, "x", where=(name, name, name))
    assert len(path.relative_to(store.root).parts) == 4
    assert path.resolve().is_relative_to(store.root.resolve())


def test_different_names_never_share_a_folder(store):
    names = ["POS 1", "pos-1", "pos 1", "Pos-1", "é", "e", "e\u0301", "con", "x-con", "a" * 40]
    names += ["a" * 41, "a" * 32]
    folders = [store.place("acme", name, "collect", "f").parent for name in names]
    # A folder that looks as if we had made it of another name is told apart as well.
    folders.append(store.place("acme", folders[0].parent.name, "collect", "f").parent)
    assert len({str(folder).casefold() for folder in folders}) == len(names) + 1
    assert folders[1].parent.name == "pos-1"


def test_twins_on_a_file_system_that_folds_names_are_numbered(store):
    nfc, nfd = (unicodedata.normalize(form, "/é.log") for form in ("NFC", "NFD"))
    paths = [keep(store, name) for name in (nfc, nfd, "/É.LOG", "/other/e.log")]
    assert len({path.name.casefold() for path in paths}) == 4
    assert all(path.read_bytes() == b"content" for path in paths)
    assert paths[3].name.endswith("-4-e.log")


def test_nothing_is_overwritten(store):
    first, second = keep(store, "a", b"one"), keep(store, "a", b"two")
    assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")


def test_several_stores_and_threads_keep_every_file(store):
    def work(number):
        return keep(EvidenceStore(store.root), "same.log", b"x" * (number % 2))

    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(work, range(40)))
    assert len(set(paths)) == 40
    assert sum(path.stat().st_size for path in paths) == 20
    assert len(list(paths[0].parent.iterdir())) == 40


@POSIX
def test_folders_and_files_are_for_their_owner_only(store):
    tmp = store.place("acme", "pos-01", "collect", "x")
    tmp.write_bytes(b"secret")
    tmp.chmod(0o666)
    path = store.settle(tmp, "0" * 64, "x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for folder in (store.root, *path.relative_to(store.root).parents):
        assert stat.S_IMODE((store.root / folder).stat().st_mode) == 0o700


@POSIX
@pytest.mark.parametrize("level", ["", "acme", "acme/pos-01", "acme/pos-01/collect"])
def test_a_link_in_place_of_a_folder_is_refused(store, tmp_path, level):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = store.root / level
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside, target_is_directory=True)
    with pytest.raises(EvidenceRefused, match="not a folder of this store") as caught:
        store.place("acme", "pos-01", "collect", "x")
    assert caught.value.kind is FailureKind.LOCAL_IO
    assert list(outside.iterdir()) == []


@POSIX
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_in_place_of_the_file_is_refused(store, tmp_path, link):
    target = tmp_path / "target"
    target.write_bytes(b"x")
    target.chmod(0o644)
    tmp = store.place("acme", "pos-01", "collect", "x")
    link(target, tmp)
    with pytest.raises(EvidenceRefused, match="no file of this store"):
        store.settle(tmp, "0" * 64, "x")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644


@POSIX
def test_a_planted_link_under_the_final_name_is_not_followed(store, tmp_path):
    target = tmp_path / "target"
    tmp = store.place("acme", "pos-01", "collect", "x")
    tmp.write_bytes(b"x")
    (tmp.parent / f"{'0' * 16}-x").symlink_to(target)
    path = store.settle(tmp, "0" * 64, "x")
    assert path.name == f"{'0' * 16}-2-x"
    assert not target.exists()


def test_only_paths_of_the_store_are_settled(store, tmp_path):
    store.place("acme", "pos-01", "collect", "x")
    stranger = tmp_path / "incoming-0"
    stranger.write_bytes(b"x")
    inside = store.root / "acme" / "kept"
    inside.write_bytes(b"x")
    for path in (stranger, inside, store.root / "acme" / "incoming-gone"):
        with pytest.raises(EvidenceRefused) as caught:
            store.settle(path, "0" * 64, "x")
        assert caught.value.kind is FailureKind.LOCAL_IO
    assert stranger.exists()
    with pytest.raises(EvidenceRefused):
        store.discard(stranger)


@pytest.mark.parametrize("sha256", ["", "../../x", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_hash_that_is_none_becomes_no_name(store, sha256):
    tmp = store.place("acme", "pos-01", "collect", "x")
    tmp.write_bytes(b"x")
    with pytest.raises(EvidenceRefused):
        store.settle(tmp, sha256, "x")


def test_what_a_broken_transfer_left_is_discarded(store):
    tmp = store.place("acme", "pos-01", "collect", "x")
    store.discard(tmp)
    tmp.write_bytes(b"half")
    store.discard(tmp)
    assert list(tmp.parent.iterdir()) == []


def test_a_step_keeps_a_thousand_files_of_an_endpoint_and_no_more(store):
    folder = store.place("acme", "pos-01", "collect", "x").parent
    for number in range(MAX_FILES):
        (folder / str(number)).touch()
    with pytest.raises(EvidenceRefused, match="1000 files") as caught:
        store.place("acme", "pos-01", "collect", "/last\x1b[2J")
    assert caught.value.kind is FailureKind.QUOTA
    assert "\x1b" not in caught.value.message
    assert store.place("acme", "pos-01", "other", "x")
    assert store.place("acme", "pos-02", "collect", "x")


def test_a_missing_run_folder_is_a_refusal_and_no_crash(tmp_path):
    gone = EvidenceStore(tmp_path / "gone" / "evidence")
    with pytest.raises(EvidenceRefused, match="cannot be kept here") as caught:
        gone.place("acme", "pos-01", "collect", "x")
    assert caught.value.kind is FailureKind.LOCAL_IO
    assert isinstance(caught.value, OutagekitError)
