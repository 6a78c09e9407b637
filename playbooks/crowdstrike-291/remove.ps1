# Copies each faulty channel file 291 aside, proves the copy by SHA-256, and only then removes it.
# Files of before or after the faulty time are left alone. Runs on PowerShell 2.0 and later.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$root = Join-Path ([Environment]::GetFolderPath('CommonApplicationData')) 'outagekit-kept'
$kept = Join-Path $root $OK.run
$invariant = [Globalization.CultureInfo]::InvariantCulture

function Get-Sha256([byte[]]$bytes) {
    try { $hash = [Security.Cryptography.SHA256]::Create() } catch {
        # Where only approved code may be used, that is this one.
        [void][Reflection.Assembly]::LoadWithPartialName('System.Core')
        $hash = New-Object Security.Cryptography.SHA256CryptoServiceProvider
    }
    [BitConverter]::ToString($hash.ComputeHash($bytes)).Replace('-', '').ToLowerInvariant()
}
function Read-Whole([string]$path) {
    $file = [IO.File]::Open($path, 'Open', 'Read', 'ReadWrite, Delete')
    try {
        $bytes = New-Object byte[] ([int]$file.Length)
        if ($file.Read($bytes, 0, $bytes.Length) -ne $bytes.Length) { throw "$path could not be read" }
    } finally { $file.Close() }
    return , $bytes
}
# To the disk itself: this machine may crash any second, and would have an empty file afterwards.
function Write-Through([string]$path, [IO.FileMode]$mode, [byte[]]$bytes) {
    $file = New-Object IO.FileStream($path, $mode, [IO.FileAccess]::Write, [IO.FileShare]::None, 4096, [IO.FileOptions]::WriteThrough)
    try { $file.Write($bytes, 0, $bytes.Length) } finally { $file.Close() }
}

# Only SYSTEM and Administrators get into it: what lies there may be put back among drivers. Anybody
# may make a folder beside it, so one that is there already is looked at.
if (-not (Test-Path -LiteralPath $root)) {
    $rights = New-Object Security.AccessControl.DirectorySecurity
    $rights.SetSecurityDescriptorSddlForm('O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
    [void][IO.Directory]::CreateDirectory($root, $rights)
}
$found = [IO.Directory]::GetAccessControl($root).GetSecurityDescriptorSddlForm('Owner, Access')
$link = ([int][IO.File]::GetAttributes($root) -band [int][IO.FileAttributes]::ReparsePoint) -ne 0
if ($link -or $found -notmatch '^O:(BA|SY)D:P(AI)?(\(A;OICI;FA;;;(SY|BA)\)){2}$') {
    throw "$root belongs to somebody else, or others may get into it: look at it, and remove it"
}
[void][IO.Directory]::CreateDirectory($kept)

# The filter alone also takes longer endings: it looks at short names as well.
$bad = @(Get-ChildItem -LiteralPath $folder -Filter 'C-00000291*.sys' -Force |
        Where-Object {
            -not $_.PSIsContainer -and $_.Name -like 'C-00000291*.sys' -and
            $_.LastWriteTimeUtc -ge $OK.bad_from -and $_.LastWriteTimeUtc -lt $OK.good_from
        })
foreach ($file in $bad) {
    $bytes = Read-Whole $file.FullName
    $sha256 = Get-Sha256 $bytes
    $copy = Join-Path $kept ($sha256 + '_' + $file.Name)
    Write-Through "$copy.part" 'Create' $bytes
    if ((Get-Sha256 (Read-Whole "$copy.part")) -ne $sha256) { throw "the copy of $($file.Name) is not whole" }
    # Its time goes with it, so that what is put back is judged as it was before.
    [IO.File]::SetLastWriteTimeUtc("$copy.part", $file.LastWriteTimeUtc)
    [IO.File]::Delete($copy)
    [IO.File]::Move("$copy.part", $copy)
    Remove-Item -LiteralPath $file.FullName -Force
    $written = $file.LastWriteTimeUtc.ToString('yyyy-MM-ddTHH:mm:ssZ', $invariant)
    $said = "moved aside: $($file.Name) of $written, SHA-256 $sha256"
    # A list for people; and what was done before it is on the disk as well once this is.
    Write-Through (Join-Path $kept 'moved.txt') 'Append' ([Text.Encoding]::UTF8.GetBytes("$said`r`n"))
    $said
}
