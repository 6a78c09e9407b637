"""What verifying a log came to, as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outagekit.text import count, visible_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from outagekit.log.verify import Verdict


def verdict_lines(verdict: Verdict, path: Path) -> tuple[str, ...]:
    """Return the verdict on the log at `path`: the finding first, then everything odd."""
    return tuple(map(visible_line, _lines(verdict, path)))


def _lines(verdict: Verdict, path: Path) -> Iterable[str]:
    records = count(verdict.records, "record")
    if verdict.ok:
        yield f"verified: {records} of {path.name} are as they were written"
    else:
        yield f"NOT VERIFIED: {path.name} is not what was written; {records} before that are good"
    yield from (f"  {fault}" for fault in verdict.faults)
    if verdict.bad_seq is not None:
        yield f"  first bad record: {verdict.bad_seq}, at byte {verdict.bad_offset} of the log"
    if verdict.torn_bytes:
        torn = count(verdict.torn_bytes, "byte")
        yield f"  its end is torn: {torn} were being written when the power or the process went"
    files, anchors = count(verdict.files, "file"), count(verdict.anchors, "anchor")
    yield f"  compared: {files} and {anchors}"
    yield f"  head: {verdict.head_seq}:{verdict.head_sha}"
    yield from (f"  warning: {warning}" for warning in verdict.warnings)
