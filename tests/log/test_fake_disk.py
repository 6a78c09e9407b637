from __future__ import annotations

import errno

import pytest

from outagekit.log.file import write_all
from outagekit.testing.log_file import FakeDisk


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file"


def test_a_fake_disk_records_what_was_asked_of_it(path):
    disk = FakeDisk()
    file = disk.open(path, create=True)
    file.write(b"abc")
    file.sync()
    file.truncate(1)
    file.close()
    verbs = [(done.number, done.file, done.verb, done.size_bytes) for done in disk.operations]
    assert verbs == [
        (1, 1, "open", 0),
        (2, 1, "write", 3),
        (3, 1, "sync", 0),
        (4, 1, "truncate", 1),
        (5, 1, "close", 0),
    ]
    assert (path.read_bytes(), disk.synced(path)) == (b"a", b"abc")


def test_exactly_the_operation_told_fails(path):
    disk = FakeDisk(fail_at=3, error=OSError(errno.EDQUOT, "quota"))
    file = disk.open(path, create=True)
    file.write(b"a")
    with pytest.raises(OSError, match="quota"):
        file.sync()
    file.sync()
    assert [done.failed for done in disk.operations] == [False, False, True, False]
    assert disk.count("sync") == 1


def test_a_full_disk_takes_a_part_before_it_refuses(path):
    disk = FakeDisk(capacity_bytes=5)
    file = disk.open(path, create=True)
    with pytest.raises(OSError, match="No space left") as caught:
        write_all(file, b"abcdefgh")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"abcde"


def test_short_writes_are_completed_by_who_writes(path):
    disk = FakeDisk(short_writes=3)
    write_all(disk.open(path, create=True), b"abcdefgh")
    assert path.read_bytes() == b"abcdefgh"
    assert disk.count("write") == 3


def test_losing_power_keeps_what_was_synced_and_only_chosen_sectors(path):
    disk = FakeDisk()
    file = disk.open(path, create=True)
    file.write(b"s" * 700)
    file.sync()
    file.write(b"u" * 1500)
    disk.lose_power(path, size_bytes=2000, keep=lambda sector: sector == 2)
    content = path.read_bytes()
    assert content == b"s" * 700 + bytes(324) + b"u" * 512 + bytes(464)
