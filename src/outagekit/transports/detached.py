"""Scripts that run on without the connection, on any system: what an endpoint says of them. Pure.

Every command about such a script answers with the line `outagekit-detached STATE name=value…` on
its standard output, exit code 0; what the script wrote follows it there and on standard error.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from outagekit.text import slug
from outagekit.transports.protocol import Captured, Outcome

State = Literal["running", "ended", "gone", "stopped", "absent", "refused", "released"]
"""`gone`: it ran, its process is no more, and no exit code tells how it ended; `stopped`: because
its time was up; `absent`: there is no such script; `refused`: the folder cannot be used."""

KEEP_BYTES: Final = 1024 * 1024
"""How much of each stream is collected; of more than that its beginning and its end."""
MARGIN_BYTES: Final = 64 * 1024
"""So much more is fetched around a cut and dropped after secrets were looked for: longer than any
secret, so that none is shown because only a part of it was there to be found."""
FOREVER_S: Final = 10**9
TERM_S: Final = 5

MARK: Final = "outagekit-detached"
_ANSWER: Final = re.compile(
    rf"^{MARK} ([a-z]+)((?: (?:code=-\d{{1,12}}|[a-z]+=\d{{0,12}}))*)\r?$", re.MULTILINE
)
HALF_BYTES: Final = KEEP_BYTES // 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint says about a detached script."""

    state: State
    code: int | None = None
    """Its exit code, if it ended."""
    age_s: int = 0
    """How long it has run or ran, by the endpoint's clock, give or take a second."""
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=Captured)
    reason: str = ""
    """Why the folder cannot be used."""


def folder_name(detach: str) -> str:
    """Return the name of the folder for an id: any text gives one safe name of its own."""
    digest = hashlib.sha256(detach.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{slug(detach, 40)}-{digest[:16]}"


def parse_answer(outcome: Outcome) -> Answer | None:
    """Return what an endpoint answered; None if that is no answer to one of these commands.

    What a login shell said before the answer is left out.
    """
    text = outcome.stdout.text
    found = _ANSWER.search(text)
    if outcome.exit_code != 0 or found is None or found[1] not in get_args(State):
        return None
    told = {name: int(value) for name, _, value in _pairs(found[2]) if value}
    state = cast("State", found[1])
    if state == "ended" and "code" not in told:
        return None
    after = text[found.end() + 1 :]
    refused = state == "refused"
    return Answer(
        state,
        code=told.get("code") if state == "ended" else None,
        age_s=told.get("age", 0),
        stdout=Captured("" if refused else after, told.get("out", 0)),
        stderr=Captured(outcome.stderr.text, told.get("err", 0)),
        reason=after.strip() if refused else "",
    )


def joined(first: Captured, rest: Captured | None = None) -> Captured:
    """Return a stream from what was sent of it: all, or beginning and end of a longer one.

    Both were searched for secrets; the pieces nearest to the cut are left out. Never keeps more
    than `KEEP_BYTES`.
    """
    head = first.text.encode()
    if rest is None or first.size_bytes <= KEEP_BYTES:
        if len(head) <= KEEP_BYTES:
            return first
        head, tail = head[:HALF_BYTES], head[-HALF_BYTES:]
    else:
        head = head[:-MARGIN_BYTES][:HALF_BYTES]
        tail = rest.text.encode()[MARGIN_BYTES:][-HALF_BYTES:]
    missing = max(first.size_bytes - len(head) - len(tail), 0)
    text = f"{_text(head)}\n[{missing} bytes left out]\n{_text(tail)}"
    return Captured(text, first.size_bytes, truncated=True)


def answer_started(age_s: int = 0) -> str:
    """Return the standard output by which an endpoint says that a script runs."""
    return f"{MARK} running code= age={age_s} out=0 err=0\n"


def answer_ended(code: int, stdout: str, stderr: str, *, age_s: int = 0) -> str:
    """Return the standard output by which an endpoint tells how a script ended.

    The script's `stderr` goes to the command's own, unchanged.
    """
    sizes = f"out={len(stdout.encode())} err={len(stderr.encode())}"
    return f"{MARK} ended code={code} age={age_s} {sizes}\n{stdout}"


def answer_released() -> str:
    """Return the standard output by which an endpoint says that a script's folder is gone."""
    return f"{MARK} released\n"


def _pairs(text: str) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in text.split()]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "ignore")
