from __future__ import annotations

import hashlib
import io
import json
import random
import tracemalloc

import pytest

from outagekit.events import Note, RunId
from outagekit.log.chain import Walk
from outagekit.log.record import MAX_LINE_BYTES
from outagekit.testing.log_file import log_lines


def walked(data):
    walk = Walk(io.BytesIO(data))
    count = sum(1 for _ in walk)
    assert count == walk.records
    return walk


def resealed(line, **changes):
    """A line altered by somebody who makes its own hash anew."""
    fields = json.loads(line) | changes
    del fields["sha"]
    head = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
    return head + b',"sha":"' + hashlib.sha256(head).hexdigest().encode() + b'"}\n'


def ends(lines):
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line))
    return offsets


def test_a_good_log_has_no_damage(fifty, run):
    walk = walked(b"".join(fifty))
    assert (walk.records, walk.head_seq, walk.damage, walk.run) == (50, 49, None, run)
    assert walk.head_sha == json.loads(fifty[-1])["sha"]


def test_an_empty_file_is_an_empty_log():
    walk = walked(b"")
    assert (walk.records, walk.head_seq, walk.damage) == (0, -1, None)


def test_cut_at_any_byte_is_torn_never_corrupt(fifty):
    data, offsets = b"".join(fifty), ends(fifty)
    whole = 0
    for cut in range(len(data)):
        while whole < 50 and offsets[whole + 1] <= cut + 1:  # the newline alone may be missing
            whole += 1
        walk = walked(data[:cut])
        assert walk.records == whole, cut
        assert walk.damage is None or walk.damage.torn, cut
        assert walk.open_ended == (cut + 1 in offsets), cut


def test_zeros_from_any_byte_are_torn_never_corrupt(fifty):
    data, offsets = b"".join(fifty), ends(fifty)
    last_group = offsets[48]  # what no record calls durable
    for cut in range(last_group, len(data)):
        walk = walked(data[:cut] + bytes(len(data) - cut))
        assert walk.damage is not None
        assert walk.damage.torn, cut
        assert walk.records >= 48


def test_zeros_in_the_durable_part_are_corruption(fifty):
    data, offsets = b"".join(fifty), ends(fifty)
    walk = walked(data[: offsets[20]] + bytes(600) + data[offsets[20] + 600 :])
    assert not walk.damage.torn
    assert (walk.damage.seq, walk.damage.offset) == (20, offsets[20])


def flip(data, bit):
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def judge_flip(data, offsets, bit):
    walk = walked(flip(data, bit))
    record = next(n for n in range(50) if offsets[n + 1] > bit // 8)
    assert walk.damage is not None, bit
    assert walk.damage.seq == record, bit
    assert walk.damage.offset == offsets[record], bit
    assert walk.damage.torn == (record >= 48), bit


def test_sampled_flipped_bits_are_all_found(fifty):
    data, offsets = b"".join(fifty), ends(fifty)
    for bit in range(0, len(data) * 8, 61):
        judge_flip(data, offsets, bit)


@pytest.mark.slow
def test_every_flipped_bit_is_found(fifty):
    data, offsets = b"".join(fifty), ends(fifty)
    for bit in range(len(data) * 8):
        judge_flip(data, offsets, bit)


@pytest.mark.parametrize("place", range(50))
def test_a_deleted_duplicated_or_swapped_record_is_corruption(fifty, place):
    deleted = fifty[:place] + fifty[place + 1 :]
    doubled = fifty[: place + 1] + fifty[place:]
    swapped = [*fifty]
    if place < 49:
        swapped[place : place + 2] = reversed(swapped[place : place + 2])
        first_bad = {"deleted": place, "doubled": place + 1, "swapped": place}
    else:
        deleted = swapped = fifty[:48]  # dropping the end is visible to anchors only
        first_bad = {"doubled": 50}
    for name, seq in first_bad.items():
        lines = {"deleted": deleted, "doubled": doubled, "swapped": swapped}[name]
        walk = walked(b"".join(lines))
        assert walk.damage is not None, name
        assert (walk.damage.seq, walk.damage.torn) == (seq, False), name
        assert walk.damage.offset == ends(lines)[seq], name
    if place == 49:
        assert walked(b"".join(deleted)).damage is None


def test_a_record_of_another_run_is_corruption(fifty):
    other = log_lines(RunId("20261122T081403Z-other-abcd"), [Note(text="x")] * 50)
    for place in (1, 25, 49):
        walk = walked(b"".join((*fifty[:place], other[place], *fifty[place + 1 :])))
        assert not walk.damage.torn
        assert walk.damage.reason == "it belongs to another run, 20261122T081403Z-other-abcd"


def test_another_runs_record_with_this_runs_name_does_not_fit(fifty, run):
    other = log_lines(RunId("20261122T081403Z-other-abcd"), [Note(text="x")] * 50)
    forged = resealed(other[30], run=run)
    walk = walked(b"".join((*fifty[:30], forged, *fifty[31:])))
    assert walk.damage.reason == "it does not continue the record before it"


def test_the_beginning_cannot_be_dropped_by_renumbering(fifty):
    later = [resealed(line, seq=place, dur=-1) for place, line in enumerate(fifty[10:])]
    assert walked(b"".join(later)).damage.seq == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": "edited"}, None),
        ({"seq": 31}, "record 31 stands in its place"),
        ({"prev": "0" * 64}, "it does not continue the record before it"),
        ({"dur": 30}, "it calls itself durable before it was written"),
        ({"mono": 0}, "its monotonic clock goes back"),
    ],
)
def test_an_edited_record_with_a_new_hash_does_not_fit(fifty, changes, reason):
    walk = walked(b"".join((*fifty[:30], resealed(fifty[30], **changes), *fifty[31:])))
    assert not walk.damage.torn
    if reason is None:
        assert walk.damage.seq == 31  # the next one names the hash that was
    else:
        assert (walk.damage.seq, walk.damage.reason) == (30, reason)


