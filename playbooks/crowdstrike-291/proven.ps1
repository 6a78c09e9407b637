# Reads only. Fails where a faulty file is there, or the machine has crashed since it started.
$windows = Join-Path $env:WINDIR 'System32'
if ([IntPtr]::Size -eq 4 -and (Test-Path -LiteralPath (Join-Path $env:WINDIR 'Sysnative'))) {
    $windows = Join-Path $env:WINDIR 'Sysnative'
}
$folder = Join-Path $windows 'drivers\CrowdStrike'
$bad = 0
$good = 0
if (Test-Path -LiteralPath $folder) {
    foreach ($file in @(Get-ChildItem -LiteralPath $folder -Filter 'C-00000291*.sys' -Force)) {
        if ($file.LastWriteTimeUtc -ge $OK.good_from) { $good++ }
        elseif ($file.LastWriteTimeUtc -ge $OK.bad_from) { $bad++ }
    }
}
$system = Get-WmiObject Win32_OperatingSystem
$booted = $system.ConvertToDateTime($system.LastBootUpTime)
$up = [int][Math]::Floor(((Get-Date) - $booted).TotalMinutes)
# 1001 of BugCheck and 41 of Kernel-Power are written when a machine starts after a crash. It was
# restarted in good order before this is asked, so any of them since then is a new crash.
$crashes = 0
$told = Get-WinEvent -FilterHashtable @{LogName = 'System'; Id = 41, 1001; StartTime = $booted} -ErrorAction SilentlyContinue
foreach ($one in @($told)) {
    if ($one -and $one.ProviderName -match 'BugCheck|WER-SystemErrorReporting|Kernel-Power') { $crashes++ }
}
$sensor = ''
$service = Get-Service | Where-Object { $_.Name -eq 'CSFalconService' }
if ($service) { $sensor = [string]$service.Status }
'{"bad": ' + $bad + ', "good": ' + $good + ', "crashes": ' + $crashes +
    ', "sensor": "' + $sensor + '", "up_minutes": ' + $up + '}'
if ($bad -gt 0) {
    [Console]::Error.WriteLine('a faulty file is there again')
    exit 1
}
if ($crashes -gt 0) {
    [Console]::Error.WriteLine("it has crashed $crashes times since it was restarted")
    exit 1
}
if ($sensor -and $sensor -ne 'Running') {
    [Console]::Error.WriteLine("the sensor's service is $sensor")
    exit 1
}
