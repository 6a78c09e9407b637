r"""The PowerShell texts around a script that runs by a task of its own, for PowerShell 2.0 to 5.1.

They hold no value: what they need is assigned before them. `COMMON` and `PLACE` come first; then
one of the others does its work and ends with an answer.

The order of what a start does is what keeps a script from running twice. `begun` is made by the
process that is going to run the script, already in a task of its own, by renaming a finished file:
Windows gives a name that exists to no second file. So either it is there with all it says, or
nothing began; of any number of starts at the same time one gets it, and only that one runs. A start
gives up only while it holds `gate`, which a runner must hold when it takes `begun`. A start that
died before is repeated; one that may have run anything never is.

No value is left over to be printed: an answer is bytes on the streams.
"""

from __future__ import annotations

from typing import Final

# Sets where the folders are. What is refused is refused by `Deny-Ok`: nothing else means that
# nothing began.
PLACE: Final = r"""
$okOut = [Console]::OpenStandardOutput()
$okErr = [Console]::OpenStandardError()
function Send-OkLine([string]$text) {
  $bytes = [Text.Encoding]::UTF8.GetBytes($text + "`n")
  $okOut.Write($bytes, 0, $bytes.Length)
  $okOut.Flush()
}
function Deny-Ok([string]$why) { throw ('outagekit-refused ' + $why) }
function Get-OkReason($record) {
  $fault = $record.Exception
  while ($null -ne $fault.InnerException) { $fault = $fault.InnerException }
  return ($fault.Message -replace '\s+', ' ').Trim()
}
$okMe = [Security.Principal.WindowsIdentity]::GetCurrent()
$okSid = $okMe.User.Value
$okRole = [Security.Principal.WindowsBuiltInRole]::Administrator
$okAdmin = (New-Object Security.Principal.WindowsPrincipal($okMe)).IsInRole($okRole)
$okRules = 'D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)'
$okOwner = ''
if ($okAdmin) { $okOwner = 'O:BA' }
$okData = [Environment]::GetFolderPath('CommonApplicationData')
$okBase = Join-Ok $okData 'outagekit'
$okFolder = Join-Ok $okBase $okName
$okBegun = Join-Ok $okFolder 'begun'
function Test-OkOurs([string]$path) {
  if (-not [IO.Directory]::Exists($path)) { return $false }
  $link = [int][IO.FileAttributes]::ReparsePoint
  if (([int][IO.File]::GetAttributes($path) -band $link) -ne 0) { return $false }
  $ours = @('S-1-5-18', 'S-1-5-32-544', $okSid)
  $kind = [Security.Principal.SecurityIdentifier]
  $rights = [IO.Directory]::GetAccessControl($path)
  if ($ours -notcontains $rights.GetOwner($kind).Value) { return $false }
  if (-not $rights.AreAccessRulesProtected) { return $false }
  foreach ($rule in $rights.GetAccessRules($true, $true, $kind)) {
    $allows = $rule.AccessControlType -eq [Security.AccessControl.AccessControlType]::Allow
    if ($allows -and $ours -notcontains $rule.IdentityReference.Value) { return $false }
  }
  return $true
}
function New-OkFolder([string]$path, [string]$rules) {
  if (-not [IO.Directory]::Exists($path)) {
    $rights = New-Object Security.AccessControl.DirectorySecurity
    $rights.SetSecurityDescriptorSddlForm($rules)
    $null = [IO.Directory]::CreateDirectory($path, $rights)
  }
  return (Test-OkOurs $path)
}
function Read-OkText([string]$path) {
  for ($try = 1; [IO.File]::Exists($path); $try++) {
    try {
      return (Read-OkBytes $path 0 4096)
    } catch {
      if ($try -ge 10) { throw }
      [Threading.Thread]::Sleep(50)
    }
  }
  return $null
}
function Get-OkNumber([string]$text, [long]$else) {
  if ($text -match '^-?[0-9]{1,15}$') { return [long]$text }
  return $else
}
function Get-OkState {
  $now = Get-OkClock
  $it = @{ state = 'absent'; code = ''; age = [long]0; s = ''; id = 0; out = [long]-1; now = $now }
  $text = Read-OkText $okBegun
  if ($null -eq $text) { return $it }
  $words = @($text.Trim() -split ' ') + @('-', '-', '-', '-', '-')
  $nonce = 'none'
  if ($words[0] -match '^[0-9a-f]{16,64}$') { $nonce = $words[0] }
  $it.s = Join-Ok $okFolder "s.$nonce"
  $it.id = [int](Get-OkNumber $words[1] 0)
  $it.state = 'gone'
  if ($it.id -gt 4) {
    $born = Get-OkBorn $it.id
    if ($born -eq $words[2]) { $it.state = 'running' }
    if ($born -eq '-' -and (Get-OkBoot) -eq $words[3]) { $it.state = 'running' }
  }
  $last = $now
  if ([IO.Directory]::Exists($it.s)) {
    foreach ($path in [IO.Directory]::GetFiles($it.s, 'ended.*')) {
      $parts = @([IO.Path]::GetFileName($path) -split '\.')
      if ($parts.Count -ne 4) { continue }
      $it.state = 'ended'
      $it.code = [string](Get-OkNumber $parts[1] 1)
      $last = Get-OkNumber $parts[2] $now
      $it.out = Get-OkNumber $parts[3] (-1)
    }
  }
  if ($it.state -ne 'running' -and [IO.File]::Exists((Join-Ok $okFolder 'stopped'))) {
    $it.state = 'stopped'
    $it.code = ''
  }
  $it.age = [Math]::Max([long]0, [long]($last - (Get-OkNumber $words[4] $now)))
  return $it
}
function Wait-Ok {
  $it = Get-OkState
  $since = $it.now
  while ($it.state -eq 'running') {
    if (($it.now - $since) -ge $okWait -or $it.age -gt $okLimit) { break }
    [Threading.Thread]::Sleep(200)
    $it = Get-OkState
  }
  return $it
}
function Send-OkPart([string]$path, [long]$from, [long]$until, $to) {
  if ($from -ge $until) { return }
  $file = Open-OkRead $path
  try {
    $null = $file.Seek($from, [IO.SeekOrigin]::Begin)
    $bytes = New-Object byte[] 65536
    $left = $until - $from
    while ($left -gt 0) {
      $got = $file.Read($bytes, 0, [int][Math]::Min([long]$bytes.Length, $left))
      if ($got -le 0) { break }
      $to.Write($bytes, 0, $got)
      $left -= $got
    }
    $to.Flush()
  } finally { $file.Close() }
}
function Send-OkStream([string]$path, [long]$bytes, [bool]$rest, $to) {
  if ($bytes -le $okKeep) {
    if (-not $rest) { Send-OkPart $path 0 $bytes $to }
  } elseif ($rest) {
    Send-OkPart $path ($bytes - $okHalf) $bytes $to
  } else {
    Send-OkPart $path 0 $okHalf $to
  }
}
function Send-OkState($it, [bool]$rest) {
  $out = [long]0
  $err = [long]0
  $tells = $it.state -ne 'running' -and $it.s -ne ''
  if ($tells) {
    $outPath = Join-Ok $it.s 'out'
    $errPath = Join-Ok $it.s 'err'
    $out = Get-OkLength $outPath
    if ($it.out -ge 0) { $out = [Math]::Min($out, $it.out) }
    $err = Get-OkLength $errPath
  }
  $numbers = "code=$($it.code) age=$($it.age) out=$out err=$err"
  Send-OkLine "outagekit-detached $($it.state) $numbers"
  if ($tells) {
    Send-OkStream $outPath $out $rest $okOut
    Send-OkStream $errPath $err $rest $okErr
  }
}
function Assert-OkOurs {
  foreach ($path in @($okBase, $okFolder)) {
    $there = [IO.Directory]::Exists($path) -or [IO.File]::Exists($path)
    if ($there -and -not (Test-OkOurs $path)) {
      Deny-Ok "$path belongs to somebody else, or others may get into it"
    }
  }
}
"""