def test_a_whole_line_that_does_not_fit_at_the_end_is_no_torn_tail(fifty):
    walk = walked(b"".join((*fifty[:48], fifty[49])))
    assert (walk.damage.seq, walk.damage.torn) == (48, False)


def test_half_a_record_at_the_end_is_torn_whatever_it_holds(fifty):
    for rest in (b"\xff\xfe", b"\n", b"{}\n", bytes(5000), fifty[48][:200] + b"\n", b"x" * 300_000):
        walk = walked(b"".join(fifty[:48]) + rest)
        assert walk.damage.torn
        assert (walk.damage.seq, walk.damage.size_bytes) == (48, len(rest))


def test_a_durable_record_glued_behind_zeros_still_convicts(fifty):
    # The newline before it is gone too; its claim must be found inside the line.
    data, offsets = b"".join(fifty), ends(fifty)
    broken = data[: offsets[41]] + bytes(offsets[48] - offsets[41]) + data[offsets[48] :]
    walk = walked(broken[: offsets[49]])
    assert (walk.damage.seq, walk.damage.torn) == (41, False)


def test_a_line_over_the_cap_is_damage(fifty):
    walk = walked(b"".join(fifty) + b"{" * (MAX_LINE_BYTES + 5) + b"\n")
    assert walk.damage.reason == "it is longer than 65536 bytes"


def test_a_walk_does_not_read_what_is_written_meanwhile(fifty):
    stream = io.BytesIO(b"".join(fifty[:20]) + fifty[20][:100])
    walk = Walk(stream)
    links = iter(walk)
    next(links)
    place = stream.tell()
    stream.seek(0, 2)
    stream.write(fifty[20][100:] + b"".join(fifty[21:]))
    stream.seek(place)
    assert sum(1 for _ in links) == 19
    assert walk.damage.torn


def test_memory_is_bounded_by_a_line_not_by_the_file(fifty, tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b"".join(fifty))
    with path.open("r+b") as file:
        file.truncate(64 * 1024 * 1024)
    tracemalloc.start()
    with path.open("rb") as stream:
        walk = Walk(stream)
        for _ in walk:
            pass
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert walk.damage.torn
    assert peak < 2 * 1024 * 1024


def test_no_loss_of_power_looks_like_tampering(fifty):
    """Every size and random subsets of sectors of what was not synced yet."""
    data, offsets = b"".join(fifty), ends(fifty)
    rng = random.Random(291)
    synced = offsets[40]  # the group 40..47 is acknowledged, 48.. too: 40 is what is being synced
    written = offsets[48]
    first = synced // 512
    for _ in range(3000):
        size = rng.randint(synced, written)
        state = bytearray(data[:size])
        for sector in range(first, -(-size // 512)):
            if rng.random() < 0.5:
                start, end = max(sector * 512, synced), min((sector + 1) * 512, size)
                state[start:end] = bytes(end - start)
        walk = walked(bytes(state))
        assert walk.records >= 40
        assert walk.damage is None or walk.damage.torn
