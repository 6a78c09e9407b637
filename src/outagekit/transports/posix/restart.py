"""How a POSIX endpoint is told to restart. Pure."""

from __future__ import annotations

from typing import Final

from outagekit.playbook.model import Code

# In the background and apart from the session: this command has answered when the machine goes.
RESTART: Final = Code(
    "sh",
    r"""
if [ "$(id -u)" -ne 0 ]; then
  # Only asking shows whether this account may; the machine takes a moment to go down.
  if command -v systemctl >/dev/null 2>&1; then exec systemctl --no-ask-password reboot; fi
  exec shutdown -r now
fi
found=
for name in systemctl shutdown reboot; do
  if command -v "$name" >/dev/null 2>&1; then found=1; fi
done
if [ -z "$found" ]; then
  echo 'there is no systemctl, shutdown or reboot here' >&2
  exit 127
fi
(
  trap '' HUP
  sleep 2
  systemctl reboot || shutdown -r now || reboot
) </dev/null >/dev/null 2>&1 &
echo 'restarts in 2 s'
""",
)
