from __future__ import annotations

import threading
import time

import pytest

from outagekit.errors import LogDamaged, LogUnwritable
from outagekit.events import (
    Checkpoint,
    ClockJumped,
    EventUnencodable,
    LogRepaired,
    Note,
    RunResumed,
)
from outagekit.log import subscribers
from outagekit.log.reader import read_records
from outagekit.log.record import read_header
from outagekit.log.verify import verify
from outagekit.log.writer import CHECKPOINT_RECORDS, MAX_GROUP_RECORDS, LogWriter
from outagekit.testing.log_file import FakeDisk

NEVER_S = 60.0  # a lag no test waits for


def note(number=0):
    return Note(text=f"note {number}")


def records_of(folder):
    return list(read_records(folder.path))


def events_of(folder):
    return [record.event for record in records_of(folder)]


def durs_of(folder):
    return [read_header(line).dur for line in folder.log.read_bytes().splitlines(keepends=True)]


def until(condition, limit_s=5.0):
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Gate:
    """Holds every sync of a disk until it is opened."""

    def __init__(self):
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self):
        self.reached.set()
        assert self.opened.wait(10)


def test_a_place_in_the_log_is_known_at_once(folder, clock):
    with LogWriter.create(folder, clock=clock, lag_s=NEVER_S) as writer:
        first, second = writer.append(note()).record, writer.append(note()).record
        assert (first.seq, second.seq) == (0, 1)
        assert first.at == "2026-11-22T08:00:00.000000Z"
        assert (first.mono, first.run, first.life) == (clock.mono, folder.run, writer.life)


def test_waiting_returns_only_when_the_record_is_on_disk(folder):
    disk = FakeDisk()
    with LogWriter.create(folder, opener=disk.open, lag_s=NEVER_S) as writer:
        for number in range(20):
            writer.append(note(number)).wait()
            assert f'"note {number}"'.encode() in disk.synced(folder.log)


def test_what_nobody_waits_for_is_synced_soon(folder):
    disk = FakeDisk()
    with LogWriter.create(folder, opener=disk.open) as writer:
        writer.append(note())
        until(lambda: disk.synced(folder.log), 2.0)


def test_what_nobody_waits_for_shares_the_sync_of_who_waits(folder):
    disk = FakeDisk()
    with LogWriter.create(folder, opener=disk.open, lag_s=NEVER_S) as writer:
        for number in range(30):
            writer.append(note(number))
        assert disk.count("sync") == 0
        writer.append(note(30)).wait()
        assert disk.count("sync") == 1


def test_while_one_group_is_synced_the_next_gathers(folder):
    gate = Gate()
    disk = FakeDisk(before_sync=gate)
    with LogWriter.create(folder, opener=disk.open, lag_s=0) as writer:
        first = writer.append(note())
        assert gate.reached.wait(5)
        rest = [writer.append(note(number)) for number in range(1, 101)]
        gate.opened.set()
        first.wait()
        rest[-1].wait()
        assert disk.count("sync") == 2
    assert durs_of(folder)[:101] == [-1] + [0] * 100


def test_a_group_is_never_larger_than_its_limit(folder):
    disk = FakeDisk()
    gate = Gate()
    disk = FakeDisk(before_sync=gate)
    with LogWriter.create(folder, opener=disk.open, lag_s=NEVER_S) as writer:
        for number in range(MAX_GROUP_RECORDS + 1):
            last = writer.append(note(number))
        gate.opened.set()
        last.wait()
        assert disk.count("sync") == 2


def test_a_group_of_large_records_is_written_before_it_is_many(folder):
    disk = FakeDisk()
    with LogWriter.create(folder, opener=disk.open, lag_s=NEVER_S) as writer:
        for _ in range(40):
            writer.append(Note(text="x" * 40_000))
        until(lambda: disk.count("sync") >= 1)
        assert max(done.size_bytes for done in disk.operations) < 1_200_000


