"""The log on a disk that fails: at any operation, full, or without power."""

from __future__ import annotations

import errno
import os
import random
import shutil

import pytest

from outagekit.errors import LogUnwritable
from outagekit.events import AttemptId, EndpointId, LogWriteFailed, RunId, StepId, StepStarted
from outagekit.log.folder import RunFolder
from outagekit.log.reader import read_records
from outagekit.log.record import read_header
from outagekit.log.verify import verify
from outagekit.log.writer import LogWriter
from outagekit.testing.log_file import SECTOR_BYTES, FakeDisk

pytestmark = pytest.mark.crash


def started(number):
    return StepStarted(
        endpoint=EndpointId("acme/a"), step=StepId("s"), attempt=AttemptId(str(number))
    )


@pytest.fixture
def new_folder(tmp_path):
    held = []

    def make():
        held.append(RunFolder.create(tmp_path / "state", RunId(f"run-{len(held)}")))
        return held[-1]

    yield make
    for folder in held:
        folder.close()


def attempts_of(folder):
    events = (record.event for record in read_records(folder.path))
    return [int(event.attempt) for event in events if isinstance(event, StepStarted)]


def write_until_failure(folder, disk, count=12):
    """Append in twos, wait for every second; return what was acknowledged."""
    acknowledged = -1
    try:
        writer = LogWriter.create(folder, opener=disk.open, lag_s=60)
    except LogUnwritable:
        return acknowledged
    try:
        for number in range(count):
            appended = writer.append(started(number))
            if number % 2:
                appended.wait()
                acknowledged = number
    except LogUnwritable:
        assert writer.failed is not None
        with pytest.raises(LogUnwritable):
            writer.append(started(99))
    finally:
        writer.close()
    return acknowledged


def syncs_after_a_failed_one(disk):
    failed = {done.file for done in disk.operations if done.verb == "sync" and done.failed}
    bad = 0
    for file in failed:
        syncs = [done for done in disk.operations if done.file == file and done.verb == "sync"]
        bad += not syncs[-1].failed
    return bad


def test_whatever_operation_fails_nothing_acknowledged_is_lost(new_folder):
    for fail_at in range(1, 100):
        folder = new_folder()
        disk = FakeDisk(fail_at=fail_at)
        acknowledged = write_until_failure(folder, disk)
        assert syncs_after_a_failed_one(disk) == 0
        if not folder.log.exists():
            assert fail_at == 1
            continue
        attempts = attempts_of(folder)
        assert attempts == list(range(len(attempts)))
        assert len(attempts) > acknowledged
        assert verify(folder.path).ok
        if not any(done.failed for done in disk.operations):
            break
        if fail_at > 1:
            words = [
                r.event for r in read_records(folder.path) if isinstance(r.event, LogWriteFailed)
            ]
            assert [word.why for word in words] == ["[Errno 5] Input/output error"]
        with LogWriter.resume(folder) as writer:
            writer.append(started(len(attempts))).wait()
        assert verify(folder.path).ok
    else:
        pytest.fail("the loop never came to an operation beyond the last")
    assert 15 < fail_at < 60


def test_every_operation_of_a_resume_may_fail_and_the_next_resume_is_as_good(new_folder):
    for fail_at in range(1, 60):
        folder = new_folder()
        with LogWriter.create(folder) as writer:
            for number in range(5):
                writer.append(started(number))
        with folder.log.open("ab") as file:
            file.write(b'{"v":1,"seq":6,"at":"20')
        disk = FakeDisk(fail_at=fail_at)
        try:
            with LogWriter.resume(folder, opener=disk.open) as writer:
                writer.append(started(5)).wait()
        except LogUnwritable:
            assert any(done.failed for done in disk.operations)
        LogWriter.resume(folder).close()
        assert attempts_of(folder)[:5] == [0, 1, 2, 3, 4]
        assert verify(folder.path).ok
        if not any(done.failed for done in disk.operations):
            return
    pytest.fail("the loop never came to an operation beyond the last")


