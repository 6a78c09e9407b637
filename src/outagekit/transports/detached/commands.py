"""Scripts that run on without the connection: the commands for them, and what they answer.

Pure. A detached script lives in a folder of its own, `$HOME/.outagekit/<name>`, that only the
account can read (0700): the script with the values it was given, its output, its end. The name
follows from the id alone, so that the same id always leads to the same script.

What stands in the folder, and in which order it gets there:

| file | holds |
|---|---|
| `s.<nonce>/script` | what one start brought: written whole and counted before anything else |
| `begun` | nonce, pid, start time, boot and clock of the one process that may run a script |
| `s.<nonce>/out`, `err` | its output |
| `s.<nonce>/ended.<code>.<clock>` | its exit code, in the name: that needs no space on the disk |
| `stopped` | its time was up |

Every command answers with the line `outagekit-detached STATE name=value…` on its standard output,
exit code 0; what the script wrote follows it there and on standard error.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal, cast, get_args

from outagekit.errors import OutagekitError
from outagekit.text import slug, visible_line
from outagekit.transports.detached.shell_texts import (
    PLACE,
    RELEASE,
    REST,
    RUNNER,
    START,
    STOP,
    WAIT,
)
from outagekit.transports.protocol import Captured, Command, Outcome

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
_KILL_S: Final = 3

_MARK: Final = "outagekit-detached"
_ANSWER: Final = re.compile(rf"^{_MARK} ([a-z]+)((?: [a-z]+=\d{{0,12}})*)\r?$", re.MULTILINE)
_SCRIPT: Final = re.compile(r"^script='((?:[^']|'\\'')*)'$", re.MULTILINE)
_STEP: Final = re.compile(r"[a-z][a-z0-9_]*")
_BLOCK_BYTES: Final = 4096
_HALF_BYTES: Final = KEEP_BYTES // 2


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


def start(
    detach: str,
    script: bytes,
    *,
    step: str,
    language: str,
    wait_s: int = 0,
    limit_s: int = FOREVER_S,
) -> Command:
    """Return the command that starts a script under an id, or finds the one already there.

    `script` is what the shell `language` reads from its standard input, whole, without NUL; it
    lies on the endpoint until the folder is removed. Waits at most `wait_s` for the script's end,
    and no longer once it has run for `limit_s`.
    """
    settings = (
        f"nonce={secrets.token_hex(8)}",
        f"language={_quoted(language)}",
        f"size={len(script)}",
        "mask=$(umask)",
        f"runner={_quoted(RUNNER)}",
        f"script={_quoted(script.decode())}",
    )
    text = "\n".join((*settings, _settings(detach, wait_s, limit_s), PLACE, START))
    return _command(detach, text, step=step, part="script")


def collect(detach: str, *, step: str, wait_s: int = 0, limit_s: int = FOREVER_S) -> Command:
    """Return the command that waits for a script's end as `start` does, then tells of it."""
    text = "\n".join((_settings(detach, wait_s, limit_s), PLACE, WAIT))
    return _command(detach, text, step=step, part="collect")


def collect_rest(detach: str, *, step: str) -> Command:
    """Return the command that sends the end of the streams that are longer than what is kept."""
    return _collecting(detach, REST, step=step)


def stop(detach: str, *, step: str) -> Command:
    """Return the command that ends a script with all it started: TERM, after 5 s KILL."""
    return _collecting(detach, STOP, step=step)


def release(detach: str, *, step: str) -> Command:
    """Return the command that removes a script's folder, unless it still runs."""
    text = "\n".join((_settings(detach), PLACE, RELEASE))
    return _command(detach, text, step=step, part="release")


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
        head, tail = head[:_HALF_BYTES], head[-_HALF_BYTES:]
    else:
        head = head[:-MARGIN_BYTES][:_HALF_BYTES]
        tail = rest.text.encode()[MARGIN_BYTES:][-_HALF_BYTES:]
    missing = max(first.size_bytes - len(head) - len(tail), 0)
    text = f"{_text(head)}\n[{missing} bytes left out]\n{_text(tail)}"
    return Captured(text, first.size_bytes, truncated=True)


def answer_started(age_s: int = 0) -> str:
    """Return the standard output by which an endpoint says that a script runs."""
    return f"{_MARK} running code= age={age_s} out=0 err=0\n"


def answer_ended(code: int, stdout: str, stderr: str, *, age_s: int = 0) -> str:
    """Return the standard output by which an endpoint tells how a script ended.

    The script's `stderr` goes to the command's own, unchanged.
    """
    sizes = f"out={len(stdout.encode())} err={len(stderr.encode())}"
    return f"{_MARK} ended code={code} age={age_s} {sizes}\n{stdout}"


def answer_released() -> str:
    """Return the standard output by which an endpoint says that a script's folder is gone."""
    return f"{_MARK} released\n"


def script_in(stdin: bytes) -> bytes:
    """Return the script a start carries; empty if there is none."""
    found = _SCRIPT.search(stdin.decode("utf-8", "replace"))
    return found[1].replace("'\\''", "'").encode() if found else b""


def _collecting(detach: str, text: str, *, step: str) -> Command:
    whole = "\n".join((_settings(detach), PLACE, text))
    return _command(detach, whole, step=step, part="collect")


def _settings(detach: str, wait_s: int = 0, limit_s: int = FOREVER_S) -> str:
    numbers = {
        "wait": wait_s,
        "limit": limit_s,
        "keep": KEEP_BYTES,
        "half": _HALF_BYTES + MARGIN_BYTES,
        "block": _BLOCK_BYTES,
        "blocks": (_HALF_BYTES + MARGIN_BYTES) // _BLOCK_BYTES,
        "term": TERM_S,
        "kill": _KILL_S,
    }
    lines = [f"name={folder_name(detach)}"]
    return "\n".join([*lines, *(f"{name}={number}" for name, number in numbers.items())])


def _command(detach: str, text: str, *, step: str, part: str) -> Command:
    if not _STEP.fullmatch(step):
        raise OutagekitError(f"'{visible_line(step)}' names no command")
    # As for every script: nothing runs before the last brace has arrived.
    whole = f"{{ {{\nset -u\n{text}\n}} </dev/null\n}}"
    words = f"OK_STEP={step} OK_PART={part} OK_DETACHED={folder_name(detach)}"
    return Command(f"exec env LC_ALL=C.UTF-8 {words} sh -s", whole.encode())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _pairs(text: str) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in text.split()]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "ignore")
