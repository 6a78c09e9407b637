from __future__ import annotations

import hashlib
import json
import os

import msgspec
import pytest

from outagekit.errors import NothingMatched
from outagekit.events import EvidenceSaved, Note, Output, PlanFrozen, StepPart
from outagekit.log.checkpoint import Anchor
from outagekit.log.reader import read_records
from outagekit.log.record import KNOWN_EVENTS
from outagekit.log.verify import Verdict, verify
from outagekit.log.writer import LogWriter
from outagekit.testing.log_file import log_lines


@pytest.fixture
def written(folder):
    """A closed run with a frozen plan, a spooled output and a piece of evidence."""
    evidence = folder.evidence / "acme" / "0123-x"
    evidence.parent.mkdir()
    evidence.write_bytes(b"evidence")
    long = "x" * 9000
    with LogWriter.create(folder, lag_s=60) as writer:
        writer.append(PlanFrozen(files={"plan.json": folder.freeze("plan.json", b"{}")})).wait()
        part = StepPart(
            endpoint="acme/a",
            step="s",
            attempt="1",
            part="script",
            command="0" * 64,
            stdout=Output(text="x", size_bytes=9000, sha256=folder.spool(long)),
        )
        writer.append(part).wait()
        saved = EvidenceSaved(
            endpoint="acme/a",
            step="s",
            attempt="1",
            source="/x",
            path="evidence/acme/0123-x",
            size_bytes=8,
            sha256=hashlib.sha256(b"evidence").hexdigest(),
        )
        writer.append(saved).wait()
        for number in range(5):
            writer.append(Note(text=f"note {number}")).wait()
    return folder