# Everything that is not refused but goes wrong is no answer: something may have begun.
ANSWERING: Final = r"""
try {%s} catch {
  $okWhy = [string]$_.Exception.Message
  if (-not $okWhy.StartsWith('outagekit-refused ')) { throw }
  Send-OkLine 'outagekit-detached refused'
  Send-OkLine $okWhy.Substring(18)
}
$null = 0
"""

BEGIN: Final = r"""
function New-OkPlace {
  $rules = $okRules
  if (-not $okAdmin) { $rules += "(A;OICI;FA;;;$okSid)" }
  $why = 'it belongs to somebody else, or others may get into it'
  for ($try = 1; $try -le 3; $try++) {
    try {
      if (-not (New-OkFolder $okBase ($okOwner + $rules))) { continue }
      $own = "$okOwner$okRules(A;OICI;FA;;;$okSid)"
      if (New-OkFolder $okFolder $own) { return }
    } catch { $why = Get-OkReason $_ }
    [Threading.Thread]::Sleep(50)
  }
  Deny-Ok "$okFolder cannot be used: $why"
}
function Set-OkPart([string]$s) {
  # The path is data to the runner: no character of it is ever read as PowerShell.
  $bytes = [Text.Encoding]::UTF8
  $null = [IO.Directory]::CreateDirectory($s)
  $given = $bytes.GetBytes($okNonce + "`n" + $okScript)
  Write-OkNew (Join-Ok $s 'in') $given
  Write-OkNew (Join-Ok $s 'line') ($bytes.GetBytes($okLine))
  Write-OkNew (Join-Ok $s 'runner') ($bytes.GetBytes($okFacts + "`n" + $okRunner))
  Write-OkNew (Join-Ok $s 'gate') @()
  if ((Get-OkLength (Join-Ok $s 'in')) -ne $given.Length) { throw 'the disk may be full' }
}
function Get-OkStarter([string]$s) {
  $path = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($s))
  $text = "`$okS = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String('$path'))`n" +
    "`$okText = [IO.File]::ReadAllText([IO.Path]::Combine(`$okS, 'runner'))`n" +
    '& ([ScriptBlock]::Create($okText))'
  return [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($text))
}
function Undo-OkBegin([string]$s) {
  # Returns whether nothing began, nor will: whoever holds the gate decides.
  for ($try = 1; $try -le 100; $try++) {
    try {
      $gate = New-Object IO.FileStream((Join-Ok $s 'gate'), [IO.FileMode]::OpenOrCreate,
        [IO.FileAccess]::ReadWrite, [IO.FileShare]::None, 1, [IO.FileOptions]::DeleteOnClose)
      try { return (-not [IO.File]::Exists($okBegun)) } finally { $gate.Close() }
    } catch {
      # Without its folder no runner can begin.
      if (-not [IO.Directory]::Exists($s)) { return (-not [IO.File]::Exists($okBegun)) }
      [Threading.Thread]::Sleep(100)
    }
  }
  return $false
}
function Clear-OkPart([string]$s) {
  try { [IO.Directory]::Delete($s, $true) } catch { $null = $_ }
}
function Start-OkScript {
  $s = Join-Ok $okFolder "s.$okNonce"
  $why = ''
  try { Set-OkPart $s } catch {
    $why = Get-OkReason $_
    Clear-OkPart $s
    Deny-Ok "the script could not be written into ${okFolder}: $why"
  }
  $since = Get-OkClock
  try {
    Start-OkTask $okTask (Get-OkStarter $s) $okAs $okTaskLimit
  } catch { $why = Get-OkReason $_ }
  while ($why -eq '' -and -not [IO.File]::Exists($okBegun)) {
    if (((Get-OkClock) - $since) -gt 20) {
      $why = 'it did not begin within 20 s (Windows says ' + (Get-OkResult $okTask) + ')'
    }
    if (-not [IO.Directory]::Exists($s)) { $why = 'it could not write where it has to' }
    [Threading.Thread]::Sleep(100)
  }
  if ([IO.File]::Exists($okBegun)) { return }
  if (-not (Undo-OkBegin $s)) { return }
  Remove-OkTasks $okTask $true
  Clear-OkPart $s
  Deny-Ok "the task $okTask could not be started: $why"
}
"""

