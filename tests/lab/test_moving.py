from __future__ import annotations

import hashlib

import pytest

from outagekit.lab.moving import answer_file
from outagekit.playbook.model import Drill, DrillStep, Fetch, Push
from outagekit.transports.protocol import Captured, Outcome
from outagekit.transports.windows.files import (
    CHUNK_BYTES,
    Refused,
    Told,
    chunk_command,
    parse_told,
    put_command,
    stat_command,
)
from outagekit.transports.winrm.feeding import Feed

DATA = bytes(range(256)) * 700


@pytest.fixture
def one(machine, book, step):
    steps = (
        step("put", action=Push("a", "C:\\ProgramData\\ok\\It's.bin", b""), risk="change"),
        step("get", action=Fetch(("%ProgramData%\\old\\*.log",), 99)),
    )
    drill = Drill(state={"there": False}, steps={"put": DrillStep(set={"there": True})})
    return machine(book(steps=steps, targets="os:windows", drill=drill), system="windows")


def put(one, path, data=DATA, sent=None):
    digest = hashlib.sha256(data).hexdigest()
    command = put_command(path, len(data), digest)
    feed = Feed(command.stdin, data if sent is None else sent)
    pieces = b"".join(iter(feed.take, b""))
    return told(answer_file(one, "put", pieces))


def told(answer):
    return parse_told(Outcome(answer.exit_code, Captured(answer.stdout)))


def get(one, path):
    size = told(answer_file(one, "stat", stat_command(path).stdin)).size_bytes
    pieces = range(0, size, CHUNK_BYTES)
    return b"".join(
        told(answer_file(one, "chunk", chunk_command(path, at).stdin)).data for at in pieces
    )


def test_a_file_comes_back_as_it_was_put_by_any_of_its_names(one):
    assert put(one, "C:\\ProgramData\\ok\\It's.bin") == Told(len(DATA), hashes(DATA))
    for path in ("c:/PROGRAMDATA/ok/./it's.BIN", "%programdata%\\ok\\It's.bin"):
        assert get(one, path) == DATA
        seen = told(answer_file(one, "stat", stat_command(path, digest=True).stdin))
        assert seen.sha256 == hashes(DATA)


def hashes(data):
    return hashlib.sha256(data).hexdigest()


def test_the_step_that_pushes_a_file_is_done_by_it(one):
    put(one, "c:/programdata/OK/it's.bin", b"new")
    assert one.state == {"there": True}
    assert [(entry.step, entry.part, entry.ran) for entry in one.received] == [
        ("put", "script", True)
    ]


@pytest.mark.parametrize("sent", [b"", DATA[:-1], DATA[:-1] + b"x", DATA + b"x"])
def test_what_did_not_arrive_as_it_was_sent_is_refused(one, sent):
    found = put(one, "C:\\ProgramData\\ok\\a", sent=sent)
    assert isinstance(found, Refused)
    assert found.code == "cut"
    assert not one.received


@pytest.mark.parametrize(
    ("path", "code"), [("C:\\no\\such\\a", "parent"), ("C:\\ProgramData\\ok", "folder")]
)
def test_a_place_no_file_can_stand_at_is_refused(one, path, code):
    assert put(one, path).code == code


def test_a_file_that_is_not_there_is_missing(one):
    assert told(answer_file(one, "stat", stat_command("C:\\nope").stdin)).code == "missing"


def test_what_is_fetched_was_there_before(one):
    assert get(one, "C:\\ProgramData\\old\\1.log").endswith(b"of acme/srv-001\n")


def test_a_command_that_is_cut_does_nothing(one):
    stdin = stat_command("C:\\nope").stdin
    assert answer_file(one, "stat", stdin[: len(stdin) // 2]).how == "cut"


@pytest.mark.parametrize("fault", ["hang", "reset"])
def test_a_machine_that_hangs_or_resets_does_so_here_as_well(one, fault):
    one.fault = fault
    assert answer_file(one, "stat", stat_command("C:\\nope").stdin).ending == fault