def edit(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


def test_a_good_run_is_ok(written):
    verdict = verify(written.path)
    assert verdict.ok
    assert (verdict.records, verdict.head_seq, verdict.run) == (9, 8, written.run)
    assert (verdict.anchors, verdict.files) == (2, 3)
    assert (verdict.faults, verdict.warnings, verdict.reason) == ((), (), "")
    assert verdict.head_sha == [record.sha for record in read_records(written.path)][-1]


def test_a_verdict_is_data(written):
    verdict = verify(written.path)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict


def test_an_altered_record_is_named_with_its_byte(written):
    lines = written.log.read_bytes().splitlines(keepends=True)
    edit(written.log, b"note 2", b"note 7")
    verdict = verify(written.path)
    offset = len(b"".join(lines[:5]))
    assert not verdict.ok
    assert (verdict.bad_seq, verdict.bad_offset, verdict.records) == (5, offset, 5)
    assert verdict.reason == f"record 5, at byte {offset}: its bytes do not match its hash"
    assert verdict.torn_bytes == 0


def test_a_torn_tail_is_no_fault_but_is_said(written):
    written.anchors.unlink()
    content = written.log.read_bytes()
    written.log.write_bytes(content[:-9])
    verdict = verify(written.path)
    assert verdict.ok
    assert (verdict.records, verdict.bad_seq) == (8, None)
    assert verdict.torn_bytes > 100
    assert "are torn at record 8" in verdict.warnings[0]


def test_records_dropped_at_the_end_are_found_by_the_anchors(written):
    lines = written.log.read_bytes().splitlines(keepends=True)
    written.log.write_bytes(b"".join(lines[:-1]))
    verdict = verify(written.path)
    assert verdict.reason == "the log is shorter than its anchor at record 8"
    written.anchors.unlink()
    assert verify(written.path).ok
    head = Anchor(8, json.loads(lines[-1])["sha"][:16])
    assert not verify(written.path, anchors=[head]).ok


def test_a_log_written_anew_does_not_hold_the_old_anchors(written):
    anchor = Anchor(3, list(read_records(written.path))[3].sha)
    written.anchors.unlink()
    events = [record.event for record in read_records(written.path)]
    events[3] = Note(text="nothing happened")
    written.log.write_bytes(b"".join(log_lines(written.run, events)))
    assert verify(written.path).ok
    verdict = verify(written.path, anchors=[anchor])
    assert not verdict.ok
    assert "record 3 is not the one the anchor" in verdict.reason
    assert verdict.anchors == 1


def test_an_anchor_a_person_gives_is_compared(written):
    records = list(read_records(written.path))
    good = [Anchor(record.seq, record.sha[:16]) for record in records]
    assert verify(written.path, anchors=good).anchors == 11
    assert verify(written.path, anchors=good).ok
    assert not verify(written.path, anchors=[Anchor(2, "0" * 16)]).ok


def test_an_emptied_log_is_found_by_its_anchors(written):
    written.log.write_bytes(b"")
    verdict = verify(written.path)
    assert (verdict.ok, verdict.records, verdict.run) == (False, 0, None)
    assert verdict.warnings == ("the log holds no record",)


@pytest.mark.parametrize("pattern", ["plan.json", "output/*", "evidence/*/*"])
def test_an_altered_or_missing_file_is_named(written, pattern):
    (path,) = written.path.glob(pattern)
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    shown = path.relative_to(written.path).as_posix()
    assert verify(written.path).faults == (f"{shown} was altered",)
    path.unlink()
    assert verify(written.path).faults == (f"{shown} is missing",)
    path.mkdir()
    assert verify(written.path).faults == (f"{shown} cannot be read",)


def test_a_kept_torn_tail_is_vouched_for(written):
    with written.log.open("ab") as file:
        file.write(b"torn")
    LogWriter.resume(written).close()
    assert verify(written.path).files == 4
    (written.path / "log.torn-1").write_bytes(b"worn")
    assert verify(written.path).faults == ("log.torn-1 was altered",)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a\0b", "\x1b[2J"])
def test_a_log_cannot_make_verify_read_elsewhere(folder, name):
    (folder.path.parent / "outside").write_bytes(b"x")
    with LogWriter.create(folder) as writer:
        writer.append(PlanFrozen(files={name: "0" * 64}))
    (fault,) = verify(folder.path).faults
    assert fault.endswith(("does not stand in the run folder", "is missing", "cannot be read"))
    assert "\x1b" not in fault


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_out_of_the_folder_is_a_fault(written, tmp_path):
    outside = tmp_path / "plan"
    written.plan.rename(outside)
    written.plan.symlink_to(outside)
    assert verify(written.path).faults == ("plan.json does not stand in the run folder",)


def test_a_log_file_alone_is_verified_without_what_lies_beside_it(written, tmp_path):
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(written.log.read_bytes())
    verdict = verify(copy)
    assert (verdict.ok, verdict.files, verdict.anchors) == (True, 0, 0)
    assert "only the log was verified" in verdict.warnings[0]


def test_no_log_is_nothing_matched(tmp_path):
    with pytest.raises(NothingMatched):
        verify(tmp_path)


def test_what_is_odd_is_a_warning(written, tmp_path):
    written.log.write_bytes(written.log.read_bytes()[:-1])
    with written.anchors.open("a") as file:
        file.write("rubble\n")
    moved = tmp_path / "moved"
    written.path.rename(moved)
    verdict = verify(moved)
    assert verdict.ok
    assert verdict.warnings == (
        "the last record lacks its newline",
        f"the folder does not have the name of its run, {written.run}",
        "1 line of anchors.txt are no anchors of this run",
    )


def test_events_of_a_newer_version_do_not_hinder_the_chain(folder, monkeypatch):
    lines = log_lines(folder.run, [Note(text="x")] * 3)
    folder.log.write_bytes(b"".join(lines))
    monkeypatch.setattr("outagekit.log.verify.KNOWN_EVENTS", KNOWN_EVENTS - {"note"})
    verdict = verify(folder.path)
    assert verdict.ok
    assert verdict.warnings == ("3 records cannot be read by this version, first 0",)
