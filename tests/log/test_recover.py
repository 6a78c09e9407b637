from __future__ import annotations

import hashlib
import os

import pytest

from outagekit.errors import LogDamaged, LogUnwritable
from outagekit.log.checkpoint import Anchor, anchor_line
from outagekit.log.reader import read_records
from outagekit.log.record import decode_line, seed
from outagekit.log.recover import recover
from outagekit.testing.log_file import FakeDisk


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


def test_a_good_log_is_left_alone_and_synced(log, fifty, run):
    log.write_bytes(b"".join(fifty))
    disk = FakeDisk()
    found = recover(log, run=run, opener=disk.open)
    assert (found.records, found.facts) == (50, ())
    assert found.head_sha == decode_line(fifty[-1]).sha
    assert found.size_bytes == len(log.read_bytes()) == len(b"".join(fifty))
    assert disk.count("sync") == 1  # what the next record calls durable must be


def test_a_torn_tail_is_cut_and_kept_aside(log, fifty, run):
    tail = fifty[48][:99]
    log.write_bytes(b"".join(fifty[:48]) + tail)
    found = recover(log, run=run)
    assert log.read_bytes() == b"".join(fifty[:48])
    kept = log.with_name("log.torn-1")
    assert kept.read_bytes() == tail
    (fact,) = found.facts
    assert (fact.offset, fact.removed_bytes) == (len(b"".join(fifty[:48])), 99)
    assert (fact.kept_as, fact.removed_sha256) == (kept.name, hashlib.sha256(tail).hexdigest())
    if os.name == "posix":
        assert kept.stat().st_mode & 0o777 == 0o600


def test_recovering_twice_is_the_same_as_once(log, fifty, run):
    log.write_bytes(b"".join(fifty) + bytes(700))
    once = recover(log, run=run)
    twice = recover(log, run=run)
    assert twice.facts == ()
    assert (twice.records, twice.head_sha, twice.size_bytes) == (50, once.head_sha, once.size_bytes)


def test_a_second_torn_tail_does_not_replace_the_first(log, fifty, run):
    log.write_bytes(b"".join(fifty) + b"one")
    recover(log, run=run)
    with log.open("ab") as file:
        file.write(b"two")
    (fact,) = recover(log, run=run).facts
    assert fact.kept_as == "log.torn-2"
    assert log.with_name("log.torn-1").read_bytes() == b"one"


def test_a_missing_last_newline_is_put_back(log, fifty, run):
    log.write_bytes(b"".join(fifty)[:-1])
    found = recover(log, run=run)
    assert found.facts == ()
    assert log.read_bytes() == b"".join(fifty)
    assert found.size_bytes == len(b"".join(fifty))


@pytest.mark.parametrize("content", [b"", bytes(100), b'{"v":1,"seq":0'])
def test_a_log_without_a_whole_record_begins_anew(log, run, content):
    log.write_bytes(content)
    found = recover(log, run=run)
    assert (found.records, found.head_sha, log.read_bytes()) == (0, seed(run), b"")


def test_corruption_is_refused_and_nothing_is_touched(log, fifty, run):
    content = b"".join(fifty).replace(b'"a20"', b'"a99"')
    log.write_bytes(content)
    with pytest.raises(LogDamaged, match="record 21, at byte ") as caught:
        recover(log, run=run)
    assert "log verify" in caught.value.hint
    assert log.read_bytes() == content
    assert not list(log.parent.glob("log.torn*"))


def test_the_log_of_another_run_is_refused(log, fifty):
    log.write_bytes(b"".join(fifty))
    with pytest.raises(LogDamaged, match="belongs to another run"):
        recover(log, run="20261122T081403Z-other-abcd")


def test_a_tail_cut_off_below_an_anchor_is_refused(log, fifty, run):
    log.write_bytes(b"".join(fifty[:40]))
    anchor = Anchor(45, decode_line(fifty[45]).sha)
    log.with_name("anchors.txt").write_text(anchor_line(run, anchor, "2026") + "\n")
    with pytest.raises(LogDamaged, match="shorter than its anchor at record 45"):
        recover(log, run=run)


def test_what_a_failed_sync_may_have_lost_is_written_anew(log, fifty, run):
    log.write_bytes(b"".join(fifty) + b"torn")
    durable = len(b"".join(fifty[:40]))
    disk = FakeDisk()
    recover(log, run=run, opener=disk.open, trusted_bytes=durable)
    assert log.read_bytes() == b"".join(fifty)
    truncated = next(done for done in disk.operations if done.verb == "truncate")
    assert truncated.size_bytes == durable


def test_a_missing_log_or_a_refusing_disk_is_a_log_that_cannot_be_written(log, fifty, run):
    with pytest.raises(LogUnwritable):
        recover(log, run=run)
    log.write_bytes(b"".join(fifty))
    with pytest.raises(LogUnwritable, match="Input/output error"):
        recover(log, run=run, opener=FakeDisk(fail_at=2).open)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_log_that_is_a_link_is_not_written_through(log, fifty, run, tmp_path):
    real = tmp_path / "elsewhere"
    real.write_bytes(b"".join(fifty))
    log.symlink_to(real)
    with pytest.raises(LogUnwritable):
        recover(log, run=run)


def test_reading_stops_quietly_at_a_torn_tail(log, fifty):
    log.write_bytes(b"".join(fifty[:48]) + fifty[48][:99])
    assert [record.seq for record in read_records(log)] == list(range(48))
