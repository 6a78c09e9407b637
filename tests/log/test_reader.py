from __future__ import annotations

import hashlib
from types import GeneratorType

import pytest

from outagekit.errors import LogDamaged, NothingMatched
from outagekit.events import Note, RunClosed
from outagekit.log.reader import glance, read_records
from outagekit.log.record import decode_line
from outagekit.testing.log_file import log_lines


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


def test_records_are_read_in_order_from_a_file_or_its_folder(log, fifty):
    log.write_bytes(b"".join(fifty))
    expected = [decode_line(line) for line in fifty]
    assert list(read_records(log)) == expected
    assert list(read_records(log.parent)) == expected


def test_records_are_read_as_they_are_asked_for(log, fifty):
    log.write_bytes(b"".join(fifty[:30]) + b"broken\n" + b"".join(fifty[30:]))
    records = read_records(log)
    assert isinstance(records, GeneratorType)
    assert [next(records).seq for _ in range(30)] == list(range(30))
    with pytest.raises(LogDamaged, match=r"record 30, at byte \d+: it is not a whole record"):
        next(records)


def test_a_log_being_written_ends_at_its_last_whole_record(log, fifty):
    log.write_bytes(b"".join(fifty[:30]) + fifty[30][:-1])
    assert [record.seq for record in read_records(log)][-1] == 30
    log.write_bytes(b"".join(fifty[:30]) + fifty[30][:-2])
    assert [record.seq for record in read_records(log)][-1] == 29


def test_an_event_of_a_newer_version_is_an_error_that_says_so(log, run):
    (line,) = log_lines(run, [Note(text="x")])
    head = line[:-75].replace(b'"event":"note"', b'"event":"note.sung"')
    sha = hashlib.sha256(head).hexdigest().encode()
    log.write_bytes(head + b',"sha":"' + sha + b'"}\n')
    with pytest.raises(LogDamaged, match=r"record 0: its event 'note.sung' is unknown") as caught:
        list(read_records(log))
    assert "newer version" in caught.value.hint


def test_no_log_is_nothing_matched(log):
    with pytest.raises(NothingMatched, match="there is no log at"):
        list(read_records(log))
    with pytest.raises(NothingMatched):
        glance(log.parent)


def test_a_log_that_cannot_be_read_is_no_traceback(log):
    log.mkdir()
    (log / "log.jsonl").mkdir()
    with pytest.raises(LogDamaged, match="cannot be read"):
        list(read_records(log))


def test_a_glance_shows_both_ends_of_a_long_log(log, run, opened):
    lines = log_lines(
        run, (opened, *[Note(text="x" * 100)] * 5000, RunClosed(counts={}, exit_code=0))
    )
    log.write_bytes(b"".join(lines) + b'{"v":1,"seq"')
    seen = glance(log)
    assert seen.first.event == opened
    assert seen.last[-1].event == RunClosed(counts={}, exit_code=0)
    assert 100 < len(seen.last) < 1000
    assert [record.seq for record in seen.last] == list(range(5002 - len(seen.last), 5002))


def test_a_glance_at_rubble_shows_nothing(log):
    log.write_bytes(b"\x00\xff" * 5000 + b"\nx")
    assert (glance(log).first, glance(log).last) == (None, ())
