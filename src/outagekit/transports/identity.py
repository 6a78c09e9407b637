"""The first command on a connection: which machine is this, up since when, who are we. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from outagekit.events import FailureKind
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.protocol import Failure, Outcome
from outagekit.transports.shell import render

_SCRIPT: Final = r"""
id=
for file in /etc/machine-id /var/lib/dbus/machine-id; do
  if [ -z "$id" ] && [ -r "$file" ]; then read -r id <"$file" || :; fi
done
if [ -z "$id" ] && command -v ioreg >/dev/null 2>&1; then
  id=$(ioreg -rd1 -c IOPlatformExpertDevice | sed -n 's/.*"IOPlatformUUID" = "\(.*\)".*/\1/p')
fi
boot=
if [ -r /proc/sys/kernel/random/boot_id ]; then
  read -r boot </proc/sys/kernel/random/boot_id || :
elif command -v sysctl >/dev/null 2>&1; then
  boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null || :)
fi
up=
if [ -r /proc/uptime ]; then
  read -r up rest </proc/uptime || :
elif command -v sysctl >/dev/null 2>&1; then
  since=$(sysctl -n kern.boottime 2>/dev/null | sed -n 's/^{ sec = \([0-9]*\),.*/\1/p' || :)
  if [ -n "$since" ]; then up=$(($(date +%s) - since)); fi
fi
uid=$(id -u 2>/dev/null || :)
printf 'machine-id=%s\nboot-id=%s\nuptime-s=%s\nuid=%s\n' "$id" "$boot" "$up" "$uid"
"""

IDENTITY: Final = render(Code("sh", _SCRIPT), {}, step="-", part="identity")
"""Prints `machine-id=…`, `boot-id=…`, `uptime-s=…`, `uid=…`; what the machine cannot tell
is empty."""

_ID: Final = re.compile(r"[0-9A-Za-z-]{8,64}")
_SECONDS: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,6})?")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_NOT_SET_UP: Final = frozenset({"uninitialized"})


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
    told = dict(
        line.strip().partition("=")[::2]
        for line in outcome.stdout.text.split("\n")
        if line.startswith(("machine-id=", "boot-id=", "uptime-s=", "uid="))
    )
    if outcome.exit_code != 0 or not told.keys() >= {"machine-id", "boot-id"}:
        said = (outcome.stderr.text.strip() or outcome.stdout.text.strip())[:200]
        detail = f"the endpoint did not run our first command as a POSIX shell would: {said}"
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
