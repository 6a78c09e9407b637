r"""The PowerShell text that a task runs: it takes `begun`, runs the script, and says how it ended.

For PowerShell 2.0 to 5.1. `COMMON` is shared with the texts that ask about a script. What a runner
does and in which order is told in `detached_texts`.
"""

from __future__ import annotations

from typing import Final

# Clock and process are the machine's, whatever is done to its date: a counter that begins anew with
# each boot, and a start that is told to 100 ns, which no other process with that number has.
COMMON: Final = r"""
$ErrorActionPreference = 'Stop'
function Get-OkClock {
  $ticks = [Diagnostics.Stopwatch]::GetTimestamp()
  return [long][Math]::Floor($ticks / [Diagnostics.Stopwatch]::Frequency)
}
function Get-OkBoot {
  $key = 'HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Session Manager' +
    '\Memory Management\PrefetchParameters'
  $id = $null
  try { $id = [Microsoft.Win32.Registry]::GetValue($key, 'BootId', $null) } catch { $id = $null }
  if ($null -eq $id) { return '-' }
  return [string]$id
}
function Get-OkBorn([int]$id) {
  $one = $null
  try { $one = [Diagnostics.Process]::GetProcessById($id) } catch { return '' }
  $born = $null
  try {
    if ($one.HasExited) { return '' }
    $born = $one.StartTime
  } catch { $born = $null }
  if ($null -eq $born) { return '-' }
  return [string]$born.ToFileTimeUtc()
}
function Join-Ok([string]$folder, [string]$name) { return [IO.Path]::Combine($folder, $name) }
function Write-OkNew([string]$path, [byte[]]$bytes) {
  $through = [IO.FileOptions]::WriteThrough
  $file = New-Object IO.FileStream($path, [IO.FileMode]::CreateNew, [IO.FileAccess]::Write,
    [IO.FileShare]::None, 4096, $through)
  try { $file.Write($bytes, 0, $bytes.Length) } finally { $file.Close() }
}
function Open-OkRead([string]$path) {
  $share = [IO.FileShare]'ReadWrite, Delete'
  $read = [IO.FileAccess]::Read
  return (New-Object IO.FileStream($path, [IO.FileMode]::Open, $read, $share))
}
function Get-OkLength([string]$path) {
  if (-not [IO.File]::Exists($path)) { return [long]0 }
  $file = Open-OkRead $path
  try { return [long]$file.Length } finally { $file.Close() }
}
function Read-OkBytes([string]$path, [long]$from, [int]$count) {
  if ($count -le 0) { return '' }
  $file = Open-OkRead $path
  try {
    $null = $file.Seek($from, [IO.SeekOrigin]::Begin)
    $bytes = New-Object byte[] $count
    $got = 0
    while ($got -lt $count) {
      $more = $file.Read($bytes, $got, $count - $got)
      if ($more -le 0) { break }
      $got += $more
    }
    return [Text.Encoding]::GetEncoding(28591).GetString($bytes, 0, $got)
  } finally { $file.Close() }
}
function Get-OkFamily($all, $family) {
  do {
    $grew = $false
    foreach ($one in $all) {
      $id = [int]$one.ProcessId
      $above = [int]$one.ParentProcessId
      if ($family.ContainsKey($id) -or -not $family.ContainsKey($above)) { continue }
      if ([string]::CompareOrdinal([string]$one.CreationDate, $family[$above]) -lt 0) { continue }
      $family[$id] = [string]$one.CreationDate
      $grew = $true
    }
  } while ($grew)
}
function Stop-OkFamily([int]$top) {
  $family = @{}
  $family[$top] = ''
  for ($round = 0; $round -lt 10; $round++) {
    try { $all = @(Get-WmiObject -Class Win32_Process) } catch {
      $cmd = Join-Ok ([Environment]::SystemDirectory) 'cmd.exe'
      $null = & $cmd /d /c "taskkill.exe /F /T /PID $top >nul 2>&1"
      return
    }
    foreach ($one in $all) {
      if ($family[$top] -eq '' -and [int]$one.ProcessId -eq $top) {
        $family[$top] = [string]$one.CreationDate
      }
    }
    Get-OkFamily $all $family
    $left = 0
    foreach ($one in $all) {
      $id = [int]$one.ProcessId
      if ($id -eq $PID -or $family[$id] -ne [string]$one.CreationDate) { continue }
      $left++
      try { [Diagnostics.Process]::GetProcessById($id).Kill() } catch { $null = $_ }
    }
    if ($left -eq 0) { return }
    [Threading.Thread]::Sleep(200)
  }
}
"""

