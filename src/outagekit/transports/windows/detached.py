r"""Scripts that run on without the connection on a Windows endpoint: the commands for them. Pure.

A detached script lives in a folder of its own, `%ProgramData%\outagekit\<name>`, that only SYSTEM,
the administrators and the account can read, and is run by a task of its own. The name follows from
the id alone, so that the same id always leads to the same script.

What stands in the folder, and in which order it gets there:

| file | holds |
|---|---|
| `s.<nonce>\in`, `line`, `runner` | what one start brought: written whole before the task is made |
| `s.<nonce>\gate` | held by a runner that begins, or by a start that gives up: never by both |
| `begun` | nonce, pid, start time, boot and clock of the one process that may run a script |
| `s.<nonce>\out`, `err` | its output |
| `s.<nonce>\ended.<code>.<clock>.<bytes>` | exit code, and how much of `out` is the script's own |
| `stopped` | its time was up |

Without a connection a script is ended a minute after its time by its runner.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.detached import (
    FOREVER_S,
    HALF_BYTES,
    KEEP_BYTES,
    MARGIN_BYTES,
    folder_name,
)
from outagekit.transports.protocol import Account, Command
from outagekit.transports.windows.detached_texts import (
    ANSWERING,
    BEGIN,
    PLACE,
    RELEASE,
    REST,
    START,
    STOP,
    WAIT,
)
from outagekit.transports.windows.render import Sent, framed, render, sent_in
from outagekit.transports.windows.runner_texts import COMMON
from outagekit.transports.windows.tasks import REMOVING, TASKS, beginning, begun_in

_KILL_S: Final = 5
_STEP: Final = re.compile(r"[a-z][a-z0-9_]*")
_ASKED: Final = re.compile(r"# (start|collect|rest|stop|release) wait=(\d+) limit=(\d+)\n")
_Kind = Literal["start", "collect", "rest", "stop", "release"]


@dataclass(frozen=True, slots=True)
class Request:
    """What one of these commands asks for."""

    kind: _Kind
    wait_s: int
    limit_s: int
    script: bytes = b""
    """Of a start: the input its script would be given as a command of its own."""


def start(
    detach: str,
    code: Code,
    values: Mapping[str, Any],
    *,
    step: str,
    wait_s: int = 0,
    limit_s: int = FOREVER_S,
    account: Account = "login",
) -> Command:
    """Return the command that starts a script under an id, or finds the one already there.

    The script lies on the endpoint until the folder is removed. Waits at most `wait_s` for the
    script's end, and no longer once it has run for `limit_s`.
    """
    if account == "root":
        render(code, values, step=step, part="script", account=account)
    # As for SYSTEM in any case: that has a frame, whatever the language.
    command = render(code, values, step=step, part="script", account="system")
    name = folder_name(detach)
    begin = beginning(
        command, name=name, step=step, part="script", account=account, limit_s=limit_s
    )
    texts = (begin, COMMON, PLACE, TASKS, REMOVING, BEGIN, _answering(START))
    return _command(detach, "start", texts, step=step, wait_s=wait_s, limit_s=limit_s)


def collect(
    detach: str,
    *,
    step: str,
    wait_s: int = 0,
    limit_s: int = FOREVER_S,
    account: Account = "login",
) -> Command:
    """Return the command that waits for a script's end as `start` does, then tells of it."""
    del account  # whoever may start a script as SYSTEM may look at its folder
    return _asking(detach, "collect", WAIT, step=step, wait_s=wait_s, limit_s=limit_s)


def collect_rest(detach: str, *, step: str, account: Account = "login") -> Command:
    """Return the command that sends the end of the streams that are longer than what is kept."""
    del account
    return _asking(detach, "rest", REST, step=step)


def stop(detach: str, *, step: str, account: Account = "login") -> Command:
    """Return the command that ends a script with all it started, at once."""
    del account
    return _asking(detach, "stop", STOP, step=step)


def release(detach: str, *, step: str, account: Account = "login") -> Command:
    """Return the command that removes a script's folder and its task, unless it still runs."""
    del account
    return _asking(detach, "release", RELEASE, step=step)


def request_in(stdin: bytes) -> Request | None:
    """Return what a command made here asks for; None if it is none, or did not arrive whole."""
    sent = sent_in(stdin)
    asked = _ASKED.match(sent.text) if sent is not None else None
    if sent is None or asked is None:
        return None
    script = begun_in(sent.text)
    return Request(cast("_Kind", asked[1]), int(asked[2]), int(asked[3]), script)


def _asking(
    detach: str,
    kind: _Kind,
    text: str,
    *,
    step: str,
    wait_s: int = 0,
    limit_s: int = FOREVER_S,
) -> Command:
    name = f"$okName = '{folder_name(detach)}'"
    texts = (name, COMMON, PLACE, REMOVING, _answering(text))
    return _command(detach, kind, texts, step=step, wait_s=wait_s, limit_s=limit_s)


def _answering(text: str) -> str:
    return ANSWERING.replace("%s", text)


def _command(
    detach: str, kind: _Kind, texts: Sequence[str], *, step: str, wait_s: int, limit_s: int
) -> Command:
    if not _STEP.fullmatch(step):
        raise OutagekitError(f"'{visible_line(step)}' names no command")
    numbers = {
        "okWait": wait_s,
        "okLimit": limit_s,
        "okKeep": KEEP_BYTES,
        "okHalf": HALF_BYTES + MARGIN_BYTES,
        "okKill": _KILL_S,
    }
    settings = (f"${name} = [long]{number}" for name, number in numbers.items())
    asked = f"# {kind} wait={wait_s} limit={limit_s}"
    part = {"start": "script", "release": "release"}.get(kind, "collect")
    return framed(
        Sent("plain", "", "\n".join((asked, *settings, *texts))),
        step=step,
        part=part,
        facts={"DETACHED": folder_name(detach)},
    )
