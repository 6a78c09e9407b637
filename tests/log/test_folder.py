from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from outagekit.errors import LogUnwritable, NothingMatched
from outagekit.events import RunId
from outagekit.log import place
from outagekit.log.folder import RunFolder, find_run, list_runs, new_run_id
from outagekit.log.lock import read_owner

NOW = datetime(2026, 11, 22, 8, 14, 3, tzinfo=UTC)
POSIX = pytest.mark.skipif(os.name == "nt", reason="modes and links are POSIX")


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def runs(state):
    """Three finished runs, oldest first."""
    ids = (
        "20261122T081403Z-restart-aaaa",
        "20261122T081500Z-restart-bbbb",
        "20261123T000000Z-x-cccc",
    )
    for run in ids:
        with RunFolder.create(state, RunId(run)) as folder:
            folder.log.write_bytes(b"")
    return tuple(state / "runs" / run for run in ids)


def test_a_run_id_names_the_time_the_title_and_no_other_run():
    ids = {new_run_id("CrowdStrike 291: the Ünïcode / fix", NOW) for _ in range(200)}
    assert len(ids) > 195  # one pair of 200 is the same by chance in every fiftieth run of this
    pattern = r"20261122T081403Z-crowdstrike-291-the-unicode-fix-[2-9a-z]{4}"
    assert all(re.fullmatch(pattern, run) for run in ids)


def test_a_run_id_can_name_a_folder_whatever_the_title(state):
    for title in ("", "../../etc", "CON", "a" * 300, "\x00\n", "💥"):
        RunFolder.create(state, new_run_id(title, NOW)).close()


def test_the_folder_has_its_rooms_and_a_reserve(make_folder):
    folder = make_folder()
    assert all(path.is_dir() for path in (folder.output, folder.evidence, folder.inbox))
    assert folder.reserve.stat().st_size == 1024 * 1024
    assert folder.run == folder.path.name
    assert not folder.log.exists()


