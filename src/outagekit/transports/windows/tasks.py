r"""Scheduled tasks of Windows: how a script gets a process that is no child of ours. Pure.

What a connection starts ends with its shell; what a task starts does not, and may run as SYSTEM. No
password is ever stored: a task of the account itself runs by S4U, which reaches no other machine.
Tasks are in the folder `\outagekit` of the Task Scheduler, `<step>.<part>.<folder>.<nonce>`, have
no trigger, and are removed by their own last act, or with the folder they belong to.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from outagekit.errors import OutagekitError
from outagekit.text import visible_line
from outagekit.transports.detached import FOREVER_S
from outagekit.transports.protocol import Command
from outagekit.transports.windows.detached_texts import BEGIN, PLACE
from outagekit.transports.windows.quoting import quoted
from outagekit.transports.windows.runner_texts import COMMON, RUNNER

LONGEST_S: Final = 24 * 3600
"""How long a script may run as SYSTEM if nobody says; its step ends it long before."""
BACKSTOP_S: Final = 600
"""How long after a script's time its task is ended by Windows: its runner ends it before."""
_NAME: Final = re.compile(r"-|[a-z][a-z0-9_]*")
_SCRIPT: Final = re.compile(r"^\$okScript = '([A-Za-z0-9+/=\n]*)'$", re.MULTILINE)

# 1 in GetTasks: hidden ones, too. 2 in RegisterTaskDefinition: create, never replace.
TASKS: Final = r"""
function Start-OkTask([string]$name, [string]$encoded, [string]$as, [long]$limit) {
  $user = $okMe.Name
  $logon = 2
  if ($as -eq 'system') {
    $sid = New-Object Security.Principal.SecurityIdentifier('S-1-5-18')
    $user = $sid.Translate([Security.Principal.NTAccount]).Value
    $logon = 5
  }
  $service = New-Object -ComObject Schedule.Service
  $service.Connect()
  $definition = $service.NewTask(0)
  $definition.RegistrationInfo.Description = 'A script of outagekit; gone when it has ended.'
  $definition.Principal.UserId = $user
  $definition.Principal.LogonType = $logon
  $definition.Principal.RunLevel = 1
  $settings = $definition.Settings
  $settings.Enabled = $true
  $settings.Hidden = $true
  $settings.AllowDemandStart = $true
  $settings.StartWhenAvailable = $false
  $settings.DisallowStartIfOnBatteries = $false
  $settings.StopIfGoingOnBatteries = $false
  $settings.RunOnlyIfIdle = $false
  $settings.IdleSettings.StopOnIdleEnd = $false
  $settings.RunOnlyIfNetworkAvailable = $false
  $settings.MultipleInstances = 2
  $settings.Priority = 5
  $settings.ExecutionTimeLimit = "PT${limit}S"
  $action = $definition.Actions.Create(0)
  $action.Path = Join-Ok ([Environment]::SystemDirectory) 'WindowsPowerShell\v1.0\powershell.exe'
  $action.Arguments = '-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass' +
    " -EncodedCommand $encoded"
  $rules = "D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;$okSid)"
  for ($try = 1; ; $try++) {
    try {
      try { $place = $service.GetFolder('\outagekit') } catch {
        $place = $service.GetFolder('\').CreateFolder('outagekit')
      }
      $task = $place.RegisterTaskDefinition($name, $definition, 2, $user, $null, $logon, $rules)
      break
    } catch {
      # Another one may have made the folder, or removed it, at this moment.
      if ($try -ge 3) { throw }
      [Threading.Thread]::Sleep(100)
    }
  }
  $null = $task.Run($null)
}
function Get-OkResult([string]$name) {
  # 0x80070569: the account has no right to log on as a batch job; 0x00041303: not begun yet.
  try {
    $service = New-Object -ComObject Schedule.Service
    $service.Connect()
    return '0x{0:x8}' -f [int]$service.GetFolder('\outagekit').GetTask($name).LastTaskResult
  } catch { return 'nothing' }
}
"""

REMOVING: Final = r"""
function Remove-OkTasks([string]$named, [bool]$stops) {
  try {
    $service = New-Object -ComObject Schedule.Service
    $service.Connect()
    $place = $service.GetFolder('\outagekit')
    $names = @()
    foreach ($task in $place.GetTasks(1)) { $names += [string]$task.Name }
    foreach ($name in $names) {
      if (-not ".$name.".Contains(".$named.")) { continue }
      if ($stops) { try { $null = $place.GetTask($name).Stop(0) } catch { $null = $_ } }
      try { $null = $place.DeleteTask($name, 0) } catch { $null = $_ }
    }
    $null = $service.GetFolder('\').DeleteFolder('outagekit', 0)
  } catch { $null = $_ }
}
"""

RUNNING: Final = COMMON + REMOVING + RUNNER
"""The text of a runner; `facts` comes before it."""

