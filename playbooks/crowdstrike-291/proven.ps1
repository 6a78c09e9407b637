# Reads only. Fails where a faulty file is there again, where the machine came up after a crash, or
# where the sensor does not run although it did before.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$bad = 0
$good = 0
if (Test-Path -LiteralPath $folder) {
    $files = @(Get-ChildItem -LiteralPath $folder -Filter 'C-00000291*.sys' -Force |
            Where-Object { -not $_.PSIsContainer -and $_.Name -like 'C-00000291*.sys' })
    foreach ($file in $files) {
        if ($file.LastWriteTimeUtc -ge $OK.good_from) { $good++ }
        elseif ($file.LastWriteTimeUtc -ge $OK.bad_from) { $bad++ }
    }
}
$system = Get-WmiObject Win32_OperatingSystem
$booted = $system.ConvertToDateTime($system.LastBootUpTime)
$up = [int][Math]::Floor(((Get-Date) - $booted).TotalMinutes)
# 41 of Kernel-Power and 1001 of BugCheck are written at a start that follows a crash, often both.
# It was restarted in good order before this is asked, so since then there must be none.
$crashed = 'false'
$events = @()
try {
    $events = @(Get-WinEvent -FilterHashtable @{LogName = 'System'; Id = 41, 1001; StartTime = $booted})
} catch {
    if ($_.FullyQualifiedErrorId -notlike 'NoMatchingEventsFound*') { throw }
}
foreach ($one in $events) {
    if ($one.ProviderName -match 'BugCheck|WER-SystemErrorReporting|Kernel-Power') { $crashed = 'true' }
}
$sensor = ''
$service = Get-Service -Name 'CSFalconService' -ErrorAction SilentlyContinue
if ($service) { $sensor = [string]$service.Status }
'{"bad": ' + $bad + ', "good": ' + $good + ', "crashed": ' + $crashed +
    ', "sensor": "' + $sensor + '", "up_minutes": ' + $up + '}'
$reasons = @()
if ($bad -gt 0) { $reasons += 'a faulty file is there again' }
if ($crashed -eq 'true') { $reasons += 'its last start followed a crash (events 41 or 1001 of its System log)' }
# One that did not run before either is no work of this run: it stands in the result.
if ($sensor -ne 'Running' -and $sensor -ne $OK.sensor_before) {
    $reasons += "the sensor's service is '$sensor', and was '$($OK.sensor_before)' before"
}
if ($reasons.Count -gt 0) {
    [Console]::Error.WriteLine([string]::Join('; ', $reasons))
    exit 1
}
