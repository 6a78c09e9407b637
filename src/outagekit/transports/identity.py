"""What a machine says when it is asked which one it is, up since when, and who we are. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from outagekit.events import FailureKind
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure, Outcome

_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_NOT_SET_UP: Final = frozenset({"uninitialized"})


LOST_WORDS: Final = Failure(
    FailureKind.LOST, "the endpoint's answer which machine it is was lost with the connection"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a machine tells about itself; empty where it has nothing to tell."""

    machine_id: str = ""
    boot_id: str = ""
    uptime_s: float | None = None
    uid: int | None = None
    """Of who logged in."""


def parse_identity(outcome: Outcome) -> Identity | Failure:
    """Return what the machine told, or why it could not: then nothing of ours can run there.

    The command only reads, so `sent` is never true.
    """
    if outcome.failure is not None:
        return Failure(outcome.failure.kind, outcome.failure.detail)
    if outcome.missing:
        return LOST_WORDS
    told = dict(
        line.strip().partition("=")[::2]
        for line in outcome.stdout.text.split("\n")
        if line.startswith(("machine-id=", "boot-id=", "uptime-s=", "uid="))
    )
    if outcome.exit_code != 0 or not told.keys() >= {"machine-id", "boot-id"}:
        said = (outcome.stderr.text.strip() or outcome.stdout.text.strip())[:200]
        detail = f"the endpoint did not answer our first command as it should: {said}"
        return Failure(FailureKind.PROTOCOL, visible_line(detail))
    up = told.get("uptime-s", "")
    uptime_s = float(up) if _SECONDS.fullmatch(up) else None
    uid = told.get("uid", "")
    return Identity(
        _sound(told["machine-id"]),
        _sound(told["boot-id"]),
        uptime_s,
        int(uid) if _NUMBER.fullmatch(uid) else None,
    )


def _sound(value: str) -> str:
    return value if _ID.fullmatch(value) and value not in _NOT_SET_UP else ""
