# Puts back what this run has moved aside, each file proven by the SHA-256 in its name.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$root = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) 'outagekit-kept'
$kept = Join-Path $root $OK.run

function Get-Sha256([string]$path) {
    try { $hash = [Security.Cryptography.SHA256]::Create() } catch {
        # Where only approved code may be used, that is this one.
        [void][Reflection.Assembly]::LoadWithPartialName('System.Core')
        $hash = New-Object Security.Cryptography.SHA256CryptoServiceProvider
    }
    $file = [IO.File]::Open($path, 'Open', 'Read', 'ReadWrite, Delete')
    try { $made = $hash.ComputeHash($file) } finally { $file.Close() }
    [BitConverter]::ToString($made).Replace('-', '').ToLowerInvariant()
}

$copies = @()
if (Test-Path -LiteralPath $kept) {
    $found = [IO.Directory]::GetAccessControl($root).GetSecurityDescriptorSddlForm('Owner, Access')
    if ($found -notmatch '^O:(BA|SY)D:P(AI)?(\(A;OICI;FA;;;(SY|BA)\)){2}$') {
        throw "$root belongs to somebody else, or others may get into it: nothing is put back"
    }
    $copies = @(Get-ChildItem -LiteralPath $kept -Force |
            Where-Object { $_.Name -match '^[0-9a-f]{64}_C-00000291.*\.sys$' })
}
if ($copies.Count -eq 0) { throw "there is no copy in $kept" }
# All are looked at before the first is put back.
foreach ($copy in $copies) {
    $sha256 = $copy.Name.Substring(0, 64)
    $target = Join-Path $folder $copy.Name.Substring(65)
    if ((Get-Sha256 $copy.FullName) -ne $sha256) { throw "$($copy.Name) is not what was moved aside" }
    if ((Test-Path -LiteralPath $target) -and (Get-Sha256 $target) -ne $sha256) {
        throw "another file is there already: $target"
    }
}
foreach ($copy in $copies) {
    $target = Join-Path $folder $copy.Name.Substring(65)
    if (-not (Test-Path -LiteralPath $target)) {
        [IO.File]::Copy($copy.FullName, "$target.part", $true)
        [IO.File]::Move("$target.part", $target)
    }
    [IO.File]::SetLastWriteTimeUtc($target, $copy.LastWriteTimeUtc)
    "put back: $target, SHA-256 $($copy.Name.Substring(0, 64))"
}
