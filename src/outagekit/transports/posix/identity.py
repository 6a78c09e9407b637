"""The first command on a POSIX endpoint: which machine is this, up since when, who are we. Pure."""

from __future__ import annotations

from typing import Final

from outagekit.playbook.model import Code
from outagekit.transports.posix.render import render

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