def test_a_full_disk_ends_the_log_with_a_word_written_into_the_reserve(new_folder):
    folder = new_folder()
    disk = FakeDisk(
        capacity_bytes=10_688,
        room=lambda: 0 if folder.reserve.exists() else 1024 * 1024,
    )
    acknowledged = write_until_failure(folder, disk, count=1000)
    assert 5 < acknowledged < 100
    assert not folder.reserve.exists()
    *_, last = read_records(folder.path)
    assert last.event == LogWriteFailed(why=f"[Errno {errno.ENOSPC}] No space left on device")
    assert len(attempts_of(folder)) > acknowledged
    verdict = verify(folder.path)
    assert verdict.ok
    assert verdict.torn_bytes == 0


def test_a_disk_that_stays_full_leaves_a_log_that_can_be_resumed_later(new_folder):
    folder = new_folder()
    acknowledged = write_until_failure(folder, FakeDisk(capacity_bytes=10_688), count=1000)
    assert verify(folder.path).ok
    with LogWriter.resume(folder) as writer:
        writer.append(started(5000)).wait()
    attempts = attempts_of(folder)
    assert attempts[-1] == 5000
    assert attempts[:-1] == list(range(len(attempts) - 1))
    assert len(attempts) - 1 > acknowledged
    assert verify(folder.path).ok


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be removed on Windows")
@pytest.mark.parametrize("what", ["folder", "log", "replaced", "moved"])
def test_a_log_that_lost_its_name_acknowledges_nothing_more(new_folder, what):
    folder = new_folder()
    with LogWriter.create(folder, lag_s=60) as writer:
        writer.append(started(0)).wait()
        match what:
            case "folder":
                shutil.rmtree(folder.path)
            case "log":
                folder.log.unlink()
            case "replaced":
                copy = folder.log.with_name("copy")
                shutil.copy(folder.log, copy)
                copy.replace(folder.log)
            case "moved":
                folder.path.rename(folder.path.with_name("elsewhere"))
        with pytest.raises(LogUnwritable, match="moved or removed"):
            writer.append(started(1)).wait()
        with pytest.raises(LogUnwritable):
            writer.append(started(2))


def test_short_writes_make_no_difference(new_folder):
    folder = new_folder()
    assert write_until_failure(folder, FakeDisk(short_writes=7), count=20) == 19
    assert attempts_of(folder) == list(range(20))
    assert verify(folder.path).ok


def test_after_a_failed_sync_the_doubtful_part_is_written_anew(new_folder):
    folder = new_folder()
    disk = FakeDisk(fail_at=5)  # open, write, sync, write, sync
    assert write_until_failure(folder, disk) == 1
    durable = next(done for done in disk.operations if done.verb == "truncate").size_bytes
    lines = folder.log.read_bytes().splitlines(keepends=True)
    assert durable == len(b"".join(lines[:2]))
    assert attempts_of(folder) == [0, 1, 2, 3]
    assert [read_header(line).dur for line in lines] == [-1, -1, 1, 1, 3]


def test_losing_power_while_writing_loses_nothing_acknowledged(new_folder):
    """Random sizes and subsets of the sectors that were not synced; then a resume goes on."""
    rng = random.Random(1907)
    torn = 0
    for _ in range(40):
        folder = new_folder()
        disk = FakeDisk(fail_at=9)  # the fourth sync: its group is written but not on disk
        writer = LogWriter.create(folder, opener=disk.open, lag_s=60)
        writer._tail.leave_word = lambda *_: False  # power is gone, there are no last words
        acknowledged = 0
        for group in range(4):
            for number in range(group * 3, group * 3 + 3):
                appended = writer.append(started(number))
            try:
                appended.wait()
                acknowledged = number + 1
            except LogUnwritable:
                break
        writer.close()
        assert acknowledged == 9
        written = folder.log.read_bytes()
        size = rng.randint(len(disk.synced(folder.log)), len(written))
        kept = {sector for sector in range(size // SECTOR_BYTES + 1) if rng.random() < 0.5}
        disk.lose_power(folder.log, size_bytes=size, keep=kept.__contains__)
        verdict = verify(folder.path)
        assert verdict.ok
        assert verdict.records >= acknowledged
        torn += verdict.torn_bytes > 0
        with LogWriter.resume(folder) as again:
            again.append(started(100)).wait()
        attempts = attempts_of(folder)
        assert attempts[: acknowledged + 1][:acknowledged] == list(range(acknowledged))
        assert verify(folder.path).ok
    assert torn > 10
