"""How a Windows endpoint is told to restart. Pure."""

from __future__ import annotations

from typing import Final

from outagekit.playbook.model import Code

# By cmd: PowerShell would take the first line on standard error for a terminating error. Reason
# 4:1 is planned maintenance of an application.
RESTART: Final = Code(
    "powershell",
    r"""
$ErrorActionPreference = 'Stop'
$system = [Environment]::SystemDirectory
$cmd = [IO.Path]::Combine($system, 'cmd.exe')
$tool = [IO.Path]::Combine($system, 'shutdown.exe')
function Restart-Ok {
  $said = & $cmd /d /c "$tool /r /t 5 /f /d p:4:1 /c outagekit 2>&1"
  return @{ code = $LASTEXITCODE; said = (@($said) -join ' ').Trim() }
}
$asked = Restart-Ok
if ($asked.code -eq 1190) {
  # One is scheduled for some later time, or for shutting down without coming back.
  $null = & $cmd /d /c "$tool /a 2>&1"
  $asked = Restart-Ok
}
if ($asked.code -eq 0) {
  'restarts in 5 s'
} elseif ($asked.code -eq 1115) {
  'goes down already'
} elseif ($asked.code -eq 5) {
  [Console]::Error.WriteLine('this account may not restart the machine (access denied)')
  exit 5
} else {
  [Console]::Error.WriteLine("shutdown.exe said $($asked.code): $($asked.said)")
  exit 1
}
exit 0
""",
)