@POSIX
def test_nobody_else_can_look_into_a_run(make_folder):
    folder = make_folder()
    folder.freeze("plan.json", b"{}")
    folder.spool("text")
    for path in (folder.path.parent, folder.path, *folder.path.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("run", ["", "..", "a/b", "a\\b", ".hidden", "x" * 200, "a\n", "-x"])
def test_a_run_id_that_would_leave_the_folder_is_refused(state, run):
    with pytest.raises(LogUnwritable, match="cannot name a run folder"):
        RunFolder.create(state, RunId(run))


def test_a_run_is_created_once(state):
    RunFolder.create(state, RunId("one")).close()
    with pytest.raises(LogUnwritable, match="exists already"):
        RunFolder.create(state, RunId("one"))


def test_a_place_that_cannot_be_written_is_no_traceback(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LogUnwritable, match="cannot be made"):
        RunFolder.create(tmp_path / "file", RunId("one"))


def test_frozen_files_are_whole_and_known_by_their_hash(folder):
    digest = folder.freeze("plan.json", b'{"steps": []}')
    assert digest == hashlib.sha256(folder.plan.read_bytes()).hexdigest()
    folder.freeze("plan.json", b"{}")
    assert folder.plan.read_bytes() == b"{}"
    assert not list(folder.path.glob(".plan*"))


@pytest.mark.parametrize("name", ["../plan.json", "", ".lock", "a/b", "/etc/passwd"])
def test_a_frozen_file_stays_in_its_folder(folder, name):
    with pytest.raises(LogUnwritable, match="cannot name a frozen file"):
        folder.freeze(name, b"")


def test_long_output_is_kept_once_under_its_hash(folder):
    digest = folder.spool("à" * 10_000)
    assert folder.spool("à" * 10_000) == digest
    assert [path.name for path in folder.output.iterdir()] == [digest]
    assert hashlib.sha256((folder.output / digest).read_bytes()).hexdigest() == digest
    assert (folder.output / folder.spool("a\udc80")).read_bytes() == b"a\\udc80"


def test_a_folder_that_vanished_is_a_log_that_cannot_be_written(folder):
    shutil.rmtree(folder.output)
    with pytest.raises(LogUnwritable, match="cannot be written"):
        folder.spool("x")


def test_a_second_holder_is_told_who_the_first_is(folder):
    folder.log.write_bytes(b"")
    with pytest.raises(LogUnwritable, match=f"held by process {os.getpid()} of ") as caught:
        RunFolder.open_existing(folder.path)
    assert caught.value.exit_code == 11


def test_the_owner_file_names_the_holder_and_a_new_nonce_each_time(state):
    with RunFolder.create(state, RunId("one")) as folder:
        folder.log.write_bytes(b"")
        first = read_owner(folder.path)
        assert first == folder.owner
        assert json.loads(folder.owner_file.read_bytes())["pid"] == os.getpid()
    with RunFolder.open_existing(folder.path) as again:
        assert again.owner.nonce != first.nonce
        assert len(again.owner.nonce) == 32
        assert read_owner(folder.path) == again.owner
    again.close()


def test_a_reserve_that_was_given_up_is_put_back(state):
    with RunFolder.create(state, RunId("one")) as folder:
        folder.log.write_bytes(b"")
        folder.reserve.unlink()
    with RunFolder.open_existing(folder.path):
        assert folder.reserve.stat().st_size == 1024 * 1024


def test_an_owner_file_that_is_rubble_does_not_hide_the_refusal(folder):
    folder.log.write_bytes(b"")
    folder.owner_file.write_bytes(b"[" * 10_000)
    with pytest.raises(LogUnwritable, match="is held by another process"):
        RunFolder.open_existing(folder.path)


def test_an_owner_cannot_write_onto_the_screen(folder):
    folder.log.write_bytes(b"")
    owner = json.loads(folder.owner_file.read_bytes()) | {"user": "\x1b[2J"}
    folder.owner_file.write_text(json.dumps(owner))
    with pytest.raises(LogUnwritable) as caught:
        RunFolder.open_existing(folder.path)
    assert "\x1b" not in caught.value.message


def test_a_folder_without_a_log_is_no_run(tmp_path):
    with pytest.raises(NothingMatched, match=r"holds no log\.jsonl"):
        RunFolder.open_existing(tmp_path)


def test_a_run_does_not_begin_without_room(state, monkeypatch):
    monkeypatch.setattr(place, "free_bytes", lambda _: 300 * 1024 * 1024)
    RunFolder.create(state, RunId("small"), estimate_bytes=1024).close()
    with pytest.raises(LogUnwritable, match=r"has 300 MiB left, the run needs 360 MiB"):
        RunFolder.create(state, RunId("large"), estimate_bytes=120 * 1024 * 1024)
    monkeypatch.setattr(place, "free_bytes", lambda _: 255 * 1024 * 1024)
    with pytest.raises(LogUnwritable, match="needs 256 MiB"):
        RunFolder.create(state, RunId("small2"))
    assert not (state / "runs" / "small2").exists()


def test_room_is_measured_where_the_folder_will_be(tmp_path):
    assert place.free_bytes(tmp_path / "not" / "there" / "yet") > 0


@pytest.mark.parametrize("name", ["OneDrive - Acme", "Dropbox", "Mobile Documents", "Google Drive"])
def test_a_synced_folder_is_refused_unless_accepted(tmp_path, name):
    state = tmp_path / name / "state"
    with pytest.raises(LogUnwritable, match="synced folder") as caught:
        RunFolder.create(state, RunId("one"))
    assert "--allow-network-folder" in caught.value.hint
    with RunFolder.create(state, RunId("one"), allow_network_folder=True) as folder:
        folder.log.write_bytes(b"")
    with pytest.raises(LogUnwritable, match="synced folder"):
        RunFolder.open_existing(folder.path)
    RunFolder.open_existing(folder.path, allow_network_folder=True).close()


@pytest.mark.skipif(sys.platform == "win32", reason="reads a table Windows does not have")
def test_a_network_mount_is_recognised(tmp_path):
    table = tmp_path / "mounts"
    table.write_text(
        "/dev/sda / ext4 rw 0 0\n"
        "server:/x /mnt/with\\040space nfs4 rw 0 0\n"
        "rubble\n"
        "me@server: /mnt/far fuse.sshfs rw 0 0\n"
        "/dev/sdb /mnt/far/local ext4 rw 0 0\n"
    )
    kind = place._mount_kind
    assert kind(Path("/mnt/with space/a"), table) == "a network file system (nfs4)"
    assert kind(Path("/mnt/far/a"), table) == "a network file system (fuse.sshfs)"
    assert kind(Path("/mnt/far/local/a"), table) == ""
    assert kind(Path("/home/a"), table) == ""
    assert kind(Path("/home/a"), tmp_path / "missing") == ""
    assert place.remote_kind(Path("//server/share")) == "a network share"


def test_runs_are_listed_newest_first_and_rubble_is_left_out(state, runs):
    (state / "runs" / "20271122T081403Z-begun-dddd").mkdir()
    (state / "runs" / "file").write_text("")
    assert list_runs(state) == runs[::-1]


def test_of_two_runs_of_one_second_the_one_held_last_is_the_last(state):
    for run in ("20261122T081403Z-z-zzzz", "20261122T081403Z-a-aaaa"):
        with RunFolder.create(state, RunId(run)) as folder:
            folder.log.write_bytes(b"")
    os.utime(state / "runs/20261122T081403Z-z-zzzz/owner.json", ns=(1, 1))
    assert find_run(state, "last").name == "20261122T081403Z-a-aaaa"


def test_no_state_folder_holds_no_runs(state):
    assert list_runs(state) == ()
    with pytest.raises(NothingMatched, match="there are no runs"):
        find_run(state, "last")


def test_a_run_is_found_by_id_beginning_path_or_last(state, runs, monkeypatch):
    assert find_run(state, runs[0].name) == runs[0]
    assert find_run(state, "20261122T0814") == runs[0]
    assert find_run(state, "last") == runs[2]
    assert find_run(state, str(runs[1])) == runs[1].resolve()
    assert find_run(state, str(runs[1] / "log.jsonl")) == runs[1].resolve()
    monkeypatch.chdir(state)
    assert find_run(state, f"runs/{runs[1].name}") == runs[1].resolve()
    monkeypatch.chdir(runs[1])
    assert find_run(state, ".") == runs[1].resolve()


def test_a_beginning_of_several_runs_names_them(state, runs):
    with pytest.raises(NothingMatched, match="is the beginning of 2 runs") as caught:
        find_run(state, "20261122")
    assert all(path.name in caught.value.message for path in runs[:2])


def test_a_misspelt_run_gets_a_suggestion(state, runs):
    with pytest.raises(NothingMatched) as caught:
        find_run(state, "20261122T081403Z-restrat-aaaa")
    assert caught.value.hint == f"did you mean {runs[0].name}?"
    with pytest.raises(NothingMatched) as caught:
        find_run(state, "\x1b[2J")
    assert "\x1b" not in caught.value.message
    assert runs[2].name in caught.value.hint


@pytest.mark.parametrize("word", ["", "no/such/run", "a\0b/c", ".."])
def test_a_word_that_leads_nowhere_is_nothing_matched(state, runs, word):
    with pytest.raises(NothingMatched):
        find_run(state, word)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_a_state_folder_that_is_made_is_private_like_what_is_in_it(tmp_path):
    state = tmp_path / "new" / "state"
    with RunFolder.create(state, RunId("one")):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (state, state / "runs")}
    assert set(modes.values()) == {0o700}
