# Reads only. Which channel files 291 are there, and are any of them faulty and none good?
# Runs on PowerShell 2.0 and later. Times are compared in UTC: Explorer shows local time.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    # A 32-bit process would be shown SysWOW64 under the name System32.
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$bad = 0
$good = 0
$newest = ''
if (Test-Path -LiteralPath $folder) {
    $files = @(Get-ChildItem -LiteralPath $folder -Filter 'C-00000291*.sys' -Force |
            Where-Object { -not $_.PSIsContainer -and $_.Name -like 'C-00000291*.sys' } |
            Sort-Object LastWriteTimeUtc)
    foreach ($file in $files) {
        $written = $file.LastWriteTimeUtc
        if ($written -ge $OK.good_from) { $good++ }
        elseif ($written -ge $OK.bad_from) { $bad++ }
        $newest = $written.ToString('yyyy-MM-ddTHH:mm:ssZ', [Globalization.CultureInfo]::InvariantCulture)
    }
}
$sensor = ''
$service = Get-Service -Name 'CSFalconService' -ErrorAction SilentlyContinue
if ($service) { $sensor = [string]$service.Status }
$impacted = 'false'
if ($bad -gt 0 -and $good -eq 0) { $impacted = 'true' }
'{"impacted": ' + $impacted + ', "bad": ' + $bad + ', "good": ' + $good +
    ', "newest": "' + $newest + '", "sensor": "' + $sensor + '"}'
