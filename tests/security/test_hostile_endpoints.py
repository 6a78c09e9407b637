"""What endpoints send: no screen obeys it, no memory holds it, no end state believes it."""

from __future__ import annotations

import json
import struct
import sys

import pytest

from outagekit.log.verify import verify

READ = ("exec", "--read", "--limit", "all", "--sh", "anything", "--timeout", "8")


def says(*texts, code=0):
    def act(visit):
        for text in texts:
            visit.say(text)
            visit.say(text, error=True)
        visit.done(code)

    return act


def ends(ran):
    assert ran.out, ran.err
    return {e["endpoint"].partition("/")[2]: e for e in json.loads(ran.out)["endpoints"]}


def require_lines(text):
    """Fail unless each event is one line, however a reader tells lines."""
    assert len(text.splitlines()) == text.count("\n")
    for line in text.splitlines():
        json.loads(line)


def test_no_control_character_of_an_endpoint_reaches_a_screen_or_the_log(
    hostile, controls, manners
):
    msp = hostile(
        fine=says(controls + "\n"),
        bad=says(controls, code=7),
        notsh=manners(identify=says(controls, code=9)),
        named=manners(identify=says(f"machine-id={controls}\nboot-id={controls}\n")),
        killed=lambda visit: visit.killed_by(controls.encode()),
        rude=manners(login=lambda host, _: host.hang_up(controls.encode()) or 2),
        bytes=says(bytes(range(256)) * 40 + b"\n"),
    )
    for shown in (("--plain", "-vv"), ("--json",), ("--events", "jsonl", "-vv")):
        ran = msp.call(*READ, *shown)
        assert ran.code == 3
        ran.require_calm()
        require_lines((ran.run / "log.jsonl").read_text())
        if "jsonl" in shown:
            require_lines(ran.out)
        if "--json" in shown:
            found = {name: (e["state"], e["failure"]) for name, e in ends(ran).items()}
            assert found == {
                "fine": ("ok", None),
                "bad": ("failed", "exit_code"),
                "notsh": ("failed", "protocol"),
                "named": ("ok", None),
                "killed": ("failed", "exit_code"),
                "rude": ("failed", "auth"),
                "bytes": ("ok", None),
            }
    for words in ((), ("-vv",), ("--json",)):
        shown = msp.again(ran.state, "log", "show", *words)
        assert shown.code == 0
        shown.require_calm()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak memory of a child of Linux")