START: Final = r"""
  New-OkPlace
  $okSince = Get-OkClock
  if (-not [IO.File]::Exists($okBegun)) { Start-OkScript }
  $okWait -= (Get-OkClock) - $okSince
  $okIt = Wait-Ok
  Send-OkState $okIt $false
"""

WAIT: Final = r"""
  Assert-OkOurs
  $okIt = Wait-Ok
  Send-OkState $okIt $false
"""

REST: Final = r"""
  Assert-OkOurs
  $okIt = Get-OkState
  Send-OkState $okIt $true
"""

STOP: Final = r"""
  Assert-OkOurs
  $okIt = Get-OkState
  if ($okIt.state -eq 'running') {
    $okMark = Join-Ok $okFolder 'stopped'
    if (-not [IO.File]::Exists($okMark)) { Write-OkNew $okMark @() }
    try { [Diagnostics.Process]::EnterDebugMode() } catch { $null = $_ }
    Stop-OkFamily $okIt.id
    Remove-OkTasks $okName $true
    $okWait = $okKill
    $okLimit = [long]1000000000000
    $okIt = Wait-Ok
  }
  Send-OkState $okIt $false
"""

RELEASE: Final = r"""
  Assert-OkOurs
  $okIt = Get-OkState
  for ($okTry = 1; $okTry -le 10 -and [IO.Directory]::Exists($okFolder); $okTry++) {
    if ($okIt.state -eq 'running') { break }
    try {
      # Without its gate nothing begins any more; what began until then is seen.
      $okParts = @([IO.Directory]::GetDirectories($okFolder, 's.*'))
      foreach ($okOne in $okParts) { [IO.File]::Delete((Join-Ok $okOne 'gate')) }
      $okIt = Get-OkState
      if ($okIt.state -eq 'running') { break }
      Remove-OkTasks $okName $true
      # The proof that it ran goes last: what is left by a removal that was cut starts nothing.
      foreach ($okOne in $okParts) { [IO.Directory]::Delete($okOne, $true) }
      foreach ($okOne in [IO.Directory]::GetFiles($okFolder)) { [IO.File]::Delete($okOne) }
      # Not with what is in it: that would be of a start that came meanwhile.
      [IO.Directory]::Delete($okFolder)
    } catch { [Threading.Thread]::Sleep(200) }
  }
  if ($okIt.state -eq 'running') {
    Send-OkState $okIt $false
  } else {
    if ([IO.Directory]::Exists($okFolder)) { Deny-Ok "$okFolder could not be removed" }
    Remove-OkTasks $okName $true
    try { [IO.Directory]::Delete($okBase) } catch { $null = $_ }
    Send-OkLine 'outagekit-detached released'
  }
"""
