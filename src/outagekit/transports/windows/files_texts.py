r"""The PowerShell texts that read and write files of a Windows endpoint, for PowerShell 2.0 to 5.1.

They hold no value: names and numbers are assigned before them, `SHARED` comes first. What they say
is ASCII: lines of base64, and one line of JSON at the end.
"""

from __future__ import annotations

from typing import Final

# Input up to an empty line is the script's, all after it is content: `$ok_all` from `$ok_at` on.
CONTENT_APART: Final = r"""$ok_all=@($input)
$ok_at=0
while($ok_at -lt $ok_all.Count -and ([string]$ok_all[$ok_at]).Trim() -ne ''){$ok_at++}
$ok_in=@($ok_all|Select-Object -First $ok_at)"""

SHARED: Final = r"""
$ErrorActionPreference = 'Stop'
$okOut = [Console]::OpenStandardOutput()
function Send-OkLine([string]$text) {
  $bytes = [Text.Encoding]::ASCII.GetBytes($text + "`n")
  $okOut.Write($bytes, 0, $bytes.Length)
  $okOut.Flush()
}
function ConvertTo-OkAscii([string]$text) {
  $made = New-Object Text.StringBuilder
  foreach ($one in $text.ToCharArray()) {
    $number = [int]$one
    if ($number -ge 32 -and $number -lt 127 -and $number -ne 34 -and $number -ne 92) {
      $null = $made.Append($one)
    } else {
      $null = $made.Append('\u').Append($number.ToString('x4'))
    }
  }
  return $made.ToString()
}
function Deny-Ok([string]$code) { throw ('outagekit-refused ' + $code) }
function Get-OkFault($record) {
  $fault = $record.Exception
  $said = [string]$fault.Message
  if ($said.StartsWith('outagekit-refused ')) { return @{ code = $said.Substring(18); said = '' } }
  while ($null -ne $fault.InnerException) { $fault = $fault.InnerException }
  $number = [Runtime.InteropServices.Marshal]::GetHRForException($fault) -band 0xFFFF
  $codes = @{ 2 = 'missing'; 3 = 'missing'; 5 = 'denied'; 32 = 'locked'; 33 = 'locked' }
  $codes += @{ 39 = 'full'; 112 = 'full'; 206 = 'long'; 19 = 'readonly'; 21 = 'missing' }
  $code = 'other'
  if ($codes.ContainsKey([int]$number)) { $code = $codes[[int]$number] }
  return @{ code = $code; said = ([string]$fault.Message -replace '\s+', ' ').Trim() }
}
function Get-OkPath([string]$text) {
  $path = [Environment]::ExpandEnvironmentVariables($text).Replace('/', '\')
  if ($path.StartsWith('\\')) { Deny-Ok 'share' }
  if ($path -notmatch '^[A-Za-z]:\\[^:]+$') { Deny-Ok 'name' }
  $root = New-Object IO.DriveInfo($path.Substring(0, 1))
  if ($root.DriveType -eq [IO.DriveType]::Network) { Deny-Ok 'share' }
  if ($path.Length -gt 259) { Deny-Ok 'long' }
  return [IO.Path]::GetFullPath($path)
}
function Get-OkHash([string]$path) {
  try { $hash = [Security.Cryptography.SHA256]::Create() } catch {
    # Where only approved code may be used, that is this one.
    $null = [Reflection.Assembly]::LoadWithPartialName('System.Core')
    $hash = New-Object Security.Cryptography.SHA256CryptoServiceProvider
  }
  $file = Open-OkFile $path
  try { $made = $hash.ComputeHash($file) } finally { $file.Close() }
  return [BitConverter]::ToString($made).Replace('-', '').ToLowerInvariant()
}
function Open-OkFile([string]$path) {
  if ([IO.Directory]::Exists($path)) { Deny-Ok 'folder' }
  $share = [IO.FileShare]'ReadWrite, Delete'
  $read = [IO.FileAccess]::Read
  return (New-Object IO.FileStream($path, [IO.FileMode]::Open, $read, $share))
}
function Get-OkWritten([string]$path) {
  $moment = [IO.File]::GetLastWriteTimeUtc($path)
  return $moment.ToString('yyyy-MM-ddTHH:mm:ss.fffffffZ',
    [Globalization.CultureInfo]::InvariantCulture)
}
"""

