"""The last line of a framed command's output: taken out of the stream, and read. Pure.

It is the nonce, a space, and JSON in ASCII that says how the command came to its end. A line break
of our own stands before it, so that it begins a line whatever the script printed last.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure, Told
from outagekit.transports.windows.bootstrap import CONSTRAINED_CODE, CUT_CODE

LONGEST_BYTES: Final = 1024
"""Nothing longer is a trailer."""
_How = Literal["end", "exit", "error"]
_WORD: Final = re.compile(r"[A-Za-z0-9.:+-]{0,40}")
_SPACE: Final = b" \r\n\t"
_CODES: Final = {"cut": CUT_CODE, "constrained": CONSTRAINED_CODE}


@dataclass(frozen=True, slots=True)
class Trailer:
    """What the last line says."""

    told: Told | None = None
    """None: nothing of the script was run."""
    rc: int | None = None
    """Exit code, signed, of 32 bits. None: that of the process is the script's; it ended by an
    `exit` that let nothing be said of its code."""
    failure: Failure | None = None
    """Why nothing was run; `sent` is false."""


def parse_trailer(line: bytes, nonce: str) -> Trailer | None:
    """Return what a line says, or None if it is not the trailer with this nonce."""
    begin = nonce.encode("ascii") + b" "
    line = line.strip(_SPACE)
    if not line.startswith(begin) or len(line) > LONGEST_BYTES:
        return None
    try:
        found = json.loads(line[len(begin) :].decode("ascii"))
    except (ValueError, RecursionError):
        return None
    return _read(found) if isinstance(found, dict) else None


class Unframer:
    """Takes a command's output piece by piece and gives back what the script wrote of it.

    What may be the trailer is held back until something follows it: only what comes last is one.
    Nothing else is lost, changed or put in another order, wherever the pieces are cut.
    """

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._mark = b"\n" + nonce.encode("ascii") + b" "
        self._held = b""
        self._at_start = True
        """Nothing was given back: the output may begin with the trailer, without its own break."""

    @property
    def held_bytes(self) -> int:
        """How much has arrived that may be the trailer, and is not given back yet."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Return the output that is certain after `data` arrived."""
        self._held += data
        return self._released(self._certain())

    def finish(self) -> tuple[bytes, Trailer | None]:
        """Return the rest of the output, and the trailer if there is one."""
        at = self._begin()
        held, self._held = self._held, b""
        if at < 0:
            return held, None
        trailer = parse_trailer(held[at:], self._nonce)
        return (held, None) if trailer is None else (held[:at], trailer)

    def _released(self, count: int) -> bytes:
        data, self._held = self._held[:count], self._held[count:]
        self._at_start = self._at_start and not data
        return data

    def _certain(self) -> int:
        """Return how many of the held bytes are the script's own, whatever follows."""
        at = self._begin()
        if at >= 0 and self._may_be_last(at):
            return at
        return len(self._held) - self._begun()

    def _begin(self) -> int:
        """Return where the last line begins that may be a trailer, with its break; -1: none."""
        at = self._held.rfind(self._mark)
        if at < 0 and self._at_start and self._held.startswith(self._mark[1:]):
            return 0
        return at

    def _may_be_last(self, at: int) -> bool:
        line, newline, after = self._held[at + 1 :].partition(b"\n")
        if len(line) > LONGEST_BYTES:
            return False
        return not newline or (not after.strip(_SPACE) and len(after) <= LONGEST_BYTES)

    def _begun(self) -> int:
        """Return how many of the last bytes may be the beginning of a trailer."""
        if self._at_start and self._mark[1:].startswith(self._held):
            return len(self._held)
        longest = min(len(self._mark) - 1, len(self._held))
        fits = (n for n in range(longest, 0, -1) if self._mark.startswith(self._held[-n:]))
        return next(fits, 0)


def _read(found: dict[str, Any]) -> Trailer | None:
    how, code = found.get("how"), _number(found.get("rc"))
    words = [how, *(found.get(name, "") for name in ("ps", "mode", "boot"))]
    if not all(isinstance(word, str) and _WORD.fullmatch(word) for word in words):
        return None
    _, version, mode, boot = words
    if how in _CODES:
        return Trailer(rc=_CODES[how], failure=_refused(how, mode))
    if how not in get_args(_How) or (
        code is None and (how != "exit" or found.get("rc", 0) is not None)
    ):
        return None
    told = Told(cast("_How", how), _number(found.get("native")), version, mode, boot)
    return Trailer(told, code)


def _refused(how: str, mode: str) -> Failure:
    if how == "cut":
        detail = "the script did not arrive whole at the endpoint, which ran nothing of it"
    else:
        detail = (
            f"PowerShell may not run scripts there (language mode {visible_line(mode)}, set by WDAC"
            " or AppLocker): use cmd steps, or have the policy allow this account's scripts"
        )
    return Failure(FailureKind.PROTOCOL, detail)


def _number(value: Any) -> int | None:
    """Return an exit code as Windows shows it, signed; None for what is no whole number."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return (value + 2**31) % 2**32 - 2**31
