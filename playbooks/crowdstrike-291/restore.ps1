# Puts the copies back where they were, each proven by the SHA-256 in its name.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$kept = Join-Path $env:ProgramData 'outagekit-kept\crowdstrike-291'

function Get-Sha256([string]$path) {
    $hash = [Security.Cryptography.SHA256]::Create()
    $stream = [IO.File]::OpenRead($path)
    try { $bytes = $hash.ComputeHash($stream) } finally { $stream.Close() }
    ([BitConverter]::ToString($bytes) -replace '-', '').ToLower()
}

$copies = @()
if (Test-Path -LiteralPath $kept) {
    $copies = @(Get-ChildItem -LiteralPath $kept -Force |
            Where-Object { $_.Name -match '^[0-9a-f]{64}_C-00000291[0-9A-Za-z-]*\.sys$' })
}
if ($copies.Count -eq 0) { throw "there is no copy in $kept" }
foreach ($copy in $copies) {
    $sha256 = $copy.Name.Substring(0, 64)
    if ((Get-Sha256 $copy.FullName) -ne $sha256) { throw "$($copy.Name) is not what was moved aside" }
    $target = Join-Path $folder $copy.Name.Substring(65)
    if (Test-Path -LiteralPath $target) { throw "$target is there already" }
    Copy-Item -LiteralPath $copy.FullName -Destination $target
    (Get-Item -LiteralPath $target).LastWriteTimeUtc = $copy.LastWriteTimeUtc
    "put back: $target, SHA-256 $sha256"
}