ANSWERING: Final = r"""
try {%s} catch {
  $okFault = Get-OkFault $_
  $okSaid = ConvertTo-OkAscii $okFault.said
  Send-OkLine ('{"refused":"' + $okFault.code + '","said":"' + $okSaid + '"}')
}
$null = 0
"""

STAT: Final = r"""
  $okPath = Get-OkPath $okName
  $okFile = Open-OkFile $okPath
  try { $okSize = $okFile.Length } finally { $okFile.Close() }
  $okHash = ''
  if ($okDigest) { $okHash = Get-OkHash $okPath }
  $okWritten = Get-OkWritten $okPath
  $okSaid = '{"size":' + $okSize + ',"written":"' + $okWritten + '","sha256":"' + $okHash + '"}'
  Send-OkLine $okSaid
"""

CHUNK: Final = r"""
  $okPath = Get-OkPath $okName
  $okFile = Open-OkFile $okPath
  try {
    $okSize = $okFile.Length
    $null = $okFile.Seek($okOffset, [IO.SeekOrigin]::Begin)
    $okBytes = New-Object byte[] 49152
    $okLeft = $okLength
    $okSent = [long]0
    while ($okLeft -gt 0) {
      # Whole lines only: each stands for itself, and is as long as it can be.
      $okGot = 0
      $okMost = [int][Math]::Min([long]$okBytes.Length, $okLeft)
      while ($okGot -lt $okMost) {
        $okMore = $okFile.Read($okBytes, $okGot, $okMost - $okGot)
        if ($okMore -le 0) { break }
        $okGot += $okMore
      }
      if ($okGot -eq 0) { break }
      Send-OkLine ([Convert]::ToBase64String($okBytes, 0, $okGot))
      $okLeft -= $okGot
      $okSent += $okGot
    }
  } finally { $okFile.Close() }
  $okWritten = Get-OkWritten $okPath
  $okSaid = '{"size":' + $okSize + ',"written":"' + $okWritten + '","sent":' + $okSent + '}'
  Send-OkLine $okSaid
"""

# `$null` would become an empty text as an argument: only reflection hands over none.
PUT: Final = r"""
  $okPath = Get-OkPath $okName
  if ([IO.Directory]::Exists($okPath)) { Deny-Ok 'folder' }
  $okFolder = [IO.Path]::GetDirectoryName($okPath)
  if (-not [IO.Directory]::Exists($okFolder)) { Deny-Ok 'parent' }
  if ([IO.File]::Exists($okPath)) {
    $okLink = [int][IO.FileAttributes]::ReparsePoint
    if (([int][IO.File]::GetAttributes($okPath) -band $okLink) -ne 0) { Deny-Ok 'link' }
  }
  $okTemporary = [IO.Path]::Combine($okFolder, $okPart)
  if ($okTemporary.Length -gt 259) { Deny-Ok 'long' }
  $okNew = New-Object IO.FileStream($okTemporary, [IO.FileMode]::CreateNew,
    [IO.FileAccess]::Write, [IO.FileShare]::None)
  try {
    try {
      for ($okIndex = $ok_at + 1; $okIndex -lt $ok_all.Count; $okIndex++) {
        $okLine = ([string]$ok_all[$okIndex]).Trim()
        if ($okLine -eq '') { continue }
        $okBytes = [Convert]::FromBase64String($okLine)
        $okNew.Write($okBytes, 0, $okBytes.Length)
      }
      if ($okNew.Length -ne $okSize) { Deny-Ok 'cut' }
    } finally { $okNew.Close() }
    if ((Get-OkHash $okTemporary) -cne $okSha) { Deny-Ok 'cut' }
    if ([IO.File]::Exists($okPath)) {
      $okReplace = [IO.File].GetMethod('Replace', [Type[]]@([string], [string], [string]))
      $null = $okReplace.Invoke($null, [object[]]@([string]$okTemporary, [string]$okPath, $null))
    } else {
      [IO.File]::Move($okTemporary, $okPath)
    }
  } catch {
    $okWhy = $_
    try { [IO.File]::Delete($okTemporary) } catch { $null = $_ }
    throw $okWhy
  }
  Send-OkLine ('{"size":' + $okSize + ',"sha256":"' + $okSha + '"}')
"""
