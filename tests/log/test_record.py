from __future__ import annotations

import hashlib
import json
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from outagekit.errors import LogDamaged
from outagekit.events import (
    AnyEvent,
    EndState,
    EventUnencodable,
    Note,
    Output,
    PlanFrozen,
    Record,
    RunId,
    StepFinished,
    StepPart,
)
from outagekit.log.record import (
    MAX_LINE_BYTES,
    RESERVED,
    decode_line,
    encode_event,
    encode_line,
    read_header,
    seed,
)

FIELDS = ["v", "seq", "at", "mono", "life", "run", "event", "text", "dur", "prev", "sha"]
RUN = RunId("20261122T081403Z-restart-x7q2")


def line_of(event, *, seq=0, run=RUN):
    record = Record(
        seq=seq, at="2026-11-22T08:14:03.120411Z", mono=seq, life="k3f9", run=run, event=event
    )
    return encode_line(record, encode_event(event).body, dur=seq - 1, prev=seed(run))[0]


def resealed(line, old, new):
    """A line changed by somebody who also makes its hash anew."""
    head = line[:-75].replace(old, new)
    return head + b',"sha":"' + hashlib.sha256(head).hexdigest().encode() + b'"}\n'


def finished(result):
    return StepFinished(endpoint="a/b", step="s", state=EndState.OK, result=result)


def test_every_event_is_read_back_as_it_was_written(every_event):
    assert {type(event) for event in every_event} == set(get_args(AnyEvent))
    for event in every_event:
        record = decode_line(line_of(event))
        assert record.event == event
        assert (record.seq, record.life, record.run) == (0, "k3f9", RUN)


def test_no_event_uses_a_field_of_the_record():
    for kind in get_args(AnyEvent):
        assert not RESERVED & set(kind.__struct_fields__), kind


def test_the_line_has_the_documented_fields_in_order_and_hashes_its_own_bytes():
    line = line_of(Note(text="x"), seq=3)
    fields = json.loads(line)
    assert list(fields) == FIELDS
    assert line[:-75] + b',"sha":"' + fields["sha"].encode() + b'"}\n' == line
    assert hashlib.sha256(line[:-75]).hexdigest() == fields["sha"]
    assert fields["prev"] == hashlib.sha256(b"outagekit-log-v1\n" + RUN.encode()).hexdigest()


def test_the_event_a_caller_gets_is_the_one_a_reader_sees():
    encoded = encode_event(finished({"pair": (1, 2), "when": EndState.OK}))
    assert encoded.event == decode_line(line_of(encoded.event)).event
    assert encoded.event.result == {"pair": [1, 2], "when": "ok"}


@pytest.mark.parametrize(
    "text",
    [
        'x"}\n{"v":1,"seq":0,"event":"run.closed"}',
        "\u2028\u2029\x00\x1b[2J\r\n",
        '"' * 10_000,
        "\\",
        "\U0001f4a5é",
    ],
)
def test_text_cannot_leave_its_line(text):
    line = line_of(Note(text=text))
    assert line.count(b"\n") == 1
    assert decode_line(line).event.text == text


def test_lone_surrogates_become_text():
    for event in (Note(text="a\udc80b", who="\ud83d"), finished({"k\ud800": ["\udfff", {}]})):
        assert type(encode_event(event).event) is type(event)
    assert decode_line(line_of(Note(text="a\udc80b"))).event.text == "a\\udc80b"


class Foreign:
    def __repr__(self):
        raise RuntimeError("no")


def endless():
    loop = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    ("event", "kind", "part"),
    [
        (finished({"x": float("nan")}), "step.finished", "nan"),
        (finished({"x": [float("-inf")]}), "step.finished", "inf"),
        (finished({"x": object()}), "step.finished", "object"),
        (finished({"x": Foreign()}), "step.finished", "cannot be shown"),
        (finished({"x": endless()}), "step.finished", "[...]"),
        (Note(text=5), "note", "text=5"),
        (Note(text=Foreign()), "note", "cannot be shown"),
        (StepFinished(endpoint="a/b", step="s", state="fine"), "step.finished", "fine"),
        ("no event", "str", "no event"),
        (PlanFrozen(files={str(n): "0" * 64 for n in range(2000)}), "plan.frozen", "files="),
    ],
)
def test_what_cannot_be_written_is_kept_as_unencodable(event, kind, part):
    kept = decode_line(line_of(event)).event
    assert isinstance(kept, EventUnencodable)
    assert kept.kind == kind
    assert part in kept.text
    assert len(kept.text) <= 1100


