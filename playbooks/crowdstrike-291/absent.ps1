# Reads only. True: no faulty channel file 291 is in the folder the driver reads.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$bad = @()
if (Test-Path -LiteralPath $folder) {
    $bad = @(Get-ChildItem -LiteralPath $folder -Filter 'C-00000291*.sys' -Force |
            Where-Object {
                -not $_.PSIsContainer -and $_.Name -like 'C-00000291*.sys' -and
                $_.LastWriteTimeUtc -ge $OK.bad_from -and $_.LastWriteTimeUtc -lt $OK.good_from
            })
}
$bad.Count -eq 0
