# Reads only. Fails where the bad build runs again, or where nothing keeps the update away.
$current = Get-ItemProperty -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
$build = [string]$current.CurrentBuild + '.' + [string]$current.UBR
$key = 'HKLM:\SOFTWARE\Microsoft\WindowsUpdate\UX\Settings'
$until = ''
if (Test-Path -LiteralPath $key) { $until = [string](Get-ItemProperty -LiteralPath $key).PauseQualityUpdatesEndTime }
$pending = 'false'
if (Test-Path -LiteralPath 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending') {
    $pending = 'true'
}
'{"build": "' + $build + '", "held_until": "' + $until + '", "reboot_pending": ' + $pending + '}'
if ($build -eq $OK.bad_build) {
    [Console]::Error.WriteLine("build $build still runs")
    exit 1
}
if (-not $until) {
    [Console]::Error.WriteLine('nothing keeps the update from coming back tonight')
    exit 1
}
