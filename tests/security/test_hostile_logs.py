"""Logs and run folders that somebody else wrote: shown harmlessly, judged rightly, no traceback."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import msgspec
import pytest

from outagekit.events import EndState, Note, RunId, RunOpened, StepFinished
from outagekit.log.record import decode_line, encode_event, seed

RUN = "20261122T100000Z-x-abcd"
OPENED = {
    "event": "run.opened",
    **{field.encode_name: "x" for field in msgspec.structs.fields(RunOpened) if field.required},
}
only_posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX files")


def sealed(*events, at="2026-11-22T10:00:00.000000Z", version=1, run=RUN):
    """Return log lines whose hashes are right, whatever they say; events may be raw JSON."""
    prev, lines = seed(RunId(run)), b""
    for seq, event in enumerate(events):
        body = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)[1:-1]
        head = (
            f'{{"v":{version},"seq":{seq},"at":{json.dumps(at)},"mono":{seq},"life":"l",'
            f'"run":{json.dumps(run)},{body},"dur":-1,"prev":"{prev}"'
        ).encode("utf-8", "surrogatepass")
        prev = hashlib.sha256(head).hexdigest()
        lines += head + f',"sha":"{prev}"}}\n'.encode()
    return lines


def hostile_events(controls):
    """Return one event of each kind that can be made of text alone, with it in every field."""
    example = {str: controls, int: -1, bool: True}
    opened = {
        f.encode_name: example.get(f.type, controls) for f in msgspec.structs.fields(RunOpened)
    }
    opened |= {"clients": [controls], "endpoints": 1, "drill": False, "event": "run.opened"}
    finished = StepFinished(
        endpoint="acme/a",
        step="s",
        state=EndState.FAILED,
        detail=controls,
        attempt="a",
        duration_ms=-(10**18),
        retry_in_ms=9 * 10**18,
        result={controls: [controls, {controls: controls}]},
    )
    plain = [finished, Note(text=controls, who=controls)]
    return [opened, *({**msgspec.to_builtins(event)} for event in plain)]


@pytest.fixture
def call(call_in, tmp_path):
    def run(*words):
        ran = call_in(tmp_path, *words)
        ran.require_calm()
        return ran

    return run


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "state" / "runs" / RUN
    made.mkdir(parents=True)
    return made


def require_harmless(text):
    assert all(c.isprintable() or c == "\n" for c in text), repr(text)


def test_nothing_in_a_log_reaches_the_screen_as_it_is(call, folder, controls):
    (folder / "log.jsonl").write_bytes(sealed(*hostile_events(controls)))
    for words in (("list",), ("show",), ("verify",)):
        for more in ((), ("--json",), ("-vv",)):
            shown = call("log", *words, *more)
            assert shown.code == 0, shown.spoken()
            require_harmless(shown.spoken())
    assert json.loads(call("log", "show", "--json").out)[1]["event"]["detail"] == controls


@pytest.fixture(params=["UTC0", "WEST12", "EAST-14"])
def zone(request, monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("this system takes its zone from elsewhere")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    "at",
    ["", "yesterday", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "\x1b[31m", "2026-11-22"],
)
@pytest.mark.usefixtures("zone")
def test_a_record_whose_time_is_none_is_still_shown(call, folder, at):
    events = hostile_events("words")
    (folder / "log.jsonl").write_bytes(sealed(*events, at=at))
    shown = call("log", "show")
    assert shown.code == 0
    assert "words" in shown.out
    require_harmless(shown.spoken())


NO_LOGS = {
    "a newer format": sealed(OPENED, version=2),
    "JSON too deep": sealed('"event":"note","x":' + "[" * 20_000 + "]" * 20_000),
    "no fields of a record": sealed(OPENED).replace(b'"seq":0', b'"seq":"0"'),
    "gzip": gzip.compress(b"hello" * 99),
    "escapes": b"\x1b[31m" * 99,
    "another file": b"root:x:0:0:root:/root:/bin/bash\n",
}


@pytest.mark.parametrize("content", NO_LOGS.values(), ids=NO_LOGS)
def test_what_is_no_log_of_ours_is_damage_and_not_torn(call, folder, content):
    if b'"seq":"0"' in content:
        head, _, _ = content.rpartition(b',"sha":"')
        content = head + b',"sha":"%s"}\n' % hashlib.sha256(head).hexdigest().encode()
    (folder / "log.jsonl").write_bytes(content)
    for words in ("show", "verify"):
        shown = call("log", words)
        assert shown.code == 9, shown.spoken()
        require_harmless(shown.spoken())
    assert "damaged" in call("log", "list").out


@pytest.mark.parametrize("tail", [b"", b"\0" * 5000, b'{"v":1,"se', b'{"v":\0\0\0'])
def test_a_first_record_that_the_power_cut_is_torn_and_no_damage(call, folder, tail):
    (folder / "log.jsonl").write_bytes(tail)
    assert call("log", "verify").code == 0


def test_an_unknown_event_of_a_newer_version_is_named_and_the_chain_still_holds(call, folder):
    later = {"event": "zz\x1b[31m", "x": 1}
    (folder / "log.jsonl").write_bytes(sealed(*hostile_events("w"), later))
    assert call("log", "verify").code == 0
    shown = call("log", "show")
    assert shown.code == 9
    assert "newer version" in shown.spoken()
    require_harmless(shown.spoken())


def vouching(path):
    saved = {
        "event": "evidence.saved",
        "endpoint": "acme/a",
        "step": "s",
        "attempt": "a",
        "source": "x",
        "path": path,
        "size_bytes": 1,
        "sha256": "0" * 64,
    }
    return sealed(*hostile_events("w"), saved)


def a_pipe(path):
    os.mkfifo(path)


def a_circle(path):
    path.symlink_to(path.name)


def a_device(path):
    path.symlink_to("/dev/zero")


def a_way_out(path):
    path.symlink_to("/etc/passwd")


def a_folder(path):
    path.mkdir()


def nothing(_path):
    pass


@only_posix
@pytest.mark.parametrize("make", [a_pipe, a_circle, a_device, a_way_out, a_folder, nothing])
def test_verify_waits_for_no_pipe_and_reads_no_device_in_an_evidence_files_place(
    call, folder, make
):
    (folder / "log.jsonl").write_bytes(vouching("thing"))
    make(folder / "thing")
    assert call("log", "verify").code == 9


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../" * 9 + "etc/passwd", "a\0b", "a/" * 3000, "."]
)
def test_verify_leaves_the_run_folder_for_no_name_in_a_log(call, folder, path):
    (folder / "log.jsonl").write_bytes(vouching(path))
    assert call("log", "verify").code == 9


@only_posix
@pytest.mark.parametrize("make", [a_pipe, a_circle, a_device, a_folder])
@pytest.mark.parametrize("name", ["anchors.txt", "owner.json"])
def test_nothing_beside_a_log_makes_a_look_at_it_hang(call, folder, make, name):
    (folder / "log.jsonl").write_bytes(sealed(*hostile_events("w")))
    make(folder / name)
    for words in ("list", "show", "verify"):
        shown = call("log", words)
        assert shown.code in {0, 9}
        require_harmless(shown.spoken())


@only_posix
def test_junk_among_the_runs_hides_none_of_them_and_is_never_the_last(call, folder, tmp_path):
    (folder / "log.jsonl").write_bytes(sealed(*hostile_events("w")))
    runs = tmp_path / "state" / "runs"
    (runs / "notes.txt").write_text("x")
    for name, make in {
        "zz-pipe": a_pipe,
        "zz-circle": a_circle,
        "zz-device": a_device,
        "zz-folder": a_folder,
        "zz-passwd": a_way_out,
    }.items():
        (runs / name).mkdir()
        make(runs / name / "log.jsonl")
    (runs / "zz\x1b[31m\u202e").mkdir()
    (runs / "zz\x1b[31m\u202e" / "log.jsonl").write_bytes(b"x")
    if sys.platform == "linux":
        (runs / os.fsdecode(b"zz\xff\xfe")).mkdir()
        (runs / os.fsdecode(b"zz\xff\xfe") / "log.jsonl").write_bytes(b"x")
    shown = call("log", "list")
    assert shown.code == 0
    assert RUN in shown.out
    require_harmless(shown.spoken())
    assert json.loads(call("log", "list", "--json").out)[0]["run"] == RUN
    assert call("log", "verify", "last").code == 0


def test_a_run_of_another_user_hides_none_of_ours(call, folder, tmp_path, monkeypatch):
    (folder / "log.jsonl").write_bytes(sealed(*hostile_events("w")))
    shut, locked = (tmp_path / "state" / "runs" / f"20990101T00000{n}Z-a-abcd" for n in (1, 2))
    for path in (shut, locked):
        path.mkdir()
        (path / "log.jsonl").write_text("x")
    is_file, open_file = Path.is_file, os.open

    def looked_at(path):
        if path.parent == shut:
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    def opened(path, *how):
        if Path(path).parent == locked:
            raise PermissionError(13, "Permission denied")
        return open_file(path, *how)

    # Root may read everything, so that file modes alone would not show it.
    monkeypatch.setattr(Path, "is_file", looked_at)
    monkeypatch.setattr(os, "open", opened)
    shown = call("log", "list", "--json")
    assert shown.code == 0
    standing = {run["run"]: run["standing"] for run in json.loads(shown.out)}
    assert standing == {locked.name: "unreadable", RUN: "open"}


def test_a_log_holds_nothing_a_terminal_obeys_or_a_reader_takes_for_a_line_end(controls):
    text = controls + "\x7f\x80\x9f\u2028\u2029\u00ad\u200f ü 漢 😀"
    body = encode_event(Note(text=text)).body.decode()
    assert body.isprintable()
    assert "ü 漢 😀" in body
    line = sealed(body)
    assert len(line.decode().splitlines()) == 1
    assert decode_line(line).event == Note(text=text)
