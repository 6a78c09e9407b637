from __future__ import annotations

import pytest

from outagekit.errors import UsageError
from outagekit.log.checkpoint import Anchor, AnchorCheck, anchor_line, parse_anchor, read_anchors
from outagekit.log.file import append_line

SHA = "0123456789abcdef" * 4


def test_an_anchor_is_read_as_it_is_written():
    assert parse_anchor(str(Anchor(41, SHA))) == Anchor(41, SHA)


def test_a_whole_line_can_be_pasted_and_the_hash_shortened(run):
    line = anchor_line(run, Anchor(41, SHA), "2026-11-22T08:14:03.120411Z")
    assert parse_anchor(f" {line}\n") == Anchor(41, SHA)
    assert parse_anchor(f"41:{SHA[:16].upper()}") == Anchor(41, SHA[:16])


@pytest.mark.parametrize(
    "text", ["", "41", f"41:{SHA[:15]}", f"-1:{SHA}", f"41:{SHA}0", f"41:{'g' * 64}", "\x1b[2J"]
)
def test_what_is_no_anchor_is_a_usage_error(text):
    with pytest.raises(UsageError, match="is no anchor") as caught:
        parse_anchor(text)
    assert "\x1b" not in caught.value.message


def test_anchors_of_this_run_are_read_and_other_lines_counted(tmp_path, run):
    path = tmp_path / "anchors.txt"
    append_line(path, anchor_line(run, Anchor(1, SHA), "2026"))
    append_line(path, anchor_line("another", Anchor(2, SHA), "2026"))
    append_line(path, "rubble \udc80".encode("utf-8", "replace").decode())
    with path.open("a") as file:
        file.write("half a li")
    assert read_anchors(path, run) == ((Anchor(1, SHA),), 2)
    append_line(path, anchor_line(run, Anchor(3, SHA), "2026"))
    assert read_anchors(path, run) == ((Anchor(1, SHA), Anchor(3, SHA)), 3)


def test_no_anchors_are_no_fault(tmp_path, run):
    assert read_anchors(tmp_path / "anchors.txt", run) == ((), 0)


def test_a_log_must_hold_every_anchor():
    check = AnchorCheck([Anchor(0, SHA[:16]), Anchor(1, SHA), Anchor(7, SHA), Anchor(9, SHA)])
    check.see(0, SHA)
    check.see(1, "f" * 64)
    assert check.complaints() == (
        f"record 1 is not the one the anchor 1:{SHA} was made of",
        "the log is shorter than its anchor at record 9",
    )
