"""Which machine a Windows endpoint is, and up since when: asked in two ways. Pure.

The cheap way is two queries of the registry by cmd.exe, for every opening of a connection; the
other one is PowerShell's, and tells the uptime as well. Both write a boot as eight digits.
"""

from __future__ import annotations

import re
from typing import Final

from outagekit.events import FailureKind
from outagekit.playbook.model import Code
from outagekit.text import visible_line
from outagekit.transports.identity import LOST_WORDS, Identity
from outagekit.transports.protocol import Failure, Outcome
from outagekit.transports.windows.render import render

_MACHINE_KEY: Final = r"HKLM\SOFTWARE\Microsoft\Cryptography"
_BOOT_KEY: Final = (
    r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
)
# The names of values and types are the same in every language of Windows; the rest is not read.
_MACHINE: Final = re.compile(
    r"^[ \t]*MachineGuid[ \t]+REG_SZ[ \t]+\{?([0-9A-Fa-f-]{8,64})\}?[ \t\r]*$", re.MULTILINE
)
_BOOT: Final = re.compile(
    r"^[ \t]*BootId[ \t]+REG_DWORD[ \t]+0x([0-9A-Fa-f]{1,8})[ \t\r]*$", re.MULTILINE
)
_SAID: Final = 200

# The uptime is that of the bootstrap: a counter that no change of the clock moves.
_SCRIPT: Final = r"""
$machine = ''
$boot = ''
try {
  $key = 'HKLM:\SOFTWARE\Microsoft\Cryptography'
  $machine = ([string](Get-ItemProperty -Path $key).MachineGuid).Trim('{}')
} catch { $machine = '' }
try {
  $key = 'HKLM:\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\'
  $id = (Get-ItemProperty -Path ($key + 'PrefetchParameters')).BootId
  if ($null -ne $id) {
    $id = [long]$id
    if ($id -lt 0) { $id += 4294967296 }
    $boot = $id.ToString('d8', [Globalization.CultureInfo]::InvariantCulture)
  }
} catch { $boot = '' }
$up = (Get-OkUptime).ToString('f3', [Globalization.CultureInfo]::InvariantCulture)
'machine-id=' + $machine.ToLowerInvariant()
'boot-id=' + $boot
'uptime-s=' + $up
"""

IDENTITY: Final = render(Code("powershell", _SCRIPT), {}, step="-", part="identity")
"""Prints `machine-id=…`, `boot-id=…`, `uptime-s=…`; what the machine cannot tell is empty."""

CHEAP_IDENTITY: Final = render(
    Code("cmd", f'reg query "{_MACHINE_KEY}" /v MachineGuid&reg query "{_BOOT_KEY}" /v BootId'),
    {},
    step="-",
    part="identity",
)
"""Prints the two values as reg.exe does; needs no PowerShell. For `parse_registry`."""


def boot_text(number: int) -> str:
    """Return how a boot is written, from the number that Windows counts boots with."""
    return f"{number:08d}"


def parse_registry(outcome: Outcome) -> Identity | Failure:
    """Return what `CHEAP_IDENTITY` told, or why nothing of ours can run there.

    A machine without a boot number has told who it is all the same. The command only reads, so
    `sent` is never true.
    """
    if outcome.failure is not None:
        return Failure(outcome.failure.kind, outcome.failure.detail)
    if outcome.missing:
        return LOST_WORDS
    text = outcome.stdout.text
    machine, boot = _MACHINE.search(text), _BOOT.search(text)
    if machine is None and boot is None and outcome.exit_code != 0:
        said = (outcome.stderr.text.strip() or text.strip())[:_SAID]
        detail = f"the endpoint did not answer our first command as cmd.exe would: {said}"
        return Failure(FailureKind.PROTOCOL, visible_line(detail))
    return Identity(
        machine[1].lower() if machine else "",
        boot_text(int(boot[1], 16)) if boot else "",
    )
