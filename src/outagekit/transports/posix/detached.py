"""Scripts that run on without the connection on a POSIX endpoint: the commands for them.

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

"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from outagekit.errors import OutagekitError
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.detached import (
    FOREVER_S,
    HALF_BYTES,
    KEEP_BYTES,
    MARGIN_BYTES,
    TERM_S,
    folder_name,
)
from outagekit.transports.posix.detached_texts import (
    PLACE,
    RELEASE,
    REST,
    RUNNER,
    START,
    STOP,
    WAIT,
)
from outagekit.transports.posix.render import render
from outagekit.transports.protocol import Account, Command

_KILL_S: Final = 3
_SCRIPT: Final = re.compile(r"^script='((?:[^']|'\\'')*)'$", re.MULTILINE)
_STEP: Final = re.compile(r"[a-z][a-z0-9_]*")
_BLOCK_BYTES: Final = 4096


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
    script = render(code, values, step=step, part="script").stdin
    settings = (
        f"nonce={secrets.token_hex(8)}",
        f"language={_quoted(code.language)}",
        f"size={len(script)}",
        "mask=$(umask)",
        f"runner={_quoted(RUNNER)}",
        f"script={_quoted(script.decode())}",
    )
    text = "\n".join((*settings, _settings(detach, wait_s, limit_s), PLACE, START))
    return _command(detach, text, step=step, part="script", account=account)


def collect(
    detach: str,
    *,
    step: str,
    wait_s: int = 0,
    limit_s: int = FOREVER_S,
    account: Account = "login",
) -> Command:
    """Return the command that waits for a script's end as `start` does, then tells of it."""
    text = "\n".join((_settings(detach, wait_s, limit_s), PLACE, WAIT))
    return _command(detach, text, step=step, part="collect", account=account)


def collect_rest(detach: str, *, step: str, account: Account = "login") -> Command:
    """Return the command that sends the end of the streams that are longer than what is kept."""
    return _collecting(detach, REST, step=step, account=account)


def stop(detach: str, *, step: str, account: Account = "login") -> Command:
    """Return the command that ends a script with all it started: TERM, after 5 s KILL."""
    return _collecting(detach, STOP, step=step, account=account)


def release(detach: str, *, step: str, account: Account = "login") -> Command:
    """Return the command that removes a script's folder, unless it still runs."""
    text = "\n".join((_settings(detach), PLACE, RELEASE))
    return _command(detach, text, step=step, part="release", account=account)


def script_in(stdin: bytes) -> bytes:
    """Return the script a start carries; empty if there is none."""
    found = _SCRIPT.search(stdin.decode("utf-8", "replace"))
    return found[1].replace("'\\''", "'").encode() if found else b""


def _collecting(detach: str, text: str, *, step: str, account: Account) -> Command:
    whole = "\n".join((_settings(detach), PLACE, text))
    return _command(detach, whole, step=step, part="collect", account=account)


def _settings(detach: str, wait_s: int = 0, limit_s: int = FOREVER_S) -> str:
    numbers = {
        "wait": wait_s,
        "limit": limit_s,
        "keep": KEEP_BYTES,
        "half": HALF_BYTES + MARGIN_BYTES,
        "block": _BLOCK_BYTES,
        "blocks": (HALF_BYTES + MARGIN_BYTES) // _BLOCK_BYTES,
        "term": TERM_S,
        "kill": _KILL_S,
    }
    lines = [f"name={folder_name(detach)}"]
    return "\n".join([*lines, *(f"{name}={number}" for name, number in numbers.items())])


def _command(detach: str, text: str, *, step: str, part: str, account: Account) -> Command:
    if not _STEP.fullmatch(step):
        raise OutagekitError(f"'{visible_line(step)}' names no command")
    # As for every script: nothing runs before the last brace has arrived.
    whole = f"{{ {{\nset -u\n{text}\n}} </dev/null\n}}"
    words = f"OK_STEP={step} OK_PART={part} OK_DETACHED={folder_name(detach)}"
    return Command(f"exec env LC_ALL=C.UTF-8 {words} sh -s", whole.encode(), account)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
