"""What a command says and how it ends, by every way: live, large, in every letter and code."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

from outagekit.events import FailureKind
from outagekit.transports.protocol import Limits, Outcome, Told
from outagekit.transports.windows.render import sent_as

if TYPE_CHECKING:
    from conftest import Stand, Steps, Way

MEGABYTE = 1024 * 1024
ASTRAL = "\U0001d518\U0001f9ef"
LETTERS = f"äöü ß Ω Жук 東京 \u0e01\u0e33 e\u0301 {ASTRAL} \u202f|&^%\"'<>` $x #"
CODES = {
    -1: -1,
    1: 1,
    3010: 3010,
    2147483647: 2147483647,
    -2147483648: -2147483648,
    4294967295: -1,
    3221225477: -1073741819,
    -1073741819: -1073741819,
}


def ended(outcome: Outcome, code: int = 0) -> Outcome:
    assert outcome.failure is None, outcome
    assert outcome.exit_code == code, outcome
    return outcome


def test_output_arrives_in_pieces_before_the_end(stand: Stand, program: Steps, way: Way) -> None:
    heard = threading.Event()

    def ticks(asked: object, running: object) -> object:
        for number in range(3):
            running.write(f"tick {number} {'.' * 300}\r\n".encode())
            running.wait(0.03)
        # It does not end before its first words were heard.
        assert heard.wait(5.0)
        return stand.answer(3, "last\r\n")

    program.acts["fix"] = ticks
    server = stand.server(program, way)
    pieces: list[str] = []

    def hear(stream: str, text: str) -> None:
        pieces.append(text)
        heard.set()

    outcome = stand.run(stand.opened(server, way), stand.powershell(), on_output=hear)
    ended(outcome, 3)
    assert len(pieces) >= 2
    assert "".join(pieces).split() == outcome.stdout.text.split()
    assert outcome.told == Told("end", 0, "5.1.1", "Full", "2026-11-22T07:01:02Z")


def test_a_megabyte_on_both_streams(stand: Stand, program: Steps, way: Way) -> None:
    line = f"{LETTERS} {'=' * 60}\r\n".encode()
    data = line * (MEGABYTE // len(line) + 1)

    def floods(asked: object, running: object) -> object:
        for at in range(0, len(data), 200_001):
            running.write(data[at : at + 200_001], data[at : at + 200_001])
        return stand.answer(7)

    program.acts["fix"] = floods
    server = stand.server(program, way)
    heard = {"stdout": 0, "stderr": 0}

    def hear(stream: str, text: str) -> None:
        heard[stream] += len(text.replace("\r", "").encode())

    limits = Limits(run_s=20.0, accept_s=2.0, keep_bytes=4096)
    outcome = ended(stand.run(stand.opened(server, way), stand.cmd(), limits, hear), 7)
    assert heard == dict.fromkeys(heard, len(data.replace(b"\r", b"")))
    for stream in (outcome.stdout, outcome.stderr):
        assert stream.size_bytes == len(data)
        assert stream.truncated
        assert len(stream.text) < 5000
    assert server.server.count("receive") > 2 * MEGABYTE // 153600


def test_a_script_of_150_kb_arrives_whole(stand: Stand, program: Steps, way: Way) -> None:
    text = f"# {LETTERS}\n" * 2400 + "'done'"
    assert len(text.encode()) > 150_000
    server = stand.server(program, way)
    ended(stand.run(stand.opened(server, way), stand.powershell(text)))
    sent = sent_as(program.asked[0].script.decode())
    assert sent is not None
    assert sent.text == text
    assert len(program.asked[0].line) < 8191


def test_every_letter_goes_both_ways_wherever_it_is_cut(
    stand: Stand, program: Steps, way: Way
) -> None:
    data = f"{LETTERS}\r\n".encode()
    at = data.index(ASTRAL.encode())
    cuts = [0, data.index("ö".encode()) + 1, at + 1, at + 3, at + 6, len(data)]

    def in_pieces(asked: object, running: object) -> object:
        for begin, end in itertools.pairwise(cuts):
            running.write(data[begin:end])
            running.wait(0.02)
        return stand.answer(stderr=LETTERS)

    program.acts["fix"] = in_pieces
    server = stand.server(program, way)
    outcome = ended(stand.run(stand.opened(server, way), stand.powershell(f"'{LETTERS}'")))
    assert outcome.stdout.text.splitlines()[0] == LETTERS
    assert outcome.stderr.text == LETTERS
    sent = sent_as(program.asked[0].script.decode())
    assert sent is not None
    assert sent.text == f"'{LETTERS}'"
    assert server.server.count("receive") > 2


def test_exit_codes_are_of_32_bits_with_a_sign(stand: Stand, program: Steps, way: Way) -> None:
    said: list[int] = []
    program.acts["fix"] = lambda asked, running: stand.answer(said[-1])
    transport = stand.opened(stand.server(program, way), way)
    for code, shown in CODES.items():
        said.append(code)
        ended(stand.run(transport, stand.cmd()), shown)
        ended(stand.run(transport, stand.powershell()), shown)


def test_codes_of_a_shutdown_are_no_end_of_a_command(
    stand: Stand, program: Steps, way: Way
) -> None:
    program.acts["fix"] = lambda asked, running: stand.answer(0xC000013A)
    outcome = stand.run(stand.opened(stand.server(program, way), way), stand.cmd())
    assert outcome.exit_code is None
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.sent) == (FailureKind.LOST, True)


def test_silence_is_asked_through_on_one_connection(
    stand: Stand, program: Steps, way: Way, monkeypatch: object
) -> None:
    from outagekit.transports.winrm import running as module

    monkeypatch.setattr(module, "_WAIT_S", 0.5)
    program.acts["fix"] = lambda asked, running: (running.wait(0.7), stand.answer(5))[1]
    server = stand.server(program, way)
    transport = stand.opened(server, way)
    requests, messages, began_s = server.server.requests, transport.messages, time.monotonic()
    ended(stand.run(transport, stand.powershell()), 5)
    assert time.monotonic() - began_s > 0.6
    # Two looks, of which one was in vain; nobody logged in again.
    assert transport.messages - messages == 4
    assert server.server.requests - requests == 4