# A start that went wrong began nothing. Everything after it that goes wrong ends this process, and
# with it the task: its runner watches over it.
_AS_SYSTEM: Final = r"""
function Get-OkCertain([string]$path, [long]$from) {
  # Up to where the output is no part of what the inner frame says last.
  $mark = "`n" + $okNonce
  $length = Get-OkLength $path
  $start = [Math]::Max($from, $length - 16384)
  if ($start -ge $length) { return $from }
  $text = Read-OkBytes $path $start ([int]($length - $start))
  $at = $text.IndexOf($mark, [StringComparison]::Ordinal)
  if ($at -ge 0) { return $start + $at }
  for ($hold = [Math]::Min($mark.Length, $text.Length); $hold -gt 0; $hold--) {
    $end = $text.Substring($text.Length - $hold)
    if ($mark.StartsWith($end, [StringComparison]::Ordinal)) { break }
  }
  return $length - $hold
}
function Clear-OkFolder {
  Remove-OkTasks $okName $true
  for ($try = 1; $try -le 10 -and [IO.Directory]::Exists($okFolder); $try++) {
    try { [IO.Directory]::Delete($okFolder, $true) } catch { [Threading.Thread]::Sleep(200) }
  }
  try { [IO.Directory]::Delete($okBase) } catch { $null = $_ }
}
$okFacts += "`n`$okWatch = $PID; `$okWatchBorn = '$(Get-OkBorn $PID)'"
try {
  New-OkPlace
  Start-OkScript
} catch {
  $okWhy = Get-OkReason $_
  Clear-OkFolder
  throw ('it could not be run as SYSTEM: ' + ($okWhy -replace '^outagekit-refused ', ''))
}
$okOutAt = [long]0
$okErrAt = [long]0
do {
  $okIt = Get-OkState
  $okRuns = $okIt.state -eq 'running'
  if ($okIt.s -ne '') {
    $okPath = Join-Ok $okIt.s 'out'
    $okUntil = $okIt.out
    if ($okUntil -lt 0) { $okUntil = Get-OkCertain $okPath $okOutAt }
    Send-OkPart $okPath $okOutAt $okUntil $okOut
    $okOutAt = [Math]::Max($okOutAt, $okUntil)
    $okPath = Join-Ok $okIt.s 'err'
    $okUntil = Get-OkLength $okPath
    Send-OkPart $okPath $okErrAt $okUntil $okErr
    $okErrAt = $okUntil
  }
  if ($okRuns) { [Threading.Thread]::Sleep(200) }
} while ($okRuns)
$okTold = $null
if ($okIt.state -eq 'ended') {
  $okRest = Read-OkBytes (Join-Ok $okIt.s 'out') $okIt.out 4096
  $okFound = [regex]::Match($okRest, '"how":"([a-z]+)","rc":[^,]*,"native":(null|-?[0-9]+)')
  if ($okFound.Success) {
    $okTold = @{ how = $okFound.Groups[1].Value; rc = [int]$okIt.code; native = $null }
    if ($okFound.Groups[2].Value -ne 'null') { $okTold.native = [int]$okFound.Groups[2].Value }
  }
}
Clear-OkFolder
# Nobody knows how it ended: then this has no end, either.
if ($null -eq $okTold) { [Diagnostics.Process]::GetCurrentProcess().Kill() }
$global:OKTold = $okTold
"""


def as_system(command: Command, *, step: str, part: str, limit_s: int = LONGEST_S) -> str:
    """Return the PowerShell text that runs a framed command as SYSTEM and waits for its end.

    Its output is handed out as it comes, and its end told as that of the text itself (see
    `bootstrap`). The command ends with the process that runs this text, and after `limit_s`.
    Raises `OutagekitError` for a command without a frame: nobody would know how it ended.
    """
    name = f"system-{secrets.token_hex(8)}"
    settings = beginning(
        command, name=name, step=step, part=part, account="system", limit_s=limit_s
    )
    return settings + COMMON + PLACE + TASKS + REMOVING + BEGIN + _AS_SYSTEM


def facts(task: str, nonce: str, limit_s: int) -> str:
    """Return the PowerShell text that tells a runner what it is to do."""
    return "\n".join(
        (
            f"$okTask = {quoted(task)}",
            f"$okNonce = {quoted(nonce)}",
            f"$okLimit = [long]{limit_s}",
            "$okWatch = 0",
            "$okWatchBorn = ''",
        )
    )


def task_limit_s(limit_s: int) -> int:
    """Return after how many seconds Windows itself ends a task; 0: never."""
    return 0 if limit_s >= FOREVER_S else limit_s + BACKSTOP_S


def beginning(
    command: Command, *, name: str, step: str, part: str, account: str, limit_s: int
) -> str:
    """Return the settings by which `Start-OkScript` begins a framed command in the folder `name`.

    Raises `OutagekitError` for a command without a frame: nobody would know how it ended.
    """
    if not command.framed or not _NAME.fullmatch(step):
        raise OutagekitError(f"'{visible_line(step)}' names no script that a task can run")
    nonce = secrets.token_hex(16)
    task = f"{step}.{part}.{name}.{nonce}"
    settings = {
        "okName": name,
        "okNonce": nonce,
        "okTask": task,
        "okAs": account,
        "okLine": command.line,
        "okScript": command.stdin.decode("ascii"),
        "okFacts": facts(task, nonce, limit_s),
        "okRunner": RUNNING,
    }
    lines = [f"${key} = {quoted(value)}" for key, value in settings.items()]
    return "\n".join((*lines, f"$okTaskLimit = [long]{task_limit_s(limit_s)}"))


def begun_in(text: str) -> bytes:
    """Return the input of the command that a text begins by a task; empty if it begins none."""
    found = _SCRIPT.search(text)
    return found[1].encode("ascii") if found else b""