def test_null_in_a_result_is_no_reason_to_lose_it():
    assert decode_line(line_of(finished({"x": None}))).event.result == {"x": None}


def test_integers_of_any_size_survive():
    assert decode_line(line_of(finished({"x": 2**70}))).event.result == {"x": 2**70}


def test_an_event_too_long_for_a_line_loses_text_before_it_loses_its_facts():
    screaming = Output(text="\x01" * 8192, tail="\x02" * 4096, size_bytes=99_999)
    event = StepPart(
        endpoint="a/b", step="s", attempt="1", part="script", command="c", exit_code=7,
        stdout=screaming, stderr=screaming,
    )  # fmt: skip
    line = line_of(event)
    kept = decode_line(line).event
    assert len(line) <= MAX_LINE_BYTES
    assert kept.exit_code == 7
    assert kept.stdout.size_bytes == 99_999
    assert kept.stdout.text.endswith("… [cut]")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=20,
))  # fmt: skip
def test_any_payload_makes_a_line_that_can_be_read(payload):
    line = line_of(finished({"x": payload}))
    assert len(line) <= MAX_LINE_BYTES
    assert decode_line(line).event == encode_event(finished({"x": payload})).event


@given(st.binary() | st.builds(lambda data: line_of(Note(text="x")) + data, st.binary(min_size=1)))
def test_any_bytes_are_refused_with_a_reason_only(data):
    with pytest.raises(LogDamaged) as caught:
        decode_line(data)
    assert caught.value.message.startswith(("it is", "its "))


def test_a_flipped_bit_is_noticed():
    line = line_of(Note(text="x"))
    for bit in range(0, len(line) * 8 - 8, 3):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(LogDamaged):
            decode_line(bytes(flipped))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"event":"note"', b'"event":"note.sung"', "'note.sung' is unknown to this version"),
        (b'"event":"note"', b'"event":"\\u001b[2J"', r"'\\x1b[2J' is unknown"),
        (b'"v":1', b'"v":2', "its format is 2, not 1"),
        (b'"text":"x"', b'"text":[]', "its payload is not that of note"),
        (b'"text":"x"', b'"text":"\xff"', "its payload is not that of note"),
        (b'"seq":0', b'"seq":"0"', "its fields are not those of a record"),
        (b'"text":"x"', b'"y":' + b"[" * 20_000, "its fields are not those of a record"),
    ],
)
def test_a_whole_line_this_version_cannot_read_says_who_may(old, new, reason):
    with pytest.raises(LogDamaged, match=None) as caught:
        decode_line(resealed(line_of(Note(text="x")), old, new))
    assert reason in caught.value.message
    assert "newer version" in caught.value.hint


def test_a_field_a_newer_version_added_is_ignored():
    line = resealed(line_of(Note(text="x")), b'"text":"x"', b'"text":"x","mood":"calm"')
    assert decode_line(line).event == Note(text="x")


def test_the_header_of_an_unknown_event_can_be_read():
    line = resealed(line_of(Note(text="x")), b'"event":"note"', b'"event":"note.sung"')
    assert read_header(line).event == "note.sung"


def test_a_line_over_the_cap_is_refused_before_it_is_parsed():
    with pytest.raises(LogDamaged, match="longer than 65536 bytes"):
        decode_line(b"{" * (MAX_LINE_BYTES + 1))


def test_two_lines_are_not_one_record():
    line = line_of(Note(text="x"))
    with pytest.raises(LogDamaged, match="not a whole record"):
        decode_line(line + line)


def test_records_survive_json(every_event):
    for event in every_event:
        record = decode_line(line_of(event))
        assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record
