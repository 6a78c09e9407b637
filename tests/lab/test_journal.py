from __future__ import annotations

import json
import os
import stat
import threading

import pytest

from outagekit.events import EndpointId, StepId
from outagekit.lab.answers import Received
from outagekit.lab.journal import Journal, read_journal

ONE = EndpointId("acme/srv-001")


def entry(number=1):
    return Received(StepId("fix"), "script", number, "ab" * 32, ran=True, exit_code=0, mono_ns=5)


def test_every_command_is_a_line_as_soon_as_it_is_written(tmp_path):
    journal = Journal(tmp_path / "received.jsonl")
    journal.write(ONE, entry())
    (line,) = (tmp_path / "received.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "endpoint": "acme/srv-001",
        "step": "fix",
        "part": "script",
        "number": 1,
        "ran": True,
        "exit_code": 0,
        "sha256": "ab" * 32,
        "mono_ns": 5,
    }
    journal.close()


def test_lines_of_many_threads_stay_whole(tmp_path):
    journal = Journal(tmp_path / "j")
    threads = [
        threading.Thread(target=lambda: [journal.write(ONE, entry(n)) for n in range(50)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    assert sorted(line.number for line in read_journal(tmp_path / "j")) == sorted(
        list(range(50)) * 8
    )


def test_a_line_that_is_being_written_is_not_read_yet(tmp_path):
    path = tmp_path / "j"
    journal = Journal(path)
    journal.write(ONE, entry())
    journal.close()
    path.write_bytes(path.read_bytes() + b'{"endpoint":"ac')
    assert len(read_journal(path)) == 1


def test_what_comes_after_the_end_is_dropped(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.close()
    journal.close()
    journal.write(ONE, entry())
    assert read_journal(tmp_path / "j") == []


def test_a_file_that_is_there_is_not_written_over(tmp_path):
    (tmp_path / "j").write_text("mine")
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "j")


@pytest.mark.skipif(os.name == "nt", reason="permission bits of POSIX")
def test_it_is_private(tmp_path):
    Journal(tmp_path / "j").close()
    assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600