def test_floods_on_both_streams_cost_little_memory(hostile):
    block = (b"\x1b[31m" + b"x" * 1000 + b"\r\n") * 64

    def flood(visit):
        for _ in range(24 * 1024 * 1024 // len(block)):
            visit.say(block)
            visit.say(block, error=True)
        visit.done()

    def one_line(visit):
        for _ in range(12 * 16):
            visit.say(b"y" * 65536)
        visit.done()

    msp = hostile(flood=flood, line=one_line)
    count = (
        "import re, runpy, sys; sys.argv = ['outagekit', *sys.argv[1:]]\n"
        "try: runpy.run_module('outagekit', run_name='__main__')\n"
        # Not ru_maxrss: that begins with the peak of the process that started this one.
        "finally: print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1],"
        " file=sys.stderr)\n"
    )
    (msp.folder / "measured.py").write_text(count)
    ran = msp.call(*READ[:-1], "60", "--json", through=("measured.py",))
    assert {e["state"] for e in ends(ran).values()} == {"ok"}
    peak_kb = int(ran.err.split()[-1])
    assert peak_kb < 160 * 1024
    assert len(ran.kept()) < 8 * 1024 * 1024


def test_drips_and_endless_output_end_by_the_deadline_as_unknown(hostile, manners):
    def endless(visit):
        while True:
            visit.say(b"y\n" * 16384)

    def drip(visit):
        while not visit.channel.closed:
            visit.say(b"\x1b")
            visit.pause(0.05)

    msp = hostile(endless=endless, drip=drip)
    ran = msp.call(*READ[:-1], "1", "--json")
    assert {(e["state"], e["failure"]) for e in ends(ran).values()} == {("unknown", "timeout")}
    ran.require_calm()


def test_exit_codes_are_told_as_they_were_sent(hostile):
    def leaves(code):
        return lambda visit: visit.done(code)

    msp = hostile(
        c255=leaves(255),
        huge=leaves(0xFFFFFFFF),
        none=lambda visit: visit.channel.close(),
        cut=lambda visit: visit.channel.transport.close(),
    )
    ran = msp.call(*READ, "--json")
    found = ends(ran)
    assert found["c255"]["detail"] == "exit code 255"
    assert found["huge"]["detail"] == "exit code 4294967295"
    assert (found["none"]["state"], found["none"]["failure"]) == ("unknown", "lost")
    assert (found["cut"]["state"], found["cut"]["failure"]) == ("unknown", "lost")


RESULTS = {
    "deep": '{"n": 1, "t": ' + "[" * 30_000 + "]" * 30_000 + "}",
    "huge": '{"n": 1, "t": "' + "h" * 3_000_000 + '"}',
    "long": '{"n": 1, "t": "' + "h" * 60_000 + '"}',
    "wide": '{"n": 1, "t": "' + "\u202e" * 15_000 + '"}',
    "nan": '{"n": NaN, "t": "x"}',
    "half": '{"n": 1, "t": "\\ud800x"}',
    "digits": '{"n": ' + "9" * 5_000 + ', "t": "x"}',
    "list": "[1, 2]",
    "none": "",
}
FITTING = {
    "twice": ('{"n": 1, "n": 2, "t": "a", "t": "b"}', {"n": 2, "t": "b"}),
    "number": ('{"n": ' + "9" * 4_000 + ', "t": "x"}', {"n": int("9" * 4_000), "t": "x"}),
    "almost": ('{"n": 1, "t": "' + "h" * 48_000 + '"}', {"n": 1, "t": "h" * 48_000}),
    "shown": (json.dumps({"n": 1, "t": "\x1b[31m\u202e"}), {"n": 1, "t": "\x1b[31m\u202e"}),
}


def test_a_result_is_taken_whole_or_not_at_all(hostile):
    told = {**RESULTS, **{name: text for name, (text, _) in FITTING.items()}}
    msp = hostile(**{name: says(f"\n{text}\n") for name, text in told.items()})
    msp.playbook(
        "tell",
        "  - {id: tell, phase: assess, risk: read, sh: anything, result: {n: int, t: text}}\n"
        "  - id: use\n    phase: fix\n    check: anything\n    sh: anything\n"
        "    when: tell.n > 0 and tell.t != ''\n    with: {n: tell.n, t: tell.t}\n",
    )
    ran = msp.call("run", "tell", "--json", "--yes", "-vv")
    ran.require_calm()
    found = ends(ran)
    for name in RESULTS:
        assert (found[name]["state"], found[name]["failure"]) == ("failed", "bad_result"), name
    for name, (_, wanted) in FITTING.items():
        assert found[name]["state"] == "ok", (name, found[name]["detail"])
        assert found[name]["steps"]["tell"]["result"] == wanted, name
    records = map(json.loads, (ran.run / "log.jsonl").read_text().splitlines())
    logged = {r["endpoint"]: r["result"] for r in records if r.get("result")}
    assert logged == {f"acme/{name}": wanted for name, (_, wanted) in FITTING.items()}
    assert verify(ran.run).ok


def sftp(answer):
    """Serve SFTP by `answer(kind, request_id)`, which returns packets."""

    def take(channel, size):
        data = b""
        while len(data) < size:
            piece = channel.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def serve(channel):
        take(channel, struct.unpack(">I", take(channel, 4))[0])
        channel.sendall(packet(2, struct.pack(">I", 3)))
        while True:
            request = take(channel, struct.unpack(">I", take(channel, 4))[0])
            channel.sendall(answer(request[0], request[1:5]))

    return serve


def packet(kind, body):
    return struct.pack(">IB", len(body) + 1, kind) + body


def status(number, code, words):
    text = struct.pack(">I", len(words)) + words
    return packet(101, number + struct.pack(">I", code) + text + struct.pack(">I", 0))


def file_of(mode, content):
    """Answer as a server with one file of 10 bytes, whose reads give `content(number)`."""

    def answer(kind, number):
        if kind in {7, 8, 17}:
            return packet(105, number + struct.pack(">IQI", 5, 10, mode))
        if kind == 3:
            return packet(102, number + struct.pack(">I", 1) + b"h")
        return content(number) if kind == 5 else status(number, 0, b"")

    return answer


def test_a_fetch_takes_regular_files_of_the_size_allowed_only(hostile, controls, manners):
    block = b"g" * 32768
    growing = file_of(0o100644, lambda n: packet(103, n + struct.pack(">I", len(block)) + block))
    served = {
        "growing": (growing, "size"),
        "link": (file_of(0o120777, lambda n: b""), "protocol"),
        "folder": (file_of(0o040755, lambda n: b""), "protocol"),
        "pipe": (file_of(0o010644, lambda n: b""), "protocol"),
        "device": (file_of(0o020666, lambda n: b""), "protocol"),
        "huge": (file_of(0o100644, lambda n: struct.pack(">IB", 0x7FFFFFFF, 103)), "protocol"),
        "short": (file_of(0o100644, lambda n: packet(103, n)), "protocol"),
        "words": (lambda kind, n: status(n, 4, controls.encode()), "protocol"),
        "noise": (lambda kind, n: status(n, 4, b"\xff\xfe\xed\xa0"), "protocol"),
        "odd": (lambda kind, n: packet(250, n + b"odd"), "protocol"),
        "empty": (lambda kind, n: packet(105, n), "protocol"),
    }
    users = {name: manners(sftp=sftp(answer)) for name, (answer, _) in served.items()}
    users["chatty"] = manners(sftp=lambda channel: channel.sendall(controls.encode() * 9))
    msp = hostile(**users)
    msp.playbook(
        "get",
        "  - {id: get, phase: assess, fetch: {paths: [/x], max: 1MiB}, timeout: 5s}\n",
    )
    ran = msp.call("run", "get", "--json")
    ran.require_calm()
    found = ends(ran)
    for name, (_, failure) in served.items():
        got = (found[name]["state"], found[name]["failure"])
        assert got == ("failed", failure), (name, found[name]["detail"])
    assert found["chatty"]["failure"] == "protocol"
    assert [p for p in (ran.run / "evidence").rglob("*") if p.is_file()] == []
