"""A log appended to now and then: whole acts, by any process, or nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from outagekit.errors import LogDamaged, LogUnwritable
from outagekit.events import Note, RunId
from outagekit.log.journal import Journal
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.testing.log_file import FakeDisk

NAME = RunId("acme")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.mkdir()
    return path


def notes(folder: Path) -> list[str]:
    return [record.event.text for record in read_records(folder)]


def test_acts_of_several_processes_make_one_chain_that_verifies(folder: Path) -> None:
    first, second = Journal(folder, NAME), Journal(folder, NAME)
    first.append([Note(text="a"), Note(text="b")])
    second.append([Note(text="c")])
    head = first.append([Note(text="d")])
    assert notes(folder) == ["a", "b", "c", "d"]
    verdict = verify(folder)
    assert (verdict.ok, verdict.warnings, verdict.anchors) == (True, (), 3)
    assert (verdict.head_seq, verdict.head_sha) == (head.seq, head.sha)


def test_a_log_that_nobody_else_touched_is_not_read_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(folder, NAME)
    journal.append([Note(text="a")])
    monkeypatch.setattr("outagekit.log.journal.recover", lambda *_, **__: pytest.fail("read"))
    journal.append([Note(text="b")])
    assert notes(folder) == ["a", "b"]


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("short", [None, 150])
def test_on_a_full_disk_nothing_is_recorded_and_the_next_act_is(
    folder: Path, begun: bool, short: int | None
) -> None:
    if begun:
        Journal(folder, NAME).append([Note(text="before")])
    full = FakeDisk(capacity_bytes=700, short_writes=short)
    with pytest.raises(LogUnwritable, match="No space left"):
        Journal(folder, NAME, opener=full.open).append([Note(text="x" * 300) for _ in range(3)])
    assert notes(folder) == ["before"] * begun
    Journal(folder, NAME).append([Note(text="after")])
    assert notes(folder) == [*["before"] * begun, "after"]
    assert verify(folder).ok


def test_a_sync_that_fails_records_nothing(folder: Path) -> None:
    journal = Journal(folder, NAME)
    journal.append([Note(text="a")])
    disk = FakeDisk(fail_at=1, error=OSError(errno.EIO, "broken"))
    with pytest.raises(LogUnwritable, match="broken"):
        Journal(folder, NAME, opener=disk.open).append([Note(text="b")])
    assert notes(folder) == ["a"]


def test_an_altered_log_takes_no_more_acts(folder: Path) -> None:
    Journal(folder, NAME).append([Note(text="an impostor"), Note(text="b")])
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b"an impostor", b"a good one.", 1))
    before = log.read_bytes()
    with pytest.raises(LogDamaged):
        Journal(folder, NAME).append([Note(text="c")])
    assert log.read_bytes() == before


def test_a_torn_end_is_kept_aside_and_said(folder: Path) -> None:
    Journal(folder, NAME).append([Note(text="a")])
    log = folder / "log.jsonl"
    log.write_bytes(log.read_bytes() + b'{"v":1,"seq":1,"at":"20')
    Journal(folder, NAME).append([Note(text="b")])
    kinds = [type(record.event).__name__ for record in read_records(folder)]
    assert kinds == ["Note", "LogRepaired", "Note"]
    assert verify(folder).ok


def test_a_log_that_is_gone_while_its_anchors_stay_is_damage_and_not_begun_anew(
    folder: Path,
) -> None:
    journal = Journal(folder, NAME)
    journal.append([Note(text="a")])
    (folder / "log.jsonl").unlink()
    for each in (journal, Journal(folder, NAME)):
        with pytest.raises(LogDamaged, match="gone"):
            each.append([Note(text="b")])
    assert not (folder / "log.jsonl").exists()
    with pytest.raises(LogDamaged, match="gone"):
        verify(folder)
    (folder / "anchors.txt").unlink()
    Journal(folder, NAME).append([Note(text="begun anew")])
    assert verify(folder).ok


def test_a_pipe_in_the_logs_place_is_not_waited_for(folder: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(folder / "log.jsonl")
    with pytest.raises(LogUnwritable, match="regular file"):
        Journal(folder, NAME).append([Note(text="a")])
