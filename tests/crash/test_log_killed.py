"""The log of a process that is killed, and two processes that want the same log."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import pytest

from outagekit.errors import LogUnwritable
from outagekit.events import LogRepaired, Note, RunId
from outagekit.log.folder import RunFolder
from outagekit.log.reader import read_records
from outagekit.log.verify import verify
from outagekit.log.writer import LogWriter

pytestmark = pytest.mark.crash

CHILD = """
import sys, threading
from pathlib import Path
from outagekit.events import Note, RunId
from outagekit.log.folder import RunFolder
from outagekit.log.writer import LogWriter

path = Path(sys.argv[1])
if path.exists():
    folder = RunFolder.open_existing(path)
    writer = LogWriter.resume(folder, lag_s=0)
else:
    folder = RunFolder.create(path.parent.parent, RunId(path.name))
    writer = LogWriter.create(folder, lag_s=0)
tell = threading.Lock()

def work(lane):
    number = 0
    while True:
        number += 1
        writer.append(Note(text="loose " + "x" * (number * 37 % 3000)))
        appended = writer.append(Note(text=f"{lane}.{number}"))
        appended.wait()
        with tell:
            print(appended.record.seq, f"{lane}.{number}", flush=True)

for lane in range(4):
    threading.Thread(target=work, args=(lane,), daemon=True).start()
threading.Event().wait()
"""


def child(path, **pipes):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, **pipes
    )


def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    path = tmp_path / "state" / "runs" / "one"
    rng = random.Random(20240719)
    acknowledged: dict[int, str] = {}
    begun = time.monotonic()
    for _ in range(15):
        with child(path) as process:
            told = [process.stdout.readline()]
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
            told += process.stdout.readlines()
        whole = [line.split() for line in told if line.endswith("\n")]
        acknowledged |= {int(seq): text for seq, text in whole}
        verdict = verify(path)
        assert verdict.ok, verdict.faults
        found = {record.seq: record.event for record in read_records(path)}
        assert all(found[seq] == Note(text=text) for seq, text in acknowledged.items())
        if time.monotonic() - begun > 14:
            break  # a slow machine has had its share
    assert len(acknowledged) > 50
    with RunFolder.open_existing(path) as folder, LogWriter.resume(folder) as writer:
        writer.append(Note(text="alive")).wait()
    records = list(read_records(path))
    assert len({record.life for record in records}) > 5
    repairs = [record for record in records if isinstance(record.event, LogRepaired)]
    assert len(repairs) == len(list(path.glob("log.torn-*")))
    assert verify(path).ok


def test_a_second_process_is_refused_and_told_who_writes(tmp_path):
    path = tmp_path / "state" / "runs" / "one"
    with child(path) as first:
        first.stdout.readline()
        before = path.joinpath("log.jsonl").stat().st_size
        try:
            with pytest.raises(LogUnwritable, match=f"held by process {first.pid} of "):
                RunFolder.open_existing(path)
            with child(path, stderr=subprocess.PIPE) as second:
                assert "LogUnwritable" in second.stderr.read()
            assert second.returncode == 1
            while path.joinpath("log.jsonl").stat().st_size <= before:
                time.sleep(0.001)
        finally:
            first.kill()
    assert verify(path).ok


def test_the_lock_of_a_killed_process_is_gone_with_it(tmp_path):
    path = tmp_path / "state" / "runs" / "one"
    with child(path) as process:
        process.stdout.readline()
        process.kill()
        process.stdout.read()
    with RunFolder.open_existing(path) as folder:
        assert folder.owner.pid != process.pid


def test_one_process_cannot_hold_a_folder_twice(tmp_path):
    with RunFolder.create(tmp_path / "state", RunId("one")) as folder:
        LogWriter.create(folder).close()
        for _ in range(20):
            with pytest.raises(LogUnwritable):
                RunFolder.open_existing(folder.path)
    RunFolder.open_existing(folder.path).close()
