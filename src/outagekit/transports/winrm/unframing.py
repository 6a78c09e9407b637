"""The last line of a framed command's output: taken out of the stream, and read. Pure.

It is the nonce, a space, and JSON in ASCII that says how the command came to its end. The nonce
is looked for anywhere: a program that ends without a line break would hide it else.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, get_args

from outagekit.text import visible_line
from outagekit.transports.protocol import Told
from outagekit.transports.winrm.codes import as_signed

_LONGEST_BYTES: Final = 4096
"""A longer line is none of ours."""
_LONGEST_WORD: Final = 64
_How = Literal["end", "exit", "error"]


@dataclass(frozen=True, slots=True)
class Trailer:
    """What the last line said: the exit code, and the rest."""

    exit_code: int
    """Signed, of 32 bits."""
    told: Told


class Unframer:
    """Takes bytes piece by piece and gives back those that are output, wherever they were cut."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce.encode("ascii")
        self._held = b""
        self.trailer: Trailer | None = None
        """The last one seen so far."""

    def feed(self, data: bytes) -> bytes:
        """Return the output that is certain after `data` arrived."""
        self._held += data
        return self._released(final=False)

    def finish(self) -> bytes:
        """Return what was held back, after the stream has ended."""
        return self._released(final=True)

    def _released(self, *, final: bool) -> bytes:
        output = b""
        while (at := self._held.find(self._nonce)) >= 0:
            line, newline, rest = self._held[at:].partition(b"\n")
            whole = bool(newline) or final
            if not whole and len(line) <= _LONGEST_BYTES:
                output += self._held[:at]
                self._held = line
                return output
            trailer = _parsed(line[len(self._nonce) :]) if whole else None
            output += self._held[:at]
            if trailer is None:
                output += line + newline
            else:
                self.trailer = trailer
            self._held = rest
        cut = len(self._held) if final else len(self._held) - self._begun()
        output += self._held[:cut]
        self._held = self._held[cut:]
        return output

    def _begun(self) -> int:
        """Return how many of the last bytes may be the beginning of the nonce."""
        longest = min(len(self._nonce) - 1, len(self._held))
        fits = (n for n in range(longest, 0, -1) if self._nonce.startswith(self._held[-n:]))
        return next(fits, 0)


def _parsed(line: bytes) -> Trailer | None:
    """Return what a line says after its nonce; None if it is not what the bootstrap writes."""
    if len(line) > _LONGEST_BYTES:
        return None
    try:
        found = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("how") not in get_args(_How):
        return None
    code, native = _number(found.get("rc")), _number(found.get("native"))
    if code is None:
        return None
    told = Told(
        how=cast("_How", found["how"]),
        native_code=native,
        version=_word(found.get("ps")),
        language_mode=_word(found.get("mode")),
        boot_time=_word(found.get("boot")),
    )
    return Trailer(code, told)


def _number(value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return as_signed(value)


def _word(value: Any) -> str:
    return visible_line(value)[:_LONGEST_WORD] if isinstance(value, str) else ""