def test_many_threads_get_a_chain_without_gaps(folder):
    def work(writer, number):
        for turn in range(25):
            writer.append(note(number * 100 + turn)).wait()

    with LogWriter.create(folder) as writer:
        threads = [threading.Thread(target=work, args=(writer, n)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    texts = [event.text for event in events_of(folder) if isinstance(event, Note)]
    assert sorted(texts) == sorted(
        f"note {n * 100 + turn}" for n in range(16) for turn in range(25)
    )
    assert verify(folder.path).ok


def test_a_record_is_called_durable_only_after_its_sync(folder):
    with LogWriter.create(folder, lag_s=NEVER_S) as writer:
        for number in range(10):
            writer.append(note(number)).wait()
    assert durs_of(folder) == list(range(-1, 10))


def test_closing_writes_what_is_queued_and_a_last_checkpoint_of_its_own(folder):
    disk = FakeDisk()
    writer = LogWriter.create(folder, opener=disk.open, lag_s=NEVER_S)
    writer.append(note(1))
    writer.append(note(2))
    head = writer.close()
    records = records_of(folder)
    assert [type(record.event) for record in records] == [Note, Note, Checkpoint]
    assert records[-1].event == Checkpoint(head_seq=1, head_sha=records[1].sha)
    assert (head.seq, head.sha) == (2, records[2].sha)
    assert durs_of(folder) == [-1, -1, 1]
    assert writer.close() == head
    assert writer.failed is None
    assert disk.count("close") == 1


def test_a_log_in_which_nothing_happened_gets_no_checkpoint(folder):
    LogWriter.create(folder).close()
    assert folder.log.read_bytes() == b""
    assert not folder.anchors.exists()


def test_a_checkpoint_is_made_every_thousand_records(folder):
    with LogWriter.create(folder, lag_s=NEVER_S) as writer:
        for number in range(2 * CHECKPOINT_RECORDS + 10):
            writer.append(note(number))
    records = records_of(folder)
    checkpoints = [record for record in records if isinstance(record.event, Checkpoint)]
    assert len(checkpoints) == 3
    for record in checkpoints:
        assert record.event.head_seq == record.seq - 1
        assert record.event.head_sha == records[record.seq - 1].sha


def test_a_checkpoint_is_made_after_thirty_seconds(folder, clock):
    with LogWriter.create(folder, clock=clock, lag_s=NEVER_S) as writer:
        writer.append(note(1)).wait()
        clock.pass_s(29)
        writer.append(note(2)).wait()
        clock.pass_s(1)
        writer.append(note(3)).wait()
        writer.append(note(4)).wait()
    kinds = [type(event).__name__ for event in events_of(folder)]
    assert kinds == ["Note", "Note", "Note", "Checkpoint", "Note", "Checkpoint"]


def test_the_text_of_a_checkpoint_is_kept_beside_the_log(folder):
    with LogWriter.create(folder, lag_s=NEVER_S) as writer:
        writer.append(note(1)).wait()
    note_record, checkpoint = records_of(folder)
    assert folder.anchors.read_text().splitlines() == [
        f"outagekit-log-v1 {folder.run} 0:{note_record.sha} {checkpoint.at}",
        f"outagekit-log-v1 {folder.run} 1:{checkpoint.sha} {checkpoint.at}",
    ]


def test_a_disk_that_takes_no_anchor_does_not_stop_the_log(folder):
    folder.anchors.mkdir()
    with LogWriter.create(folder) as writer:
        writer.append(note(1)).wait()
    assert writer.failed is None


def test_a_jump_of_the_wall_clock_is_recorded_once(folder, clock):
    with LogWriter.create(folder, clock=clock) as writer:
        writer.append(note(1))
        clock.pass_s(100)
        clock.wall += 1_900_000_000
        writer.append(note(2))
        clock.wall -= 3_600_000_000_000
        writer.append(note(3))
        writer.append(note(4))
    jumps = [event for event in events_of(folder) if isinstance(event, ClockJumped)]
    assert jumps == [ClockJumped(by_ms=-3_598_100)]
    assert verify(folder.path).ok
    assert "the wall clock goes back 1 time" in verify(folder.path).warnings[0]


def test_an_event_that_cannot_be_written_hurts_nobody(folder):
    with LogWriter.create(folder) as writer:
        broken = writer.append(Note(text=object()))
        broken.wait()
        writer.append(note(2)).wait()
    assert isinstance(broken.record.event, EventUnencodable)
    assert [record.seq for record in records_of(folder)] == [0, 1, 2]


def test_nothing_is_appended_after_closing(folder):
    writer = LogWriter.create(folder)
    writer.close()
    with pytest.raises(LogUnwritable, match="is closed"):
        writer.append(note())


def test_a_log_is_created_once(folder):
    LogWriter.create(folder).close()
    with pytest.raises(LogUnwritable, match="cannot be made"):
        LogWriter.create(folder)


def test_a_disk_that_hangs_is_told_to_who_waits(folder):
    gate = Gate()
    disk = FakeDisk(before_sync=gate)
    writer = LogWriter.create(folder, opener=disk.open)
    pending = writer.append(note())
    with pytest.raises(LogUnwritable, match=r"did not take record 0 within 0.02 s"):
        pending.wait(timeout_s=0.02)
    gate.opened.set()
    pending.wait()
    writer.close()


def test_a_bug_in_the_writer_is_told_to_who_waits(folder, monkeypatch):
    writer = LogWriter.create(folder, lag_s=NEVER_S)

    def broken(_group):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(writer._tail, "write", broken)
    with pytest.raises(LogUnwritable, match="ZeroDivisionError: a bug"):
        writer.append(note()).wait()
    with pytest.raises(LogUnwritable):
        writer.append(note())
    writer.close()


def test_a_resume_is_a_new_life_on_the_same_chain(folder):
    with LogWriter.create(folder) as first:
        first.append(note(1))
    with LogWriter.resume(folder) as second:
        assert second.life != first.life
        assert second.append(RunResumed(os_user="ops", version="1")).record.seq == 2
    lives = [record.life for record in records_of(folder)]
    assert lives == [first.life] * 2 + [second.life] * 2
    assert durs_of(folder) == [-1, 0, 1, 2]
    assert verify(folder.path).ok


def test_a_resume_cuts_a_torn_tail_and_records_it(folder):
    with LogWriter.create(folder) as writer:
        writer.append(note(1)).wait()
    with folder.log.open("ab") as file:
        file.write(b'{"v":1,"seq":2,"at"')
    with LogWriter.resume(folder) as writer:
        writer.append(note(2))
    events = events_of(folder)
    assert isinstance(events[2], LogRepaired)
    assert (events[2].removed_bytes, events[2].kept_as) == (19, "log.torn-1")
    assert events[3] == note(2)
    assert verify(folder.path).ok


def test_a_damaged_log_is_not_resumed(folder):
    with LogWriter.create(folder, lag_s=NEVER_S) as writer:
        for number in range(5):
            writer.append(note(number)).wait()
    content = folder.log.read_bytes()
    folder.log.write_bytes(content.replace(b"note 2", b"note 9"))
    with pytest.raises(LogDamaged, match=r"record 2, at byte \d+: its bytes do not match its hash"):
        LogWriter.resume(folder)
    assert folder.log.read_bytes() == content.replace(b"note 2", b"note 9")


def test_subscribers_hear_everything_once_it_is_on_disk_and_not_before(folder):
    disk = FakeDisk()
    heard = []

    def listen(records):
        for record in records:
            assert record.sha.encode() in disk.synced(folder.log)
            heard.append(record)

    with LogWriter.create(folder, opener=disk.open) as writer:
        writer.subscribe(listen)
        for number in range(200):
            writer.append(note(number))
    assert heard == records_of(folder)


def test_a_subscriber_that_raises_is_removed_and_noted(folder):
    calls = []
    heard = []

    def broken(records):
        calls.append(records)
        raise ValueError("\x1b[2J secret")

    with LogWriter.create(folder, lag_s=0) as writer:
        writer.subscribe(broken)
        writer.subscribe(heard.extend)
        writer.append(note(1)).wait()
        until(lambda: any("was removed" in record.event.text for record in heard))
        writer.append(note(2)).wait()
    texts = [event.text for event in events_of(folder) if isinstance(event, Note)]
    assert texts[1].endswith("broken was removed: it raised ValueError.")
    assert "secret" not in texts[1]
    assert texts[2] == "note 2"
    assert len(calls) == 1


def test_a_subscriber_that_blocks_for_ever_holds_nobody_up(folder):
    stuck = threading.Event()
    heard = []
    with LogWriter.create(folder, lag_s=0) as writer:
        writer.subscribe(lambda _: stuck.wait(20))
        writer.subscribe(heard.extend)
        for number in range(50):
            writer.append(note(number)).wait(timeout_s=5)
        until(lambda: len(heard) == 50)
        begun = time.monotonic()
        writer.close(drain_s=0.02)
        assert time.monotonic() - begun < 5
    stuck.set()
    assert len(records_of(folder)) == 51


def test_a_subscriber_hopelessly_behind_is_removed_and_noted(folder, monkeypatch):
    monkeypatch.setattr(subscribers, "_MAX_BACKLOG", 20)
    stuck = threading.Event()
    with LogWriter.create(folder, lag_s=0) as writer:
        writer.subscribe(lambda _: stuck.wait(20))
        for number in range(30):
            writer.append(note(number)).wait()
        stuck.set()
    texts = [event.text for event in events_of(folder) if isinstance(event, Note)]
    assert sum("it did not take what it was told" in text for text in texts) == 1


def test_a_subscriber_can_leave(folder):
    heard = []
    with LogWriter.create(folder, lag_s=0) as writer:
        leave = writer.subscribe(heard.extend)
        writer.append(note(1)).wait()
        until(lambda: heard)
        leave()
        writer.append(note(2)).wait()
    assert [record.event for record in heard] == [note(1)]


def test_a_subscriber_may_append(folder):
    with LogWriter.create(folder, lag_s=0) as writer:

        def answer(records):
            for record in records:
                if record.event == note(1):
                    writer.append(note(2)).wait()

        writer.subscribe(answer)
        writer.append(note(1)).wait()
        until(lambda: writer.head.seq >= 1)
    assert events_of(folder)[:2] == [note(1), note(2)]
