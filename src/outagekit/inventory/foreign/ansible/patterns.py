"""Host patterns: `web[01:20:2].example:2222` becomes names and a port.

What cannot be understood as an address with a port is a name as it is written, as in Ansible.
"""

from __future__ import annotations

import ipaddress
import re
import string
from itertools import product
from typing import Final

from outagekit.source import shown

_IN_BRACKETS = re.compile(r"\[(.+)\]:([0-9]+)")
_WITH_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):([0-9]+)")
_RANGE: Final = r"\[(?:[a-zA-Z]:[a-zA-Z]|[0-9]+:[0-9]+)(?::[0-9]+)?\]"
_HEX_RANGE = re.compile(r"\[[0-9a-fA-F]+:[0-9a-fA-F]+(?::[0-9]+)?\]")
_LABEL: Final = rf"(?:\w|{_RANGE})(?:[\w-]|{_RANGE})*(?<![_-])"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PIECE = re.compile(r"\[([^\[\]]*)\]|([^\[\]]+)")
_NUMBER = re.compile(r"[0-9]{1,9}")
LARGEST_RANGE: Final = 50_000


class PatternError(ValueError):
    """What is wrong with a pattern, as a sentence; `hint` says what to write."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def expand(pattern: str) -> tuple[list[str], int | None]:
    """Return the names a pattern stands for, and its port; raises `PatternError`."""
    name, port = _split_port(pattern)
    if "[" not in name:
        return [name], port
    if "|" in name or "".join(found[0] for found in _PIECE.finditer(name)) != name:
        raise PatternError(f"the brackets of {shown(pattern)} do not match")
    pieces = [
        [found[2]] if found[2] else _members(found[1], pattern) for found in _PIECE.finditer(name)
    ]
    number = 1
    for piece in pieces:
        number *= len(piece)
    if number > LARGEST_RANGE:
        raise PatternError(f"{shown(pattern)} stands for more than {LARGEST_RANGE} hosts")
    return ["".join(parts) for parts in product(*pieces)], port


def _split_port(pattern: str) -> tuple[str, int | None]:
    """Return what stands before the port; brackets around an address go with its port."""
    name, port = pattern, None
    for form in (_IN_BRACKETS, _WITH_PORT):
        found = form.fullmatch(name)
        if found:
            name, port = found[1], int(found[2][:10])
    if _HOST_NAME.fullmatch(name) or _is_ipv6(name):
        return name, port
    return pattern, None


def _is_ipv6(name: str) -> bool:
    try:
        ipaddress.IPv6Address(_HEX_RANGE.sub("0", name))
    except ValueError:
        return False
    return True


def _members(inside: str, pattern: str) -> list[str]:
    """Return what a pair of brackets stands for."""
    bounds = inside.split(":")
    if len(bounds) not in {2, 3} or not bounds[1]:
        hint = "write [01:20], [01:20:2] or [a:f]"
        raise PatternError(f"[{inside}] in {shown(pattern)} is no range", hint)
    first, last = bounds[0] or "0", bounds[1]
    step = bounds[2] if len(bounds) > 2 else "1"  # noqa: PLR2004  (the third part is the step)
    if not _NUMBER.fullmatch(step) or not int(step):
        raise PatternError(f"the step of [{inside}] in {shown(pattern)} is no number above 0")
    if first in string.ascii_letters and last in string.ascii_letters:
        return _letters(first, last, int(step), pattern)
    if not _NUMBER.fullmatch(first) or not _NUMBER.fullmatch(last):
        message = f"[{inside}] in {shown(pattern)} is neither a range of numbers nor of letters"
        raise PatternError(message)
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    if width and width != len(last):
        message = f"both ends of [{inside}] in {shown(pattern)} must have the same length"
        raise PatternError(message, "because the first begins with 0")
    numbers = range(int(first), int(last) + 1, int(step))
    if len(numbers) > LARGEST_RANGE:
        raise PatternError(f"{shown(pattern)} stands for more than {LARGEST_RANGE} hosts")
    return [str(number).zfill(width) for number in numbers]


def _letters(first: str, last: str, step: int, pattern: str) -> list[str]:
    if len(first) > 1 or len(last) > 1:
        raise PatternError(f"a range of {shown(pattern)} has more than one letter at an end")
    begin, end = string.ascii_letters.index(first), string.ascii_letters.index(last)
    if begin > end:
        raise PatternError(f"a range of {shown(pattern)} ends before it begins")
    return list(string.ascii_letters[begin : end + 1 : step])