# What the task runs: `$okS` is its folder. It ends with what it watches over, or with its time.
RUNNER: Final = r"""
$okFolder = [IO.Path]::GetDirectoryName($okS)
$okBegun = Join-Ok $okFolder 'begun'
function Get-OkTold([string]$path) {
  $length = Get-OkLength $path
  $from = [Math]::Max([long]0, $length - 16384)
  $text = Read-OkBytes $path $from ([int]($length - $from))
  $at = $text.LastIndexOf($okNonce + ' {"how":', [StringComparison]::Ordinal)
  if ($at -lt 0) { return $null }
  $found = [regex]::Match($text.Substring($at), '"rc":(-?[0-9]{1,11}|null)[,}]')
  if (-not $found.Success) { return $null }
  # The line break before it is part of the frame.
  if ($at -gt 0 -and [int]$text[$at - 1] -eq 10) { $at-- }
  return @{ code = $found.Groups[1].Value; out = $from + $at }
}
function Get-OkGate {
  $path = Join-Ok $okS 'gate'
  for ($try = 1; [IO.File]::Exists($path) -and $try -le 50; $try++) {
    try {
      return New-Object IO.FileStream($path, [IO.FileMode]::Open, [IO.FileAccess]::ReadWrite,
        [IO.FileShare]::None)
    } catch { [Threading.Thread]::Sleep(100) }
  }
  return $null
}
function Set-OkBegun {
  $gate = Get-OkGate
  if ($null -eq $gate) { return $false }
  try {
    $claim = Join-Ok $okS 'claim'
    $me = "$okNonce $PID $(Get-OkBorn $PID) $(Get-OkBoot) $(Get-OkClock)"
    Write-OkNew $claim ([Text.Encoding]::ASCII.GetBytes($me))
    foreach ($name in @('out', 'err', 'ending')) {
      Write-OkNew (Join-Ok $okS $name) @()
    }
    [IO.File]::Move($claim, $okBegun)
  } catch {
    return $false
  } finally { $gate.Close() }
  try {
    # Written through, so that the new name is on the disk before anything is run.
    $file = New-Object IO.FileStream($okBegun, [IO.FileMode]::Append, [IO.FileAccess]::Write,
      [IO.FileShare]::Read, 1, [IO.FileOptions]::WriteThrough)
    try { $file.WriteByte(10) } finally { $file.Close() }
  } catch { $null = $_ }
  return $true
}
function Start-OkChild {
  $line = [IO.File]::ReadAllText((Join-Ok $okS 'line'))
  $system = [Environment]::SystemDirectory
  $start = New-Object Diagnostics.ProcessStartInfo
  $start.FileName = Join-Ok $system 'cmd.exe'
  $start.WorkingDirectory = $system
  $start.UseShellExecute = $false
  # The streams belong to the last command of the line, which is the script's PowerShell.
  $start.Arguments = '/d /s /c "chcp 65001 >nul & ' + $line + ' <"' + (Join-Ok $okS 'in') +
    '" >"' + (Join-Ok $okS 'out') + '" 2>"' + (Join-Ok $okS 'err') + '""'
  return [Diagnostics.Process]::Start($start)
}
function Wait-OkChild($child) {
  $until = (Get-OkClock) + $okLimit + 60
  while (-not $child.WaitForExit(500)) {
    $alone = $okWatch -gt 0 -and (Get-OkBorn $okWatch) -ne $okWatchBorn
    if ($alone -or (Get-OkClock) -gt $until) {
      $mark = Join-Ok $okFolder 'stopped'
      if (-not [IO.File]::Exists($mark)) { Write-OkNew $mark @() }
      Stop-OkFamily $child.Id
      $null = $child.WaitForExit(5000)
      return
    }
  }
}
function Set-OkEnded($child) {
  if (-not $child.HasExited) { return }
  # What did not say how it ended was ended by something else: nobody knows what it did.
  $told = Get-OkTold (Join-Ok $okS 'out')
  if ($null -eq $told) { return }
  if ($told.code -eq 'null') { $told.code = [string]$child.ExitCode }
  $name = "ended.$($told.code).$(Get-OkClock).$($told.out)"
  [IO.File]::Move((Join-Ok $okS 'ending'), (Join-Ok $okS $name))
}
function Clear-OkAlone {
  if ($okWatch -le 0 -or (Get-OkBorn $okWatch) -eq $okWatchBorn) { return }
  try { [IO.Directory]::Delete($okFolder, $true) } catch { $null = $_ }
}
if (Set-OkBegun) {
  $okChild = Start-OkChild
  Wait-OkChild $okChild
  Set-OkEnded $okChild
  Clear-OkAlone
} else {
  try { [IO.Directory]::Delete($okS, $true) } catch { $null = $_ }
}
Remove-OkTasks $okTask $false
"""
