# Copies each faulty channel file 291 aside, proves the copy by SHA-256, and only then removes it.
# Files of before or after the faulty time are left alone. Runs on PowerShell 2.0 and later.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$kept = Join-Path $env:ProgramData 'outagekit-kept\crowdstrike-291'

function Get-Sha256([string]$path) {
    $hash = [Security.Cryptography.SHA256]::Create()
    $stream = [IO.File]::Open($path, 'Open', 'Read', 'ReadWrite, Delete')
    try { $bytes = $hash.ComputeHash($stream) } finally { $stream.Close() }
    ([BitConverter]::ToString($bytes) -replace '-', '').ToLower()
}

if (-not (Test-Path -LiteralPath $kept)) {
    [void](New-Item -ItemType Directory -Path $kept -Force)
    # Only SYSTEM and Administrators: what lies here may be put back into a driver's folder.
    & "$env:WINDIR\System32\icacls.exe" $kept /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
    if ($LASTEXITCODE -ne 0) { throw "the folder for copies could not be made private: $kept" }
}
$bad = @(Get-ChildItem -LiteralPath $folder -Filter 'C-00000291*.sys' -Force |
        Where-Object {
            -not $_.PSIsContainer -and
            $_.LastWriteTimeUtc -ge $OK.bad_from -and $_.LastWriteTimeUtc -lt $OK.good_from
        })
foreach ($file in $bad) {
    $sha256 = Get-Sha256 $file.FullName
    $copy = Join-Path $kept ($sha256 + '_' + $file.Name)
    if (-not (Test-Path -LiteralPath $copy)) {
        Copy-Item -LiteralPath $file.FullName -Destination ($copy + '.part')
        if ((Get-Sha256 ($copy + '.part')) -ne $sha256) { throw "the copy of $($file.Name) is not whole" }
        Move-Item -LiteralPath ($copy + '.part') -Destination $copy
        # Restored with it, so that a look at its time is true again.
        (Get-Item -LiteralPath $copy).LastWriteTimeUtc = $file.LastWriteTimeUtc
    }
    Remove-Item -LiteralPath $file.FullName -Force
    "moved aside: $($file.Name) of $($file.LastWriteTimeUtc.ToString('yyyy-MM-ddTHH:mm:ssZ')), SHA-256 $sha256"
}
